"""Images and label maps decoded and resized once, kept on disk and mapped into memory while training."""
from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmseg.datasets.class_stats import progress_map
from mmseg.datasets.errors import DataError
from mmseg.datasets.files import file_size, write_atomically, write_json
from mmseg.datasets.pipelines.loading import LoadAnnotations, LoadImageFromFile, loaded
from mmseg.datasets.pipelines.transforms import Resize, resize_fields, resized

if TYPE_CHECKING:
    from mmseg.datasets.custom import CustomDataset

MANIFEST = 'cache.json'
MAKE = 'make one with tools/cache_dataset.py'
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
    others = [i for i, t in enumerate(transforms) if not isinstance(t, Transform)]
    steps = transforms[:others[0] if others else None]
    if not steps or not isinstance(steps[0], LoadImageFromFile) or sum(isinstance(t, Resize) for t in steps) > 1:
        raise DataError(f'the pipeline of {dataset.img_dir} cannot be cached: it has to begin with LoadImageFromFile, '
                        'and to resize at most once before its other transforms')
    return steps


def contents(dataset: CustomDataset, steps: Iterable[Transform]) -> dict[str, Any]:
    """What a cache is made of, as it stands in its manifest; differs if the cache would."""
    with_labels = any(isinstance(t, LoadAnnotations) for t in steps)
    images = [(info['filename'], file_size(os.path.join(dataset.img_dir, info['filename'])))
              for info in dataset.img_infos]
    labels = [file_size(dataset.label_path(idx)) for idx in range(len(dataset))] if with_labels else []
    described = {type(step).__name__: vars(step) for step in steps}
    made = dict(images=len(images), image_files=_digest(images), label_files=_digest(labels),
                label_format=_digest(_bytes_of(dataset.label_format)) if with_labels else None, transforms=described)
    return json.loads(json.dumps(made))


def _digest(content: Any) -> str:
    return f'{zlib.crc32(repr(content).encode()):08x}'


def _bytes_of(label_format: Any) -> list[Any]:
    """The tables of a label format as numbers that can be compared."""
    values = [getattr(value, 'table', value) for value in vars(label_format).values()]
    return [zlib.crc32(value.tobytes()) if isinstance(value, np.ndarray) else value for value in values]


def write_arrays(path: Path, arrays: Iterable[np.ndarray]) -> None:
    """One array after the other, each in the format of ``.npy`` files."""
    def write(temporary: str) -> None:
        with open(temporary, 'wb') as file:
            for array in arrays:
                np.lib.format.write_array(file, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)

    write_atomically(path, write)


def map_arrays(path: Path) -> list[np.ndarray]:
    """What :func:`write_arrays` wrote, not read but mapped; changes stay in this process.

    Raises:
        DataError: if the file is missing or damaged.
    """
    arrays = []
    try:
        with open(path, 'rb') as file:
            end = os.fstat(file.fileno()).st_size
            while file.tell() < end:
                np.lib.format.read_magic(file)
                shape, _, kind = np.lib.format.read_array_header_1_0(file)
                offset = file.tell()
                arrays.append(np.memmap(file, kind, 'c', offset, shape).view(np.ndarray))
                file.seek(offset + arrays[-1].nbytes)
    except (OSError, ValueError) as error:
        raise DataError(f'the cached sample {path} cannot be read ({error}): delete it, if it is there, and run '
                        'tools/cache_dataset.py again') from None
    return arrays


