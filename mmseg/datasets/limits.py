"""How large one file may be, so that a damaged or malicious one does not take all memory."""
from __future__ import annotations

import os
import stat

from mmseg.errors import DataError

VARIABLE = 'MMSEG_MAX_PIXELS'
_DEFAULT = 2**28
_BYTES_PER_PIXEL = 8  # four channels of 16 bits, not compressed


def max_pixels() -> int:
    """Most pixels (width times height) of an image or label map: 2**28, or the environment variable MMSEG_MAX_PIXELS.

    Raises:
        DataError: if the variable holds no positive whole number.
    """
    value = os.environ.get(VARIABLE) or str(_DEFAULT)
    if not value.isdecimal() or int(value) == 0:
        raise DataError(f'the environment variable {VARIABLE}={value!r}: give a whole number of pixels above 0, or '
                        f'remove it for the default, {_DEFAULT}')
    return int(value)


def max_bytes() -> int:
    """Most bytes of an image or label map, on disk or unpacked from an archive; see :func:`max_pixels`."""
    return _BYTES_PER_PIXEL * max_pixels()


def require_file(path: str | os.PathLike) -> int:
    """The size of a file in bytes; pipes and devices, which may have no end, are not to be opened.

    Raises:
        OSError: if it does not exist, or is a folder, pipe or device.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError('it is a folder, pipe or device, not a file')
    return status.st_size
