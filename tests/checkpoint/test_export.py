"""Small files made of training checkpoints, and the training checkpoints of all methods as a start."""
from __future__ import annotations

import builtins
import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mmseg.apis import init_segmentor, load_config
from mmseg.checkpoint import export
from mmseg.checkpoint.file import read_checkpoint
from mmseg.checkpoint.networks import load_segmentor
from mmseg.errors import CheckpointError, command
from mmseg.models import build_segmentor
from tests.engine.tiny import tiny_config
from tests.models import nets
from tests.parity import golden, model_zoo
from tests.tiny import TinyRun, make_tiny_run
from tools import convert_checkpoint, publish_model, train
from tools import test as test_cli

CLASSES, PALETTE = ['road', 'sky', 'car', 'tree', 'sign'], [[i, 2 * i, 3 * i] for i in range(5)]
META = dict(CLASSES=CLASSES, PALETTE=PALETTE, config='model = dict()\n', iter=7, env_info='of this machine',
            schema_version=1, hook_msgs={})


def under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in state.items()}


def random_state(model: torch.nn.Module, seed: int) -> dict[str, Tensor]:
    """Other weights for a model, all floating-point entries drawn anew."""
    generator = torch.Generator().manual_seed(seed)
    return {k: torch.rand(v.shape, generator=generator) if v.is_floating_point() else v.clone()
            for k, v in model.state_dict().items()}


def with_helpers(student: dict[str, Tensor], teacher: dict[str, Tensor]) -> dict[str, Tensor]:
    """What the methods leave in one state dict: further networks, objectives of any name."""
    zeros = {key: torch.zeros_like(value) for key, value in student.items()}
    return {
        **under('model.', student), **under('ema_model.', teacher), **under('imnet_model.', zeros),
        **under('mic.teacher.ema_model.', zeros), 'instance_bank.features': torch.zeros(2, 3),
        'rebuilder.decode_head.weight': torch.zeros(4), 'model_D.main.conv1.weight': torch.zeros(1)
    }


@pytest.fixture(scope='module')
def states() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    return random_state(nets.segmentor(), 1), random_state(nets.segmentor(), 2)


@pytest.fixture
def training(tmp_path: Path, states: tuple[dict[str, Tensor], ...]) -> Path:
    """A checkpoint with everything in it."""
    path = tmp_path / 'iter_7.pth'
    torch.save(dict(meta=META, state_dict=with_helpers(*states), optimizer=dict(state=torch.zeros(10**5))), path)
    return path


# small files


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('network', ['student', 'teacher'])
def test_a_small_file_holds_one_network_and_what_it_is(training: Path, tmp_path: Path, suffix: str, network: str,
                                                       states: tuple[dict[str, Tensor], ...]) -> None:
    out = tmp_path / 'new' / f'small{suffix}'
    convert_checkpoint.main([str(training), str(out), '--network', network])
    content = read_checkpoint(out)
    expected = states[network == 'teacher']
    assert content['state_dict'].keys() == expected.keys() and set(content) == {'meta', 'state_dict'}
    assert all(torch.equal(content['state_dict'][key], value) for key, value in expected.items())
    meta = content['meta']
    assert (meta['CLASSES'], meta['PALETTE'], meta['config']) == (CLASSES, PALETTE, META['config'])
    assert meta['network'] == network and 'env_info' not in meta
    assert out.stat().st_size < training.stat().st_size / 3
    model = nets.segmentor()
    assert load_segmentor(model, out)['CLASSES'] == CLASSES
    assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())


