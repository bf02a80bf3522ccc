"""Cached samples are bit-equal to those that are read, whatever happens to the files of the cache."""
from __future__ import annotations

import errno
import json
import os
import shutil
from collections import Counter

import cv2
import numpy as np
import pytest
import torch

from mmseg.datasets import build_dataset, build_train_loader, sample_cache, sample_file
from mmseg.datasets.archives import open_archive
from mmseg.datasets.files import read_image
from mmseg.datasets.sample_cache import cache_dataset, write_cache
from mmseg.datasets.sample_file import Sample, read_sample, write_sample
from mmseg.errors import DataError
from tests.datasets import layouts, scenes

RCS = dict(min_pixels=100, class_temp=0.5, min_crop_ratio=0.5)
CROP = (32, 48)


def colour_pipeline(**resize):
    """Reads, resizes and changes colours as some configs do; other transforms stand between."""
    pipeline = scenes.train_pipeline(CROP, scale=(80, 40), cat_max_ratio=0.75)
    pipeline[2].update(resize)
    return [*pipeline[:5], dict(type='PhotoMetricDistortion'), *pipeline[5:]]


@pytest.fixture
def cfg(game, city):
    """Images of several sizes; margins of the target are a third array that is resized."""
    scenes.write_image(game / 'images/00002.png', 2, (40, 100))
    scenes.write_label(game / 'labels/00002_labelTrainIds.png', 2, (40, 100))
    return scenes.uda_cfg(game, city, dict(pipeline=colour_pipeline()),
                          dict(pipeline=scenes.train_pipeline(CROP), crop_pseudo_margins=[30, 240, 30, 30]),
                          rare_class_sampling=RCS)


@pytest.fixture
def warned(monkeypatch):
    """All warnings of broken samples; those of the program come once."""
    texts = []
    monkeypatch.setattr(sample_cache, 'warn_once', texts.append)
    return texts


def assert_equal(one, other) -> None:
    assert one.keys() == other.keys()
    for key in one:
        if torch.is_tensor(one[key]):
            assert torch.equal(one[key], other[key]), key
        elif isinstance(one[key], dict):
            assert_equal(one[key], other[key])
        else:
            np.testing.assert_array_equal(one[key], other[key], key)


@pytest.mark.parametrize('nproc', [1, 2])
def test_samples_are_the_same_and_nothing_is_decoded(cfg, tmp_path, nproc, monkeypatch) -> None:
    plain = build_dataset(cfg)
    cache_dataset(cfg, str(tmp_path / 'cache'), nproc)
    expected = [plain.get(0, np.random.RandomState(seed)) for seed in range(25)]
    loading = 'mmseg.datasets.pipelines.loading.read_image'
    monkeypatch.setattr(loading, lambda *_: pytest.fail('an image was decoded'))
    cached = build_dataset(dict(cfg, cache=str(tmp_path / 'cache')))
    for seed in range(25):
        sample = cached.get(0, np.random.RandomState(seed))
        assert_equal(sample, expected[seed])
        sample['img'] += 1  # what training does with a sample does not reach the cache
        sample['gt_semantic_seg'] += 1
    assert_equal(cached.get(0, np.random.RandomState(0)), expected[0])
    monkeypatch.setattr(loading, read_image)
    batches = [list(build_train_loader(dataset, 2, workers, seed=0, stop=4)) for dataset, workers in
               ((plain, 0), (cached, 2))]
    assert all(torch.equal(a['img'], b['img']) for a, b in zip(*batches, strict=True))


def test_of_the_target_only_images_are_kept(cfg, tmp_path) -> None:
    cache_dataset(cfg, str(tmp_path / 'cache'), 1)
    source, target = (sum(f.stat().st_size for f in (tmp_path / 'cache' / part).rglob('*.arrays')) for part in
                      ('source', 'target'))
    assert abs(source - (3 * 80 * 40 + 80 * 32) * 4) < 2000 and abs(target - 3 * 96 * 48 * 3) < 1000


