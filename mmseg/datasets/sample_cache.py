"""Images and label maps decoded and resized once, and kept on disk for training."""
from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmseg.datasets.archives import open_archive, split_path
from mmseg.datasets.builder import build_dataset
from mmseg.datasets.class_stats import progress_map
from mmseg.datasets.construction import known_arguments
from mmseg.datasets.pipelines.compose import Compose
from mmseg.datasets.pipelines.loading import LoadAnnotations, LoadImageFromFile, loaded
from mmseg.datasets.pipelines.transforms import Resize, resize_fields, resized
from mmseg.datasets.sample_file import Sample, read_sample, write_sample
from mmseg.datasets.storage import read_bytes
from mmseg.errors import DataError
from mmseg.registry import DATASETS
from mmseg.utils.atomic import write_json
from mmseg.utils.commands import called
from mmseg.utils.notices import warn_once

if TYPE_CHECKING:
    from mmseg.datasets.custom import CustomDataset

MANIFEST, MAX_MANIFEST_BYTES = 'cache.json', 2**20
VERSION = 2  # raise it when the files change, or what is read from the same image or label map
MAKE = f'make one with {called("cache", "cache_dataset")}'
AGAIN = f'run {called("cache", "cache_dataset")} again'
_UNCHANGED = ['uint8', 'uint16', 'int16', 'float32', 'float64']  # types of files that OpenCV resizes
Transform = LoadImageFromFile | LoadAnnotations | Resize


def cached_steps(dataset: CustomDataset) -> list[Transform]:
    """The transforms at the beginning of the pipeline whose result is kept: reading, and resizing to a fixed scale.

    Raises:
        DataError: if the pipeline draws the scale, or does not begin with reading the image.
    """
    transforms = dataset.pipeline.transforms
    if any(isinstance(t, Resize) and t.random for t in transforms):
        raise DataError(f'the pipeline of {dataset.img_dir} draws the scale of its Resize (ratio_range, or several '
                        'img_scale): what changes from sample to sample cannot be cached. Give one img_scale, or train '
                        'without cache')
    steps: list[Transform] = []
    for transform in transforms:
        if not isinstance(transform, Transform):
            break
        steps.append(transform)
    if not steps or not isinstance(steps[0], LoadImageFromFile) or sum(isinstance(t, Resize) for t in steps) > 1:
        raise DataError(f'the pipeline of {dataset.img_dir} cannot be cached: it has to begin with LoadImageFromFile, '
                        'and to resize at most once before its other transforms')
    return steps


def _is_labelled(steps: Iterable[Transform]) -> bool:
    return any(isinstance(step, LoadAnnotations) for step in steps)


def contents(dataset: CustomDataset, steps: Iterable[Transform]) -> dict[str, str]:
    """What a cache is made of, as texts for its manifest: the names of all files, and how they are read."""
    infos, labelled = dataset.img_infos, _is_labelled(steps)
    return dict(images=str(len(infos)), image_files=f"{_digest([info['filename'] for info in infos]):08x}",
                label_files=f"{_digest([info['ann']['seg_map'] for info in infos if labelled]):08x}",
                label_format=dataset.label_format.full_key if labelled else 'none',
                transforms=str([(type(step).__name__, vars(step)) for step in steps]))


def _digest(content: Any) -> int:
    return zlib.crc32(repr(content).encode())


def file_state(path: str) -> tuple[int, ...]:
    """What is known of a file without reading it: size and times, or its checksum in a zip archive; () if missing."""
    place = split_path(path)
    if place is not None:
        _, entry = open_archive(place[0]).members.get(place[1], (None, None))
        return () if entry is None else (entry.file_size, entry.CRC)
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


