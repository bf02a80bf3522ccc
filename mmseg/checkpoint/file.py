"""Reading checkpoint files without running code that they might hold."""
from __future__ import annotations

import json
import logging
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmseg.checkpoint.contents import check_tensors
from mmseg.checkpoint.pickles import foreign_objects
from mmseg.errors import CheckpointError

logger = logging.getLogger('mmseg')
META_KEY = 'mmseg_meta'  # in the header of .safetensors files, which holds texts: the checkpoint's meta as JSON
COUNTER = 'num_batches_tracked'
NO_SAFETENSORS = 'this format needs the package safetensors: pip install safetensors, or use a .pth file'


def _named(function: Callable[..., Any], module: str, name: str) -> Callable[..., Any]:
    """``function`` under the name by which a pickle asks for it."""

    def call(*args: Any) -> Any:
        return function(*args)

    call.__module__, call.__name__, call.__qualname__ = module, name, name
    return call


class _Unread:
    """Takes the place of an object that is of no use here; what it held is dropped."""

    def __setstate__(self, state: Any) -> None:
        pass


def _allowed_globals() -> list[Any]:
    """What a checkpoint may hold beyond torch's own list: numpy scalars and arrays of plain numbers and texts.

    numpy moved ``numpy.core`` to ``numpy._core``; files of either time are read with either numpy. The log that
    MMEngine keeps in its checkpoints (``message_hub``) is read as nothing, without running anything.
    """
    scalar: Any = np.float64(0).__reduce__()[0]
    reconstruct: Any = np.zeros(1).__reduce__()[0]
    found: list[Any] = [np.ndarray, np.dtype]
    found += sorted({type(np.dtype(code)) for code in '?bBhHiIlLqQefdgSU'}, key=lambda cls: cls.__name__)
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        found += [_named(scalar, module, 'scalar'), _named(reconstruct, module, '_reconstruct')]
    log = type('HistoryBuffer', (_Unread, ), {'__module__': 'mmengine.logging.history_buffer'})
    return [*found, log, _named(lambda *args: None, 'builtins', 'getattr')]


torch.serialization.add_safe_globals(_allowed_globals())


