"""Weights that others published: names of other libraries, addresses, files that do not fit."""
from __future__ import annotations

import re
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from mmseg.checkpoint import pretrained
from mmseg.errors import CheckpointError
from mmseg.models import build_backbone
from mmseg.models.backbones.mit_keys import mit_keys
from tests.models import nets


def random_state(module: nn.Module) -> dict[str, Tensor]:
    """Another state dict of the same names and shapes."""
    return {k: torch.rand_like(v) if v.is_floating_point() else v + 7 for k, v in module.state_dict().items()}


def saved(path: Path, content: dict) -> str:
    torch.save(content, path)
    return str(path)


def check_loaded(cfg: dict, source: str, expected: dict[str, Tensor]) -> None:
    backbone = build_backbone({**cfg, 'pretrained': source})
    backbone.init_weights()
    assert all(torch.equal(v, expected[k]) for k, v in backbone.state_dict().items())


# Mix Transformers


def later_name(key: str) -> str:
    """The name of an entry in later mmsegmentation versions; those of queries, keys and values get a suffix."""
    stage = int(re.match(r'[a-z_]+(\d)', key)[1]) - 1
    rest = key.split('.', 1)[1]
    if key.startswith('patch_embed'):
        return f'layers.{stage}.0.{rest.replace("proj.", "projection.")}'
    if key.startswith('norm'):
        return f'layers.{stage}.2.{rest}'
    for old, new in (('attn.proj.', 'attn.attn.out_proj.'), ('attn.q.', 'attn.attn.in_proj_'),
                     ('attn.kv.', 'attn.attn.in_proj_'), ('mlp.fc1.', 'ffn.layers.0.'),
                     ('mlp.dwconv.dwconv.', 'ffn.layers.1.'), ('mlp.fc2.', 'ffn.layers.4.')):
        rest = rest.replace(old, new)
    return f'layers.{stage}.1.{rest}'


