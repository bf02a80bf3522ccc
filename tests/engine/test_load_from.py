"""Starting from, testing and predicting with checkpoints of other times and for other classes."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine import Config
from torch import Tensor

from mmseg.apis import inference_segmentor, init_segmentor
from mmseg.engine.runner import build_runner
from mmseg.errors import CheckpointError
from mmseg.models import build_train_model
from tests.checkpoint.test_pretrained import to_later
from tests.engine.tiny import tiny_config
from tests.tiny import TinyRun, make_tiny_run
from tools import test, train

CLASSIFIER = {f'decode_head.{layer}.{kind}' for layer in ('conv_seg', 'linear_pred') for kind in ('weight', 'bias')}


@pytest.fixture(scope='module')
def run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """A run whose checkpoint looks as later mmsegmentation 0.x writes them: other names, a palette in an array."""
    run = make_tiny_run(tmp_path_factory.mktemp('later'))
    state = torch.load(run.checkpoint)['state_dict']
    state = {k.removeprefix('model.'): v for k, v in state.items()}
    encoder = to_later({k.removeprefix('backbone.'): v for k, v in state.items() if k.startswith('backbone.')})
    head = {k: v for k, v in state.items() if not k.startswith('backbone.')}
    meta = dict(CLASSES=tuple(map(str, range(19))), PALETTE=np.random.RandomState(0).randint(0, 255, size=(19, 3)))
    later = run.folder / 'later.pth'
    torch.save(dict(state_dict={**{f'backbone.{k}': v for k, v in encoder.items()}, **head}, meta=meta), later)
    return run


def test_later_checkpoints_are_tested_and_predict_alike(run: TinyRun, tmp_path: Path,
                                                        capsys: pytest.CaptureFixture) -> None:
    tables = []
    for name in ('latest.pth', 'later.pth'):
        test.main([str(run.config), str(run.folder / name), '--eval', 'mIoU', '--device', 'cpu', '--show-dir',
                   str(tmp_path / name)])
        tables.append(capsys.readouterr().out.partition('report: ')[0])
    assert tables[0] == tables[1] and 'mIoU' in tables[0]
    image = str(run.image('bonn', 0))
    ids = [inference_segmentor(init_segmentor(str(run.config), str(run.folder / name), 'cpu'), image)[0]
           for name in ('latest.pth', 'later.pth')]
    assert np.array_equal(*ids)


def start(cfg: Config) -> dict[str, dict[str, Tensor]]:
    """The state of student (and teacher) when the first iteration begins."""
    torch.manual_seed(1)
    model = build_train_model(cfg)
    dataset = type('Data', (), dict(CLASSES=('a', 'b', 'c'), PALETTE=[[0, 0, 0]] * 3, __len__=lambda self: 1))()
    runner = build_runner(cfg, model, dataset, cfg.work_dir, validate=False)
    fresh = {name: value.clone() for name, value in model.networks()['student'].state_dict().items()}
    runner.load_or_resume()
    return {'fresh': fresh, **{name: network.state_dict() for name, network in model.networks().items()}}


@pytest.fixture(scope='module')
def trained(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a network for three classes."""
    folder = tmp_path_factory.mktemp('trained')
    train.main([tiny_config(images, folder / 'run', 2).filename])
    return folder / 'run' / 'latest.pth'


def weights(file: Path) -> dict[str, Tensor]:
    return torch.load(file, weights_only=True)['state_dict']


def test_student_and_teacher_start_from_the_whole_network(images: Path, trained: Path, tmp_path: Path) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 1, uda=dict(type='DACS'), load_from=str(trained))
    states, expected = start(cfg), weights(trained)
    assert any('running_mean' in name for name in expected)
    for network in ('student', 'teacher'):
        assert all(torch.equal(value, expected[name]) for name, value in states[network].items())


@pytest.mark.parametrize('classes', [3, 5])
def test_a_new_classifier_is_that_of_the_config_and_all_else_that_of_the_file(
        images: Path, trained: Path, tmp_path: Path, classes: int) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 1, uda=dict(type='DACS'), load_from=str(trained), new_classifier=True)
    cfg.model.decode_head.num_classes = classes
    states, theirs = start(cfg), weights(trained)
    assert CLASSIFIER <= theirs.keys()
    for network in ('student', 'teacher'):
        for name, value in states[network].items():
            assert torch.equal(value, (states['fresh'] if name in CLASSIFIER else theirs)[name]), name
    [log] = (tmp_path / 'run').glob('*.log')
    assert f'loaded the weights of {trained}, except for {", ".join(sorted(CLASSIFIER))}' in log.read_text()


def test_the_command_line_asks_for_a_new_classifier(images: Path, trained: Path, tmp_path: Path) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 1)
    arguments = [cfg.filename, '--load-from', str(trained), '--options', 'model.decode_head.num_classes=5']
    with pytest.raises(CheckpointError, match='Only the number of classes differs.*--new-classifier'):
        train.main(arguments)
    train.main([*arguments, '--new-classifier'])
    assert weights(tmp_path / 'run' / 'latest.pth')['decode_head.linear_pred.bias'].shape == (5, )


def test_a_new_classifier_needs_a_checkpoint(images: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='new_classifier: .*--load-from FILE'):
        train.main([tiny_config(images, tmp_path / 'run', 1).filename, '--new-classifier'])
