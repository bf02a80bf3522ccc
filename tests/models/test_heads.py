"""Decode heads: the standard tests for each, and what is particular to some."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mmseg.config.reading import load_config
from mmseg.models import MODELS, build_head, build_segmentor
from mmseg.models.layers.pooling import BinPool
from mmseg.models.outline import without_values
from tests.models import nets
from tests.models.base_head import CHANNELS, HeadTests, features, labels
from tests.models.nets import BN

MODEL_CONFIGS = sorted((Path(__file__).parents[2] / 'configs/_base_/models').glob('*.py'))
LAST = dict(in_channels=CHANNELS[3], in_index=3, channels=16, norm_cfg=BN)
ALL = dict(in_channels=list(CHANNELS), in_index=[0, 1, 2, 3], channels=16, norm_cfg=BN)


class TestDLV2(HeadTests):
    cfg = dict(type='DLV2Head', in_channels=CHANNELS[3], in_index=3, dilations=(6, 12))

    @pytest.mark.parametrize('key', ['channels', 'dropout_ratio', 'norm_cfg'])
    def test_hidden_layers_are_refused(self, key: str) -> None:
        with pytest.raises(ValueError, match=f'remove {key}'):
            self.build(**{key: dict(channels=16, dropout_ratio=0.1, norm_cfg=BN)[key]})

    def test_embedding_is_the_backbones_map(self) -> None:
        feats = features()
        assert self.build()(feats).embedding is feats[3]

    def test_init_cfg_decides_the_first_weights(self) -> None:
        for std, init_cfg in ((0.01, None), (0.1, dict(type='Normal', std=0.1, override=dict(name='aspp_modules')))):
            for branch in self.build(init_cfg=init_cfg).aspp_modules:
                assert branch.conv.weight.std().item() == pytest.approx(std, rel=0.1)
                assert not branch.conv.bias.any()


class TestASPP(HeadTests):
    cfg = dict(type='ASPPHead', dilations=(1, 6, 12), **LAST)


class TestDeepLabV3Plus(HeadTests):
    cfg = dict(type='DepthwiseSeparableASPPHead', dilations=(1, 6, 12), c1_in_channels=8, c1_channels=4, **LAST)

    def test_details_come_from_the_first_level(self) -> None:
        with_details, without = self.build(), self.build(c1_in_channels=0)
        assert with_details(features()).logits.shape[-2:] == features()[0].shape[-2:]
        assert without(features()).logits.shape[-2:] == features()[3].shape[-2:]
        assert not [key for key in without.state_dict() if key.startswith('c1_bottleneck')]


class TestUPer(HeadTests):
    cfg = dict(type='UPerHead', **ALL)


class TestPSP(HeadTests):
    cfg = dict(type='PSPHead', **LAST)


class TestFCN(HeadTests):
    cfg = dict(type='FCNHead', **LAST)


class TestFCNDilatedChain(HeadTests):
    cfg = dict(type='FCNHead', num_convs=3, concat_input=False, dilation=2, **LAST)


class TestFCNWithoutConvolutions(HeadTests):
    cfg = dict(type='FCNHead', num_convs=0, concat_input=False, **{**LAST, 'channels': CHANNELS[3]})

    def test_channels_have_to_fit(self) -> None:
        with pytest.raises(ValueError, match='channels=32'):
            self.build(channels=16)


class TestFCNOfSeveralLevels(HeadTests):
    cfg = dict(type='FCNHead', input_transform='resize_concat', **ALL)


class TestDA(HeadTests):
    cfg = dict(type='DAHead', pam_channels=4, **LAST)
    losses = ('pam_cam.', 'pam.', 'cam.')

    def test_prediction_is_the_sum_of_the_branches(self) -> None:
        head = self.build().eval()
        output = head(features())
        assert list(output.parts) == ['pam', 'cam']
        losses = head.losses(output, labels())
        alone = head.losses_of(head.upsampled(output.logits, (65, 97)), labels(), None)
        assert losses['pam_cam.loss_seg'] == alone['loss_seg'] != losses['pam.loss_seg']

    def test_attention_starts_switched_off_and_stands_bf16(self) -> None:
        head, feats = self.build().eval(), features(512, 512)
        assert head.pam.gamma.scale == head.cam.gamma.scale == 0
        with torch.no_grad():
            for scale in (head.pam.gamma.scale, head.cam.gamma.scale):
                scale.fill_(1.)
            expected = head(feats).logits
            with torch.autocast('cpu', torch.bfloat16):
                logits = head(feats).logits.float()
        assert (logits - expected).norm() <= 0.03 * expected.norm()


class TestISA(HeadTests):
    cfg = dict(type='ISAHead', isa_channels=8, **LAST)


class TestSegFormer(HeadTests):
    cfg = dict(type='SegFormerHead', decoder_params=dict(embed_dim=16), **ALL)
    unused = frozenset({'conv_seg.weight', 'conv_seg.bias'})


class TestDAFormer(HeadTests):
    cfg = nets.head()


class TestDAFormerConv(HeadTests):
    cfg = nets.head(embed='conv', neck='conv', fusion='conv')


class TestDAFormerISA(HeadTests):
    cfg = nets.head(embed='sep_conv', neck='rawconv_and_aspp', fusion='isa')


class TestDAFormerIdentity(HeadTests):
    cfg = nets.head(embed='id', neck='id', fusion='sep_conv')


class TestDAFormerPooling(HeadTests):
    cfg = nets.head()
    cfg['decoder_params']['fusion_cfg'] = {
        **nets.LAYERS['aspp'], 'sep': False, 'pool': True, 'context_cfg': nets.LAYERS['isa'] | dict(isa_channels=16)}


@pytest.mark.parametrize('bins', [1, 2, 3, 6])
def test_pooling_is_torchs_adaptive_average(bins: int) -> None:
    x = torch.randn(2, 3, 13, 5, requires_grad=True)
    out, expected = BinPool(bins)(x), torch.nn.functional.adaptive_avg_pool2d(x, bins)
    torch.testing.assert_close(out, expected)
    factor = torch.randn_like(out)
    torch.testing.assert_close(*(torch.autograd.grad(y, x, factor) for y in (out, expected)))


def test_one_value_per_channel_leaves_the_running_statistics_alone() -> None:
    head = build_head(dict(type='PSPHead', num_classes=5, **LAST))
    norm = head.psp_modules[0][1].bn
    head(features(batch=1))
    assert norm.num_batches_tracked == 0 and not norm.running_mean.any()
    head(features(batch=2))
    assert norm.num_batches_tracked == 1 and norm.running_mean.any()


@pytest.mark.parametrize('path', MODEL_CONFIGS, ids=lambda path: path.stem)
def test_every_model_config_builds(path: Path) -> None:
    model = load_config(path).model
    backbone = model.backbone.type
    with without_values():
        if backbone == 'IMTRv21_5':  # by design without a backbone of its own
            build_head(model.decode_head)
        elif backbone not in MODELS:
            pytest.skip(f'{backbone} is not registered')
        else:
            build_segmentor(model)


def auxiliary(**changes: Any) -> dict[str, Any]:
    return dict(type='FCNHead', in_channels=24, in_index=2, channels=16, num_convs=1, concat_input=False,
                num_classes=5, norm_cfg=BN, loss_decode=dict(type='CrossEntropyLoss', loss_weight=0.4), **changes)


@pytest.mark.parametrize(('heads', 'prefixes'), [
    (auxiliary(), ['aux']),
    ([auxiliary(), auxiliary(dilation=2)], ['aux_0', 'aux_1']),
])
def test_fcn_as_auxiliary_head(heads: Any, prefixes: list[str]) -> None:
    torch.manual_seed(0)
    model = nets.segmentor(auxiliary_head=heads)
    losses = model.loss(torch.randn(2, 3, 65, 97), labels())
    assert set(losses) == {f'{p}.{name}' for p in ['decode', *prefixes] for name in ('loss_seg', 'acc_seg')}
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert all(p.grad is not None for p in model.parameters())
    chance = torch.log(torch.tensor(5.))
    assert all(0.2 * chance < losses[f'{p}.loss_seg'] < 0.6 * chance for p in prefixes)  # the loss weight is 0.4


def test_class_weight_reaches_the_loss() -> None:
    torch.manual_seed(0)
    weight = [0., 0., 1., 0., 0.]
    loss = dict(type='CrossEntropyLoss', class_weight=weight)
    head = build_head(dict(type='FCNHead', num_classes=5, loss_decode=loss, **LAST)).eval()
    label, output = labels(), head(features())
    only = head.losses(output, label)['loss_seg']
    torch.testing.assert_close(head.losses(output, label.where(label == 2, 255))['loss_seg'], only)
    assert only > 0 and head.losses(output, label.where(label != 2, 255))['loss_seg'] == 0
