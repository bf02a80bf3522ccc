"""The tests that every objective passes: inherit :class:`ObjectiveTests` and say what switches it on."""
from __future__ import annotations

import ast
import copy
import io
from collections.abc import Container
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mmseg.models.named_losses import Losses
from mmseg.models.uda.branch import Branch
from mmseg.models.uda.teacher import EMATeacher
from mmseg.utils.waiting import never_waits, pinned
from tests.models import nets
from tests.models.base_head import DEVICES
from tests.models.uda.conftest import make_batch, make_host

CLASSES = 5
MODEL = dict(type='EncoderDecoder', backbone=nets.backbone(), decode_head=nets.head(CLASSES, fusion='conv'))
MIC = dict(mask_mode='separatetrg', mask_lambda=1,
           mask_generator=dict(type='block', mask_ratio=0.7, mask_block_size=16))
SECTIONS = (
    dict(imnet_feature_dist_lambda=0.005, imnet_feature_dist_allow_random=True), MIC,
    dict(mrm=dict(dim=16, depth=1, heads=2)), dict(entropy_balance={}),
    dict(instance_bank=dict(size=CLASSES, warmup=0)))
LR = 1e-3


class Training:
    """A host that is trained; equal arguments give equal weights."""

    def __init__(self, uda: dict[str, Any], lr: float = 0., device: str = 'cpu') -> None:
        self.host, self.wrapper = make_host(device, CLASSES, lr, copy.deepcopy(MODEL), **copy.deepcopy(uda))
        if not lr:
            self.wrapper.step = lambda: None  # nobody learns, in less time
        generator = torch.Generator().manual_seed(1)
        for p in self.host.model.parameters():  # without a bias, hidden blocks stay constant through all layer norms
            p.data.add_(torch.randn(p.shape, generator=generator).to(device), alpha=0.05)

    def batch(self) -> dict[str, Any]:
        return make_batch(num_classes=CLASSES, seed=self.host.iteration)

    def run(self, steps: int) -> list[Losses]:
        """What the next iterations log."""
        return [self.host.train_step(self.batch(), self.wrapper) for _ in range(steps)]

    def under_bf16(self) -> None:
        """Go on with networks that compute in bfloat16."""
        device = next(self.host.parameters()).device.type
        self.wrapper.optim_context = lambda model: torch.autocast(device, torch.bfloat16)

    def disturbed(self) -> Training:
        """Somebody else draws random numbers after each branch."""
        def run(branch: Branch, *args: Any) -> Any:
            results = Branch.run(branch, *args)
            torch.rand(7), np.random.rand(7)
            return results

        for branch in self.host.branches.values():
            branch.run = partial(run, branch)
        return self

    def gradients(self) -> dict[str, Tensor]:
        return {name: p.grad.clone() for name, p in self.host.named_parameters() if p.grad is not None}

    def parts(self) -> dict[str, Any]:
        """Everything that has a state."""
        return dict(host=self.host, optimizer=self.wrapper, **self.host.own_optimizers())

    def saved(self) -> io.BytesIO:
        """A checkpoint."""
        file = io.BytesIO()
        torch.save({name: part.state_dict() for name, part in self.parts().items()}, file)
        file.seek(0)
        return file

    def resume(self, file: io.BytesIO, iteration: int) -> None:
        state = torch.load(file, weights_only=True)
        for name, part in self.parts().items():
            part.load_state_dict(state[name])
        self.host.start(seed=3, rank=0, iteration=iteration)


