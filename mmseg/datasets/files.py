"""Reading images and label maps, from folders and zip archives, counting label ids, writing files so that a reader
never sees half of one."""
from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from mmseg.datasets.archives import open_archive, split_path
from mmseg.datasets.errors import DataError

_REPAIR = 'the file is damaged or incomplete: download or convert it again'
_DECODE_FLAGS = {'color': cv2.IMREAD_COLOR, 'grayscale': cv2.IMREAD_GRAYSCALE, 'unchanged': cv2.IMREAD_UNCHANGED}
_JPEG_START, _JPEG_END = b'\xff\xd8', b'\xff\xd9'
_SINGLE_CHANNEL = ('1', 'L', 'P', 'I', 'I;16', 'F')  # Pillow's modes of them
_CHECKS = {
    'image': 'check data_root, img_dir, ann_dir and the suffixes',
    'label map': 'check ann_dir and seg_map_suffix, or run the converter of the data set (tools/convert_datasets)'
}


def is_packed(path: str) -> bool:
    """Whether ``path`` is, or lies in, a zip archive."""
    return split_path(path) is not None


def is_folder(path: str) -> bool:
    """Whether ``path`` is a folder, on disk or in a zip archive.

    Raises:
        DataError: if it names an archive that does not exist or is damaged.
    """
    place = split_path(path)
    return os.path.isdir(path) if place is None else place[1] in open_archive(place[0]).folders


def find_files(folder: str, suffix: str | tuple[str, ...]) -> list[str]:
    """Paths, relative to ``folder`` and with forward slashes, of all files below it that end in ``suffix``, sorted."""
    place = split_path(folder)
    if place is not None:
        start = '' if place[1] == '.' else f'{place[1]}/'
        return sorted(name[len(start):] for name in open_archive(place[0]).members
                      if name.startswith(start) and name.endswith(suffix))
    found = (Path(root, name) for root, _, names in os.walk(folder, followlinks=True) for name in names
             if name.endswith(suffix))
    return sorted(path.relative_to(folder).as_posix() for path in found)


def file_size(path: str) -> int:
    """Bytes of a file, on disk or in a zip archive; -1 if it does not exist."""
    place = split_path(path)
    if place is None:
        return os.path.getsize(path) if os.path.isfile(path) else -1
    _, entry = open_archive(place[0]).members.get(place[1], (None, None))
    return -1 if entry is None else entry.file_size


def read_bytes(path: str, what: str) -> bytes:
    """The content of a file, on disk or in a zip archive.

    Args:
        what: 'image' or 'label map', for messages.

    Raises:
        DataError: if it is missing or cannot be read.
    """
    try:
        place = split_path(path)
        return Path(path).read_bytes() if place is None else open_archive(place[0]).read(place[1])
    except FileNotFoundError:
        raise DataError(f'{what} {path} does not exist: {_CHECKS[what]}') from None
    except OSError as error:
        raise DataError(f'{what} {path} cannot be read: {error}') from None


def read_image(path: str, color_type: str = 'color') -> np.ndarray:
    """Decode an image file.

    Args:
        path: file in any format that OpenCV knows; may lie in a zip archive.
        color_type: 'color' (three channels), 'grayscale', or 'unchanged' (channels and depth as in the file).

    Returns:
        uint8 [H, W, 3] in the order blue, green, red, or uint8 [H, W].

    Raises:
        DataError: if the file is missing, truncated or no image.
    """
    content = read_bytes(path, 'image')
    image = cv2.imdecode(np.frombuffer(content, np.uint8), _DECODE_FLAGS[color_type]) if content else None
    # The JPEG decoder fills what is missing with grey and says nothing, so its end marker is looked for.
    cut_off = content.startswith(_JPEG_START) and _JPEG_END not in content[-1024:]
    if image is None or cut_off:
        raise DataError(f'image {path}: {_REPAIR}')
    return image


def read_mask(path: str, colours: bool = False) -> np.ndarray:
    """Decode a label map as ids or as colours.

    Args:
        path: PNG or another lossless format that Pillow knows; may lie in a zip archive.
        colours: of a file with one channel, look its palette's colours up.

    Returns:
        [H, W] of the ids in the file (a palette being ignored), or uint8 [H, W, 3] (red, green, blue).

    Raises:
        DataError: if the file is missing or damaged.
    """
    content = read_bytes(path, 'label map')
    try:
        with Image.open(io.BytesIO(content)) as file:
            return np.array(file.convert('RGB') if colours or file.mode not in _SINGLE_CHANNEL else file)
    except (OSError, SyntaxError, UnidentifiedImageError) as error:
        raise DataError(f'label map {path}: {_REPAIR} ({error})') from None


def as_ids(mask: np.ndarray, path: str) -> np.ndarray:
    """What :func:`read_mask` gave as label ids: uint8 [H, W].

    Raises:
        DataError: if it is a colour image or holds ids above 255.
    """
    if mask.ndim != 2:
        raise DataError(f'label map {path} has {mask.shape[2]} channels: it is a colour image. '
                        'Point ann_dir and seg_map_suffix at label ids, run the converter of the data set, or let '
                        'FolderDataset with a palette read it')
    if mask.dtype != np.uint8:
        if mask.min() < 0 or mask.max() > 255:
            raise DataError(f'label map {path} holds values from {mask.min()} to {mask.max()}; label ids are 0 to '
                            '255. Point ann_dir and seg_map_suffix at label ids, or run the converter of the data set')
        mask = mask.astype(np.uint8)
    return mask


def read_label(path: str) -> np.ndarray:
    """Decode a label map of ids: a PNG with one channel, a palette being ignored.

    Returns:
        uint8 [H, W], the ids as they are in the file.

    Raises:
        DataError: if the file is missing or damaged, a colour image, or holds ids above 255.
    """
    return as_ids(read_mask(path), path)


def count_ids(label: np.ndarray) -> np.ndarray:
    """Pixels per label id of a uint8 array of any shape: int64 [256]."""
    if label.ndim != 2:
        label = label.reshape(-1, label.shape[-1])
    return cv2.calcHist([label], [0], None, [256], [0, 256]).ravel().astype(np.int64)


def check_ids(label: np.ndarray, num_ids: int, ignore_index: int, path: str) -> None:
    """Refuse label ids outside of ``0 .. num_ids - 1`` that are neither ``ignore_index`` nor 255.

    Raises:
        DataError: naming the file and the ids.
    """
    present = np.flatnonzero(count_ids(label))
    wrong = [int(i) for i in present if i >= num_ids and i not in (ignore_index, 255)]
    if wrong:
        raise DataError(f'label map {path} holds the ids {wrong}; allowed are 0 to {num_ids - 1} and {ignore_index} '
                        '(ignored). Either ann_dir or seg_map_suffix is wrong, or the labels are not yet converted '
                        'to train ids (tools/convert_datasets)')


def write_atomically(path: str | os.PathLike, write: Callable[[str], Any]) -> None:
    """Have ``write(temporary path)`` make a file with the suffix of ``path``, then move it into place."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix='.unfinished_', suffix=path.suffix)
    os.close(handle)
    try:
        write(temporary)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def write_json(path: str | os.PathLike, content: Any) -> None:
    """Write ``content`` as JSON, indented by 2, atomically."""
    write_atomically(path, lambda temporary: Path(temporary).write_text(json.dumps(content, indent=2)))
