"""Several sources and one target; and the walk over data sections, which finds them."""
from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmseg.apis import load_config
from mmseg.datasets import MultiSource, build_dataset, build_train_loader
from mmseg.datasets.pipelines.loading import LoadImageFromFile
from mmseg.datasets.sample_cache import write_cache
from mmseg.datasets.sections import walk
from mmseg.doctor.places import places
from mmseg.errors import DataError
from mmseg.evaluation import class_subsets
from tests.datasets import scenes
from tests.datasets.test_uda_dataset import RCS, equal
from tests.engine import tiny

ROOT = Path(__file__).parents[2]
CLASSES = ['rider', 'road']  # of the second source, whose files hold the ids 0 and 1


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """A game of its own classes, two images."""
    root = scenes.write_game(tmp_path / 'second', 2)
    for i in range(2):
        scenes.write_label(root / 'labels' / f'{i:05d}_labelTrainIds.png', 50 + i, ids=(0, 1, 255))
    return root


def second_cfg(root: Path, **changes: Any) -> dict[str, Any]:
    return scenes.game_cfg(root, **dict(dict(type='CustomDataset', img_suffix='.png', classes=CLASSES,
                                             seg_map_suffix='_labelTrainIds.png'), **changes))


@pytest.fixture
def cfg(game: Path, second: Path, city: Path) -> dict[str, Any]:
    """Four images of a game with the target's classes, two of another with two classes, three of the target."""
    return dict(type='MultiSource', sources=[scenes.game_cfg(game), second_cfg(second)], target=scenes.city_cfg(city))


def drawn(cfg: dict[str, Any], count: int = 300) -> Counter[str]:
    """How often which source is drawn."""
    dataset = build_dataset(cfg)
    samples = (dataset.sample(i, np.random.RandomState(i), seed=1) for i in range(count))
    return Counter(Path(sample['img_metas']['filename']).parents[1].name for sample in samples)


@pytest.mark.parametrize('weights, share', [(None, 2 / 3), ([1, 1], 1 / 2), ([0.1, 0.9], 1 / 10)])
@pytest.mark.parametrize('rcs', [None, RCS])
def test_sources_are_drawn_by_their_weights(cfg, weights, share, rcs) -> None:
    counts = drawn(dict(cfg, weights=weights, rare_class_sampling=rcs))
    assert counts.total() == 300 and abs(counts['game'] / 300 - share) < 0.07


@pytest.mark.parametrize('weights', [[1], [1, 1, 1], [1, 0], [1, -1], [1, float('nan')], [1, float('inf')], 'ab'])
def test_weights_that_are_none(cfg, weights) -> None:
    with pytest.raises(DataError, match='2 numbers above 0, one for each source'):
        build_dataset(dict(cfg, weights=weights))


@pytest.mark.parametrize('rcs', [None, RCS])
def test_a_single_source_is_that_of_a_pair(game, city, rcs) -> None:
    pairs = build_dataset(scenes.uda_cfg(game, city, rare_class_sampling=rcs))
    single = build_dataset(dict(type='MultiSource', sources=[scenes.game_cfg(game)], target=scenes.city_cfg(city),
                                rare_class_sampling=rcs))
    assert len(single) == len(pairs)
    for i in range(8):
        assert equal(single.sample(i, np.random.RandomState(i), 3), pairs.sample(i, np.random.RandomState(i), 3))
        assert equal(single.get(i, np.random.RandomState(i)), pairs.get(i, np.random.RandomState(i)))


def test_classes_are_matched_by_name(cfg, city) -> None:
    """A source with its own list, one with a choice of a published list, and a published one without choice."""
    chosen = dict(cfg['sources'][0], classes=['rider', 'sky', 'road'])
    dataset = build_dataset(dict(cfg, sources=[cfg['sources'][1], chosen, cfg['sources'][0]]))
    target = build_dataset(cfg['target'])
    assert (dataset.CLASSES, dataset.PALETTE) == (target.CLASSES, target.PALETTE)
    own, few, whole = dataset.sources
    plain = build_dataset(cfg['sources'][1]).label(0)
    table = np.full(256, 255)
    table[:2] = target.CLASSES.index('rider'), target.CLASSES.index('road')
    assert np.array_equal(own.label(0), table[plain]) and set(np.unique(plain)) == {0, 1, 255}
    label = whole.label(0)
    assert np.array_equal(few.label(0), np.where(np.isin(label, [0, 12]), label, 255)) and 2 in label
    rng = np.random.RandomState(0)
    assert set(dataset.get(0, rng)['gt_semantic_seg'].unique().tolist()) <= {0, 12, 255}


