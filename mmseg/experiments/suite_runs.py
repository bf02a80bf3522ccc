"""Training the runs of a suite."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmseg.config.reading import load_config
from mmseg.datasets import build_dataset
from mmseg.experiments.logs import RUN_STAMP
from mmseg.experiments.named import is_finished
from mmseg.experiments.side_by_side import Training, train_side_by_side


def train_suite(configs: Sequence[Path], train: Sequence[str], flags: Sequence[str], jobs: int, project: Path, *,
                resume: bool = False) -> int:
    """Train generated configs side by side, and say at the end which runs have failed.

    Args:
        train: the command that trains a config.
        flags: more arguments for it.
        jobs: trainings at a time.
        project: folder of the packages that it imports.
        resume: leave out finished runs, and continue the others from their last checkpoint, if any.

    Returns:
        The exit status.

    Raises:
        DataError: if images are missing.
    """
    trainings: list[Training] = []
    checked: set[str] = set()
    for path in configs:
        cfg = load_config(path)
        name = RUN_STAMP.sub('', cfg.name)
        if resume and is_finished(path):
            print(f'{name}: finished before, see {cfg.work_dir}', flush=True)
            continue
        if cfg.base_hash not in checked:  # missing data shows at once, and classes are counted by one process
            checked.add(cfg.base_hash)
            for section in (cfg.data.train, cfg.data.val):
                build_dataset(section)
        command = [*train, str(path), *(['--resume-from', 'auto'] if resume else []), *flags]
        trainings.append(Training(name, command, Path(cfg.work_dir)))
    failed, status = train_side_by_side(trainings, jobs, project)
    if failed:
        print(f'{len(failed)} of {len(configs)} runs are not finished: '
              f'{", ".join(f"{name} ({why})" for name, why in failed.items())}. The same command with --resume goes on')
    return status