@lru_cache(maxsize=32)
def logs_of(uda: str, lr: float, steps: int) -> tuple[list[Losses], dict[str, Tensor]]:
    """Log and student of a training; several objectives are compared with one that has none of them.

    Args:
        uda: the ``uda`` section, as its ``repr``.
    """
    training = Training(ast.literal_eval(uda), lr)
    return training.run(steps), training.host.model.state_dict()


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether both hold the same names with the same bits."""
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def among(values: dict[str, Tensor], names: Container[str]) -> dict[str, Tensor]:
    return {name: value for name, value in values.items() if name in names}


def length(gradients: dict[str, Tensor]) -> Tensor:
    return sum(value.double().square().sum() for value in gradients.values())**0.5


class ObjectiveTests:
    """Standard tests.

    Attributes:
        uda: entries of the ``uda`` section that switch the objective on.
        host: the rest of the section: the method, and what the objective cannot do without.
        absent: the section without the objective, where that is not ``host`` alone.
        others: sections of objectives that may be on as well; those that set one of its own keys are left out.
        off: entries that switch it off as if it were absent; None: absence alone does.
        trained, logged: names of the losses that it adds, and of what it logs only.
        still: prefixes of parameters that it brings along and that do not learn, those of a teacher for example.
        before: iterations until it does all that it does.
        teaches: the losses from which the parameters with a prefix learn.
    """
    uda: dict[str, Any]
    host: dict[str, Any] = {}
    absent: dict[str, Any] | None = None
    others: tuple[dict[str, Any], ...] = SECTIONS
    off: dict[str, Any] | None = None
    trained: set[str]
    logged: set[str] = set()
    still: tuple[str, ...] = ()
    before: int = 0
    teaches: dict[str, set[str]] = {}

    def training(self, lr: float = 0., device: str = 'cpu', **changes: Any) -> Training:
        return Training({**self.host, **self.uda, **changes}, lr, device)

    def plain(self) -> dict[str, Any]:
        """The section without the objective."""
        return self.host if self.absent is None else self.absent

    def beside(self) -> dict[str, Any]:
        """Entries that switch all others on."""
        mine = self.host.keys() | self.uda.keys()
        return {key: value for section in self.others if not mine & section.keys() for key, value in section.items()}

    # gradients

    @pytest.mark.parametrize('device', DEVICES)
    def test_it_learns_with_the_student_and_nothing_else_does(self, device: str) -> None:
        training, plain = self.training(device=device), Training(self.plain())
        training.run(self.before + 1)
        theirs = {name for name, _ in plain.host.named_parameters()}
        mine = {name for name, _ in training.host.named_parameters()} - theirs
        mine -= {name for name in mine if name.startswith(self.still)}
        learning = mine | {name for name in theirs if name.startswith('model.')}
        gradients = training.gradients()
        assert {name for name, p in training.host.named_parameters() if p.requires_grad} == learning
        assert gradients.keys() == learning
        assert all(gradient.isfinite().all() for gradient in gradients.values())
        assert not [name for name in mine if not gradients[name].any()]

    def test_all_that_is_logged_as_trained_is_back_propagated(self) -> None:
        training = self.training()
        training.run(self.before)
        totals, backward = [], training.wrapper.backward
        training.wrapper.backward = lambda loss: totals.append(loss.item()) or backward(loss)
        (log, ), less = training.run(1), logs_of(repr(self.plain()), 0., 2)[0][0]
        assert log.trained.keys() - less.trained.keys() == self.trained
        assert log.keys() - less.keys() == self.trained | self.logged
        assert all(log[name] != 0 for name in self.trained)
        assert sum(totals) == pytest.approx(sum(value.item() for value in log.trained.values()), rel=1e-5)

    def test_gradients_are_those_of_its_losses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """By a difference of the losses along its own gradient and that of all others.

        Teachers stand still, so that the student reaches no loss through them.
        """
        monkeypatch.setattr(EMATeacher, 'update', lambda *_: None)
        training, plain = self.training(), Training(self.plain())
        training.run(self.before), plain.run(self.before)
        start = training.saved()
        training.run(1), plain.run(1)
        theirs = plain.gradients()
        mine = {name: gradient - theirs.get(name, 0) for name, gradient in training.gradients().items()}
        for prefix, losses in (self.teaches or {'': self.trained}).items():
            gradient, other = (
                {name: value for name, value in values.items() if name.startswith(prefix)} for values in (mine, theirs))
            size = length(gradient)
            assert size > 0
            direction = {name: value / size + other.get(name, 0 * value) / length(theirs)
                         for name, value in gradient.items()}
            expected = sum((gradient[name] * value).double().sum() for name, value in direction.items())
            difference = self.slope(training, start, direction, losses)
            assert difference == pytest.approx(expected.item(), abs=0.005 * (size + abs(expected)).item())

    def slope(self, training: Training, start: io.BytesIO, direction: dict[str, Tensor], losses: set[str]) -> float:
        """How fast the losses grow in a direction, by a difference."""
        step, sums = 3e-3, []
        for sign in (1, -1):
            start.seek(0)
            training.resume(start, self.before)
            for name, value in direction.items():
                training.host.get_parameter(name).data.add_(value, alpha=sign * step)
            (log, ) = training.run(1)
            sums.append(sum(log[name].item() for name in losses))
        return (sums[0] - sums[1]) / (2 * step)

    # the step

    @pytest.mark.parametrize('device', DEVICES)
    def test_it_never_waits_for_the_device(self, device: str) -> None:
        training = self.training(LR, device)
        training.run(self.before + 1)  # what is made once may wait
        batch = pinned(training.batch())
        with never_waits(device):
            training.host.train_step(batch, training.wrapper)

    @pytest.mark.parametrize('device', DEVICES)
    def test_bf16_autocast(self, device: str) -> None:
        plain, training = self.training(device=device), self.training(device=device)
        plain.run(self.before), training.run(self.before)
        dtypes = {name: value.dtype for name, value in training.host.state_dict().items()}
        refined = []
        for objective in training.host.objectives:
            refine = objective.refine
            objective.refine = lambda *args, refine=refine: refined.append(refine(*args)) or refined[-1]
        training.under_bf16()
        (expected, ), (log, ) = plain.run(1), training.run(1)
        assert all(value.isfinite() and value.dtype == torch.float32 for value in log.values())
        assert all(probabilities.dtype == torch.float32 for probabilities in refined)
        assert all(gradient.isfinite().all() for gradient in training.gradients().values())
        assert {name: value.dtype for name, value in training.host.state_dict().items()} == dtypes
        for name in self.trained:  # measured: 0.001 of it, 0.004 of what is as small as 1e-3
            assert log[name].item() == pytest.approx(expected[name].item(), rel=5e-3, abs=2e-5), name

    def test_resumed_it_goes_on_bit_equal(self) -> None:
        whole, resumed = self.training(LR), self.training(LR)
        whole.run(2)
        resumed.resume(whole.saved(), 2)
        for expected, log in zip(whole.run(2), resumed.run(2)):
            assert same(log, expected)
        assert same(resumed.host.state_dict(), whole.host.state_dict())

    def test_alone_or_beside_all_others_it_logs_and_trains_the_same(self) -> None:
        """Nobody learns: what differs in any iteration would be a draw, or something that was written to."""
        steps, beside = max(self.before + 1, 2), self.beside()
        alone, everything = self.training().run(steps), self.training(**beside).disturbed().run(steps)
        without = logs_of(repr(self.plain()), 0., steps)[0]
        others = Training({**self.plain(), **beside}).run(steps) if self.absent is None else without
        for mine, less, all_of_it, theirs in zip(alone, without, everything, others):
            assert mine.keys() - less.keys() == self.trained | self.logged
            assert same(among(mine, less), dict(less))
            assert same(among(all_of_it, mine), dict(mine))
            assert same(among(all_of_it, theirs), dict(theirs))

    def test_switched_off_it_is_as_absent(self) -> None:
        if self.off is None:
            pytest.skip('nothing but absence switches it off')
        off = self.training(LR, **self.off)
        expected, student = logs_of(repr(self.plain()), LR, self.before + 2)
        for log, plain in zip(off.run(self.before + 2), expected):
            assert same(among(log, plain), dict(plain))
        assert same(off.host.model.state_dict(), student)
