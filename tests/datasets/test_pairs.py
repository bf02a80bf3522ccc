"""Images and label maps of different size, and files that lie where the data is without being part of it."""
from __future__ import annotations

import os

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg.datasets import build_dataset, build_eval_loader
from mmseg.datasets.storage import list_files
from mmseg.errors import DataError
from tests.datasets import scenes


@pytest.mark.parametrize('rows, columns', [(1, 0), (-1, 1), (0, -2)])
def test_a_label_map_that_differs_by_little_is_brought_to_its_image(game, rows, columns) -> None:
    """In training and evaluation alike, by nearest neighbour, with one warning that names the file."""
    size = (100 + rows, 200 + columns)
    scenes.write_image(game / 'images/00000.png', 0, (100, 200))
    scenes.write_label(game / 'labels/00000_labelTrainIds.png', 0, size)
    label = cv2.imread(str(game / 'labels/00000_labelTrainIds.png'), -1)
    expected = cv2.resize(label, (200, 100), interpolation=cv2.INTER_NEAREST)
    steps = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='DefaultFormatBundle'),
             dict(type='Collect', keys=['img', 'gt_semantic_seg'])]
    with pytest.warns(UserWarning, match=rf'00000_labelTrainIds.png is {size[1]}x{size[0]} and is resized') as caught:
        dataset = build_dataset(scenes.game_cfg(game, pipeline=steps))
        np.testing.assert_array_equal(dataset[0]['gt_semantic_seg'][0], expected)
        val = build_dataset(scenes.game_cfg(game, pipeline=scenes.test_pipeline(), test_mode=True))
        np.testing.assert_array_equal(next(iter(build_eval_loader(val, 0)))['label'], expected)
    assert sum('is resized' in str(warning.message) for warning in caught) == 1
    np.testing.assert_array_equal(dataset.label(0), label)


@pytest.mark.parametrize('size', [(97, 200), (100, 190), (200, 100)])
def test_a_label_map_of_another_size_is_refused(game, size) -> None:
    scenes.write_image(game / 'images/00000.png', 0, (100, 200))
    scenes.write_label(game / 'labels/00000_labelTrainIds.png', 0, size)
    with pytest.raises(DataError, match=rf'is {size[1]}x{size[0]} but image .*00000.png is 200x100: they do not'):
        build_dataset(scenes.game_cfg(game))[0]


def test_a_turned_image_explains_the_size(game) -> None:
    """Label maps drawn for what a viewer shows, while the orientation tag is not applied on reading."""
    image = Image.fromarray(np.zeros((100, 200, 3), np.uint8))
    exif = Image.Exif()
    exif[0x112] = 6
    image.save(game / 'images/00000.png', exif=exif)
    scenes.write_label(game / 'labels/00000_labelTrainIds.png', 0, (200, 100))
    dataset = build_dataset(scenes.game_cfg(game))
    with pytest.warns(UserWarning, match='orientation'), pytest.raises(DataError, match='EXIF orientation tag of the'):
        dataset[0]


def test_lister(tmp_path) -> None:
    """Any case, links followed once, hidden names and other suffixes left out and told."""
    root = tmp_path / 'root'
    for name in ('b.PNG', 'a/x.png', 'a/._x.png', '.ipynb_checkpoints/b-checkpoint.png', 'readme.txt', 'c.Jpg'):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other/y.tif').touch()
    os.symlink(tmp_path / 'other', root / 'linked')
    os.symlink(root, root / 'a/loop')
    listing = list_files(root, ('.png', '.jpg', '.tif'))
    assert listing.files == ['a/x.png', 'b.PNG', 'c.Jpg', 'linked/y.tif']
    assert listing.left_out == ['.ipynb_checkpoints/', 'a/._x.png', 'readme.txt']
    assert list_files(root, '.png').files == ['a/x.png', 'b.PNG']


def test_suffixes_in_any_case(game) -> None:
    (game / 'images/00001.png').rename(game / 'images/00001.PNG')
    (game / 'labels/00002_labelTrainIds.png').rename(game / 'labels/00002_labelTrainIds.PNG')
    (game / 'images/._00001.png').touch()
    dataset = build_dataset(scenes.game_cfg(game))
    assert len(dataset) == 4 and dataset.left_out == ['._00001.png']
    assert all(dataset[i]['gt_semantic_seg'].shape == (1, 32, 32) for i in range(4))
    (game / 'images/00001.png').touch()
    with pytest.raises(DataError, match='holds both 00001.PNG and 00001.png: say which'):
        build_dataset(scenes.game_cfg(game))


def test_text_files_with_a_byte_order_mark(game) -> None:
    (game / 'some.txt').write_text('00001\n', encoding='utf-8-sig')
    (game / 'classes.txt').write_text('\n'.join(f'c{i}' for i in range(19)), encoding='utf-8-sig')
    dataset = build_dataset(dict(scenes.game_cfg(game), type='CustomDataset', split='some.txt', img_suffix='.png',
                                 seg_map_suffix='_labelTrainIds.png', classes=str(game / 'classes.txt')))
    assert dataset.img_infos[0]['filename'] == '00001.png' and dataset.CLASSES[0] == 'c0'