def test_a_slice_of_a_larger_tensor_does_not_carry_it_along(tmp_path: Path) -> None:
    big = torch.arange(10**6, dtype=torch.float32)
    classifier = {f'decode_head.conv_seg.{name}': torch.zeros(2) for name in ('weight', 'bias')}
    torch.save({'backbone.a': big[:3], 'backbone.b': big.view(10, -1).t()[:2], **classifier}, tmp_path / 'a.pth')
    for name in ('b.pth', 'b.safetensors'):
        export.convert(tmp_path / 'a.pth', tmp_path / name)
        assert (tmp_path / name).stat().st_size < 10**4
        assert read_checkpoint(tmp_path / name)['state_dict']['backbone.b'].shape == (2, 10)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_publishing_names_the_file_after_its_content(training: Path, tmp_path: Path, suffix: str) -> None:
    path = publish_model.main([str(training), str(tmp_path / f'mine{suffix}')])
    assert path.name == f'mine-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}{suffix}'
    content = read_checkpoint(path)
    assert not [key for key in content['state_dict'] if not key.startswith(('backbone.', 'decode_head.'))]
    assert content['meta']['CLASSES'] == CLASSES and 'optimizer' not in content
    assert sorted(file.name for file in tmp_path.iterdir()) == ['iter_7.pth', path.name]


