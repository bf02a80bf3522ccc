"""The instance bank against the published program, part by part."""
from __future__ import annotations

import math
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg.models.segmentors.results import Decoded, HeadOutput
from mmseg.models.uda.cells import class_counts
from mmseg.models.uda.dida import published
from mmseg.models.uda.dida.memory_bank import write_bank
from mmseg.models.uda.dida.prototypes import boundary_pixels, class_means
from mmseg.models.uda.dida.relation import gather, scatter
from mmseg.models.uda.step_state import Items, View
from mmseg.utils.draws import Draws
from tests.parity import golden
from tests.parity.golden import Tolerance, UnknownName

pytestmark = pytest.mark.parity

VALUES, SIGNED, GRADIENTS = Tolerance(1e-5, 1e-7), Tolerance(0, 1e-4), Tolerance(1e-4, 1e-5)
BANK_ATOL = 5e-6
NUMBER = r'\d+(?:\.\d+)?'
CHECKS: dict[str, list[tuple[str, Callable]]] = {'npz': [], 'json': []}


def check(kind: str, pattern: str) -> Callable:
    """Register a check for the entries below dida/ (NPZ) or dida/components/ (JSON) that match a pattern."""

    def register(function: Callable) -> Callable:
        CHECKS[kind].append((pattern, function))
        return function

    return register


def find(kind: str, name: str) -> tuple[Callable, tuple]:
    for pattern, function in CHECKS[kind]:
        match = re.fullmatch(pattern, name)
        if match:
            return function, match.groups()
    raise UnknownName(f'no check for {name}')


def split(kind: str, prefix: str) -> Callable[[str], tuple[str, str]]:
    def split_entry(entry: str) -> tuple[str, str]:
        find(kind, entry.removeprefix(prefix))
        return entry, ''
    return split_entry


# inputs of the recordings


def bank_labels(name: str) -> np.ndarray:
    if name == 'K38':
        return np.random.RandomState(801).permutation(np.arange(19).repeat(2))
    return np.random.RandomState(802).permutation(np.delete(np.arange(19), (9, 14, 16)).repeat(2))


@pytest.fixture
def make(tmp_path: Any) -> Callable[..., published.PublishedInstanceBank]:
    """Makes an objective with a recorded bank."""

    def make_objective(bank: str = 'K38', **options: Any) -> published.PublishedInstanceBank:
        label = torch.from_numpy(bank_labels(bank))
        write_bank(tmp_path, golden.rnd(800, (38, 256)).abs().cpu()[:len(label)], label)
        return published.PublishedInstanceBank(19, 256, str(tmp_path), **options).to(golden.DEVICE)

    return make_objective


def image_labels(seed: int = 811, block: int = 16) -> Tensor:
    return golden.labels(seed, 2, 64, 64, block).squeeze(1)


def source_features() -> Tensor:
    return golden.rnd(810, (2, 256, 16, 16)).abs()


def decoded(embedding: Tensor) -> Decoded:
    return Decoded(HeadOutput(embedding[:, :19], embedding), (64, 64))


def products(objective: Any, who: str) -> Tensor:
    return objective.similarities(decoded(golden.rnd({'w': 820, 's': 821}[who], (2, 256, 16, 16)).abs()))


def factor(name: str) -> Tensor:
    signed = 2 * golden.rnd(822, (2, 19, 16, 16))
    return dict(signed_logits=signed, logits_plus8=signed + 8, probabilities=signed.softmax(dim=1))[name]


def target(objective: Any, name: str) -> Tensor:
    """What the student's shares should be; ``name`` says what calibrates which similarities."""
    similarities = products(objective, 'w')
    if name == 'uncalibrated':
        return published.strip_target(similarities, None)
    if name.endswith('_normalised_w'):
        name, similarities = name.removesuffix('_normalised_w'), published.normalised(similarities)
    return published.strip_target(similarities, scatter(factor(name), objective.bank.label))


# bank


@check('npz', r'bank/labels_(K\d+)\w*')
def labels_of_rows(make: Callable, expected: Any, bank: str) -> None:
    np.testing.assert_array_equal(bank_labels(bank if bank == 'K38' else 'K32'), expected.array)
    np.testing.assert_array_equal(golden.numbers(make(bank).bank.label), expected.array)


@check('npz', 'bank/z0')
def rows(make: Callable, expected: Any) -> None:
    expected.compare(make().bank.feature, VALUES)


