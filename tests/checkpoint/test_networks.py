"""Reading checkpoints: whose weights, and nothing that could run code."""
from __future__ import annotations

import argparse
import importlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from torch import nn

from mmseg.checkpoint.file import read_checkpoint
from mmseg.checkpoint.names import add_network_option
from mmseg.checkpoint.networks import load_segmentor, segmentor_state
from mmseg.errors import CheckpointError
from mmseg.models import build_segmentor
from mmseg.models.outline import classifier_entries, outline
from tests.checkpoint.test_pretrained import to_later
from tests.models import nets


@pytest.fixture(scope='module')
def student() -> nn.Module:
    torch.manual_seed(1)
    return nets.segmentor()


@pytest.fixture(scope='module')
def teacher() -> nn.Module:
    torch.manual_seed(2)
    return nets.segmentor()


def with_prefix(prefix: str, model: nn.Module) -> dict[str, torch.Tensor]:
    return {prefix + k: v for k, v in model.state_dict().items()}


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values()))


@pytest.mark.parametrize('prefix', ['', 'model.', 'module.', 'module.model.', 'model.module.'])
def test_the_student_is_found_under_every_prefix(tmp_path: Path, student: nn.Module, prefix: str) -> None:
    torch.save({'state_dict': with_prefix(prefix, student)}, tmp_path / 'a.pth')
    model = nets.segmentor()
    assert load_segmentor(model, tmp_path / 'a.pth') == {}  # no meta, so no CLASSES
    assert same(model, student)


@pytest.mark.parametrize('network, prefix', [('teacher', 'ema_model'), ('ema_model', 'ema_model'),
                                             ('imnet_model', 'imnet_model'),
                                             ('mic.teacher.ema_model', 'mic.teacher.ema_model')])
def test_networks_of_a_uda_run_are_told_apart(tmp_path: Path, student: nn.Module, teacher: nn.Module, network: str,
                                              prefix: str) -> None:
    state = {**with_prefix('model.', student), **with_prefix(f'{prefix}.', teacher)}
    torch.save({'state_dict': state, 'meta': {'CLASSES': tuple('abcde')}}, tmp_path / 'a.pth')
    model = nets.segmentor()
    assert load_segmentor(model, tmp_path / 'a.pth')['CLASSES'] == list('abcde')
    assert same(model, student)
    load_segmentor(model, tmp_path / 'a.pth', network)
    assert same(model, teacher)
    for name in ('student', 'model'):
        load_segmentor(model, tmp_path / 'a.pth', name)
        assert same(model, student)


def test_commands_call_the_networks_student_and_teacher_and_know_older_words(capsys: pytest.CaptureFixture) -> None:
    parser = argparse.ArgumentParser()
    add_network_option(parser)
    for network, older in (('student', 'model'), ('teacher', 'ema_model')):
        for option in ('--network', '--model'):
            assert {parser.parse_args([option, name]).network for name in (network, older)} == {network}
    assert parser.parse_args([]).network == 'student'
    for option in ('--network', '--model'):
        with pytest.raises(SystemExit):
            parser.parse_args([option, 'techer'])
        assert "invalid choice: 'techer'" in capsys.readouterr().err
    assert '--model' not in parser.format_help() and 'ema_model' not in parser.format_help()


@pytest.mark.parametrize('tool', ['test', 'predict', 'export_onnx', 'convert_checkpoint', 'publish_model',
                                  'browse_dataset'])
def test_each_command_that_reads_a_checkpoint_has_the_option(tool: str, capsys: pytest.CaptureFixture) -> None:
    for option in ('--network', '--model'):
        with pytest.raises(SystemExit):
            importlib.import_module(f'tools.{tool}').main([option, 'techer'])
        assert f"argument {option}: invalid choice: 'techer'" in capsys.readouterr().err


def test_bare_state_dict(tmp_path: Path, student: nn.Module) -> None:
    torch.save(student.state_dict(), tmp_path / 'a.pth')
    model = nets.segmentor()
    load_segmentor(model, tmp_path / 'a.pth')
    assert same(model, student)