def to_later(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict as later mmsegmentation versions write it."""
    later: dict[str, Tensor] = {}
    for key, value in state.items():
        if 'mlp.fc' in key and key.endswith('weight'):
            value = value[:, :, None, None]
        name = later_name(key)
        later[name] = torch.cat([later[name], value]) if name in later else value  # queries, then keys and values
    return later


@pytest.mark.parametrize('cfg', [nets.backbone(), dict(type='mit_b0')], ids=['tiny', 'b0'])
def test_later_mit_names_come_back(cfg: dict) -> None:
    state = random_state(build_backbone(cfg))
    later = to_later(state)
    assert all(k.startswith('layers.') for k in later) and len(later) < len(state)
    back = mit_keys(later)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[k], v) for k, v in state.items())


def test_published_mit_names_stay() -> None:
    state = {**random_state(build_backbone(nets.backbone())), 'head.weight': torch.zeros(10, 32)}
    assert mit_keys(state) == state


@pytest.mark.parametrize('prefix', ['', 'backbone.', 'module.backbone.'])
def test_later_mit_files_are_loaded(tmp_path: Path, prefix: str) -> None:
    state = random_state(build_backbone(nets.backbone()))
    content = {prefix + k: v for k, v in to_later(state).items()}
    if prefix:
        content['decode_head.conv_seg.weight'] = torch.zeros(1)
    check_loaded(nets.backbone(), saved(tmp_path / 'mit.pth', dict(state_dict=content, meta={})), state)


def test_every_difference_of_a_later_mit_file_is_listed(tmp_path: Path) -> None:
    later = to_later(random_state(build_backbone(nets.backbone())))
    later['layers.0.1.0.attn.gamma'] = later.pop('layers.2.0.projection.bias')
    later['layers.3.2.weight'] = torch.zeros(5)
    words = r'(?s)mit\.pth.*patch_embed3\.proj\.bias.*norm4\.weight \(5,\) instead of \(32,\).*attn\.gamma'
    backbone = build_backbone(nets.backbone(pretrained=saved(tmp_path / 'mit.pth', later)))
    with pytest.raises(CheckpointError, match=words):
        backbone.init_weights()


# ResNets


def test_torchvision_file_is_loaded(tmp_path: Path) -> None:
    state = random_state(torchvision.models.resnet18())
    check_loaded(dict(type='ResNet', depth=18), saved(tmp_path / 'resnet18.pth', state), state)


def test_timm_file_with_deep_stem_is_loaded(tmp_path: Path) -> None:
    state = random_state(timm.create_model('resnet50d'))
    expected = dict(state)
    for theirs, ours in (('conv1.', 'stem.'), ('bn1.', 'stem.7.')):
        expected.update({ours + k.removeprefix(theirs): v for k, v in state.items() if k.startswith(theirs)})
    check_loaded(dict(type='ResNetV1d', depth=50), saved(tmp_path / 'resnet50d.pth', state), expected)


def test_open_mmlab_file_with_classifier_is_loaded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cfg = dict(type='ResNetV1c', depth=18)
    state = random_state(build_backbone(cfg))
    content = {**state, 'fc.weight': torch.zeros(1000, 512), 'fc.bias': torch.zeros(1000)}
    check_loaded(cfg, saved(tmp_path / 'resnet18_v1c.pth', dict(state_dict=content)), state)
    assert 'fc.' not in caplog.text  # a classifier is no surprise


def test_other_stem_is_listed(tmp_path: Path) -> None:
    path = saved(tmp_path / 'resnet18.pth', torchvision.models.resnet18().state_dict())
    backbone = build_backbone(dict(type='ResNetV1c', depth=18, pretrained=path))
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    with pytest.raises(CheckpointError, match=r'(?s)resnet18\.pth.*V1c.*missing: stem\.0\.weight.*unknown: conv1'):
        backbone.init_weights()
    assert all(torch.equal(v, before[k]) for k, v in backbone.state_dict().items())


# names and addresses


@pytest.fixture()
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the open-mmlab server; the working directory is empty."""
    (tmp_path / 'server').mkdir()
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    monkeypatch.setattr(pretrained, 'OPEN_MMLAB', (tmp_path / 'server').as_uri() + '/')
    return tmp_path / 'server'


FILE = 'resnet50_v1c-2cccc1ad.pth'
NAMED = dict(type='ResNetV1c', depth=50, stem_channels=8, base_channels=8)


def test_named_weights_are_fetched_once(server: Path) -> None:
    state = random_state(build_backbone(NAMED))
    saved(server / FILE, state)
    check_loaded(NAMED, 'open-mmlab://resnet50_v1c', state)
    (server / FILE).unlink()
    check_loaded(NAMED, 'open-mmlab://resnet50_v1c', state)
    check_loaded(NAMED, f'https://elsewhere.example/{FILE}', state)
    assert [path.name for path in Path('pretrained').iterdir()] == [FILE]


def test_unreachable_address_says_what_to_put_where(server: Path) -> None:
    with pytest.raises(FileNotFoundError, match=rf'(?s)open-mmlab://resnet50_v1c: .*{server.as_uri()}/{FILE}.*'
                                                rf'put it at pretrained/{FILE}'):
        build_backbone({**NAMED, 'pretrained': 'open-mmlab://resnet50_v1c'}).init_weights()
    assert not list(Path('pretrained').iterdir())


@pytest.mark.parametrize('content, words', [
    (b'<!DOCTYPE html><p>Log in</p>', 'web page'),
    (b'PK\x03\x04 torn', 'damaged'),
])
def test_useless_download_is_not_kept(server: Path, content: bytes, words: str) -> None:
    (server / FILE).write_bytes(content)
    with pytest.raises(CheckpointError, match=rf'(?s)open-mmlab://resnet50_v1c: .*{words}.*pretrained/{FILE}'):
        build_backbone({**NAMED, 'pretrained': 'open-mmlab://resnet50_v1c'}).init_weights()
    assert not list(Path('pretrained').iterdir())


@pytest.mark.parametrize('name, file', [
    ('open-mmlab://resnet101_v1c', 'third_party/resnet101_v1c-e67eebb6.pth'),
    ('open-mmlab://resnext101_32x4d', 'third_party/resnext101_32x4d-a5af3160.pth'),
    ('open-mmlab://resnest200', 'third_party/resnest200_d2-ca88e41f.pth'),
    ('torchvision://resnet50', 'resnet50-0676ba61.pth'),
    ('https://example.org/a/b.pth', 'https://example.org/a/b.pth'),
])
def test_addresses(name: str, file: str) -> None:
    address = pretrained.address(name)
    assert address.startswith('https://') and address.endswith(file)


@pytest.mark.parametrize('name, words', [
    ('open-mmlab://resnet51_v1c', 'resnet50_v1c, resnet101_v1c'),
    ('torchvision://vgg5', 'resnet18'),
    ('s3://bucket/file.pth', 'open-mmlab://.*torchvision://.*https://'),
])
def test_unknown_names_list_the_known_ones(name: str, words: str) -> None:
    with pytest.raises(CheckpointError, match=f'(?s){re.escape(name)}.*{words}'):
        pretrained.address(name)
