"""Is the data fit: folders, counts, a sample of images and label maps, class frequencies."""
from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine import Config
from prettytable import PrettyTable

from mmseg.datasets import CustomDataset, build_dataset
from mmseg.datasets.class_stats import cache_folder, load_stats
from mmseg.datasets.errors import DataError
from mmseg.datasets.files import count_ids, file_size, is_packed, read_image
from mmseg.datasets.rare_class_sampling import RareClassSampler, build_sampler
from mmseg.doctor.known import KNOWN, conversion, expected_tree
from mmseg.doctor.report import Report
from mmseg.evaluation import check_metrics

SAMPLE = 6  # images that are decoded, evenly chosen
SAMPLING = ('where classes are left out, lower rare_class_sampling.min_pixels; where the statistics do not fit, delete '
            'sample_class_stats*.json and samples_with_class.json of the data set: they are counted again')


class Place(NamedTuple):
    """A data set on disk in a config.

    Attributes:
        key: dotted, e.g. 'data.train.source'.
        section: its content.
        labelled: whether its labels are needed.
        sampling: the rare class sampling from it, or None.
    """
    key: str
    section: Mapping[str, Any]
    labelled: bool
    sampling: Mapping[str, Any] | None = None


def places(data: Mapping[str, Any]) -> Iterator[Place]:
    """All data sets on disk of a ``data`` section; ``test`` only where it differs from ``val``."""
    for split in ('train', 'val', 'test'):
        section = data.get(split)
        if section and not (split == 'test' and section == data.get('val')):
            yield from _unwrapped(Place(f'data.{split}', section, True))


def _unwrapped(place: Place) -> Iterator[Place]:
    section = place.section
    if isinstance(section, (list, tuple)):
        for i, part in enumerate(section):
            yield from _unwrapped(place._replace(key=f'{place.key}.{i}', section=part))
    elif section.get('type') in ('UDADataset', 'ConcatDataset', 'RepeatDataset'):
        for name in ('source', 'target', 'dataset', 'datasets'):
            if section.get(name):
                yield from _unwrapped(Place(f'{place.key}.{name}', section[name], place.labelled and name != 'target',
                                            section.get('rare_class_sampling') if name == 'source' else None))
    else:
        yield place


def check_data(report: Report, cfg: Config) -> None:
    """Report on every data set of the config."""
    if not (cfg.get('data') or {}).get('train'):
        report.section('data')
        report.problem('there is no data.train', 'inherit from a file in configs/_base_/datasets, or write the section '
                       '(docs/how-to/own_data.md)')
    _check_evaluation(report, cfg)
    for place in places(cfg.get('data') or {}):
        report.section(f'{place.key}: {place.section.get("type")} in {place.section.get("data_root") or os.getcwd()}')
        with report.guarded('correct the section of the config (docs/reference/config.md, data)'):
            _check_place(report, place)


def _check_evaluation(report: Report, cfg: Config) -> None:
    """What nobody looks at before the first evaluation."""
    if not cfg.get('evaluation'):
        return
    report.section('evaluation')
    if not (cfg.get('data') or {}).get('val'):
        report.problem('there is no data.val to evaluate on', 'add it, or set evaluation=None')
    with report.guarded('correct evaluation.metric'):
        report.ok(f'{", ".join(check_metrics(cfg.evaluation.get("metric", "mIoU")))} every '
                  f'{cfg.evaluation.get("interval", 1000)} iterations')


def _check_place(report: Report, place: Place) -> None:
    section = place.section
    try:
        dataset = build_dataset(section, dict(test_mode=not place.key.startswith('data.train')))
    except DataError as error:
        labels = f'\nthen the labels: {conversion(section)}' if place.labelled else ''
        report.problem(str(error), f'{_there(section)}\nfetch it (docs/datasets.md) and unpack it to this tree, or set '
                       f'{place.key}.data_root:\n{expected_tree(section, place.labelled)}{labels}')
        return
    if not isinstance(dataset, CustomDataset):  # folders given as lists
        report.ok(f'{len(dataset):,} images')
        return
    if place.labelled and not _labels_are_there(report, section, dataset):
        return
    counts = _check_sample(report, place, dataset)
    if place.labelled and place.key.startswith('data.train'):
        with report.guarded(SAMPLING):
            _check_frequencies(report, place, dataset, counts)


def _there(section: Mapping[str, Any]) -> str:
    """What lies where the data is looked for."""
    folder = Path(section.get('data_root') or '.')
    if is_packed(str(folder)):
        return f'it is looked for inside of {folder}'
    if not folder.is_dir():
        return f'{folder} does not exist in {os.getcwd()}'
    names = sorted(entry.name for entry in folder.iterdir())
    return f'{folder} holds {", ".join(names[:8]) or "nothing"}{", ..." if len(names) > 8 else ""}'


