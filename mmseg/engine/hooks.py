"""What happens around an iteration: learning rate, log, panels, evaluation, checkpoints."""
from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.hooks import Hook

from mmseg.checkpoint.file import plain
from mmseg.checkpoint.lookup import numbered_checkpoints, point_latest, remove_leftovers
from mmseg.distributed import processes
from mmseg.distributed.synchronise import average_running_statistics
from mmseg.engine.console import NO_TERMINAL
from mmseg.engine.custom_hooks import hook_states, require_readable
from mmseg.engine.logging import peak_memory, text_line
from mmseg.engine.loops import EvaluationStopped
from mmseg.engine.saving import pack, write
from mmseg.engine.schedule import LearningRate
from mmseg.evaluation import format_table

if TYPE_CHECKING:
    from mmseg.engine.runner import TrainRunner

TRACKED_PICTURES = 4  # that TensorBoard and W&B get of each evaluation, always of the same images


def _due(runner: TrainRunner, interval: int) -> bool:
    """Whether the iteration that has just run ends an interval, or the training."""
    finished = runner.train_loop.finished
    return finished % interval == 0 or finished == runner.max_iters


class ScheduleHook(Hook):
    """Sets the learning rates before each iteration, from the iteration alone."""
    priority = 'VERY_HIGH'

    def __init__(self, schedule: LearningRate) -> None:
        self.schedule = schedule

    def before_train_iter(self, runner: TrainRunner, batch_idx: int, data_batch: Any = None) -> None:
        """Set the learning rate of each group for the iteration to come."""
        for group in runner.optim_wrapper.optimizer.param_groups:
            group['lr'] = self.schedule(group['initial_lr'], runner.iter)


class LogHook(Hook):
    """Reports the means of the logged values at each interval.

    Args:
        interval: iterations between two reports.
    """
    priority = 'BELOW_NORMAL'

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self.time = self.data_time = self.total_time = 0.
        self.count = self.total_count = 0

    def before_train(self, runner: TrainRunner) -> None:
        """Begin the JSON log with the run's meta and seed."""
        runner.json_log.write(plain({**runner.meta, 'seed': runner.seed}))

    def after_train_iter(self, runner: TrainRunner, batch_idx: int, data_batch: Any = None,
                         outputs: Any = None) -> None:
        """Count the iteration's time (s); report if an interval ends."""
        due = _due(runner, self.interval)
        means = runner.log_buffer.means() if due else {}  # waits for the device, so it goes before the clock is read
        loop = runner.train_loop
        self.time += time.perf_counter() - loop.iteration_start
        self.data_time += loop.data_time
        self.count += 1
        if due:
            self._report(runner, loop.finished, means)

    def _report(self, runner: TrainRunner, iteration: int, means: dict[str, float]) -> None:
        self.total_time, self.total_count = self.total_time + self.time, self.total_count + self.count
        values = {
            'lr': runner.optim_wrapper.optimizer.param_groups[0]['lr'],
            'time': self.time / self.count,
            'data_time': self.data_time / self.count,
            'memory': peak_memory(runner.device),
            **means
        }
        eta = self.total_time / self.total_count * (runner.max_iters - iteration)
        runner.json_log.write({'mode': 'train', 'epoch': 1, 'iter': iteration, **values})
        runner.logger.info(text_line(values, iteration, runner.max_iters, eta), extra=NO_TERMINAL)
        runner.add_scalars('train', values, iteration)
        runner.log_buffer.clear()
        self.time = self.data_time = 0.
        self.count = 0


class EvaluationHook(Hook):
    """Scores the networks at an interval and keeps the best checkpoint.

    Args:
        interval: iterations between two evaluations; the last iteration is evaluated too.
        start: no evaluation before this iteration.
        save_best: the score that decides, e.g. 'mIoU' ('auto') or 'teacher.mIoU'; None keeps no best checkpoint.
    """
    priority = 'LOW'

    def __init__(self, interval: int, start: int = 0, save_best: str | None = None) -> None:
        self.interval, self.start = interval, start
        self.save_best = 'mIoU' if save_best == 'auto' else save_best

    def after_train_iter(self, runner: TrainRunner, batch_idx: int, data_batch: Any = None,
                         outputs: Any = None) -> None:
        """Evaluate and report if an interval ends."""
        if _due(runner, self.interval) and runner.train_loop.finished >= self.start:
            self._evaluate(runner)

    def before_train(self, runner: TrainRunner) -> None:
        """Evaluate what is resumed behind its last iteration: that evaluation may have been interrupted.

        Raises:
            ValueError: if ``save_best`` is no score that an evaluation will give.
        """
        scores = [] if self.save_best is None else runner.val_loop.score_names()
        if self.save_best not in (None, *scores):
            known = ', '.join(name for name in scores if 'Acc.' not in name and 'IoU.' not in name)
            raise ValueError(f'evaluation.save_best={self.save_best!r} is no score of this run: use one of {known}, or '
                             'that of a class, as IoU.NAME')
        if runner.train_loop.finished >= runner.max_iters:
            self._evaluate(runner)

    def _evaluate(self, runner: TrainRunner) -> None:
        finished = runner.train_loop.finished
        average_running_statistics(runner.model)
        try:
            by_network = runner.val_loop.run()
        except EvaluationStopped:
            runner.logger.warning(f'the evaluation at iteration {finished} was interrupted')
            return
        classes, first = runner.val_loop.dataset.CLASSES, runner.val_loop.names[0]
        scores: dict[str, float] = {}
        for name, values in by_network.items():
            runner.logger.info(f'{name} at iteration {finished}, {format_table(values, classes)}')
            scores.update({key if name == first else f'{name}.{key}': value for key, value in values.items()})
        self._report(runner, scores)
        if self.save_best is not None:
            self._keep_best(runner, self.save_best, scores)

    def _report(self, runner: TrainRunner, scores: dict[str, float]) -> None:
        batches, step = len(runner.val_loop.dataset), runner.train_loop.finished
        lr = runner.optim_wrapper.optimizer.param_groups[0]['lr']
        runner.json_log.write({'mode': 'val', 'epoch': 1, 'iter': batches, 'step': step, 'lr': lr, **scores})
        summary = ', '.join(f'{key}: {value:.4f}' for key, value in scores.items())
        runner.logger.info(f'Iter(val) [{batches}]\t{summary}', extra=NO_TERMINAL)
        runner.add_scalars('val', scores, step)
        images = runner.val_loop.found[runner.val_loop.names[0]].images
        if images is not None:
            runner.add_pictures('val', images.drawn[:TRACKED_PICTURES], step)

    def _keep_best(self, runner: TrainRunner, by: str, scores: dict[str, float]) -> None:
        best, score = runner.meta['hook_msgs'], scores[by]
        if not score > best.get('best_score', float('-inf')):
            return
        name = re.sub(r'[/\\]', '_', by)  # that of a class may hold anything
        previous, file = best.get('best_ckpt'), f'best_{name}_iter_{runner.train_loop.finished}.pth'
        best.update(best_score=score, best_ckpt=file)
        runner.checkpoints.write(runner, file)
        if previous not in (None, file) and processes.is_main():
            (runner.checkpoints.folder / previous).unlink(missing_ok=True)
        runner.logger.info(f'best {by} so far: {score:.4f}, saved as {file}',
                           extra=NO_TERMINAL)


