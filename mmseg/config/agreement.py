"""Values in a config that are sound each, but not together."""
from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from mmseg.errors import ConfigError
from mmseg.evaluation.metrics import METRIC_COLUMNS
from mmseg.models.builder import training_crop
from mmseg.models.kinds import IMTRv21_5
from mmseg.registry import OBJECTIVES
from mmseg.utils.names import nearest
from mmseg.utils.options import registered


def check_agreement(content: dict[str, Any]) -> None:
    """Refuse values that contradict each other, or that leave nothing to train or to compare.

    Raises:
        ConfigError: naming a dotted key.
    """
    checks = (_placeholder, _floor, _schedule, _windows, _margins, _best, _class_ids)
    for key, text in chain.from_iterable(check(content) for check in checks):
        raise ConfigError(f'{key}: {text}', key.rpartition('.')[2], key)


def _placeholder(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """A base file's model that no child has completed."""
    name = ((content.get('model') or {}).get('backbone') or {}).get('type')
    if name == IMTRv21_5.__name__ and content.get('data') is not None:
        yield 'model.backbone.type', f'{name!r} only holds the place of a backbone: name one, e.g. mit_b5'


def _floor(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """A learning rate that starts below its minimum, for all parameters."""
    optimizer, floor = content.get('optimizer') or {}, (content.get('lr_config') or {}).get('min_lr')
    if floor is None or 'lr' not in optimizer:
        return
    rules = ((optimizer.get('paramwise_cfg') or {}).get('custom_keys') or {}).values()
    highest = optimizer['lr'] * max([1, *(rule.get('lr_mult', 1) for rule in rules)])
    if floor > highest:
        yield 'lr_config.min_lr', (f'{floor} lies above all learning rates ({highest:g} is the highest of optimizer.lr '
                                   'and its multiples), so they would rise: set it below optimizer.lr')


def _schedule(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a policy or a warm-up cannot do without."""
    schedule = content.get('lr_config') or {}
    if schedule.get('policy') == 'step' and 'step' not in schedule:
        yield 'lr_config.step', "is missing, which policy='step' needs: an interval or a list of iterations"
    if schedule.get('warmup') is not None and not schedule.get('warmup_iters'):
        yield 'lr_config.warmup_iters', f'has to be at least 1 for warmup={schedule["warmup"]!r}'


def _windows(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    test = (content.get('model') or {}).get('test_cfg') or {}
    if test and 'mode' not in test:
        yield 'model.test_cfg', "mode is missing: 'whole', or 'slide' with crop_size and stride"
    for name in ('crop_size', 'stride'):
        if test.get('mode') == 'slide' and name not in test:
            yield f'model.test_cfg.{name}', "is missing, which mode='slide' needs: (height, width) in pixels"
    if test.get('mode') == 'slide' and any(s > c for s, c in zip(test['stride'], test['crop_size'])):
        yield 'model.test_cfg.stride', f'{test["stride"]} leaves gaps between windows of {test["crop_size"]}'


def _margins(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Rows without pseudo labels that leave none."""
    crop, total, also = training_crop(content), 0, ''
    for name in ('pseudo_weight_ignore_top', 'pseudo_weight_ignore_bottom'):
        rows = (content.get('uda') or {}).get(name) or 0
        total += rows
        if crop and total >= crop[0]:
            yield f'uda.{name}', f'{rows} rows leave no pseudo label in crops of {crop[0]} rows{also}'
        also = f', {rows} at the top being left out already'


def _best(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """A score that no evaluation of this run gives."""
    evaluation = content.get('evaluation') or {}
    best, metrics, networks = (evaluation.get(key) for key in ('save_best', 'metric', 'model'))
    if best in (None, 'auto'):
        return
    metrics, networks = _listed(metrics or 'mIoU'), _listed(networks or 'student')
    columns = {column for metric in metrics for column in METRIC_COLUMNS[metric]}
    scores = {'aAcc', 'mIoU16', 'mIoU13', *(f'm{column}' for column in columns)}
    network, _, score = best.partition('.')
    score = score if network in networks[1:] else best
    name, _, cls = score.partition('.')
    if score not in scores and not (name in columns and cls):
        yield 'evaluation.save_best', f'{best!r} is no score of this run, {nearest(score, scores)}'


def _class_ids(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Classes that keys of ``uda`` name and that the network does not have: they would never be met, without a word."""
    number = ((content.get('model') or {}).get('decode_head') or {}).get('num_classes')
    if number is None:
        return
    for objective in registered(OBJECTIVES).values():
        for key, ids in objective.class_ids(content.get('uda') or {}).items():
            beyond = [each for each in ids if each >= number]
            if beyond:
                yield f'uda.{key}', (f'names {", ".join(map(str, beyond))}, the network has the classes 0 to '
                                     f'{number - 1}: give ids of classes of the data set (those of configs/_base_ are '
                                     'for Cityscapes), or None for all of them')


def _listed(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)
