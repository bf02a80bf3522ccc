"""Drawing the built-in benchmark into folders of the layouts of GTA and Cityscapes."""
from __future__ import annotations

import json
import multiprocessing
import shutil
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmseg.cli.convert import main as convert
from mmseg.datasets.cityscapes_labels import LABELS
from mmseg.toy_scenes import LABEL_IDS, Scene, label_ids, polygons, render, street_scene

# One index never serves two splits, so that validation scenes are new to the networks.
SPLITS = {'game': ('game', 0), 'train': ('camera', 0), 'val': ('camera', 100000)}
CITIES = {'train': ('ashford', 'brookfield', 'carlow'), 'val': ('dunmore', )}


def write_image(path: Path, rgb: np.ndarray) -> None:
    """Write uint8 RGB [H, W, 3] as PNG.

    Raises:
        OSError: if the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), rgb[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 6]):
        raise OSError(f'cannot write {path}: is the disk full, or the folder not yours?')


def write_game(scene: Scene, root: Path, number: int) -> None:
    """GTA's layout: images/00001.png and labels/00001.png, a palette image of Cityscapes label ids."""
    write_image(root / 'images' / f'{number:05d}.png', render(scene))
    path = root / 'labels' / f'{number:05d}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = Image.fromarray(label_ids(scene)).convert('P')
    labels.putpalette(_palette())
    labels.save(path)


def _palette() -> list[int]:
    """RGB triples of the label ids 0 to 255, in the colours of Cityscapes."""
    palette = np.zeros((256, 3), np.uint8)
    for name, number in LABEL_IDS.items():
        palette[number] = LABELS[name].color
    return palette.ravel().tolist()


def write_camera(scene: Scene, root: Path, split: str, number: int) -> None:
    """Cityscapes' layout: leftImg8bit/<split>/<city>/*.png and gtFine/<split>/<city>/*_polygons.json."""
    city = CITIES[split][number % len(CITIES[split])]
    stem = f'{city}_{number:06d}_000000'
    write_image(root / 'leftImg8bit' / split / city / f'{stem}_leftImg8bit.png', render(scene))
    truth = root / 'gtFine' / split / city / f'{stem}_gtFine_polygons.json'
    truth.parent.mkdir(parents=True, exist_ok=True)
    objects = [dict(label=label, polygon=outline) for label, outline in polygons(scene)]
    truth.write_text(json.dumps(dict(imgHeight=scene.height, imgWidth=scene.width, objects=objects)))


def write_scene(out: Path, seed: int, size: tuple[int, int], item: tuple[str, int]) -> None:
    """Draw and write one scene; item = (split, number)."""
    split, number = item
    domain, offset = SPLITS[split]
    scene = street_scene(domain, seed, offset + number, *size)
    if split == 'game':
        write_game(scene, out / 'game', number + 1)
    else:
        write_camera(scene, out / 'camera', split, number)


def make_toy_data(out: Path, seed: int, num: tuple[int, int, int], size: tuple[int, int], nproc: int = 2) -> bool:
    """Draw and convert everything. Returns False if it is there already with the same settings."""
    settings, done = dict(seed=seed, num=list(num), size=list(size)), out / 'settings.json'
    if done.is_file() and json.loads(done.read_text()) == settings:
        return False
    for folder in ('game', 'camera'):
        shutil.rmtree(out / folder, ignore_errors=True)
    items = [(split, number) for split, count in zip(SPLITS, num) for number in range(count)]
    with multiprocessing.get_context('spawn').Pool(nproc) as pool:
        pool.map(partial(write_scene, out, seed, size), items, chunksize=8)
    convert(['gta', str(out / 'game'), '--nproc', str(nproc)])
    convert(['cityscapes', str(out / 'camera'), '--nproc', str(nproc)])
    done.write_text(json.dumps(settings))
    return True