def test_target_labels_that_are_asked_for_stand_beside_the_cache(cfg, tmp_path) -> None:
    cache_dataset(cfg, str(tmp_path / 'cache'), 1)
    plain, cached = build_dataset(cfg), build_dataset(dict(cfg, cache=str(tmp_path / 'cache')))
    for dataset in (plain, cached):
        dataset.deliver_target_labels()
    for seed in range(5):
        sample, expected = (dataset.get(seed, np.random.RandomState(seed)) for dataset in (cached, plain))
        assert_equal(sample, expected)
        assert len(sample['target_gt_for_meters'].unique()) > 1


def test_lists_of_folders(game, city, tmp_path) -> None:
    scenes.write_city(city, 'val', 2)
    target = dict(img_dir=['leftImg8bit/train', 'leftImg8bit/val'], ann_dir=['gtFine/train', 'gtFine/val'])
    cfg = scenes.uda_cfg(game, city, target=target)
    cache_dataset(cfg, str(tmp_path / 'cache'), 1)
    plain, cached = build_dataset(cfg), build_dataset(dict(cfg, cache=str(tmp_path / 'cache')))
    for idx in range(len(plain)):
        assert_equal(cached.get(idx, np.random.RandomState(idx)), plain.get(idx, np.random.RandomState(idx)))


def test_an_interrupted_run_goes_on(cfg, tmp_path, capsys) -> None:
    cache = tmp_path / 'cache'
    cache_dataset(cfg, str(cache), 1)
    (cache / 'source/000001.arrays').unlink()
    (cache / 'source/000002.arrays').write_bytes(b'')
    manifest = json.loads((cache / 'source/cache.json').read_text())
    (cache / 'source/cache.json').write_text(json.dumps(dict(manifest, complete=False)))
    with pytest.raises(DataError, match='source is incomplete: run python -m tools.cache_dataset again, it goes on'):
        build_dataset(dict(cfg, cache=str(cache)))
    capsys.readouterr()
    cache_dataset(cfg, str(cache), 1)
    output = capsys.readouterr().out
    assert '4 samples' in output and '2 written, 2 were already' in output and '0 written, 3 were already' in output
    build_dataset(dict(cfg, cache=str(cache)))


@pytest.mark.parametrize('resize', [dict(ratio_range=(0.5, 2.0)), dict(img_scale=[(80, 40), (96, 48)])])
def test_random_scales_are_refused(cfg, tmp_path, resize) -> None:
    cfg['source']['pipeline'] = colour_pipeline(**resize)
    for action in (lambda: cache_dataset(cfg, str(tmp_path / 'cache'), 1),
                   lambda: build_dataset(dict(cfg, cache=str(tmp_path / 'cache')))):
        with pytest.raises(DataError, match='draws the scale of its Resize .* cannot be cached'):
            action()
    assert not (tmp_path / 'cache').exists()


def test_a_cache_that_does_not_fit(cfg, game, tmp_path) -> None:
    cache = str(tmp_path / 'cache')
    with pytest.raises(DataError, match='there is no cache in .*source: make one with python -m tools.cache_dataset'):
        build_dataset(dict(cfg, cache=cache))
    cache_dataset(cfg, cache, 1)

    def refused(message: str, classes=None, **source) -> None:
        changed = dict(cfg, source=dict(cfg['source'], classes=classes, **source),
                       target=dict(cfg['target'], classes=classes))
        with pytest.raises(DataError, match=f'the cache .*source was made of other {message}.*make one with'):
            build_dataset(dict(changed, cache=cache))
        with pytest.raises(DataError, match=f'made of other {message}.*delete it, or choose another folder'):
            cache_dataset(changed, cache, 1)

    refused(r'transforms: it has .*\(80, 40\).*the config .*\(90, 45\)', pipeline=colour_pipeline(img_scale=(90, 45)))
    refused('label format', ['road', 'sidewalk', 'building', 'traffic light', 'rider'])
    (game / 'images/00000.png').unlink()
    refused('images: it has 4, the config 3')


