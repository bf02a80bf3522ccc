"""FolderDataset: names, masks as ids and as colours, label maps, statistics, and what can be wrong."""
from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg.datasets import build_dataset
from mmseg.errors import DataError
from tests.datasets import scenes

CLASSES, PALETTE = ('sound', 'crack'), [[70, 70, 70], [220, 20, 60]]
IDS = np.kron(np.random.RandomState(0).randint(0, 2, (6, 12)), np.ones((8, 8))).astype(np.uint8)


def write_mask(root, name: str, mask: np.ndarray) -> None:
    (root / 'masks' / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(root / 'masks' / name)


def cfg(root, **changes):
    return dict(dict(type='FolderDataset', data_root=str(root), img_dir='images', ann_dir='masks', classes=CLASSES,
                     pipeline=scenes.train_pipeline()), **changes)


@pytest.fixture
def own(tmp_path):
    """One image in a subfolder, with the mask IDS."""
    scenes.write_image(tmp_path / 'images/north/1.jpg', 0)
    write_mask(tmp_path, 'north/1.png', IDS)
    return tmp_path


def test_images_and_masks_are_matched_by_their_path_without_suffix(own) -> None:
    scenes.write_image(own / 'images/2.png', 1)
    write_mask(own, '2.tif', IDS)
    write_mask(own, 'south/1.png', 1 - IDS)  # has no image
    dataset = build_dataset(cfg(own))
    assert [(info['filename'], info['ann']['seg_map']) for info in dataset.img_infos] == [
        ('2.png', '2.tif'), ('north/1.jpg', 'north/1.png')]
    assert dataset.CLASSES == CLASSES
    np.testing.assert_array_equal(dataset.label(1), IDS)
    assert dataset[0]['gt_semantic_seg'].unique().tolist() == [0, 1]
    (own / 'some.txt').write_text('north\\1\n')  # as Windows writes it
    assert len(build_dataset(cfg(own, split='some.txt'))) == 1


def test_suffixes_choose_among_files(own) -> None:
    scenes.write_image(own / 'images/north/1_depth.png', 1)
    write_mask(own, 'north/1_mask.png', 1 - IDS)
    dataset = build_dataset(cfg(own, img_suffix='.jpg', seg_map_suffix='_mask.png'))
    np.testing.assert_array_equal(dataset.label(0), 1 - IDS)


def test_a_target_needs_no_masks(tmp_path) -> None:
    scenes.write_image(tmp_path / 'images/1.jpg', 0)
    dataset = build_dataset(cfg(tmp_path, ann_dir=None, pipeline=scenes.train_pipeline(labels=False)))
    assert set(dataset[0]) == {'img', 'img_metas'} and not dataset.has_labels


@pytest.mark.parametrize('name, content', [
    ('classes.json', json.dumps(dict(zip(CLASSES, PALETTE)))),
    ('classes.yaml', 'sound: [70, 70, 70]\ncrack: [220, 20, 60]\n'),
    ('classes.yml', '- sound\n- crack\n'),
    ('classes.json', '["sound", "crack"]'),
    ('classes.txt', 'sound\ncrack\n'),
])
def test_names_and_colours_from_a_file(own, name, content) -> None:
    (own / name).write_text(content)
    dataset = build_dataset(cfg(own, classes=str(own / name)))
    assert dataset.CLASSES == CLASSES
    assert dataset.PALETTE == PALETTE or 'sound:' not in content.replace('"', '')


def test_masks_in_the_colours_of_the_palette(own) -> None:
    colours = np.array(PALETTE, np.uint8)[IDS]
    write_mask(own, 'north/1.png', np.dstack([colours, np.full(IDS.shape, 255, np.uint8)]))  # alpha has no meaning
    np.testing.assert_array_equal(build_dataset(cfg(own, palette=PALETTE)).label(0), IDS)
    with pytest.raises(DataError, match='is a colour image: .*let FolderDataset read it, with the palette'):
        build_dataset(cfg(own)).label(0)
    colours[0, :2] = (1, 2, 3), (0, 0, 0)
    write_mask(own, 'north/1.png', colours)
    with pytest.raises(DataError, match='the colours #000000, #010203, which are no class; add them to label_map'):
        build_dataset(cfg(own, palette=PALETTE)).label(0)


@pytest.mark.parametrize('kind', [np.uint8, np.uint16])
def test_ids_mean_what_label_map_says(own, kind) -> None:
    mask = np.array([7, 200], kind)[IDS]
    mask[0, :3] = 255, 8, 9
    write_mask(own, 'north/1.png', mask)
    expected = IDS.copy()
    expected[0, :3] = 255, 1, 255
    for label_map in ({7: 'sound', 200: 'crack', 8: 1, 9: None}, {'7': 0, '200': 1, '8': 1, '*': None}):
        np.testing.assert_array_equal(build_dataset(cfg(own, label_map=label_map)).label(0), expected)
    with pytest.raises(DataError, match='holds the ids 9, which are no class'):
        build_dataset(cfg(own, label_map={7: 'sound', 200: 'crack', 8: 1})).label(0)


def test_black_and_white_masks(own) -> None:
    write_mask(own, 'north/1.png', IDS * 255)
    dataset = build_dataset(cfg(own, label_map={0: 'sound', 255: 'crack'}))
    np.testing.assert_array_equal(dataset.label(0), IDS)
    write_mask(own, 'north/1.png', IDS.astype(bool))
    np.testing.assert_array_equal(build_dataset(cfg(own)).label(0), IDS)


def test_colours_of_label_map_also_in_files_with_a_palette(own) -> None:
    """Two colours are one class; the file's own numbers of the colours do not matter."""
    image = Image.fromarray(IDS + 3)
    image.putpalette([0] * 9 + [70, 70, 70] + [220, 20, 60] + [9, 9, 9])
    image.putpixel((0, 0), 5)
    image.save(own / 'masks/north/1.png')
    expected = IDS.copy()
    expected[0, 0] = 1
    label_map = {'#464646': 'sound', '#DC143C': 'crack', '#090909': 'crack'}
    np.testing.assert_array_equal(build_dataset(cfg(own, label_map=label_map)).label(0), expected)


@pytest.mark.parametrize('label_map, message', [
    ({7: 'sond'}, "label_map: 'sond' is neither a class .did you mean 'sound'"),
    ({7: 2}, 'label_map: 2 is neither a class'),
    ({'red': 'crack'}, "'red' is neither an id .* nor a colour"),
    ({7: 0, '#000000': 1}, 'both ids and colours'),
    ({}, 'no id or colour'),
])
def test_wrong_label_maps(own, label_map, message) -> None:
    with pytest.raises(DataError, match=message):
        build_dataset(cfg(own, label_map=label_map))


@pytest.mark.parametrize('changes, message', [
    (dict(classes=['a', 'a']), 'each of which occurs once'),
    (dict(classes='nowhere.json'), "classes='nowhere.json' cannot be read"),
    (dict(classes=[f'c{i}' for i in range(300)]), '300 classes: at most 254'),
    (dict(palette=[[1, 2, 3]]), 'palette needs one .red, green, blue.'),
    (dict(palette=[[1, 2, 3]] * 2), 'two classes the same colour'),
    (dict(ann_dir='elsewhere'), 'ann_dir .*elsewhere does not exist'),
    (dict(img_dir='elsewhere'), 'img_dir .*elsewhere does not exist'),
])
def test_wrong_arguments(own, changes, message) -> None:
    with pytest.raises(DataError, match=message):
        build_dataset(cfg(own, **changes))


def test_wrong_files(own) -> None:
    (own / 'bad.json').write_text('{"a": ')
    with pytest.raises(DataError, match='bad.json. is no valid file'):
        build_dataset(cfg(own, classes=str(own / 'bad.json')))
    scenes.write_image(own / 'images/2.png', 1)
    with pytest.raises(DataError, match='1 of 2 images in .* have no mask in .*, such as 2.png: .*matched by path'):
        build_dataset(cfg(own))
    (own / 'some.txt').write_text('north/2\n')
    with pytest.raises(DataError, match="some.txt names 'north/2', but"):
        build_dataset(cfg(own, split='some.txt'))
    scenes.write_image(own / 'images/2.jpg', 1)
    with pytest.raises(DataError, match='holds both 2.jpg and 2.png: say which with img_suffix'):
        build_dataset(cfg(own))


def test_statistics_are_counted_anew_when_masks_are_read_in_another_way(own) -> None:
    """Among them a class that never occurs, and one that the first reading left out."""
    target = cfg(own, ann_dir=None, classes=[*CLASSES, 'never'])

    def drawable(**changes):
        source = cfg(own, classes=[*CLASSES, 'never'], **changes)
        rcs = dict(min_pixels=10, class_temp=0.1, min_crop_ratio=0)
        return sorted(build_dataset(dict(type='UDADataset', source=source, target=target,
                                         rare_class_sampling=rcs)).sampler.classes)

    assert drawable() == [0, 1]
    assert drawable(label_map={0: 'never', 1: None}) == [2]
    assert drawable() == [0, 1]


def test_stems_in_several_folders(own) -> None:
    scenes.write_image(own / 'images/south/1.jpg', 1)
    write_mask(own, 'south/1.png', np.zeros_like(IDS))
    rcs = dict(min_pixels=10, class_temp=0.1, min_crop_ratio=0)
    dataset = build_dataset(dict(type='UDADataset', source=cfg(own), target=cfg(own), rare_class_sampling=rcs))
    assert {c: list(images) for c, images in dataset.sampler.images.items()} == {0: [0, 1], 1: [0]}


def test_damaged_mask(own) -> None:
    path = own / 'masks/north/1.png'
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match='label map .*north/1.png: .*damaged'):
        build_dataset(cfg(own)).label(0)
    cv2.imwrite(str(path), np.full(scenes.SIZE, 5, np.uint8))
    with pytest.raises(DataError, match=r'holds the ids \[5\]; allowed are 0 to 1'):
        build_dataset(cfg(own)).label(0)


def test_masks_of_other_ids_are_told_of_label_map(tmp_path) -> None:
    from mmseg.datasets.label_format import LabelFormat
    ids = np.tile(np.arange(1, 12, dtype=np.uint8), (11, 1))
    cv2.imwrite(str(tmp_path / 'ids.png'), ids)
    cv2.imwrite(str(tmp_path / 'stacked.png'), np.repeat(ids[..., None], 3, 2))
    with pytest.raises(DataError, match=r'ids.png holds the ids \[11\].*label_map'):
        LabelFormat(11).load(str(tmp_path / 'ids.png'))
    with pytest.raises(DataError, match="ids up to 11, stacked as RGB.*label_map={'#0b0b0b': CLASS"):
        LabelFormat(11).load(str(tmp_path / 'stacked.png'))
