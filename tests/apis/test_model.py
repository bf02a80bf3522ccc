"""``mmseg.load`` and what a network can be asked for, from a checkpoint alone."""
from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import mmseg
from mmseg.apis import inference_segmentor, init_segmentor, load_config
from mmseg.apis.model import Model, Prediction
from mmseg.config.reading import format_config
from mmseg.datasets import build_dataset
from mmseg.errors import CheckpointError, DataError
from tests.hub_server import serving
from tests.tiny import TinyRun, make_tiny_run


def with_config(run: TinyRun, path: Path, text: str | None = None, **changes: object) -> Path:
    """The run's checkpoint with a config in its meta, as a training writes it, at another path."""
    checkpoint = torch.load(run.checkpoint, weights_only=True)
    text = format_config({**load_config(run.config).to_dict(), **changes}) if text is None else text
    checkpoint['meta'].update(config=text, seed=3)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, path)
    return path


@pytest.fixture(scope='module')
def run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    run = make_tiny_run(tmp_path_factory.mktemp('tiny'), teacher=True)
    with_config(run, run.checkpoint)
    log = [dict(mode='train', iter=2, loss=1.),
           {'mode': 'val', 'iter': 4, 'step': 2, 'mIoU': 0.25, 'aAcc': 0.5, 'IoU.road': 0.75}]
    (run.folder / 'a.log.json').write_text('\n'.join(map(json.dumps, log)))
    return run


@pytest.fixture(scope='module')
def model(run: TinyRun) -> Model:
    return mmseg.load(run.folder, device='cpu')


@pytest.fixture()
def expected(run: TinyRun) -> np.ndarray:
    old = init_segmentor(run.config, str(run.checkpoint), 'cpu')
    return inference_segmentor(old, str(run.image('bonn', 0)))[0]


def test_the_package_is_light_until_it_is_used() -> None:
    program = ("import sys, mmseg; assert 'torch' not in sys.modules and {'load', 'train'} <= set(dir(mmseg)); "
               "assert callable(mmseg.load) and 'torch' in sys.modules")
    subprocess.run([sys.executable, '-c', program], check=True, cwd=Path(__file__).parents[2])
    with pytest.raises(AttributeError, match='nothing'):
        mmseg.nothing  # noqa: B018
    import mmseg.apis as apis
    assert not set(mmseg.__all__) & set(apis.__all__)


def test_whatever_an_image_is_given_as(run: TinyRun, model: Model, expected: np.ndarray) -> None:
    path = run.image('bonn', 0)
    with Image.open(path) as picture:
        given = [path, str(path), cv2.imread(str(path)), picture.copy(), picture.convert('RGBA')]
    for image in given:
        np.testing.assert_array_equal(model(image).ids, expected)
    assert [prediction.path for prediction in model(given)] == [path, path, None, None, None]


def test_a_folder_gives_predictions_one_by_one(run: TinyRun, model: Model) -> None:
    found = model(run.data / 'leftImg8bit' / 'val')
    assert inspect.isgenerator(found)
    predictions = list(found)
    assert [p.path for p in predictions] == [run.image(city, i) for city in ('aachen', 'bonn') for i in range(2)]
    with pytest.raises(DataError, match='holds no image'):
        model(run.folder)


def test_tensors_give_logits_with_gradients(run: TinyRun, model: Model) -> None:
    images = model.preprocess(run.image('bonn', 0))
    assert images.shape == (1, 3, 64, 96) and images.dtype == torch.float32
    logits = model(images.repeat(2, 1, 1, 1))
    assert logits.shape == (2, 19, 64, 96) and logits.requires_grad
    np.testing.assert_array_equal(logits[1].argmax(0), model(run.image('bonn', 0)))
    for wrong in (images[0], images.byte()):
        with pytest.raises(DataError, match=r'float \[B, 3, H, W\] and normalised'):
            model(wrong)


def test_a_prediction_can_be_looked_at(tmp_path: Path) -> None:
    image = np.full((2, 2, 3), (0, 100, 200), np.uint8)  # blue, green, red
    seen = Prediction(np.array([[0, 1], [1, 1]]), image, ('road', 'car', 'sky'), ((0, 0, 0), (100, 0, 0), (1, 1, 1)))
    assert seen.shares == {'car': 0.75, 'road': 0.25}
    assert seen.picture()[0, 1].tolist() == [150, 50, 0]
    seen.save(tmp_path / 'ids.png', opacity=1)
    seen.save(tmp_path / 'drawn.png')
    with Image.open(tmp_path / 'ids.png') as ids, Image.open(tmp_path / 'drawn.png') as drawn:
        np.testing.assert_array_equal(ids, seen.ids)
        np.testing.assert_array_equal(drawn, seen.picture())


