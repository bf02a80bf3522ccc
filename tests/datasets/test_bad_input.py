"""Everything that can be wrong with the data ends in one message that names the thing and the remedy."""
from __future__ import annotations

import os

import cv2
import numpy as np
import pytest

from mmseg.datasets import build_dataset
from mmseg.datasets.files import read_image, read_label
from mmseg.datasets.pipelines import Compose
from mmseg.datasets.pipelines.transforms import Normalize
from mmseg.datasets.storage import read_text
from mmseg.errors import DataError
from tests.datasets import scenes


def load(root, **changes):
    return build_dataset(scenes.game_cfg(root, **changes))[0]


def test_missing_folder(tmp_path) -> None:
    with pytest.raises(DataError, match='img_dir .*nowhere/images does not exist'):
        load(tmp_path / 'nowhere')


def test_empty_folder(tmp_path) -> None:
    (tmp_path / 'images').mkdir()
    with pytest.raises(DataError, match=r'no image in .*images \(files that end in .png; 0 others\)'):
        load(tmp_path)


def test_missing_split_file(game) -> None:
    with pytest.raises(DataError, match='split file .*train.txt does not exist'):
        build_dataset(scenes.city_cfg(game, img_dir='images', split='train.txt'))


def test_missing_image_of_a_split_file(city) -> None:
    (city / 'some.txt').write_text('ulm/none\n')
    with pytest.raises(DataError, match='image .*ulm/none_leftImg8bit.png does not exist: check'):
        build_dataset(scenes.city_cfg(city, split='some.txt'))[0]


def test_missing_label(game) -> None:
    (game / 'labels/00000_labelTrainIds.png').unlink()
    with pytest.raises(DataError, match='00000_labelTrainIds.png does not exist: check ann_dir.*convert'):
        load(game)


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
@pytest.mark.parametrize('keep', [0, 20, 0.5, 0.9])
def test_truncated_image(tmp_path, suffix, keep) -> None:
    image = tmp_path / 'images' / f'a{suffix}'
    scenes.write_image(image, 0, (64, 64))
    content = image.read_bytes()
    image.write_bytes(content[:int(keep * len(content)) if keep < 1 else keep])
    scenes.write_label(tmp_path / 'labels/a_labelTrainIds.png', 0, (64, 64))
    with pytest.raises(DataError, match=f'image .*a{suffix}: .*damaged.*again'):
        load(tmp_path, img_suffix=suffix)


@pytest.mark.parametrize('content', [b'', b'no picture', None])
def test_damaged_label(game, content) -> None:
    label = game / 'labels/00000_labelTrainIds.png'
    label.write_bytes(label.read_bytes()[:60] if content is None else content)
    with pytest.raises(DataError, match='label map .*00000_labelTrainIds.png: .*damaged.*again'):
        load(game)


def test_label_of_another_size(game) -> None:
    scenes.write_label(game / 'labels/00000_labelTrainIds.png', 0, (24, 48))
    with pytest.raises(DataError, match='00000_labelTrainIds.png is 48x24 but image .*00000.png is 96x48'):
        load(game)


def test_ids_that_are_no_train_ids(game) -> None:
    scenes.write_label(game / 'labels/00000_labelTrainIds.png', 0, ids=(7, 26, 33))
    with pytest.raises(DataError, match=r'ids \[26, 33\]; allowed are 0 to 18, and 255 .*convert'):
        load(game)
    with pytest.raises(DataError, match=r'ids \[26, 33\]'):
        build_dataset(scenes.game_cfg(game)).label(0)


def test_label_in_colours(game) -> None:
    scenes.write_image(game / 'labels/00000_labelTrainIds.png', 0)
    with pytest.raises(DataError, match='is a colour image: point ann_dir'):
        load(game)


def test_label_with_16_bits(game) -> None:
    path = str(game / 'labels/00000_labelTrainIds.png')
    cv2.imwrite(path, np.full(scenes.SIZE, 3, np.uint16))
    assert load(game)['gt_semantic_seg'].unique().tolist() == [3]
    cv2.imwrite(path, np.full(scenes.SIZE, 3000, np.uint16))
    with pytest.raises(DataError, match=r'holds the ids \[3000\]; allowed'):
        load(game)


