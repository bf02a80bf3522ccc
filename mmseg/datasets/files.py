"""Reading images and label maps, counting label ids, writing files so that a reader never sees half of one."""
from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from mmseg.datasets.errors import DataError

_REPAIR = 'the file is damaged or incomplete: download or convert it again'
_DECODE_FLAGS = {'color': cv2.IMREAD_COLOR, 'grayscale': cv2.IMREAD_GRAYSCALE, 'unchanged': cv2.IMREAD_UNCHANGED}
_JPEG_START, _JPEG_END = b'\xff\xd8', b'\xff\xd9'


def _read_bytes(path: str, what: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise DataError(f'{what} {path} does not exist: check data_root, img_dir, ann_dir and the suffixes') from None
    except OSError as error:
        raise DataError(f'{what} {path} cannot be read: {error}') from None


def read_image(path: str, color_type: str = 'color') -> np.ndarray:
    """Decode an image file.

    Args:
        path: file in any format that OpenCV knows.
        color_type: 'color' (three channels), 'grayscale', or 'unchanged' (channels and depth as in the file).

    Returns:
        uint8 [H, W, 3] in the order blue, green, red, or uint8 [H, W].

    Raises:
        DataError: if the file is missing, truncated or no image.
    """
    content = _read_bytes(path, 'image')
    image = cv2.imdecode(np.frombuffer(content, np.uint8), _DECODE_FLAGS[color_type]) if content else None
    # The JPEG decoder fills what is missing with grey and says nothing, so its end marker is looked for.
    cut_off = content.startswith(_JPEG_START) and _JPEG_END not in content[-1024:]
    if image is None or cut_off:
        raise DataError(f'image {path}: {_REPAIR}')
    return image


def read_label(path: str) -> np.ndarray:
    """Decode a label map: a PNG with one channel, a palette being ignored.

    Returns:
        uint8 [H, W], the ids as they are in the file.

    Raises:
        DataError: if the file is missing or damaged, a colour image, or holds ids above 255.
    """
    _require_file(path)
    try:
        with Image.open(path) as file:
            label = np.array(file)
    except (OSError, SyntaxError, UnidentifiedImageError) as error:
        raise DataError(f'label map {path}: {_REPAIR} ({error})') from None
    if label.ndim != 2:
        raise DataError(f'label map {path} has {label.shape[2]} channels: it is a colour image. '
                        'Point ann_dir and seg_map_suffix at label ids, or run the converter of the data set')
    if label.dtype != np.uint8:
        if label.min() < 0 or label.max() > 255:
            raise DataError(f'label map {path} holds values from {label.min()} to {label.max()}; label ids are 0 to '
                            '255. Point ann_dir and seg_map_suffix at label ids, or run the converter of the data set')
        label = label.astype(np.uint8)
    return label


def _require_file(path: str) -> None:
    if not os.path.isfile(path):
        raise DataError(f'label map {path} does not exist: check ann_dir and seg_map_suffix, or run the converter of '
                        'the data set (tools/convert_datasets)')


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
