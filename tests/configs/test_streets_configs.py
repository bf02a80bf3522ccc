"""The configs from ImageNet weights: CamVid to Cityscapes (streets), and CamVid from day to dusk (camvid/lite0)."""
from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from mmengine import Config

from mmseg.apis import load_config
from mmseg.datasets.pipelines.compose import Compose
from mmseg.models import build_train_model
from mmseg.models.uda import InstanceBank, PublishedInstanceBank

CONFIGS = Path(__file__).parents[2] / 'configs'
FOLDERS = ('streets', 'camvid/lite0')
BELOW = {  # method: what it adds to, and the objectives that it trains with
    'source_only': ('common', None),
    'photometric': ('source_only', None),
    'fda': ('common', []),
    'oracle': ('source_only', None),
    'dacs': ('common', []),
    'daformer': ('dacs', ['feature_distance']),
    'daformer_fda': ('daformer', ['feature_distance']),
    'hrda': ('daformer', ['feature_distance']),
    'mic': ('daformer', ['feature_distance', 'mic']),
    'mrm': ('daformer', ['feature_distance', 'mrm']),
    'eb': ('daformer', ['entropy_balance', 'feature_distance']),
    'dida': ('daformer', ['feature_distance', 'instance_bank']),
    'dida_code': ('daformer', ['feature_distance', 'instance_bank']),
    'mic_hrda': ('hrda', ['feature_distance', 'mic']),
    'mrm_hrda': ('hrda', ['feature_distance', 'mrm']),
    'mic_mrm_hrda': ('mic_hrda', ['feature_distance', 'mic', 'mrm']),
    'mic_mrm': ('mic', ['feature_distance', 'mic', 'mrm']),
    'mic_eb': ('mic', ['entropy_balance', 'feature_distance', 'mic']),
    'mrm_eb': ('mrm', ['entropy_balance', 'feature_distance', 'mrm']),
    'combined': ('mic', ['entropy_balance', 'feature_distance', 'instance_bank', 'mic', 'mrm']),
}
ADDED = {'mic': 'mask_generator', 'mrm': 'mrm', 'eb': 'entropy_balance', 'dida': 'instance_bank'}
every_run = pytest.mark.parametrize('run', [f'{folder}/{name}' for folder in FOLDERS for name in BELOW])
every_folder = pytest.mark.parametrize('folder', FOLDERS)


@cache
def content(name: str) -> Config:
    return load_config(CONFIGS / f'{name}.py')


def load(name: str) -> Config:
    """A config that may be changed."""
    return copy.deepcopy(content(name))


