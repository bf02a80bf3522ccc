"""Data sets inside zip files: the official ones of Cityscapes, GTA and ACDC, made small."""
from __future__ import annotations

import shutil
import zipfile

import cv2
import numpy as np
import pytest
import torch

from mmseg.datasets import DataError, build_dataset, build_train_loader
from mmseg.datasets.gta import GTA_TRAIN_IDS
from tests.datasets import layouts, scenes

FRAMES = ('train/ulm/ulm_000001_000019', 'train/bonn/bonn_000000_000019', 'val/lindau/lindau_000000_000019')
RCS = dict(min_pixels=5, class_temp=0.1, min_crop_ratio=0.5)


@pytest.fixture
def cityscapes(tmp_path):
    """Folder with the two official archives; beside it the same files unpacked and converted by cityscapesscripts."""
    layouts.write_cityscapes(tmp_path / 'unpacked', FRAMES)
    (tmp_path / 'zips').mkdir()
    for part, name in (('leftImg8bit', 'leftImg8bit_trainvaltest.zip'), ('gtFine', 'gtFine_trainvaltest.zip')):
        layouts.zip_folder(tmp_path / 'unpacked', part, tmp_path / 'zips' / name)
        with zipfile.ZipFile(tmp_path / 'zips' / name, 'a') as archive:
            archive.writestr('README', part)  # each archive has its own
    for frame in FRAMES:
        ids = cv2.imread(str(tmp_path / 'unpacked/gtFine' / f'{frame}_gtFine_labelIds.png'), -1)
        train_ids = np.select([ids == 23, ids == 7, ids == 26], [10, 0, 13], 255).astype(np.uint8)
        cv2.imwrite(str(tmp_path / 'unpacked/gtFine' / f'{frame}_gtFine_labelTrainIds.png'), train_ids)
    return tmp_path


def city(root, **changes):
    return scenes.city_cfg(root, pipeline=scenes.train_pipeline((16, 16), (30, 20)), **changes)


@pytest.mark.parametrize('changes', [
    dict(data_root='zips/*.zip'),
    dict(data_root='zips', img_dir='leftImg8bit_trainvaltest.zip/leftImg8bit/train',
         ann_dir='gtFine_trainvaltest.zip/gtFine/train'),
], ids=['all archives of a folder', 'an archive per folder'])
def test_cityscapes_as_published(cityscapes, monkeypatch, changes) -> None:
    """Images and labels are those of the unpacked and converted files."""
    monkeypatch.chdir(cityscapes)
    packed, unpacked = build_dataset(city('', **changes)), build_dataset(city('unpacked'))
    assert [info['filename'] for info in packed.img_infos] == [info['filename'] for info in unpacked.img_infos]
    for idx in range(2):
        np.testing.assert_array_equal(packed.label(idx), unpacked.label(idx))
        samples = [dataset.get(idx, np.random.RandomState(idx)) for dataset in (packed, unpacked)]
        assert torch.equal(samples[0]['img'], samples[1]['img'])
        assert torch.equal(samples[0]['gt_semantic_seg'], samples[1]['gt_semantic_seg'])


def test_gta_and_acdc_in_forked_workers_with_statistics(tmp_path) -> None:
    """Ten archives of GTA are one data set; the workers of both loaders read the same bytes as this process."""
    layouts.write_gta(tmp_path / 'gta', 6, scenes.SIZE)
    layouts.write_acdc(tmp_path / 'acdc')
    (tmp_path / 'zips').mkdir()
    for i in range(6):
        for part in ('images', 'labels'):
            layouts.zip_folder(tmp_path / 'gta', part, tmp_path / f'zips/{i % 3:02d}_{part}.zip', f'{i:05d}.png')
    for part in ('rgb_anon', 'gt'):
        layouts.zip_folder(tmp_path / 'acdc', part, tmp_path / f'{part}_trainvaltest.zip')
    target = dict(type='ACDCDataset', data_root=str(tmp_path / '*_trainvaltest.zip'), img_dir='rgb_anon/train',
                  ann_dir='gt/train', pipeline=scenes.train_pipeline(labels=False))
    assert build_dataset(target).label(0).shape == (27, 48)
    source = scenes.game_cfg(tmp_path / 'zips/*.zip', pipeline=scenes.train_pipeline())
    dataset = build_dataset(dict(type='UDADataset', source=source, target=target, rare_class_sampling=RCS))
    assert len(dataset.source) == 6 and len(dataset.target) == 4
    ids = cv2.imread(str(tmp_path / 'gta/labels/00003.png'), cv2.IMREAD_GRAYSCALE)
    assert dataset.source.label(3).shape == ids.shape
    assert set(np.unique(dataset.source.label(3))) == {*GTA_TRAIN_IDS.values(), 255}
    assert (tmp_path / 'zips/all.zip.class_stats/sample_class_stats.json').is_file()
    batches = [list(build_train_loader(dataset, 2, workers, seed=0, stop=6)) for workers in (0, 2)]
    for here, there in zip(*batches, strict=True):
        assert torch.equal(here['img'], there['img']) and torch.equal(here['target_img'], there['target_img'])
        assert torch.equal(here['gt_semantic_seg'], there['gt_semantic_seg'])


