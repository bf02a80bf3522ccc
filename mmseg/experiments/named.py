"""Named runs: a generated config with a unique name, a work_dir and the git revision, then a training of it."""
from __future__ import annotations

import os
import re
import time
import uuid
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg.checkpoint.lookup import numbered_checkpoints
from mmseg.config.in_code import IN_CODE, MethodInCodeWarning
from mmseg.config.reading import load_config
from mmseg.errors import ConfigError
from mmseg.experiments.suites import folder_name
from mmseg.utils.config_text import format_config
from mmseg.utils.git import git_revision

GENERATED = Path('configs', 'generated')
# Overrides of --debug: see at once whether a run does what it should.
DEBUG = dict(log_config=dict(interval=10, img_interval=10), evaluation=dict(interval=200))
# Overrides of --startup-test: two iterations, no checkpoint, no evaluation.
STARTUP_TEST = dict(log_level='ERROR', runner=dict(max_iters=2), checkpoint_config=None, evaluation=None)


def unique_name(name: str) -> str:
    """``<yymmdd_HHMM>_<name>_<5 hexadecimal digits>``."""
    return f'{time.strftime("%y%m%d_%H%M")}_{name}_{uuid.uuid4().hex[:5]}'


def overrides(debug: bool, startup_test: bool) -> dict[str, Any]:
    """What ``--debug`` and ``--startup-test`` change, the latter winning."""
    return {**(DEBUG if debug else {}), **(STARTUP_TEST if startup_test else {})}


def _write(content: dict[str, Any], group: str, name: str) -> Path:
    """Write a generated config with the identity of its run, and check that it loads."""
    name = unique_name(name)
    identity = dict(name=name, work_dir=str(Path('work_dirs', group, name)), git_rev=git_revision())
    path = GENERATED / group / f'{name}.py'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(format_config({**content, **identity}), encoding='utf-8')
    load_config(path)
    return path


def _earlier(content: dict[str, Any], group: str, name: str) -> Path | None:
    """The generated config of an earlier run of the same content: the one that has come farthest, then the newest."""
    stamped = re.compile(rf'\d{{6}}_\d{{4}}_{re.escape(name)}_[0-9a-f]{{5}}')
    text = format_config(content) + 'name = '  # where the identity begins
    paths = [path for path in (GENERATED / group).glob('*.py')
             if stamped.fullmatch(path.stem) and path.read_text(encoding='utf-8').startswith(text)]
    return max(paths, key=lambda path: (_progress(path), path.stem), default=None)


def _progress(config: Path) -> int:
    """Iterations that the newest checkpoint of a run has behind it; 0 without one."""
    cfg = load_config(config)
    folder = Path((cfg.get('checkpoint_config') or {}).get('out_dir') or cfg.work_dir)
    saved = numbered_checkpoints(folder, cfg.runner.max_iters)
    return int(saved[-1].stem.partition('_')[2]) if saved else 0


def is_finished(config: Path) -> bool:
    """Whether the run of a generated config has a checkpoint of its last iteration."""
    return _progress(config) == load_config(config).runner.max_iters


def _generate(content: dict[str, Any], group: str, name: str, resume: bool) -> Path:
    return (_earlier(content, group, name) if resume else None) or _write(content, group, name)


def _base(name: str) -> str:
    """A config below ``configs`` of the current folder, or else of this program, for a generated one."""
    return f'../../{name}' if Path('configs', name).is_file() else name


def _group(machine: str, exp: int | str, startup_test: bool) -> str:
    return folder_name(machine, exp) + ('-startup' if startup_test else '')


def _method_section(method: str, cfg: Config) -> dict[str, Any]:
    """The changes that let a config train a method that stood in its program's code.

    Raises:
        ConfigError: if the config adapts nothing, or has the section.
    """
    uda, (title, key, _, section) = cfg.get('uda'), IN_CODE[method]
    if uda is None:
        raise ConfigError(f'--method {method}: {cfg.filename} has no uda section that {title} could join', 'uda', 'uda')
    if uda.get(key) is not None:
        raise ConfigError(f'--method {method}: {cfg.filename} has uda.{key} already: leave the option out', key,
                          f'uda.{key}')
    return dict(uda={key: dict(section(cfg.to_dict()), _delete_=True)})  # the base may have None there


def generate_from_config(config: str | Path, machine: str, *, method: str | None = None, debug: bool = False,
                         startup_test: bool = False, resume: bool = False) -> Path:
    """Write the child config of one run of ``config``, which may lie anywhere.

    Args:
        method: of :data:`mmseg.config.in_code.IN_CODE`, whose section the config lacks.
        resume: take that of an earlier run of it instead, if there is one.

    Returns:
        ``configs/generated/<machine>-<exp>[-startup]/<unique name>.py``; exp is the config's own, or 'basic'.

    Raises:
        ConfigError: if the config cannot be used.
    """
    with warnings.catch_warnings():
        if method:
            warnings.simplefilter('ignore', MethodInCodeWarning)
        cfg = load_config(config)
    group = _group(machine, str(cfg.get('exp', 'basic')), startup_test)
    try:
        base = os.path.relpath(cfg.filename, GENERATED / group)
    except ValueError:  # another drive on Windows
        base = os.path.abspath(cfg.filename)
    # a section that is switched off stays off: a dict could not inherit from None
    changes = {name: change for name, change in overrides(debug, startup_test).items()
               if not isinstance(change, dict) or cfg.get(name) is not None}
    if method:
        changes.update(_method_section(method, cfg))
    return _generate({'_base_': [Path(base).as_posix()], **changes}, group, cfg.get('name', Path(config).stem), resume)


def generate_from_experiment(experiments: Iterable[dict[str, Any]], number: int | str, machine: str, *,
                             debug: bool = False, startup_test: bool = False, resume: bool = False) -> list[Path]:
    """Write the configs of a numbered experiment of the papers, or of a suite.

    Args:
        experiments: what ``experiments.generate_experiment_cfgs(number)`` gives: dicts whose ``_base_`` entries are
            relative to ``configs``. A start-up test takes those with seed 0 only, and says so.
        number: of the experiment, or the name of a suite that has none.
        resume: take those of earlier runs instead, where there are some.
    """
    experiments = list(experiments)
    group = _group(machine, number, startup_test)
    if startup_test:
        chosen = [experiment for experiment in experiments if experiment.get('seed', 0) == 0]
        print(f'Start-up test of {len(chosen)} of {len(experiments)} runs: those with seed 0')
        experiments = chosen
    paths = []
    for experiment in experiments:
        content = dict(experiment, _base_=[_base(name) for name in experiment['_base_']])
        name = content.pop('name')
        for section, change in overrides(debug, startup_test).items():
            own = content.get(section)
            content[section] = {**own, **change} if isinstance(own, dict) and isinstance(change, dict) else change
        paths.append(_generate(content, group, name, resume))
    return paths


def run_all(configs: Iterable[Path], train: Callable[[list[str]], None], *, resume: bool = False,
            dry_run: bool = False) -> None:
    """Train one config after the other in this process.

    Args:
        train: ``mmseg.cli.train.main``.
        resume: leave out finished runs, and continue the others from their last checkpoint, if any.
        dry_run: only say what would be trained.
    """
    configs = list(configs)
    for position, config in enumerate(configs, 1):
        finished = resume and is_finished(config)
        print(f'Run {position} of {len(configs)}: {config.stem} ({config})' + (': finished' if finished else ''),
              flush=True)
        if not (finished or dry_run):
            train([str(config), *(['--resume-from', 'auto'] if resume else [])])
