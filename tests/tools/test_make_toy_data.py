"""The built-in benchmark: in the layouts of GTA and Cityscapes, and drawn once."""
import json

import numpy as np
import pytest
from PIL import Image

from mmseg.cli.toy_data import make_toy_data
from mmseg.datasets import build_dataset
from mmseg.toy_scenes import LABEL_IDS, label_ids, polygons, street_scene


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    out = tmp_path_factory.mktemp('toy')
    assert make_toy_data(out, seed=1, num=(6, 4, 2), size=(96, 48))
    return out


def test_game_has_the_layout_of_gta(toy):
    assert sorted(path.name for path in (toy / 'game/images').iterdir()) == [f'{i:05d}.png' for i in range(1, 7)]
    label = Image.open(toy / 'game/labels/00001.png')
    assert label.mode == 'P' and label.size == (96, 48)
    assert set(np.unique(label)) <= set(LABEL_IDS.values())
    assert label.convert('RGB').getpixel((48, 47)) == (128, 64, 128)  # road in front of the camera


def test_camera_truth_is_its_polygons(toy):
    file = toy / 'camera/gtFine/train/ashford/ashford_000000_000000_gtFine_polygons.json'
    truth = json.loads(file.read_text())
    assert (truth['imgHeight'], truth['imgWidth']) == (48, 96)
    scene = street_scene('camera', 1, 0, 96, 48)
    assert [(entry['label'], entry['polygon']) for entry in truth['objects']] == polygons(scene)
    converted = np.asarray(Image.open(str(file).replace('_polygons.json', '_labelTrainIds.png')))
    road, bonnet = label_ids(scene) == LABEL_IDS['road'], label_ids(scene) == LABEL_IDS['ego vehicle']
    assert np.array_equal(converted == 0, road) and bonnet.any() and (converted[bonnet] == 255).all()


def test_data_sets_and_rare_class_statistics_work(toy):
    load = [dict(type='LoadImageFromFile')]
    source = dict(type='GTADataset', data_root=str(toy / 'game'), img_dir='images', ann_dir='labels', pipeline=load)
    target = dict(type='CityscapesDataset', data_root=str(toy / 'camera'), img_dir='leftImg8bit/train',
                  ann_dir='gtFine/train', pipeline=load)
    assert len(build_dataset(source)) == 6 and len(build_dataset(target)) == 4
    statistics = json.loads((toy / 'game/sample_class_stats.json').read_text())
    assert len(statistics) == 6 and all(entry['0'] > 0 for entry in statistics)


def test_repeating_draws_nothing_and_other_settings_draw_anew(toy, tmp_path, monkeypatch):
    converted = []  # the converters run on the data of ``toy``
    monkeypatch.setattr('mmseg.cli.toy_data.convert', lambda argv: converted.append(argv[:2]))
    assert not make_toy_data(toy, seed=1, num=(6, 4, 2), size=(96, 48))
    assert make_toy_data(tmp_path, seed=1, num=(2, 1, 1), size=(64, 32), nproc=1)
    assert make_toy_data(tmp_path, seed=2, num=(1, 1, 1), size=(64, 32), nproc=1)
    assert len(list((tmp_path / 'game/images').iterdir())) == 1
    assert converted == 2 * [['gta', str(tmp_path / 'game')], ['cityscapes', str(tmp_path / 'camera')]]
