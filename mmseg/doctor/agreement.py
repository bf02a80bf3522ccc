"""Do data sets, network, checkpoint and training method mean the same classes."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine import Config
from torch import nn

from mmseg.checkpoint.file import read_checkpoint
from mmseg.checkpoint.networks import load_segmentor
from mmseg.datasets.base import SampledDataset
from mmseg.doctor.report import Report
from mmseg.doctor.survey import named
from mmseg.models.outline import classifier_entries
from mmseg.registry import OBJECTIVES

DATASETS = 'correct classes in the data sets: names and order are those of the class indices'


def check_agreement(report: Report, cfg: Config, segmentor: nn.Module, datasets: Mapping[str, SampledDataset]) -> None:
    """Report on numbers, names and colours of classes that differ.

    Args:
        segmentor: its weights are replaced by those of ``load_from``.
        datasets: those that could be built, by key.
    """
    datasets = {key: dataset for key, dataset in datasets.items() if dataset.CLASSES is not None}
    _check_numbers(report, segmentor, datasets)
    _check_palettes(report, datasets)
    names = next((dataset.CLASSES for dataset in datasets.values()), None)
    for key, dataset in datasets.items():
        _check_names(report, f'{key} has', dataset.CLASSES, names, DATASETS)
    _show_class_ids(report, cfg.get('uda') or {}, names)
    _check_checkpoints(report, cfg, segmentor, names)


def _check_numbers(report: Report, segmentor: nn.Module, datasets: Mapping[str, SampledDataset]) -> None:
    number = segmentor.num_classes
    keys: dict[int, list[str]] = {}
    for key, dataset in datasets.items():
        keys.setdefault(len(dataset.CLASSES), []).append(key)
    if 1 in (number, *keys):
        report.problem('one class leaves nothing to learn: whatever the network does, every pixel is of it',
                       "name what is not it as a class of its own: classes=['background', 'disc'] and "
                       "label_map={0: 'background', 1: 'disc'}, say, and model.decode_head.num_classes=2")
    for other, where in keys.items():
        if other != number:
            report.problem(f'the network predicts {number} classes, the data set has {other} ({", ".join(where)})',
                           f'model.decode_head.num_classes={other}')


def _check_palettes(report: Report, datasets: Mapping[str, SampledDataset]) -> None:
    wrong = {key: len(dataset.PALETTE or ()) for key, dataset in datasets.items()}
    wrong = {key: number for key, number in wrong.items() if number != len(datasets[key].CLASSES)}
    if wrong:
        key, number = next(iter(wrong.items()))
        report.problem(f'palette has {number} colours for {len(datasets[key].CLASSES)} classes ({", ".join(wrong)})',
                       'one (red, green, blue) per class, or no palette at all')


def _check_names(report: Report, whose: str, found: Sequence[str], wanted: Sequence[str], remedy: str) -> None:
    """Compare names of as many classes; another check compares their numbers."""
    if len(found) == len(wanted) and list(found) != list(wanted):
        pairs = [f'{i}: {mine} for {other}' for i, (mine, other) in enumerate(zip(found, wanted)) if mine != other]
        report.warn(f'{whose} other classes than the first data set: {named(pairs)}', remedy)


def _show_class_ids(report: Report, uda: Mapping[str, Any], names: Sequence[str] | None) -> None:
    """The names of the classes whose ids keys of ``uda`` hold."""
    found = {key: ids for cls in OBJECTIVES.module_dict.values() for key, ids in cls.class_ids(uda).items()}
    for key, ids in found.items():
        if names is not None and all(i < len(names) for i in ids):
            report.ok(f'uda.{key}: {named([names[i] for i in ids], 20)}')


def _check_checkpoints(report: Report, cfg: Config, segmentor: nn.Module, names: Sequence[str] | None) -> None:
    if cfg.get('resume_from') not in (None, 'auto'):
        with report.guarded('correct resume_from, or set it to None'):
            read_checkpoint(cfg.resume_from)
    if cfg.get('load_from'):
        with report.guarded('correct load_from, or set it to None'):
            new = classifier_entries(cfg.model) if cfg.get('new_classifier') else ()
            trained = load_segmentor(segmentor, cfg.load_from, new=new).get('CLASSES')
            if trained and names and not new:
                _check_names(report, f'the network of {cfg.load_from} has', trained, names,
                             'correct classes in the data sets, or set new_classifier=True')
