"""What an image file says of itself, before anything is decoded."""
from __future__ import annotations

import io
import re
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass, replace

from PIL import Image

Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit; files.py has one for Pillow and OpenCV

# Beside PNG and TIFF. Others that Pillow knows are left out: some match any damaged file, one starts a program.
_OTHER_FORMATS = ('JPEG', 'WEBP', 'BMP', 'GIF', 'PPM', 'JPEG2000', 'AVIF')
_LOSSY = {'JPEG': 'JPEG', 'MPO': 'JPEG', 'AVIF': 'AVIF', 'JPEG2000': 'JPEG 2000'}
_MODE_BITS = {'1': 1, 'I': 16, 'I;16': 16, 'F': 32}  # of Pillow's modes of those formats; other modes have 8
_PNM_MAXIMUM = re.compile(rb'P[2356](?:\s+(?:#[^\r\n]*[\r\n]\s*)*(\d+)){3}')  # after width and height
_PNG_START = b'\x89PNG\r\n\x1a\n'
_PNG_GREY = (0, 4)
_TIFF_STARTS = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
_TIFF_TYPES = {1: 'B', 3: 'H', 4: 'I', 16: 'Q'}  # of values, to names of the module struct
_TIFF_GREY = (0, 1)
_TIFF_LOSSY = {6: 'JPEG', 7: 'JPEG', 34712: 'JPEG 2000', 50001: 'WebP'}
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION = 256, 257, 258, 259, 262, 274  # tags of TIFF


@dataclass(frozen=True)
class Header:
    """What a file says of its picture; if it holds several (animations, TIFFs with pages), of the first.

    Attributes:
        format: Pillow's name of the format: 'PNG', 'JPEG', 'TIFF', ...
        width: pixels, as they are stored.
        height: pixels, as they are stored.
        orientation: EXIF's tag of how to turn them for display, 1 to 8; 1: as they are.
        bits: per sample, 1 to 64.
        grey: whether a pixel is one value (and perhaps an opacity), neither a colour nor a place in a palette;
            known of PNG, TIFF and PPM, else False.
        lossy: the kind of compression, if it changes values: 'JPEG', 'WebP', ...; else ''.
    """
    format: str
    width: int
    height: int
    orientation: int = 1
    bits: int = 8
    grey: bool = False
    lossy: str = ''


def parse_header(content: bytes) -> Header:
    """The header of the content of a file.

    All check sums of a PNG are verified, those of its pixels too.

    Raises:
        Exception: of many kinds, if the content is damaged or of no format that is read.
    """
    if content.startswith(_PNG_START):
        return _png_header(content)
    return _tiff_header(content) if content.startswith(_TIFF_STARTS) else _other_header(content)


def _png_header(content: bytes) -> Header:
    chunks = _png_chunks(content)
    width, height, bits, colours = struct.unpack_from('>IIBB', chunks[b'IHDR'])
    return Header('PNG', width, height, _orientation(chunks.get(b'eXIf')), bits, colours in _PNG_GREY)


def _png_chunks(content: bytes) -> dict[bytes, bytes]:
    """Name and data of the chunks (of several with one name the first), whose check sums are verified."""
    chunks: dict[bytes, bytes] = {}
    view, start = memoryview(content), len(_PNG_START)
    while b'IEND' not in chunks:
        length, name = struct.unpack_from('>I4s', content, start)
        end = start + 8 + length
        if zlib.crc32(view[start + 4:end]) != struct.unpack_from('>I', content, end)[0]:
            raise ValueError(f'the check sum of its part {name.decode("latin-1")} is wrong')
        if name not in chunks:
            chunks[name] = b'' if name == b'IDAT' else bytes(view[start + 8:end])
        start = end + 4
    return chunks


def _tiff_header(content: bytes) -> Header:
    fields = _tiff_fields(content)

    def value(tag: int, default: int = 0) -> int:
        if tag not in fields:
            return default
        layout, place = fields[tag]
        return struct.unpack_from(layout, content, place)[0]

    return Header('TIFF', value(_WIDTH), value(_HEIGHT), _known(value(_ORIENTATION)), value(_BITS, 1),
                  value(_PHOTOMETRIC) in _TIFF_GREY, _TIFF_LOSSY.get(value(_COMPRESSION), ''))


def _tiff_fields(content: bytes) -> dict[int, tuple[str, int]]:
    """Layout (for the module struct) and place of the number, or the first one, of each tag of the first picture."""
    order = '<' if content.startswith(b'II') else '>'
    big = content[2:4] in (b'+\0', b'\0+')
    word, counter = ('Q', 'Q') if big else ('I', 'H')
    start, = struct.unpack_from(order + word, content, 8 if big else 4)
    count, = struct.unpack_from(order + counter, content, start)
    start += struct.calcsize(order + counter)
    entry = struct.Struct(f'{order}HH{word}{word}')
    fields: dict[int, tuple[str, int]] = {}
    for place in range(start, start + count * entry.size, entry.size):
        tag, kind, length, elsewhere = entry.unpack_from(content, place)
        if kind in _TIFF_TYPES:
            layout, room = order + _TIFF_TYPES[kind], struct.calcsize(order + word)
            fits = length * struct.calcsize(layout) <= room
            fields[tag] = layout, place + entry.size - room if fits else elsewhere
    return fields


def as_stored(content: bytes) -> bytes:
    """A TIFF whose orientation tag is 1; decoders obey the tag however they are asked."""
    layout, place = _tiff_fields(content)[_ORIENTATION]
    number = struct.pack(layout, 1)
    return content[:place] + number + content[place + len(number):]


def _other_header(content: bytes) -> Header:
    with Image.open(io.BytesIO(content), formats=_OTHER_FORMATS) as file:
        width, height = file.size
        kind = file.format or ''
        header = Header(kind, width, height, _orientation(file.info.get('exif')), _MODE_BITS.get(file.mode, 8),
                        kind == 'PPM' and file.mode in 'LIF', _LOSSY.get(kind, ''))
    if header.format == 'WEBP' and not _is_lossless_webp(content):
        return replace(header, lossy='WebP')
    if header.format == 'PPM' and pnm_maximum(content) > 255:
        return replace(header, bits=16)
    return header


def pnm_maximum(content: bytes) -> int:
    """The largest value that the header of a PNM declares; 1 where it declares none."""
    match = _PNM_MAXIMUM.match(content)
    return int(match[1]) if match else 1


def _is_lossless_webp(content: bytes) -> bool:
    start, names = 12, set()
    while start + 8 <= len(content):
        name, length = struct.unpack_from('<4sI', content, start)
        names.add(name)
        start += 8 + length + length % 2
    return b'VP8L' in names


def _orientation(exif: bytes | None) -> int:
    """The tag in EXIF data; damage there does not matter to the pixels."""
    tags = Image.Exif()
    with suppress(Exception):
        tags.load(exif or b'')
    return _known(tags.get(_ORIENTATION))


def _known(orientation: int | None) -> int:
    return orientation if orientation and orientation in range(1, 9) else 1