def test_building_leaves_what_it_is_given_alone(cfg) -> None:
    source, target = build_dataset(cfg['sources'][1]), build_dataset(cfg['target'])
    before = source.label(0)
    MultiSource([source], target)
    assert source.CLASSES == tuple(CLASSES) and np.array_equal(source.label(0), before)


@pytest.mark.parametrize('changes, message', [
    (dict(classes=['rider', 'kerb']), r"sources.1 has \['kerb'\], the target \['road', .*; name those of the source"),
    (dict(classes=None), 'sources.1 has no names'),
    (dict(img_dir=['images'] * 2, ann_dir=['labels'] * 2), 'a ConcatDataset cannot be matched .* its parts'),
])
def test_classes_that_cannot_be_matched_are_refused(cfg, second, changes, message) -> None:
    with pytest.raises(DataError, match=message):
        build_dataset(dict(cfg, sources=[cfg['sources'][0], second_cfg(second, **changes)]))


@pytest.mark.parametrize('sources', [None, [], dict(type='GTADataset')])
def test_sources_are_a_list(cfg, sources) -> None:
    with pytest.raises(DataError, match=r'MultiSource needs sources=\[dict\(type=..., ...\), ...\]'):
        build_dataset(dict(cfg, sources=sources))


def test_each_source_has_statistics_of_its_own(cfg) -> None:
    dataset = build_dataset(dict(cfg, rare_class_sampling=RCS))
    first, second = (pair.sampler for pair in dataset.pairs.datasets)
    assert set(second.classes) == {0, 12} and set(first.classes) > {0, 12}


def test_rare_classes_of_another_list_are_drawn_as_if_the_files_held_those_of_the_target(cfg, second, tmp_path) -> None:
    game = shutil.copytree(second, tmp_path / 'same')
    for i in range(2):
        scenes.write_label(game / 'labels' / f'{i:05d}_labelTrainIds.png', 50 + i, ids=(12, 0, 255))
    pairs = build_dataset(scenes.uda_cfg(game, Path(cfg['target']['data_root']), rare_class_sampling=RCS))
    mapped = build_dataset(dict(cfg, sources=cfg['sources'][1:], rare_class_sampling=RCS))
    for seed in range(10):
        assert equal(mapped.get(0, np.random.RandomState(seed)), pairs.get(0, np.random.RandomState(seed)))


def test_workers_and_resuming_change_nothing(cfg) -> None:
    dataset = build_dataset(dict(cfg, rare_class_sampling=RCS))
    whole = list(build_train_loader(dataset, 2, 0, seed=5, stop=6))
    assert len({Path(meta['filename']).parents[1] for batch in whole for meta in batch['img_metas']}) == 2
    resumed = list(build_train_loader(dataset, 2, 2, seed=5, start=2, stop=6))
    for before, after in zip(whole[2:], resumed, strict=True):
        assert all(torch.equal(before[key], after[key]) for key in ('img', 'gt_semantic_seg', 'target_img'))


def test_caches_of_all_parts_and_a_last_crop(cfg, tmp_path, monkeypatch) -> None:
    cfg = dict(cfg, sync_crop_size=(16, 24))
    plain = build_dataset(cfg)
    assert [name for name, _ in plain.leaves()] == ['sources/0', 'sources/1', 'target']
    for name, part in plain.leaves():
        write_cache(part, tmp_path / 'cache' / name, 1)
    expected = {i: plain.get(i, np.random.RandomState(i)) for i in (0, len(plain) - 1)}
    cached = build_dataset(dict(cfg, cache=str(tmp_path / 'cache')))
    monkeypatch.setattr(LoadImageFromFile, '__call__', None)  # nothing is decoded
    for i in expected:
        sample = cached.get(i, np.random.RandomState(i))
        assert equal(sample, expected[i])
        assert sample['img'].shape == sample['target_img'].shape == (3, 16, 24)
    with pytest.raises(DataError, match='there is no cache in'):
        build_dataset(dict(cfg, cache=str(tmp_path)))


