"""How many pixels of each class each label map has: what rare class sampling needs to know."""
from __future__ import annotations

import json
import os
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.pool import Pool, ThreadPool
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mmseg.datasets.errors import DataError
from mmseg.datasets.files import count_ids, write_json

STATS_FILE, STATS_DICT_FILE = 'sample_class_stats.json', 'sample_class_stats_dict.json'
CLASS_FILE = 'samples_with_class.json'
FileCounts = dict[str, dict[int, int]]


@dataclass(frozen=True)
class ClassStats:
    """Statistics of a labelled data set.

    Attributes:
        totals: number of pixels by class id.
        samples: by class id, the label files that hold the class and their number of pixels of it.
        files: all label files that were counted.
    """
    totals: dict[int, int]
    samples: dict[int, list[tuple[str, int]]]
    files: list[str]

    def mapped(self, table: np.ndarray | None) -> ClassStats:
        """With class indices ``table[id]`` instead of ids; classes mapped to 255 are dropped."""
        if table is None:
            return self
        return ClassStats({int(table[c]): n for c, n in self.totals.items() if table[c] != 255},
                          {int(table[c]): s for c, s in self.samples.items() if table[c] != 255}, self.files)


def class_pixels(label: np.ndarray) -> dict[int, int]:
    """Number of pixels by class id, 255 left out."""
    counts = count_ids(label)
    return {int(c): int(counts[c]) for c in np.flatnonzero(counts) if c != 255}


def progress_map(function: Callable[[Any], Any], items: Sequence[Any], workers: int, title: str,
                 pool: type[Pool] = Pool) -> Iterable[Any]:
    """``map`` in the order of ``items``, over several processes (or threads), with a progress bar."""
    bar = {'total': len(items), 'desc': title, 'unit': 'file'}
    if workers <= 1:
        yield from tqdm(map(function, items), **bar)
        return
    with pool(workers) as running:
        yield from tqdm(running.imap(function, items, chunksize=8), **bar)


def save_stats(counts: FileCounts, folder: str | os.PathLike) -> None:
    """Write the three statistics files into ``folder``, each atomically.

    Args:
        counts: by label file, the number of pixels by class id (as :func:`class_pixels` counts them).
    """
    samples: dict[int, list[list]] = {}
    for file, classes in counts.items():
        for c, n in classes.items():
            samples.setdefault(c, []).append([file, n])
    folder = Path(folder)
    write_json(folder / STATS_DICT_FILE, counts)
    write_json(folder / CLASS_FILE, samples)
    write_json(folder / STATS_FILE, [{**classes, 'file': file} for file, classes in counts.items()])


def load_stats(folder: str | os.PathLike) -> ClassStats | None:
    """Read the statistics files in ``folder``; None if there are none.

    Raises:
        DataError: if a file is damaged.
    """
    paths = [Path(folder) / STATS_FILE, Path(folder) / CLASS_FILE]
    if not all(path.is_file() for path in paths):
        return None
    try:
        per_file, samples = (json.loads(path.read_text()) for path in paths)
        totals: Counter[int] = Counter()
        for entry in per_file:
            totals.update({int(c): n for c, n in entry.items() if c != 'file'})
        return ClassStats(dict(totals), {int(c): [(f, int(n)) for f, n in s] for c, s in samples.items()},
                          [entry['file'] for entry in per_file])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f'the class statistics {paths[0]} and {paths[1].name} cannot be read ({error}): delete them, '
                        'they are counted again at the next start') from error


def cache_folder(root: str) -> Path:
    """Where the statistics of a data set go whose own folder cannot be written to."""
    cache = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(cache) / 'mmseg' / f'class_stats_{zlib.crc32(os.path.abspath(root).encode()):08x}'


def _refuse_read_only(folder: Path) -> None:
    """A folder without any write permission is meant to stay as it is, also where root (a container) could write."""
    if folder.is_dir() and not folder.stat().st_mode & 0o222:
        raise PermissionError('it is read-only')


def obtain_stats(root: str, label_paths: Sequence[str], read: Callable[[int], np.ndarray]) -> ClassStats:
    """Read the statistics of a data set; if there are none, count them with a progress bar and save them.

    Args:
        root: folder of the data set, where the statistics files lie.
        label_paths: its label files.
        read: from index to label map, uint8 [H, W].
    """
    for folder in (Path(root), cache_folder(root)):
        stats = load_stats(folder)
        if stats is not None:
            return stats
    title = f'Counting the classes of {len(label_paths)} label maps of {root} (once)'
    pixels = progress_map(lambda idx: class_pixels(read(idx)), range(len(label_paths)), min(8, os.cpu_count() or 1),
                          title, ThreadPool)
    counts = dict(zip(label_paths, pixels, strict=True))
    for folder in (Path(root), cache_folder(root)):
        try:
            _refuse_read_only(folder)
            save_stats(counts, folder)
            break
        except OSError as error:
            warnings.warn(f'cannot write the class statistics to {folder} ({error})', UserWarning, stacklevel=2)
    else:
        raise DataError(f'the class statistics of {root} can be saved neither there nor in {folder}: make one writable '
                        '(or set XDG_CACHE_HOME)')
    print(f'Class statistics are kept in {folder}')
    return load_stats(folder)
