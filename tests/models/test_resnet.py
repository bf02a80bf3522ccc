"""ResNet, V1c, V1d, ResNeXt: standard tests, options, agreement with torchvision's and timm's networks."""
from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import nn

from mmseg.checkpoint.pretrained import resnet_keys
from mmseg.models import build_backbone
from tests.models.base_backbone import BackboneTests, images, weighted_sum

TINY = dict(stem_channels=8, base_channels=8, zero_init_residual=False)
D8 = dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), contract_dilation=True)


def frozen_parts(backbone: nn.Module, stages: int) -> list[nn.Module]:
    stem = [backbone.stem] if backbone.deep_stem else [backbone.conv1, backbone.norm1]
    return stem + [getattr(backbone, f'layer{k + 1}') for k in range(stages)]


class ResNetTests(BackboneTests):
    """Standard tests of the whole family."""
    channels = (32, 64, 128, 256)
    small = dict(num_stages=2, strides=(1, 2), dilations=(1, 2), out_indices=(0, 1))

    @pytest.mark.parametrize('stages', [0, 2])
    def test_frozen_stages_neither_learn_nor_move(self, stages: int) -> None:
        backbone = self.build(frozen_stages=stages).train()
        before = {k: v.clone() for k, v in backbone.state_dict().items()}
        self.backward(backbone, images())
        with torch.no_grad():
            for p in backbone.parameters():
                p.sub_(0 if p.grad is None else p.grad)
        frozen = {f'{name}.{k}' for name, m in backbone.named_children() if m in frozen_parts(backbone, stages)
                  for k in m.state_dict()}
        changed = {k for k, v in backbone.state_dict().items() if not torch.equal(v, before[k])}
        assert frozen and not frozen & changed
        assert any(k.startswith(f'layer{stages + 1}') for k in changed)
        assert any('running_mean' in k for k in changed)

    def test_norm_eval_keeps_statistics_but_learns(self) -> None:
        backbone = self.build(norm_eval=True).train()
        before = {k: v.clone() for k, v in backbone.named_buffers()}
        self.backward(backbone, images(batch=1))
        assert all(torch.equal(v, before[k]) for k, v in backbone.named_buffers())

    def test_recomputing_gives_the_same_gradients(self) -> None:
        plain, saving = self.build(), self.build(with_cp=True)
        saving.load_state_dict(plain.state_dict())
        for backbone in (plain, saving):
            weighted_sum(backbone(images())).backward()
        for mine, expected in zip(saving.parameters(), plain.parameters()):
            torch.testing.assert_close(mine.grad, expected.grad)


class TestResNet18(ResNetTests):
    cfg = dict(type='ResNet', depth=18, **TINY)
    channels = (8, 16, 32, 64)


class TestResNetCaffe(ResNetTests):
    cfg = dict(type='ResNet', depth=50, style='caffe', **TINY)


class TestResNetV1cDilated(ResNetTests):
    cfg = dict(type='ResNetV1c', depth=50, norm_cfg=dict(type='BN', requires_grad=True), **TINY, **D8)
    strides = (4, 8, 8, 8)


class TestResNetV1d(ResNetTests):
    cfg = dict(type='ResNetV1d', depth=50, **TINY)


class TestResNeXt(ResNetTests):
    cfg = dict(type='ResNeXt', depth=50, groups=4, base_width=4, **TINY)


def check_agreement(cfg: dict[str, Any], reference: nn.Module) -> None:
    """Same keys (but for the classifier) and same maps as a reference network with ``layer1`` ... ``layer4``."""
    backbone, reference = build_backbone(cfg).eval(), reference.eval()
    state = {k: v for k, v in resnet_keys(reference.state_dict()).items() if not k.startswith('fc.')}
    assert state.keys() == backbone.state_dict().keys()
    backbone.load_state_dict(state)
    expected = []
    for k in range(1, 5):
        getattr(reference, f'layer{k}').register_forward_hook(lambda module, _, out: expected.append(out))
    with torch.no_grad():
        reference(images())
        for mine, theirs in zip(backbone(images()), expected, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5 * float(theirs.abs().max()))


@pytest.mark.parametrize('depth', [18, 50])
def test_agrees_with_torchvision(depth: int) -> None:
    check_agreement(dict(type='ResNet', depth=depth), getattr(torchvision.models, f'resnet{depth}')())


def test_dilation_agrees_with_torchvision() -> None:
    reference = torchvision.models.resnet50(replace_stride_with_dilation=[False, True, True])
    check_agreement(dict(type='ResNet', depth=50, **D8), reference)


def test_resnext_agrees_with_torchvision() -> None:
    check_agreement(dict(type='ResNeXt', depth=50, groups=32), torchvision.models.resnext50_32x4d())


