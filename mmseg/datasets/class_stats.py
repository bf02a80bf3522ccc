"""How many pixels of each class each label map has: what rare class sampling needs to know."""
from __future__ import annotations

import json
import os
import warnings
import zlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.pool import Pool, ThreadPool
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mmseg.datasets.label_format import count_ids
from mmseg.errors import DataError
from mmseg.utils.atomic import write_json
from mmseg.utils.labels import IGNORED

STATS_FILE, STATS_DICT_FILE = 'sample_class_stats.json', 'sample_class_stats_dict.json'
CLASS_FILE = 'samples_with_class.json'
FileCounts = dict[str, dict[int, int]]


@dataclass(frozen=True)
class ClassStats:
    """Statistics of label files.

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
        return ClassStats({int(table[c]): n for c, n in self.totals.items() if table[c] != IGNORED},
                          {int(table[c]): s for c, s in self.samples.items() if table[c] != IGNORED}, self.files)

    def of(self, files: Collection[str]) -> ClassStats:
        """Those of some of the files."""
        if set(self.files) <= set(files):
            return self
        samples = {c: [(file, n) for file, n in found if file in files] for c, found in self.samples.items()}
        samples = {c: found for c, found in samples.items() if found}
        return ClassStats({c: sum(n for _, n in found) for c, found in samples.items()}, samples,
                          [file for file in self.files if file in files])

    @property
    def counts(self) -> FileCounts:
        """By label file, the number of pixels by class id."""
        counts: FileCounts = {file: {} for file in self.files}
        for c, found in self.samples.items():
            for file, n in found:
                counts[file][c] = n
        return counts


NOTHING = ClassStats({}, {}, [])


def tail(path: str, depth: int = 1) -> str:
    """The last ``depth`` parts of a path, be its separators those of Linux or of Windows."""
    return '/'.join(path.replace('\\', '/').split('/')[-depth:])


def depth_of(path: str) -> int:
    """How many parts a path has."""
    return path.replace('\\', '/').count('/') + 1


def telling_depth(paths: Sequence[str]) -> int:
    """How many last parts tell the paths apart.

    Raises:
        DataError: if a path occurs twice.
    """
    for depth in range(1, 1 + max(map(depth_of, paths))):
        if len({tail(path, depth) for path in paths}) == len(paths):
            return depth
    raise DataError(f'rare class sampling: two images share one label file, such as {max(paths, key=paths.count)}')


def match_files(counted: Sequence[str], wanted: Sequence[str], root: str) -> dict[str, int]:
    """Which of the files in the statistics is which label file of a data set.

    Paths below ``root`` are compared; where none agrees (the statistics were made elsewhere, in other folders), as many
    last parts as tell the label files apart.

    Args:
        counted: paths in the statistics, as they were when they were counted.
        wanted: label files of the data set.
        root: folder of the data set.

    Returns:
        From path in the statistics to position in ``wanted``.

    Raises:
        DataError: if a path occurs twice in ``wanted``.
    """
    least = telling_depth(wanted)
    below = max(depth_of(os.path.relpath(path, root).replace('../', '')) for path in wanted)
    for depth in sorted({least, max(least, below)}, reverse=True):
        index = {tail(path, depth): i for i, path in enumerate(wanted)}
        found: dict[int, str] = {}
        for path in counted:
            i = index.get(tail(path, depth))
            if i is not None and (i not in found or path == wanted[i]):
                found[i] = path
        if not all(_are_others(path, wanted[i]) for i, path in found.items()):
            return {path: i for i, path in found.items()}
    return {}


def _are_others(path: str, wanted: str) -> bool:
    """Whether both files exist and are not the same."""
    return os.path.exists(path) and os.path.exists(wanted) and not os.path.samefile(path, wanted)


def class_pixels(label: np.ndarray) -> dict[int, int]:
    """Number of pixels by class id, 255 left out."""
    counts = count_ids(label)
    return {int(c): int(counts[c]) for c in np.flatnonzero(counts) if c != IGNORED}


def progress_map(function: Callable[[Any], Any], items: Sequence[Any], workers: int, title: str,
                 pool: type[Pool] = Pool) -> Iterable[Any]:
    """``map`` in the order of ``items``, over several processes (or threads), with a progress bar."""
    bar = {'total': len(items), 'desc': title, 'unit': 'file'}
    if workers <= 1:
        yield from tqdm(map(function, items), **bar)
        return
    with pool(workers) as running:
        yield from tqdm(running.imap(function, items, chunksize=8), **bar)


def samples_of(counts: FileCounts) -> dict[int, list[tuple[str, int]]]:
    """By class id, the label files that hold the class and their number of pixels of it."""
    samples: dict[int, list[tuple[str, int]]] = {}
    for file, classes in counts.items():
        for c, n in classes.items():
            samples.setdefault(c, []).append((file, n))
    return samples


def _stats_of(counts: FileCounts) -> ClassStats:
    samples = samples_of(counts)
    return ClassStats({c: sum(n for _, n in found) for c, found in samples.items()}, samples, list(counts))


def save_stats(counts: FileCounts, folder: str | os.PathLike) -> None:
    """Write the three statistics files into ``folder``, each atomically.

    Args:
        counts: by label file, the number of pixels by class id (as :func:`class_pixels` counts them).
    """
    folder = Path(folder)
    write_json(folder / STATS_DICT_FILE, counts)
    write_json(folder / CLASS_FILE, samples_of(counts))
    write_json(folder / STATS_FILE, [{**classes, 'file': file} for file, classes in counts.items()])


def _sorted(samples: dict[int, list[tuple[str, int]]]) -> dict[int, list[tuple[str, int]]]:
    return {c: sorted(found) for c, found in samples.items() if found}


def _class_id(text: Any) -> int:
    if not 0 <= int(text) < IGNORED:
        raise ValueError(f'{text!r} is no class')
    return int(text)


def _file(name: Any) -> str:
    if not isinstance(name, str):
        raise ValueError(f'{name!r} is no file')
    return name


def _pixels(number: Any) -> int:
    if type(number) is not int or number < 1:
        raise ValueError(f'{number!r} is no number of pixels')
    return number


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
        counts = {_file(entry['file']): {_class_id(c): _pixels(n) for c, n in entry.items() if c != 'file'}
                  for entry in per_file}
        listed = {_class_id(c): [(file, n) for file, n in found] for c, found in samples.items()}
        if len(counts) < len(per_file) or _sorted(listed) != _sorted(samples_of(counts)):
            raise ValueError('they contradict each other')
        return ClassStats({c: sum(n for _, n in found) for c, found in samples_of(counts).items()}, listed,
                          list(counts))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(f'the class statistics {paths[0]} and {paths[1].name} cannot be read ({error}): delete them, '
                        'they are counted again at the next start') from error


def cache_folder(root: str) -> Path:
    """Where the statistics of a data set go whose own folder cannot be written to."""
    cache = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(cache) / 'mmseg' / f'class_stats_{zlib.crc32(os.path.abspath(root).encode()):08x}'


def _refuse_read_only(folder: Path) -> None:
    """A folder without any write permission is meant to stay as it is, also where root (a container) could write."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    if not there.stat().st_mode & 0o222:
        raise PermissionError(f'{there} is read-only')


