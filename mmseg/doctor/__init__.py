"""What is wrong with a training, said before it starts."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine import Config

from mmseg.config.reading import TRAINING, load_config
from mmseg.doctor.data import check_data
from mmseg.doctor.machine import check_machine
from mmseg.doctor.network import check_network, check_step
from mmseg.doctor.prediction import check_prediction
from mmseg.doctor.report import Report
from mmseg.errors import ConfigError

__all__ = ['Report', 'examine']

REMEDY = 'correct the file or the --options (docs/reference/config.md)'


def examine(config: str | Path, options: dict[str, Any] | None = None, device: str | None = None,
            trust: bool = False) -> Report:
    """Look at all that a training needs and print what is found. Nothing is written, nothing is raised.

    Args:
        config: a config file.
        options: values that replace those of the file, by dotted key.
        device: where to try an iteration; None follows the config, else a GPU if there is one.
        trust: see :func:`~mmseg.config.reading.load_config`.

    Returns:
        The counts of what was found.
    """
    report = Report()
    cfg = _read(report, config, options, trust)
    place = check_machine(report, device or (cfg.get('device') if cfg else None))
    if cfg is not None:
        before, datasets, is_built = report.counts['problem'], {}, False
        with report.guarded(REMEDY):
            datasets = check_data(report, cfg)
        readable = report.counts['problem'] == before
        with report.guarded(REMEDY):
            is_built = check_network(report, cfg, datasets)
        if readable and is_built:
            with report.guarded(REMEDY):
                check_prediction(report, cfg)
        if place is not None and all(cfg.get(name) for name in TRAINING):
            with report.guarded(REMEDY):
                check_step(report, cfg, place, readable)
    print(f'\n{config}: {report.summary()}')
    return report


def _read(report: Report, config: str | Path, options: dict[str, Any] | None,
          trust: bool) -> Config | None:
    report.section(f'config: {config}')
    mistakes: list[ConfigError] = []
    with report.guarded(REMEDY):
        cfg = load_config(config, options, mistakes, trust)
        for mistake in mistakes:
            report.problem(str(mistake), f'{REMEDY}; what follows is without it')
        if not mistakes:
            report.ok('read, all keys are known')
        for name in TRAINING:
            if not cfg.get(name):
                report.problem(f'there is no section {name}', 'inherit from the files in configs/_base_')
        if cfg.get('runner') and not cfg.runner.get('max_iters'):
            cfg.runner.max_iters = 1
        return cfg
    return None