@check('npz', 'bank/features_upsampled')
def enlarged_features(make: Callable, expected: Any) -> None:
    matrices = [published.interpolation(16, 64, False, torch.device(golden.DEVICE))] * 2
    expected.compare(published.interpolate(source_features(), *matrices), VALUES)


@check('npz', 'bank/class_entry_(batch|image0|image1)')
def entries(make: Callable, expected: Any, images: str) -> None:
    chosen = dict(batch=slice(None), image0=slice(0, 1), image1=slice(1, 2))[images]
    expected.compare(make().prototypes(source_features()[chosen], image_labels()[chosen]), Tolerance(1e-5, 1e-6))


@check('npz', rf'bank/(?:(K32)_)?(?:mom({NUMBER})_)?after(\d+)')
def updated(make: Callable, expected: Any, bank: str | None, momentum: str | None, updates: str) -> None:
    objective = make(bank or 'K38', momentum=float(momentum or 0.999), interval=1)
    step = SimpleNamespace(draws=Draws(0), source=View(torch.empty(0, device=golden.DEVICE), image_labels()),
                           student=SimpleNamespace(align_corners=False))
    for _ in range(int(updates)):
        objective.on_source(step, None, decoded(source_features()))
    np.testing.assert_allclose(golden.numbers(objective.bank.feature), expected.array, rtol=0, atol=BANK_ATOL)


def proper_means() -> Tensor:
    """Means over the pixels of all images of enlarged features."""
    full = F.interpolate(source_features(), (64, 64), mode='bilinear', align_corners=False)
    return class_means(full, class_counts(image_labels(), (64, 64), 19)[..., :-1])[0]


@check('npz', 'bank/proper_batch_class_mean')
def means(make: Callable, expected: Any) -> None:
    expected.compare(proper_means(), Tolerance(1e-5, 1e-6))


@check('json', 'bank')
def bank_numbers(make: Callable, wanted: dict[str, Any]) -> None:
    counts = class_counts(image_labels(), (16, 16), 19)[..., :-1]
    per_image = counts.sum(dim=(1, 2))
    for i, name in enumerate(('pixels_per_class_image0', 'pixels_per_class_image1')):
        assert per_image[i].tolist() == wanted[name]
    assert (per_image.sum(dim=0) == 0).nonzero().flatten().tolist() == wanted['absent_in_batch']
    only = (per_image[0] == 0) & (per_image[1] > 0)
    assert only.nonzero().flatten().tolist() == wanted['only_in_image1']
    proper, entry = proper_means(), make().prototypes(source_features(), image_labels())

    def difference(other: Tensor) -> float:
        return ((other - proper).norm() / proper.norm()).item()

    assert ((proper - entry).norm() / entry.norm()).item() == pytest.approx(
        wanted['proper_batch_mean_vs_published_rel_l2'], rel=0.02)
    pooled, _ = class_means(source_features(), counts)
    assert difference(pooled) == pytest.approx(wanted['pooled_stride4_vs_upsampled_rel_l2'], rel=1e-3)
    assert wanted['check_published_entry_vs_image0_features_at_all_label_positions_maxdiff'] < 1e-6


# similarities, scatter, loss


@check('npz', 'similarity/([ws])_(raw|norm)')
def similarities(make: Callable, expected: Any, who: str, kind: str) -> None:
    value = products(make(), who)
    expected.compare(value if kind == 'raw' else published.normalised(value), VALUES)


@check('json', 'similarity')
def similarity_numbers(make: Callable, wanted: dict[str, Any]) -> None:
    objective = make()
    assert math.log(len(objective.bank.label)) == pytest.approx(wanted['ln_K'])
    for who in 'ws':
        relation = published.normalised(products(objective, who))
        entropy = -(relation * relation.log()).sum(dim=1).mean()
        assert entropy.item() == pytest.approx(wanted[f'entropy_{who}_norm'], rel=1e-5)
    low, high = wanted['w_norm_sum_minmax']
    assert low == pytest.approx(1, abs=1e-6) and high == pytest.approx(1, abs=1e-6)
    embedding, rows = golden.rnd(820, (2, 256, 16, 16)).abs(), objective.bank.feature
    matrices = [published.interpolation(16, 64, False, torch.device(golden.DEVICE))] * 2
    late = published.interpolate(products(objective, 'w'), *matrices)
    early = torch.einsum('bdhw,kd->bkhw', F.interpolate(embedding, (64, 64), mode='bilinear'), rows)
    assert ((late - early).abs().max() / early.abs().max()).item() < 1e-5
    assert wanted['linearity_upsample_then_dot_vs_dot_then_upsample_maxrel'] < 1e-5