def known_stats(root: str) -> ClassStats:
    """What has been counted of a data set: in its folder, and beside it where the folder cannot be written to."""
    first, second = (load_stats(folder) or NOTHING for folder in (Path(root), cache_folder(root)))
    new = set(second.files) - set(first.files)
    return _stats_of({**first.counts, **second.of(new).counts}) if new else first


def obtain_stats(root: str, label_paths: Sequence[str], read: Callable[[int], np.ndarray]) -> ClassStats:
    """The statistics of some label files; those that are not counted yet are, with a progress bar, and kept.

    Args:
        root: folder of the data set, where the statistics files lie.
        label_paths: its label files.
        read: from index to label map, uint8 [H, W].
    """
    stats = known_stats(root)
    matched = match_files(stats.files, label_paths, root)
    missing = sorted(set(range(len(label_paths))) - set(matched.values()))
    if not missing:
        return stats.of(matched)
    title = f'Counting the classes of {len(missing)} label maps of {root} (once)'
    pixels = progress_map(lambda idx: class_pixels(read(idx)), missing, min(8, os.cpu_count() or 1), title, ThreadPool)
    new = dict(zip((label_paths[idx] for idx in missing), pixels, strict=True))
    counts = {**stats.counts, **new}
    _keep(counts, root)
    return _stats_of(counts).of({*matched, *new})


def _keep(counts: FileCounts, root: str) -> None:
    for folder in (Path(root), cache_folder(root)):
        try:
            _refuse_read_only(folder)
            save_stats(counts, folder)
            print(f'Class statistics are kept in {folder}')
            return
        except OSError as error:
            warnings.warn(f'cannot write the class statistics to {folder} ({error})', UserWarning, stacklevel=3)
    raise DataError(f'the class statistics of {root} can be saved neither there nor in {folder}: make one writable '
                    '(or set XDG_CACHE_HOME)')
