"""Reading checkpoints: whose weights, and nothing that could run code."""
from __future__ import annotations

from collections import OrderedDict
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import torch
from torch import nn

from mmseg.engine.checkpoint import CheckpointError, load_segmentor, read_checkpoint, segmentor_state
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


@pytest.mark.parametrize('network', ['ema_model', 'imnet_model', 'mic.teacher.ema_model'])
def test_networks_of_a_uda_run_are_told_apart(tmp_path: Path, student: nn.Module, teacher: nn.Module,
                                              network: str) -> None:
    state = {**with_prefix('model.', student), **with_prefix(f'{network}.', teacher)}
    torch.save({'state_dict': state, 'meta': {'CLASSES': ('road', 'car')}}, tmp_path / 'a.pth')
    model = nets.segmentor()
    assert load_segmentor(model, tmp_path / 'a.pth')['CLASSES'] == ('road', 'car')
    assert same(model, student)
    load_segmentor(model, tmp_path / 'a.pth', network)
    assert same(model, teacher)


def test_bare_state_dict(tmp_path: Path, student: nn.Module) -> None:
    torch.save(student.state_dict(), tmp_path / 'a.pth')
    model = nets.segmentor()
    load_segmentor(model, tmp_path / 'a.pth')
    assert same(model, student)


def test_absent_teacher_is_named_and_so_is_what_there_is(student: nn.Module) -> None:
    with pytest.raises(CheckpointError, match=r"no network 'ema_model'.*it has model"):
        segmentor_state({'state_dict': with_prefix('model.', student)}, 'ema_model')
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
