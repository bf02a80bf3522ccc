"""Parts of the UDA step against the original programs: each entry of uda_components.* has its own check."""
from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmseg.models.decode_heads.hrda_head import scale_box
from mmseg.models.segmentors import HRDAEncoderDecoder
from mmseg.models.segmentors.results import Features
from mmseg.models.segmentors.sliding import window_boxes
from mmseg.models.uda import class_mix, feature_distance, pseudo_label, strong_augment
from mmseg.models.uda.step_state import View
from mmseg.models.uda.teacher import EMATeacher, ema_rate
from tests.models import nets
from tests.parity import golden
from tests.parity.golden import Tolerance, UnknownName

pytestmark = pytest.mark.parity
COLOUR = Tolerance(0., 1e-5)
ELSEWHERE = r'rcs|miou.*|eval_metrics.*'  # test_rcs.py, test_miou.py
LATER = r'mic.*'  # MIC
THINGS = [6, 7, 11, 12, 13, 14, 15, 16, 17, 18]
MEAN, STD = (torch.tensor(v, device=golden.DEVICE).view(1, 3, 1, 1)
             for v in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)))

Check = Callable[..., None]
CHECKS: dict[str, dict[str, Check]] = {'uda_components.npz': {}, 'uda_components.json': {}}


def check(file: str, pattern: str) -> Callable[[Check], Check]:
    """The decorated function checks all entries of ``file`` that ``pattern`` matches."""

    def register(function: Check) -> Check:
        CHECKS[f'uda_components.{file}'][pattern] = function
        return function

    return register


def find(file: str, name: str) -> tuple[Check, tuple]:
    for pattern, function in CHECKS[file].items():
        match = re.fullmatch(pattern, name)
        if match:
            return function, match.groups()
    raise UnknownName('no check for it')


def claims(name: str) -> tuple[str, str]:
    """Each entry is a case of its own."""
    if not re.fullmatch(f'(?:{ELSEWHERE}|{LATER})(?:/.*)?', name):
        if not any(re.fullmatch(pattern, name) for checks in CHECKS.values() for pattern in checks):
            raise UnknownName('no check for it')
    return name, ''


# EMA teacher


class Net(nn.Module):

    def __init__(self, seed: int, scalar: float) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(golden.rnd(seed, (3, 4))), nn.Parameter(golden.rnd(seed, (5, )))
        self.scalar = nn.Parameter(torch.tensor(scalar, device=golden.DEVICE))


@check('npz', r'ema/traj_alpha([\d.]+)_iters1to(\d+)')
def ema_trajectory(arrays: dict, name: str, alpha: str, last: str) -> None:
    teacher, rows = EMATeacher(Net(600, 0.5), float(alpha)), []
    for i in range(1, int(last) + 1):
        teacher.update(Net(600 + i, 0.5 + i), i)
        rows.append(torch.cat([p.flatten() for p in teacher.network.parameters()]))
    golden.check_array(arrays, name, torch.stack(rows), Tolerance(1e-6, 1e-6))


@check('json', 'ema_alpha_formula_values')
def ema_rates(value: dict) -> None:
    for alpha, rates in value.items():
        for iteration, rate in rates.items():
            assert ema_rate(int(iteration), float(alpha)) == pytest.approx(rate, rel=1e-12)


@check('json', 'ema_measured_teacher1_student0')
def ema_measured(value: dict) -> None:
    for iteration, kept in value.items():
        network, student = nn.BatchNorm1d(5), nn.BatchNorm1d(5)
        for net, fill in ((network, 1.), (student, 0.)):
            for tensor in (net.weight, net.bias, net.running_mean):
                nn.init.constant_(tensor, fill)
        EMATeacher(network, 0.999).update(student, int(iteration))
        assert set(kept) == {'w', 'b', 'scalar', 'buffer_unchanged'}
        assert network.weight.tolist() == pytest.approx([kept['w']] * 5, rel=1e-6)
        assert network.bias.tolist() == pytest.approx([kept['b']] * 5, rel=1e-6)
        assert network.running_mean.tolist() == [kept['buffer_unchanged']] * 5


# ClassMix


def classmix_label() -> Tensor:
    return golden.labels(610, 2, 64, 96, 16).squeeze(1)


@check('npz', 'classmix/label_input_u8')
def classmix_input(arrays: dict, name: str) -> None:
    np.testing.assert_array_equal(golden.numbers(classmix_label()), arrays[name].squeeze(1))


