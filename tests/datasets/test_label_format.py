"""One reading of label files everywhere: what training sees, statistics count and evaluation compares is the same."""
from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmseg.datasets import build_dataset
from mmseg.datasets.class_stats import obtain_stats
from mmseg.datasets.label_format import LabelFormat, Meaning, published_ids
from mmseg.datasets.sample_cache import write_cache
from mmseg.errors import DataError
from tests.datasets import scenes

CLASSES = ('bg', 'disc', 'box')
COLOURS = [[70, 70, 70], [220, 20, 60], [0, 128, 255]]
SIZE = (6, 8)
PLAIN = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='DefaultFormatBundle'),
         dict(type='Collect', keys=['img', 'gt_semantic_seg'])]
FILES = {  # how an array of ids is written; which ids that file type can hold
    'png': (lambda ids, path: Image.fromarray(ids.astype(np.uint8)).save(path), 256),
    'palette png': (lambda ids, path: with_palette(ids).save(path), 256),
    'grey and alpha png': (lambda ids, path: Image.merge('LA', [Image.fromarray(ids.astype(np.uint8))] * 2).save(path),
                           256),
    '16 bit png': (lambda ids, path: cv2.imwrite(path, ids.astype(np.uint16)), 2**16),
    '1 bit png': (lambda ids, path: Image.fromarray(ids > 0).save(path), 2),
    'bmp': (lambda ids, path: Image.fromarray(ids.astype(np.uint8)).save(path, 'BMP'), 256),
    'gif': (lambda ids, path: with_palette(ids).save(path, 'GIF', optimize=False), 256),
    'tif': (lambda ids, path: Image.fromarray(ids.astype(np.uint8)).save(path, 'TIFF'), 256),
    '32 bit tif': (lambda ids, path: Image.fromarray(ids.astype(np.int32)).save(path, 'TIFF'), 2**16),
    'big-endian tif': (lambda ids, path: Image.fromarray(ids.astype('>u2')).save(path, 'TIFF'), 2**16),
    'float tif': (lambda ids, path: Image.fromarray(ids.astype(np.float32)).save(path, 'TIFF'), 2**16),
}


def with_palette(ids: np.ndarray) -> Image.Image:
    image = Image.fromarray(ids.astype(np.uint8))
    image.putpalette(np.random.RandomState(0).randint(0, 256, 768).tolist())
    return image


def reference(ids: np.ndarray, label_map: dict[int, int] | None, reduce: bool, void: int) -> np.ndarray:
    """What the settings say in words."""
    if label_map is not None:
        return np.vectorize({255: 255, void: 255, **label_map}.get)(ids)
    index = np.where(ids == 0, 255, ids - 1) if reduce else ids
    return np.where((ids == 255) | (index == void), 255, index)


def own_data(root: Path, **changes: Any) -> dict[str, Any]:
    return dict(type='FolderDataset', data_root=str(root), img_dir='images', ann_dir='masks', classes=CLASSES,
                pipeline=PLAIN, **changes)


def write(root: Path, name: str, writer: Any) -> None:
    """A data set of one image with the mask that ``writer`` makes."""
    shutil.rmtree(root, ignore_errors=True)
    scenes.write_image(root / 'images/a.png', 0, SIZE)
    (root / 'masks').mkdir()
    writer(str(root / 'masks' / name))


def check_everywhere(root: Path, expected: np.ndarray, **changes: Any) -> None:
    """Training, evaluation, statistics and cache read ``expected``."""
    dataset = build_dataset(own_data(root, **changes))
    np.testing.assert_array_equal(dataset.label(0), expected)
    np.testing.assert_array_equal(dataset[0]['gt_semantic_seg'][0], expected)
    stats = obtain_stats(dataset.stats_folder, [dataset.label_path(0)], lambda idx: dataset.label(idx))
    assert stats.totals == {int(c): int((expected == c).sum()) for c in np.unique(expected) if c != 255}
    write_cache(dataset, root / 'cache', 1)
    dataset.use_cache(root / 'cache')
    np.testing.assert_array_equal(dataset[0]['gt_semantic_seg'][0], expected)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_ids_mean_the_same_everywhere(tmp_path_factory, data) -> None:
    root = tmp_path_factory.getbasetemp() / 'ids'
    kind = data.draw(st.sampled_from(sorted(FILES)), 'file type')
    writer, limit = FILES[kind]
    mapped = data.draw(st.booleans(), 'label_map')
    reduce = not mapped and data.draw(st.booleans(), 'reduce_zero_label')
    void = data.draw(st.sampled_from([255, 3, 7]), 'ignore_index')
    meanings = st.dictionaries(st.integers(0, limit - 1).filter(lambda i: i not in (7, 3)),
                               st.sampled_from([0, 1, 2, None]), min_size=1)
    label_map = data.draw(meanings, 'meanings') if mapped else None
    known = sorted(label_map) if mapped else list(range(len(CLASSES) + reduce)) + [255, void + reduce]
    values = [i for i in known if i < limit]
    ids = np.array(data.draw(st.lists(st.sampled_from(values), min_size=48, max_size=48), 'ids')).reshape(SIZE)
    write(root, 'a.png' if 'png' in kind else f'a.{kind.split()[-1]}', lambda path: writer(ids, path))
    codes = label_map and {i: 255 if c is None else c for i, c in label_map.items()}
    check_everywhere(root, reference(ids, codes, reduce, void), label_map=label_map, reduce_zero_label=reduce,
                     ignore_index=void)