@dataclass(frozen=True)
class SampleWriter:
    """Writes the samples of a data set into a folder.

    Args:
        dataset: reads the images.
        steps: see :func:`cached_steps`.
        folder: of the cache.
    """
    dataset: CustomDataset
    steps: list[Transform]
    folder: Path

    def __call__(self, idx: int) -> bool:
        """Write sample ``idx`` unless it is there; returns whether it was not."""
        path = sample_path(self.folder, self.dataset, idx)
        if path.is_file():
            return False
        write_arrays(path, self.arrays(idx))
        return True

    def arrays(self, idx: int) -> list[np.ndarray]:
        """Original shape of the image, image and, if the pipeline loads it, label map."""
        results = self.dataset.describe(idx)
        results['seg_fields'] = []
        for step in self.steps:
            results = step(results)
        kept = [results[key] for key in ('img', 'gt_semantic_seg') if key in results]
        return [np.array(results['ori_shape']), *kept]


def sample_path(folder: Path, dataset: CustomDataset, idx: int) -> Path:
    """Where sample ``idx`` lies."""
    return folder / f"{dataset.img_infos[idx]['filename']}.arrays"


def write_cache(dataset: CustomDataset, folder: str | os.PathLike, nproc: int) -> None:
    """Cache all samples of a data set; a repeated call goes on where the last one ended.

    Raises:
        DataError: if the pipeline cannot be cached, the folder holds another cache, or the disk is too small.
    """
    folder, steps = Path(folder), cached_steps(dataset)
    made_of = contents(dataset, steps)
    if (folder / MANIFEST).is_file():
        _compare(folder, made_of, 'delete it, or choose another folder')
    writer = SampleWriter(dataset, steps, folder)
    size = sum(array.nbytes for array in writer.arrays(0)) * len(dataset)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [idx for idx in range(len(dataset)) if not sample_path(folder, dataset, idx).is_file()]
    needed, free = size * len(missing) / len(dataset), shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(f'{folder} needs about {needed / 2**30:.1f} GiB more, the disk has {free / 2**30:.1f}: choose '
                        'another folder')
    write_json(folder / MANIFEST, dict(made_of=made_of, complete=False))
    new = sum(progress_map(writer, missing, nproc, f'Caching {dataset.img_dir}'))
    write_json(folder / MANIFEST, dict(made_of=made_of, complete=True))
    print(f'{folder}: {len(dataset)} samples, about {size / 2**30:.2f} GiB; {new} written, {len(dataset) - new} were '
          'already')


def _compare(folder: Path, made_of: dict[str, Any], remedy: str) -> bool:
    """Refuse a cache of something else; returns whether the cache is complete."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        there, complete = manifest['made_of'], manifest['complete']
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f'{folder / MANIFEST} cannot be read ({error!r}): {MAKE}') from None
    differing = [key for key in made_of if made_of[key] != there.get(key)]
    if differing:
        key = differing[0]
        raise DataError(f'the cache {folder} was made of other {key.replace("_", " ")}: it has {there.get(key)}, the '
                        f'config {made_of[key]}; {remedy}')
    return complete


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
        self.folder = Path(folder)
        steps = cached_steps(dataset)
        if not (self.folder / MANIFEST).is_file():
            raise DataError(f'there is no cache in {self.folder}: {MAKE}')
        if not _compare(self.folder, contents(dataset, steps), MAKE):
            raise DataError(f'the cache {self.folder} is incomplete: run tools/cache_dataset.py again, it goes on')
        self.num_steps = len(steps)
        self.resize = next((step for step in steps if isinstance(step, Resize)), None)

    def load(self, dataset: CustomDataset, idx: int) -> dict[str, Any]:
        """What the replaced transforms make of sample ``idx``."""
        results = dataset.describe(idx)
        path = sample_path(self.folder, dataset, idx)
        original, image, *label = map_arrays(path)
        name, shape = results['img_info']['filename'], tuple(original.tolist())
        results.update(loaded(os.path.join(dataset.img_dir, name), name, shape), img=image)
        if self.resize is not None:
            results['scale'] = self.resize.fixed_scale(shape)
            results.update(resized(shape, image.shape))
            resize_fields(results, results['seg_fields'], image.shape)
        if label:
            results['gt_semantic_seg'] = label[0]
            results['seg_fields'].append('gt_semantic_seg')
        return results