def test_what_can_go_wrong_is_said_and_changes_nothing(training: Path, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    before = training.read_bytes()
    (tmp_path / 'latest.pth').symlink_to(training.name)
    with pytest.raises(CheckpointError, match='is the checkpoint itself.*another name'):
        export.convert(tmp_path / 'latest.pth', training)
    with pytest.raises(CheckpointError, match=r'small\.onnx.*\.pth or \.safetensors'):
        export.convert(training, tmp_path / 'small.onnx')
    with pytest.raises(CheckpointError, match=r"iter_7\.pth.*no network 'absent'.*it has student, teacher"):
        export.convert(training, tmp_path / 'small.pth', 'absent')
    (tmp_path / 'file').touch()
    with pytest.raises(CheckpointError, match=r'small\.pth could not be written'):
        export.convert(training, tmp_path / 'file' / 'small.pth')

    def full_disk(*_: object) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(torch, 'save', full_disk)
    with pytest.raises(CheckpointError, match=r'small\.pth could not be written.*No space.*make room'):
        export.convert(training, tmp_path / 'small.pth')
    assert training.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ['file', 'iter_7.pth', 'latest.pth']


def test_without_safetensors_a_message_says_what_to_install(training: Path, tmp_path: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'a.safetensors'
    export.convert(training, path)
    real = builtins.__import__

    def absent(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith('safetensors'):
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', absent)
    with pytest.raises(CheckpointError, match=r'a\.safetensors.*pip install safetensors'):
        read_checkpoint(path)
    with pytest.raises(CheckpointError, match=r'b\.safetensors.*pip install safetensors'):
        export.convert(training, tmp_path / 'b.safetensors')
    assert sorted(file.name for file in tmp_path.iterdir()) == ['a.safetensors', 'iter_7.pth']


def test_a_damaged_safetensors_file_is_refused(training: Path, tmp_path: Path) -> None:
    path = tmp_path / 'a.safetensors'
    export.convert(training, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r'a\.safetensors.*damaged'):
        read_checkpoint(path)


@pytest.fixture(scope='module')
def run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    return make_tiny_run(tmp_path_factory.mktemp('tiny'), teacher=True)


def test_small_files_test_like_the_checkpoint(run: TinyRun, tmp_path: Path) -> None:
    def score(*arguments: object) -> dict[str, float]:
        return test_cli.main([str(run.config), *map(str, arguments), '--eval', 'mIoU', '--device', 'cpu'])

    for network in ('student', 'teacher'):
        small = tmp_path / f'{network}.safetensors'
        export.convert(run.checkpoint, small, network)
        assert score(small) == score(run.checkpoint, '--network', network)
        loaded, original = (init_segmentor(str(run.config), str(path), 'cpu', which).state_dict()
                            for path, which in ((small, 'student'), (run.checkpoint, network)))
        assert all(torch.equal(value, original[key]) for key, value in loaded.items())


# checkpoints of the originals, by the names that were recorded of them

RECORDED = {
    'DAFormer': ('dacs_a999_fdthings_daformer_mitb0', ['model', 'ema_model', 'imnet_model']),
    'HRDA': ('dacs_a999_fdthings_hrda_mitb0', ['model', 'ema_model', 'imnet_model']),
    'MIC on HRDA': ('mic_dacs_a999_fdthings_hrda_mitb0', ['model', 'ema_model']),
    'MIC with a teacher of its own': ('mic_dacs_a999_fdthings_daformer_mitb0_ownteacher',
                                      ['model', 'ema_model', 'mic.teacher.ema_model']),
    'MIC, labelled images only': ('mic_srconly_daformer_mitb0', ['model']),
}
DIDA = {'bank.features': (19, 2, 256), 'projection.0.weight': (256, 512, 1, 1), 'ema_projection.0.weight': (256, 512)}


@pytest.mark.parametrize('method', [*RECORDED, 'DIDA'])
def test_training_checkpoints_of_the_originals_load(method: str, tmp_path: Path) -> None:
    name, networks = RECORDED['DAFormer' if method == 'DIDA' else method]
    keys = golden.read_json(f'keys_{name}.json')['keys'] + list((DIDA if method == 'DIDA' else {}).items())
    generator = torch.Generator().manual_seed(0)
    state = {key: torch.rand(list(shape), generator=generator) for key, shape in keys}
    path = tmp_path / 'latest.pth'
    torch.save(dict(meta=dict(iter=40000, mmcv_version='1.3.7'), state_dict=state, optimizer=dict(state={})), path)
    uda = model_zoo.UDA.fullmatch(name)
    model = build_segmentor({**model_zoo.segmentor_config(uda['model']), 'pretrained': None})
    for network in networks:
        load_segmentor(model, path, network)
        for key, value in model.state_dict().items():
            assert torch.equal(value, state[f'{network}.{key}'].to(value.dtype)), (network, key)


HRDA = dict(
    type='HRDAEncoderDecoder', scales=[1, 2], feature_scale=1,
    decode_head={**nets.head(3), 'type': 'HRDAHead', 'single_scale_head': 'DAFormerHead', 'attention_embed_dim': 8,
                 'in_channels': [8, 8, 16, 16], 'hr_loss_weight': 0.1})


@pytest.mark.parametrize('model_cfg', [{}, HRDA], ids=['SegFormer', 'HRDA'])
@pytest.mark.parametrize('uda', [None, dict(type='DACS')], ids=['supervised', 'DACS'])
def test_training_starts_from_checkpoints_of_all_methods(tmp_path: Path, images: Path, model_cfg: dict[str, Any],
                                                         uda: dict[str, Any] | None) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 1, uda=uda, model=model_cfg, optimizer=dict(lr=1e-30),
                      data=dict(samples_per_gpu=2))
    student = random_state(build_segmentor(load_config(cfg.filename).model), 1)
    torch.save(dict(meta={}, state_dict=with_helpers(student, random_state(build_segmentor(cfg.model), 2))),
               tmp_path / 'theirs.pth')
    train.main([cfg.filename, '--load-from', str(tmp_path / 'theirs.pth')])
    trained = read_checkpoint(tmp_path / 'run' / 'latest.pth')['state_dict']
    for key, value in student.items():
        if 'running' not in key and 'num_batches' not in key:
            found = trained[key if uda is None else f'model.{key}']
            torch.testing.assert_close(found, value, atol=1e-20, rtol=1e-6)
            if uda is not None:  # the teacher of the first iteration is the student, as always
                assert torch.equal(trained[f'ema_model.{key}'], value)


@pytest.mark.parametrize('name', ['decode_head.conv_seg.weight', 'decode_head.conv_seg.bias'])
def test_a_network_without_its_classifier_is_refused(tmp_path, states, name, capsys) -> None:
    state = {key: value for key, value in states[0].items() if key != name}
    torch.save(dict(state_dict=under('model.', state)), tmp_path / 'a.pth')
    for tool in (convert_checkpoint, publish_model):
        with pytest.raises(SystemExit) as end:
            command(lambda tool=tool: tool.main([str(tmp_path / 'a.pth'), str(tmp_path / 'small.pth')]))
        assert f'a.pth: its network has no {name}, so it classifies nothing' in str(end.value.code)
    assert not list(tmp_path.glob('small*'))
