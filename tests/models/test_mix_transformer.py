"""Mix Transformer: construction, stochastic depth, pretrained files."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mmseg.errors import CheckpointError
from mmseg.models import build_backbone
from mmseg.models.backbones.mix_transformer import MixVisionTransformer
from mmseg.models.layers import DropPath
from tests.models import nets
from tests.models.base_backbone import BackboneTests


def tiny(**changes: object) -> MixVisionTransformer:
    return build_backbone(nets.backbone(**changes))


class TestTiny(BackboneTests):
    cfg = nets.backbone(drop_path_rate=0.)
    channels = (8, 16, 24, 32)


class TestB0(BackboneTests):
    cfg = dict(type='mit_b0', drop_path_rate=0.)
    channels = (32, 64, 160, 256)


def test_spatial_reduction_is_the_convolution_of_its_weights() -> None:
    model = tiny()
    attention, tokens = model.block1[0].attn, torch.randn(2, 17 * 26, 8)
    expected = attention.sr(tokens.transpose(1, 2).reshape(2, 8, 17, 26)).flatten(2).transpose(1, 2)
    assert torch.allclose(attention.reduced(tokens, (17, 26)), expected, atol=1e-6)
    assert model(torch.randn(1, 3, 29, 29))[-1].shape == (1, 32, 1, 1)
    with pytest.raises(ValueError, match='29 x 29'):
        model(torch.randn(1, 3, 28, 64))


def test_legacy_arguments_are_accepted() -> None:
    model = build_backbone(dict(type='mit_b0', style='pytorch', patch_size=4))
    assert isinstance(model, MixVisionTransformer)
    with pytest.raises(ValueError, match='one of them'):
        tiny(pretrained='a.pth', init_cfg=dict(type='Pretrained', checkpoint='b.pth'))
    with pytest.raises(TypeError, match='pretrained'):
        tiny(pretrained=5)


def test_frozen_patch_embedding_gets_no_gradient() -> None:
    model = tiny(freeze_patch_embed=True)
    sum(m.sum() for m in model(torch.randn(1, 3, 32, 32))).backward()
    assert all(p.grad is None for p in model.patch_embed1.parameters())
    assert model.patch_embed2.proj.weight.grad is not None


def test_stochastic_depth_grows_from_zero_and_can_be_reset() -> None:
    model = build_backbone(dict(type='mit_b0'))
    blocks = [block for k in range(1, 5) for block in getattr(model, f'block{k}')]
    assert blocks[0].drop_path.drop_prob == 0
    assert blocks[-1].drop_path.drop_prob == pytest.approx(0.1)
    model.reset_drop_path(0.7)
    assert [b.drop_path.drop_prob for b in blocks] == pytest.approx([0.1 * i for i in range(8)])


def test_drop_path_keeps_or_drops_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    drop = DropPath(0.25)
    out = drop(torch.ones(4000, 3, 2))
    assert out.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert (out.amax((1, 2)) == out.amin((1, 2))).all()
    assert out.mean() == pytest.approx(1, abs=0.05)
    assert torch.equal(drop.eval()(out), out)


def test_evaluation_is_deterministic_and_training_is_not() -> None:
    model, img = tiny(drop_path_rate=0.9), torch.randn(4, 3, 32, 32)
    assert not torch.equal(model(img)[-1], model(img)[-1])
    model.eval()
    assert torch.equal(model(img)[-1], model(img)[-1])


@pytest.mark.parametrize('where', [None, 'state_dict', 'model'])
def test_pretrained_file_is_loaded_by_name(tmp_path: Path, where: str | None) -> None:
    source = tiny()
    state = {**source.state_dict(), 'head.weight': torch.zeros(10, 32), 'head.bias': torch.zeros(10)}
    torch.save({where: state} if where else state, tmp_path / 'mit.pth')
    model = tiny(pretrained=str(tmp_path / 'mit.pth'))
    model.init_weights()
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), source.state_dict().values()))


def test_missing_pretrained_file_says_where_it_belongs(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'(?s)mit_b9\.pth.*SegFormer.*pretrained/'):
        tiny(pretrained=str(tmp_path / 'mit_b9.pth')).init_weights()


def test_pretrained_file_of_another_network_is_refused(tmp_path: Path) -> None:
    state = tiny().state_dict()
    state['norm4.weight'] = torch.zeros(7)
    del state['norm1.bias']
    torch.save(state, tmp_path / 'mit.pth')
    with pytest.raises(CheckpointError, match=r'(?s)norm1\.bias.*norm4\.weight \(7,\) instead of \(32,\)'):
        tiny(pretrained=str(tmp_path / 'mit.pth')).init_weights()


def test_heads_that_cannot_share_the_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r'embed_dims=\[8, 8, 16, 16\] are no multiples of num_heads=\[3, 1, 2, 2\]'):
        MixVisionTransformer(embed_dims=(8, 8, 16, 16), num_heads=(3, 1, 2, 2))
