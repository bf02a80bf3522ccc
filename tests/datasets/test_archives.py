"""Data sets inside zip files: the official ones of Cityscapes, GTA and ACDC, made small."""
from __future__ import annotations

import os
import shutil
import struct
import tracemalloc
import zipfile

import cv2
import numpy as np
import pytest
import torch

from mmseg.datasets import build_dataset, build_train_loader
from mmseg.datasets.archives import Archive
from mmseg.datasets.gta import GTA_TRAIN_IDS
from mmseg.datasets.storage import read_bytes
from mmseg.errors import DataError
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
    assert list(tmp_path.glob('zips/all.zip.class_stats/class_stats_*/sample_class_stats.json'))
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


def packed(path, count: int = 3) -> dict[str, bytes]:
    """Write a small archive; its members."""
    members = {f'images/{i}.png': bytes([i]) * 200 + os.urandom(10) for i in range(count)}
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return members


def directory(content: bytes, number: int) -> int:
    """Where an entry of the table of contents begins."""
    start = -1
    for _ in range(number + 1):
        start = content.index(b'PK\1\2', start + 1)
    return start


@pytest.mark.parametrize('at, value', [
    (46, b'imagos'),  # the name: images/1.png would be missing
    (32, b'\x3b'),  # the length of the comment: the next entry is read as one
    (42, b'\0\0\x20\0'), (6, b'\xff'), (28, b'\xff\xff'), (0, b'PK\0\0'),
], ids=['name', 'comment', 'offset', 'version', 'length of name', 'start'])
def test_damaged_table_of_contents(tmp_path, at, value) -> None:
    packed(path := tmp_path / 'x.zip')
    content = bytearray(path.read_bytes())
    start = directory(content, 1) + at
    content[start:start + len(value)] = value
    path.write_bytes(content)
    with pytest.raises(DataError, match='the archive .*x.zip is damaged or incomplete: download it again'):
        Archive(str(path))


def test_a_member_that_is_not_in_the_table_of_contents(tmp_path) -> None:
    packed(path := tmp_path / 'x.zip')
    content = path.read_bytes()
    first, second, end = directory(content, 0), directory(content, 1), content.rindex(b'PK\5\6')
    numbers = list(struct.unpack_from('<HHII', content, end + 8))
    numbers = [numbers[0] - 1, numbers[1] - 1, numbers[2] - (second - first), numbers[3]]
    path.write_bytes(content[:first] + content[second:end + 8] + struct.pack('<HHII', *numbers) + content[end + 20:])
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 2 and archive.testzip() is None  # to the module all is well
    with pytest.raises(DataError, match='x.zip is damaged.*the member at byte 0 is not in its table of contents'):
        Archive(str(path))


def test_every_flipped_byte_is_found_or_does_not_matter(tmp_path) -> None:
    members = packed(path := tmp_path / 'x.zip')
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1:])
        try:
            archive = Archive(str(path))
            assert {name: archive.read(name) for name in archive.members} == members
        except (DataError, OSError) as error:
            assert 'x.zip' in str(error) or 'images/' in str(error) or 'limit' in str(error)


def test_members_that_take_the_memory(tmp_path, monkeypatch) -> None:
    path, size = tmp_path / 'x.zip', 2**24
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('a.png', bytes(size))
    assert len(read_bytes(f'{path}/a.png', 'image')) == size
    content = bytearray(path.read_bytes())
    struct.pack_into('<I', content, directory(content, 0) + 24, 1000)  # what it is said to have when unpacked
    path.with_name('y.zip').write_bytes(content)
    monkeypatch.setenv('MMSEG_MAX_PIXELS', '1000')
    tracemalloc.start()
    with pytest.raises(DataError, match=f'x.zip/a.png cannot be read: it has {size} bytes.*8000: .*MMSEG_MAX_PIXELS'):
        read_bytes(f'{path}/a.png', 'image')
    monkeypatch.delenv('MMSEG_MAX_PIXELS')
    with pytest.raises(DataError, match='y.zip/a.png cannot be read: .*y.zip is damaged there'):
        read_bytes(str(tmp_path / 'y.zip/a.png'), 'image')
    assert tracemalloc.get_traced_memory()[1] < size / 8
    tracemalloc.stop()


def test_two_archives_that_contradict_each_other(tmp_path) -> None:
    for name in ('a', 'b'):
        scenes.write_image(tmp_path / name / 'images/00000.png', ord(name))
        layouts.zip_folder(tmp_path / name, 'images', tmp_path / f'{name}.zip')
    with pytest.raises(DataError, match='a.zip and .*b.zip hold different files images/00000.png: name one archive'):
        build_dataset(scenes.game_cfg(tmp_path / '*.zip'))


def test_a_folder_that_is_called_like_an_archive(tmp_path) -> None:
    scenes.write_game(tmp_path / 'gta.zip')
    assert build_dataset(scenes.game_cfg(tmp_path / 'gta.zip'))[0]['img'].shape == (3, 32, 32)


def test_only_the_star_is_a_pattern(tmp_path) -> None:
    for name in ('a[1].zip', 'a1.zip', 'b?.zip', 'bc.zip'):
        with zipfile.ZipFile(tmp_path / name, 'w') as archive:
            archive.writestr(f'images/{name}.png', name)
    for name in ('a[1].zip', 'b?.zip'):
        assert list(Archive(str(tmp_path / name)).members) == [f'images/{name}.png']
    assert len(Archive(str(tmp_path / 'a*.zip')).members) == 2
