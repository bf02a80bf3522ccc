"""TIMMBackbone: standard tests on tiny networks, heads on top of it, weights from files and from the hub."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mmseg.apis import load_config
from mmseg.errors import CheckpointError, ConfigError
from mmseg.models import build_backbone, build_segmentor
from tests.models import nets
from tests.models.base_backbone import BackboneTests, images


class TestResNet(BackboneTests):
    cfg = dict(type='TIMMBackbone', model_name='test_resnet')
    channels = (32, 48, 192, 96)


class TestConvNeXt(BackboneTests):
    cfg = dict(type='TIMMBackbone', model_name='test_convnext')
    channels = (24, 32, 48, 64)


class TestEfficientNet(BackboneTests):
    cfg = dict(type='TIMMBackbone', model_name='test_efficientnet')
    channels = (24, 32, 48, 64)


class TestSwin(BackboneTests):
    """Features in the order NHWC; windows."""
    cfg = dict(type='TIMMBackbone', model_name='swin_tiny_patch4_window7_224', embed_dim=12, depths=(1, 1, 2, 1),
               drop_path_rate=0.)
    channels = (12, 24, 48, 96)


class TestViT(BackboneTests):
    cfg = dict(type='TIMMBackbone', model_name='test_vit')
    channels = (16, 32, 64, 64)


class TestViTWithFourBlocks(BackboneTests):
    cfg = dict(type='TIMMBackbone', model_name='test_vit', out_indices=(0, 1, 3, 5))
    channels = (16, 32, 64, 64)


class TestDINOv2(BackboneTests):
    """Patches of 14 pixels."""
    cfg = dict(type='TIMMBackbone', model_name='vit_small_patch14_dinov2', embed_dim=48, depth=3, num_heads=3)
    channels = (12, 24, 48, 48)


class TestDINOv3(BackboneTests):
    """Rotary positions and register tokens."""
    cfg = dict(type='TIMMBackbone', model_name='vit_small_patch16_dinov3', embed_dim=48, depth=3, num_heads=3)
    channels = (12, 24, 48, 48)


@pytest.mark.parametrize('name', ['test_resnet', 'test_vit'])
def test_maps_are_those_of_timm(name: str) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(dict(type='TIMMBackbone', model_name=name)).eval()
    img = images(64, 96)
    expected = backbone.timm_model(img.contiguous(memory_format=torch.channels_last))  # the layout it takes on the CPU
    if backbone.pyramid is None:
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(backbone(img), expected[-4:], strict=True))
    else:  # stride 16 is the last block's map, normalised per token
        tokens = expected[-1].permute(0, 2, 3, 1)
        tokens = nn.functional.layer_norm(tokens, tokens.shape[-1:], eps=1e-6)
        torch.testing.assert_close(backbone(img)[2], tokens.permute(0, 3, 1, 2))


def test_padding_is_outside_of_what_a_hierarchical_network_is_asked_for() -> None:
    """The map of an odd image is the one of the image with zeros at its right and bottom."""
    backbone = build_backbone(TestConvNeXt.cfg).eval()
    img, padded = images(65, 97), torch.zeros(2, 3, 96, 128)
    padded[..., :65, :97] = img
    for mine, expected in zip(backbone(img), backbone(padded)):
        torch.testing.assert_close(mine, expected[..., :mine.shape[2], :mine.shape[3]])


HEADS = {
    'DAFormerHead': nets.head(),
    'SegFormerHead': dict(type='SegFormerHead', decoder_params=dict(embed_dim=16, conv_kernel_size=1)),
    'UPerHead': dict(type='UPerHead', pool_scales=(1, 2), norm_cfg=nets.BN),
}


def segmentor(head: str, **changes: Any) -> nn.Module:
    """A tiny segmentor on the tiny ViT."""
    common = dict(in_channels=[16, 32, 64, 64], in_index=[0, 1, 2, 3], channels=16, num_classes=5)
    return build_segmentor(dict(type='EncoderDecoder', backbone=TestViT.cfg, decode_head={**HEADS[head], **common},
                                **changes))


@pytest.mark.parametrize('head', HEADS)
def test_heads_sit_on_a_plain_vit(head: str) -> None:
    model, img = segmentor(head), images(64, 97)
    losses = model.loss(img, torch.zeros(2, 64, 97, dtype=torch.int64))
    losses['decode.loss_seg'].backward()
    assert model.backbone.timm_model.model.patch_embed.proj.weight.grad.any()
    assert model.encode_decode(img).shape == (2, 5, 64, 97)


def test_the_example_of_the_guide_is_a_valid_config(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    [example] = re.findall(r'^```python\n(.*?)^```', (root / 'docs/how-to/encoders.md').read_text(), re.M | re.S)
    (tmp_path / 'mine').mkdir()
    for name in ('_base_', 'daformer'):
        (tmp_path / name).symlink_to(root / 'configs' / name)
    (tmp_path / 'mine' / 'example.py').write_text(example)
    model = load_config(tmp_path / 'mine' / 'example.py').model
    with torch.device('meta'):
        backbone = build_backbone(model.backbone)
    assert backbone.channels == model.decode_head.in_channels
    assert backbone.pretrained is True and model.pretrained is None


# weights


def saved(path: Path, state: dict[str, Tensor]) -> str:
    if path.suffix == '.safetensors':
        save_file(state, path)
    else:
        torch.save(state, path)
    return str(path)


def loaded(path: str, name: str, **changes: Any) -> dict[str, Tensor]:
    """The state dict of timm's part of a backbone after loading."""
    backbone = build_backbone(dict(type='TIMMBackbone', model_name=name, checkpoint_path=path, **changes))
    backbone.init_weights()
    return backbone.timm_model.state_dict()