@check('npz', 'scatter/(signed_logits|logits_plus8|probabilities)')
def scattered(make: Callable, expected: Any, name: str) -> None:
    expected.compare(target(make(), name), SIGNED if name == 'signed_logits' else VALUES)


@check('json', 'scatter')
def scatter_numbers(make: Callable, wanted: dict[str, Any]) -> None:
    objective = make()
    for name, numbers in wanted.items():
        if name == 'onehot_on_class_absent_from_bank':
            objective = make('K32')
            onehot = F.one_hot(torch.full((2, 16, 16), 9, device=golden.DEVICE), 19).permute(0, 3, 1, 2).float()
            aimed = published.strip_target(products(objective, 'w'), scatter(onehot, objective.bank.label))
            assert aimed.isnan().float().mean().item() == numbers['nan_fraction']
            continue
        aimed, rtol = target(objective, name), 1e-4 if name == 'signed_logits' else 1e-5
        plain = products(objective, 'w')
        plain = published.normalised(plain) if name.endswith('_normalised_w') else plain
        scattered = scatter(factor(name.removesuffix('_normalised_w')), objective.bank.label)
        normaliser = (plain * scattered).sum(dim=1)
        actual = dict(
            min=aimed.min(), max=aimed.max(), fraction_negative=(aimed < 0).float().mean(),
            normaliser_min=normaliser.min(), normaliser_absmin=normaliser.abs().min(),
            normaliser_max=normaliser.max(), fraction_normaliser_negative=(normaliser < 0).float().mean())
        for key, value in actual.items():
            assert value.item() == pytest.approx(numbers[key], rel=rtol, abs=rtol * 1e-2), (name, key)
        assert (aimed.sum(dim=1) - 1).abs().max() < 1e-4


LOSSES = '(signed_logits|logits_plus8(?:_normalised_w)?|probabilities|uncalibrated)'


def loss_of(relation: Tensor, aimed: Tensor) -> Tensor:
    return 0.5 * published.cross_entropy(relation, aimed) / relation[:, 0].numel()


def gradients(objective: Any, name: str) -> dict[str, Tensor]:
    """Loss, and gradients with respect to the shares (as free variables) and the student's embedding."""
    aimed = target(objective, name)
    relation = published.normalised(products(objective, 's')).requires_grad_()
    embedding = golden.rnd(821, (2, 256, 16, 16)).abs().requires_grad_()
    loss = loss_of(relation, aimed)
    loss.backward()
    loss_of(published.normalised(objective.similarities(decoded(embedding))), aimed).backward()
    return dict(loss_in=loss.detach(), grad_similarity=relation.grad, grad_embedding=embedding.grad)


@check('npz', f'loss/{LOSSES}/(grad_similarity|grad_embedding)')
def loss_gradients(make: Callable, expected: Any, name: str, field: str) -> None:
    expected.compare(gradients(make(), name)[field], SIGNED if name == 'signed_logits' else GRADIENTS)


@check('json', 'loss')
def loss_numbers(make: Callable, wanted: dict[str, Any]) -> None:
    objective = make()
    for name, numbers in wanted.items():
        if not re.fullmatch(LOSSES, name):
            raise UnknownName(f'loss {name}')
        actual, rtol = gradients(objective, name), 1e-3 if name == 'signed_logits' else 1e-4
        for key in ('loss_in', 'loss_in_from_embedding'):
            assert actual['loss_in'].item() == pytest.approx(numbers[key], rel=1e-5)
        for field in ('grad_similarity', 'grad_embedding'):
            assert actual[field].norm().item() == pytest.approx(numbers[f'{field}_l2'], rel=rtol)
            assert actual[field].abs().max().item() == pytest.approx(numbers[f'{field}_absmax'], rel=rtol)


# gather


def refined(make: Callable, bank: str) -> tuple[Tensor, Tensor, Tensor]:
    """Class probabilities, sums of the shares by class, and what the program makes of the two."""
    objective = make(bank, smoothing=0.9)
    probabilities = (3 * golden.rnd(823, (2, 19, 16, 16))).softmax(dim=1)
    class_sum = gather(published.normalised(products(objective, 'w')), objective.bank.membership)
    step = SimpleNamespace(items=Items(), student=SimpleNamespace(align_corners=False))
    embedding = golden.rnd(820, (2, 256, 16, 16)).abs()
    return probabilities, class_sum, objective.refine(step, probabilities, decoded(embedding))


