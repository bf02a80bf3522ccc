"""``with_cp``: less is kept for the backward pass; gradients, draws and running statistics are the same."""
from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmseg.models import build_backbone, build_head
from tests.models import nets
from tests.models.base_backbone import images, weighted_sum
from tests.models.base_head import features, labels
from tests.models.uda.conftest import make_batch, make_host

RESNET = dict(stem_channels=8, base_channels=4)


def segmentor_loss(model: nn.Module) -> Tensor:
    img, label = images(96, 128), labels(96, 128)
    return model.losses(model.decode(model.encode(img, (16, 80, 8, 72))), label).total()


def with_cp(cfg: dict[str, Any]) -> dict[str, Any]:
    """A segmentor's config with it everywhere."""
    return {**cfg, **{part: {**cfg[part], 'with_cp': True} for part in ('backbone', 'decode_head')}}


def head_loss(head: nn.Module) -> Tensor:
    return head.losses(head([x.requires_grad_() for x in features()]), labels()).total()


Case = tuple[Callable[[dict], nn.Module], dict[str, Any], Callable[[nn.Module], Tensor]]
CASES: dict[str, Case] = {
    'mit': (build_backbone, nets.backbone(drop_rate=0.2, attn_drop_rate=0.2, drop_path_rate=0.5),
            lambda net: weighted_sum(net(images()))),
    'resnet18': (build_backbone, dict(type='ResNet', depth=18, **RESNET), lambda net: weighted_sum(net(images()))),
    'resnet50': (build_backbone, dict(type='ResNetV1c', depth=50, frozen_stages=1, **RESNET),
                 lambda net: weighted_sum(net(images()))),
    'daformer_head': (build_head, nets.head(), head_loss),
    'da_head': (build_head, dict(type='DAHead', in_channels=32, in_index=3, channels=16, pam_channels=8, num_classes=5,
                                 norm_cfg=nets.BN), head_loss),
}


def gradients(net: nn.Module, loss: Callable[[nn.Module], Tensor]) -> tuple[list[Tensor | None], int]:
    """Gradients of one training pass, and how many bytes autograd kept for it outside of the parameters."""
    kept: dict[int, int] = {}
    own = {p.untyped_storage().data_ptr() for p in net.parameters()}

    def keep(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return x

    torch.manual_seed(0)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        value = loss(net)
    bytes_kept = sum(kept.values())
    value.backward()
    return [p.grad for p in net.parameters()], bytes_kept


def check(plain: nn.Module, saving: nn.Module, loss: Callable[[nn.Module], Tensor], share: float = 0.75) -> None:
    saving.load_state_dict(plain.state_dict())
    (expected, most), (mine, kept) = gradients(plain.train(), loss), gradients(saving.train(), loss)
    assert kept < share * most
    for a, b in zip(mine, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6 * float(b.abs().max()) + 1e-12)
    statistics = dict(plain.named_buffers())
    assert all(torch.equal(x, statistics[name]) for name, x in saving.named_buffers())


@pytest.mark.parametrize('build, cfg, loss', CASES.values(), ids=CASES)
def test_gradients_draws_and_statistics_are_the_same(build, cfg, loss) -> None:
    torch.manual_seed(0)
    # of DANet's small head most is the upsampled logits
    check(build(cfg), build({**cfg, 'with_cp': True}), loss, 1. if cfg['type'] == 'DAHead' else 0.75)


@pytest.mark.parametrize('cfg', [
    dict(type='EncoderDecoder', backbone=nets.backbone(drop_path_rate=0.5), decode_head=nets.head()),
    nets.hrda_config(backbone=nets.backbone(drop_path_rate=0.5))], ids=['daformer', 'hrda'])
def test_segmentors(cfg) -> None:
    torch.manual_seed(0)
    plain = nets.build_segmentor(cfg)
    loss = segmentor_loss if cfg['type'].startswith('HRDA') else lambda net: net.losses(
        net.decode(net.encode(images(96, 128))), labels(96, 128)).total()
    check(plain, nets.build_segmentor(with_cp(cfg)), loss)


@pytest.mark.parametrize('model', [
    dict(type='EncoderDecoder', backbone=dict(type='ResNet', depth=18, **RESNET),
         decode_head={**nets.head(), 'in_channels': [4, 8, 16, 32]}), nets.hrda_config(hr_crop_size=(32, 32))],
    ids=['resnet', 'hrda'])
@pytest.mark.parametrize('mrm', [dict(), dict(view='mix'), dict(aux_bn='update')], ids=str)
def test_a_whole_step_with_mrm(model, mrm) -> None:
    """Branches in which statistics are frozen, and those whose encoder's backward comes after the decoders'."""
    results = []
    for cfg in (model, with_cp(copy.deepcopy(model))):
        host, wrapper = make_host(model=cfg, mrm=dict(dim=32, heads=2, depth=1, **mrm))
        host.train_step(make_batch(size=(64, 64)), wrapper)
        results.append(host.state_dict())
    plain, saving = results
    moved = [name for name in plain if 'running' in name]
    assert moved and all(torch.equal(saving[name], plain[name]) for name in moved)
    assert all(torch.allclose(saving[name], plain[name], atol=1e-5) for name in plain)


def test_a_graph_that_is_kept_is_recomputed_each_time() -> None:
    torch.manual_seed(0)
    net = build_backbone(dict(type='ResNet', depth=18, with_cp=True, **RESNET)).train()
    loss = weighted_sum(net(images()))
    statistics = {name: value.clone() for name, value in net.named_buffers()}
    first, second = (torch.autograd.grad(loss, list(net.parameters()), retain_graph=True) for _ in range(2))
    assert all(map(torch.equal, first, second))
    assert all(torch.equal(value, statistics[name]) for name, value in net.named_buffers())


def test_nothing_is_recomputed_for_a_teacher() -> None:
    net = build_backbone(nets.backbone(with_cp=True)).train()
    with torch.no_grad():
        assert not any(x.requires_grad for x in net(images()))