@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
@pytest.mark.parametrize('num_classes', [1000, 7, 0])
@pytest.mark.parametrize('name', ['test_resnet', 'test_vit', 'test_efficientnet'])
def test_file_of_the_whole_network_is_loaded(tmp_path: Path, name: str, num_classes: int, suffix: str) -> None:
    whole = timm.create_model(name, num_classes=num_classes).state_dict()
    state = loaded(saved(tmp_path / f'weights.{suffix}', whole), name)
    originals = {(tuple(v.shape), float(v.double().sum())) for v in whole.values()}
    assert all((tuple(v.shape), float(v.double().sum())) in originals for v in state.values())


def test_pretrained_takes_a_path_like_checkpoint_path(tmp_path: Path) -> None:
    path = saved(tmp_path / 'weights.pth', timm.create_model('test_vit').state_dict())
    model = segmentor('SegFormerHead', pretrained=path)
    model.init_weights()
    assert torch.equal(model.backbone.timm_model.state_dict()['model.cls_token'], torch.load(path)['cls_token'])


def test_other_number_of_image_channels_is_adapted(tmp_path: Path) -> None:
    whole = timm.create_model('test_vit').state_dict()
    state = loaded(saved(tmp_path / 'weights.pth', whole), 'test_vit', in_channels=1)
    torch.testing.assert_close(state['model.patch_embed.proj.weight'], whole['patch_embed.proj.weight'].sum(1, True))


@pytest.mark.parametrize('name, lost', [
    ('test_vit', 'blocks.0.mlp.fc1.weight'),
    ('test_efficientnet', 'blocks.0.0.bn1.weight'),
])
def test_what_does_not_match_is_listed(tmp_path: Path, name: str, lost: str) -> None:
    state = timm.create_model(name).state_dict()
    value = state.pop(lost)
    state['stranger.weight'] = value
    path = saved(tmp_path / 'weights.pth', state)
    with pytest.raises(CheckpointError, match=rf'(?s)weights\.pth.*{name}.*{lost}.*stranger\.weight'):
        loaded(path, name)
    with pytest.raises(FileNotFoundError, match=r'absent\.pth'):
        loaded(str(tmp_path / 'absent.pth'), name)


def test_hub_that_cannot_be_reached_is_one_clear_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path))
    backbone = build_backbone(dict(type='TIMMBackbone', model_name='test_vit', pretrained=True))
    with pytest.raises(FileNotFoundError, match=r'(?s)model test_vit.*huggingface\.co/timm/test_vit.*checkpoint_path='):
        backbone.init_weights()


def test_network_without_published_weights_is_named() -> None:
    name = next(name for name in timm.list_models('vit_*') if not timm.is_model_pretrained(name))
    with pytest.raises(ValueError, match=f'no weights for {name}'):
        build_backbone(dict(type='TIMMBackbone', model_name=name, pretrained=True))


@pytest.mark.parametrize('cfg, words', [
    (dict(model_name='resnet51'), 'no model .resnet51., did you mean .*resnet50'),
    (dict(model_name='test_vit', out_indices=(0, 1)), 'plain ViT.*four blocks, not 2'),
    (dict(model_name='test_vit', features_only=False), 'features_only'),
    (dict(model_name='test_vit', pretrained='a', init_cfg=dict(type='Pretrained', checkpoint='b')), 'one of them'),
])
def test_wrong_options_are_named(cfg: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build_backbone(dict(type='TIMMBackbone', **cfg))


def test_unknown_arguments_of_the_network_are_named() -> None:
    with pytest.raises(TypeError, match='dorp_path_rate'):
        build_backbone(dict(type='TIMMBackbone', model_name='test_vit', dorp_path_rate=0.1))


@pytest.mark.parametrize('name', ['embed_dim', 'act_layerz'])
def test_arguments_that_the_network_does_not_take_are_refused_with_the_config(name: str) -> None:
    config = Path('configs', 'streets', 'daformer.py')
    with pytest.raises(ConfigError, match=re.escape(f"model.backbone.{name}: '{name}' is not known")):
        load_config(config, {f'model.backbone.{name}': 3})
    load_config(config, {'model.backbone.stem_size': 16})