@pytest.mark.parametrize('content, message', [
    (b'{', 'cannot be read'), (b'\xff\xfe{', 'cannot be read'), (b'[' * 10**6, 'cannot be read'),
    (b'"' + b'a' * 2**21 + b'"', 'cannot be read'), (b'[]', 'does not describe a cache'),
    (b'{"version": 2, "made_of": []}', 'does not describe a cache'), (b'{"made_of": {}, "complete": true}', 'older'),
    (b'{"version": 2, "made_of": {"images": ' + b'[' * 900 + b']' * 900 + b'}}', 'made of other images: .* no text'),
], ids=['cut off', 'no text', 'nested', 'huge', 'list', 'list inside', 'older', 'value nested'])
def test_damaged_manifest(cfg, tmp_path, content, message) -> None:
    cache = tmp_path / 'cache'
    cache_dataset(cfg, str(cache), 1)
    (cache / 'source/cache.json').write_bytes(content)
    for use in (lambda: build_dataset(dict(cfg, cache=str(cache))), lambda: cache_dataset(cfg, str(cache), 1)):
        with pytest.raises(DataError, match=f'source.* {message}') as caught:
            use()
        assert len(str(caught.value)) < 500
    (cache / 'source/cache.json').unlink()
    cache_dataset(cfg, str(cache), 1)  # goes on with the samples that are there


class Damage:
    """Random damage to a file, like that of disks, transfers and people."""
    KINDS = ('bit', 'byte', 'zeros', 'cut', 'longer', 'turned', 'header', 'empty', 'other', 'missing', 'folder', 'pipe')

    def __init__(self, path, others, rng) -> None:
        self.path, self.others, self.rng = path, others, rng

    def __call__(self, kind) -> None:
        content = bytearray(self.path.read_bytes())
        self.path.unlink()
        if kind == 'folder':
            self.path.mkdir()
        elif kind == 'pipe':
            os.mkfifo(self.path)
        elif kind != 'missing':
            self.path.write_bytes(getattr(self, kind)(content, self.rng.randint(len(content))))

    def bit(self, content, place):
        content[place] ^= 1 << self.rng.randint(8)
        return content

    def byte(self, content, place):
        content[place] ^= self.rng.randint(1, 256)
        return content

    def zeros(self, content, place):
        return content[:place] + bytes(len(content) - place)

    def cut(self, content, place):
        return content[:place]

    def longer(self, content, place):
        return content + content[place:]

    def turned(self, content, place):
        return content[place:] + content[:place]

    def header(self, content, place):
        content[:64] = self.rng.bytes(64)
        return content

    def empty(self, content, place):
        return b''

    def other(self, content, place):
        return self.others[self.rng.randint(len(self.others))].read_bytes()


def test_random_damage(cfg, tmp_path, warned) -> None:
    """Samples stay the same or a message says why there are none; nothing else ever happens."""
    cache_dataset(cfg, str(tmp_path / 'whole'), 1)
    plain, rng, outcomes = build_dataset(cfg).source, np.random.RandomState(0), Counter()
    expected = [plain.get(idx, np.random.RandomState(0)) for idx in range(len(plain))]
    names = ['cache.json', *(f'{idx:06d}.arrays' for idx in range(len(plain)))]
    for case in range(240):
        kind, name = Damage.KINDS[case % len(Damage.KINDS)], names[rng.randint(len(names))]
        folder = shutil.copytree(tmp_path / 'whole/source', tmp_path / f'{case}')
        Damage(folder / name, [folder / other for other in names if other != name], rng)(kind)
        changed = not (folder / name).is_file() or \
            (folder / name).read_bytes() != (tmp_path / 'whole/source' / name).read_bytes()
        warned.clear()
        try:
            plain.use_cache(folder)
        except DataError as error:
            assert name == 'cache.json' and str(folder) in str(error)
            outcomes['named'] += 1
            continue
        for idx, sample in enumerate(expected):
            assert_equal(plain.get(idx, np.random.RandomState(0)), sample)
        assert len(warned) == (changed and name != 'cache.json') and all(str(folder / name) in text for text in warned)
        outcomes['same'] += 1
    assert outcomes['named'] > 20 and outcomes['same'] > 100


