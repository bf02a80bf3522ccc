"""What a checkpoint file may bring, and what is refused with its name before anything is done with it."""
from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mmseg.checkpoint.export import convert
from mmseg.checkpoint.file import read_checkpoint
from mmseg.checkpoint.networks import load_segmentor
from mmseg.errors import CheckpointError
from tests.models import nets

WEIGHT = 'decode_head.conv_seg.weight'


def saved(path: Path, change: Callable[[dict], Any] = lambda state: None, **entries: Any) -> Path:
    """A checkpoint of the student, its weights changed."""
    state = dict(nets.segmentor().state_dict())
    change(state)
    torch.save({'state_dict': state, **entries}, path)
    return path


def nested(depth: int) -> list:
    inner: list = []
    for _ in range(depth):
        inner = [inner]
    return inner


def circle() -> list:
    ring: list = [1]
    ring.append(ring)
    return ring


def laughs() -> list:
    level: list = [1]
    for _ in range(30):
        level = [level] * 4
    return level


@pytest.mark.parametrize('what, words', [
    (torch.zeros(1).expand(10**12), 'claims 1000000000000 values'),
    (torch.zeros(2, 2).to_sparse(), 'of a kind that is not read'),
    (torch.zeros(3, device='meta'), 'without values'),
    (torch.zeros(3).to(torch.float8_e4m3fn), 'of a kind that is not read .torch.float8_e4m3fn'),
    (torch.zeros(3, dtype=torch.uint8).view(torch.bits8), 'of a kind that is not read'),
    (nested(70), 'containers inside of each other'),
    (circle(), 'containers inside of each other'),
    (laughs(), 'entries'),
], ids=['expanded', 'sparse', 'meta', 'float8', 'bits', 'nested', 'circle', 'laughs'])
@pytest.mark.parametrize('place', ['optimizer', 'hooks'])
def test_tensors_that_are_no_plain_ones_are_refused(tmp_path: Path, place: str, what: Any, words: str) -> None:
    file = saved(tmp_path / 'a.pth', **{place: {'x': what}})
    with pytest.raises(CheckpointError, match=rf'a\.pth: its {place}.*{words}'):
        read_checkpoint(file)


def set_nan(state: dict) -> None:
    state[WEIGHT].view(-1)[3] = float('nan')


def negative_variance(state: dict) -> None:
    next(value for name, value in state.items() if name.endswith('running_var'))[0] = -1


@pytest.mark.parametrize('change, words', [
    (lambda state: state.update({WEIGHT: None}), f'its {WEIGHT} is a NoneType, not a tensor'),
    (lambda state: state.update({WEIGHT: [1.]}), f'its {WEIGHT} is a list, not a tensor'),
    (set_nan, f'its {WEIGHT} holds 1 values of .* NaN'),
    (negative_variance, r'its \S+running_var holds variances below 0'),
    (lambda state: state.update({WEIGHT: state[WEIGHT].long()}), f'of another type: {WEIGHT} torch.int64 instead'),
], ids=['None', 'list', 'NaN', 'variance', 'whole numbers'])
def test_weights_that_are_none_are_refused_by_name(tmp_path: Path, change: Callable[[dict], Any], words: str) -> None:
    file = saved(tmp_path / 'a.pth', change)
    with pytest.raises(CheckpointError, match=rf'a\.pth.*{words}'):
        load_segmentor(nets.segmentor(), file)
    if 'another type' not in words:
        with pytest.raises(CheckpointError, match=rf'a\.pth.*{words}'):
            convert(file, tmp_path / 'small.pth')
        assert not (tmp_path / 'small.pth').exists()


def test_numbers_that_the_network_cannot_hold_are_refused(tmp_path: Path) -> None:
    file = saved(tmp_path / 'a.pth', lambda state: state.update({WEIGHT: state[WEIGHT].double().fill_(1e300)}))
    with pytest.raises(CheckpointError, match=rf'a\.pth.*too large for their type: {WEIGHT} torch.float64 instead of '
                                              r'torch.float32\)$'):
        load_segmentor(nets.segmentor(), file)
    saved(file, lambda state: state.update({WEIGHT: state[WEIGHT].double()}))
    load_segmentor(nets.segmentor(), file)


def test_nan_in_safetensors_is_refused(tmp_path: Path) -> None:
    safetensors = pytest.importorskip('safetensors.torch')
    state = dict(nets.segmentor().state_dict())
    set_nan(state)
    safetensors.save_file(state, tmp_path / 'a.safetensors')
    with pytest.raises(CheckpointError, match=f'its {WEIGHT} holds 1 values'):
        load_segmentor(nets.segmentor(), tmp_path / 'a.safetensors')


def test_weights_of_half_precision_are_read(tmp_path: Path) -> None:
    file = saved(tmp_path / 'a.pth', lambda state: state.update({WEIGHT: state[WEIGHT].half()}))
    load_segmentor(nets.segmentor(), file)


def test_any_bit_that_flips_is_noticed(tmp_path: Path) -> None:
    file = saved(tmp_path / 'a.pth')
    with zipfile.ZipFile(file) as archive:
        big = max(archive.infolist(), key=lambda entry: entry.file_size)
    whole = file.read_bytes()
    for place in (big.header_offset + big.file_size // 2, big.header_offset + big.file_size - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 0x40
        file.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r'a\.pth.*damaged.*check sum'):
            read_checkpoint(file)


def test_compressed_members_are_refused_unread(tmp_path: Path) -> None:
    file = saved(tmp_path / 'a.pth')
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(tmp_path / 'b.pth', 'w', zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    with pytest.raises(CheckpointError, match=r'b\.pth.*compressed'):
        read_checkpoint(tmp_path / 'b.pth')


class Evil:
    """Pickled, it is a call."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call


PROOF: list[str] = []


@pytest.mark.parametrize('protocol', range(6))
@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('function, args, name', [
    (os.system, ('true', ), 'system'), (eval, ('1', ), 'eval'), (PROOF.append, ('ran', ), 'getattr'),
    (open, ('/dev/null', ), 'open'),
], ids=['system', 'eval', 'append', 'open'])
def test_code_in_a_pickle_is_refused_as_such(tmp_path: Path, protocol: int, legacy: bool, function: Any, args: tuple,
                                             name: str) -> None:
    if function is PROOF.append and protocol < 4:
        name = 'getattr'
    file = tmp_path / 'a.pth'
    torch.save({'state_dict': {}, 'x': Evil(function, *args)}, file, pickle_protocol=protocol,
               _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match=rf'a\.pth holds a \S*{name}\S* object, which is refused'):
        read_checkpoint(file)
    file.write_bytes(pickle.dumps({'x': Evil(function, *args)}, protocol))
    with pytest.raises(CheckpointError, match=rf'a\.pth holds a \S*{name}\S* object, which is refused'):
        read_checkpoint(file)
    assert not PROOF


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=r'a\.pth is a pipe'):
        read_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize('meta', [[1], 'text', 7, None])
def test_a_meta_that_is_none_does_not_matter_to_weights(tmp_path: Path, meta: Any) -> None:
    convert(saved(tmp_path / 'a.pth', meta=meta), tmp_path / 'b.pth')
    load_segmentor(nets.segmentor(), tmp_path / 'b.pth')
