"""Accumulation: an iteration of k parts steps once, with their mean gradient; all else counts as before."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from mmengine import Config

from mmseg.engine.optim import build_optim_wrapper
from mmseg.models.uda.teacher import EMATeacher
from tests.engine.tiny import tiny_config, train
from tests.models import nets
from tests.models.uda.conftest import make_batch, make_host

TWO_OF_ONE = dict(data=dict(samples_per_gpu=1), optimizer_config=dict(accumulate=2))
FUSION = dict(type='conv', kernel_size=1, act_cfg=dict(type='ReLU'), norm_cfg=None)
HEAD = nets.head(num_classes=3)
MODEL = dict(type='EncoderDecoder', backbone=nets.backbone(drop_path_rate=0.), decode_head=dict(
    HEAD, norm_cfg=None, dropout_ratio=0, decoder_params=dict(HEAD['decoder_params'], fusion_cfg=FUSION)))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / 'latest.pth', weights_only=True)['state_dict']


def sgd_run(images: Path, folder: Path, iterations: int, **changes: object) -> None:
    """Train a network that sees every image on its own and whose loss is a mean over pixels: no norm, no dropout."""
    cfg = tiny_config(images, folder, iterations, **changes)
    cfg.optimizer = dict(type='SGD', lr=0.1)
    cfg.model = MODEL
    train(cfg)


def test_two_parts_of_one_image_train_as_one_batch_of_two(images, tmp_path) -> None:
    sgd_run(images, tmp_path / 'whole', 3)
    sgd_run(images, tmp_path / 'parts', 3, **TWO_OF_ONE)
    whole, parts = weights(tmp_path / 'whole'), weights(tmp_path / 'parts')
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-4, atol=1e-6, msg=name)
    losses = [json.loads(next((tmp_path / name).glob('*.log.json')).read_text().splitlines()[1])['decode.loss_seg']
              for name in ('whole', 'parts')]
    assert losses[0] == pytest.approx(losses[1], abs=2e-5)  # logged values are means over the parts


def test_the_wrapper_steps_with_the_mean_of_the_parts() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    cfg = Config(dict(optimizer=dict(type='SGD', lr=1.), optimizer_config=dict(accumulate=3)))
    wrapper = build_optim_wrapper(model, cfg)
    for x, expected in ((3., 0.), (6., 0.), (9., -6.), (3., -6.), (3., -6.), (3., -9.)):
        wrapper.zero_grad()
        wrapper.backward(model(torch.tensor([x])).sum())
        wrapper.step()
        assert model.weight.item() == pytest.approx(expected)


@pytest.mark.parametrize('uda', [
    dict(alpha=0.9, mrm=dict(dim=32, heads=2, depth=1), mask_mode='separate', mask_alpha=0.5, mask_lambda=1,
         mask_generator=dict(type='block', mask_ratio=0.5, mask_block_size=8)),
    dict(type='AdvSeg'),
], ids=['dacs', 'advseg'])
def test_teachers_and_discriminators_move_once_and_draws_differ(monkeypatch, uda) -> None:
    updates: list[int] = []
    update = EMATeacher.update
    monkeypatch.setattr(EMATeacher, 'update', lambda self, student, iteration: (
        updates.append(iteration), update(self, student, iteration)))
    host, optimizer = make_host(**uda)
    host.start(3, 0, 0, parts=2)
    own = [opt for opt in host.own_optimizers().values()]
    steps = []
    for opt in own:
        opt.register_step_post_hook(lambda *_: steps.append(host.iteration))
    draws = []
    for _ in range(4):
        draws.append((host.iteration, host.part, host.draws.integer('class choice')))
        host.train_step(make_batch(1), optimizer)
    assert [place[:2] for place in draws] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert len({place[2] for place in draws}) == 4
    assert updates == sorted(updates) and len(updates) == 2 * len(set(updates)) if uda.get('alpha') else not updates
    assert steps == [0, 1] if own else not steps


@pytest.mark.parametrize('uda', [None, dict(type='DACS', alpha=0.9, pseudo_threshold=0.3),
                                 dict(type='AdvSeg', lr_D=1e-3)], ids=['plain', 'dacs', 'advseg'])
def test_resuming_is_bit_equal(images, tmp_path, uda) -> None:
    """Checkpoints lie between iterations, never between parts."""
    cfg = tiny_config(images, tmp_path / 'run', 5, uda=uda, checkpoint_config=dict(interval=3, max_keep_ckpts=-1),
                      **TWO_OF_ONE)
    train(cfg)
    through = weights(tmp_path / 'run')
    cfg.resume_from = str(tmp_path / 'run' / 'iter_3.pth')
    train(cfg)
    again = weights(tmp_path / 'run')
    assert all(torch.equal(again[name], value) for name, value in through.items())
