"""Learning rates in closed form: a function of the iteration alone, so that resuming needs no saved schedule."""
from __future__ import annotations

from bisect import bisect_right
from typing import Any

from mmseg.utils.kinds import AMOUNT, COUNT, NONE, list_of

POLICIES = {
    'fixed': {},
    'poly': dict(power=AMOUNT, min_lr=AMOUNT),
    'step': dict(step=COUNT | list_of(COUNT), gamma=AMOUNT, min_lr=AMOUNT | NONE),
}
WARMUPS = ('constant', 'linear', 'exp')
_COMMON = frozenset({'policy', 'by_epoch', 'warmup', 'warmup_iters', 'warmup_ratio'})


class LearningRate:
    """The schedule of a config's ``lr_config`` section.

    Args:
        lr_config: ``policy`` (fixed, poly with ``power`` and ``min_lr``, step with ``step`` and ``gamma``) and,
            optionally, ``warmup`` (constant, linear, exp), ``warmup_iters``, ``warmup_ratio``. None: a fixed rate.
        max_iters: length of the training in iterations.

    Raises:
        ValueError: for an unknown policy, warm-up or key, and for schedules that count epochs.
    """

    def __init__(self, lr_config: dict[str, Any] | None, max_iters: int) -> None:
        self.config = dict(lr_config or {'policy': 'fixed'})
        self.max_iters = max_iters
        self._check()

    def _check(self) -> None:
        policy, warmup = self.config.get('policy'), self.config.get('warmup')
        if policy not in POLICIES:
            raise ValueError(f'lr_config.policy {policy!r} is not known: use one of {", ".join(POLICIES)}')
        unknown = set(self.config) - _COMMON - POLICIES[policy].keys()
        if unknown:
            raise ValueError(f'lr_config has the key(s) {sorted(unknown)}, which policy {policy!r} does not know')
        if self.config.get('by_epoch'):
            raise ValueError('lr_config.by_epoch=True is not supported: training counts iterations, set it to False')
        if policy == 'step' and 'step' not in self.config:
            raise ValueError('lr_config.policy "step" needs lr_config.step: an interval or a list of iterations')
        if warmup is not None and warmup not in WARMUPS:
            raise ValueError(f'lr_config.warmup {warmup!r} is not known: use one of {", ".join(WARMUPS)} or None')
        if warmup is not None and self.config.get('warmup_iters', 0) < 1:
            raise ValueError('lr_config.warmup needs lr_config.warmup_iters >= 1')

    def __call__(self, initial: float, iteration: int) -> float:
        """The learning rate at the 0-based ``iteration`` of a parameter group that starts from ``initial``."""
        regular = getattr(self, f'_{self.config["policy"]}')(initial, iteration)
        if self.config.get('warmup') is None or iteration >= self.config['warmup_iters']:
            return regular
        return regular * self._warmup(iteration)

    def _fixed(self, initial: float, iteration: int) -> float:
        return initial

    def _poly(self, initial: float, iteration: int) -> float:
        floor = self.config.get('min_lr', 0.)
        return (initial - floor) * (1 - iteration / self.max_iters)**self.config.get('power', 1.) + floor

    def _step(self, initial: float, iteration: int) -> float:
        step = self.config['step']
        passed = iteration // step if isinstance(step, int) else bisect_right(sorted(step), iteration)
        return max(initial * self.config.get('gamma', 0.1)**passed, self.config.get('min_lr') or 0.)

    def _warmup(self, iteration: int) -> float:
        ratio, progress = self.config.get('warmup_ratio', 0.1), iteration / self.config['warmup_iters']
        if self.config['warmup'] == 'constant':
            return ratio
        if self.config['warmup'] == 'linear':
            return 1 - (1 - progress) * (1 - ratio)
        return ratio**(1 - progress)
