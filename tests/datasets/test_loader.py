"""Batches: the same whatever the number of workers, from any start; errors with one message."""
from __future__ import annotations

import socket
from multiprocessing import current_process, resource_sharer
from multiprocessing.connection import Client

import numpy as np
import pytest
import torch

from mmseg.datasets import build_dataset, build_eval_loader, build_train_loader
from mmseg.errors import DataError
from tests.datasets import scenes

RCS = dict(min_pixels=300, class_temp=0.5, min_crop_ratio=0.5)


@pytest.fixture(params=[None, RCS], ids=['pairs', 'rcs'])
def dataset(request, game, city):
    return build_dataset(scenes.uda_cfg(game, city, rare_class_sampling=request.param))


def batches(dataset, workers=0, start=0, stop=6, seed=1, **kwargs):
    return list(build_train_loader(dataset, 2, workers, seed=seed, start=start, stop=stop, **kwargs))


def same(a, b) -> bool:
    return all(torch.equal(a[key], b[key]) for key in ('img', 'gt_semantic_seg', 'target_img')) and all(
        [m['filename'] for m in a[key]] == [m['filename'] for m in b[key]] for key in ('img_metas', 'target_img_metas'))


def test_batch(game, city) -> None:
    dataset = build_dataset(scenes.uda_cfg(game, city, target=dict(crop_pseudo_margins=[30, 240, 30, 30])))
    loader = build_train_loader(dataset, 3, 0, seed=0, stop=2)
    assert len(loader) == 2
    batch = next(iter(loader))
    for key in ('img', 'target_img'):
        assert batch[key].shape == (3, 3, 32, 32) and batch[key].dtype == torch.uint8
        assert len(batch[f'{key}_metas']) == 3
    for key in ('gt_semantic_seg', 'valid_pseudo_mask'):
        assert batch[key].shape == (3, 1, 32, 32) and batch[key].dtype == torch.uint8
    assert batch['classes'].dtype == np.int64
    assert batch['classes'].tolist() == batch['gt_semantic_seg'].unique().tolist() and 255 in batch['classes']


@pytest.mark.parametrize('workers', [1, 2])
def test_number_of_workers_changes_nothing(dataset, workers) -> None:
    for a, b in zip(batches(dataset), batches(dataset, workers), strict=True):
        assert same(a, b)


def test_start_in_the_middle(dataset) -> None:
    whole = batches(dataset)
    rest = batches(dataset, start=4)
    assert len(rest) == 2 and same(rest[0], whole[4]) and same(rest[1], whole[5])
    assert not same(whole[0], whole[1])


def test_seeds_and_ranks_differ(dataset) -> None:
    first = batches(dataset, stop=1)[0]
    assert same(first, batches(dataset, stop=1)[0])
    assert not same(first, batches(dataset, stop=1, seed=2)[0])
    assert not same(first, batches(dataset, stop=1, rank=1, world_size=2)[0])


def test_ranks_share_an_epoch(game) -> None:
    dataset = build_dataset(scenes.game_cfg(game))
    loaders = [build_train_loader(dataset, 1, 0, seed=5, stop=2, rank=rank, world_size=2) for rank in range(2)]
    seen = [batch['img_metas'][0]['filename'] for loader in loaders for batch in loader]
    assert len(set(seen)) == 4


def test_a_far_start_costs_nothing(dataset) -> None:
    assert len(batches(dataset, start=10**9, stop=10**9 + 1)) == 1


@pytest.mark.parametrize('workers', [0, 1])
def test_bad_file_is_one_message(game, workers) -> None:
    for image in (game / 'images').iterdir():
        image.write_bytes(image.read_bytes()[:100])
    dataset = build_dataset(scenes.game_cfg(game))
    with pytest.raises(DataError) as info:
        batches(dataset, workers)
    assert 'images/0000' in str(info.value) and 'Traceback' not in str(info.value)


def test_images_of_different_size(game) -> None:
    scenes.write_image(game / 'images/00000.png', 0, (48, 80))
    scenes.write_label(game / 'labels/00000_labelTrainIds.png', 0, (48, 80))
    pipeline = [step for step in scenes.train_pipeline() if step['type'] not in ('RandomCrop', 'Pad')]
    with pytest.raises(DataError, match=r'00000.png \(3, 48, 80\).*add RandomCrop and Pad'):
        batches(build_dataset(scenes.game_cfg(game, pipeline=pipeline)))


@pytest.mark.parametrize('workers', [0, 2])
def test_evaluation(city, workers) -> None:
    pipeline = scenes.test_pipeline(scale=(64, 32), flip=True)
    dataset = build_dataset(scenes.city_cfg(city, pipeline=pipeline, test_mode=True))
    images = list(build_eval_loader(dataset, workers))
    assert [image['index'] for image in images] == [0, 1, 2]
    for i, image in enumerate(images):
        assert [tuple(img.shape) for img in image['img']] == [(1, 3, 32, 64)] * 2
        assert image['img'][0].dtype == torch.float32
        assert [len(metas) for metas in image['img_metas']] == [1, 1] and image['img_metas'][1][0]['flip'] is True
        assert image['img_metas'][0][0]['ori_shape'] == (48, 96, 3)
        assert image['label'].dtype == torch.uint8
        np.testing.assert_array_equal(image['label'].numpy(), dataset.label(i))
    assert 'label' not in next(iter(build_eval_loader(dataset, 0, with_label=False)))


def test_evaluation_without_labels(city) -> None:
    cfg = scenes.city_cfg(city, pipeline=scenes.test_pipeline(), test_mode=True)
    assert 'label' not in next(iter(build_eval_loader(build_dataset(dict(cfg, ann_dir=None)), 0)))
    with pytest.raises(DataError, match='nowhere/ulm/.* does not exist: check ann_dir'):
        list(build_eval_loader(build_dataset(dict(cfg, ann_dir='nowhere')), 1))


def test_a_worker_whose_reader_leaves_says_nothing(game, city, monkeypatch, capfd) -> None:
    """Tensors are handed over by a thread of the worker, which the main process may cut short as it ends."""
    dataset = build_dataset(scenes.uda_cfg(game, city))
    sample = dataset.sample

    def leave(*args: object) -> object:
        address, _ = resource_sharer.DupFd(1)._id
        with socket.socket(socket.AF_UNIX) as reader:
            reader.connect(address)
        Client(address, authkey=current_process().authkey).close()  # is answered after the one that left
        return sample(*args)

    monkeypatch.setattr(dataset, 'sample', leave)
    assert len(batches(dataset, 1, stop=2)) == 2
    assert 'Traceback' not in capfd.readouterr().err