@check('npz', r'classmix/mask_choice_([\d_]+)/img(\d)_u8')
def classmix_mask(arrays: dict, name: str, chosen: str, image: str) -> None:
    table = torch.zeros(2, 256, dtype=torch.bool, device=golden.DEVICE)
    table[:, [int(c) for c in chosen.split('_')]] = True
    mask = class_mix.class_mask(classmix_label(), table)[int(image)]
    np.testing.assert_array_equal(golden.numbers(mask), arrays[name])


def seeded_mask(seed: str) -> Tensor:
    label = classmix_label()
    table = class_mix.draw_class_table(label, np.unique(golden.numbers(label)), np.random.RandomState(int(seed)))
    return class_mix.class_mask(label, table)


@check('npz', r'classmix/get_class_masks_npseed(\d+)_u8')
def classmix_seeded(arrays: dict, name: str, seed: str) -> None:
    np.testing.assert_array_equal(golden.numbers(seeded_mask(seed)), arrays[name])


@check('json', r'classmix_get_class_masks_npseed(\d+)_chosen')
def classmix_chosen(value: list, seed: str) -> None:
    rng, classes = np.random.RandomState(int(seed)), np.unique(golden.numbers(classmix_label()))
    assert [class_mix.choose_classes(classes, rng).tolist() for _ in value] == value


@check('json', 'classmix_n_chosen_for_n_present')
def classmix_number(value: dict) -> None:
    assert {str(n): class_mix.num_chosen(int(n)) for n in value} == value


@check('json', 'classmix_unique_over_batch|classmix_unique_per_image')
def classmix_unique(value: list) -> None:
    label = golden.numbers(classmix_label())
    per_image = [np.unique(one).tolist() for one in label]
    assert value in (np.unique(label).tolist(), per_image)


@check('json', 'classmix_(mask_dtype|mask_shape_generate_class_mask|get_class_masks_item_shape)|mixing_shapes')
def recorded_layouts(value: Any, _: str | None) -> None:
    """How the originals lay out their masks; ours keep one bool mask per batch, checked pixel by pixel above."""


@check('npz', r'mixing/npseed(\d+)_img(\d)/mixed_(img|lbl_u8|weight)')
def mixing(arrays: dict, name: str, seed: str, image: str, what: str) -> None:
    mask, shape = seeded_mask(seed), (2, 3, 64, 96)
    weight = golden.tensor(np.random.RandomState(614).random_sample((2, 64, 96)).astype(np.float32))
    pairs = dict(img=(golden.rnd(611, shape), golden.rnd(612, shape)),
                 lbl_u8=(classmix_label(), golden.labels(613, 2, 64, 96, 8, ignore=0).squeeze(1)),
                 weight=(torch.ones_like(weight), weight))
    mixed = class_mix.mix(mask, *pairs[what])[int(image):int(image) + 1]
    golden.check_array(arrays, name, mixed.reshape(arrays[name].shape), golden.EXACT)


# strong augmentation


def jiggle_case(name: str) -> tuple[Tensor, list[int]]:
    params = golden.recorded('uda_components.json', 'color_jitter_kornia_0.5.8', name)
    columns = [params[f'{key}_factor'] for key in ('brightness', 'contrast', 'saturation', 'hue')]
    return torch.tensor(columns, device=golden.DEVICE).T.contiguous(), params['order']


@check('npz', r'colorjitter058/strong_transform_normalised_seed616_draw([\d.]+)')
def strong_transform(arrays: dict, name: str, draw: str) -> None:
    img = golden.rnd(616, (1, 3, 16, 24))
    if float(draw) > 0.2:
        factors, order = jiggle_case('strong_transform_params')
        img = (strong_augment.color_jiggle((img * STD + MEAN) / 255, factors, order) * 255 - MEAN) / STD
    golden.check_array(arrays, name, img, COLOUR)


@check('npz', r'colorjitter058/(.+)')
def colour_jiggle(arrays: dict, name: str, case: str) -> None:
    img = golden.tensor(arrays['colorjitter058/input_rgb01_seed615'])
    if case != 'input_rgb01_seed615':
        img = strong_augment.color_jiggle(img, *jiggle_case(case))
    golden.check_array(arrays, name, img, COLOUR)


@check('json', 'color_jitter_kornia_0.5.8')
def jiggle_ranges(value: dict) -> None:
    sampled = value['sampled_ranges_over_3000_draws']
    drawn = strong_augment.jitter_ranges(0.2)
    for (low, high), name in zip(drawn, ('brightness', 'contrast', 'saturation', 'hue')):
        measured_low, measured_high, mean = sampled[f'{name}_factor']
        assert low <= measured_low < low + 0.001 and high - 0.001 < measured_high <= high
        assert mean == pytest.approx((low + high) / 2, abs=0.005)


