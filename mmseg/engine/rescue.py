"""When something ends a training: what is done is saved, and the user is told how to go on."""
from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from mmseg.checkpoint.lookup import newest_whole
from mmseg.datasets.loader import is_dead_worker
from mmseg.distributed import processes
from mmseg.errors import CheckpointError, DataError, NonFiniteLoss, ProcessLost
from mmseg.utils.commands import called, called_with_processes

if TYPE_CHECKING:
    from mmseg.engine.runner import TrainRunner


def resume_command(runner: TrainRunner) -> str:
    """The command line that continues a run."""
    config = Path(runner.work_dir) / Path(runner.cfg.filename or '').name
    latest = str(runner.checkpoints.folder / 'latest.pth')
    if not config.is_file():
        return f'cfg.resume_from = {latest!r}'
    latest = quote(latest)
    trust = ' --trust-config' if config.suffix != '.py' and runner.cfg.get('custom_imports') else ''
    if processes.count() > 1:
        return f'{called_with_processes(quote(str(config)), processes.count())} --resume-from {latest}{trust}'
    return f'{called("train")} {quote(str(config))} --resume-from {latest}{trust}'


def whole_beside(filename: Path) -> str:
    """Which checkpoint can be taken in the place of one that cannot be read, as the end of a message."""
    with suppress(CheckpointError, OSError):
        other = newest_whole(filename.parent)[0]
        if other is not None and not (filename.exists() and other.samefile(filename)):
            return f'. {other} is whole'
    return ''


def after_trouble(runner: TrainRunner, error: Exception) -> Exception:
    """Save what is done when ``error`` has ended a training.

    Nothing is saved before the first iteration is done, of a network that is lost, or where nothing can be written.

    Returns:
        The error to raise. What is saved and how to go on is a part of its message if the user knows what it is about;
        for others the log says it.
    """
    if isinstance(error, (NonFiniteLoss, CheckpointError)):
        return error
    others_job = runner.rank > 0 and not isinstance(error, ProcessLost)
    if is_dead_worker(error):
        error = ProcessLost(f'{str(error).strip().rstrip(".")}. A data worker that is killed is often one too many for '
                            'the memory: lower data.workers_per_gpu')
    if others_job or not runner.train_loop.finished:
        return error
    runner.stop.ignore_workers()
    try:
        saved = rescue(runner)
    except Exception as second:  # after an error of the device, say, nothing can be read from it
        runner.logger.warning(f'what is done since the last checkpoint could not be saved: {second}')
        return error
    if isinstance(error, (DataError, ProcessLost)):
        return type(error)(f'{error}. {saved}')
    runner.logger.warning(f'{type(error).__name__} has ended the training. {saved}')
    return error


def rescue(runner: TrainRunner) -> str:
    """Save what there is; says what is saved and how to go on.

    Process 0 saves, then leaves; without it, process 1 does. The iteration in which the trouble came is done again
    after resuming: teacher, running statistics and bank have seen a part of it, the weights have not.
    """
    command, finished = resume_command(runner), runner.train_loop.finished
    processes.go_on_alone()
    path = runner.checkpoints.folder / f'iter_{finished}.pth'
    if runner.rank > 1 or (runner.rank == 1 and path.exists()):
        return f'The training has stopped at iteration {finished}'
    runner.checkpoints.save(runner)
    return f'Saved {path}; go on with: {command}'
