"""Golden numbers of the original programs: where they lie, how they were made and stored, how to compare with them.

The files stand in ``$GOLDENS`` (default tests/data). Cases come from the names inside the files, never from a list
here: tests say ``@golden.cases('file.npz', split=...)``. A name that ``split`` does not understand is a failing case,
so is an empty file; an absent file, or one without the cases that a test looks at, is a skipped case that says so.
conftest.py reports cases per file. Networks and inputs are on ``$PARITY_DEVICE``, default the CPU.
"""
from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

ROOT = Path(os.environ.get('GOLDENS') or Path(__file__).parents[1] / 'data')
DEVICE = os.environ.get('PARITY_DEVICE', 'cpu')
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # no number was recorded with TF32
SUFFIXES = ('shape', 'stats', 'stride', 'sample')


class Tolerance(NamedTuple):
    """|actual - expected| <= rtol * |expected| + atol * max |expected|."""
    rtol: float
    atol: float


OUTPUT = Tolerance(1e-4, 1e-5)
GRADIENT = Tolerance(1e-3, 1e-4)
EXACT = Tolerance(0., 0.)


class UnknownName(ValueError):
    """A case or a field that the test does not understand."""


# deterministic weights and inputs


def fill(module: nn.Module, recipe: str) -> nn.Module:
    """Set every entry of a module's state dict by recipe 'A' or 'B'.

    The module may be without values (on the meta device): it gets the tensors themselves.
    """
    if recipe not in 'AB':
        raise UnknownName(f'weight recipe {recipe!r}')
    state = {key: _weight(key, tuple(value.shape), recipe).to(DEVICE, value.dtype, copy=True)
             for key, value in module.state_dict().items()}
    module.load_state_dict(state, assign=True)
    assert not any(value.is_meta for value in (*module.parameters(), *module.buffers()))
    return module


@lru_cache(maxsize=1100)  # those of the largest network; networks of one kind have most keys in common
def _weight(key: str, shape: tuple[int, ...], recipe: str) -> Tensor:
    last = key.rsplit('.', 1)[-1]
    if last == 'num_batches_tracked':
        return torch.zeros(shape)
    x = np.random.RandomState(zlib.crc32(key.encode()) % 2**31).standard_normal(shape)
    if last == 'running_mean':
        x = 0.1 * x
    elif last == 'running_var':
        x = 1. + 0.1 * np.abs(x)
    elif last == 'weight' and len(shape) == 1:
        x = 1. + 0.02 * x
    elif recipe == 'B' and len(shape) >= 2:
        x = x / np.sqrt(np.prod(shape[1:]))
    else:
        x = 0.02 * x
    return torch.from_numpy(np.asarray(x, np.float32))


def tensor(array: np.ndarray) -> Tensor:
    """The numbers of an array on the device that is compared."""
    return torch.from_numpy(array).to(DEVICE)


def rnd(seed: int, shape: tuple[int, ...]) -> Tensor:
    """Standard normal numbers as float32."""
    return tensor(np.random.RandomState(seed).standard_normal(shape).astype(np.float32))


