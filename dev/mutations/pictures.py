"""Images, label maps, zip archives, caches of samples and class statistics."""
from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.random import RandomState
from PIL import Image

from dev.mutations.subject import Outcome, Subject, damaged, judged
from mmseg.datasets import build_dataset
from mmseg.datasets.archives import open_archive
from mmseg.datasets.class_stats import CLASS_FILE, STATS_FILE, load_stats, save_stats
from mmseg.datasets.files import read_image
from mmseg.datasets.label_format import LabelFormat
from mmseg.datasets.sample_cache import MANIFEST, write_cache
from mmseg.datasets.storage import list_files, read_bytes

HEIGHT, WIDTH = 24, 40
SAVED = {'.png': {}, '.jpg': dict(quality=95), '.tif': dict(compression='tiff_lzw'), '.bmp': {}, '.ppm': {},
         '.webp': dict(lossless=True)}


def _picture(rng: RandomState) -> np.ndarray:
    cells = rng.randint(0, 256, (HEIGHT // 8, WIDTH // 8, 3)).astype(np.uint8)
    return cells.repeat(8, 0).repeat(8, 1)


def _label(rng: RandomState) -> np.ndarray:
    return rng.choice([0, 1, 2, 255], (HEIGHT // 8, WIDTH // 8)).astype(np.uint8).repeat(8, 0).repeat(8, 1)


def _encoded(image: Image.Image, suffix: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, Image.registered_extensions()[suffix], **options)
    return file.getvalue()


def _equal(array: np.ndarray, other: np.ndarray) -> bool:
    return array.dtype == other.dtype and np.array_equal(array, other)


class Images(Subject):
    """Photographs in the formats that are read."""
    name = 'images'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        picture = Image.fromarray(_picture(RandomState(0)))
        self.files = {suffix: _encoded(picture, suffix, **options) for suffix, options in SAVED.items()}
        self.whole: dict[str, np.ndarray] = {}
        for suffix, content in self.files.items():
            (folder / f'whole{suffix}').write_bytes(content)
            self.whole[suffix] = read_image(str(folder / f'whole{suffix}'))

    def case(self, rng: RandomState) -> Outcome:
        """Damage one, then decode it."""
        suffix = str(rng.choice(list(self.files)))
        change, content = damaged(self.files[suffix], rng)
        path = self.folder / f'a{suffix}'
        path.write_bytes(content)
        return judged(f'{suffix}: {change}', lambda: read_image(str(path)),
                      lambda image: _equal(image, self.whole[suffix]), (str(path), ), seen=suffix == '.png')


class LabelMaps(Subject):
    """Label maps as PNGs: grey with 8 and 16 bits, and with a palette. All of it has check sums."""
    name = 'label maps'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.label = _label(RandomState(0))
        with_palette = Image.fromarray(self.label, 'P')
        with_palette.putpalette(list(RandomState(1).randint(0, 256, 768)))
        deep = cv2.imencode('.png', self.label.astype(np.uint16))[1].tobytes()
        self.files = [_encoded(Image.fromarray(self.label), '.png'), _encoded(with_palette, '.png'), deep,
                      _encoded(Image.fromarray(self.label), '.jpg', quality=95)]

    def case(self, rng: RandomState) -> Outcome:
        """Damage one, then read its ids."""
        kind = int(rng.randint(len(self.files)))
        change, content = damaged(self.files[kind], rng)
        path = self.folder / 'a.png'
        path.write_bytes(content)
        return judged(f'{kind}: {change}', lambda: LabelFormat(num_classes=3).load(str(path)),
                      lambda label: _equal(label, self.label), (str(path), ))


class Archives(Subject):
    """Data sets in zip archives, packed and not."""
    name = 'zips'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.members = {f'images/{index}.png': _encoded(Image.fromarray(_picture(RandomState(index))), '.png')
                        for index in range(3)}
        self.files = []
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            file = io.BytesIO()
            with zipfile.ZipFile(file, 'w', method) as archive:
                for name, content in self.members.items():
                    archive.writestr(name, content)
            self.files.append(file.getvalue())

    def case(self, rng: RandomState) -> Outcome:
        """Damage one, then list and read its members."""
        change, content = damaged(self.files[int(rng.randint(2))], rng)
        path = self.folder / 'a.zip'
        path.write_bytes(content)
        open_archive.cache_clear()

        def use() -> dict[str, bytes]:
            images = f'{path}/images'
            return {f'images/{name}': read_bytes(f'{images}/{name}', 'image')
                    for name in list_files(images, '.png').files}

        return judged(change, use, lambda members: members == self.members, (str(path), ))


def write_images(folder: Path) -> dict[str, Any]:
    """Write three images with labels; returns the section of their data set, but for the pipeline."""
    for part in ('img', 'ann'):
        (folder / part).mkdir(parents=True)
    for index in range(3):
        rng = RandomState(index)
        (folder / 'img' / f'{index}.png').write_bytes(_encoded(Image.fromarray(_picture(rng)), '.png'))
        (folder / 'ann' / f'{index}.png').write_bytes(_encoded(Image.fromarray(_label(rng)), '.png'))
    return dict(type='CustomDataset', img_dir=str(folder / 'img'), ann_dir=str(folder / 'ann'), img_suffix='.png',
                seg_map_suffix='.png', classes=['a', 'b', 'c'])


class SampleCaches(Subject):
    """Caches of decoded images: a damaged sample is decoded anew, a damaged manifest is named."""
    name = 'caches'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
                    dict(type='Resize', img_scale=(20, 12)), dict(type='DefaultFormatBundle'),
                    dict(type='Collect', keys=['img', 'gt_semantic_seg'])]
        self.dataset = build_dataset(dict(write_images(folder / 'data'), pipeline=pipeline))
        self.samples = self._samples()
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            write_cache(self.dataset, folder / 'whole', 1)
        self.files = {path.name: path.read_bytes() for path in (folder / 'whole').iterdir()}

    def _samples(self) -> list[tuple[np.ndarray, ...]]:
        samples = [self.dataset.get(index, RandomState(0)) for index in range(len(self.dataset))]
        return [tuple(np.asarray(sample[key]) for key in ('img', 'gt_semantic_seg')) for sample in samples]

    def case(self, rng: RandomState) -> Outcome:
        """Damage a file of one, then read all samples."""
        name = str(rng.choice([*self.files, MANIFEST]))
        change, content = damaged(self.files[name], rng)
        cache = self.folder / 'cache'
        shutil.copytree(self.folder / 'whole', cache, copy_function=os.link)
        (cache / name).unlink()
        (cache / name).write_bytes(content)

        def use() -> list[tuple[np.ndarray, ...]]:
            self.dataset.use_cache(str(cache))
            return self._samples()

        try:
            return judged(f'{name}: {change}', use, lambda samples: all(
                _equal(a, b) for one, other in zip(samples, self.samples) for a, b in zip(one, other)), (str(cache), ))
        finally:
            shutil.rmtree(cache)


class Statistics(Subject):
    """The files with the classes of each label map."""
    name = 'class statistics'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        rng = RandomState(0)
        save_stats({f'ann/{index}.png': {c: int(rng.randint(1, 999)) for c in range(index, index + 3)}
                    for index in range(4)}, folder)
        self.files = {name: (folder / name).read_bytes() for name in (STATS_FILE, CLASS_FILE)}
        self.whole = load_stats(folder)

    def case(self, rng: RandomState) -> Outcome:
        """Damage the text of a file, or an entry of it, then read both."""
        name = str(rng.choice(list(self.files)))
        if rng.randint(2):
            change, content = damaged(self.files[name], rng)
        else:
            change, content = self._changed(json.loads(self.files[name]), rng)
        (self.folder / name).write_bytes(content)
        try:
            return judged(f'{name}: {change}', lambda: load_stats(self.folder), lambda stats: stats == self.whole,
                          (STATS_FILE, ))
        finally:
            (self.folder / name).write_bytes(self.files[name])

    @staticmethod
    def _changed(content: Any, rng: RandomState) -> tuple[str, bytes]:
        """One entry of the first or second level replaced."""
        value = [None, -1, 0, 1.5, '7', [], {}, 'x', 10**30, [['a', 1]]][int(rng.randint(10))]
        keys = list(content) if isinstance(content, dict) else list(range(len(content)))
        key = keys[int(rng.randint(len(keys)))]
        if rng.randint(2) or not content[key]:
            content[key] = value
            return f'{key!r} is {value!r}', json.dumps(content).encode()
        inner = content[key]
        names = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        place = names[int(rng.randint(len(names)))]
        inner[place] = value
        return f'{key!r}, {place!r} is {value!r}', json.dumps(content).encode()