@dataclass(frozen=True)
class SampleFolder:
    """The files of a cache, one per image, numbered in the order of the data set.

    A file says which image and label map it was made of: by their state (see :func:`file_state`), and by a checksum of
    their content, which is compared where the state is another (a data set that was copied).

    Args:
        folder: of the cache.
        steps: see :func:`cached_steps`.
        settings: how files are read; seed of the checksums, so that files of other settings do not pass for whole.
    """
    folder: Path
    steps: list[Transform]
    settings: int

    def path(self, idx: int) -> Path:
        """Where sample ``idx`` lies."""
        return self.folder / f'{idx:06d}.arrays'

    def decode(self, dataset: CustomDataset, idx: int) -> dict[str, Any]:
        """What the transforms make of the original files."""
        return Compose(self.steps).prepare(dataset.describe(idx))

    def read(self, dataset: CustomDataset, idx: int) -> Sample:
        """The sample on disk.

        Raises:
            DataError: if there is none, or it is damaged, or the original files are others by now.
        """
        sample = read_sample(self.path(idx), self._types, _is_labelled(self.steps), self.settings)
        if sample.stamp != self._stamp(dataset, idx) and sample.content != self._content(dataset, idx):
            raise DataError(f'the cached sample {self.path(idx)} is older than {dataset.image_path(idx)} or its labels')
        return sample

    def write(self, dataset: CustomDataset, idx: int) -> bool:
        """Decode and keep sample ``idx`` unless it is there; returns whether it was not."""
        with suppress(DataError):
            self.read(dataset, idx)
            return False
        # The stamp comes first: a file that changes meanwhile has another one afterwards.
        sources = self._stamp(dataset, idx), self._content(dataset, idx)
        results = self.decode(dataset, idx)
        sample = Sample(*sources, results['ori_shape'], results['img'], results.get('gt_semantic_seg'))
        write_sample(self.path(idx), sample, self._types, self.settings)
        return True

    @property
    def _types(self) -> tuple[np.dtype, ...]:
        """Those that images can have."""
        loader = next(step for step in self.steps if isinstance(step, LoadImageFromFile))
        names = ['float32'] if loader.to_float32 else _UNCHANGED if loader.color_type == 'unchanged' else ['uint8']
        return tuple(map(np.dtype, names))

    def _sources(self, dataset: CustomDataset, idx: int) -> list[tuple[str, str]]:
        """The files of a sample, and what messages call them."""
        label = [(dataset.label_path(idx), 'label map')] if _is_labelled(self.steps) else []
        return [(dataset.image_path(idx), 'image'), *label]

    def _stamp(self, dataset: CustomDataset, idx: int) -> int:
        return _digest([file_state(path) for path, _ in self._sources(dataset, idx)])

    def _content(self, dataset: CustomDataset, idx: int) -> int:
        return _digest([zlib.crc32(read_bytes(path, what)) for path, what in self._sources(dataset, idx)])


def sample_folder(folder: Path, steps: list[Transform], made_of: dict[str, str]) -> SampleFolder:
    """Of a cache that is made of ``made_of``."""
    return SampleFolder(folder, steps, _digest((VERSION, made_of['label_format'], made_of['transforms'])))


def write_cache(dataset: CustomDataset, folder: str | os.PathLike, nproc: int) -> None:
    """Cache all samples of a data set; a repeated call keeps those that are whole and makes the others.

    Raises:
        DataError: if the pipeline cannot be cached, the folder holds another cache, or the disk is too small.
    """
    folder, steps = Path(folder), cached_steps(dataset)
    made_of = contents(dataset, steps)
    if os.path.isfile(folder / MANIFEST):
        _compare(folder, made_of, 'delete it, or choose another folder')
    samples = sample_folder(folder, steps, made_of)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        size = _needed_space(samples, dataset)
        write_json(folder / MANIFEST, dict(version=VERSION, made_of=made_of, complete=False))
        new = sum(progress_map(partial(samples.write, dataset), range(len(dataset)), nproc,
                               f'Caching {dataset.img_dir}'))
        write_json(folder / MANIFEST, dict(version=VERSION, made_of=made_of, complete=True))
    except OSError as error:
        raise DataError(f'the cache {folder} cannot be written ({error}): make room or choose another folder, '
                        f'and {AGAIN}, it goes on') from None
    print(f'{folder}: {len(dataset)} samples, about {size / 2**30:.2f} GiB; {new} written, {len(dataset) - new} were '
          'already')