def test_what_a_run_says_of_itself(run: TinyRun, model: Model) -> None:
    assert not model.training and model.classes[0] == 'road' and model.palette[0] == (128, 64, 128)
    assert model.facts['iter'] == 2 and model.facts['config']['runner']['max_iters'] == 2
    teacher = mmseg.load(run.checkpoint, 'cpu', network='teacher')
    saved = torch.load(run.checkpoint, weights_only=True)['state_dict']
    for network, prefix in ((model.network, 'model.'), (teacher.network, 'ema_model.')):
        assert all(torch.equal(value, saved[prefix + key]) for key, value in network.state_dict().items())


def test_a_config_is_named_where_the_file_holds_none(run: TinyRun, tmp_path: Path, expected: np.ndarray) -> None:
    checkpoint = torch.load(run.checkpoint, weights_only=True)
    torch.save(dict(state_dict=checkpoint['state_dict']), tmp_path / 'bare.pth')
    with pytest.raises(CheckpointError, match=r'bare\.pth holds no config.*config=FILE'):
        mmseg.load(tmp_path / 'bare.pth')
    model = mmseg.load(tmp_path / 'bare.pth', 'cpu', config=run.config)
    np.testing.assert_array_equal(model(run.image('bonn', 0)), expected)
    with pytest.raises(FileNotFoundError, match='name a checkpoint file'):
        mmseg.load(run.data)


EVIL = dict(type='subprocess.Popen', args=['touch', 'proof'])


@pytest.mark.parametrize('key', [
    ('model', ), ('model', 'backbone'), ('model', 'decode_head'), ('model', 'decode_head', 'loss_decode'),
    ('model', 'decode_head', 'norm_cfg'), ('data', 'test'), ('data', 'test', 'pipeline', 0)])
