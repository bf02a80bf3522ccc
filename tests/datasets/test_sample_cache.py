"""Cached samples are bit-equal to those that are read; a cache that does not fit is refused."""
from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
import torch

from mmseg.datasets import DataError, build_dataset, build_train_loader
from mmseg.datasets.files import read_image
from tests.datasets import scenes
from tools.cache_dataset import cache_dataset

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
    (cache / 'source/00001.png.arrays').unlink()
    manifest = json.loads((cache / 'source/cache.json').read_text())
    (cache / 'source/cache.json').write_text(json.dumps(dict(manifest, complete=False)))
    with pytest.raises(DataError, match='cache .*source is incomplete: run tools/cache_dataset.py again, it goes on'):
        build_dataset(dict(cfg, cache=str(cache)))
    capsys.readouterr()
    cache_dataset(cfg, str(cache), 1)
    output = capsys.readouterr().out
    assert '4 samples' in output and '1 written, 3 were already' in output and '0 written, 3 were already' in output
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
    with pytest.raises(DataError, match='there is no cache in .*source: make one with tools/cache_dataset.py'):
        build_dataset(dict(cfg, cache=cache))
    cache_dataset(cfg, cache, 1)

    def refused(message: str, classes=None, **source) -> None:
        changed = dict(cfg, source=dict(cfg['source'], classes=classes, **source),
                       target=dict(cfg['target'], classes=classes))
        with pytest.raises(DataError, match=f'the cache .*source was made of other {message}.*make one with'):
            build_dataset(dict(changed, cache=cache))
        with pytest.raises(DataError, match=f'made of other {message}.*delete it, or choose another folder'):
            cache_dataset(changed, cache, 1)

    refused(r'transforms: it has .*\[80, 40\].*the config .*\[90, 45\]', pipeline=colour_pipeline(img_scale=(90, 45)))
    refused('label format', ['road', 'sidewalk', 'building', 'traffic light', 'rider'])
    label = game / 'labels/00000_labelTrainIds.png'
    content = label.read_bytes()
    label.write_bytes(content + b'\0')
    refused('label files')
    label.write_bytes(content)
    build_dataset(dict(cfg, cache=cache))
    (game / 'images/00000.png').unlink()
    refused('images: it has 4, the config 3')


def test_damaged_and_full(cfg, tmp_path, monkeypatch) -> None:
    cache = tmp_path / 'cache'
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: shutil._ntuple_diskusage(10, 5, 5))
    with pytest.raises(DataError, match='source needs about 0.0 GiB more, the disk has 0.0: choose another folder'):
        cache_dataset(cfg, str(cache), 1)
    monkeypatch.undo()
    cache_dataset(cfg, str(cache), 1)
    for path in (cache / 'source').rglob('*.arrays'):
        path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match='the cached sample .*arrays cannot be read'):
        build_dataset(dict(cfg, cache=str(cache))).source.prepare(0)
    (cache / 'source/cache.json').write_text('{')
    with pytest.raises(DataError, match='cache.json cannot be read'):
        build_dataset(dict(cfg, cache=str(cache)))


def test_jpeg_that_is_turned(tmp_path, city) -> None:
    """OpenCV turns photographs as their EXIF data say; the cache keeps that."""
    from PIL import Image
    (tmp_path / 'images').mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((48, 96, 3), np.uint8)).save(tmp_path / 'images/a.jpg', exif=exif)
    assert cv2.imread(str(tmp_path / 'images/a.jpg')).shape == (96, 48, 3)
    own = scenes.city_cfg(tmp_path, img_dir='images', img_suffix='.jpg', ann_dir=None,
                          pipeline=scenes.train_pipeline(labels=False))
    cfg = dict(type='UDADataset', source=own, target=own)
    cache_dataset(cfg, str(tmp_path / 'cache'), 1)
    samples = [build_dataset(dict(cfg, **changes)).source.get(0, np.random.RandomState(0))
               for changes in ({}, dict(cache=str(tmp_path / 'cache')))]
    assert samples[0]['img_metas']['ori_shape'] == (96, 48, 3)
    assert_equal(*samples)