@check('json', 'color_jitter_applied_if_draw_greater_than|blur_applied_if_draw_greater_than')
def thresholds(value: str | float) -> None:
    assert value in ('p (0.2)', 0.5)


@check('json', 'blur_sigma_uniform_range')
def blur_range(value: list) -> None:
    assert tuple(value) == strong_augment.BLUR_SIGMA


@check('json', 'blur_kernel_size_by_side')
def blur_kernel(value: dict) -> None:
    assert {side: strong_augment.blur_kernel_size(int(side)) for side in value} == value


@check('npz', r'color/blur_sigma([\d.]+)')
def blur(arrays: dict, name: str, sigma: str) -> None:
    img = golden.rnd(611, (2, 3, 64, 96))[:1]
    taps = [golden.tensor(strong_augment.blur_taps(np.array([float(sigma)]), side)) for side in img.shape[-2:]]
    golden.check_array(arrays, name, strong_augment.gaussian_blur(img, *taps), COLOUR)


@check('npz', 'color/denorm')
def denormalised(arrays: dict, name: str) -> None:
    golden.check_array(arrays, name, (golden.rnd(611, (2, 3, 64, 96))[:1] * STD + MEAN) / 255, COLOUR)


# pseudo labels


def probabilities() -> Tensor:
    return (4 * golden.rnd(620, (2, 19, 40, 56))).softmax(dim=1)


@check('npz', 'pseudo/label_u8')
def pseudo_labels(arrays: dict, name: str) -> None:
    label, _ = pseudo_label.label_and_confidence(probabilities(), 0.968)
    np.testing.assert_array_equal(golden.numbers(label), arrays[name])


@check('json', 'pseudo_label')
def pseudo_weights(value: dict) -> None:
    valid = golden.tensor(np.random.RandomState(621).random_sample((2, 1, 40, 56)) > 0.3).squeeze(1).float()
    for threshold, wanted in value.items():
        label, confident = pseudo_label.label_and_confidence(probabilities(), float(threshold))
        assert confident.item() == pytest.approx(wanted['weight_value'], rel=1e-6)
        assert confident.item() * label.numel() == pytest.approx(wanted['n_above'], rel=1e-6)
        weight = pseudo_label.make_pseudo_labels(probabilities(), float(threshold), 0, 0, valid).weight
        assert weight.double().sum().item() == pytest.approx(wanted['valid_mask_sum'], rel=1e-6)
        for name, margins in wanted.items():
            match = re.fullmatch(r'top(\d+)_bottom(\d+)', name)
            if match:
                top, bottom = int(match[1]), int(match[2])
                weight = pseudo_label.make_pseudo_labels(probabilities(), float(threshold), top, bottom, None).weight
                assert weight.double().sum().item() == pytest.approx(margins['sum'], rel=1e-6)
                zero = (weight == 0).all(dim=2).all(dim=0).nonzero().flatten()
                assert zero.tolist() == margins['rows_zero']


# feature distance


