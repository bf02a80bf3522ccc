"""The vocabulary of the names in golden files: from a name to a config, built from the files in configs/_base_.

A model with a part that no registry holds yet belongs to a later issue: building it skips the test.
"""
from __future__ import annotations

import copy
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from mmengine import Config
from torch import nn

from mmseg.config.legacy import apply_legacy_fixes
from mmseg.models import MODELS, build_backbone, build_head, build_segmentor, build_train_model
from mmseg.models.outline import without_values
from tests.parity.golden import UnknownName, fill

BASE = Path(__file__).parents[2] / 'configs/_base_'
DECODERS = {
    'daformer': 'daformer_sepaspp_mitb5',
    'daformer_sepaspp': 'daformer_sepaspp_mitb5',
    'daformer_aspp': 'daformer_aspp_mitb5',
    'daformer_conv1': 'daformer_conv1_mitb5',
    'daformer_isa': 'daformer_isa_mitb5',
    'daformer_sepaspp_bottleneck': 'daformer_sepaspp_bottleneck_mitb5',
    'segformer': 'segformer_b5',
    'upernet': 'upernet_mit',
    'upernet_ch256': 'upernet_ch256_mit',
    'dlv2': 'deeplabv2_r50-d8',
    'dlv2red': 'deeplabv2red_r50-d8',
    'dlv3p': 'deeplabv3plus_r50-d8',
    'danet': 'danet_r50-d8',
    'isanet': 'isanet_r50-d8',
}
SEGMENTOR = re.compile(
    r'(?P<hrda>hrda(?:1-(?P<detail>\d+)-(?P<hr>[\d.]+))?_(?:(?P<attention>singleatt|fixedatt)_)?)?(?P<sfa>sfa_)?'
    rf'(?:(?P<decoder>{"|".join(DECODERS)})_)?(?P<backbone>mitb[0-5]|b[0-5]|r(?:50|101)(?:v1c)?)'
    r'(?:_embed(?P<embed>\d+))?(?:_crop(?P<crop>\d+))?(?P<full>_full)?(?:_lr(?P<lr>[\d.]+))?(?P<featall>_featall)?')
UDA = re.compile(
    r'(?P<mic>mic_)?(?P<uda>dacs(?:_a999)?(?:_fd(?:things)?)?|srconly)_(?P<model>.+?)(?P<own>_ownteacher)?')


def backbone_config(name: str) -> dict[str, Any]:
    """E.g. 'mit_b3', 'resnetv1c101_d8'."""
    mit = re.fullmatch(r'mit_(b[0-5])', name)
    resnet = re.fullmatch(r'resnetv1c(50|101)_d8', name)
    if not (mit or resnet):
        raise UnknownName(f'backbone {name!r}')
    return segmentor_config(f'segformer_{mit[1]}' if mit else f'segformer_r{resnet[1]}')['backbone']


def segmentor_config(name: str) -> dict[str, Any]:
    """E.g. 'daformer_sepaspp_mitb0', 'sfa_dlv3p_mitb5', 'segformer_b0_embed256', 'hrda1-512-0.1_dlv2red_r50v1c'."""
    match = SEGMENTOR.fullmatch(name)
    if not match or not (match['decoder'] or match['hrda']):
        raise UnknownName(f'segmentor {name!r}')
    decoder, backbone = match['decoder'] or 'daformer', match['backbone']
    resnet = backbone.startswith('r')
    file = 'segformer_r101' if (decoder, resnet) == ('segformer', True) else DECODERS[decoder]
    model = copy.deepcopy(_base_model(file))
    head = model['decode_head']
    if resnet:
        model['backbone']['depth'] = int(backbone[1:].removesuffix('v1c'))
    else:
        size = backbone[-1]
        dims = [32, 64, 160, 256] if size == '0' else [64, 128, 320, 512]
        model.update(backbone=dict(type=f'mit_b{size}', style='pytorch'), pretrained=f'pretrained/mit_b{size}.pth')
        if match['sfa']:
            model['neck'] = dict(type='SegFormerAdapter')
            head['in_channels'] = dims[-1]
            if 'c1_in_channels' in head:
                head['c1_in_channels'] = dims[0]
        else:
            head['in_channels'] = dims
    if match['embed']:
        head['decoder_params']['embed_dim'] = int(match['embed'])
    if match['hrda']:
        _wrap_hrda(model, match)
    return model