@settings(max_examples=20, deadline=None)
@given(index=st.lists(st.integers(0, 3), min_size=48, max_size=48), mapped=st.booleans(), palette=st.booleans())
def test_colours_mean_the_same_everywhere(tmp_path_factory, index, mapped, palette) -> None:
    """With label_map of colours also in files with a palette; the fourth colour is left out."""
    root = tmp_path_factory.getbasetemp() / 'colours'
    index = np.array(index).reshape(SIZE)
    index = index if mapped else index % 3
    image = Image.fromarray(np.array([*COLOURS, [9, 9, 9]], np.uint8)[index])
    image = image.quantize(16) if palette and mapped else image
    write(root, 'a.png', image.save)
    label_map = dict(zip(('#464646', '#dc143c', '#0080ff', '#090909'), (*CLASSES, None)))
    check_everywhere(root, np.where(index == 3, 255, index), palette=COLOURS, label_map=label_map if mapped else None)


@pytest.mark.parametrize('kind', sorted(FILES))
@pytest.mark.parametrize('changes', [{}, dict(reduce_zero_label=True), dict(ignore_index=9), dict(label_map={0: 'bg'})])
def test_an_id_that_means_nothing_is_never_a_class(tmp_path, kind, changes) -> None:
    writer, limit = FILES[kind]
    wrong = [i for i in (1, 4, 77, 254, 300, 65535) if i < limit and (i > 3 or 'label_map' in changes)]
    for i in wrong:
        ids = np.zeros(SIZE, int)
        ids[2, 3] = i
        name = 'a.png' if 'png' in kind else f'a.{kind.split()[-1]}'
        write(tmp_path / 'own', name, partial(writer, ids))
        with pytest.raises(DataError, match=rf'label map .*/a\.\w+ holds the ids \[?{i}'):
            build_dataset(own_data(tmp_path / 'own', **changes)).label(0)


@pytest.mark.parametrize('values, named', [((0, .5, 1), '0.5'), ((0, float('nan'), 1), 'nan'),
                                           ((0, float('inf'), 1), 'inf')])
def test_floats_that_are_no_ids_are_refused(tmp_path, values, named) -> None:
    mask = np.resize(np.array(values, np.float32), SIZE)
    write(tmp_path / 'own', 'a.tif', Image.fromarray(mask).save)
    with pytest.raises(DataError, match=f'masks/a.tif holds {named}, which are no ids: write whole numbers'):
        build_dataset(own_data(tmp_path / 'own')).label(0)


def test_values_that_do_not_fit_are_refused_or_named_as_void(tmp_path) -> None:
    mask = np.zeros(SIZE, np.int32)
    for value in (-1, 2**16, 2**20 + 1):
        mask[0, 0] = value
        write(tmp_path / 'own', 'a.tif', Image.fromarray(mask).save)
        with pytest.raises(DataError, match=f'holds values from .*{max(value, 0)}.*ids are 0 to 65535.*ignore_index'):
            build_dataset(own_data(tmp_path / 'own')).label(0)
    mask[0, 0] = -1
    write(tmp_path / 'own', 'a.tif', Image.fromarray(mask).save)
    expected = np.zeros(SIZE, np.uint8)
    expected[0, 0] = 255
    check_everywhere(tmp_path / 'own', expected, ignore_index=-1)


