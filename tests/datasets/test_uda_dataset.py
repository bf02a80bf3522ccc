"""Pairs of source and target: what is read, what is drawn, what comes out."""
from __future__ import annotations

import shutil
from collections import Counter

import cv2
import numpy as np
import pytest
import torch

from mmseg.datasets import build_dataset
from mmseg.errors import DataError
from tests.datasets import scenes

RCS = dict(min_pixels=300, class_temp=0.5, min_crop_ratio=0.5)


def names(sample) -> tuple[str, str]:
    return sample['img_metas']['ori_filename'], sample['target_img_metas']['ori_filename']


def equal(a, b) -> bool:
    tensors = [key for key in a if torch.is_tensor(a[key])]
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in tensors) and names(a) == names(b)


def test_pairs_by_index(game, city) -> None:
    dataset = build_dataset(scenes.uda_cfg(game, city))
    assert len(dataset) == 4 * 3
    for idx in (0, 2, 3, 11):
        source, target = names(dataset[idx])
        assert source == f'{idx // 3:05d}.png' and target == f'ulm/ulm_{idx % 3:06d}_000019_leftImg8bit.png'
    sample = dataset[0]
    assert set(sample) == {'img', 'gt_semantic_seg', 'img_metas', 'target_img', 'target_img_metas'}
    assert sample['target_img'].shape == (3, 32, 32)


def test_in_training_both_domains_go_through_epochs_of_their_own(game, city) -> None:
    dataset = build_dataset(scenes.uda_cfg(game, city))
    drawn = [names(dataset.sample(position, np.random.RandomState(0), seed=3)) for position in range(12)]
    assert set(Counter(source for source, _ in drawn).values()) == {3}
    assert set(Counter(target for _, target in drawn).values()) == {4}
    for start in range(0, 12, 3):
        assert len({target for _, target in drawn[start:start + 3]}) == 3


def test_target_labels_are_not_read(game, city) -> None:
    dataset = build_dataset(scenes.uda_cfg(game, city))
    before = dataset.get(4, np.random.RandomState(0))
    shutil.rmtree(city / 'gtFine')
    assert equal(before, build_dataset(scenes.uda_cfg(game, city)).get(4, np.random.RandomState(0)))


def test_target_labels_are_read_where_they_steer_the_crop(game, city) -> None:
    cfg = scenes.uda_cfg(game, city, target=dict(pipeline=scenes.train_pipeline(cat_max_ratio=0.75)))
    sample = build_dataset(cfg)[0]
    assert sample['gt_semantic_seg'].shape == (1, 32, 32)
    shutil.rmtree(city / 'gtFine')
    with pytest.raises(DataError, match='gtFine_labelTrainIds.png does not exist'):
        build_dataset(cfg)[0]


@pytest.mark.parametrize('target', ['plain', 'margins', 'folders', 'repeated', 'without loading', 'multi source'])
def test_target_labels_that_are_asked_for_follow_the_image(game, tmp_path, target) -> None:
    """The label map is the red channel: whatever is cropped, flipped and padded, they stay the same picture."""
    root = scenes.write_city(tmp_path / 'city')
    for path in (root / 'gtFine').rglob('*.png'):
        label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        image = root / 'leftImg8bit/train/ulm' / path.name.replace('gtFine_labelTrainIds', 'leftImg8bit')
        cv2.imwrite(str(image), np.stack([label] * 3, axis=2))
    section = scenes.city_cfg(root, pipeline=scenes.train_pipeline((64, 80), labels='without' not in target))
    if target == 'margins':
        section['crop_pseudo_margins'] = [30, 240, 30, 30]
    elif target == 'folders':
        section.update(img_dir=[section['img_dir']] * 2, ann_dir=[section['ann_dir']] * 2)
    elif target == 'repeated':
        section = dict(type='RepeatDataset', dataset=section, times=2)
    pipeline = scenes.train_pipeline((64, 80))
    cfg = dict(type='UDADataset', source=scenes.game_cfg(game, pipeline=pipeline), target=section)
    if target == 'multi source':
        cfg = dict(type='MultiSource', sources=[cfg['source']] * 2, target=section)
    plain, dataset = build_dataset(cfg), build_dataset(cfg)
    dataset.deliver_target_labels()
    dataset.deliver_target_labels()  # once more changes nothing
    flips, padded = set(), 0
    for seed in range(6):
        sample, before = (each.sample(seed, np.random.RandomState(seed)) for each in (dataset, plain))
        label = sample.pop('target_gt_for_meters')
        assert equal(sample, before) and label.dtype == torch.uint8 and label.shape == (1, 64, 80)
        height = sample['target_img_metas']['img_shape'][0]
        assert torch.equal(label[0, :height], sample['target_img'][0, :height]) and (label[0, height:] == 255).all()
        flips.add(sample['target_img_metas']['flip'])
        padded += 64 - height
    assert flips == {True, False} and padded