def test_val_and_test_set(cityscapes) -> None:
    """`--test-set` renames folders in the config; labels are asked for only where there are some."""
    root = cityscapes / 'zips/*.zip'
    val = build_dataset(scenes.city_cfg(root, 'val', pipeline=scenes.test_pipeline()), dict(test_mode=True))
    assert val.has_labels and set(np.unique(val.label(0))) == {0, 10, 13, 255}
    layouts.write_acdc(cityscapes / 'acdc')
    archive = layouts.zip_folder(cityscapes / 'acdc', 'rgb_anon', cityscapes / 'rgb_anon.zip')
    test = build_dataset(dict(type='ACDCDataset', data_root=str(archive), img_dir='rgb_anon/test', ann_dir='gt/test',
                              pipeline=scenes.test_pipeline()), dict(test_mode=True))
    assert len(test) == 4 and len(test[0]['img']) == 1


def test_messages(cityscapes) -> None:
    zips = cityscapes / 'zips'
    with pytest.raises(DataError, match='the archive .*nowhere.zip does not exist: check data_root'):
        build_dataset(city(cityscapes / 'nowhere.zip'))
    with pytest.raises(DataError, match='img_dir .*gtFine_trainvaltest.zip/leftImg8bit/train does not exist'):
        build_dataset(city(zips / 'gtFine_trainvaltest.zip'))
    with pytest.raises(DataError, match='label map .*leftImg8bit_trainvaltest.zip/gtFine/train/.* does not exist'):
        build_dataset(city(zips / 'leftImg8bit_trainvaltest.zip'))[0]
    shutil.copy(zips / 'gtFine_trainvaltest.zip', zips / 'half.zip')
    content = (zips / 'half.zip').read_bytes()
    (zips / 'half.zip').write_bytes(content[:len(content) // 2])
    with pytest.raises(DataError, match='the archive .*half.zip is damaged or incomplete: download it again'):
        build_dataset(city(zips / '*.zip'))


def test_damage_inside_an_archive(tmp_path) -> None:
    layouts.write_gta(tmp_path / 'gta', 1, scenes.SIZE)
    archive = layouts.zip_folder(tmp_path / 'gta', 'images', tmp_path / 'x.zip')
    with zipfile.ZipFile(archive) as packed:
        offset = packed.infolist()[0].header_offset + 500
    content = bytearray(archive.read_bytes())
    content[offset:offset + 50] = bytes(50)
    archive.write_bytes(content)
    dataset = build_dataset(scenes.game_cfg(archive, pipeline=scenes.train_pipeline(labels=False)))
    with pytest.raises(DataError, match='image .*x.zip/images/00000.png cannot be read: .*x.zip is damaged'):
        dataset[0]


def test_two_archives_that_contradict_each_other(tmp_path) -> None:
    for name in ('a', 'b'):
        scenes.write_image(tmp_path / name / 'images/00000.png', ord(name))
        layouts.zip_folder(tmp_path / name, 'images', tmp_path / f'{name}.zip')
    with pytest.raises(DataError, match='a.zip and .*b.zip hold different files images/00000.png: name one archive'):
        build_dataset(scenes.game_cfg(tmp_path / '*.zip'))


def test_a_folder_that_is_called_like_an_archive(tmp_path) -> None:
    scenes.write_game(tmp_path / 'gta.zip')
    assert build_dataset(scenes.game_cfg(tmp_path / 'gta.zip'))[0]['img'].shape == (3, 32, 32)