def points(path) -> None:
    """Pointers, as numpy writes arrays of objects; they are followed if such a file is mapped."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (3,), }\n"
    path.write_bytes(b'\x93NUMPY\x01\x00' + len(header).to_bytes(2, 'little') + header + b'A' * 24)


def claims(length: int, *sizes: int):
    """A header with these sizes in a file with a hole, which takes no space."""
    def write(path) -> None:
        path.write_bytes(bytes(4) + sample_file._HEADER.pack(0, 0, 4, 4, 3, *sizes, 0))
        os.truncate(path, length)
    return write


def checked(original=(4, 6, 3), size=(4, 6), dtype=np.uint8, label=None):
    """A file whose checksum is right, and what is below it is not."""
    sample = Sample(0, 0, original, np.zeros((*size, 3), dtype), label)
    return lambda path: write_sample(path, sample, [np.dtype(dtype)], seed=1)


@pytest.mark.parametrize('write', [
    points, claims(64 + 3 * 2**40, 2**20, 2**20, 3), claims(64, *[2**32 - 1] * 3), claims(64, 2**16, 0, 0),
    checked(original=(0, 6, 3)), checked(size=(4, 0)),
    checked(dtype=np.float32), checked(label=np.zeros((4, 6), np.uint8)), checked(label=np.zeros((9, 9), np.uint8))
], ids=['pointers', 'huge', 'largest', 'empty', 'was empty', 'is empty', 'other type', 'label', 'other label'])
def test_what_no_header_may_say(tmp_path, write) -> None:
    write(tmp_path / 'a.arrays')
    with pytest.raises(DataError, match='a.arrays is damaged'):
        read_sample(tmp_path / 'a.arrays', [np.dtype(np.uint8)], labelled=False, seed=1)


@pytest.fixture
def packed(request, cfg, game, tmp_path, monkeypatch):
    """Makes the source's files those of a zip archive, if asked to; to be called after each change."""
    def pack() -> None:
        if request.param:
            open_archive.cache_clear()
            for part in ('images', 'labels'):
                (tmp_path / f'{part}.zip').unlink(missing_ok=True)
                layouts.zip_folder(game, part, tmp_path / f'{part}.zip')
            cfg['source']['data_root'] = str(tmp_path / '*.zip')
    return pack


def write_bmp(path, content: np.ndarray) -> None:
    path.write_bytes(cv2.imencode('.bmp', content)[1].tobytes())


