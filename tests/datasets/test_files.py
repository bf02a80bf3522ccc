"""Image and label files of every kind: read right, or refused with the file, never read wrong."""
from __future__ import annotations

import os
import struct
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg.datasets import files
from mmseg.datasets.files import read_header, read_image, read_label_array
from mmseg.errors import DataError
from tests.datasets.drawn_files import chunk, pillow, png, tiff

SIZE = (24, 40)
NOISE = np.random.RandomState(0).randint(0, 256, (*SIZE, 3)).astype(np.uint8)
SMOOTH = np.clip(np.linspace(0, 220, NOISE.size).reshape(NOISE.shape) + NOISE // 8, 0, 255).astype(np.uint8)
IDS = NOISE[..., 0] % 19
DEEP = NOISE.astype(np.uint16) * 257 ^ 85
PALETTED = Image.fromarray(IDS).convert('P')
PALETTED.putpalette(np.arange(768) % 256)
IMAGES = {
    'png': pillow(NOISE, 'PNG'), 'grey png': pillow(IDS, 'PNG'), 'palette png': pillow(PALETTED, 'PNG'),
    'bitmap png': pillow(IDS > 9, 'PNG'), 'jpeg': pillow(SMOOTH, 'JPEG'), 'tiff': pillow(NOISE, 'TIFF'),
    'progressive jpeg': pillow(SMOOTH, 'JPEG', progressive=True), 'bmp': pillow(NOISE, 'BMP'),
    'jpeg with restarts': cv2.imencode('.jpg', SMOOTH, [cv2.IMWRITE_JPEG_RST_INTERVAL, 1])[1].tobytes(),
    'lzw tiff': pillow(NOISE, 'TIFF', compression='tiff_lzw'), 'header first tiff': tiff(NOISE),
    'zip tiff': pillow(NOISE, 'TIFF', compression='tiff_adobe_deflate'), 'gif': pillow(PALETTED, 'GIF'),
    'jpeg in tiff': pillow(SMOOTH, 'TIFF', compression='jpeg'), 'webp': pillow(SMOOTH, 'WEBP'),
    'lossless webp': pillow(NOISE, 'WEBP', lossless=True), 'pnm': pillow(NOISE, 'PPM'),
    'opacity png': pillow(np.dstack([NOISE, IDS]), 'PNG'), 'opacity tiff': pillow(np.dstack([NOISE, IDS]), 'TIFF'),
}


def packed_bits(values: np.ndarray, bits: int) -> np.ndarray:
    """Rows of PNG with several samples per byte."""
    return np.packbits(np.unpackbits(values[..., None], axis=-1)[..., 8 - bits:].reshape(len(values), -1), axis=-1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / 'a'


def write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize('kind', IMAGES)
def test_images_of_eight_bits_are_what_opencv_reads(file, kind) -> None:
    path = write(file, IMAGES[kind])
    flags = dict(color=cv2.IMREAD_COLOR, grayscale=cv2.IMREAD_GRAYSCALE, unchanged=cv2.IMREAD_UNCHANGED)
    for color_type, flag in flags.items():
        np.testing.assert_array_equal(read_image(path, color_type), cv2.imread(path, flag))
    header = read_header(path)
    assert (header.height, header.width) == SIZE and header.bits == (1 if kind.startswith('bitmap') else 8)


@pytest.mark.parametrize('content, exact', [
    (cv2.imencode('.png', DEEP)[1].tobytes(), True), (pillow(DEEP[..., 0], 'PNG'), True),
    (cv2.imencode('.ppm', DEEP)[1].tobytes(), True), (pillow(DEEP[..., 0], 'TIFF'), True),
    (tiff(DEEP[..., ::-1], '>'), False),  # OpenCV rounds colours of TIFF
], ids=['png', 'grey png', 'pnm', 'grey tiff', 'big-endian tiff'])
def test_images_of_sixteen_bits(file, content, exact) -> None:
    path = write(file, content)
    stored = read_image(path, 'unchanged')
    assert stored.dtype == np.uint16 and read_header(path).bits == 16
    assert np.abs(read_image(path).astype(int) - cv2.imread(path)).max() <= (0 if exact else 1)
    np.testing.assert_array_equal(read_image(path).squeeze(), (stored if stored.ndim == 3 else stored[..., None]) >> 8
                                  | np.zeros((1, 1, 3), np.uint8))
    np.testing.assert_array_equal(read_image(path, bits=12)[..., 0].max(), 255)


@pytest.mark.parametrize('kind', ['PNG', 'TIFF', 'PPM'])
def test_images_of_twelve_bits_in_sixteen(file, kind) -> None:
    deep = DEEP[..., 0] >> 4
    path = write(file, pillow(deep, kind))
    with pytest.warns(UserWarning, match=rf'{path} has 16 bits.* up to {deep.max()}, need only 12.*bits=12'):
        read_image(path)
    with warnings.catch_warnings(action='error'):
        read_image(path)  # warned of once
        np.testing.assert_array_equal(read_image(path, 'grayscale', bits=12), deep >> 4)


@pytest.mark.parametrize('kind', ['float32', 'float64', 'int32', 'uint32', 'int16', 'int8'])
@pytest.mark.parametrize('channels', [1, 3])
def test_images_of_other_depths_are_refused(file, kind, channels) -> None:
    image = NOISE[..., :channels].squeeze().astype(kind)
    path = write(file, tiff(image))
    for color_type in ('color', 'grayscale'):
        with pytest.raises(DataError, match=f'image {path} holds {kind} values from .* to .*: write it with 8 or 16'):
            read_image(path, color_type)
    np.testing.assert_array_equal(read_image(path, 'unchanged'), image[..., ::-1] if channels == 3 else image)


@pytest.mark.parametrize('kind, options', [('JPEG', {}), ('PNG', {}), ('WEBP', dict(lossless=True)), ('TIFF', {})])
@pytest.mark.parametrize('orientation', [3, 6])
def test_orientation_is_not_obeyed(file, kind, options, orientation) -> None:
    path = write(file, pillow(SMOOTH, kind, orientation, **options))
    plain = write(file.with_name('plain'), pillow(SMOOTH, kind, **options))
    with pytest.warns(UserWarning, match=rf'{path} is read as it is stored.*\({orientation}\).*mogrify -auto-orient'):
        image = read_image(path)
    with warnings.catch_warnings(action='error'):  # once per folder
        np.testing.assert_array_equal(image, read_image(plain))
        for color_type in ('grayscale', 'unchanged'):
            np.testing.assert_array_equal(read_image(path, color_type), read_image(plain, color_type))
    assert read_header(path).orientation == orientation and read_header(plain).orientation == 1
    if kind != 'JPEG':
        np.testing.assert_array_equal(read_label_array(path), SMOOTH)


def huge(kind: str, width: int, height: int) -> bytes:
    """A small file that declares many pixels."""
    if kind == 'png':
        return png(IDS, 8, 0, size=(width, height))
    if kind == 'tiff':
        return tiff(IDS, t256=width, t257=height)
    if kind == 'pnm':
        return b'P6 %d %d 255\n' % (width, height)
    content = bytearray(pillow(IDS, kind))
    place, layout = {'jpeg': (content.find(b'\xff\xc0') + 5, '>HH'), 'bmp': (18, '<ii'), 'gif': (6, '<HH')}[kind]
    struct.pack_into(layout, content, place, *((height, width) if kind == 'jpeg' else (width, height)))
    return bytes(content)


@pytest.mark.parametrize('kind', ['png', 'tiff', 'pnm', 'jpeg', 'bmp', 'gif'])
def test_too_many_pixels(file, monkeypatch, kind) -> None:
    """One limit for images and label maps, a little of which is above that of Pillow, checked before decoding."""
    path = write(file, huge(kind, 60000, 50000))
    for read in (read_image, read_label_array, read_header):
        with pytest.raises(DataError, match=f'{path} has 60000 x 50000 pixels, the limit is 268435456: .*MMSEG_MAX'):
            read(path)
    with warnings.catch_warnings(action='error'):
        assert read_header(write(file, huge(kind, 16000, 16000))).width == 16000
    monkeypatch.setenv('MMSEG_MAX_PIXELS', str(2**40))
    with pytest.raises(DataError, match=f'image {path}: '):  # OpenCV's limit
        read_image(write(file, huge(kind, 60000, 50000)))


def test_limit_is_a_setting(file, monkeypatch) -> None:
    path = write(file, IMAGES['png'])
    monkeypatch.setenv('MMSEG_MAX_PIXELS', '959')
    with pytest.raises(DataError, match='has 40 x 24 pixels, the limit is 959'):
        read_image(path)
    monkeypatch.setenv('MMSEG_MAX_PIXELS', '960')
    assert read_image(path).shape == (*SIZE, 3)
    monkeypatch.setenv('MMSEG_MAX_PIXELS', '1e9')
    with pytest.raises(DataError, match="MMSEG_MAX_PIXELS='1e9': give a whole number"):
        read_image(path)


@pytest.mark.parametrize('content', [
    IMAGES['grey png'].replace(b'IDAT', b'IDAS'), IMAGES['grey png'][:-12], b'', b'nothing',
    png(IDS, 8, 0, chunk(b'tEXt', b'a\0b')[:-1] + b'!'),  # a part without which pixels can be read
    png(IDS[:12], 8, 0, size=SIZE[::-1]), png(IDS, 8, 0, chunk(b'gAMA', b'1'))[:50],
    IMAGES['palette png'].replace(b'PLTE\0\1', b'PLTE\1\1'),
], ids=['name', 'end', 'empty', 'text', 'check sum', 'rows', 'cut', 'palette'])
def test_damaged_png(file, content) -> None:
    path = write(file, content)
    for read, what in ((read_image, 'image'), (read_label_array, 'label map')):
        with pytest.raises(DataError, match=f'{what} {path}: the file is damaged.*again'):
            read(path)


@pytest.mark.parametrize('kind', IMAGES)
def test_cut_file(file, kind) -> None:
    for part in (0.05, 0.5, 0.95):
        path = write(file, IMAGES[kind][:int(part * len(IMAGES[kind]))])
        with pytest.raises(DataError, match=f'image {path}: the file is damaged.*again'):
            read_image(path)
        with pytest.raises(DataError, match=f'label map {path}'):
            read_label_array(path)


def zeroed(kind: str, start: int) -> bytes:
    return IMAGES[kind][:start] + bytes(40) + IMAGES[kind][start + 40:]


def cut_and_ended(kind: str) -> bytes:
    return IMAGES[kind][:len(IMAGES[kind]) * 14 // 15] + b'\xff\xd9'


@pytest.mark.parametrize('content, words', [
    (cut_and_ended('jpeg'), 'Corrupt JPEG data: premature end'),
    (cut_and_ended('progressive jpeg'), 'Corrupt JPEG data: premature end'),
    (IMAGES['jpeg with restarts'].replace(b'\xff\xd1', b'\xff\xd5'), 'Corrupt JPEG data: found marker 0xd5'),
    (zeroed('jpeg in tiff', 900), 'Corrupt JPEG data'), (zeroed('lzw tiff', 8), 'Using code not yet in table'),
    (zeroed('zip tiff', 900), 'ZIPDecode')
])
def test_what_the_decoder_reports_as_damage(file, capfd, content, words) -> None:
    """libjpeg and libtiff make pixels up and say so on the error stream only."""
    path = write(file, content)
    with pytest.raises(DataError, match=f'image {path}: the file is damaged.*{words}'):
        read_image(path)
    os.write(2, b'still there')
    assert capfd.readouterr().err == 'still there'


def test_damage_is_told_of_the_right_file_by_threads(tmp_path) -> None:
    damaged = write(tmp_path / 'damaged', cut_and_ended('jpeg'))
    good = write(tmp_path / 'good', IMAGES['jpeg'])

    def is_good(path: str) -> bool:
        try:
            return read_image(path) is not None
        except DataError:
            return False

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(is_good, [good, damaged] * 50)) == [True, False] * 50


def test_a_forked_process_keeps_its_error_stream() -> None:
    listening, stream = threading.Event(), os.fstat(2).st_ino
    thread = threading.Thread(target=files._listen, args=[lambda: listening.set() or threading.Event().wait(0.2)])
    thread.start()
    listening.wait()
    child = os.fork()
    if child == 0:
        os._exit(int(os.fstat(2).st_ino != stream))
    thread.join()
    assert os.waitpid(child, 0)[1] == 0


def grey(kind: str, order: str = '<') -> tuple[bytes, np.ndarray]:
    """A file of any type of numbers, with one that no other type holds."""
    ids = IDS.astype(kind)
    ids[0, 0] = -1 if ids.dtype.kind == 'i' else dict(u1=250, u2=60000, u4=2**31 + 5).get(kind, 300)
    return tiff(ids, order), ids


@pytest.mark.parametrize('content, expected', [
    (pillow(IDS, 'PNG'), IDS), (pillow(IDS, 'BMP'), IDS), (pillow(IDS, 'TIFF'), IDS), (pillow(IDS, 'GIF'), IDS),
    (pillow(IDS, 'PPM'), IDS), (pillow(PALETTED, 'PNG'), IDS), (pillow(PALETTED, 'TIFF'), IDS),
    (pillow(PALETTED, 'BMP'), IDS), (pillow(PALETTED, 'GIF', optimize=False), IDS),
    (pillow(PALETTED.convert('PA'), 'TIFF'), IDS),
    (pillow(PALETTED, 'TIFF', compression='packbits'), IDS), (pillow(IDS, 'TIFF', big_tiff=True), IDS),
    (pillow(np.dstack([IDS, NOISE[..., 1]]), 'PNG'), IDS), (tiff(np.dstack([IDS, NOISE[..., 1]])), IDS),
    (pillow(IDS > 9, 'PNG'), IDS > 9), (pillow(IDS > 9, 'TIFF'), IDS > 9), (pillow(IDS > 9, 'BMP'), IDS > 9),
    (pillow(IDS > 9, 'TIFF', compression='group4'), IDS > 9), (pillow(IDS > 9, 'PPM'), IDS > 9),
    (png(packed_bits(IDS % 4, 2), 2, 0, size=SIZE[::-1]), IDS % 4),
    (png(packed_bits(IDS % 16, 4), 4, 0, size=SIZE[::-1]), IDS % 16),
    (png(packed_bits(IDS % 16, 4), 4, 3, chunk(b'PLTE', bytes(48)), SIZE[::-1]), IDS % 16),
    (png(IDS, 8, 0, chunk(b'gAMA', struct.pack('>I', 220000))), IDS),
    (png(IDS, 8, 0, chunk(b'tRNS', struct.pack('>H', int(IDS[0, 0])))), IDS),
    (pillow(DEEP[..., 0], 'PNG'), DEEP[..., 0]), (pillow(DEEP[..., 0], 'PPM'), DEEP[..., 0]),
    (png(np.repeat(DEEP[..., :1], 2, -1).reshape(len(IDS), -1).byteswap().view(np.uint8), 16, 4, size=SIZE[::-1]),
     DEEP[..., 0]),
    *(grey(kind, order) for kind in ('u1', 'i1', 'u2', 'i2', 'u4', 'i4', 'f4', 'f8') for order in '<>'),
    (pillow(NOISE, 'PNG'), NOISE), (pillow(NOISE, 'TIFF'), NOISE), (pillow(NOISE, 'BMP'), NOISE),
    (pillow(NOISE, 'PPM'), NOISE), (pillow(NOISE, 'WEBP', lossless=True), NOISE), (tiff(NOISE, '>'), NOISE),
    (pillow(np.dstack([NOISE, IDS]), 'PNG'), NOISE), (pillow(np.dstack([NOISE, IDS]), 'TIFF'), NOISE),
])
def test_label_maps(file, content, expected) -> None:
    array = read_label_array(write(file, content))
    assert array.dtype == expected.dtype
    np.testing.assert_array_equal(array, expected)


def test_label_maps_by_colour(file) -> None:
    palette = np.array(PALETTED.getpalette()).reshape(-1, 3)
    for kind in ('PNG', 'TIFF', 'BMP'):
        np.testing.assert_array_equal(read_label_array(write(file, pillow(PALETTED, kind)), True), palette[IDS])
    np.testing.assert_array_equal(read_label_array(write(file, pillow(IDS, 'PNG')), True), np.dstack([IDS] * 3))


def test_first_of_several_pictures(file) -> None:
    others = [Image.fromarray(IDS + 1), Image.fromarray(IDS + 2)]
    for kind in ('TIFF', 'GIF', 'PNG'):
        path = write(file, pillow(IDS, kind, save_all=True, append_images=others))
        np.testing.assert_array_equal(read_label_array(path), IDS)
        np.testing.assert_array_equal(read_image(path, 'grayscale'), IDS)


@pytest.mark.parametrize('content, message', [
    (pillow(IDS, 'JPEG'), 'compressed by JPEG, which changes ids'), (IMAGES['webp'], 'compressed by WebP'),
    (pillow(SMOOTH, 'WEBP', orientation=6), 'compressed by WebP'), (IMAGES['jpeg in tiff'], 'compressed by JPEG'),
    (cv2.imencode('.jp2', np.tile(NOISE, (4, 3, 1)))[1].tobytes(), 'compressed by JPEG 2000'),
    (tiff(DEEP), 'has colours of 16 bits'), (tiff(DEEP[..., :2]), 'TIFF, 40 x 24 pixels, 16 bits'),
    (tiff(NOISE.astype(np.float32)), 'has colours of 32 bits'),
    (tiff(IDS.astype(np.float16)), 'of a kind that is not read'),
    (pillow(Image.fromarray(NOISE).convert('CMYK'), 'TIFF'), "pixels of the kind 'CMYK'"),
    (b'P5 40 24 18\n' + IDS.tobytes(), 'declares 18 as its largest value'),
    (b'P2 # no comment\n40 24 18\n' + ' '.join(map(str, IDS.ravel())).encode(), 'declares 18 as its largest value'),
])
def test_label_maps_that_are_refused(file, content, message) -> None:
    path = write(file, content)
    with pytest.raises(DataError, match=f'label map {path}.*{message}'):
        read_label_array(path)


def mutations(content: bytes, count: int, random: np.random.RandomState) -> list[bytes]:
    """Cut, with a flipped bit, with zeros, or with another byte near the beginning."""
    mutated = []
    for i in range(count):
        changed, at = bytearray(content), random.randint(len(content))
        if i % 4 == 0:
            del changed[at:]
        elif i % 4 == 1:
            changed[at] ^= 1 << random.randint(8)
        elif i % 4 == 2:
            changed[at:at + 16] = bytes(len(changed[at:at + 16]))
        else:
            changed[random.randint(min(100, len(content)))] = random.randint(256)
        mutated.append(bytes(changed))
    return mutated


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('kind', IMAGES)
@pytest.mark.parametrize('read', [read_image, read_label_array])
def test_mutated_files(file, kind, read) -> None:
    """Nothing but a message, or pixels; those of PNGs, which have check sums, are the right ones."""
    path = write(file, IMAGES[kind])
    original = read(path) if 'png' in kind else None
    for content in mutations(IMAGES[kind], 16, np.random.RandomState(zlib.crc32(kind.encode()))):
        write(file, content)
        try:
            pixels = read(path)
        except DataError as error:
            assert path in str(error)
        else:
            assert original is None or np.array_equal(pixels, original)
