"""How far the mean of a gradient tensor can be compared: its elements nearly cancel, so it is mostly rounding.

In the recorded step of EBDA with one image the mean of most tensors before a layer norm is 0 but for rounding, and that
of others a thousandth of their elements' size. An input scaled by 1 +- 1e-6 moves these means by several percent, and
the norms by less than 0.1 %. So norms are compared, and elements relative to the largest one; means only relative to
the elements (golden.check_stats).
"""
from __future__ import annotations

import pytest
from torch import Tensor

from tests.parity import golden, steps, test_dida_ebda_steps

pytestmark = [pytest.mark.parity, pytest.mark.slow]
CASE = 'ebda/step_b1/published'


def gradients(scale: float, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """The gradient of each parameter in the first iteration, with source images times ``scale``."""
    match = test_dida_ebda_steps.parse(CASE)
    chosen = golden.recorded('dida_ebda.json', 'ebda', 'step_b1/published')['class_choice']
    uda = steps.uda_config(0.12, pseudo_weight_ignore_top=15, pseudo_weight_ignore_bottom=20,
                           entropy_balance=dict(second_forward=True), **steps.FEATURE_DISTANCE)
    cfg = steps.make_config('daformer_b0', uda)
    host = steps.build_host(cfg, 'B')
    steps.fix_classes(chosen, monkeypatch)
    batch = steps.make_batch(int(match['batch']), 128, 32)
    batch['img'] = batch['img'] * scale
    steps.Run(host, cfg, batch, 1, monkeypatch)
    return {name: p.grad.double() for name, p in host.model.named_parameters() if p.grad is not None}


def test_means_of_gradients_are_rounding_and_norms_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = {name: g for name, g in gradients(1., monkeypatch).items() if g.any()}
    moved = []
    for scaled in (gradients(scale, monkeypatch) for scale in (1 - 1e-6, 1 + 1e-6)):
        for name, wanted in reference.items():
            actual = scaled[name]
            assert actual.norm().item() == pytest.approx(wanted.norm().item(), rel=1e-3), name
            difference = abs(actual.mean() - wanted.mean()).item()
            assert difference <= 1e-3 * wanted.abs().mean().item(), name
            if difference > 0.05 * abs(wanted.mean().item()):
                moved.append(name)
    assert len(set(moved)) > len(reference) / 8
