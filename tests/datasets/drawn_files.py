"""Image files that no common program writes: minimal writers of PNG and TIFF, and damage."""
from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

ORIENTATION = 274


def pillow(image: np.ndarray | Image.Image, kind: str, orientation: int = 1, **options: Any) -> bytes:
    """The file that Pillow writes."""
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    if orientation != 1:
        options['exif'] = Image.Exif()
        options['exif'][ORIENTATION] = orientation
    image.save(file := io.BytesIO(), kind, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    """A part of a PNG with its check sum."""
    return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))


def png(rows: np.ndarray, bits: int, colours: int, more: bytes = b'', size: tuple[int, int] | None = None) -> bytes:
    """A PNG of one chunk of pixels.

    Args:
        rows: [H, bytes of a row], uint8.
        bits: per sample.
        colours: type of PNG: 0 grey, 2 RGB, 3 palette, 4 grey with opacity.
        more: chunks before the pixels.
        size: width and height to declare; None: one byte is one pixel.
    """
    header = struct.pack('>IIBBBBB', *(size or rows.shape[::-1]), bits, colours, 0, 0, 0)
    pixels = zlib.compress(b''.join(b'\0' + row.tobytes() for row in rows))
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + more + chunk(b'IDAT', pixels) + chunk(b'IEND', b'')


def tiff(pixels: np.ndarray, order: str = '<', **changes: int) -> bytes:
    """A TIFF whose header stands before its pixels, which are not compressed.

    Args:
        pixels: [H, W] or [H, W, C], of any type of numbers.
        order: '<' for little, '>' for big endian.
        changes: values of tags by their number, such as ``t274=6``.
    """
    height, width, *channels = pixels.shape
    count, bits = (channels or [1])[0], 8 * pixels.dtype.itemsize
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 2 if count > 2 else 1, 273: 0, 277: count, 278: height,
            279: len(data), 339: 'uif'.index(pixels.dtype.kind) + 1, **({338: 2} if count in (2, 4) else {})}
    tags |= {int(name[1:]): value for name, value in changes.items()}
    at = 8 + 2 + 12 * len(tags) + 4
    tags[273] = at
    entries = (struct.pack(f'{order}HHII', tag, 4, 1, value) for tag, value in sorted(tags.items()))
    start = (b'II*\0' if order == '<' else b'MM\0*') + struct.pack(f'{order}IH', 8, len(tags))
    return start + b''.join(entries) + struct.pack(f'{order}I', 0) + data
