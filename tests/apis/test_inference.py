"""Loading a network and predicting single images."""
from __future__ import annotations

import copy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from demo import image_demo
from mmseg.apis import (
    draw_result,
    inference_segmentor,
    init_segmentor,
    load_config,
    show_result_pyplot,
    single_gpu_test,
)
from mmseg.apis.inference import Predictor, displayable
from mmseg.datasets import build_dataset, build_eval_loader
from mmseg.errors import DataError
from tests.tiny import TinyRun, make_tiny_run


@pytest.fixture(scope='module')
def run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    return make_tiny_run(tmp_path_factory.mktemp('tiny'))


@pytest.fixture(scope='module')
def model(run: TinyRun) -> torch.nn.Module:
    return init_segmentor(str(run.config), str(run.checkpoint), device='cpu')


def test_init_segmentor(run: TinyRun, model: torch.nn.Module) -> None:
    assert not model.training
    assert model.CLASSES[0] == 'road' and model.PALETTE[0] == [128, 64, 128]  # the file has none: the data set's
    assert model.cfg.data.test.type == 'CityscapesDataset'
    saved = torch.load(run.checkpoint, weights_only=True)['state_dict']
    assert all(torch.equal(value, saved[f'model.{key}']) for key, value in model.state_dict().items())


def test_init_segmentor_takes_a_config_and_leaves_it_alone(run: TinyRun) -> None:
    cfg = load_config(run.config)
    init_segmentor(cfg, device='cpu')
    assert cfg.model.pretrained == 'pretrained/mit_b0.pth'


def test_classes_of_the_checkpoint_come_first(run: TinyRun, tmp_path: Path) -> None:
    content = torch.load(run.checkpoint, weights_only=True)
    names, colours = [f'class {i}' for i in range(19)], [[i, i, i] for i in range(19)]
    content['meta'] = dict(CLASSES=names, PALETTE=colours)
    torch.save(content, tmp_path / 'named.pth')
    model = init_segmentor(str(run.config), str(tmp_path / 'named.pth'), device='cpu')
    assert list(model.CLASSES) == names and list(model.PALETTE) == colours


def test_init_segmentor_refuses_other_things(run: TinyRun) -> None:
    with pytest.raises(TypeError, match='path'):
        init_segmentor(dict(model={}))
    with pytest.raises(FileNotFoundError, match=r'absent\.py'):
        init_segmentor('absent.py')
    with pytest.raises(FileNotFoundError, match=r'absent\.pth'):
        init_segmentor(str(run.config), 'absent.pth')
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match='cpu'):
            init_segmentor(str(run.config), str(run.checkpoint), device='cuda:0')


def test_inference_from_path_and_array_agree(run: TinyRun, model: torch.nn.Module) -> None:
    path = run.image('bonn', 0)
    result = inference_segmentor(model, str(path))
    assert len(result) == 1 and result[0].dtype == np.int64 and result[0].shape == (64, 96)
    np.testing.assert_array_equal(inference_segmentor(model, cv2.imread(str(path)))[0], result[0])


def test_inference_predicts_at_original_size(run: TinyRun, model: torch.nn.Module) -> None:
    assert inference_segmentor(model, np.zeros((100, 150, 3), np.uint8))[0].shape == (100, 150)


def with_loader(model: torch.nn.Module, **loader: object) -> Predictor:
    """The same network with another loader in its config."""
    other = copy.copy(model)
    other.cfg = copy.deepcopy(model.cfg)
    other.cfg.data.test.pipeline[0] = dict(type='LoadImageFromFile', **loader)
    return Predictor(other)


IMAGE = np.random.RandomState(0).randint(0, 256, (6, 8, 4)).astype(np.uint8)
COLOUR = np.ascontiguousarray(IMAGE[..., :3])
GREY = cv2.cvtColor(COLOUR, cv2.COLOR_BGR2GRAY)


@pytest.mark.parametrize('color_type, array, expected', [
    ('color', COLOUR, COLOUR), ('color', IMAGE, COLOUR), ('color', GREY, np.stack([GREY] * 3, axis=2)),
    ('grayscale', COLOUR, GREY), ('grayscale', IMAGE, GREY), ('grayscale', GREY, GREY),
    ('unchanged', IMAGE, IMAGE), ('unchanged', GREY.astype(np.uint16), GREY)])
@pytest.mark.parametrize('to_float32', [False, True])
def test_arrays_become_what_the_loader_returns(model: torch.nn.Module, color_type: str, array: np.ndarray,
                                               expected: np.ndarray, to_float32: bool) -> None:
    results = with_loader(model, color_type=color_type, to_float32=to_float32).load(array)
    np.testing.assert_array_equal(results['img'], expected)
    assert results['img'].dtype == (np.float32 if to_float32 else array.dtype)