@cache
def _base_model(file: str) -> dict[str, Any]:
    return Config.fromfile(BASE / f'models/{file}.py', lazy_import=False).model.to_dict()


def _wrap_hrda(model: dict[str, Any], match: re.Match) -> None:
    crop = int(match['detail'] or match['crop'] or 512)
    model.update(
        type='HRDAEncoderDecoder',
        scales=[1, 0.5],
        hr_crop_size=(crop, crop),
        feature_scale='all' if match['featall'] else 0.5,
        crop_coord_divisible=8,
        hr_slide_inference=True)
    head = model['decode_head']
    head.update(
        type='HRDAHead',
        single_scale_head=head['type'],
        attention_classwise=match['attention'] != 'singleatt',
        hr_loss_weight=float(match['hr'] or 0.1),
        lr_loss_weight=float(match['lr'] or 0))
    if match['attention'] == 'fixedatt':
        head['fixed_attention'] = 0.5


def train_config(name: str) -> Config:
    """E.g. 'dacs_a999_fdthings_daformer_mitb0', 'mic_srconly_daformer_mitb0'."""
    match = UDA.fullmatch(name)
    if not match:
        raise UnknownName(f'UDA model {name!r}')
    file = {'srconly': 'dacs_srconly'}.get(match['uda'], match['uda'])
    uda = Config.fromfile(BASE / f'uda/{file}.py', lazy_import=False).uda.to_dict()
    if match['mic']:
        uda.update(
            mask_mode='separatesrc' if match['uda'] == 'srconly' else 'separatetrg',
            mask_alpha=0.999 if match['own'] else 'same',
            mask_lambda=1,
            mask_generator=dict(type='block', mask_ratio=0.7, mask_block_size=64))
    content = dict(model=segmentor_config(match['model']), uda=uda, runner=dict(max_iters=40000))
    return Config(apply_legacy_fixes(content))


def _need(*types: str | None) -> None:
    for name in types:
        if name is not None and MODELS.get(name) is None:
            pytest.skip(f'registered in a later issue: {name}')


def need_segmentor(model: dict[str, Any]) -> None:
    head = model['decode_head']
    _need(model['type'], model['backbone']['type'], model.get('neck', {}).get('type'), head['type'],
          head.get('single_scale_head'))


def backbone(name: str) -> nn.Module:
    """Build a backbone, or skip the test if a later issue brings it."""
    cfg = backbone_config(name)
    _need(cfg['type'])
    return build_backbone(cfg)


def head(name: str) -> nn.Module:
    """Build the decode head of a segmentor, or skip the test if a later issue brings it."""
    cfg = segmentor_config(name)['decode_head']
    _need(cfg['type'])
    return build_head(cfg)


def segmentor(name: str) -> nn.Module:
    """Build a segmentor, or skip the test if a later issue brings a part of it."""
    cfg = segmentor_config(name)
    need_segmentor(cfg)
    return build_segmentor(cfg)


def filled(build: Callable[..., nn.Module], named: Any, recipe: str) -> nn.Module:
    """What one of these functions builds, with the recorded weights instead of random ones."""
    with without_values():
        module = build(named)
    return fill(module, recipe)


def train_model(name: str) -> nn.Module:
    """Build what a UDA config trains, or skip the test if a later issue brings a part of it."""
    return build(train_config(name))


def build(cfg: Config) -> nn.Module:
    """Build what a whole config trains, or skip the test if a later issue brings a part of it."""
    if cfg.get('uda') is not None:
        _need(cfg.uda.type)
    need_segmentor(cfg.model)
    try:
        return build_train_model(cfg)
    except NotImplementedError as error:
        pytest.skip(f'registered in a later issue: {error}')