class CheckpointHook(Hook):
    """Writes ``iter_N.pth`` at an interval and at the end, and points ``latest.pth`` at it.

    Args:
        folder: where the files go.
        interval: iterations between two checkpoints; None writes none but on request.
        max_keep_ckpts: how many of this run's ``iter_N.pth`` stay; -1 keeps all.
        save_optimizer: without the optimizer's state a checkpoint is smaller, but no training can resume from it.
    """
    priority = 'VERY_LOW'

    def __init__(self, folder: Path, interval: int | None, max_keep_ckpts: int = -1,
                 save_optimizer: bool = True) -> None:
        self.folder, self.interval = folder, interval
        self.max_keep, self.save_optimizer = max_keep_ckpts, save_optimizer
        self.kept: list[Path] = []
        self.latest: int | None = None

    def before_train(self, runner: TrainRunner) -> None:
        """Make the folder and tidy it up; a resumed run takes over its earlier files."""
        if processes.is_main():
            self.folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self.folder)
        if runner.iter:  # resumed: the files of the first part belong to this run
            self.kept = numbered_checkpoints(self.folder, runner.iter)

    def after_train_iter(self, runner: TrainRunner, batch_idx: int, data_batch: Any = None,
                         outputs: Any = None) -> None:
        """Save if an interval ends."""
        if self.interval is not None and _due(runner, self.interval):
            self.save(runner)

    def save(self, runner: TrainRunner) -> Path:
        """Write ``iter_N.pth`` for the N finished iterations, unless it is there, and drop the oldest of too many.

        With several processes all of them call it; process 0 writes.
        """
        finished = runner.train_loop.finished
        path = self.folder / f'iter_{finished}.pth'
        if self.latest == finished:
            return path
        self.write(runner, path.name)
        self.latest = finished
        if not processes.is_main():
            return path
        point_latest(path)
        self.kept = [kept for kept in self.kept if kept != path] + [path]
        while 0 < self.max_keep < len(self.kept):
            self.kept.pop(0).unlink(missing_ok=True)
        return path

    def write(self, runner: TrainRunner, name: str) -> None:
        """Write the present state under ``name``, with the running statistics of all processes.

        Raises:
            NonFiniteLoss: rather than storing a network that is lost.
            CheckpointError: if the file cannot be written.
        """
        finished = runner.train_loop.finished
        runner.call_hook('before_checkpoint', means=runner.log_buffer.means())
        average_running_statistics(runner.model)
        if not processes.is_main():
            return
        optimizer = runner.optim_wrapper.optimizer if self.save_optimizer else None
        meta = dict(runner.meta, iter=finished, epoch=1, seed=runner.seed, max_iters=runner.max_iters,
                    processes=runner.world_size)
        checkpoint = pack(runner.model, optimizer, meta)
        _let_hooks_add(runner, checkpoint)
        write(checkpoint, self.folder / name)


def _let_hooks_add(runner: Any, checkpoint: dict[str, Any]) -> None:
    """Add what hooks keep, if the checkpoint can be resumed, and call MMEngine's ``before_save_checkpoint``.

    Raises:
        CheckpointError: for content that could not be read again.
    """
    states = hook_states(runner.hooks) if 'optimizer' in checkpoint else {}
    for name, state in states.items():
        require_readable(state, f'the state of {name}')
    if states:
        checkpoint['hooks'] = states
    before = set(checkpoint)
    runner.call_hook('before_save_checkpoint', checkpoint=checkpoint)
    for name in checkpoint.keys() - before:
        require_readable(checkpoint[name], f'{name!r}, which a hook adds,')