def _labels_are_there(report: Report, section: Mapping[str, Any], dataset: CustomDataset) -> bool:
    if not dataset.has_labels:
        report.problem('there is no ann_dir, but labels are needed', 'set ann_dir')
        return False
    paths = [dataset.label_path(idx) for idx in range(len(dataset))]
    missing = [path for path in paths if file_size(path) < 0]
    if missing:
        report.problem(f'{len(missing):,} of {len(paths):,} label maps do not exist, such as {missing[0]}',
                       f'{conversion(section)}\nor correct ann_dir and seg_map_suffix; the tree is\n'
                       f'{expected_tree(section, True)}')
    return len(missing) < len(paths)


def _check_sample(report: Report, place: Place, dataset: CustomDataset) -> np.ndarray:
    """Decode a few images and label maps; returns their number of pixels by label id."""
    sizes, counts, decoded = set(), np.zeros(256, np.int64), 0
    chosen = np.unique(np.linspace(0, len(dataset) - 1, SAMPLE).round().astype(int))
    for idx in chosen:
        with report.guarded(f'get or make the file again: {conversion(place.section)}'):
            file = os.path.join(dataset.img_dir, dataset.img_infos[idx]['filename'])
            shape = read_image(file).shape[:2]
            sizes.add(shape[::-1])
            if place.labelled:
                label = dataset.label(idx)
                if label.shape != shape:
                    raise DataError(f'{file} is {shape[1]}x{shape[0]}, its label map {label.shape[1]}x{label.shape[0]}')
                counts += count_ids(label)
            decoded += 1
    listed = ', '.join(f'{width}x{height}' for width, height in sorted(sizes))
    ids = [int(i) for i in np.flatnonzero(counts)]
    report.ok(f'{decoded} of {len(chosen)} looked-at images are fit: {listed or "none"}'
              + (f'; label ids {ids}' if place.labelled else ''))
    _check_count(report, place.section, len(dataset), sizes)
    if place.labelled and ids == [255]:
        report.problem('all looked-at label maps hold nothing but 255, the ignored id',
                       f'check ann_dir; make the labels again: {conversion(place.section)}')
    return counts


def _check_count(report: Report, section: Mapping[str, Any], count: int, sizes: set[tuple[int, int]]) -> None:
    """Compare with the published data set, unless the images have other sizes: then it is other data."""
    known, folder = KNOWN.get(section['type']), section['img_dir']
    expected = known.count(folder) if known and isinstance(folder, str) and not section.get('split') else None
    if known and known.size and sizes and known.size not in sizes:
        width, height = known.size
        report.warn(f'{count:,} images of other sizes than the published {width}x{height}',
                    'nothing, if other data is meant; else use the published images, which the configs are made for')
    elif expected in (None, count):
        report.ok(f'{count:,} images' + (', as published' if expected else ''))
    else:
        report.warn(f'{count:,} images, the published data set has {expected:,} there',
                    'unpack all packages (docs/datasets.md); nothing, if a part is meant')


def _check_frequencies(report: Report, place: Place, dataset: CustomDataset, counts: np.ndarray) -> None:
    """A table of the classes: from the statistics of the whole data set if there are any, else from the sample."""
    folder = dataset.stats_folder
    stats = load_stats(folder) or load_stats(cache_folder(folder))
    sampler = None
    if stats is not None:
        source = 'of all label maps'
        counted = stats.mapped(dataset.label_format.table).totals
        if place.sampling is not None:
            sampler = build_sampler(dataset, **place.sampling)
    else:
        source, counted = 'of the looked-at label maps', {i: int(n) for i, n in enumerate(counts[:255]) if n}
        if place.sampling is not None:
            report.warn('the class statistics for rare class sampling are not there: counted when a training starts',
                        conversion(place.section) if place.section['type'] in KNOWN else 'nothing; it happens once')
    report.ok(f'classes {source}:\n{frequency_table(dataset.CLASSES, counted, sampler)}')
    absent = [name for i, name in enumerate(dataset.CLASSES) if not counted.get(i)]
    if absent and stats is not None:
        report.warn(f'no label map holds {", ".join(absent)}', 'nothing, if the data set does not know them (Synthia: '
                    'terrain, truck, train); else convert the labels again: ' + conversion(place.section))


def frequency_table(classes: tuple[str, ...], counts: Mapping[int, int], sampler: RareClassSampler | None) -> str:
    """Share of pixels of each class and, with a sampler, how many images it chooses from and its probability."""
    table = PrettyTable(['class', 'share of pixels'], align='r')
    table.align['class'] = 'l'
    total = sum(counts.values()) or 1
    shares = [f'{100 * counts.get(i, 0) / total:.3f} %' for i in range(len(classes))]
    table.add_rows(list(zip(classes, shares)))
    if sampler is not None:
        drawn = dict(zip(sampler.classes.tolist(), sampler.probabilities.tolist()))
        table.add_column('images to draw', [len(sampler.images.get(i, ())) for i in range(len(classes))], 'r')
        table.add_column('probability', [f'{100 * drawn.get(i, 0):.1f} %' for i in range(len(classes))], 'r')
    return table.get_string()