def transforms(pipeline: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {transform['type']: transform for transform in pipeline}


def labelled(cfg: Config) -> dict[str, Any]:
    """The data set whose labels are learned."""
    return cfg.data.train.get('source', cfg.data.train)


@every_folder
def test_every_config_is_named_here(folder: str) -> None:
    assert {path.stem for path in (CONFIGS / folder).glob('*.py')} == {'common', *BELOW}


@every_run
def test_trains_its_objectives_from_the_packaged_weights(run: str) -> None:
    cfg, name = load(run), run.rpartition('/')[2]
    model = build_train_model(cfg)
    objectives = BELOW[name][1]
    assert [part.name for part in getattr(model, 'objectives', [])] == (objectives or [])
    assert cfg.get('uda') is None if objectives is None else cfg.uda.type == 'DACS'
    student = model.networks()['student']
    assert student.backbone.pretrained == 'package'
    assert sum(p.numel() for p in student.parameters()) < 4e6


@every_run
def test_all_pipelines_normalise_as_the_weights_want_it_and_build(run: str) -> None:
    data = load(run).data
    for section in (data.train.get('source', data.train), data.train.get('target', data.train), data.val, data.test):
        steps = transforms(section.pipeline)
        steps = transforms(steps['MultiScaleFlipAug'].transforms) if 'MultiScaleFlipAug' in steps else steps
        assert steps['Normalize']['mean'] == steps['Normalize']['std'] == [127.5, 127.5, 127.5]
        Compose(section.pipeline)


@every_folder
def test_only_the_oracle_sees_target_labels(folder: str) -> None:
    for name in BELOW:
        cfg = load(f'{folder}/{name}')
        on_target = any(word in labelled(cfg)['img_dir'] for word in ('target', 'dusk'))
        assert on_target == (name == 'oracle')


@every_folder
def test_methods_differ_in_the_method_alone(folder: str) -> None:
    daformer = load(f'{folder}/daformer')
    for name in BELOW:
        cfg = load(f'{folder}/{name}')
        for key in ('optimizer', 'lr_config', 'runner', 'seed', 'checkpoint_config'):
            assert cfg[key] == daformer[key], (name, key)
        assert cfg.evaluation.interval == daformer.evaluation.interval
        if 'hrda' not in name:
            assert cfg.model == daformer.model and cfg.data.val == daformer.data.val


@every_folder
@pytest.mark.parametrize('name', [
    name for name in BELOW if BELOW[name][0] in ('daformer', 'mic', 'mrm', 'hrda', 'mic_hrda')])
def test_a_method_changes_its_own_keys(folder: str, name: str) -> None:
    own, below = (load(f'{folder}/{method}').to_dict() for method in (name, BELOW[name][0]))
    changed = {key for key in own if own[key] != below[key]}
    assert changed == {'hrda': {'model', 'data'}, 'daformer_fda': {'data'}}.get(name, {'uda'})


@every_folder
@pytest.mark.parametrize('name', ['mic_mrm', 'mic_eb', 'mrm_eb', 'mrm_hrda', 'combined'])
def test_combinations_have_the_settings_of_the_single_methods(folder: str, name: str) -> None:
    parts = [part for part in ADDED if name == 'combined' or part in name.split('_')]
    together = load(f'{folder}/{name}').uda
    for part in parts:
        assert together[ADDED[part]] == load(f'{folder}/{part}').uda[ADDED[part]]


@every_folder
def test_both_ways_of_dida_have_a_bank_of_ten_rows_for_each_class(folder: str) -> None:
    for name, kind in (('dida', InstanceBank), ('dida_code', PublishedInstanceBank)):
        objective = build_train_model(load(f'{folder}/{name}')).instance_bank
        assert type(objective) is kind and not objective.bank.full
        assert set(objective.bank.label.bincount().tolist()) == {10}


@every_folder
def test_masks_are_an_eighth_of_the_crop(folder: str) -> None:
    for name in ('mic', 'mic_hrda'):
        cfg = load(f'{folder}/{name}')
        crop = transforms(cfg.data.train.target.pipeline)['RandomCrop']['crop_size']
        assert {8 * cfg.uda.mask_generator.mask_block_size} == set(crop)


def sizes(cfg: Config) -> dict[str, Any]:
    """Image and crop sizes by side, taken out of the pipelines."""
    found = {}
    for side in ('source', 'target'):
        steps = transforms(cfg.data.train[side].pipeline)
        found[side] = [steps['Resize'].pop('img_scale'), steps['RandomCrop'].pop('crop_size')]
    found['val'] = [transforms(cfg.data.val.pipeline)['MultiScaleFlipAug'].pop('img_scale')]
    return found


@every_folder
def test_hrdas_context_is_what_daformer_sees(folder: str) -> None:
    hrda, daformer = (load(f'{folder}/{name}') for name in ('hrda', 'daformer'))
    large, small = sizes(hrda), sizes(daformer)
    for side in small:
        assert [tuple(size) for size in large[side]] == [tuple(2 * n for n in size) for size in small[side]]
        data = [cfg.data.val if side == 'val' else cfg.data.train[side] for cfg in (hrda, daformer)]
        assert data[0] == data[1]
    assert tuple(hrda.model.test_cfg.crop_size) == tuple(large['target'][1])
    assert tuple(hrda.model.hr_crop_size) == tuple(small['target'][1])
    ratios = [cfg.data.train.rare_class_sampling.min_crop_ratio for cfg in (hrda, daformer)]
    assert ratios[0] == 4 * ratios[1]  # crops have four times the pixels


@every_folder
def test_photometric_distortion_is_all_that_its_baseline_adds(folder: str) -> None:
    with_it, without = (list(load(f'{folder}/{name}').data.train.pipeline) for name in ('photometric', 'source_only'))
    with_it.remove(dict(type='PhotoMetricDistortion'))
    assert with_it == without


@every_folder
def test_the_rebuilder_is_as_wide_as_the_encoders_last_level(folder: str) -> None:
    cfg = load(f'{folder}/mrm')
    assert cfg.uda.mrm.dim == build_train_model(cfg).mrm.rebuilder.layout[-1].channels
    assert cfg.uda.mrm.lr / cfg.optimizer.lr == pytest.approx(2e-4 / 6e-5, rel=0.02)


def test_streets_undo_the_squeeze_of_the_target() -> None:
    cfg = load('streets/daformer')
    target = transforms(cfg.data.train.target.pipeline)['Resize']
    assert tuple(target['img_scale']) == (256, 128) and not target['keep_ratio']
    assert not transforms(transforms(cfg.data.val.pipeline)['MultiScaleFlipAug'].transforms)['Resize']['keep_ratio']
