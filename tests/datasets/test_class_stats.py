"""Class statistics: counted once when missing, read afterwards, refused when they do not fit."""
from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from mmseg.datasets import build_dataset
from mmseg.datasets.cityscapes import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from mmseg.datasets.class_stats import cache_folder, load_stats, save_stats
from mmseg.errors import DataError
from tests.datasets import scenes

FILES = ('sample_class_stats.json', 'sample_class_stats_dict.json', 'samples_with_class.json')
RCS = dict(min_pixels=100, class_temp=0.01, min_crop_ratio=0.5)


def build(game, city, source=None, **changes):
    return build_dataset(scenes.uda_cfg(game, city, source, rare_class_sampling=dict(RCS, **changes)))


def counted(game, i: int) -> dict[str, int]:
    label = cv2.imread(str(game / f'labels/{i:05d}_labelTrainIds.png'), -1)
    return {str(c): int((label == c).sum()) for c in np.unique(label) if c != 255}


def test_missing_statistics_are_counted_and_saved(game, city, capsys) -> None:
    sampler = build(game, city).sampler
    messages = capsys.readouterr()
    assert 'Counting the classes of 4 label maps' in messages.err and str(game) in messages.out
    stats, by_file, with_class = (json.loads((game / name).read_text()) for name in FILES)
    for i in range(4):
        path = str(game / f'labels/{i:05d}_labelTrainIds.png')
        expected = counted(game, i)
        assert stats[i] == dict(expected, file=path) and by_file[path] == expected
        assert all([path, n] in with_class[c] for c, n in expected.items())
    again = build(game, city).sampler
    assert 'Counting' not in capsys.readouterr().err
    np.testing.assert_array_equal(again.probabilities, sampler.probabilities)
    np.testing.assert_array_equal(again.classes, sampler.classes)


@pytest.mark.parametrize('reason', ['read-only', 'error'])
def test_folder_that_cannot_be_written_to(game, city, capsys, reason) -> None:
    if reason == 'error':
        (game / FILES[1]).mkdir()  # takes the place of a file
    else:
        game.chmod(0o555)  # holds for root, too, whom the system would let write
    before = sorted(game.iterdir())
    with pytest.warns(UserWarning, match='cannot write the class statistics to .*game'):
        build(game, city)
    assert sorted(game.iterdir()) == before
    kept = cache_folder(str(game))
    assert sorted(path.name for path in kept.iterdir()) == sorted(FILES) and str(kept) in capsys.readouterr().out
    build(game, city)
    assert 'Counting' not in capsys.readouterr().err
    game.chmod(0o755)


def test_nothing_is_written_below_a_read_only_folder(game, city) -> None:
    """Statistics of other formats have a folder of their own, which would have to be made there."""
    game.chmod(0o555)
    before = sorted(game.rglob('*'))
    with pytest.warns(UserWarning, match='cannot write the class statistics to .*class_stats_.*is read-only'):
        build(game, city, source=dict(ignore_index=7))
    assert sorted(game.rglob('*')) == before
    game.chmod(0o755)


def test_paths_with_backslashes_and_from_elsewhere(game, city) -> None:
    expected = build(game, city).sampler
    for name in FILES:
        text = (game / name).read_text().replace(f'{game}/labels/', 'D:\\\\gta\\\\labels\\\\')
        assert 'D:' in text
        (game / name).write_text(text)
    sampler = build(game, city).sampler
    assert {c: list(images) for c, images in sampler.images.items()} == {
        c: list(images) for c, images in expected.images.items()}


def test_class_that_is_never_big_enough_is_left_out(game, city) -> None:
    scenes.write_label(game / 'labels/00003_labelTrainIds.png', 3, ids=(0, 1))
    label = cv2.imread(str(game / 'labels/00003_labelTrainIds.png'), -1)
    label[:4, :4] = 18
    cv2.imwrite(str(game / 'labels/00003_labelTrainIds.png'), label)
    with pytest.warns(UserWarning, match=r"leaves out \['bicycle'\]: no label map has more than min_pixels = 100"):
        sampler = build(game, city).sampler
    assert 18 not in sampler.classes and sampler.probabilities.sum() == pytest.approx(1)
    assert all(sampler.draw(np.random.RandomState(seed))[0] != 18 for seed in range(20))


def test_no_class_is_big_enough(game, city) -> None:
    with pytest.warns(UserWarning), pytest.raises(DataError, match='lower min_pixels'):
        build(game, city, min_pixels=10**6)


@pytest.mark.parametrize('name', [FILES[0], FILES[2]])
@pytest.mark.parametrize('content', ['', '[{"0": 3', '{"0": 5}', '[3]'])
def test_damaged_statistics(game, city, name, content) -> None:
    build(game, city)
    (game / name).write_text(content)
    with pytest.raises(DataError, match='cannot be read.*delete them'):
        build(game, city)


def test_statistics_follow_the_files(game, city, capsys) -> None:
    """Files that are gone are left out, new ones are counted, the others are not read again."""
    before = build(game, city).sampler
    (game / 'images/00001.png').unlink()
    capsys.readouterr()
    fewer = build(game, city).sampler
    assert 'Counting' not in capsys.readouterr().err
    assert all(len(fewer.images.get(c, ())) <= len(images) for c, images in before.images.items())
    assert max(max(images) for images in fewer.images.values()) == 2
    scenes.write_image(game / 'images/00009.png', 9)
    scenes.write_label(game / 'labels/00009_labelTrainIds.png', 9)
    more = build(game, city).sampler
    assert 'Counting the classes of 1 label maps' in capsys.readouterr().err
    assert any(3 in images for images in more.images.values())


