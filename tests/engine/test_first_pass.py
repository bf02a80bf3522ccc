"""The first pass over the source: the bank of the published DIDA program, filled before the training begins."""
from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine import Config

from mmseg.datasets import build_dataset, build_train_loader
from mmseg.engine.runner import build_runner
from mmseg.engine.seeds import seed_everything
from mmseg.errors import CheckpointError
from mmseg.models import build_train_model
from mmseg.models.preprocess import prepare
from mmseg.models.uda.dida import first_pass
from tests.engine.tiny import tiny_config, train, write_images

ROWS = 9  # three for each class
BANK = dict(preset='dida_code', size=ROWS, calibrate=False, interval=2)


@pytest.fixture(scope='module')
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp('images'))


@pytest.fixture
def config(images: Path, tmp_path: Path) -> Callable[..., Config]:
    """Makes a training of two iterations, or more."""

    def make(name: str = 'run', max_iters: int = 2, bank: dict[str, Any] = BANK, **changes: Any) -> Config:
        return tiny_config(images, tmp_path / name, max_iters, uda=dict(type='DACS', instance_bank=bank), **changes)

    return make


def built(cfg: Config) -> torch.nn.Module:
    seed_everything(cfg.seed)
    model = build_train_model(cfg)
    model.init_weights()
    return model


def logged(cfg: Config) -> str:
    return next(Path(cfg.work_dir).glob('*.log')).read_text()


def batches(cfg: Config) -> Iterator[dict[str, Any]]:
    return iter(build_train_loader(build_dataset(cfg.data.train), 2, 0, seed=0, stop=100))


def test_rows_are_class_means_of_the_first_images_as_the_starting_teacher_sees_them(config) -> None:
    cfg, told = config(), []
    host, other = built(cfg), built(cfg)
    before = {name: value.clone() for name, value in host.state_dict().items() if 'bank' not in name}
    host.first_pass(batches(cfg), told.append)
    assert all(torch.equal(host.state_dict()[name], value) for name, value in before.items())
    teacher, rows = other.ema_model, {0: [], 1: [], 2: []}
    other.teacher.update(other.model, 0)
    for batch in batches(cfg):
        source = prepare(batch, 'cpu')
        with torch.no_grad():
            embedding = teacher.decode_image(source['img']).embedding
        size = source['gt_semantic_seg'].shape[-2:]
        for shown, maps in zip(source['gt_semantic_seg'], torch.nn.functional.interpolate(embedding, size)):
            for known in set(shown.unique().tolist()) & {0, 1, 2}:
                rows[known].append(maps[:, shown == known].mean(dim=1))
        if min(map(len, rows.values())) >= 3:
            break
    bank = host.instance_bank.bank
    assert bank.full and bank.label.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    torch.testing.assert_close(bank.feature, torch.stack([row for known in rows for row in rows[known][:3]]))
    assert told[0] == f'uda.instance_bank: no bank is given, filling {ROWS} rows from source images before the ' \
                      'training begins'
    assert told[1].startswith(f'uda.instance_bank: filled {ROWS} rows from ') and told[1].endswith(' s')
    host.first_pass(iter([]), told.append)
    assert len(told) == 2, 'a full bank needs no pass'


def test_a_training_fills_its_bank_and_a_resumed_one_goes_on_bit_equal(config) -> None:
    whole = config('whole', 4, checkpoint_config=dict(interval=2, max_keep_ckpts=-1))
    expected = train(whole).state_dict()
    assert expected['instance_bank.bank.filled'].all()
    assert logged(whole).count('filled 9 rows from') == 1
    resumed = config('resumed', 4, resume_from=str(Path(whole.work_dir) / 'iter_2.pth'))
    state = train(resumed).state_dict()
    assert all(torch.equal(value, state[name]) for name, value in expected.items())
    assert 'rows from source images' not in logged(resumed)


def test_the_same_seed_fills_the_same_bank_with_and_without_workers(config) -> None:
    banks = [train(config(name, 1, data=dict(workers_per_gpu=workers), seed=seed)).instance_bank.bank.feature
             for name, workers, seed in (('a', 0, 0), ('b', 2, 0), ('c', 0, 1))]
    assert torch.equal(banks[0], banks[1]) and not torch.equal(banks[0], banks[2])


def test_a_class_that_the_source_does_not_show_is_named(config, monkeypatch) -> None:
    monkeypatch.setattr(first_pass, 'PATIENCE', 12)
    cfg = config(model=dict(decode_head=dict(tiny_head(config), num_classes=5)), data=dict(train=five_classes(config)))
    with pytest.raises(ValueError, match=r'12 source images in a row show none of the classes \[3, 4\].*'
                                         'uda.instance_bank.classes'):
        train(cfg)


def tiny_head(config) -> dict[str, Any]:
    return config('model').model.decode_head.to_dict()


def five_classes(config) -> dict[str, Any]:
    section = config('data').data.train.to_dict()
    for part in ('source', 'target'):
        section[part].update(classes=('road', 'sky', 'car', 'train', 'bus'), palette=[[i, i, i] for i in range(5)])
    return section


def test_a_signal_ends_the_pass_and_resuming_does_it_again(config, monkeypatch) -> None:
    cfg = config(max_iters=1)
    runner = build_runner(cfg, built(cfg), build_dataset(cfg.data.train), cfg.work_dir, validate=False)
    add, seen = first_pass._add, []

    def add_and_stop(*args: Any) -> None:
        seen.append(add(*args))
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(first_pass, '_add', add_and_stop)
    with pytest.raises(SystemExit) as stopped:
        runner.train()
    assert stopped.value.code == 143 and len(seen) == 1 and not runner.model.instance_bank.bank.full
    monkeypatch.setattr(first_pass, '_add', add)
    resumed = train(config('resumed', 1, resume_from=str(Path(cfg.work_dir) / 'iter_0.pth'))).instance_bank.bank
    assert torch.equal(resumed.feature, train(config('whole', 1)).instance_bank.bank.feature)


def test_it_is_left_out_where_nothing_has_to_be_known(config, tmp_path) -> None:
    for name, bank in (('plain', dict(size=ROWS)), ('cosine', dict(preset='cosine', size=ROWS))):
        cfg = config(name, max_iters=1, bank=bank)
        assert not train(cfg).instance_bank.bank.full
        assert 'rows from source images' not in logged(cfg)


def test_an_embedding_with_negative_features_is_refused(config, monkeypatch) -> None:
    cfg = config()
    host = built(cfg)
    add = first_pass._add

    def signed(bank: Any, *args: Any) -> None:
        add(bank, *args)
        bank.feature.sub_(10)

    monkeypatch.setattr(first_pass, '_add', signed)
    with pytest.raises(ValueError, match="negative features.*ReLU, or use preset='cosine'"):
        host.first_pass(batches(cfg), print)


@pytest.mark.parametrize('name, value', [('label', -1), ('label', 99), ('pointer', -2)])
def test_a_resumed_bank_holds_no_other_classes(config, name, value) -> None:
    run = Path(config().work_dir)
    train(config(bank=dict(preset='cosine', size=ROWS)))
    checkpoint = torch.load(run / 'latest.pth', weights_only=True)
    checkpoint['state_dict'][f'instance_bank.bank.{name}'][0] = value
    torch.save(checkpoint, run / 'other.pth')
    cfg = config('resumed', 3, bank=dict(preset='cosine', size=ROWS), resume_from=str(run / 'other.pth'))
    with pytest.raises(CheckpointError, match=rf'other.pth: its instance_bank.bank.{name} holds .*{value}'):
        train(cfg)