# the walk


def test_the_doctor_finds_all_parts(cfg) -> None:
    cfg = dict(cfg, rare_class_sampling=RCS)
    found = {place.key: place for place in places(dict(train=cfg, val=cfg['target']))}
    assert list(found) == ['data.train.sources.0', 'data.train.sources.1', 'data.train.target', 'data.val']
    assert [place.sampling for place in found.values()] == [RCS, RCS, None, None]
    assert [place.labelled for place in found.values()] == [True, True, False, True]
    assert [place.own_classes for place in found.values()] == [True, True, False, False]


def test_the_walk_goes_through_wrappers_and_lists() -> None:
    leaf = dict(type='SynthiaDataset', img_dir=['a', 'b'])
    inner = dict(type='UDADataset', source=[leaf, leaf], target=dict(type='ConcatDataset', datasets=[leaf]),
                 rare_class_sampling=RCS)
    found = list(walk([dict(type='RepeatDataset', times=2, dataset=inner)], 'data.train'))
    start = 'data.train.0.dataset'
    assert [place.key for place in found] == [
        'data.train.0', start, f'{start}.source.0', f'{start}.source.1', f'{start}.target',
        f'{start}.target.datasets.0']
    assert [place.key for place in found if place.sampling] == [f'{start}.source.0', f'{start}.source.1']
    assert [place.labelled for place in found] == [True] * 4 + [False] * 2
    assert not list(walk(None, 'data.val'))


def test_synthia_among_the_sources_is_scored_over_its_classes(cfg) -> None:
    synthia = dict(cfg['sources'][0], type='SynthiaDataset')
    train = dict(cfg, sources=[cfg['sources'][0], synthia])
    classes = build_dataset(cfg['target']).CLASSES
    assert set(class_subsets(dict(data=dict(train=train)), classes)) == {'mIoU16', 'mIoU13'}
    assert not class_subsets(dict(data=dict(train=dict(cfg, target=synthia))), classes)


# the config


def test_the_shipped_config_has_two_games_and_is_otherwise_that_of_daformer() -> None:
    cfg, base = (load_config(ROOT / f'configs/toy/{name}.py').to_dict() for name in ('multi_source', 'daformer'))
    train, pair = cfg['data'].pop('train'), base['data'].pop('train')
    assert train.pop('sources') == [pair['source'], dict(
        pair['source'], data_root='data/toy/second/game/', classes=['person', 'rider', 'car', 'bicycle'])]
    assert train == dict(type='MultiSource', weights=[3, 1], target=pair['target'],
                         rare_class_sampling=pair['rare_class_sampling'])
    assert cfg == base


def test_three_iterations(tmp_path) -> None:
    """The second source has its classes in another order, and one less."""
    images = tiny.write_images(tmp_path / 'images')
    uda = dict(type='DACS', alpha=0.9, pseudo_threshold=0.5)
    pair = tiny.tiny_config(images, tmp_path / 'pair', 3, uda).data.train.to_dict()
    second = dict(pair['source'], classes=('car', 'road'), palette=None)
    for path in (images / 'ann').glob('*.png'):
        scenes.write_label(tmp_path / 'ann' / path.name, 1, (32, 48), ids=(0, 1))
    train = dict(type='MultiSource', sources=[pair['source'], dict(second, ann_dir=str(tmp_path / 'ann'))],
                 target=pair['target'], weights=[1, 3])
    cfg = tiny.tiny_config(images, tmp_path / 'run', 3, uda, data=dict(train=train))
    tiny.train(cfg)
    assert (tmp_path / 'run' / 'latest.pth').exists()