@check('npz', r'gather/(K\d+)\w*/(published|class_sum|pseudo_label_u8)')
def gathered(make: Callable, expected: Any, bank: str, field: str) -> None:
    _, class_sum, result = refined(make, bank)
    if field == 'pseudo_label_u8':
        np.testing.assert_array_equal(golden.numbers(result.argmax(dim=1)), expected.array)
    else:
        expected.compare(result if field == 'published' else class_sum, VALUES)


@check('json', 'gather')
def gather_numbers(make: Callable, wanted: dict[str, Any]) -> None:
    for name, numbers in wanted.items():
        probabilities, class_sum, result = refined(make, name.partition('_')[0])
        convex = 0.9 * probabilities + 0.1 * class_sum
        mass = result.sum(dim=1)
        assert mass.min().item() == pytest.approx(numbers['sum_min'], rel=1e-5)
        assert mass.max().item() == pytest.approx(numbers['sum_max'], rel=1e-5)
        assert result.max().item() == pytest.approx(numbers['max_prob'], rel=1e-5)
        confidence = result.amax(dim=1)
        assert (confidence > 1).float().mean().item() == numbers['fraction_confidence_above_1']
        for key, threshold in (('q_threshold_0968', 0.968), ('q_threshold_05', 0.5)):
            for kind, value in dict(before=probabilities, published=result, convex_combination=convex).items():
                assert (value.amax(dim=1) >= threshold).float().mean().item() == numbers[key][kind], (key, kind)
        for kind, value in dict(published=result, convex=convex).items():
            changes = (value.argmax(dim=1) != probabilities.argmax(dim=1)).sum().item()
            assert changes == numbers[f'label_changes_{kind}']
        torch.testing.assert_close(result, probabilities + 0.1 * class_sum, rtol=0, atol=1e-6)
        assert numbers['published_minus_p_plus_0p1g_maxdiff'] < 1e-6


# boundaries; the program's windows wrap around at the sides, and in later images look at the first one


def boundary(block: str) -> Tensor:
    return boundary_pixels(image_labels(811 if block == '16' else 812, int(block)))


@check('npz', r'boundary/block(\d+)/distinct_count_image0_clipped_window_u8')
def boundary_of_clipped_windows(make: Callable, expected: Any, block: str) -> None:
    np.testing.assert_array_equal(golden.numbers(boundary(block)[0]), expected.array >= 2)


@check('npz', r'boundary/block(\d+)/distinct_count_u8')
def boundary_of_the_program(make: Callable, expected: Any, block: str) -> None:
    np.testing.assert_array_equal(golden.numbers(boundary(block)[0, :, 1:-1]), expected.array[0, :, 1:-1] >= 2)


@check('json', 'boundary')
def boundary_numbers(make: Callable, wanted: dict[str, Any]) -> None:
    for name, numbers in wanted.items():
        if name in ('random_pixel_position_seed0_block5', 'averaged_variant_share_of_pixel0_in_centre'):
            continue  # about helpers that nothing calls
        pixels = boundary(re.fullmatch(r'block(\d+)', name)[1]).sum(dim=(1, 2))
        for i, count in enumerate(pixels.tolist()):
            assert count == numbers[f'boundary_pixels_image{i}_clipped_window']


# cases


class Expected:
    """A recorded array."""

    def __init__(self, case: golden.Case) -> None:
        self.case = case

    @property
    def array(self) -> np.ndarray:
        return self.case.array('')

    def compare(self, actual: Tensor, tolerance: Tolerance) -> None:
        self.case.check('', actual, tolerance)


@golden.cases('dida_ebda.npz', split=split('npz', 'dida/'), only=r'dida/(?!step)')
def test_arrays(case: golden.Case, make: Callable) -> None:
    function, groups = find('npz', case.name.removeprefix('dida/'))
    function(make, Expected(case), *groups)


@golden.cases('dida_ebda.json', split=split('json', 'dida/components/'), only='dida/components', levels=3)
def test_numbers(case: golden.Case, make: Callable) -> None:
    name = case.name.removeprefix('dida/components/')
    function, _ = find('json', name)
    function(make, golden.read_json(case.file)['dida']['components'][name])
