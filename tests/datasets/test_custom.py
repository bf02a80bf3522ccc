"""File lists, classes, labels, and what a sample holds."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from mmseg.datasets import build_dataset
from mmseg.datasets.cityscapes import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from mmseg.errors import DataError
from tests.datasets import scenes


def test_files_are_found_in_all_folders_and_sorted(tmp_path) -> None:
    for city in ('ulm', 'bonn'):
        for i in (2, 1):
            scenes.write_image(tmp_path / 'leftImg8bit/val' / city / f'{city}_{i}_leftImg8bit.png', i)
    (tmp_path / 'leftImg8bit/val/ulm/notes.png').touch()
    dataset = build_dataset(scenes.city_cfg(tmp_path, 'val'))
    assert [info['filename'] for info in dataset.img_infos] == [
        f'{city}/{city}_{i}_leftImg8bit.png' for city in ('bonn', 'ulm') for i in (1, 2)]
    assert dataset.img_infos[0]['ann']['seg_map'] == 'bonn/bonn_1_gtFine_labelTrainIds.png'


def test_split_file(city) -> None:
    (city / 'some.txt').write_text('ulm/ulm_000002_000019\n\nulm/ulm_000000_000019\n')
    dataset = build_dataset(scenes.city_cfg(city, split='some.txt'))
    assert [info['filename'] for info in dataset.img_infos] == [
        'ulm/ulm_000002_000019_leftImg8bit.png', 'ulm/ulm_000000_000019_leftImg8bit.png']
    assert dataset[0]['img'].shape == (3, 32, 32)


@pytest.mark.parametrize('kind, image, label, count', [
    ('CityscapesDataset', 'a/x_leftImg8bit.png', 'a/x_gtFine_labelTrainIds.png', 19),
    ('ACDCDataset', 'a/x_rgb_anon.png', 'a/x_gt_labelTrainIds.png', 19),
    ('DarkZurichDataset', 'x_rgb_anon.png', 'x_gt_labelTrainIds.png', 19),
    ('GTADataset', 'x.png', 'x_labelTrainIds.png', 19),
    ('SynthiaDataset', 'x.png', 'x_labelTrainIds.png', 19),
    ('CamVidDataset', 'x.jpg', 'x.png', 11),
    ('CustomDataset', 'x.jpg', 'x.png', None),
])
def test_names_of_images_and_labels(tmp_path, kind, image, label, count) -> None:
    scenes.write_image(tmp_path / 'images' / image, 0)
    scenes.write_label(tmp_path / 'labels' / label, 0, ids=(0, 6, 255))
    dataset = build_dataset(dict(type=kind, data_root=str(tmp_path), img_dir='images', ann_dir='labels',
                                 pipeline=scenes.train_pipeline()))
    assert dataset[0]['gt_semantic_seg'].dtype == torch.uint8
    assert dataset.label(0).shape == scenes.SIZE
    assert (dataset.CLASSES and len(dataset.CLASSES)) == count == (dataset.PALETTE and len(dataset.PALETTE))
    if count == 19:
        assert (dataset.CLASSES, dataset.PALETTE) == (CITYSCAPES_CLASSES, CITYSCAPES_PALETTE)


def test_training_sample(game) -> None:
    dataset = build_dataset(scenes.game_cfg(game))
    sample = dataset.get(1, np.random.RandomState(0))
    assert set(sample) == {'img', 'gt_semantic_seg', 'img_metas'}
    assert sample['img'].shape == (3, 32, 32) and sample['gt_semantic_seg'].shape == (1, 32, 32)
    metas = sample['img_metas']
    assert set(metas) == {'filename', 'ori_filename', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor', 'flip',
                          'flip_direction', 'img_norm_cfg'}
    assert metas['filename'] == str(game / 'images' / '00001.png') and metas['ori_filename'] == '00001.png'
    assert metas['ori_shape'] == (48, 96, 3) and metas['img_shape'] == metas['pad_shape'] == (32, 32, 3)
    assert metas['img_norm_cfg']['to_rgb'] is True


def test_getitem_follows_numpys_global_seed(game) -> None:
    dataset = build_dataset(scenes.game_cfg(game))
    images = []
    for seed in (3, 3, 4):
        np.random.seed(seed)
        images.append(dataset[0]['img'])
    assert torch.equal(images[0], images[1]) and not torch.equal(images[0], images[2])


def test_test_mode_gives_lists_over_versions(city) -> None:
    pipeline = scenes.test_pipeline(scale=(64, 32), img_ratios=[1.0, 0.5], flip=True)
    sample = build_dataset(scenes.city_cfg(city, pipeline=pipeline), dict(test_mode=True))[0]
    assert [tuple(img.shape) for img in sample['img']] == [(3, 32, 64)] * 2 + [(3, 16, 32)] * 2
    assert [metas['flip'] for metas in sample['img_metas']] == [False, True, False, True]
    assert sample['img'][0].dtype == torch.float32
    torch.testing.assert_close(sample['img'][1], sample['img'][0].flip(2))


def test_label_is_the_file_at_its_own_size(city) -> None:
    dataset = build_dataset(scenes.city_cfg(city, pipeline=scenes.test_pipeline(scale=(48, 24))))
    expected = cv2.imread(str(city / 'gtFine/train/ulm/ulm_000001_000019_gtFine_labelTrainIds.png'), -1)
    np.testing.assert_array_equal(dataset.label(1), expected)
    np.testing.assert_array_equal(list(dataset.get_gt_seg_maps())[1], expected)


def test_subset_of_the_classes(game) -> None:
    whole = build_dataset(scenes.game_cfg(game))
    part = build_dataset(scenes.game_cfg(game, classes=['rider', 'road']))
    assert part.CLASSES == ('rider', 'road') and part.PALETTE == [[255, 0, 0], [128, 64, 128]]
    before, after = whole.label(0), part.label(0)
    np.testing.assert_array_equal(after, np.select([before == 12, before == 0], [0, 1], 255))
    samples = [dataset.get(0, np.random.RandomState(0)) for dataset in (whole, part)]
    loaded = part.prepare(0)['gt_semantic_seg']
    np.testing.assert_array_equal(loaded, after)
    assert samples[0]['img'].shape == samples[1]['img'].shape
    with pytest.raises(DataError, match='no classes.*unicorn'):
        build_dataset(scenes.game_cfg(game, classes=['unicorn']))


def test_reduce_zero_label(tmp_path) -> None:
    scenes.write_image(tmp_path / 'a.jpg', 0, (8, 16))
    cv2.imwrite(str(tmp_path / 'a.png'), np.array([[0, 1, 2, 255] * 4] * 8, np.uint8))
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', reduce_zero_label=True)]
    dataset = build_dataset(dict(type='CustomDataset', img_dir=str(tmp_path), ann_dir=str(tmp_path), pipeline=pipeline,
                                 classes=('one', 'two'), reduce_zero_label=True))
    expected = np.array([[255, 0, 1, 255] * 4] * 8)
    np.testing.assert_array_equal(dataset.label(0), expected)
    np.testing.assert_array_equal(dataset.prepare(0)['gt_semantic_seg'], expected)


def test_lists_of_folders_and_sections_are_concatenated(game, city) -> None:
    scenes.write_city(city, 'val', 2)
    both = build_dataset(scenes.city_cfg(city, img_dir=['leftImg8bit/train', 'leftImg8bit/val'],
                                         ann_dir=['gtFine/train', 'gtFine/val']))
    assert len(both) == 5 and len(both.img_infos) == 5
    np.testing.assert_array_equal(both.label(3), build_dataset(scenes.city_cfg(city, 'val')).label(0))
    names = [both.get(i, np.random.RandomState(0))['img_metas']['ori_filename'] for i in range(5)]
    assert names == [info['filename'] for info in both.img_infos]
    several = build_dataset([scenes.game_cfg(game), scenes.city_cfg(city)])
    assert len(several) == 7
    assert len(build_dataset(dict(type='RepeatDataset', dataset=scenes.game_cfg(game), times=3))) == 12
    with pytest.raises(DataError, match='different length'):
        build_dataset(scenes.city_cfg(city, img_dir=['a', 'b'], ann_dir=['c']))


def test_every_epoch_visits_each_image_once_in_an_order_of_its_own(game) -> None:
    dataset = build_dataset(scenes.game_cfg(game))
    rng = np.random.RandomState(0)
    names = [dataset.sample(position, rng, seed=1)['img_metas']['ori_filename'] for position in range(16)]
    epochs = [tuple(names[i:i + 4]) for i in range(0, 16, 4)]
    assert all(len(set(epoch)) == 4 for epoch in epochs) and len(set(epochs)) > 1


def test_unlabelled_data_needs_no_folder_of_labels(tmp_path) -> None:
    scenes.write_image(tmp_path / 'rgb_anon/train/night/x_rgb_anon.png', 0)
    dataset = build_dataset(dict(type='DarkZurichDataset', data_root=str(tmp_path), img_dir='rgb_anon/train/night/',
                                 ann_dir='gt/train/night/', pipeline=scenes.train_pipeline(labels=False)))
    assert set(dataset[0]) == {'img', 'img_metas'}