def test_absent_teacher_is_named_and_so_is_what_there_is(student: nn.Module) -> None:
    with pytest.raises(CheckpointError, match=r"no network 'teacher'.*it has student"):
        segmentor_state({'state_dict': with_prefix('model.', student)}, 'teacher')
    with pytest.raises(CheckpointError, match='no segmentor.*conv1'):
        segmentor_state({'state_dict': {'conv1.weight': torch.zeros(1)}})


def test_checkpoint_of_another_model_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    torch.save({'state_dict': nets.segmentor(decode_head=nets.head(num_classes=7)).state_dict()}, tmp_path / 'a.pth')
    model = nets.segmentor()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    shapes = r'conv_seg\.weight \(7, 16, 1, 1\) instead of \(5, 16, 1, 1\)'
    with pytest.raises(CheckpointError, match=rf'a\.pth.*another model.*{shapes}'):
        load_segmentor(model, tmp_path / 'a.pth')
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_missing_parameters_are_refused_but_not_missing_counters(tmp_path: Path, student: nn.Module) -> None:
    state = {k: v for k, v in student.state_dict().items() if not k.endswith('num_batches_tracked')}
    torch.save({'state_dict': state}, tmp_path / 'a.pth')
    load_segmentor(nets.segmentor(), tmp_path / 'a.pth')
    state['backbone.extra.weight'] = state.pop('backbone.norm1.weight')
    torch.save({'state_dict': state}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=r'missing: backbone\.norm1\.weight.*unknown: backbone\.extra\.weight'):
        load_segmentor(nets.segmentor(), tmp_path / 'a.pth')


def test_superfluous_entries_are_named_and_ignored(tmp_path: Path, student: nn.Module,
                                                   caplog: pytest.LogCaptureFixture) -> None:
    state = {**student.state_dict(), 'auxiliary_head.conv.weight': torch.zeros(1)}
    torch.save({'state_dict': state}, tmp_path / 'a.pth')
    model = nets.segmentor()
    load_segmentor(model, tmp_path / 'a.pth')
    assert same(model, student)
    assert 'auxiliary_head.conv.weight' in caplog.text


# class names and colours

RANDOM = np.random.RandomState(0).randint(0, 255, size=(5, 3))


@pytest.mark.parametrize(('key', 'value', 'expected'), [
    ('PALETTE', RANDOM, RANDOM.tolist()),
    ('PALETTE', RANDOM.astype(np.float32), RANDOM.tolist()),
    ('PALETTE', torch.as_tensor(RANDOM), RANDOM.tolist()),
    ('PALETTE', [tuple(colour) for colour in RANDOM], RANDOM.tolist()),
    ('CLASSES', np.array(list('abcde')), list('abcde')),
    ('CLASSES', list('abcde'), list('abcde')),
])
def test_names_and_colours_in_arrays_are_read(tmp_path: Path, student: nn.Module, key: str, value: object,
                                              expected: list) -> None:
    torch.save({'state_dict': student.state_dict(), 'meta': {key: value}}, tmp_path / 'a.pth')
    assert load_segmentor(nets.segmentor(), tmp_path / 'a.pth')[key] == expected


@pytest.mark.parametrize('key, value', [
    ('PALETTE', RANDOM[:3]), ('PALETTE', RANDOM.T), ('PALETTE', RANDOM / 255), ('PALETTE', RANDOM + 100),
    ('PALETTE', [[1, 2, 3], [4, 5]]), ('PALETTE', 'random'), ('PALETTE', {0: [1, 2, 3]}), ('PALETTE', [None] * 5),
    ('PALETTE', np.full((5, 3), np.nan)), ('PALETTE', 7), ('CLASSES', ['road', 'car']), ('CLASSES', 'abcde'),
    ('CLASSES', range(5)), ('CLASSES', list(range(5))), ('CLASSES', {0: 'road'}), ('CLASSES', np.arange(5)),
])
def test_names_and_colours_that_do_not_fit_are_left_out_with_a_warning(
        tmp_path: Path, student: nn.Module, caplog: pytest.LogCaptureFixture, key: str, value: object) -> None:
    meta = {key: list(value) if isinstance(value, range) else value, 'iter': 7}
    torch.save({'state_dict': student.state_dict(), 'meta': meta}, tmp_path / 'a.pth')
    model = nets.segmentor()
    assert load_segmentor(model, tmp_path / 'a.pth') == {'iter': 7} and same(model, student)
    assert f'a.pth: its {key} is left out' in caplog.text and '5' in caplog.text


