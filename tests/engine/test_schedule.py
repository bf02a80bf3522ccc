"""Learning-rate policies and warm-ups, and messages about what does not exist."""
from __future__ import annotations

import math

import pytest

from mmseg.engine.schedule import LearningRate


@pytest.mark.parametrize('warmup, factor', [('constant', 0.01), ('linear', 0.505), ('exp', 0.1)])
def test_warmup_scales_the_regular_rate_until_it_ends(warmup: str, factor: float) -> None:
    rate = LearningRate(dict(policy='fixed', warmup=warmup, warmup_iters=10, warmup_ratio=0.01), max_iters=100)
    assert rate(2., 5) == pytest.approx(2. * factor)
    assert rate(2., 10) == 2.


def test_step_policy_decays_at_milestones_or_intervals() -> None:
    milestones = LearningRate(dict(policy='step', step=[3, 6], gamma=0.1), max_iters=10)
    assert [milestones(1., i) for i in (0, 2, 3, 5, 6, 9)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    interval = LearningRate(dict(policy='step', step=4, gamma=0.5, min_lr=0.2), max_iters=20)
    assert [interval(1., i) for i in (3, 4, 8, 12)] == pytest.approx([1, 0.5, 0.25, 0.2])


def test_no_schedule_means_a_fixed_rate() -> None:
    assert LearningRate(None, max_iters=5)(0.3, 4) == 0.3


def test_poly_with_a_floor_above_the_rate_rises_to_it() -> None:
    rate = LearningRate(dict(policy='poly', power=1., min_lr=1e-4), max_iters=10)
    assert rate(6e-5, 5) == pytest.approx(8e-5) and math.isclose(rate(6e-5, 10), 1e-4)


@pytest.mark.parametrize('config, words', [
    (dict(policy='cosine'), 'poly'),
    (dict(policy='poly', by_epoch=True), 'by_epoch'),
    (dict(policy='poly', gamma=0.1), 'gamma'),
    (dict(policy='step'), 'lr_config.step'),
    (dict(policy='poly', warmup='linaer', warmup_iters=5), 'linear'),
    (dict(policy='poly', warmup='linear'), 'warmup_iters'),
])
def test_what_does_not_exist_is_refused_by_name(config: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        LearningRate(config, max_iters=10)
