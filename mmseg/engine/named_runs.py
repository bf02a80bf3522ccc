"""Named runs: a generated config with a unique name, a work_dir and the git revision, then a training of it."""
from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mmseg.engine.config import format_config, load_config

GENERATED = Path('configs', 'generated')
# Overrides of --debug: see at once whether a run does what it should.
DEBUG = dict(log_config=dict(interval=10, img_interval=10), evaluation=dict(interval=200))
# Overrides of --startup-test: two iterations, no checkpoint, no evaluation.
STARTUP_TEST = dict(log_level='ERROR', runner=dict(max_iters=2), checkpoint_config=None, evaluation=None)


def git_revision() -> str:
    """Hash of the commit in the current folder, or '' where git or the repository is absent."""
    try:
        done = subprocess.run(['git', 'rev-parse', 'HEAD'], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ''
    return done.stdout.strip()


def unique_name(name: str) -> str:
    """``<yymmdd_HHMM>_<name>_<5 hexadecimal digits>``."""
    return f'{time.strftime("%y%m%d_%H%M")}_{name}_{uuid.uuid4().hex[:5]}'


def overrides(debug: bool, startup_test: bool) -> dict[str, Any]:
    """What ``--debug`` and ``--startup-test`` change, the latter winning."""
    return {**(DEBUG if debug else {}), **(STARTUP_TEST if startup_test else {})}


def _write(content: dict[str, Any], group: str, name: str) -> Path:
    """Write a generated config with the identity of its run, and check that it loads."""
    identity = dict(name=name, work_dir=str(Path('work_dirs', group, name)), git_rev=git_revision())
    path = GENERATED / group / f'{name}.py'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(format_config({**content, **identity}), encoding='utf-8')
    load_config(path)
    return path


def generate_from_config(config: str | Path, machine: str, debug: bool = False, startup_test: bool = False) -> Path:
    """Write the child config of one run of ``config``, which may lie anywhere.

    Returns:
        ``configs/generated/<machine>-<exp>/<unique name>.py``; exp is the config's own, or 'basic'.

    Raises:
        ConfigError: if the config cannot be used.
    """
    cfg = load_config(config)
    group = f'{machine}-{cfg.get("exp", "basic")}'
    try:
        base = os.path.relpath(config, GENERATED / group)
    except ValueError:  # another drive on Windows
        base = os.path.abspath(config)
    # a section that is switched off stays off: a dict could not inherit from None
    changes = {name: change for name, change in overrides(debug, startup_test).items()
               if not isinstance(change, dict) or cfg.get(name) is not None}
    name = unique_name(cfg.get('name', Path(config).stem))
    return _write({'_base_': [Path(base).as_posix()], **changes}, group, name)


def generate_from_experiment(experiments: Iterable[dict[str, Any]], number: int, machine: str, debug: bool = False,
                             startup_test: bool = False) -> list[Path]:
    """Write the configs of a numbered experiment of the papers.

    Args:
        experiments: what ``experiments.generate_experiment_cfgs(number)`` gives: dicts whose ``_base_`` entries are
            relative to ``configs``. A start-up test takes those with seed 0 only.
    """
    group = f'{machine}-exp{number}' + ('-startup' if startup_test else '')
    paths = []
    for experiment in experiments:
        if startup_test and experiment.get('seed', 0) != 0:
            continue
        content = dict(experiment, _base_=[f'../../{base}' for base in experiment['_base_']])
        for name, change in overrides(debug, startup_test).items():
            own = content.get(name)
            content[name] = {**own, **change} if isinstance(own, dict) and isinstance(change, dict) else change
        paths.append(_write(content, group, unique_name(experiment['name'])))
    return paths


def run_all(configs: Iterable[Path], train: Callable[[list[str]], None]) -> None:
    """Train one config after the other in this process.

    Args:
        train: ``tools.train.main``.
    """
    configs = list(configs)
    for position, config in enumerate(configs, 1):
        print(f'Run {position} of {len(configs)}: {config}', flush=True)
        train([str(config)])
