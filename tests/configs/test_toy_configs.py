"""The configs of the built-in benchmark and of CamVid."""
import copy
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mmseg.apis import load_config
from mmseg.engine.schedule import LearningRate
from mmseg.models import build_segmentor, build_train_model

CONFIGS = Path(__file__).parents[2] / 'configs'
METHODS = ('source_only', 'dacs', 'daformer', 'mic', 'eb', 'dida', 'combined', 'oracle')
RUNS = [f'{folder}/{name}' for folder in ('toy', 'camvid') for name in METHODS]
RUNS += [f'toy/{name}' for name in ('hrda', 'mic_hrda', 'dacs_mrm', 'daformer_mrm', 'mic_mrm', 'dacs_mrm_ratio02',
                                   'dacs_mrm_ratio06', 'dacs_mrm_no_rebuilding')]


@cache
def content(name):
    return load_config(str(CONFIGS / f'{name}.py'))


def load(name):
    """A config that may be changed."""
    return copy.deepcopy(content(name))


@pytest.mark.parametrize('name', RUNS)
def test_builds_a_small_network_for_its_classes_without_weights(name):
    cfg = load(name)
    student = build_train_model(cfg).networks()['student']
    assert student.num_classes == (19 if name.startswith('toy') else 11)
    assert sum(p.numel() for p in student.parameters()) < 4e6
    assert cfg.model.pretrained is None


@pytest.mark.parametrize('name', RUNS)
def test_only_the_oracle_sees_target_labels(name):
    train = load(name).data.train
    labelled = train.source if 'source' in train else train
    target = ('camera', 'dusk')
    on_target = any(word in f'{labelled.data_root}{labelled.img_dir}' for word in target)
    assert on_target == name.endswith('oracle')
    if 'target' in train:
        assert any(word in f'{train.target.data_root}{train.target.img_dir}' for word in target)


@pytest.mark.parametrize('folder', ['toy', 'camvid'])
def test_methods_differ_in_the_method_alone(folder):
    configs = [load(f'{folder}/{name}') for name in METHODS]
    for key in ('model', 'optimizer', 'lr_config', 'runner', 'seed'):
        assert all(cfg[key] == configs[0][key] for cfg in configs), key
    assert len({cfg.evaluation.interval for cfg in configs}) == 1
    for cfg in configs:
        assert cfg.data.val == configs[0].data.val and cfg.data.samples_per_gpu == configs[0].data.samples_per_gpu


@pytest.mark.parametrize('folder', ['toy', 'camvid'])
def test_daformer_is_dacs_with_rare_classes_and_without_feature_distance(folder):
    dacs, daformer = load(f'{folder}/dacs'), load(f'{folder}/daformer')
    assert 'rare_class_sampling' not in dacs.data.train and 'rare_class_sampling' in daformer.data.train
    assert not daformer.uda.imnet_feature_dist_lambda


@pytest.mark.parametrize('name, below', [('toy/mic', 'daformer'), ('camvid/mic', 'daformer'), ('toy/mic_hrda', 'hrda')])
def test_mic_adds_masks_alone(name, below):
    folder = name.partition('/')[0]
    mic, base = load(name).to_dict(), load(f'{folder}/{below}').to_dict()
    masks = {key: mic['uda'].pop(key) for key in list(mic['uda']) if key.startswith('mask_')}
    for key in masks:
        base['uda'].pop(key)
    assert mic == base
    assert masks['mask_lambda'] == 1
    # separate is published for real sources, separatetrgaug for simulated ones
    assert masks['mask_mode'] == ('separate' if folder == 'camvid' else 'separatetrgaug')
    crop = load(name).data.train.target.pipeline[3].crop_size
    assert crop[0] % masks['mask_generator']['mask_block_size'] == 0


@pytest.mark.parametrize('below', ['dacs', 'daformer', 'mic'])
def test_mrm_adds_a_rebuilder_alone(below):
    mrm, base = load(f'toy/{below}_mrm'), load(f'toy/{below}').to_dict()
    options = mrm.uda.mrm
    rebuilder = build_train_model(mrm).mrm.rebuilder
    content = mrm.to_dict()
    assert content['uda'].pop('mrm')
    assert content == base
    # as published: as wide as the encoder's last level, 3.3 times its learning rate
    assert options.dim == rebuilder.layout[-1].channels
    assert options.lr / mrm.optimizer.lr == pytest.approx(2e-4 / 6e-5)


@pytest.mark.parametrize('folder', ['toy', 'camvid'])
def test_entropy_balance_and_instance_bank_are_added_alone_and_combined_has_all(folder):
    configs = {name: load(f'{folder}/{name}').to_dict() for name in ('daformer', 'mic', 'eb', 'dida', 'combined')}
    added = {}
    for name, key in (('eb', 'entropy_balance'), ('dida', 'instance_bank')):
        added[key] = configs[name]['uda'].pop(key)
        assert configs[name] == configs['daformer']
    added['mrm'] = load('toy/mic_mrm').uda.mrm.to_dict()
    for key, options in added.items():
        assert configs['combined']['uda'].pop(key) == options
    assert configs['combined'] == configs['mic']


@pytest.mark.parametrize('folder', ['toy', 'camvid'])
def test_the_bank_has_equal_shares_and_most_of_the_training_is_left_when_it_may_fill(folder):
    cfg = load(f'{folder}/dida')
    bank = build_train_model(cfg).instance_bank.bank
    assert len(bank.label.bincount(minlength=bank.num_classes).unique()) == 1
    assert cfg.uda.instance_bank.warmup <= 0.1 * cfg.runner.max_iters


def test_hrda_is_daformer_with_another_network():
    hrda, daformer = load('toy/hrda').to_dict(), load('toy/daformer').to_dict()
    assert hrda['model'].pop('type') == 'HRDAEncoderDecoder' and daformer.pop('model')
    assert {key: value for key, value in hrda.items() if key != 'model'} == daformer


@pytest.mark.parametrize('folder', ['toy', 'camvid'])
def test_schedule_ends_at_zero_and_warms_up_within_the_run(folder):
    cfg = load(f'{folder}/source_only')
    rate = LearningRate(cfg.lr_config, cfg.runner.max_iters)
    rates = np.array([rate(1.0, t) for t in range(cfg.runner.max_iters + 1)])
    assert rates[0] < 0.01 and rates[-1] == pytest.approx(0) and rates.max() > 0.9


def test_camvid_and_toy_networks_are_of_the_same_kind():
    toy, camvid = (build_segmentor(load(f'{folder}/oracle').model).state_dict() for folder in ('toy', 'camvid'))
    assert toy.keys() == camvid.keys()