@pytest.mark.parametrize('cfg, message', [
    (dict(type='RandomCorp'), "unknown transform 'RandomCorp': did you mean 'RandomCrop'"),
    (dict(type='RandomCrop', crop_sise=(4, 4)), "RandomCrop has no argument 'crop_sise': did you mean 'crop_size'"),
    (dict(type='RandomCrop'), "RandomCrop: .*crop_size"),
    (dict(crop_size=(4, 4)), 'needs a type'),
])
def test_unknown_transforms_and_arguments(cfg, message) -> None:
    with pytest.raises(DataError, match=message):
        Compose([cfg])


def test_arguments_of_another_dataset(game) -> None:
    with pytest.raises(DataError, match="GTADataset has no argument 'rare_class_sampling'"):
        load(game, rare_class_sampling=dict())
    with pytest.raises(DataError, match="unknown dataset 'GTADatset': did you mean 'GTADataset'"):
        load(game, type='GTADatset')
    with pytest.raises(DataError, match="knows no split but 'train'"):
        load(game, split='val')


def test_transform_of_ones_own_that_fails_names_the_file(game) -> None:
    def broken(results):
        raise KeyError('depth')

    with pytest.raises(KeyError, match='failed on .*00000.png.*depth'):
        load(game, pipeline=[dict(type='LoadImageFromFile'), broken])


def test_collect_names_what_is_missing(game) -> None:
    pipeline = [dict(type='LoadImageFromFile'), dict(type='Collect', keys=['img', 'gt_semantic_seg'])]
    with pytest.raises(DataError, match="Collect wants .'gt_semantic_seg'"):
        load(game, pipeline=pipeline)


@pytest.mark.parametrize('place', ['images/00000.png', 'labels/00000_labelTrainIds.png'])
@pytest.mark.parametrize('kind', ['pipe', 'device', 'folder'])
def test_what_is_no_file_is_refused_instead_of_waited_for(game, place, kind) -> None:
    path = game / place
    path.unlink()
    if kind == 'pipe':
        os.mkfifo(path)
    elif kind == 'device':
        path.symlink_to('/dev/zero')
    else:
        path.mkdir()
    with pytest.raises(DataError, match=f'{path} cannot be read: it is a folder, pipe or device'):
        read_image(str(path)) if 'images' in place else read_label(str(path))


def test_archives_and_lists_that_are_pipes(tmp_path) -> None:
    os.mkfifo(tmp_path / 'a.zip')
    with pytest.raises(DataError, match='a.zip is damaged or incomplete.*pipe'):
        read_image(str(tmp_path / 'a.zip/1.png'))
    os.mkfifo(tmp_path / 'split.txt')
    with pytest.raises(DataError, match='split.txt.*cannot be read as a text file.*pipe'):
        read_text(tmp_path / 'split.txt', 'split')


def test_a_file_out_of_all_proportion_is_not_read(game, monkeypatch) -> None:
    path = game / 'images/00000.png'
    with path.open('ab') as file:
        file.truncate(2**40)  # of which the disk holds the beginning only
    with pytest.raises(DataError, match=rf'00000.png cannot be read: it has {2**40} bytes.*MMSEG_MAX_PIXELS'):
        read_image(str(path))


@pytest.mark.parametrize('mean, std, to_rgb', [([1., 2.], [1., 1., 1.], True), ([1., 2.], [1., 1.], True),
                                               ([1.], [1., 1.], False)])
def test_normalising_needs_a_number_for_each_channel(mean, std, to_rgb) -> None:
    with pytest.raises(ValueError, match='Normalize: mean=.* one number per channel'):
        Normalize(mean, std, to_rgb)


def test_a_link_to_itself_is_named_where_it_is_needed(game) -> None:
    (game / 'images/notes').symlink_to('notes')
    assert build_dataset(scenes.game_cfg(game)).left_out == ['notes']
    path = game / 'images/00000.png'
    path.unlink()
    path.symlink_to(path.name)
    with pytest.raises(DataError, match='images/00000.png cannot be read'):
        build_dataset(scenes.game_cfg(game))[0]
