"""Is my run healthy? Warnings in the log with a cause and a remedy; a loss that is no number ends the run."""
from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from mmengine.hooks import Hook
from torch import Tensor

from mmseg.checkpoint.file import plain
from mmseg.engine.schedule import LearningRate
from mmseg.errors import NonFiniteLoss

if TYPE_CHECKING:
    from mmseg.engine.runner import TrainRunner

STUCK_REPORTS = 10  # log lines in a row that make a pseudo-label weight stuck
NO_WEIGHT, ALL_WEIGHT = 0.001, 0.999
YOUNG = 0.05  # share of the training in which a weight of 0 is normal
KNOWN_IOU, COLLAPSED = 0.1, 0.25  # a class that was this good before, and the share of its best that is left
RATE_TOLERANCE = 1e-6  # relative
REMEDY = ('Lower optimizer.lr, lengthen lr_config.warmup_iters, set '
          'optimizer_config=dict(grad_clip=dict(max_norm=1.)), or train without amp; then resume from the last '
          'checkpoint.')
NO_LABELS = (
    'health: pseudo_weight stays at 0: hardly any target pixel reaches uda.pseudo_threshold={threshold}, so that the '
    'network learns from source pixels alone. Cause: a teacher that is unsure everywhere, because the source loss does '
    'not fall (learning rate, label ids), the target images are normalised in another way, or the threshold is too '
    'high for so many classes. Remedy: look at decode.loss_seg and at the pictures in debug/; then lower '
    'uda.pseudo_threshold')
ALL_LABELS = (
    'health: pseudo_weight stays at 1: the teacher is sure of every target pixel. Cause: predictions have collapsed to '
    'a few classes, or uda.pseudo_threshold={threshold} is too low. Remedy: look at the pictures in debug/ and at the '
    'IoU of each class; raise uda.pseudo_threshold, lower optimizer.lr, or start again from an earlier checkpoint')
LOST_CLASS = (
    'health: {score} has fallen to {now:.3f}; its best was {best:.3f}, at iteration {when}. Cause: pseudo labels that '
    'confuse this class with another one reinforce themselves (the rarer the class, the easier); without adaptation, '
    'the network drifts to the look of the source; or the learning rate is too high. Remedy: look at the pictures in '
    'debug/; use data.train.rare_class_sampling and, for things, uda.imnet_feature_dist_lambda; resume from a '
    'checkpoint of iteration {when} with a lower optimizer.lr')
OFF_SCHEDULE = (
    'health: the learning rate of {name} and its group is {now:.4g} at iteration {step}, where lr_config says '
    '{wanted:.4g}. Cause: something besides lr_config sets it (a hook of your own, an optimizer wrapper). Remedy: '
    'leave it to lr_config and optimizer.paramwise_cfg')


