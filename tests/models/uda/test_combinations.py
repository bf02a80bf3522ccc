"""Objectives combine freely: every subset trains and resumes, and none changes what it does not feed."""
from __future__ import annotations

import copy
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch

from mmseg.checkpoint.networks import segmentor_state
from mmseg.models.uda.dida.memory_bank import balanced_labels, write_bank
from mmseg.models.uda.step_state import StepState
from mmseg.utils.waiting import never_waits, pinned
from tests.models import nets

from .conftest import make_batch, make_host

OBJECTIVES = dict(
    fd=dict(imnet_feature_dist_lambda=0.005, imnet_feature_dist_allow_random=True,
            imnet_feature_dist_classes=[6, 7, *range(11, 19)], imnet_feature_dist_scale_min_ratio=0.75),
    mic=dict(mask_mode='separatetrgaug', mask_lambda=1,
             mask_generator=dict(type='block', mask_ratio=0.7, mask_block_size=16)),
    mrm=dict(mrm=dict(dim=16, depth=1, heads=2)),
    eb=dict(entropy_balance=dict(region='valid')),
    dida=dict(instance_bank=dict(warmup=0, interval=1, smoothing=0.9)))
ALL = tuple(OBJECTIVES)
OWN = dict(fd='src.', mic='masked.', mrm='target.', eb=('mix.loss_eb', 'mix.entropy'), dida='instance.')  # log entries
REFINED = ('pseudo_weight', 'mix.decode.', 'masked.', 'target.')  # of the pseudo labels, which DIDA refines

MIT_B0 = dict(type='mit_b0')
WIDTHS = [32, 64, 160, 256]
# name: encoder (None: a tiny one), its widths, crop, and the detail crop of HRDA
NETWORKS = {
    'daformer': (None, None, 64, None), 'hrda': (None, None, 64, 32),
    'daformer-b0': (MIT_B0, WIDTHS, 64, None), 'hrda-b0': (MIT_B0, WIDTHS, 128, 64)}
QUICK, SLOW = ('daformer', 'hrda'), ('daformer-b0', 'hrda-b0')


def network(name: str, num_classes: int) -> dict[str, Any]:
    """Config of a network with a 16-channel head."""
    backbone, widths, _, detail = NETWORKS[name]
    own = dict(backbone=backbone or nets.backbone())
    head = dict(in_channels=widths) if widths else {}
    if detail:
        return nets.hrda_config(num_classes, head, hr_crop_size=(detail, detail), **own)
    return dict(type='EncoderDecoder', decode_head={**nets.head(num_classes), **head}, **own)


