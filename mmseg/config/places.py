"""Where config files lie: beside the one that names them, in the current folder, or in this program's own folder."""
from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config

import mmseg
from mmseg.errors import ConfigFileNotFound

_PACKAGE = Path(mmseg.__file__).parent
# Of the program itself: an installed package holds them, in a clone they lie beside it.
OWN = _PACKAGE / 'configs' if (_PACKAGE / 'configs').is_dir() else _PACKAGE.parent / 'configs'


def find_config(name: str | Path, child: Path | None = None) -> Path:
    """The config file of a name: beside the config that inherits from it, in the current folder, or in :data:`OWN`.

    ``configs/`` before a name of our own may be left out, and ``.py`` behind it.

    Args:
        name: a path.
        child: the config with this name in its ``_base_``.

    Raises:
        ConfigFileNotFound: if there is none, naming near ones.
    """
    name = Path(name).expanduser()
    for path in _candidates(name, child):
        if path.is_file():
            return path
    raise _missing(name, child)


def is_own(path: Path) -> bool:
    """Whether a config is one of those of this program."""
    return path.resolve().is_relative_to(OWN.resolve())


def _candidates(name: Path, child: Path | None) -> Iterator[Path]:
    if child is not None:
        yield child.parent / name
    yield name
    if not name.is_absolute() and '..' not in name.parts:
        own = _in_own(name)
        yield own
        yield own.with_name(f'{own.name}.py')


def _in_own(name: Path) -> Path:
    return OWN.joinpath(*name.parts[name.parts[:1] == ('configs', ):])


def _missing(name: Path, child: Path | None) -> ConfigFileNotFound:
    path = name if child is None else child.parent / name
    what = f'config file {path}' if child is None else f'{child}: its _base_ {os.path.normpath(path)}'
    if path.is_dir():
        return ConfigFileNotFound(f'{what} is a folder: name one of the files in it')
    if os.path.lexists(path):
        return ConfigFileNotFound(f'{what} is a pipe, a device or a link that leads to no file: name a file')
    near = [*_near(path), *_near_own(name)]
    if near:
        return ConfigFileNotFound(f'{what} does not exist, did you mean {" or ".join(near)}?')
    folder = '' if path.parent.is_dir() else ', and neither does its folder'
    return ConfigFileNotFound(f'{what} does not exist{folder}')


def _near(path: Path) -> list[str]:
    """The file in the same folder whose name is most like that of ``path``."""
    names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    return difflib.get_close_matches(path.name, names, 1)


def _near_own(name: Path) -> list[str]:
    """The configs of this program whose paths are most like ``name``."""
    if name.is_absolute() or '..' in name.parts:
        return []
    known = sorted(path.relative_to(OWN).as_posix() for path in OWN.rglob('*.py') if 'generated' not in path.parts)
    wanted = _in_own(name).relative_to(OWN).as_posix()
    longer = [path for path in known if path.startswith(wanted.removesuffix('.py'))]
    return longer[:2] or difflib.get_close_matches(wanted, known, 2)


@contextmanager
def bases_found() -> Iterator[None]:
    """Within the block MMEngine finds files of ``_base_`` as :func:`find_config` does."""
    original = Config._get_cfg_path
    Config._get_cfg_path = staticmethod(lambda name, child: (str(find_config(name, Path(child))), None))
    try:
        yield
    finally:
        Config._get_cfg_path = staticmethod(original)