def test_two_splits_of_one_folder(game, city, capsys) -> None:
    """Each split has statistics of its own files; what both hold is counted once."""
    (game / 'few.txt').write_text('00000\n00001\n')
    source = dict(scenes.game_cfg(game), type='CustomDataset', img_suffix='.png', classes=CITYSCAPES_CLASSES,
                  palette=CITYSCAPES_PALETTE, seg_map_suffix='_labelTrainIds.png')
    few, every = (build_dataset(dict(type='UDADataset', source=dict(source, split=split), target=scenes.city_cfg(city),
                                     rare_class_sampling=RCS)).sampler for split in ('few.txt', None))
    shown = capsys.readouterr().err
    assert 'Counting the classes of 2 label maps' in shown and 'of 4 label maps' not in shown
    assert {i for images in few.images.values() for i in images} == {0, 1}
    assert {i for images in every.images.values() for i in images} == {0, 1, 2, 3}
    pixels = {c: sum(counted(game, i).get(str(c), 0) for i in (0, 1)) for c in few.classes}
    assert list(few.classes) == sorted(pixels, key=pixels.get)


def test_labels_of_the_same_name_in_another_folder_are_not_taken_for_them(game, city, capsys) -> None:
    build(game, city)
    for i in range(4):
        scenes.write_label(game / f'other/{i:05d}_labelTrainIds.png', i + 7, ids=(4, 5))
    sampler = build_dataset(dict(type='UDADataset', source=scenes.game_cfg(game, ann_dir='other'),
                                 target=scenes.city_cfg(city), rare_class_sampling=RCS)).sampler
    assert set(sampler.classes) == {4, 5}


def test_only_void_labels(game, city) -> None:
    for i in range(4):
        cv2.imwrite(str(game / f'labels/{i:05d}_labelTrainIds.png'), np.full((27, 48), 255, np.uint8))
    with pytest.raises(DataError, match='all 4 label maps, such as .*, are 255 .*check ann_dir'):
        build(game, city)


def test_statistics_of_other_labels(game, city) -> None:
    build(game, city)
    stats = json.loads((game / FILES[0]).read_text())
    stats[0]['26'] = 700
    (game / FILES[0]).write_text(json.dumps(stats))
    samples = json.loads((game / FILES[2]).read_text())
    samples['26'] = [[stats[0]['file'], 700]]
    (game / FILES[2]).write_text(json.dumps(samples))
    with pytest.raises(DataError, match=r'hold the ids \[26\], the data set 19 classes'):
        build(game, city)


def test_same_label_name_in_two_folders(city, tmp_path) -> None:
    """As many folders as needed tell the files apart, also in statistics that were written elsewhere."""
    for i, town in enumerate(('ulm', 'bonn')):
        scenes.write_image(tmp_path / 'leftImg8bit/train' / town / 'x_leftImg8bit.png', 0)
        scenes.write_label(tmp_path / 'gtFine/train' / town / 'x_gtFine_labelTrainIds.png', 0, ids=(i, 2))
    cfg = dict(type='UDADataset', source=scenes.city_cfg(tmp_path), target=scenes.city_cfg(city),
               rare_class_sampling=RCS)
    build_dataset(cfg)
    for name in FILES:
        text = (tmp_path / name).read_text().replace(f'{tmp_path}/gtFine/train/', 'D:\\\\cs\\\\')
        (tmp_path / name).write_text(text.replace('/x_', '\\\\x_'))
    images = build_dataset(cfg).sampler.images
    assert {c: list(found) for c, found in images.items()} == {1: [0], 0: [1], 2: [0, 1]}


COUNTS = {'a.png': {0: 5, 2: 7}, 'b.png': {2: 1}}


@pytest.mark.parametrize('name, change', [
    (FILES[0], lambda c: c[0].update({'0': 6})), (FILES[0], lambda c: c[0].update({'0': -5})),
    (FILES[0], lambda c: c[0].update({'0': '5'})), (FILES[0], lambda c: c[0].update({'0': None})),
    (FILES[0], lambda c: c[0].update({'300': 5})), (FILES[0], lambda c: c[0].update({'1': 5})),
    (FILES[0], lambda c: c[0].update(file='c.png')), (FILES[0], lambda c: c[0].update(file=[1])),
    (FILES[0], lambda c: c.append({'file': None})),
    (FILES[0], lambda c: c.append(c[0])), (FILES[0], lambda c: c.pop()), (FILES[0], lambda c: c.append(3)),
    (FILES[2], lambda c: c['2'].pop()), (FILES[2], lambda c: c.pop('0')), (FILES[2], lambda c: c.update({'7': 1})),
    (FILES[2], lambda c: c['0'].append(['a.png'])), (FILES[2], lambda c: c['0'].append(['a.png', 5])),
])
def test_statistics_that_no_counting_gives(tmp_path, name, change) -> None:
    save_stats(COUNTS, tmp_path)
    assert load_stats(tmp_path).totals == {0: 5, 2: 8}
    content = json.loads((tmp_path / name).read_text())
    change(content)
    (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(DataError, match='sample_class_stats.json.*delete them, they are counted again'):
        load_stats(tmp_path)


def test_statistics_nested_without_end(tmp_path) -> None:
    save_stats(COUNTS, tmp_path)
    (tmp_path / FILES[0]).write_text('[' * 10**5)
    with pytest.raises(DataError, match='delete them'):
        load_stats(tmp_path)