@check('npz', r'downscale/seed630_block(\d+)_factor(\d+)_minratio([\d.]+)_u8')
def downscale(arrays: dict, name: str, block: str, factor: str, ratio: str) -> None:
    label = golden.labels(630, 2, 128, 192, int(block)).squeeze(1)
    size = (128 // int(factor), 192 // int(factor))
    cells = feature_distance.label_cells(label, size, 19, float(ratio))
    np.testing.assert_array_equal(golden.numbers(cells), arrays[name].squeeze(1))


class Fixed(nn.Module):
    """A frozen network whose features are given."""

    def reference_features(self, *_: Any) -> Features:
        return Features([golden.rnd(632, (2, 256, 4, 6))], (128, 192))


def distance(block: str, classes: str) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Loss, gradient with respect to the student's features, maps for the training panels."""
    objective = feature_distance.FeatureDistance(Fixed(), 0.005, THINGS if classes == 'things' else None, 0.75)
    student = golden.rnd(631, (2, 256, 4, 6)).requires_grad_()
    step = SimpleNamespace(student=SimpleNamespace(num_classes=19), notes=[])
    label = golden.labels(630, 2, 128, 192, int(block)).squeeze(1)
    view = View(torch.zeros(2, 3, 128, 192, device=golden.DEVICE), label)
    values = objective.losses(step, view, Features([student], (128, 192)), None)
    loss = values['src.loss_imnet_feat_dist']
    loss.backward()
    return loss.detach(), student.grad, {panel.title: panel.tensor for panel in step.notes}


@check('npz', r'fdist/block(\d+)_(things|all)/(grad_f1|mask_u8|gt_rescaled_u8)')
def feature_distance_arrays(arrays: dict, name: str, block: str, classes: str, what: str) -> None:
    _, gradient, notes = distance(block, classes)
    if what == 'grad_f1':
        golden.check_array(arrays, name, gradient, golden.GRADIENT)
    else:
        notes = dict(mask_u8=notes['Compared cells'], gt_rescaled_u8=notes['Label cells'])
        np.testing.assert_array_equal(golden.numbers(notes[what]), arrays[name].squeeze(1))


@check('json', 'feature_distance')
def feature_distance_values(value: dict) -> None:
    for name, wanted in value.items():
        match = re.fullmatch(r'block(\d+)_(things|all)', name)
        if name == 'empty_mask_loss_is_nan':
            continue  # ours is 0 with zero gradients: tests/models/uda/test_feature_distance.py
        loss, _, notes = distance(*match.groups())
        assert loss.item() == pytest.approx(wanted['loss'], rel=1e-5)
        assert wanted['n_masked'] == (notes['Compared cells'].sum().item() if notes else None)


# sliding windows


@check('json', 'slide_inference_boxes_y1y2x1x2')
def slide_boxes(value: dict) -> None:
    for name, boxes in value.items():
        size, crop, stride = (tuple(int(n) for n in pair)
                              for pair in re.fullmatch(r'img(\d+)x(\d+)_crop(\d+)x(\d+)_stride(\d+)x(\d+)', name)
                              and re.findall(r'(\d+)x(\d+)', name))
        assert [list(box) for box in window_boxes(size, crop, stride)] == boxes


# HRDA


def hrda(crop: tuple[int, ...], divisible: int = 1, overlapping: bool = True) -> HRDAEncoderDecoder:
    return nets.hrda(hr_crop_size=crop, crop_coord_divisible=divisible, hr_slide_overlapping=overlapping)


@check('json', 'hrda_crop_boxes')
def hrda_crop_boxes(value: dict) -> None:
    for name, wanted in value.items():
        *sides, divisible = (int(n) for n in re.fullmatch(r'img(\d+)x(\d+)_crop(\d+)x(\d+)_div(\d+)', name).groups())
        size, crop = tuple(sides[:2]), tuple(sides[2:])
        model, rng = hrda(crop, divisible), np.random.RandomState(0)
        if 'raises' in wanted:
            assert wanted == {'raises': 'ValueError'}
            with pytest.raises(ValueError, match='hr_crop_size'):
                model.draw_box(size, rng)
            continue
        assert set(wanted) == {'y1_values', 'x1_values', 'first5_npseed0', 'all_full_size'} and wanted['all_full_size']
        boxes = [model.draw_box(size, rng) for _ in range(3000)]
        assert [list(box) for box in boxes[:5]] == wanted['first5_npseed0']
        assert sorted({box[0] for box in boxes}) == wanted['y1_values']
        assert sorted({box[2] for box in boxes}) == wanted['x1_values']
        assert {(y2 - y1, x2 - x1) for y1, y2, x1, x2 in boxes} == {crop}


@check('json', 'hrda_hr_slide_boxes_y1y2x1x2')
def hrda_slide_boxes(value: dict) -> None:
    for name, boxes in value.items():
        *sides, overlap = (int(n) for n in re.fullmatch(r'img(\d+)x(\d+)_crop(\d+)x(\d+)_overlap([01])', name).groups())
        model = hrda(tuple(sides[2:]), overlapping=bool(overlap))
        assert [list(box) for box in model.windows(tuple(sides[:2]))] == boxes


@check('json', 'hrda_scale_box')
def hrda_scaled_boxes(value: dict) -> None:
    for name, wanted in value.items():
        *box, factor = (int(n) for n in re.findall(r'\d+', name))
        assert list(scale_box(tuple(box), factor)) == wanted


@golden.cases('uda_components.npz', 'uda_components.json', split=claims)
def test_component(case: golden.Case) -> None:
    if re.fullmatch(f'(?:{ELSEWHERE})(?:/.*)?', case.name):
        pytest.skip('checked in another file')
    if re.fullmatch(f'(?:{LATER})(?:/.*)?', case.name):
        pytest.skip('MIC is registered in a later issue')
    function, groups = find(case.file, case.name)
    if case.file.endswith('.npz'):
        function(golden.read_npz(case.file), case.name, *groups)
    else:
        function(golden.read_json(case.file)[case.name], *groups)