@pytest.mark.parametrize('kind', ['c', 'd'])
def test_deep_stems_agree_with_timm(kind: str) -> None:
    check_agreement(dict(type=f'ResNetV1{kind}', depth=50), timm.create_model(f'resnet50{kind}'))


@pytest.mark.parametrize('depth, parameters', [(34, 21_284_672), (152, 58_143_808)])
def test_depths(depth: int, parameters: int) -> None:
    with torch.device('meta'):
        backbone = build_backbone(dict(type='ResNet', depth=depth))
    assert sum(p.numel() for p in backbone.parameters()) == parameters


def dilations(stage: nn.Sequential) -> list[int]:
    return [block.conv2.dilation[0] for block in stage]


def test_dilations_of_blocks() -> None:
    cfg = dict(type='ResNetV1c', depth=50, **TINY)
    backbone = build_backbone({**cfg, **D8})
    assert dilations(backbone.layer3) == [1, 2, 2, 2, 2, 2] and dilations(backbone.layer4) == [2, 4, 4]
    backbone = build_backbone({**cfg, **D8, 'contract_dilation': False})
    assert dilations(backbone.layer3) == [2] * 6 and dilations(backbone.layer4) == [4] * 3
    backbone = build_backbone({**cfg, **D8, 'multi_grid': (4, 8, 16)})
    assert dilations(backbone.layer3) == [1, 2, 2, 2, 2, 2] and dilations(backbone.layer4) == [4, 8, 16]


def test_stride_is_in_the_first_convolution_with_caffe_style() -> None:
    for style, strides in (('caffe', [2, 1]), ('pytorch', [1, 2])):
        block = build_backbone(dict(type='ResNet', depth=50, style=style, **TINY)).layer2[0]
        assert [block.conv1.stride[0], block.conv2.stride[0]] == strides


def test_blocks_start_as_identity_unless_told_otherwise() -> None:
    for depth, last in ((18, 'bn2'), (50, 'bn3')):
        backbone = build_backbone(dict(type='ResNet', depth=depth, stem_channels=8, base_channels=8))
        assert not any(getattr(block, last).weight.any() for block in backbone.layer1)
        backbone = build_backbone(dict(type='ResNet', depth=depth, **TINY))
        assert all(getattr(block, last).weight.all() for block in backbone.layer1)


@pytest.mark.parametrize('cfg', [dict(type='ResNeXt', groups=2, base_width=8), dict(type='ResNeSt')])
def test_blocks_of_the_relatives_start_with_both_ways_alike_as_published(cfg: dict[str, Any]) -> None:
    tiny = dict(cfg, depth=50, stem_channels=8, base_channels=8)
    assert all((block.bn3.weight == 1).all() for block in build_backbone(tiny).layer1)
    assert not any(block.bn3.weight.any() for block in build_backbone(dict(tiny, zero_init_residual=True)).layer1)


def test_other_norms_and_fewer_stages() -> None:
    backbone = build_backbone(dict(type='ResNet', depth=18, num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1),
                                   out_indices=(0, 2), norm_cfg=dict(type='GN', num_groups=4), **TINY))
    maps = backbone(images())
    assert [m.shape[1] for m in maps] == backbone.channels == [8, 32]
    assert 'layer1.0.gn1.weight' in backbone.state_dict() and not hasattr(backbone, 'layer4')


@pytest.mark.parametrize('change, words', [
    (dict(depth=20), 'no depth 20.*18, 34, 50'),
    (dict(depth=18, type='ResNeXt'), 'no depth 18.*50, 101, 152'),
    (dict(style='tensorflow'), 'pytorch.*caffe'),
    (dict(strides=(1, 2)), 'num_stages=4'),
    (dict(out_indices=(4, )), 'out_indices'),
    (dict(frozen_stages=5), 'frozen_stages'),
    (dict(multi_grid=(1, 2)), 'multi_grid.*3 blocks'),
    (dict(dcn=dict(type='DCN')), 'dcn and plugins.*None'),
    (dict(plugins=[dict()]), 'dcn and plugins.*None'),
    (dict(init_cfg=dict(type='Kaiming')), 'Pretrained'),
    (dict(pretrained='a.pth', init_cfg=dict(type='Pretrained', checkpoint='b.pth')), 'give one of them'),
])
def test_wrong_options_are_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f'(?s){words}'):
        build_backbone({'type': 'ResNet', 'depth': 50, **change})


def test_options_of_old_configs_are_accepted() -> None:
    build_backbone(dict(type='ResNetV1c', depth=18, in_channels=3, style='pytorch', dcn=None, plugins=None,
                        stage_with_dcn=(False, False, False, False), init_cfg=None, conv_cfg=None))
