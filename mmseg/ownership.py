"""Whose package ``mmseg`` is: mmsegmentation has one of the same name, for which its users' configs were written."""
from __future__ import annotations

from importlib import metadata
from pathlib import Path

DISTRIBUTION = 'udaseg'
OTHER = 'mmsegmentation'


def second_owner() -> str | None:
    """A message if mmsegmentation has its files in the folder of this package; None: all is well."""
    try:
        other = metadata.distribution(OTHER)
    except metadata.PackageNotFoundError:
        return None
    folder = Path(__file__).parent
    if Path(str(other.locate_file('mmseg'))).resolve() != folder.resolve():
        return None
    return (f'{OTHER} {other.version} has its files in the same folder, {folder}: give each an environment of its own, '
            f'or pip uninstall {OTHER} and pip install --force-reinstall --no-deps {DISTRIBUTION}')


def refuse_a_second_owner() -> None:
    """Called when the package is imported: some of its modules (registry, hooks) would be the other one's.

    Raises:
        ImportError: if there is a second owner; its ``name`` is that of this distribution.
    """
    message = second_owner()
    if message is not None:
        raise ImportError(message, name=DISTRIBUTION)
