"""A file with one decoded sample: a checksum, a header that can say sizes and nothing else, image and label map."""
from __future__ import annotations

import io
import math
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmseg.errors import DataError
from mmseg.utils.atomic import write_atomically

_CHECKSUM = struct.Struct('<I')  # of all that follows
_HEADER = struct.Struct('<2I6IB27x')  # what Sample describes; filled up so that the arrays begin at byte 64
_START = _CHECKSUM.size + _HEADER.size
_MAX_BYTES = 2**32  # of a file, so that a damaged header cannot ask for all memory


@dataclass(frozen=True)
class Sample:
    """What a file holds.

    Attributes:
        stamp, content: say, in 32 bits each, which files the sample was made of.
        original: shape of the image as it was read, [H, W, C] or [H, W].
        image: [h, w, C] or [h, w].
        label: uint8 [h, w], or None.
    """
    stamp: int
    content: int
    original: tuple[int, ...]
    image: np.ndarray
    label: np.ndarray | None


def write_sample(path: Path, sample: Sample, types: Sequence[np.dtype], seed: int) -> None:
    """Write a file, atomically.

    Args:
        types: those that the image may have.
        seed: of the checksum, 32 bits. The reader has to have the same, and the same ``types``.

    Raises:
        DataError: if the image is of another type.
    """
    image = sample.image
    if image.dtype not in types:
        raise DataError(f'{path}: an image of {image.dtype} cannot be cached, only of {", ".join(map(str, types))}')
    header = _HEADER.pack(sample.stamp, sample.content, *_sizes(sample.original), *_sizes(image.shape),
                          types.index(image.dtype))
    arrays = [image] if sample.label is None else [image, sample.label]
    parts = [memoryview(header), *(np.ascontiguousarray(array).data for array in arrays)]
    checksum = seed
    for part in parts:
        checksum = zlib.crc32(part, checksum)

    def write(temporary: str) -> None:
        with open(temporary, 'wb') as file:
            file.writelines([_CHECKSUM.pack(checksum), *parts])

    write_atomically(path, write)


def read_sample(path: Path, types: Sequence[np.dtype], labelled: bool, seed: int) -> Sample:
    """Read what :func:`write_sample` wrote; the arrays may be changed.

    The file is read, not mapped into memory: the checksum needs all of it anyway, and to cut off a mapped file ends the
    process.

    Args:
        labelled: whether there has to be a label map.

    Raises:
        DataError: if the file is missing, damaged, or was written with another seed.
    """
    if not os.path.isfile(path):
        raise DataError(f'the cached sample {path} is missing')
    try:
        with open(path, 'rb') as file:
            sample = _read(file, types, labelled, seed)
    except OSError as error:
        raise DataError(f'the cached sample {path} cannot be read ({error.strerror})') from None
    if sample is None:
        raise DataError(f'the cached sample {path} is damaged, or one of other settings')
    return sample


def _read(file: io.BufferedReader, types: Sequence[np.dtype], labelled: bool, seed: int) -> Sample | None:
    """The content of a file; None if a type, a size or the checksum is wrong."""
    start, length = file.read(_START), os.fstat(file.fileno()).st_size
    if len(start) < _START:
        return None
    checksum, = _CHECKSUM.unpack_from(start)
    stamp, content, *sizes, kind = _HEADER.unpack_from(start, _CHECKSUM.size)
    original, shape = _shape(sizes[:3]), _shape(sizes[3:])
    if kind >= len(types) or not all(original[:2] + shape[:2]):
        return None
    image_bytes = math.prod(shape) * types[kind].itemsize
    data_bytes = image_bytes + math.prod(shape[:2]) * labelled
    if length != _START + data_bytes or length > _MAX_BYTES:
        return None
    data = np.empty(data_bytes, np.uint8)
    whole = file.readinto(data.data) == data_bytes
    if not whole or zlib.crc32(data.data, zlib.crc32(start[_CHECKSUM.size:], seed)) != checksum:
        return None
    image = data[:image_bytes].view(types[kind]).reshape(shape)
    return Sample(stamp, content, original, image, data[image_bytes:].reshape(shape[:2]) if labelled else None)


def _sizes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Three numbers; the third is 0 where there is no axis of channels."""
    return (*shape, 0)[:3]


def _shape(sizes: list[int]) -> tuple[int, ...]:
    return tuple(sizes if sizes[2] else sizes[:2])
