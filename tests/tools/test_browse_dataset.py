"""tools/browse_dataset.py: what it shows is what a training sees."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg.apis.browse import fed_images
from mmseg.models import build_train_model
from tests.engine.tiny import CLASSES, tiny_config, train, write_images
from tools import browse_dataset

MIC = dict(type='DACS', pseudo_threshold=0.2, mask_mode='separatetrgaug', mask_lambda=1,
           mask_generator=dict(type='block', mask_ratio=0.7, mask_block_size=8))
TITLES = ['Source', 'Source label', 'Target', 'Pseudo label', 'Source pixels', 'Mixed', 'Mixed label', 'Masked',
          'Masked label', 'Weight']


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / 'images')


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image.convert('RGB'))


def main(cfg: object, *flags: str) -> None:
    browse_dataset.main([cfg.filename, '--device', 'cpu', *flags])


def test_the_pictures_are_those_of_the_training(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    cfg = tiny_config(images, tmp_path / 'run', max_iters=1, uda=MIC, log_config=dict(interval=1, img_interval=1))
    train(cfg)
    capsys.readouterr()
    main(cfg, '--out', str(tmp_path / 'out'), '--num', '3')
    names = sorted(path.name for path in (tmp_path / 'out').iterdir())
    assert names == ['000001_0.png', '000001_1.png', '000002_0.png']
    for name in names[:2]:
        np.testing.assert_array_equal(pixels(tmp_path / 'out' / name), pixels(tmp_path / 'run' / 'debug' / name))
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f'{tmp_path}/out/000001_0.png: source {images}/img/') and ', target ' in first


def test_source_target_mixed_and_masked_images_with_their_labels(images: Path, tmp_path: Path) -> None:
    [image] = fed_images(tiny_config(images, tmp_path / 'run', uda=MIC), 1)
    assert [panel.title for panel in image.panels] == TITLES
    maps = {panel.title: panel.tensor[0] for panel in image.panels}
    pasted = maps['Source pixels'].bool()
    assert torch.equal(maps['Mixed label'], torch.where(pasted, maps['Source label'], maps['Pseudo label']))
    hidden = (maps['Masked'] == 0).all(0)
    assert 0.3 < hidden.float().mean() < 1 and not any(panel.tensor.requires_grad for panel in image.panels)


@pytest.mark.parametrize('uda', [
    None, dict(type='DACS', source_only=True), dict(type='MinEnt'), dict(type='AdvSeg'),
    dict(type='DACS', imnet_feature_dist_lambda=0.005), dict(type='DACS', mrm=dict(dim=32))])
def test_every_kind_of_training_can_be_looked_at(images: Path, tmp_path: Path, uda: dict | None) -> None:
    cfg = tiny_config(images, tmp_path / 'run', uda=uda, evaluation=None)
    image, _ = fed_images(cfg, 2, start=1)
    assert image.name == '000002_0' and {panel.kind for panel in image.panels} >= {'image', 'label'}
    assert set(image.files) == ({'source', 'target'} if uda else {'image'})


def test_the_page_needs_no_other_file(images: Path, tmp_path: Path) -> None:
    cfg = tiny_config(images, tmp_path / 'run', uda=MIC)
    main(cfg, '--out', str(tmp_path / 'pages' / 'page.html'), '--num', '2')
    assert [path.name for path in (tmp_path / 'pages').iterdir()] == ['page.html']
    page = (tmp_path / 'pages' / 'page.html').read_text()
    assert page.count('src="data:image/png;base64,') == 2
    assert all(name in page for name in (*CLASSES, '000001_1', f'{images}/img/'))


def test_pseudo_labels_of_a_checkpoint(images: Path, tmp_path: Path) -> None:
    cfg = tiny_config(images, tmp_path / 'run', uda=MIC)
    student = build_train_model(cfg).networks()['student']
    state = student.state_dict()
    state['decode_head.linear_pred.bias'][1] = 100.
    torch.save(dict(state_dict={f'ema_model.{key}': value for key, value in state.items()}), tmp_path / 'sky.pth')
    [image] = fed_images(cfg, 1, start=5, checkpoint=str(tmp_path / 'sky.pth'), network='teacher')
    assert image.panels[TITLES.index('Pseudo label')].tensor.unique().tolist() == [1]


def test_numbers_that_make_no_sense(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        browse_dataset.parse_args(['config.py', '--num', '0'])
    assert 'at least 1' in capsys.readouterr().err
    assert browse_dataset.parse_args(['configs/toy/mic.py']).out == Path('work_dirs/mic/browse')