@pytest.mark.parametrize('packed', [False, True], indirect=True, ids=['folder', 'zip'])
@pytest.mark.parametrize('part', ['images/00001.png', 'labels/00001_labelTrainIds.png'])
def test_a_file_replaced_by_one_of_its_size_and_time(cfg, game, tmp_path, packed, part, warned, capsys) -> None:
    path, cache = game / part, str(tmp_path / 'cache')
    content = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    write_bmp(path, content)
    packed()
    cache_dataset(cfg, cache, 1)
    before = path.stat()
    write_bmp(path, content[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    packed()
    plain, cached = (build_dataset(dict(cfg, **changes)).source for changes in ({}, dict(cache=cache)))
    for idx in range(len(plain)):
        assert_equal(*(dataset.get(idx, np.random.RandomState(0)) for dataset in (plain, cached)))
    assert len(warned) == 1 and '000001.arrays is older than' in warned[0]
    capsys.readouterr()
    cache_dataset(cfg, cache, 1)
    assert '1 written, 3 were already' in capsys.readouterr().out
    assert_equal(*(dataset.get(1, np.random.RandomState(0)) for dataset in (plain, cached)))
    assert len(warned) == 1


@pytest.mark.parametrize('packed', [False, True], indirect=True, ids=['copied', 'zipped'])
def test_a_data_set_elsewhere(cfg, game, tmp_path, packed, monkeypatch, warned) -> None:
    """Other times and places of equal files do not matter."""
    cache = str(tmp_path / 'cache')
    cache_dataset(cfg, cache, 1)
    cfg['source']['data_root'] = str(shutil.copytree(game, tmp_path / 'copy', copy_function=shutil.copyfile))
    packed()
    expected = build_dataset(cfg).source.get(1, np.random.RandomState(0))
    monkeypatch.setattr('mmseg.datasets.pipelines.loading.read_image', lambda *_: pytest.fail('an image was decoded'))
    assert_equal(build_dataset(dict(cfg, cache=cache)).source.get(1, np.random.RandomState(0)), expected)
    assert not warned


def test_missing_originals(cfg, game, tmp_path, warned) -> None:
    cache_dataset(cfg, str(tmp_path / 'cache'), 1)
    dataset = build_dataset(dict(cfg, cache=str(tmp_path / 'cache'))).source
    (game / 'labels/00001_labelTrainIds.png').unlink()
    with pytest.raises(DataError, match='label map .*00001_labelTrainIds.png does not exist'):
        dataset.prepare(1)
    assert not warned


def test_samples_of_other_settings(cfg, tmp_path, capsys) -> None:
    """They are told without the manifest."""
    cache_dataset(cfg, str(tmp_path / 'cache'), 1)
    (tmp_path / 'cache/source/cache.json').unlink()
    cfg['source']['pipeline'] = colour_pipeline(img_scale=(80, 32))
    capsys.readouterr()
    cache_dataset(cfg, str(tmp_path / 'cache'), 1)
    assert '4 written, 0 were already' in capsys.readouterr().out


@pytest.mark.parametrize('loading', [dict(to_float32=True), dict(color_type='grayscale'), dict(color_type='unchanged')])
@pytest.mark.parametrize('resize', [True, False])
def test_other_kinds_of_images(game, tmp_path, loading, resize, warned) -> None:
    image = np.random.RandomState(0).randint(0, 2**16, (*scenes.SIZE, 3)).astype(np.uint16)
    cv2.imwrite(str(game / 'images/00001.png'), image)
    pipeline = [dict(type='LoadImageFromFile', **loading), dict(type='LoadAnnotations'),
                *([dict(type='Resize', img_scale=(80, 40), keep_ratio=False)] if resize else []),
                dict(type='Collect', keys=['img', 'gt_semantic_seg'])]
    dataset = build_dataset(scenes.game_cfg(game, pipeline=pipeline))
    expected = [dataset.prepare(idx) for idx in range(2)]
    write_cache(dataset, tmp_path / 'cache', 1)
    dataset.use_cache(tmp_path / 'cache')
    for idx, sample in enumerate(expected):
        assert_equal(dataset.prepare(idx), sample)
        assert dataset.prepare(idx)['img'].dtype == sample['img'].dtype
    assert not warned


def test_types_that_opencv_does_not_resize(tmp_path) -> None:
    with pytest.raises(DataError, match='an image of int32 cannot be cached, only of uint8'):
        write_sample(tmp_path / 'a', Sample(0, 0, (4, 6), np.zeros((4, 6), np.int32), None), [np.dtype(np.uint8)], 0)


def test_a_full_disk(cfg, tmp_path, monkeypatch, capsys) -> None:
    cache, written = tmp_path / 'cache', []

    def fill(*args) -> None:
        if len(written) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(args[0])
        write_sample(*args)

    monkeypatch.setattr(shutil, 'disk_usage', lambda _: shutil._ntuple_diskusage(10, 5, 5))
    with pytest.raises(DataError, match='source needs about 0.0 GiB more, the disk has 0.0: choose another folder'):
        cache_dataset(cfg, str(cache), 1)
    monkeypatch.undo()
    monkeypatch.setattr(sample_cache, 'write_sample', fill)
    with pytest.raises(DataError, match=r'source cannot be written .*No space left on device.*: make room .* goes on'):
        cache_dataset(cfg, str(cache), 1)
    monkeypatch.undo()
    with pytest.raises(DataError, match='is incomplete'):
        build_dataset(dict(cfg, cache=str(cache)))
    capsys.readouterr()
    cache_dataset(cfg, str(cache), 1)
    assert '2 written, 2 were already' in capsys.readouterr().out
