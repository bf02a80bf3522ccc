"""Packages that only some people need, and the extras of the installation that bring them."""
from __future__ import annotations

from importlib.util import find_spec

from mmseg.errors import PackageMissing
from mmseg.ownership import DISTRIBUTION


def install_command(extra: str) -> str:
    """What installs an extra."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def require(what: str, extra: str, *packages: str) -> None:
    """Go on if ``packages`` are installed.

    Args:
        what: who needs them, for the message.
        extra: of the installation, which brings them.

    Raises:
        PackageMissing: if one is not installed.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise PackageMissing(f'{what} needs {" and ".join(missing)}: {install_command(extra)}')
