"""Is the data fit: folders and counts; images, label maps and classes are looked at in their own modules."""
from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine import Config

from mmseg.datasets import CustomDataset, build_dataset
from mmseg.datasets.base import SampledDataset
from mmseg.datasets.sections import walk
from mmseg.datasets.storage import file_size, is_folder, is_packed
from mmseg.doctor.classes import check_classes
from mmseg.doctor.images import check_images
from mmseg.doctor.known import conversion, expected_tree
from mmseg.doctor.labels import check_labels
from mmseg.doctor.places import Place, places
from mmseg.doctor.report import Report
from mmseg.doctor.survey import MOST, spread
from mmseg.errors import DataError
from mmseg.evaluation import check_metrics
from mmseg.utils.commands import called


def check_data(report: Report, cfg: Config) -> dict[str, SampledDataset]:
    """Report on every data set of the config; returns those with the network's classes that can be built, by key."""
    if not (cfg.get('data') or {}).get('train'):
        report.section('data')
        report.problem('there is no data.train', 'inherit from a file in configs/_base_/datasets, or write the section '
                       '(docs/how-to/own_data.md)')
    _check_evaluation(report, cfg)
    built: dict[str, SampledDataset] = {}
    for place in places(cfg.get('data') or {}):
        report.section(f'{place.key}: {place.section.get("type")} in {place.section.get("data_root") or os.getcwd()}')
        with report.guarded('correct the section of the config (docs/reference/config.md, data)'):
            dataset = _built(report, place)
            if dataset is not None:
                if not place.own_classes:
                    built[place.key] = dataset
                _check_place(report, place, dataset)
    _tell_style(report, cfg.get('data') or {})
    return built


def _tell_style(report: Report, data: Mapping[str, Any]) -> None:
    """That source images are not fed as they are."""
    for place in walk(data.get('train'), 'data.train'):
        style = dict(place.section.get('source_style') or {})
        if style:
            report.section(f'{place.key}.source_style')
            values = ', '.join(f'{key}={value!r}' for key, value in style.items() if key != 'type')
            report.ok(f'source images get the style of target images: {style.get("type")}({values}); '
                      f'{called("browse", "browse_dataset")} draws them')


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


def _built(report: Report, place: Place) -> SampledDataset | None:
    section = place.section
    try:
        return build_dataset(section, dict(test_mode=not place.trains))
    except DataError as error:
        if _folders_exist(section):
            raise
        labels = f'\nthen the labels: {conversion(section)}' if place.labelled else ''
        report.problem(str(error), f'{_there(section)}\nfetch it (docs/datasets.md) and unpack it to this tree, or set '
                       f'{place.key}.data_root:\n{expected_tree(section, place.labelled)}{labels}')
        return None


def _folders_exist(section: Mapping[str, Any]) -> bool:
    """Whether what is wrong is not that data is missing."""
    folders = [section.get(name) for name in ('img_dir', 'ann_dir') if isinstance(section.get(name), str)]
    return bool(folders) and all(is_folder(os.path.join(section.get('data_root') or '', folder)) for folder in folders)


def _check_place(report: Report, place: Place, dataset: SampledDataset) -> None:
    """Look at each of the data sets that one is made of where folders are given as lists."""
    for _, part in dataset.leaves():
        if not isinstance(part, CustomDataset):
            report.ok(f'{len(part):,} images')
            continue
        headers = check_images(report, place, part)
        present = _with_labels(report, place, part) if place.labelled else []
        content = check_labels(report, place, part, present, headers) if present else None
        if content is not None and content.by_class:
            check_classes(report, place, part, content)


def _there(section: Mapping[str, Any]) -> str:
    """What lies where the data is looked for."""
    folder = Path(section.get('data_root') or '.')
    if is_packed(str(folder)):
        return f'it is looked for inside of {folder}'
    if not folder.is_dir():
        return f'{folder} does not exist in {os.getcwd()}'
    names = sorted(entry.name for entry in folder.iterdir())
    return f'{folder} holds {", ".join(names[:8]) or "nothing"}{", ..." if len(names) > 8 else ""}'


def _with_labels(report: Report, place: Place, dataset: CustomDataset) -> list[int]:
    """Up to 2,000 images that have a label map."""
    if not dataset.has_labels:
        report.problem('there is no ann_dir, but labels are needed', 'set ann_dir')
        return []
    present = [idx for idx in range(len(dataset)) if file_size(dataset.label_path(idx)) >= 0]
    missing = sorted(set(range(len(dataset))) - set(present))
    if missing:
        report.problem(f'{len(missing):,} of {len(dataset):,} label maps do not exist, such as '
                       f'{dataset.label_path(missing[0])}', f'{conversion(place.section)}\nor correct ann_dir and '
                       f'seg_map_suffix; the tree is\n{expected_tree(place.section, True)}')
    return [present[i] for i in spread(len(present), MOST)]