def test_white_of_one_bit_is_explained(tmp_path) -> None:
    write(tmp_path / 'own', 'a.png', Image.fromarray(np.ones(SIZE, bool)).save)
    with pytest.raises(DataError, match='the ids 1, which are no class.*white is 1 in a file of 1 bit'):
        build_dataset(own_data(tmp_path / 'own', label_map={0: 'bg', 255: 'disc'})).label(0)


@pytest.mark.parametrize('changes, message', [
    (dict(label_map={0: 0}, reduce_zero_label=True), 'label_map and reduce_zero_label=True both'),
    (dict(label_map={0: 0, 3: 1}, ignore_index=3), 'label_map makes the id 3 a class, ignore_index=3 leaves it out'),
    (dict(ignore_index='3'), "ignore_index='3'"),
    (dict(ignore_index=2.5), 'ignore_index=2.5'),
])
def test_settings_that_contradict_each_other(tmp_path, changes, message) -> None:
    write(tmp_path / 'own', 'a.png', Image.fromarray(np.zeros(SIZE, np.uint8)).save)
    with pytest.raises(DataError, match=message):
        build_dataset(own_data(tmp_path / 'own', **changes))


@pytest.mark.parametrize('step, message', [
    (dict(type='LoadAnnotations', reduce_zero_label=True), 'reduce_zero_label=True, the data set FolderDataset reduce'),
    (dict(type='RandomCrop', crop_size=(4, 4), ignore_index=4), 'names ignore_index=4, the data set .* ignore_index=3'),
    (dict(type='Pad', size=SIZE, seg_pad_val=4), 'Pad names seg_pad_val=4, the data set FolderDataset ignore_index=3'),
])
def test_a_pipeline_names_what_its_data_set_names(tmp_path, step, message) -> None:
    write(tmp_path / 'own', 'a.png', Image.fromarray(np.zeros(SIZE, np.uint8)).save)
    with pytest.raises(DataError, match=message):
        build_dataset(own_data(tmp_path / 'own', ignore_index=3) | dict(pipeline=[PLAIN[0], step]))


def test_the_data_sets_own_void_is_void_in_its_pipeline(tmp_path) -> None:
    """seg_pad_val and ignore_index may be what the files call void; after reading both are 255."""
    ids = np.array([[0, 1, 2, 3]] * 4)
    write(tmp_path / 'own', 'a.png', Image.fromarray(ids.astype(np.uint8)).save)
    scenes.write_image(tmp_path / 'own/images/a.png', 0, ids.shape)
    steps = [*PLAIN[:2], dict(type='RandomCrop', crop_size=(4, 4), cat_max_ratio=0.5, ignore_index=3),
             dict(type='Pad', size=(4, 6), seg_pad_val=3), *PLAIN[2:]]
    dataset = build_dataset(own_data(tmp_path / 'own', ignore_index=3) | dict(pipeline=steps))
    assert dataset[0]['gt_semantic_seg'][0, 0].tolist() == [0, 1, 2, 255, 255, 255]


def test_keys_tell_formats_apart() -> None:
    """Formats that read files alike share statistics and cache, others never do."""
    formats = [LabelFormat(3), LabelFormat(3, ignore_index=3), LabelFormat(3, reduce_zero_label=True),
               LabelFormat(3, ignore_index=0), LabelFormat(3, label_map=Meaning({0: 1})),
               LabelFormat(3, label_map=Meaning({0: 1}, other=2)), LabelFormat(3, colours=Meaning({0: 1})),
               LabelFormat(3, colours=Meaning({0: 1}), by_colour=True), LabelFormat(3, colours=Meaning({0: 2}))]
    assert len({each.key for each in formats}) == len(formats)
    assert LabelFormat(3).key == LabelFormat(3, chosen=np.arange(256, dtype=np.uint8)).key
    assert LabelFormat(3).full_key != LabelFormat(3, chosen=np.zeros(256, np.uint8)).full_key


def test_published_ids() -> None:
    meaning = published_ids({7: 0, 8: 1}, 35)
    read = LabelFormat(label_map=meaning).read(np.array([[7, 8, 0, 34, 255]], np.uint8), 'x.png')
    assert read.tolist() == [[0, 1, 255, 255, 255]]
    with pytest.raises(DataError, match='x.png holds the ids 35, .*the data set has 0 to 34'):
        LabelFormat(label_map=meaning).read(np.array([[35]], np.uint8), 'x.png')