class HealthHook(Hook):
    """Looks at what is logged anyway, so nothing is read from the device in between; every warning comes once.

    Args:
        schedule: what the learning rate should be.
        threshold: ``uda.pseudo_threshold``; None if every pixel is trusted on purpose, or there are no pseudo labels.
    """
    priority = 'VERY_LOW'

    def __init__(self, schedule: LearningRate, threshold: float | None) -> None:
        self.schedule, self.threshold = schedule, threshold
        self.stuck = {NO_LABELS: 0, ALL_LABELS: 0}
        self.best: dict[str, tuple[float, int]] = {}
        self.reported: set[str] = set()

    def after_report(self, runner: TrainRunner, mode: str, values: dict[str, float], step: int) -> None:
        """Look at the means of an interval ('train') or the scores of an evaluation ('val'), at nothing else.

        Args:
            runner: the runner.
            mode: what is reported.
            values: what is logged.
            step: number of finished iterations.

        Raises:
            NonFiniteLoss: if a loss is no number.
        """
        if mode == 'train':
            require_finite(runner, values)
            found: Iterable[tuple[str, str]] = [
                *self.rates(runner.optim_wrapper.optimizer.param_groups, step),
                *self.pseudo_labels(values, step / runner.max_iters)]
        else:
            found = self.classes(values, step) if mode == 'val' else ()
        for problem, text in found:
            if problem not in self.reported:
                self.reported.add(problem)
                runner.logger.warning(text)

    def before_checkpoint(self, runner: TrainRunner, means: dict[str, float]) -> None:
        """Rather stop than store a network that is lost.

        Raises:
            NonFiniteLoss: if a loss is no number.
        """
        require_finite(runner, means)

    def rates(self, groups: list[dict[str, Any]], step: int) -> Iterator[tuple[str, str]]:
        """Learning rates that are not those of the schedule, as (problem, text)."""
        for group in groups:
            wanted = self.schedule(group['initial_lr'], step - 1)
            if not math.isclose(group['lr'], wanted, rel_tol=RATE_TOLERANCE, abs_tol=1e-15):
                yield 'rate', OFF_SCHEDULE.format(name=group['names'][0], now=group['lr'], wanted=wanted, step=step)

    def pseudo_labels(self, values: dict[str, float], progress: float) -> Iterator[tuple[str, str]]:
        """A pseudo-label weight that stays at 0 after the first iterations, or at 1."""
        weight = values.get('pseudo_weight')
        if weight is None or self.threshold is None:
            return
        for text, stuck in ((NO_LABELS, weight < NO_WEIGHT and progress > YOUNG), (ALL_LABELS, weight > ALL_WEIGHT)):
            self.stuck[text] = self.stuck[text] + 1 if stuck else 0
            if self.stuck[text] >= STUCK_REPORTS:
                yield text, text.format(threshold=self.threshold)

    def classes(self, scores: dict[str, float], step: int) -> Iterator[tuple[str, str]]:
        """Classes of which little is left; one that recovers may be warned about again."""
        for score, now in scores.items():
            if 'IoU.' not in score:
                continue
            best, when = self.best.get(score, (0., 0))
            if best >= KNOWN_IOU and now < COLLAPSED * best:
                yield score, LOST_CLASS.format(score=score, now=now, best=best, when=when)
            else:
                self.reported.discard(score)
            if now > best:
                self.best[score] = now, step


def require_finite(runner: TrainRunner, means: dict[str, float]) -> None:
    """Refuse to go on with a loss that is no number; keep the batch of the first iteration that had one.

    Args:
        runner: the runner.
        means: logged values; those that are trained are looked at.

    Raises:
        NonFiniteLoss: naming the losses, the iteration, the images and the file with the batch.
    """
    losses = runner.log_buffer.losses(means)
    bad = {name: value for name, value in losses.items() if not math.isfinite(value)}
    if not bad:
        return
    finished, found = runner.train_loop.finished, runner.log_buffer.first_lost()
    if found is None:  # in another process, which says more
        raise NonFiniteLoss(f'Training stopped at iteration {finished}: {_listed(bad)}. The checkpoints written so far '
                            f'stay. {REMEDY}')
    iteration, losses = found
    raise NonFiniteLoss(
        f'Training stopped at iteration {finished}, because in iteration {iteration + 1} {_listed(losses)}. '
        f'{_keep_batch(runner, iteration, losses)} The checkpoints written so far stay. {REMEDY}')


def _listed(losses: dict[str, float]) -> str:
    return ', '.join(f'{name} = {value}' for name, value in losses.items())


def _keep_batch(runner: TrainRunner, iteration: int, losses: dict[str, float]) -> str:
    """Load the batch of an iteration again, as it is a function of seed and iteration, and write it to a file."""
    path = Path(runner.work_dir) / f'lost_iter_{iteration + 1}_process_{runner.rank}.pth'
    try:
        batches = list(runner.train_loop.dataloader(iteration, iteration + 1))
        torch.save(dict(iteration=iteration, seed=runner.seed, process=runner.rank, losses=losses, batches=[
            {key: value if isinstance(value, Tensor) else plain(value) for key, value in batch.items()}
            for batch in batches]), path)
    except Exception as error:  # the loss is the news, whatever happens here
        return f'Its batch could not be kept ({error}).'
    files = dict.fromkeys(str(meta['filename']) for batch in batches for key in ('img_metas', 'target_img_metas')
                          for meta in batch.get(key, ()))
    return f'Its batch is in {path}, made of {", ".join(files)}.'