def drawn_the_long_way(dataset, rng: np.random.RandomState) -> dict:
    """Rare class sampling as the originals do it: every redraw reads, decodes and resizes again."""
    sampler, source, target = dataset.sampler, dataset.source, dataset.target
    chosen = rng.choice(sampler.classes, p=sampler.probabilities)
    file = rng.choice([source.img_infos[i]['ann']['seg_map'] for i in sampler.images[chosen]])
    idx = [info['ann']['seg_map'] for info in source.img_infos].index(file)
    sample = source.get(idx, rng)
    for _ in range(10):
        if (sample['gt_semantic_seg'] == chosen).sum() > RCS['min_pixels'] * RCS['min_crop_ratio']:
            break
        sample = source.get(idx, rng)
    other = target.get(rng.choice(range(len(target))), rng)
    return dict(sample, target_img=other['img'], target_img_metas=other['img_metas'])


def test_rare_class_sampling_redraws_only_the_crop(game, city, monkeypatch) -> None:
    dataset = build_dataset(scenes.uda_cfg(game, city, rare_class_sampling=RCS))
    expected = [drawn_the_long_way(dataset, np.random.RandomState(seed)) for seed in range(30)]
    reads = []
    prepare, finish = dataset.source.prepare, dataset.source.finish
    monkeypatch.setattr(dataset.source, 'prepare', lambda idx: reads.append('read') or prepare(idx))
    monkeypatch.setattr(dataset.source, 'finish', lambda *args: reads.append('crop') or finish(*args))
    for seed in range(30):
        assert equal(dataset.sample(7, np.random.RandomState(seed)), expected[seed])
    assert reads.count('read') == 30 < reads.count('crop')


def test_rare_class_sampling_prefers_rare_classes(tmp_path, city) -> None:
    game = tmp_path / 'game'
    scenes.write_game(game, 4)
    for i in range(4):  # class 12 is rare and only in one image
        ids = (12, 0) if i == 2 else (0, 1)
        scenes.write_label(game / 'labels' / f'{i:05d}_labelTrainIds.png', i, ids=ids)
    dataset = build_dataset(scenes.uda_cfg(game, city, rare_class_sampling=dict(RCS, class_temp=0.05)))
    drawn = Counter(names(dataset.get(0, np.random.RandomState(seed)))[0] for seed in range(60))
    assert drawn['00002.png'] > 30


@pytest.mark.parametrize('rcs', [None, RCS])
def test_sync_crop(game, city, rcs) -> None:
    """One place for all maps; the metas tell how much of the crop is image and how much padding."""
    crop = (64, 80)  # higher than the images: padded
    whole = scenes.uda_cfg(game, city, dict(pipeline=scenes.train_pipeline(crop=crop)),
                           dict(pipeline=scenes.train_pipeline(crop=crop), crop_pseudo_margins=[30, 240, 30, 30]),
                           rare_class_sampling=rcs)
    before = build_dataset(whole).get(0, np.random.RandomState(8))
    after = build_dataset(dict(whole, sync_crop_size=(32, 48))).get(0, np.random.RandomState(8))
    places = [(y, x) for y in range(33) for x in range(33)
              if torch.equal(before['img'][:, y:y + 32, x:x + 48], after['img'])]
    assert len(places) == 1
    y, x = places[0]
    for key in ('gt_semantic_seg', 'target_img', 'valid_pseudo_mask'):
        assert torch.equal(before[key][..., y:y + 32, x:x + 48], after[key])
    for key in ('img_metas', 'target_img_metas'):
        assert after[key]['pad_shape'] == (32, 48, 3)
        assert after[key]['img_shape'] == (min(48 - y, 32), 48, 3)


def test_pseudo_label_margins_follow_the_image(game, tmp_path) -> None:
    """The target image is white where pseudo labels are valid: image and mask must stay the same picture."""
    root = scenes.write_city(tmp_path / 'city', count=1)
    picture = np.zeros((1024, 2048, 3), np.uint8)
    picture[30:-240, 30:-30] = 255
    cv2.imwrite(str(root / 'leftImg8bit/train/ulm/ulm_000000_000019_leftImg8bit.png'), picture)
    pipeline = scenes.train_pipeline(scale=(256, 128), crop=(112, 140))
    dataset = build_dataset(scenes.uda_cfg(game, root, target=dict(pipeline=pipeline,
                                                                   crop_pseudo_margins=[30, 240, 30, 30])))
    flips = set()
    for seed in range(6):
        sample = dataset.get(0, np.random.RandomState(seed))
        mask, image = sample['valid_pseudo_mask'], sample['target_img'][:1]
        assert mask.dtype == torch.uint8 and mask.shape == (1, 112, 140) and set(mask.unique().tolist()) == {0, 1}
        assert (mask.bool() != (image > 127)).float().mean() < 0.01
        flips.add(sample['target_img_metas']['flip'])
    assert flips == {True, False}


def test_source_and_target_must_agree(game, city) -> None:
    with pytest.raises(DataError, match='source and target differ in CLASSES'):
        build_dataset(scenes.uda_cfg(game, city, source=dict(classes=['road'])))
    with pytest.raises(DataError, match='UDADataset needs target'):
        build_dataset(dict(type='UDADataset', source=scenes.game_cfg(game)))


def test_unknown_key_of_rare_class_sampling(game, city) -> None:
    with pytest.raises(DataError, match='min_pixel'):
        build_dataset(scenes.uda_cfg(game, city, rare_class_sampling=dict(min_pixel=3)))
