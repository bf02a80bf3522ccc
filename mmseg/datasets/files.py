"""Reading image and label files: from their bytes to arrays."""
from __future__ import annotations

import io
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from mmseg.datasets.image_header import Header, as_stored, parse_header, pnm_maximum
from mmseg.datasets.limits import VARIABLE, max_pixels
from mmseg.datasets.storage import read_bytes
from mmseg.errors import DataError
from mmseg.utils.notices import warn_once

_DECODE_FLAGS = {'color': cv2.IMREAD_COLOR, 'grayscale': cv2.IMREAD_GRAYSCALE, 'unchanged': cv2.IMREAD_UNCHANGED}
_DEEP_FORMATS = ('PNG', 'TIFF', 'PPM')  # whose values OpenCV can give in full depth without scaling them
_JPEG_START, _JPEG_END = b'\xff\xd8', b'\xff\xd9'
_LABEL_MODES = ('1', 'L', 'P', 'LA', 'PA', 'RGB', 'RGBA')  # of Pillow
# What libjpeg and libtiff say when they fill in pixels of their own.
_COMPLAINT = re.compile(r'(?:Corrupt|Premature end of) JPEG .*|Inconsistent progression .*|(?<=TIFF_Error ).*|'
                        r'\w+Decode\w*: .*')

_listening = threading.Lock()
if hasattr(os, 'register_at_fork'):  # a child must not inherit the diverted error stream of :func:`_listen`
    os.register_at_fork(before=_listening.acquire, after_in_parent=_listening.release,
                        after_in_child=_listening.release)


def read_header(path: str, what: str = 'image') -> Header:
    """What a file says of its picture; no pixels are decoded.

    Args:
        path: the file; may lie in a zip archive.
        what: 'image' or 'label map', for messages.

    Raises:
        DataError: if it is missing, damaged, larger than ``MMSEG_MAX_PIXELS`` allows, or of no format that is read.
    """
    return _load(path, what)[1]


def read_image(path: str, color_type: str = 'color', bits: int | None = None) -> np.ndarray:
    """Decode an image file.

    Pixels are those that are stored: an EXIF orientation is not obeyed, and warned of once per folder. Of files with
    several pictures the first is read.

    Args:
        path: PNG, JPEG, TIFF, WebP, BMP, GIF, PNM, JPEG 2000 or AVIF; may lie in a zip archive.
        color_type: 'color' (three channels), 'grayscale', or 'unchanged' (channels and depth as in the file).
        bits: how many of 16 bits a PNG, TIFF or PNM uses, 8 to 16; None: all, with a warning if they look like fewer.

    Returns:
        uint8 [H, W, 3] in the order blue, green, red, or uint8 [H, W]; 'unchanged': of any type and channels.

    Raises:
        DataError: if the file is missing, damaged, too large (``MMSEG_MAX_PIXELS``) or no image; if its values are not
            of 8 or 16 bits, unless ``color_type`` is 'unchanged'.
    """
    content, header = _load(path, 'image')
    name = f'image {path}'
    if header.orientation != 1:
        _warn_of_orientation(header.orientation, path)
    if color_type == 'unchanged':
        return _decode(content, header, cv2.IMREAD_UNCHANGED, name)
    if header.bits > 16:
        raise _unfit(_decode(content, header, cv2.IMREAD_UNCHANGED, name), name)
    depth = cv2.IMREAD_ANYDEPTH if header.format in _DEEP_FORMATS else 0
    image = _decode(content, header, _DECODE_FLAGS[color_type] | depth | cv2.IMREAD_IGNORE_ORIENTATION, name)
    if image.dtype == np.uint16:
        return _eight_bits(image, bits if header.bits == 16 else 16, path)  # OpenCV stretches 10, 12 and 14 bits to 16
    if image.dtype != np.uint8:
        raise _unfit(image, name)
    return image


def read_label_array(path: str, by_colour: bool = False) -> np.ndarray:
    """Decode a label map as ids or as colours. Like those of images, pixels are those that are stored.

    Args:
        path: PNG or another format without loss that Pillow knows; may lie in a zip archive.
        by_colour: of a file with one channel, look its palette's colours up.

    Returns:
        [H, W] of the ids in the file, a palette being ignored: bool, int8 to int64, uint8 to uint64, or float;
        or uint8 [H, W, 3] (red, green, blue). An opacity is left out.

    Raises:
        DataError: if the file is missing, damaged, too large (``MMSEG_MAX_PIXELS``), compressed in a way that changes
            ids, or of a kind that is not read.
    """
    content, header = _load(path, 'label map')
    name = f'label map {path}'
    if header.lossy:
        raise DataError(f'{name} is compressed by {header.lossy}, which changes ids: make it anew, as a PNG; '
                        'to convert this file does not bring the ids back')
    if header.format == 'PPM' and pnm_maximum(content) not in (1, 255, 65535):
        raise DataError(f'{name} declares {pnm_maximum(content)} as its largest value, by which programs stretch ids: '
                        'write it with 255, or as a PNG')
    if header.grey and header.bits >= 8 and not by_colour:
        return _grey_values(content, header, name)
    if header.bits > 8:
        raise DataError(f'{name} has colours of {header.bits} bits: write 8 bits per channel, or ids in one channel')
    with _refusing(name), Image.open(io.BytesIO(content), formats=[header.format]) as file:
        if file.mode not in _LABEL_MODES:
            raise DataError(f"{name} has pixels of the kind '{file.mode}': write ids in one channel, or RGB")
        if by_colour or file.mode.startswith('RGB'):
            return np.array(file.convert('RGB'))
        values = np.array(file)
    if header.grey and file.mode == 'L':
        values //= 255 // (2**header.bits - 1)  # Pillow stretches 2 and 4 bits to 8
    return values if values.ndim == 2 else values[..., 0].copy()


