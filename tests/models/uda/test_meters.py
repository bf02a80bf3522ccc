"""Meters: what is counted is right, and a training that is measured is the one that is not."""
from __future__ import annotations

import copy
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from mmseg.models.named_losses import Losses
from mmseg.models.uda import Objective
from mmseg.models.uda.meters import Meters
from mmseg.utils.labels import TARGET_LABEL
from mmseg.utils.waiting import never_waits, pinned
from mmseg.visualization.panels import RIGHT, UNKNOWN, UNSURE, WRONG
from tests.models import nets
from tests.models.uda.base_objective import CLASSES, LR, MIC, MODEL, SECTIONS, Training, same

BANK = dict(instance_bank=dict(size=CLASSES, warmup=0, smoothing=0.5, region='all'))
MRM = dict(dim=16, depth=1, heads=2)
UDA: dict[str, dict[str, Any]] = {
    'everything': {**SECTIONS[0], **SECTIONS[1], **SECTIONS[2], **SECTIONS[3], **BANK},
    'mrm again': dict(MIC, mrm=dict(MRM, view='mix'), entropy_balance=dict(second_forward=True)),
    'dida_code': dict(instance_bank=dict(preset='dida_code', size=CLASSES, smoothing=0.5)),
    'own teacher': dict(MIC, mask_alpha=0.5, mask_pseudo_threshold=None),
    'minent': dict(type='MinEnt'),
    'advseg': dict(type='AdvSeg', **MIC),
}


class Measured(Training):
    """A training whose target has labels, which depend on a seed."""

    def __init__(self, uda: dict[str, Any], lr: float = 0., device: str = 'cpu', labels: int = 0) -> None:
        super().__init__(uda, lr, device)
        self.labels, student = labels, self.host.model
        self.host.meters = self.meters = Meters(student.num_classes, student.shared_weight)
        self.meters.counting = self.meters.comparing = True

    def batch(self) -> dict[str, Any]:
        batch = super().batch()
        rng = np.random.RandomState(100 * self.labels + self.host.iteration)
        label = rng.choice([*range(CLASSES), 255], tuple(batch['gt_semantic_seg'].shape)).astype(np.uint8)
        return dict(batch, **{TARGET_LABEL: torch.from_numpy(label)})


# pseudo labels

PROBABILITIES = torch.tensor([[[0.9, 0.6, 0.2, 0.1, 0.7]], [[0.1, 0.4, 0.8, 0.9, 0.3]]])[None]  # says 0 0 1 1 0
LABEL = torch.tensor([[[0, 1, 1, 255, 0]]])


def test_a_known_confusion() -> None:
    meters = Meters(2, None)
    meters.count('not asked for', PROBABILITIES, 0.75, torch.ones(1, 1, 5))
    meters.counting, meters.label = True, LABEL
    meters.count('all', PROBABILITIES, 0.75, torch.ones(1, 1, 5))
    meters.count('valid', PROBABILITIES, 0.75, torch.tensor([[[1., 1., 1., 1., 0.]]]))
    meters.count('valid', PROBABILITIES, None, torch.tensor([[[0., 0., 1., 1., 0.]]]))
    meters.label = None
    meters.count('without labels', PROBABILITIES, 0.75, torch.ones(1, 1, 5))
    assert {stage: counts.tolist() for stage, counts in meters.read().counts.items()} == {
        'all': [[[1, 0], [1, 0], [0, 0]], [[1, 0], [0, 1], [0, 1]]],  # unsure, then confident: labels 0, 1, unknown
        'valid': [[[0, 0], [1, 0], [0, 0]], [[1, 0], [0, 2], [0, 2]]],
        'without labels': [[[0, 0], [0, 0], [2, 0]], [[0, 0], [0, 0], [1, 2]]]}
    assert not meters.read().counts, 'a reading starts anew'