def test_types_in_a_strangers_config_are_those_of_the_program(run: TinyRun, tmp_path: Path, key: tuple,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = load_config(run.config).to_dict()
    owner = content
    for part in key[:-1]:
        owner = owner[part]
    owner[key[-1]] = EVIL
    path = with_config(run, tmp_path / 'evil.pth', format_config(content))
    with pytest.raises(CheckpointError, match=r'evil\.pth.*as data.*subprocess\.Popen'):
        mmseg.load(path, 'cpu')
    assert not (tmp_path / 'proof').exists()


@pytest.mark.parametrize('text', [
    'import os\nmodel = dict()', "model = __import__('os').system('touch proof')", 'model = dict(**open("x"))',
    'model = [x for x in "ab"]', 'model = dict(', 'model = ' + '[' * 10**5, 'seed = 1', 'model = 1', 'x.y = 1'])
def test_code_in_a_strangers_config_is_refused(run: TinyRun, tmp_path: Path, text: str,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r'evil\.pth: its config cannot be used as data'):
        mmseg.load(with_config(run, tmp_path / 'evil.pth', text), 'cpu')
    assert not (tmp_path / 'proof').exists()


def test_a_strangers_config_imports_and_fetches_nothing(run: TinyRun, tmp_path: Path) -> None:
    imports = dict(imports=['evil_module'], allow_failed_imports=False)
    mmseg.load(with_config(run, tmp_path / 'a.pth', custom_imports=imports), 'cpu')
    backbone = dict(type='TIMMBackbone', model_name='hf-hub:evil/net')
    timm = dict(load_config(run.config).model.to_dict(), backbone=backbone)
    with pytest.raises(CheckpointError, match='model_name.*would be fetched'):
        mmseg.load(with_config(run, tmp_path / 'b.pth', model=timm), 'cpu')


def test_evaluate(run: TinyRun, model: Model) -> None:
    scores = mmseg.evaluate(model, workers=0)
    assert 0 < scores['aAcc'] < 1 and 'IoU.road' in scores
    assert mmseg.evaluate(model, dict(img_dir='leftImg8bit/val/bonn', ann_dir='gtFine/val/bonn'), workers=0) != scores
    dataset = build_dataset(model.cfg.data.test, dict(test_mode=True))
    assert mmseg.evaluate(model, dataset, workers=0) == pytest.approx(scores, nan_ok=True)


def test_train_gives_the_trained_network(run: TinyRun, tmp_path: Path) -> None:
    train = dict(type='CityscapesDataset', img_dir='leftImg8bit/val', ann_dir='gtFine/val')
    model = mmseg.train(run.config, work_dir=str(tmp_path / 'run'), seed=1, device='cpu', model=dict(pretrained=None),
                        data=dict(train=train), optimizer=dict(type='AdamW', lr=1e-4), **{'runner.max_iters': 1})
    again = mmseg.load(tmp_path / 'run', 'cpu')
    assert again.facts['seed'] == model.facts['seed'] == 1
    np.testing.assert_array_equal(model(run.image('bonn', 0)), again(run.image('bonn', 0)))
    assert not model.network.training


# for others


def header(card: str) -> dict:
    return yaml.safe_load(card.split('---')[1])


def test_what_is_saved_loads_elsewhere(run: TinyRun, model: Model, tmp_path: Path, expected: np.ndarray) -> None:
    folder = model.save_pretrained(tmp_path / 'mine')
    assert sorted(path.name for path in folder.iterdir()) == ['README.md', 'model.safetensors']
    again = mmseg.load(folder, 'cpu')
    np.testing.assert_array_equal(again(run.image('bonn', 0)), expected)
    assert again.classes == model.classes and again.palette == model.palette and again.facts['iter'] == 2
    written = (folder / 'model.safetensors').read_bytes()
    assert str(run.data).encode() not in written, 'folders of this machine stay here'
    with pytest.raises(DataError):
        mmseg.evaluate(again)
    assert mmseg.evaluate(again, dict(data_root=str(run.data), img_dir='leftImg8bit/val', ann_dir='gtFine/val'), 0)


def test_the_card_tells_scores_data_licence_and_papers(run: TinyRun, model: Model, tmp_path: Path) -> None:
    card = (model.save_pretrained(tmp_path / 'a') / 'README.md').read_text()
    for words in ('| mIoU | 25.0 |', '| road | 75.0 |', 'evaluation: read by CityscapesDataset', 'encoder mit_b0',
                  'training: read by GTADataset', 'trained for 2 iterations', 'NVIDIA', 'SegFormer',
                  'supervised training', 'mmseg.load('):
        assert words in card, words
    assert header(card)['license'] == 'other'
    assert header(card)['model-index'][0]['results'][0]['metrics'] == [dict(type='mean_iou', value=0.25)]
    uda = dict(type='DACS', imnet_feature_dist_lambda=0.005, mask_mode='separate')
    model = Model(model.network, dict(config=dict(model.facts['config'], uda=uda)))
    scores = {'mIoU': 0.5, 'IoU.bus': float('nan')}
    card = (model.save_pretrained(tmp_path / 'b', scores, 'apache-2.0') / 'README.md').read_text()
    assert header(card)['license'] == 'apache-2.0'
    assert 'method: DACS, DAFormer, MIC' in card and '| mIoU | 50.0 |' in card and '| bus |' not in card
    card = (Model(model.network).save_pretrained(tmp_path / 'c') / 'README.md').read_text()
    assert 'license' not in header(card) and 'Not stated' in card and 'Not measured' in card


def test_a_network_goes_to_the_hub_and_comes_back(run: TinyRun, model: Model, expected: np.ndarray, tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path / 'cache'))
    with serving() as hub:
        monkeypatch.setenv('HF_ENDPOINT', hub.url)
        monkeypatch.setenv('HF_TOKEN', 'wrong')
        with pytest.raises(CheckpointError, match='me/net: .*did not take it.*hf auth login'):
            model.push_to_hub('me/net')
        monkeypatch.setenv('HF_TOKEN', 'right')
        assert model.push_to_hub('me/net') == f'{hub.url}/me/net'
        assert b"mmseg.load('hf:me/net')" in hub.files['me/net', 'README.md']
        again = mmseg.load('hf:me/net', 'cpu')
        np.testing.assert_array_equal(again(run.image('bonn', 0)), expected)
        with pytest.raises(FileNotFoundError, match='hf:me/other.*Hugging Face Hub.*[Nn]ot [Ff]ound'):
            mmseg.load('hf:me/other')
    monkeypatch.setenv('HF_ENDPOINT', 'http://127.0.0.1:1')
    mmseg.load('hf:me/net', 'cpu')  # from the client's cache