@pytest.mark.parametrize('meta', [None, [1], 'text', {'dataset_meta': None}])
def test_any_meta_loads(tmp_path: Path, student: nn.Module, meta: object) -> None:
    torch.save({'state_dict': student.state_dict(), 'meta': meta}, tmp_path / 'a.pth')
    assert 'CLASSES' not in load_segmentor(nets.segmentor(), tmp_path / 'a.pth')


def test_load_classes_falls_back_on_data_set_numbers_and_drawn_colours() -> None:
    from mmseg.apis.inference import load_classes
    model, dataset = nets.segmentor(), SimpleNamespace(CLASSES=list('vwxyz'), PALETTE=np.zeros((4, 3)))
    load_classes(model, {'CLASSES': ['a'], 'PALETTE': RANDOM}, dataset)
    assert model.CLASSES == list('vwxyz') and model.PALETTE is RANDOM
    load_classes(model, {}, None)
    assert model.CLASSES == tuple('01234') and len(model.PALETTE) == 5
    load_classes(model, {}, dataset)
    assert model.CLASSES == list('vwxyz') and len(model.PALETTE) == 5


# checkpoints of other programs


def later_segmentor(model: nn.Module) -> dict[str, torch.Tensor]:
    """The weights of a segmentor with the encoder's names of later mmsegmentation versions."""
    encoder = to_later(model.backbone.state_dict())
    heads = {k: v for k, v in model.state_dict().items() if not k.startswith('backbone.')}
    return {**{f'backbone.{k}': v for k, v in encoder.items()}, **heads}


@pytest.mark.parametrize('prefix', ['', 'model.', 'module.'])
def test_later_names_of_mix_transformers_are_read(tmp_path: Path, student: nn.Module, prefix: str) -> None:
    state = {prefix + k: v for k, v in later_segmentor(student).items()}
    assert f'{prefix}backbone.layers.0.0.projection.weight' in state
    torch.save({'state_dict': state}, tmp_path / 'a.pth')
    model = nets.segmentor()
    load_segmentor(model, tmp_path / 'a.pth')
    assert same(model, student)


def test_checkpoints_of_mmengine_are_read(tmp_path: Path, student: nn.Module) -> None:
    hub = MessageHub.get_instance('test_checkpoint')
    hub.update_scalar('train/loss', 1.)
    meta = dict(iter=3, dataset_meta=dict(classes=tuple('abcde'), palette=RANDOM.tolist()))
    torch.save(dict(state_dict=later_segmentor(student), meta=meta, message_hub=hub.state_dict()), tmp_path / 'a.pth')
    model = nets.segmentor()
    found = load_segmentor(model, tmp_path / 'a.pth')
    assert same(model, student)
    assert (found['CLASSES'], found['PALETTE'], found['iter']) == (list('abcde'), RANDOM.tolist(), 3)


@pytest.mark.parametrize('state', [[1, 2], None, 'text'])
def test_a_state_dict_that_is_none(tmp_path: Path, state: object) -> None:
    torch.save({'state_dict': state}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=r'a\.pth: its state_dict is a \w+, not a dict'):
        load_segmentor(nets.segmentor(), tmp_path / 'a.pth')