def test_the_panel_shows_errors() -> None:
    meters = Meters(2, None)
    valid = torch.tensor([[[1., 1., 1., 1., 0.]]])
    assert not meters.panels(PROBABILITIES, 0.75, valid)
    meters.label = LABEL
    [panel] = meters.panels(PROBABILITIES, 0.75, valid)
    assert panel.kind == 'verdict' and panel.tensor.tolist() == [[[RIGHT, UNSURE, RIGHT, UNKNOWN, UNKNOWN]]]
    [panel] = meters.panels(PROBABILITIES, None, valid)
    assert panel.tensor.tolist() == [[[RIGHT, WRONG, RIGHT, UNKNOWN, UNKNOWN]]]


def matched(probabilities: Tensor, label: Tensor) -> Tensor:
    """Counts [C, C] of (label, most probable class)."""
    label, predicted = label.flatten().long(), probabilities.argmax(dim=1).flatten()
    cells = (label * CLASSES + predicted)[label < CLASSES]
    return torch.bincount(cells, minlength=CLASSES**2).view(CLASSES, CLASSES)


@pytest.mark.parametrize('name', ['everything', 'dida_code'])
def test_pseudo_labels_are_counted_before_and_after_a_refinement(name: str, monkeypatch) -> None:
    training = Measured(UDA[name], LR)
    if name == 'dida_code':
        training.host.first_pass(iter(lambda: training.batch(), None), print)
    training.run(3)
    training.meters.read()
    bank, seen = training.host.instance_bank, []
    refine = bank.refine
    monkeypatch.setattr(bank, 'refine', lambda step, before, decoded: seen.extend(
        (before.clone(), refine(step, before, decoded))) or seen[-1])
    label = training.batch()[TARGET_LABEL]
    training.run(1)
    counts = training.meters.read().counts
    assert list(counts) == ['pseudo', 'refined.instance_bank']
    for probabilities, stage in zip(seen, counts.values()):
        assert torch.equal(torch.from_numpy(stage[:, :-1].sum(axis=0)), matched(probabilities, label))
        assert stage[1].sum() == (probabilities.amax(dim=1) >= 0.2).sum()
    assert (counts['pseudo'] != counts['refined.instance_bank']).any()


class Turned(Objective):
    """A refinement of one's own, which knows nothing of meters."""
    name = 'turned'

    def refine(self, step: Any, probabilities: Tensor, decoded: Any) -> Tensor:
        return probabilities.roll(1, dims=1)


def test_a_refinement_of_ones_own_has_its_stage_and_margins_do_not_count() -> None:
    training = Measured(dict(pseudo_weight_ignore_top=16))
    training.host.add_objective(Turned())
    training.run(1)
    before, after = training.meters.read().counts.values()
    assert before.sum() == 2 * 48 * 64 and (after == np.roll(before, 1, axis=2)).all()


def test_a_teacher_of_mics_own_has_its_stage() -> None:
    training = Measured(UDA['own teacher'])
    training.run(1)
    counts = training.meters.read().counts
    assert list(counts) == ['pseudo', 'mic.pseudo'] and not counts['mic.pseudo'][0].any(), 'it trusts every pixel'


# gradients

MODELS = dict(
    daformer=MODEL, hrda=nets.hrda_config(hr_crop_size=(32, 32)),
    resnet=dict(type='EncoderDecoder', backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=4),
                decode_head={**nets.head(CLASSES), 'in_channels': [4, 8, 16, 32]}))