@pytest.fixture(scope='module')
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with 38 rows, two per class, so that the instance bank acts from the first step on."""
    folder = tmp_path_factory.mktemp('bank')
    rows = torch.rand(38, 16, generator=torch.Generator().manual_seed(0))
    write_bank(folder, rows, balanced_labels(38, range(19)))
    return folder


class Training:
    """A host with some of the objectives."""

    def __init__(self, subset: tuple[str, ...], name: str, bank: Path | None, device: str = 'cpu',
                 num_classes: int = 19) -> None:
        uda = {key: copy.deepcopy(value) for part in subset for key, value in OBJECTIVES[part].items()}
        if 'dida' in subset:
            uda['instance_bank'] |= dict(bank=str(bank)) if bank else dict(size=num_classes)
        self.host, self.wrapper = make_host(device, model=network(name, num_classes), **uda)
        self.batch = dict(batch=2, size=(NETWORKS[name][2], ) * 2, num_classes=num_classes)

    def step(self, iteration: int, **batch: Any) -> dict[str, torch.Tensor]:
        return self.host.train_step(make_batch(seed=iteration, **{**self.batch, **batch}), self.wrapper)

    def first_step(self) -> tuple[dict[str, torch.Tensor], StepState]:
        """The log of the first step, and all that the step knows."""
        states = []
        end = self.host.end
        self.host.end = lambda state: states.append(state) or end(state)
        return self.step(0), states[0]


def subsets(sizes: range) -> list[tuple[str, ...]]:
    return [subset for size in sizes for subset in combinations(ALL, size)]


@pytest.mark.parametrize('name, subset', [
    *((name, subset) for name in QUICK for subset in subsets(range(2, 3))),
    *(pytest.param(name, subset, marks=pytest.mark.slow) for name in SLOW for subset in subsets(range(len(ALL) + 1)))])
def test_every_subset_trains_and_resumes_bit_equal(name: str, subset: tuple[str, ...], bank: Path) -> None:
    first = Training(subset, name, bank)
    log = first.step(0)
    saved = copy.deepcopy((first.host.state_dict(), first.wrapper.state_dict()))
    assert all(any(key.startswith(OWN[part]) for key in log) == (part in subset) for part in ALL)
    resumed = Training(subset, name, bank)
    resumed.host.load_state_dict(saved[0])
    resumed.wrapper.load_state_dict(saved[1])
    resumed.host.start(seed=3, rank=0, iteration=1)
    second = first.step(1)
    assert all(value.isfinite() for value in (*log.values(), *second.values()))
    assert resumed.step(1) == second
    weights = zip(first.host.state_dict().values(), resumed.host.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in weights)


@pytest.fixture(scope='module', params=QUICK)
def everything(request: pytest.FixtureRequest, bank: Path) -> tuple[str, dict[str, torch.Tensor], StepState]:
    """A network, and log and state of its first step with all objectives."""
    return request.param, *Training(ALL, request.param, bank).first_step()


@pytest.mark.parametrize('removed', ALL)
def test_without_one_all_draws_and_the_losses_it_does_not_feed_stay_bit_equal(removed, everything, bank) -> None:
    name, log, state = everything
    fewer, other = Training(tuple(part for part in ALL if part != removed), name, bank).first_step()
    fed = (OWN[removed], ) if isinstance(OWN[removed], str) else OWN[removed]
    assert log.keys() - fewer.keys() == {key for key in log if key.startswith(fed)} != set()
    refined = REFINED if removed == 'dida' else ()
    assert {key: value for key, value in fewer.items() if not key.startswith(refined)} == {
        key: value for key, value in log.items() if not key.startswith((*fed, *refined))}
    assert torch.equal(other.mix_mask, state.mix_mask)  # ClassMix
    for branch, view in other.seen.items():  # jitter, blur, blocks
        assert torch.equal(view.img, state.seen[branch].img), branch


@pytest.mark.parametrize('name', QUICK)
def test_a_checkpoint_of_all_exports_the_network_alone(name, bank) -> None:
    host = Training(ALL, name, bank).host
    assert {key.partition('.')[0] for key in host.state_dict()} == {
        'model', 'ema_model', 'imnet_model', 'mrm', 'instance_bank'}
    assert segmentor_state(dict(state_dict=host.state_dict())).keys() == host.model.state_dict().keys()


@pytest.mark.parametrize('batch, size, num_classes', [(1, (64, 96), 5), (3, (96, 64), 23)])
def test_any_batch_crop_and_number_of_classes_with_all(device, batch, size, num_classes) -> None:
    training = Training(ALL, 'daformer', None, device, num_classes)
    for iteration in range(2):
        log = training.step(iteration, batch=batch, size=size)
    assert all(value.isfinite() for value in log.values())


def test_losses_stay_in_fp32_under_autocast_with_all(device, bank) -> None:
    training = Training(ALL, 'hrda', bank, device)
    training.wrapper.optim_context = lambda model: torch.autocast(torch.device(device).type, torch.bfloat16)
    assert all(value.isfinite() and value.dtype == torch.float32 for value in training.step(0).values())


@pytest.mark.parametrize('name', QUICK)
def test_the_step_never_waits_for_the_device_with_all(device, name, bank) -> None:
    training = Training(ALL, name, bank, device)
    training.step(0)
    batch = pinned(make_batch(seed=1, **training.batch))
    with never_waits(device):
        training.host.train_step(batch, training.wrapper)
