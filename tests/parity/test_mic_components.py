"""Masked image consistency against the original program: block masks, and the masked loss with its gradients."""
from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mmseg.models.uda import masked_consistency as mic
from mmseg.models.uda.dacs import DACS
from mmseg.models.uda.pseudo_label import PseudoLabels
from mmseg.models.uda.step_state import StepState, View
from mmseg.utils.draws import Draws
from tests.parity import golden, model_zoo
from tests.parity.golden import UnknownName

pytestmark = pytest.mark.parity

MASK = r'(\d+)x(\d+)_block(\d+)_ratio([\d.]+)'
PIPELINE = r'(?P<model>\w+)/(?P<mode>separate\w*)/lambda(?P<factor>[\d.]+)'
BOX = (24, 88, 40, 104)


def split(entry: str) -> tuple[str, str]:
    known = rf'mic_mask(/{MASK}/(grid_torchseed0|mask_torchseed0_u8))?|mic_pipeline(/grid_keep)?'
    if not re.fullmatch(known, entry):
        raise UnknownName('no entry about MIC')
    return entry, ''


@golden.cases('uda_components.npz', split=split, only='mic')
def test_masks(case: golden.Case) -> None:
    arrays = golden.read_npz(case.file)
    if case.name == 'mic_pipeline/grid_keep':
        assert arrays[case.name].shape == (2, 1, 4, 4)  # an input of the cases below
        return
    height, width, block, ratio = re.search(MASK, case.name).groups()
    size = int(height), int(width)
    stem = case.name.rpartition('/')[0]
    grid = arrays[f'{stem}/grid_torchseed0']
    assert grid.shape[-2:] == mic.mask_grid_size(size, int(block))
    masked = mic.apply_mask(torch.ones(2, 3, *size, device=golden.DEVICE), golden.tensor(grid > float(ratio)))
    for channel in masked.unbind(1):
        np.testing.assert_array_equal(golden.numbers(channel), arrays[f'{stem}/mask_torchseed0_u8'].squeeze(1))


def check_mask(name: str, wanted: dict[str, Any]) -> None:
    height, width, block, ratio = re.fullmatch(MASK, name).groups()
    size = int(height), int(width)
    grid = mic.mask_grid_size(size, int(block))
    assert list(grid) == wanted['grid']
    draws = [mic.draw_mask_grid(2, grid, float(ratio), Draws(0, 0, i), torch.device('cpu')) for i in range(20)]
    assert list(mic.apply_mask(torch.ones(2, 1, *size), draws[0]).shape) == wanted['mask_shape']
    keep = torch.stack(draws).float()
    assert keep.unique().tolist() == wanted['values']
    assert abs(keep.mean().item() - (1 - float(ratio))) < 0.05
    assert abs(wanted['keep_fraction_20draws'] - (1 - float(ratio))) < 0.05
    assert wanted['nearest_upsampling']
    assert wanted['per_image_independent'] == (not torch.equal(keep[:, 0], keep[:, 1]))


class Backward:
    """The part of an optimizer wrapper that a branch needs."""

    def optim_context(self, _: Any) -> Any:
        return torch.enable_grad()

    def backward(self, loss: Tensor) -> None:
        loss.backward()


def run_pipeline(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[DACS, StepState]:
    """One masked branch on the recorded inputs."""
    match = re.fullmatch(PIPELINE, name)
    if not match:
        raise UnknownName(f'mic_pipeline: {name}')
    model = model_zoo.segmentor_config(match['model'])
    model_zoo.need_segmentor(model)
    generator = dict(type='block', mask_ratio=0.7, mask_block_size=32)
    host = DACS(model, 10, mask_mode=match['mode'], mask_lambda=float(match['factor']), mask_generator=generator)
    golden.without_dropout(host)
    golden.fill(host.model, 'B').train()
    host.to(golden.DEVICE)
    pseudo = golden.labels(663, 2, 128, 128, 12, 0).squeeze(1)
    weight = torch.full((2, 128, 128), 0.37, device=golden.DEVICE)
    weight[:, :15] = weight[:, -20:] = 0
    source = View(golden.rnd(660, (2, 3, 128, 128)), golden.labels(662, 2, 128, 128, 24).squeeze(1))
    target = golden.rnd(661, (2, 3, 128, 128))
    step = StepState(Draws(0), host.model, source, target, *torch.tensor([[0.], [1.]], device=golden.DEVICE))
    step.pseudo = PseudoLabels(pseudo, weight, weight.max(), (weight > 0).float())
    keep = golden.tensor(golden.recorded('uda_components.npz', 'mic_pipeline/grid_keep'))
    monkeypatch.setattr(mic, 'draw_mask_grid', lambda *_: keep)
    monkeypatch.setattr(host.model, 'draw_box', lambda *_: BOX if 'hrda' in name else None)
    host.branches['masked'].run(step, Backward())
    return host, step


def check_pipeline(name: str, wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    host, step = run_pipeline(name, monkeypatch)
    view = step.seen['masked']
    assert view.img.double().abs().sum().item() == pytest.approx(wanted['masked_img_abs_sum'], rel=1e-6)
    assert view.label.sum().item() == wanted['label_sum']
    assert (view.weight is not None) == wanted['seg_weight_given']
    if wanted['seg_weight_given']:
        assert view.weight.double().sum().item() == pytest.approx(wanted['weight_sum'], rel=1e-6)
    for key, value in wanted['log_vars'].items():
        if key == 'loss':
            actual = sum(v.item() for v in step.logs.trained.values())
        else:
            actual = step.logs[f'masked.{key}'].item()
        assert actual == pytest.approx(value, rel=1e-5) if 'loss' in key else abs(actual - value) <= 0.02, key
    head = host.model.decode_head
    parameters = dict(conv_seg_bias=getattr(head, 'head', head).conv_seg.bias,
                      patch_embed1_proj_bias=host.model.backbone.patch_embed1.proj.bias)
    for key, norm in wanted['grad_l2'].items():
        assert parameters[key].grad.norm().item() == pytest.approx(norm, rel=1e-3), key


@golden.cases('uda_components.json', split=split, only='mic')
def test_numbers(case: golden.Case, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = golden.read_json(case.file)[case.name]
    for name, wanted in entries.items():
        if case.name == 'mic_mask':
            check_mask(name, wanted)
        else:
            check_pipeline(name, wanted, monkeypatch)