def read_label(path: str) -> np.ndarray:
    """Ids of a label file that belongs to no data set: uint8 [H, W], 0 to 255.

    Raises:
        DataError: if it is missing, damaged, a colour image, or holds something else than such ids.
    """
    from mmseg.datasets.label_format import LabelFormat  # which reads files by this module
    return LabelFormat().load(path)


def _load(path: str, what: str) -> tuple[bytes, Header]:
    """The content of a file that may be decoded, and its header."""
    content = read_bytes(path, what)
    name, limit = f'{what} {path}', max_pixels()
    with _refusing(name):
        header = parse_header(content)
        if header.orientation != 1 and header.format == 'TIFF':
            content = as_stored(content)
    if header.width * header.height > limit:
        raise DataError(f'{name} has {header.width} x {header.height} pixels, the limit is {limit}: make it smaller, '
                        f'cut it into tiles, or raise the limit by the environment variable {VARIABLE}')
    return content, header


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Turn what Pillow raises into a message; damaged files make it raise errors of many kinds."""
    try:
        yield
    except DataError:
        raise
    except UnidentifiedImageError:
        raise _damaged(name, 'its first bytes are not those of an image') from None
    except Exception as error:
        raise _damaged(name, str(error) or type(error).__name__) from None


def _damaged(name: str, reason: str) -> DataError:
    return DataError(f'{name}: the file is damaged, incomplete or of a kind that is not read ({reason}): '
                     'download or convert it again')


def _kind(header: Header) -> str:
    return f'{header.format}, {header.width} x {header.height} pixels, {header.bits} bits'


def _unfit(image: np.ndarray, name: str) -> DataError:
    return DataError(f'{name} holds {image.dtype} values from {image.min():g} to {image.max():g}: '
                     'write it with 8 or 16 bits per channel, from 0 up')


def _decode(content: bytes, header: Header, flags: int, name: str) -> np.ndarray:
    """What OpenCV makes of a file."""
    def decode() -> np.ndarray | None:
        return cv2.imdecode(np.frombuffer(content, np.uint8), flags)

    try:
        image, said = (decode(), '') if header.format == 'PNG' else _listen(decode)  # of PNGs, check sums are verified
    except cv2.error as error:
        raise DataError(f'{name}: OpenCV does not read it ({error.err}): convert it, or, if it is too large, make it '
                        'smaller or raise the limits of OpenCV (environment variable OPENCV_IO_MAX_IMAGE_PIXELS)'
                        ) from None
    complaint = _COMPLAINT.search(said)
    # Some versions of the JPEG decoder fill what is missing with grey, so the end marker is looked for.
    cut_off = content.startswith(_JPEG_START) and _JPEG_END not in content[-1024:]
    if image is None or complaint or cut_off or not _fits(image, header):
        raise _damaged(name, complaint[0] if complaint else _kind(header))
    if said:  # of something else, or by another thread
        with suppress(OSError):
            os.write(2, said.encode())
    return image


def _fits(image: np.ndarray, header: Header) -> bool:
    """Whether no pixel and no bit is missing."""
    in_full_depth = header.bits <= 8 * image.itemsize or header.format not in _DEEP_FORMATS
    return image.shape[:2] == (header.height, header.width) and in_full_depth


def _listen(work: Callable[[], np.ndarray | None]) -> tuple[np.ndarray | None, str]:
    """The result of ``work``, and what was written to the error stream meanwhile.

    It is the only way that libjpeg and libtiff tell of pixels they had to invent.
    """
    with _listening, tempfile.TemporaryFile() as heard:
        try:
            screen = os.dup(2)
        except OSError:  # there is none
            return work(), ''
        try:
            os.dup2(heard.fileno(), 2)
            result = work()
        finally:
            os.dup2(screen, 2)
            os.close(screen)
        heard.seek(0)
        return result, heard.read().decode(errors='replace')


def _grey_values(content: bytes, header: Header, name: str) -> np.ndarray:
    """[H, W] of the file's own type; OpenCV knows more types than Pillow and cuts none of them."""
    values = _decode(content, header, cv2.IMREAD_UNCHANGED, name)
    if 8 * values.itemsize != header.bits:  # OpenCV stretches 10, 12 and 14 bits to 16
        raise _damaged(name, _kind(header))
    return values if values.ndim == 2 else values[..., 0].copy()  # OpenCV makes colours of grey with an opacity


def _eight_bits(image: np.ndarray, bits: int | None, path: str) -> np.ndarray:
    """uint16 to uint8, the largest number of ``bits`` (16) bits becoming 255."""
    used = int(image.max()).bit_length()
    if bits is None and 0 < used <= 13:
        warn_once(f'image {path} has 16 bits, but its values, up to {image.max()}, need only {used}: it is read as '
                  'nearly black, and so are others of its folder. Say how many bits the camera writes: '
                  f'LoadImageFromFile(bits={max(used, 8)})', f'bits {os.path.dirname(path)}')
    return np.minimum(image >> (bits or 16) - 8, 255).astype(np.uint8)


def _warn_of_orientation(orientation: int, path: str) -> None:
    warn_once(f'image {path} is read as it is stored, and so are others of its folder: their EXIF orientation '
              f'({orientation}) is not obeyed, and label maps must be drawn for the stored pixels. To turn the pixels: '
              'mogrify -auto-orient FILES', f'orientation {os.path.dirname(path)}')
