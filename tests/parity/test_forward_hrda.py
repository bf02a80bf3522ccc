"""Outputs of HRDA in eval mode: both scales, their fusion at a given box, sliding detail windows."""
from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from mmseg.models.segmentors import HRDAEncoderDecoder
from tests.parity import golden, model_zoo
from tests.parity.golden import Case, UnknownName, rnd
from tests.parity.test_forward import meta, size_of

pytestmark = pytest.mark.parity

WAY = re.compile(r'(?P<train>trainfwd)|(?P<test>test)|(?P<change>nooverlap|blurhr)_(?P<size>\d+x\d+)|'
                 r'slide_crop(?P<crop>\d+)_stride(?P<stride>\d+)_img(?P<img>\d+x\d+)_batched(?P<batched>[01])')
FIELD = re.compile(r'scale(?P<scale>[01])_feat(?P<level>[0-3])|fused|lr|hr|encode_decode|logits|softmax|'
                   r'slide_boxes_y1y2x1x2')
CHANGES = dict(nooverlap=dict(hr_slide_overlapping=False), blurhr=dict(blur_hr_crop=True))


def split(entry: str) -> tuple[str, str]:
    parts = entry.split('/')
    if len(parts) != 3 or not WAY.fullmatch(parts[1]) or not FIELD.fullmatch(parts[2]):
        raise UnknownName('model/way/field')
    model_zoo.segmentor_config(parts[0])
    return f'{parts[0]}/{parts[1]}', parts[2]


def result(model: HRDAEncoderDecoder, way: re.Match, field: str, dilated: bool) -> torch.Tensor:
    """What is recorded as ``field`` for a way of inference."""
    if way['crop']:
        crop, stride = int(way['crop']), int(way['stride'])
        model.test_cfg = dict(mode='slide', crop_size=(crop, crop), stride=(stride, stride),
                              batched_slide=way['batched'] == '1')
        size = size_of(way['img'])
        img = rnd(401, (1, 3, *size))
        return model.logits(img) if field == 'logits' else model.inference(img, meta(size))
    img = rnd(400, (1, 3, *(size_of(way['size']) if way['change'] else (128, 160))))
    if field == 'encode_decode':
        return model.encode_decode(img)
    features = model.encode(img, ((32, 96, 48, 112) if dilated else (24, 88, 40, 104)) if way['train'] else None)
    if field.startswith('slide_boxes'):
        return torch.tensor(features.windows)
    level = FIELD.fullmatch(field)
    if level['scale']:
        return features.by_scale()[int(level['scale'])][int(level['level'])]
    decoded = model.decode(features)
    return dict(fused=decoded.logits, lr=decoded.lr, hr=decoded.hr)[field]


@golden.cases('forward_hrda_A.npz', 'forward_hrda_B.npz', split=split)
def test_hrda(case: Case) -> None:
    name, _, way = case.name.partition('/')
    way = WAY.fullmatch(way)
    model = model_zoo.filled(model_zoo.segmentor, name, case.recipe).eval()
    for key, value in CHANGES.get(way['change'], {}).items():
        setattr(model, key, value)
    for field in case.fields:
        with torch.no_grad():
            actual = result(model, way, field, 'dlv2' in name)
        if field.startswith('slide_boxes'):
            np.testing.assert_array_equal(actual, case.array(field))
        else:
            case.check(field, actual)
