"""Would an evaluation work: an image of each validation set through its pipeline, its shape through the network."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine import Config

from mmseg.datasets import build_dataset, build_eval_loader
from mmseg.datasets.sections import walk
from mmseg.doctor.report import Report
from mmseg.models.outline import outline

PIPELINE = ('correct the pipeline: LoadImageFromFile, then MultiScaleFlipAug around Resize, RandomFlip, Normalize, '
            'ImageToTensor and Collect (configs/_base_/datasets has many)')
TEST = 'correct model.test_cfg (mode, crop_size, stride) and img_scale of the pipeline: docs/how-to/test.md'


def check_prediction(report: Report, cfg: Config) -> None:
    """Report on what the first evaluation, or the test, would meet; nothing is computed but shapes."""
    data = cfg.get('data') or {}
    for split in ('val', 'test'):
        section = data.get(split)
        if not section or (split == 'test' and section == data.get('val')):
            continue
        report.section(f'data.{split}: one image')
        with report.guarded(PIPELINE):
            batch = _first(section)
            if not _is_normalised(report, f'data.{split}', data.get('train'), batch):
                continue
            with report.guarded(TEST):
                network = outline(cfg.model).eval()
                with torch.no_grad():
                    prediction = network.predict([img.to('meta') for img in batch['img']], batch['img_metas'])
                sizes = ', '.join(_size(img) for img in batch['img'])
                report.ok(f'shown to the network as {sizes}, {network.test_cfg["mode"]}; the prediction is '
                          f'{_size(prediction)}')


def _first(section: Mapping[str, Any]) -> dict[str, Any]:
    """The first image as an evaluation gets it.

    Raises:
        DataError: if the pipeline does not give what an evaluation needs.
    """
    return next(iter(build_eval_loader(build_dataset(section, dict(test_mode=True)), 0, with_label=False)))


def _is_normalised(report: Report, key: str, train: Any, batch: Mapping[str, Any]) -> bool:
    """Whether it is done as in training, else a problem: shown other values a network scores badly without a word."""
    used = batch['img_metas'][0][0]['img_norm_cfg']
    for place in walk(train, 'data.train'):
        for step in place.section.get('pipeline') or ():
            if step.get('type') == 'Normalize' and _values(step) != _values(used):
                report.problem(f'{key} is normalised by {_values(used)}, {place.key} by {_values(step)}: the network '
                               'sees other values than it has learned from', 'take the same Normalize in all pipelines')
                return False
    return True


def _values(norm: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: [round(float(value), 3) for value in norm[name]] for name in ('mean', 'std')}
    return {**values, 'to_rgb': bool(norm.get('to_rgb', True))}


def _size(img: torch.Tensor) -> str:
    return f'{img.shape[-1]}x{img.shape[-2]}'
