"""The command ``udaseg``: that of ``mmseg``, unless another program's package of that name is in its place."""
from __future__ import annotations

import sys
from importlib.util import find_spec

NAME = 'udaseg'


def main() -> None:
    """Run a command of :mod:`mmseg.cli`."""
    try:
        import mmseg
        ours = getattr(mmseg, 'DISTRIBUTION', None) == NAME
    except Exception as error:  # whatever the other one fails with, which wants a mmcv of its own
        if getattr(error, 'name', None) == NAME:  # raised by our package, beside files of the other one
            sys.exit(f'error: {error}')
        ours = False
    if not ours:
        spec = find_spec('mmseg')
        sys.exit(f'error: mmseg is not the package of {NAME} here but that of another program, mmsegmentation, in '
                 f'{spec.origin if spec else "no folder"}: install {NAME} into an environment of its own')
    from mmseg.cli import main as run
    run()