def test_the_refusal_says_if_only_the_head_differs(tmp_path: Path, student: nn.Module) -> None:
    state = later_segmentor(student)
    state = {k: v for k, v in state.items() if not k.startswith('decode_head.') or 'conv_seg' in k}
    torch.save({'state_dict': state}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=r'Only the head differs: choose .* model\.pretrained=.*a\.pth'):
        load_segmentor(nets.segmentor(), tmp_path / 'a.pth')
    for i, channels in enumerate((8, 16, 24, 32)):
        state[f'decode_head.convs.{i}.conv.weight'] = torch.zeros(16, channels, 1, 1)
    state['decode_head.fusion_conv.conv.weight'] = torch.zeros(16, 64, 1, 1)
    torch.save({'state_dict': state}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='Only the head differs .it is that of later mmsegmentation versions'):
        load_segmentor(nets.segmentor(), tmp_path / 'a.pth')
    state.pop('backbone.layers.0.0.projection.weight')
    torch.save({'state_dict': state}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError) as refused:
        load_segmentor(nets.segmentor(), tmp_path / 'a.pth')
    assert 'Only' not in str(refused.value)


# other classes

HEADS = {
    'daformer': (nets.head(7), {'conv_seg'}),
    'segformer': (dict(type='SegFormerHead', in_channels=[8, 16, 24, 32], in_index=[0, 1, 2, 3], channels=16,
                       num_classes=7, norm_cfg=nets.BN, decoder_params=dict(embed_dim=16)),
                  {'conv_seg', 'linear_pred'}),
    'dlv2': (dict(type='DLV2Head', in_channels=32, in_index=3, num_classes=7, dilations=(6, 12)),
             {'aspp_modules.0.conv', 'aspp_modules.1.conv'}),
    'da': (dict(type='DAHead', in_channels=32, in_index=3, channels=16, pam_channels=8, num_classes=7,
                norm_cfg=nets.BN), {'conv_seg', 'pam_conv_seg', 'cam_conv_seg'}),
}


@pytest.mark.parametrize('head, layers', HEADS.values(), ids=HEADS)
def test_the_classifiers_of_heads_are_found(head: dict, layers: set[str]) -> None:
    config = dict(type='EncoderDecoder', backbone=nets.backbone(), decode_head=head)
    assert classifier_entries(config) == {f'decode_head.{layer}.{kind}' for layer in layers
                                          for kind in ('weight', 'bias')}
    assert config['decode_head']['num_classes'] == 7


def test_the_classifiers_of_auxiliary_heads_and_scale_attention_are_found() -> None:
    auxiliary = dict(type='FCNHead', in_channels=32, in_index=3, channels=8, num_classes=5, norm_cfg=nets.BN)
    config = dict(type='EncoderDecoder', backbone=nets.backbone(), decode_head=nets.head(),
                  auxiliary_head=[auxiliary, dict(auxiliary)])
    parts = ('decode_head', 'auxiliary_head.0', 'auxiliary_head.1')
    assert classifier_entries(config) == {f'{part}.conv_seg.{kind}' for part in parts for kind in ('weight', 'bias')}
    for classwise, parts in ((True, ('head', 'scale_attention')), (False, ('head', ))):
        config = nets.hrda_config(decode_head=dict(attention_classwise=classwise))
        assert classifier_entries(config) == {f'decode_head.{part}.conv_seg.{kind}' for part in parts
                                              for kind in ('weight', 'bias')}


@pytest.mark.parametrize('config', [nets.hrda_config(), dict(type='EncoderDecoder', backbone=nets.backbone(),
                                                             decode_head=nets.head())], ids=['hrda', 'plain'])
def test_an_outline_has_the_names_and_shapes_of_the_network_and_no_memory(config: dict) -> None:
    state, sketch = build_segmentor(config).state_dict(), outline(config).state_dict()
    assert {k: v.shape for k, v in sketch.items()} == {k: v.shape for k, v in state.items()}
    assert all(v.is_meta for v in sketch.values())