def use(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trainings have this network."""
    monkeypatch.setattr('tests.models.uda.base_objective.MODEL', copy.deepcopy(MODELS[model]))


@pytest.mark.parametrize('name, model', [*((name, 'daformer') for name in UDA), ('everything', 'hrda'),
                                         ('mrm again', 'resnet')])
def test_the_gradients_of_the_losses_add_up_to_that_which_is_trained(name: str, model: str, monkeypatch) -> None:
    use(model, monkeypatch)
    training, found = Measured(UDA[name]), {}
    add = training.meters._add
    monkeypatch.setattr(training.meters, '_add', lambda loss, gradient: (found.update({loss: gradient}),
                                                                         add(loss, gradient)))
    (log, ) = training.run(1)
    weight, norms = training.host.model.shared_weight, training.meters.read().norms
    torch.testing.assert_close(sum(found.values()), weight.grad, rtol=1e-4, atol=1e-6 * float(weight.grad.abs().max()))
    assert norms == {loss: (pytest.approx(float(gradient.norm())), 1) for loss, gradient in found.items()}
    assert set(norms) == {loss for loss in log.trained if not loss.startswith('D_')}  # the discriminators' own


def test_what_does_not_reach_the_weight_is_left_out_and_means_are_taken() -> None:
    weight, other = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    meters, features = Meters(2, weight), SimpleNamespace(maps=[weight * 1])
    meters.comparing = True
    for factor in (1., 3.):
        meters.compare(Losses(dict(a=(factor * weight[:1]).sum(), b=other.sum(), c=torch.zeros(()))), features)
    assert meters.read().norms == {'a': (4., 2)} and weight.grad is None and other.grad is None


# the training


def tensors(state: Any) -> Iterator[Tensor]:
    """All that a state dict holds."""
    return (leaf for leaf in tree_leaves(state) if isinstance(leaf, Tensor))


@pytest.mark.parametrize('name', UDA)
def test_a_measured_training_is_the_same_whatever_the_labels_say(name: str) -> None:
    plain = Training(UDA[name], LR)
    expected, found = plain.run(2), []
    for labels in (0, 1):
        training = Measured(UDA[name], LR, labels=labels)
        assert all(same(dict(log), dict(other)) for log, other in zip(training.run(2), expected))
        for mine, theirs in zip(training.parts().values(), plain.parts().values()):
            assert all(map(torch.equal, tensors(mine.state_dict()), tensors(theirs.state_dict())))
        assert same(training.gradients(), plain.gradients())
        found.append(training.meters.read())
    assert found[0].norms.keys() == found[1].norms.keys() and len(found[0].norms) > 1
    assert all((counts != found[1].counts[stage]).any() for stage, counts in found[0].counts.items())


@pytest.mark.parametrize('name', ['everything', 'mrm again'])
def test_measuring_never_waits_and_bf16_measures_about_the_same(name: str, device: str) -> None:
    training = Measured(UDA[name], 0., device)
    training.run(1)  # what is made once may wait
    training.meters.read()
    batch = pinned(training.batch())
    with never_waits(device):
        training.host.train_step(batch, training.wrapper)
    norms = training.meters.read().norms
    training.host.start(seed=3, rank=0, iteration=1)
    training.under_bf16()
    training.run(1)
    for loss, (length, _) in training.meters.read().norms.items():
        assert length == pytest.approx(norms[loss][0], rel=0.3, abs=1e-5), loss


@pytest.mark.parametrize('model', MODELS)
def test_recomputation_and_other_networks(model: str, monkeypatch) -> None:
    """A graph that is kept is computed again for each loss."""
    use(model, monkeypatch)
    uda = dict(mrm=dict(MRM, view='mix'))
    plain = Measured(uda)
    plain.run(1)
    monkeypatch.setattr('tests.models.uda.base_objective.MODEL', with_cp(plain.host.model_cfg))
    saving = Measured(uda)
    saving.run(1)
    expected = plain.meters.read().norms
    for loss, (length, _) in saving.meters.read().norms.items():
        assert length == pytest.approx(expected[loss][0], rel=1e-3), loss
    moved = {name: value for name, value in plain.host.state_dict().items() if 'running' in name}
    assert moved and all(torch.equal(saving.host.state_dict()[name], value) for name, value in moved.items())


def with_cp(model: dict[str, Any]) -> dict[str, Any]:
    model = copy.deepcopy(model)
    for part in ('backbone', 'decode_head'):
        model[part]['with_cp'] = True
    return model
