"""Tiny data sets in the layouts in which their owners publish them, and their zip files."""
from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
from cityscapesscripts.helpers.annotation import Annotation
from cityscapesscripts.preparation.json2labelImg import createLabelImage
from PIL import Image

from tests.datasets import scenes

CONDITIONS = ('fog', 'night', 'rain', 'snow')
SCENE = [dict(label='sky', polygon=[[0, 0], [29, 0], [29, 9], [0, 9]]),
         dict(label='road', polygon=[[0, 10], [29, 10], [29, 19], [0, 19]]),
         dict(label='cargroup', polygon=[[5, 12], [9, 12], [9, 15], [5, 15]]),
         dict(label='license plate', polygon=[[6, 13], [7, 13], [7, 14], [6, 14]]),
         dict(label='caravan', polygon=[[12, 12], [15, 12], [15, 15], [12, 15]]),
         dict(label='ego vehicle', polygon=[[0, 18], [29, 18], [29, 19], [0, 19]])]


def write_palette_png(path: Path, ids: np.ndarray) -> None:
    """Ids with a palette of random colours, as GTA and Mapillary have them."""
    image = Image.fromarray(ids)
    image.putpalette(np.random.RandomState(9).randint(0, 256, 768).astype(np.uint8).tolist())
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def write_gta(root: Path, count: int = 3, size: tuple[int, int] = (12, 16)) -> list[Path]:
    """``images/00000.png`` and ``labels/00000.png``; returns the labels, which begin with the ids 7, 33, 34 and 4."""
    files = [root / 'labels' / f'{i:05d}.png' for i in range(count)]
    for i, file in enumerate(files):
        ids = np.random.RandomState(i).randint(0, 35, size).astype(np.uint8)
        ids[0, :4] = (7, 33, 34, 4)
        write_palette_png(file, ids)
        scenes.write_image(root / 'images' / file.name, i, size)
    return files


def write_polygons(root: Path, frame: str, objects: list[dict]) -> Path:
    path = root / 'gtFine' / f'{frame}_gtFine_polygons.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(imgHeight=20, imgWidth=30, objects=objects)))
    return path


def write_cityscapes(root: Path, frames: tuple[str, ...]) -> None:
    """Images, polygons and label ids of frames such as ``train/ulm/ulm_000001_000019``."""
    for i, frame in enumerate(frames):
        polygons = write_polygons(root, frame, SCENE)
        annotation = Annotation()
        annotation.fromJsonFile(str(polygons))
        createLabelImage(annotation, 'ids').save(root / 'gtFine' / f'{frame}_gtFine_labelIds.png')
        scenes.write_image(root / 'leftImg8bit' / f'{frame}_leftImg8bit.png', i, (20, 30))


def write_acdc(root: Path, size: tuple[int, int] = (27, 48)) -> None:
    """One frame per condition and split, test frames without labels; and reference images, which are never used."""
    for c, condition in enumerate(CONDITIONS):
        for s, split in enumerate(('train', 'val', 'test')):
            stem = f'{condition}/{split}/GOPR{c}{s}/GOPR{c}{s}_frame_000001'
            scenes.write_image(root / 'rgb_anon' / f'{stem}_rgb_anon.png', 10 * c + s, size)
            reference = stem.replace(f'/{split}/', f'/{split}_ref/')
            scenes.write_image(root / 'rgb_anon' / f'{reference}_rgb_ref_anon.png', 10 * c + s, size)
            if split != 'test':
                scenes.write_label(root / 'gt' / f'{stem}_gt_labelTrainIds.png', 10 * c + s, size)


def zip_folder(root: Path, part: str, archive: Path, suffix: str = '') -> Path:
    """Pack the files of ``root/part`` that end in ``suffix`` under their path below ``root``."""
    with zipfile.ZipFile(archive, 'a', zipfile.ZIP_DEFLATED) as packed:
        for path in sorted((root / part).rglob(f'*{suffix}')):
            if path.is_file():
                packed.write(path, path.relative_to(root).as_posix())
    return archive