@pytest.mark.parametrize('classes', [5, 7])
@pytest.mark.parametrize('build', [nets.hrda, lambda n: nets.segmentor(decode_head=nets.head(n))],
                         ids=['hrda', 'plain'])
def test_all_but_the_classifier_is_taken(tmp_path: Path, classes: int, build: Callable[[int], nn.Module]) -> None:
    config = nets.hrda_config() if build is nets.hrda else dict(type='EncoderDecoder', backbone=nets.backbone(),
                                                                decode_head=nets.head())
    torch.manual_seed(3)
    theirs, model = build(classes), build(5)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    torch.save({'state_dict': theirs.state_dict()}, tmp_path / 'a.pth')
    if classes != 5:
        with pytest.raises(CheckpointError, match=r'Only the number of classes differs.*a\.pth --new-classifier'):
            load_segmentor(model, tmp_path / 'a.pth')
    new = classifier_entries(config)
    load_segmentor(model, tmp_path / 'a.pth', new=new)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name] if name in new else theirs.state_dict()[name]), name


def test_numpy_values_of_old_and_new_files_are_read(tmp_path: Path) -> None:
    meta = {'hook_msgs': {'best_score': np.float64(0.5), 'iter': np.int64(7)}, 'mean': np.arange(3, dtype=np.float32)}
    path = tmp_path / 'a.pth'
    for legacy in (True, False):
        torch.save({'meta': meta, 'state_dict': OrderedDict(a=torch.zeros(1))}, path,
                   _use_new_zipfile_serialization=not legacy)
        found = read_checkpoint(path)['meta']
        assert found['hook_msgs'] == {'best_score': 0.5, 'iter': 7}
        assert np.array_equal(found['mean'], meta['mean'])
    # the other of the two names under which numpy has pickled its scalars
    data = path.read_bytes()
    torch.save({'meta': meta}, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    renamed = data.replace(b'numpy._core.multiarray', b'numpy.core.multiarray')
    assert renamed != data
    path.write_bytes(renamed)
    assert read_checkpoint(path)['meta']['hook_msgs']['best_score'] == 0.5


def test_other_objects_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / 'a.pth'
    torch.save({'meta': {'where': PurePosixPath('x')}}, path)
    with pytest.raises(CheckpointError, match=r'(?s)a\.pth.*PurePosixPath.*refused'):
        read_checkpoint(path)


class Harmful:
    """Would create a file while being read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return open, (str(self.path), 'w')


def test_reading_runs_no_code(tmp_path: Path) -> None:
    torch.save({'meta': Harmful(tmp_path / 'trace')}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='refused'):
        read_checkpoint(tmp_path / 'a.pth')
    assert not (tmp_path / 'trace').exists()


@pytest.mark.parametrize(('content', 'message'), [
    (b'', 'empty'),
    (b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n', 'git lfs pull'),
    (b'<!DOCTYPE html><html><body>Sign in</body></html>', 'web page'),
    (b'this is not a checkpoint at all', 'no torch checkpoint, or damaged'),
])
def test_files_that_are_no_checkpoints(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(CheckpointError, match=rf'(?s)a\.pth.*{message}'):
        read_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('share', [0.3, 0.9])
def test_truncated_file(tmp_path: Path, student: nn.Module, legacy: bool, share: float) -> None:
    path = tmp_path / 'a.pth'
    torch.save({'state_dict': student.state_dict()}, path, _use_new_zipfile_serialization=not legacy)
    data = path.read_bytes()
    path.write_bytes(data[:int(len(data) * share)])
    with pytest.raises(CheckpointError, match=r'a\.pth.*damaged'):
        read_checkpoint(path)


def test_missing_file_folder_and_bare_tensor(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='no checkpoint at'):
        read_checkpoint(tmp_path / 'absent.pth')
    with pytest.raises(CheckpointError, match='folder'):
        read_checkpoint(tmp_path)
    torch.save(torch.zeros(3), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='Tensor'):
        read_checkpoint(tmp_path / 'a.pth')