def labels(seed: int, n: int, h: int, w: int, block: int, ignore: float = 0.1) -> Tensor:
    """Blocky label maps [n, 1, h, w] int64 with classes 0..18 and 255."""
    rng = np.random.RandomState(seed)
    cells = (n, -(-h // block), -(-w // block))
    label = rng.randint(0, 19, cells)
    label[rng.random_sample(cells) < ignore] = 255
    label = label.repeat(block, axis=1).repeat(block, axis=2)[:, None, :h, :w]
    return tensor(label.astype(np.int64))


def without_dropout(module: nn.Module) -> nn.Module:
    """Set every dropout and drop-path probability to 0, as in the recordings in train mode."""
    for m in module.modules():
        if isinstance(m, nn.modules.dropout._DropoutNd):
            m.p = 0.
        if hasattr(m, 'drop_prob'):
            m.drop_prob = 0.
    return module


# files


def read_json(file: str) -> Any:
    """Content of a JSON file; skips the test if the file is absent."""
    return json.loads(_existing(file).read_text())


@lru_cache(maxsize=4)
def read_npz(file: str) -> dict[str, np.ndarray]:
    """Arrays of an NPZ file; skips the test if the file is absent."""
    with np.load(_existing(file)) as arrays:
        return dict(arrays)


def recorded(file: str, *keys: str) -> Any:
    """What a test needs beside its own case: an array of an NPZ, or what a JSON holds below some keys.

    Skips the test if the file or the entry is absent.
    """
    content = read_json(file) if file.endswith('.json') else read_npz(file)
    for key in keys:
        if key not in content:
            pytest.skip(f'{file} has no {"/".join(keys)}')
        content = content[key]
    return content


def _existing(file: str) -> Path:
    if not (ROOT / file).exists():
        pytest.skip(f'{file} is absent')
    return ROOT / file


def entries(file: str, levels: int = 1) -> list[str]:
    """Names in a file: the tensors of an NPZ without the suffixes of their storage, the first keys of a JSON.

    Args:
        file: its name.
        levels: how many keys of a JSON, one below the other, make a name; they are joined by '/'.
    """
    if file.endswith('.json'):
        return list(_keys(json.loads((ROOT / file).read_text()), levels))
    names = read_npz(file)
    return list(dict.fromkeys(n.rpartition('/')[0] if n.rpartition('/')[2] in SUFFIXES else n for n in names))


def _keys(content: dict[str, Any], levels: int) -> Iterator[str]:
    for key, value in content.items():
        if levels > 1 and isinstance(value, dict):
            yield from (f'{key}/{below}' for below in _keys(value, levels - 1))
        else:
            yield key


@dataclass(frozen=True)
class Case:
    """One case of a golden file.

    Attributes:
        file: its name, e.g. 'forward_heads_A.npz'.
        name: of the case.
        fields: what is recorded for it.
        problem: why there is no case that could run ('' if there is one): the test fails.
        lacking: which cases the file could hold and does not ('' if there is one): the test is skipped.
    """
    file: str
    name: str
    fields: tuple[str, ...] = ()
    problem: str = ''
    lacking: str = ''

    @property
    def recipe(self) -> str:
        """The weight recipe that the file's name ends with."""
        return Path(self.file).stem[-1]

    def entry(self, field: str) -> str:
        """The name in the file."""
        return f'{self.name}/{field}' if field else self.name

    def array(self, field: str) -> np.ndarray:
        """A recorded array that is stored in full."""
        return read_npz(self.file)[self.entry(field)]

    def shape(self, field: str) -> tuple[int, ...]:
        """Shape of a recorded array."""
        return tuple(int(n) for n in read_npz(self.file)[self.entry(field) + '/shape'])

    def check(self, field: str, actual: Tensor, tolerance: Tolerance = OUTPUT) -> None:
        """Compare a tensor with a recorded one: shape, values (all or a sample) and statistics."""
        check_array(read_npz(self.file), self.entry(field), actual, tolerance)

    def check_labels(self, field: str, actual: Tensor, share: float = 0.001) -> None:
        """Compare a label map: at most ``share`` of the pixels may differ."""
        expected = self.array(field)
        assert tuple(actual.shape) == expected.shape, self.entry(field)
        different = float((numbers(actual) != expected).mean())
        assert different <= share, f'{self.entry(field)}: {different:.2%} of the pixels differ'


def cases(*files: str, split: Callable[[str], tuple[str, str]] = lambda entry: (entry, ''),
          without: str = '', only: str = '', levels: int = 1, slow: str = '$.') -> pytest.MarkDecorator:
    """Parametrise a test with ``case``, one for each case of the files.

    Args:
        files: names in ``ROOT``; a pattern with ``*`` stands for all that match.
        split: gives (case, field) of an entry, or raises :class:`UnknownName`.
        without: a file that a pattern matches but does not mean.
        only: what the entries of interest begin with, as a regular expression; other tests look at the rest.
        levels: see :func:`entries`.
        slow: what names of cases that are left to `make test-slow` hold, as a regular expression.
    """
    params = []
    for pattern in files:
        found = sorted(path.name for path in ROOT.glob(pattern) if path.name != without)
        params += [_param(case, *[pytest.mark.slow] * bool(re.search(slow, case.name)))
                   for file in found for case in _cases_of(file, split, only, levels)]
        if not found:
            params.append(_param(Case(pattern, 'absent'), pytest.mark.skip(reason=f'{pattern} is absent')))
    return pytest.mark.parametrize('case', params)


def _param(case: Case, *marks: pytest.MarkDecorator) -> Any:
    if case.lacking:
        marks = (*marks, pytest.mark.skip(reason=case.lacking))
    return pytest.param(case, id=f'{Path(case.file).stem}:{case.name}', marks=[pytest.mark.golden(case.file), *marks])


def _cases_of(file: str, split: Callable[[str], tuple[str, str]], only: str, levels: int) -> list[Case]:
    fields: dict[str, list[str]] = {}
    problems = []
    names = entries(file, levels)
    for entry in names:
        if not re.match(only, entry):
            continue
        try:
            name, field = split(entry)
        except UnknownName as error:
            problems.append(Case(file, entry, problem=f'{file}: {entry} is not understood ({error})'))
            continue
        fields.setdefault(name, []).append(field)
    found = [Case(file, name, tuple(names)) for name, names in fields.items()] + problems
    if found:
        return found
    if names:
        return [Case(file, 'none', lacking=f'{file} holds no case of {only}')]
    return [Case(file, 'empty', problem=f'{file} holds no case')]


# comparison


def numbers(value: Any) -> np.ndarray:
    """The numbers of a tensor on any device, or of several, as an array."""
    if isinstance(value, (list, tuple)):
        return np.array([numbers(one) for one in value])
    return np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value)


def check_array(arrays: dict[str, np.ndarray], name: str, actual: Tensor | np.ndarray, tolerance: Tolerance) -> None:
    """Compare with ``name``, stored as in README section 1: in full or every stride-th element, with statistics."""
    check_values(arrays, name, actual, tolerance)
    if name + '/stats' in arrays:
        check_stats(arrays, name, actual, tolerance)


def elements(arrays: dict[str, np.ndarray], name: str, actual: Tensor | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The elements (all, or every stride-th) of ``actual`` and those recorded for ``name``; the shapes must agree."""
    actual = numbers(actual)
    if name + '/shape' in arrays:
        assert actual.shape == tuple(arrays[name + '/shape']), name
    flat = actual.astype(np.float64).ravel()
    if name in arrays:
        assert actual.shape == arrays[name].shape, name
        return flat, arrays[name].astype(np.float64).ravel()
    return flat[::int(arrays[name + '/stride'])], arrays[name + '/sample'].astype(np.float64)


def check_values(arrays: dict[str, np.ndarray], name: str, actual: Tensor | np.ndarray, tolerance: Tolerance) -> None:
    """Compare shape and elements (all, or every stride-th) with those recorded for ``name``."""
    compared, expected = elements(arrays, name, actual)
    biggest = np.abs(expected).max(initial=0.)
    if name not in arrays:
        biggest = np.abs(arrays[name + '/stats'][3:5]).max()
    np.testing.assert_allclose(compared, expected, rtol=tolerance.rtol, atol=tolerance.atol * biggest, err_msg=name)


def check_stats(arrays: dict[str, np.ndarray], name: str, actual: Tensor | np.ndarray, tolerance: Tolerance) -> None:
    """Compare mean, deviation, sum of absolute values, minimum, maximum and norm, within what the tolerance allows."""
    x = numbers(actual).astype(np.float64).ravel()
    stats = arrays[name + '/stats']
    rounding = 1e-6  # of the sums themselves
    rtol, atol = tolerance.rtol, tolerance.atol * np.abs(stats[3:5]).max()
    mean, std, total, low, high, norm = stats
    root = np.sqrt(x.size)
    actual = np.array([x.mean(), x.std(), np.abs(x).sum(), x.min(), x.max(), np.linalg.norm(x)])
    one = atol + (rtol + rounding) * total / x.size  # mean absolute error that is allowed
    square = atol + (rtol + rounding) * norm / root  # root mean square error that is allowed
    extreme = atol + rtol * max(abs(low), abs(high))
    allowed = np.array([one, square, one * x.size, extreme, extreme, square * root])
    wrong = np.abs(actual - stats) > allowed
    assert not wrong.any(), f'{name}: statistics {actual}, expected {stats}'
