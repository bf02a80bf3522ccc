"""Cityscapes in fog and rain: which images are found, and whose labels they have."""
from __future__ import annotations

import numpy as np
import pytest

from mmseg.datasets import build_dataset
from mmseg.errors import DataError
from tests.datasets import scenes

FRAMES = ('ulm/ulm_000000_000019', 'ulm/ulm_000001_000019', 'bonn/bonn_000003_000019')
BETAS = ('0.005', '0.01', '0.02')
RAIN = [f'rain_alpha_0.01_beta_0.005_dropsize_0.002_pattern_{i}' for i in range(1, 6)]


@pytest.fixture
def root(tmp_path):
    for i, frame in enumerate(FRAMES):
        scenes.write_label(tmp_path / 'gtFine/val' / f'{frame}_gtFine_labelTrainIds.png', i)
        for beta in BETAS:
            scenes.write_image(tmp_path / 'leftImg8bit_foggy/val' / f'{frame}_leftImg8bit_foggy_beta_{beta}.png', i)
    for variant in RAIN:
        scenes.write_image(tmp_path / 'leftImg8bit_rain/val' / f'{FRAMES[0]}_leftImg8bit_{variant}.png', 0)
    return tmp_path


def dataset(root, folders=('leftImg8bit_foggy/val', 'leftImg8bit_rain/val'), **options):
    return build_dataset(dict(type='CityscapesFoggyRainDataset', data_root=str(root), img_dir=list(folders),
                              ann_dir=['gtFine/val'] * len(folders), pipeline=scenes.train_pipeline(), **options))


def names(data):
    return [info['filename'] for info in data.img_infos]


def test_all_variants_of_both_folders_with_the_labels_of_their_frames(root):
    data = dataset(root)
    assert len(data) == 3 * 3 + 5
    for info in data.img_infos:
        assert info['ann']['seg_map'] == info['filename'].partition('_leftImg8bit_')[0] + '_gtFine_labelTrainIds.png'
    fog, rain = data.datasets
    assert (fog.label(3) == fog.label(4)).all() and (fog.label(3) == rain.label(0)).all()
    assert data.get(0, np.random.RandomState(0))['gt_semantic_seg'].shape == (1, 32, 32)


def test_chosen_attenuations(root):
    assert {name.rpartition('_')[2] for name in names(dataset(root, foggy_betas=[0.01, 0.02]).datasets[0])} == {
        '0.01.png', '0.02.png'}
    assert len(dataset(root, foggy_betas=[0.02])) == 3 + 5
    with pytest.raises(DataError, match=r'foggy_betas=\[0.7\]'):
        dataset(root, foggy_betas=[0.7])


@pytest.mark.parametrize('most,patterns', [(1, [1]), (2, [1, 5]), (3, [1, 3, 5]), (9, [1, 2, 3, 4, 5])])
def test_few_variants_of_each_frame(root, most, patterns):
    fog, rain = dataset(root, max_variants_per_frame=most).datasets
    assert len(fog) == 3 * min(most, 3)
    assert [int(name[:-4].rpartition('_')[2]) for name in names(rain)] == patterns


def test_clear_images_and_bad_numbers_are_refused(root):
    scenes.write_image(root / 'leftImg8bit_foggy/val/ulm/ulm_000000_000019_leftImg8bit.png', 0)
    with pytest.raises(DataError, match='ulm_000000_000019_leftImg8bit.png is not named'):
        dataset(root)
    with pytest.raises(ValueError, match='at least 1'):
        dataset(root, max_variants_per_frame=0)