def _check_kind(path: Path) -> None:
    """Say what the file is if it clearly is no checkpoint.

    Raises:
        FileNotFoundError: there is none.
        CheckpointError: it is a folder, a pipe or device, empty, a git-lfs pointer or a web page.
    """
    if path.is_dir():
        raise CheckpointError(f'{path} is a folder, not a checkpoint: name the .pth file inside')
    if not path.exists():
        raise FileNotFoundError(f'no checkpoint at {path}')
    if not path.is_file():  # to open a pipe would wait for its other end
        raise CheckpointError(f'{path} is a pipe or device, not a checkpoint: name a .pth file')
    with path.open('rb') as file:
        start = file.read(256).lstrip().lower()
    if not start:
        raise CheckpointError(f'{path} is empty: download or copy it again')
    if start.startswith(b'version https://git-lfs'):
        raise CheckpointError(f'{path} is a git-lfs pointer, not the checkpoint itself: run `git lfs pull`')
    if start.startswith((b'<!doctype', b'<html', b'<?xml')):
        raise CheckpointError(f'{path} is a web page, not a checkpoint: download it with a browser instead')


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; only tensors, containers, plain values and numpy arrays may be inside.

    The check sums of a .pth file are verified, which takes 0.2 seconds for each GiB. A file that ends in
    ``.safetensors`` gives ``state_dict`` and ``meta`` ({} if this program did not write it).

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is damaged, no checkpoint at all, or holds other objects; or the package for it is not
            installed.
    """
    path = Path(path)
    try:
        _check_kind(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CheckpointError(f'{path} cannot be read ({error.strerror}): copy it to another place, or get it again'
                              ) from error
    try:
        if path.suffix == '.safetensors':
            content = _read_safetensors(path)
        else:
            _check_sums(path)
            content = torch.load(path, map_location='cpu', weights_only=True)
    except ImportError as error:
        raise CheckpointError(f'{path}: {NO_SAFETENSORS}') from error
    except Exception as error:  # garbage makes the reader fail in any way
        named = re.search(r"(?:GLOBAL|[Gg]lobal:?|class) '?([\w.]+\.\w+)", str(error))
        refused = [*foreign_objects(path), *(named.groups() if named else ())] if path.suffix != '.safetensors' else []
        if refused:
            raise CheckpointError(
                f'{path} holds a {refused[0]} object, which is refused since loading it could run code. Only tensors, '
                'containers, plain values and numpy arrays are read: save the weights alone with '
                "torch.save({'state_dict': ...}) where the file comes from") from error
        raise CheckpointError(f'{path} is no torch checkpoint, or damaged or incomplete ({_first_line(error)}): '
                              'get it again') from error
    if not isinstance(content, dict):
        raise CheckpointError(f'{path} holds a {type(content).__name__}, not a dict with weights')
    try:
        check_tensors(content)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from None
    return content


def _check_sums(path: Path) -> None:
    """Verify the check sums of a zip file, as all but very old .pth files are: torch does not.

    Raises:
        zipfile.BadZipFile: naming the damaged member.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise zipfile.BadZipFile('its members are compressed, which torch.save never does')
            damaged = archive.testzip()
        if damaged:
            raise zipfile.BadZipFile(f'the check sum of its part {damaged} is wrong')


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import safe_open  # optional
    with safe_open(path, 'pt') as file:
        meta = json.loads((file.metadata() or {}).get(META_KEY, '{}'))
        return {'meta': meta, 'state_dict': {key: file.get_tensor(key) for key in file.keys()}}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def differences(module: nn.Module, state: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Names of the entries that are 'missing' in a state dict, 'of another shape' or 'type', 'too large for their type'
    in the module, so that they would become infinite, or 'unknown' to it.

    No differences are another precision, and the ``num_batches_tracked`` counters of batch norms, which files of old
    torch versions lack and others average.
    """
    own = module.state_dict()
    return {
        'missing': [k for k in own if k not in state and not k.endswith(COUNTER)],
        'of another shape': [k for k, v in own.items() if k in state and state[k].shape != v.shape],
        'of another type': [k for k, v in own.items() if k in state and _kind_of(state[k]) != _kind_of(v)
                            and not k.endswith(COUNTER)],
        'too large for their type': [k for k, v in own.items() if k in state and _is_too_large(state[k], v.dtype)],
        'unknown': [k for k in state if k not in own],
    }


def _is_too_large(tensor: Tensor, dtype: torch.dtype) -> bool:
    return tensor.dtype != dtype and tensor.is_floating_point() and dtype.is_floating_point and not bool(
        torch.isfinite(tensor.to(dtype)).all())


def _kind_of(tensor: Tensor) -> tuple[bool, bool]:
    return tensor.is_floating_point(), tensor.is_complex()


def _looks(tensor: Tensor, kind: str) -> Any:
    return tuple(tensor.shape) if kind == 'of another shape' else tensor.dtype


def describe_difference(module: nn.Module, state: Mapping[str, Tensor], shown: int = 5) -> str:
    """Compare a state dict with what a module needs.

    Returns:
        How many entries are missing, of another shape or type, too large for it, or unknown, the first ``shown`` of
        each by name; '' if none.
    """
    own, parts = module.state_dict(), []
    for kind, names in differences(module, state).items():
        if names:
            more = f' and {len(names) - shown} more' if len(names) > shown else ''
            named = [f'{k} {_looks(state[k], kind)} instead of {_looks(own[k], kind)}' if k in own and k in state else k
                    for k in names[:shown]]
            parts.append(f'{len(names)} entries {kind}: {", ".join(named)}{more}')
    return '; '.join(parts)


def load_parameters(module: nn.Module, state: Mapping[str, Tensor], problem: str) -> None:
    """Load a state dict that holds all parameters of a module, or change nothing.

    Entries that the module does not know are named in a warning.

    Args:
        problem: begins the message, e.g. 'x.pth is of another model'.

    Raises:
        CheckpointError: if entries are missing, of another shape or type.
    """
    own = module.state_dict()
    difference = describe_difference(module, state)
    if describe_difference(module, {k: v for k, v in state.items() if k in own}):
        raise CheckpointError(f'{problem} ({difference})')
    if difference:
        logger.warning('%s in part: %s; these are left out', problem, difference)
    module.load_state_dict(state, strict=False)


def plain(value: Any) -> Any:
    """``value`` as dicts, lists, numbers and texts, so that it loads under ``weights_only=True``."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(entry) for entry in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