def cache_dataset(section: dict | list | None, out: str | os.PathLike, nproc: int) -> None:
    """Cache source and target of a ``data.train`` section.

    Args:
        section: what the config has there.
        out: folder that gets a cache for each part.
        nproc: processes.

    Raises:
        DataError: if it takes no cache, or see :func:`write_cache`.
    """
    kind = section.get('type') if isinstance(section, dict) else section
    if not isinstance(section, dict) or not isinstance(kind, str) or (
            'cache' not in known_arguments(DATASETS.get(kind))):
        raise DataError(f'data.train is no UDADataset, but {kind}: only the parts of one can be cached')
    from mmseg.datasets.custom import CustomDataset  # which needs this module
    dataset = build_dataset({**section, 'rare_class_sampling': None, 'cache': None})
    for name, part in dataset.leaves():
        if not isinstance(part, CustomDataset):
            raise DataError(f'{name} is a {type(part).__name__}: only data sets on disk can be cached')
        write_cache(part, os.path.join(out, name), nproc)


def _needed_space(samples: SampleFolder, dataset: CustomDataset) -> int:
    """Bytes of all samples, if they are as large as the first.

    Raises:
        DataError: if the disk has no room for those that are missing.
    """
    results = samples.decode(dataset, 0)
    size = sum(results[key].nbytes for key in ('img', 'gt_semantic_seg') if key in results)
    needed = size * sum(not samples.path(idx).exists() for idx in range(len(dataset)))
    free = shutil.disk_usage(samples.folder).free
    if needed > free:
        raise DataError(f'{samples.folder} needs about {needed / 2**30:.1f} GiB more, the disk has '
                        f'{free / 2**30:.1f}: choose another folder')
    return size * len(dataset)


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        with open(path, 'rb') as file:
            manifest = json.loads(file.read(MAX_MANIFEST_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f'{path} cannot be read ({error}): delete it and {AGAIN}') from None
    made_of = manifest.get('made_of') if isinstance(manifest, dict) else None
    if not isinstance(made_of, dict):
        raise DataError(f'{path} does not describe a cache: delete it and {AGAIN}')
    if manifest.get('version') != VERSION:
        raise DataError(f'the cache {folder} was made by an older version: delete it and {AGAIN}')
    return manifest


def _compare(folder: Path, made_of: dict[str, str], remedy: str) -> bool:
    """Refuse a cache of something else; returns whether the cache is complete."""
    manifest = _read_manifest(folder)
    for key, value in made_of.items():
        there = manifest['made_of'].get(key)
        if there != value:
            there = there[:1000] if isinstance(there, str) else 'no text'  # some values cannot even be printed
            raise DataError(f'the cache {folder} was made of other {key.replace("_", " ")}: it has {there}, the config '
                            f'{value}; {remedy}')
    return manifest.get('complete') is True


class SampleCache:
    """Replaces the beginning of a data set's pipeline.

    Args:
        dataset: the samples have to be those of its pipeline and files.
        folder: where :func:`write_cache` put them.

    Attributes:
        num_steps: number of transforms that are replaced.

    Raises:
        DataError: if there is no cache, it is incomplete, or it is one of other files or settings.
    """

    def __init__(self, dataset: CustomDataset, folder: str | os.PathLike) -> None:
        folder, steps = Path(folder), cached_steps(dataset)
        made_of = contents(dataset, steps)
        if not os.path.isfile(folder / MANIFEST):
            raise DataError(f'there is no cache in {folder}: {MAKE}')
        if not _compare(folder, made_of, MAKE):
            raise DataError(f'the cache {folder} is incomplete: {AGAIN}, it goes on')
        self.num_steps = len(steps)
        self.resize = next((step for step in steps if isinstance(step, Resize)), None)
        self.samples = sample_folder(folder, steps, made_of)

    def load(self, dataset: CustomDataset, idx: int) -> dict[str, Any]:
        """What the replaced transforms make of sample ``idx``; they do it again, with a warning, if it is not whole."""
        try:
            sample = self.samples.read(dataset, idx)
        except DataError as error:
            decoded = self.samples.decode(dataset, idx)
            warn_once(f'{error}: it is decoded at each use until you {AGAIN}')
            return decoded
        results = dataset.describe(idx)
        name, shape = results['img_info']['filename'], sample.image.shape
        results.update(loaded(dataset.image_path(idx), name, sample.original), img=sample.image)
        if self.resize is not None:
            results['scale'] = self.resize.fixed_scale(sample.original)
            results.update(resized(sample.original, shape))
            resize_fields(results, results['seg_fields'], shape)
        if sample.label is not None:
            results['gt_semantic_seg'] = sample.label
            results['seg_fields'].append('gt_semantic_seg')
        return results
