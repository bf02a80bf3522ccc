"""Measuring speed: what is counted as arithmetic, and what a machine that changes its speed leads to."""
from __future__ import annotations

import pytest
import torch

from mmseg.utils import speed
from mmseg.utils.speed import flop_counter, measure


def test_depthwise_convolutions_are_not_counted_as_dense():
    conv = torch.nn.Conv2d(32, 32, 3, padding=1, groups=32, bias=False)
    x = torch.randn(1, 32, 8, 8, requires_grad=True)
    counter = flop_counter()
    with counter:
        conv(x).sum().backward()
    assert counter.get_total_flops() == 3 * 2 * 9 * 32 * 64


@pytest.mark.parametrize('rates, calls, ok', [([10., 11.], 3, True), ([10., 20., 20., 20.], 6, True),
                                              ([10., 20.] * 3, 9, False)],
                         ids=['steady', 'steady at last', 'unsteady'])
def test_measuring_is_repeated_while_the_machine_changes_its_speed(monkeypatch, rates, calls, ok) -> None:
    given, done = iter(rates), []
    monkeypatch.setattr(speed, 'calibrate', lambda device: next(given))
    result = measure(lambda: done.append(0), 2, 1, torch.device('cpu'))
    assert len(done) == calls and result['calibration_ok'] is ok and len(result['seconds_each']) == 2
    assert 0 <= result['min_seconds'] <= result['median_seconds'] and result['peak_memory_mib'] > 0
