"""Outputs of networks in eval mode, with deterministic weights and inputs."""
from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from mmseg.models.segmentors import BaseSegmentor
from tests.parity import golden, model_zoo
from tests.parity.golden import Case, UnknownName, rnd

pytestmark = pytest.mark.parity

INFERENCE = re.compile(r'odd_(?P<odd>\d+x\d+)|whole_rescale_(?P<whole>\d+x\d+)(?P<hflip>_hflip)?|'
                       r'(?P<aug>aug_test_flip_avg)|slide_crop(?P<crop>\d+x\d+)_stride(?P<stride>\d+x\d+)_img(?P<img>\d+x\d+)'
                       r'(?:_batched(?P<batched>[01]))?(?:_rescale_(?P<rescale>\d+x\d+))?')


def split_backbone(entry: str) -> tuple[str, str]:
    match = re.fullmatch(r'(\w+/in_\d+x\d+x\d+x\d+)/(feat\d)', entry)
    if not match:
        raise UnknownName('backbone/in_NxCxHxW/feat<level>')
    return match[1], match[2]


@golden.cases('forward_backbones_A.npz', 'forward_backbones_B.npz', split=split_backbone)
def test_backbone(case: Case) -> None:
    name, _, shape = case.name.partition('/in_')
    model = model_zoo.filled(model_zoo.backbone, name, case.recipe).eval()
    with torch.no_grad():
        maps = model(rnd(100, tuple(map(int, shape.split('x')))))
    assert len(maps) == len(case.fields)
    for field in case.fields:
        case.check(field, maps[int(field.removeprefix('feat'))])


def split_head(entry: str) -> tuple[str, str]:
    match = re.fullmatch(r'(\w+)/(out[0-2]?)', entry)
    if not match:
        raise UnknownName('head/out')
    return match[1], match[2]


@golden.cases('forward_heads_A.npz', 'forward_heads_B.npz', split=split_head)
def test_head(case: Case) -> None:
    head = model_zoo.filled(model_zoo.head, case.name, case.recipe).eval()
    if '_r' in case.name:
        channels, sizes = (256, 512, 1024, 2048), ((24, 32), (12, 16), (12, 16), (12, 16))
    else:
        channels, sizes = (32, 64, 160, 256), ((24, 32), (12, 16), (6, 8), (3, 4))
    feats = [rnd(200 + i, (1, c, *size)) for i, (c, size) in enumerate(zip(channels, sizes))]
    with torch.no_grad():
        output = head(feats)
    branches = [output.logits, *output.parts.values()]  # DANet: fused, position, channel
    for field in case.fields:
        case.check(field, branches[int(field.removeprefix('out') or 0)])


def size_of(text: str) -> tuple[int, int]:
    height, width = text.split('x')
    return int(height), int(width)


def split_segmentor(entry: str) -> tuple[str, str]:
    model, _, rest = entry.partition('/')
    way, _, what = rest.rpartition('/')
    known = what in ('encode_decode', 'argmax_u8', 'softmax', 'logits', 'pred_u8')
    if not known or (way and not INFERENCE.fullmatch(way)):
        raise UnknownName('segmentor/[way of inference/]result')
    return (f'{model}/{way}' if way else model), what


def meta(size: tuple[int, int], flip: bool = False) -> list[dict]:
    return [dict(ori_shape=(*size, 3), flip=flip, flip_direction='horizontal')]


def results(model: BaseSegmentor, way: str, case: Case) -> dict[str, Tensor]:
    """Everything that can be recorded for a way of inference."""
    if not way:
        logits = model.encode_decode(rnd(300, (1, 3, *case.shape('encode_decode')[-2:])))
        return {'encode_decode': logits, 'argmax_u8': logits.argmax(1)}
    match = INFERENCE.fullmatch(way)
    if match['odd']:
        return {'encode_decode': model.encode_decode(rnd(301, (1, 3, *size_of(match['odd']))))}
    img = rnd(302, (1, 3, 96, 128))
    if match['whole']:
        return {'softmax': model.inference(img, meta(size_of(match['whole']), bool(match['hflip'])))}
    if match['aug']:
        size = case.shape('pred_u8')[-2:]
        return {'pred_u8': model.predict([img, img.flip(3)], [meta(size), meta(size, True)])}
    model.test_cfg = dict(
        mode='slide',
        crop_size=size_of(match['crop']),
        stride=size_of(match['stride']),
        batched_slide=match['batched'] == '1')
    img = rnd(303, (1, 3, *size_of(match['img'])))
    if match['rescale']:
        return {'softmax': model.inference(img, meta(size_of(match['rescale'])))}
    return {'logits': model.logits(img)}


@golden.cases('forward_segmentors_A.npz', 'forward_segmentors_B.npz', split=split_segmentor)
def test_segmentor(case: Case) -> None:
    name, _, way = case.name.partition('/')
    model = model_zoo.filled(model_zoo.segmentor, name, case.recipe).eval()
    with torch.no_grad():
        actual = results(model, way, case)
    for field in case.fields:
        if field.endswith('_u8'):
            case.check_labels(field, actual[field])
        else:
            case.check(field, actual[field])