@pytest.mark.parametrize('array', [COLOUR / 255, COLOUR.astype(np.uint16), np.zeros(5, np.uint8)])
def test_arrays_of_another_kind_are_refused(model: torch.nn.Module, array: np.ndarray) -> None:
    with pytest.raises(DataError, match=r'an image is uint8 .* not (float64|uint16|uint8) \['):
        inference_segmentor(model, array)
    if array.dtype == float:
        results = with_loader(model, to_float32=True, color_type='grayscale').load(array)
        assert results['img'].shape == (6, 8) and results['img'].dtype == np.float32


def test_a_config_without_a_loader_is_refused(run: TinyRun, model: torch.nn.Module) -> None:
    other = copy.copy(model)
    other.cfg = load_config(run.config)
    other.cfg.data.test.pipeline[0] = dict(type='RandomFlip', prob=0.)
    with pytest.raises(DataError, match='begins with RandomFlip'):
        inference_segmentor(other, run.image('bonn', 0))
    del other.cfg.data['test']
    with pytest.raises(DataError, match=r'no data\.test\.pipeline'):
        inference_segmentor(other, COLOUR)


@pytest.mark.parametrize('image, expected', [
    (COLOUR, COLOUR), (IMAGE, COLOUR), (COLOUR.astype(np.float32), COLOUR), (GREY, np.stack([GREY] * 3, axis=2)),
    (np.stack([GREY, GREY // 2], axis=2), np.stack([GREY] * 3, axis=2)),
    (np.array([[0, 4080], [2040, 1020]], np.uint16), [[[0] * 3, [255] * 3], [[128] * 3, [64] * 3]]),
    (np.array([[0, 0.2], [0.1, np.nan]]), [[[0] * 3, [255] * 3], [[128] * 3, [0] * 3]]),
    (np.array([[-1., 3.]]), [[[0] * 3, [255] * 3]]), (np.zeros((1, 1), np.float32), [[[0] * 3]])])
def test_displayable(image: np.ndarray, expected: np.ndarray) -> None:
    picture = displayable(image)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, expected)


def test_single_gpu_test_predicts_what_inference_does(run: TinyRun, model: torch.nn.Module, tmp_path: Path) -> None:
    dataset = build_dataset(model.cfg.data.test, dict(test_mode=True))
    results = single_gpu_test(model, build_eval_loader(dataset, 0), out_dir=str(tmp_path), opacity=1)
    assert len(results) == 4 and all(result.dtype == np.int64 for result in results)
    for info, result in zip(dataset.img_infos, results):
        path = Path(dataset.img_dir) / info['filename']
        np.testing.assert_array_equal(result, inference_segmentor(model, str(path))[0])
        with Image.open(tmp_path / info['filename']) as ids:
            np.testing.assert_array_equal(result, np.array(ids))


def test_draw_result(run: TinyRun, model: torch.nn.Module) -> None:
    image = np.full((2, 2, 3), (0, 100, 200), np.uint8)  # blue, green, red
    drawn = draw_result(model, image, [np.array([[0, 0], [13, 13]])], opacity=0.5)
    assert drawn[0, 0].tolist() == [164, 82, 64] and drawn[1, 1].tolist() == [100, 50, 71]


def test_show_result_pyplot_shows_the_picture(model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib import pyplot
    shown = []
    monkeypatch.setattr(pyplot, 'show', lambda block: shown.append(pyplot.gca().images[0].get_array().shape))
    show_result_pyplot(model, np.zeros((4, 6, 3), np.uint8), [np.zeros((4, 6), np.int64)])
    assert shown == [(4, 6, 3)] and not pyplot.get_fignums()


# the demo


def test_demo_writes_beside_the_image(run: TinyRun, model: torch.nn.Module, tmp_path: Path) -> None:
    image = tmp_path / 'street.png'
    image.write_bytes(run.image('aachen', 1).read_bytes())
    arguments = [str(image), str(run.config), str(run.checkpoint), '--device', 'cpu']
    assert image_demo.main(arguments) == tmp_path / 'street_pred.png'
    expected = draw_result(model, str(image), inference_segmentor(model, str(image)))
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'street_pred.png'))[..., ::-1], expected)


def test_demo_options(run: TinyRun, tmp_path: Path) -> None:
    out = tmp_path / 'new' / 'out.png'
    image_demo.main([str(run.image('aachen', 1)), str(run.config), str(run.checkpoint), '--device', 'cpu', '--palette',
                     'cityscapes', '--opacity', '1', '--out', str(out)])
    assert out.exists()
