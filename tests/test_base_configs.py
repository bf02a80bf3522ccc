"""The files under configs/_base_: they are there, load alone, and hold the published values."""
from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from mmseg.config.reading import load_config

CONFIGS = Path(__file__).parents[1] / 'configs'
BASES = sorted(path.relative_to(CONFIGS).as_posix() for path in (CONFIGS / '_base_').rglob('*.py'))

PROMISED = """
    default_runtime.py
    models/daformer_conv1_mitb5.py models/daformer_aspp_mitb5.py models/daformer_sepaspp_mitb5.py
    models/daformer_isa_mitb5.py models/daformer_sepaspp_bottleneck_mitb5.py models/segformer.py models/segformer_b5.py
    models/segformer_r101.py models/upernet_mit.py models/upernet_ch256_mit.py models/deeplabv2_r50-d8.py
    models/deeplabv2red_r50-d8.py models/deeplabv3plus_r50-d8.py models/danet_r50-d8.py models/isanet_r50-d8.py
    schedules/adamw.py schedules/sgd.py schedules/poly10.py schedules/poly10warm.py
    uda/dacs.py uda/dacs_fd.py uda/dacs_fdthings.py uda/dacs_a999_fdthings.py uda/dacs_srconly.py uda/advseg.py
    uda/minent.py
""".split()

# name: (source scale, target scale, test scale, crop, colour augmentation)
PAIRS = {
    'uda_gta_to_cityscapes_512x512': ((1280, 720), (1024, 512), (1024, 512), 512, False),
    'uda_gtaCAug_to_cityscapes_512x512': ((1280, 720), (1024, 512), (1024, 512), 512, True),
    'uda_synthia_to_cityscapes_512x512': ((1280, 760), (1024, 512), (1024, 512), 512, False),
    'uda_cityscapes_to_acdc_512x512': ((1024, 512), (960, 540), (960, 540), 512, False),
    'uda_cityscapes_to_foggyrain_512x512': ((1024, 512), (1024, 512), (1024, 512), 512, False),
    'uda_cityscapes_to_darkzurich_512x512': ((1024, 512), (960, 540), (960, 540), 512, False),
    'uda_cityscapes_to_cityscapes_512x512': ((1024, 512), (1024, 512), (1024, 512), 512, False),
    'uda_cityscapesCAug_to_cityscapes_512x512': ((1024, 512), (1024, 512), (1024, 512), 512, True),
    'uda_gtaHR_to_cityscapesHR_1024x1024': ((2560, 1440), (2048, 1024), (2048, 1024), 1024, False),
    'uda_gtaCAugHR_to_cityscapesHR_1024x1024': ((2560, 1440), (2048, 1024), (2048, 1024), 1024, True),
    'uda_gtaCAugHR_to_cityscapesHR_768x768': ((2560, 1440), (2048, 1024), (2048, 1024), 768, True),
    'uda_synthiaHR_to_cityscapesHR_1024x1024': ((2560, 1520), (2048, 1024), (2048, 1024), 1024, False),
    'uda_cityscapesHR_to_acdcHR_1024x1024': ((2048, 1024), (1920, 1080), (1920, 1080), 1024, False),
    'uda_cityscapesHR_to_darkzurichHR_1024x1024': ((2048, 1024), (1920, 1080), (1920, 1080), 1024, False),
}
SINGLE = {
    **{f'cityscapes_{crop}x{crop}': ((1024, 512), crop) for crop in (128, 256, 384, 512)},
    **{f'cityscapesHR_{crop}x{crop}': ((2048, 1024), crop) for crop in (256, 512, 768, 1024)},
    'cityscapes_half_512x512': ((1024, 512), 512),
    'gta_to_cityscapes_512x512': ((1280, 720), 512),
}


def transforms(pipeline: list) -> dict:
    return {transform['type']: transform for transform in pipeline}


@pytest.mark.parametrize('name', BASES)
def test_every_base_file_loads_alone(name):
    cfg = load_config(CONFIGS / name)
    # what MMEngine detects by itself is what we ask for
    assert Config.fromfile(CONFIGS / name).keys() == cfg.keys()


def test_the_promised_base_files_are_there():
    promised = PROMISED + [f'datasets/{name}.py' for name in (*PAIRS, *SINGLE)]
    assert {f'_base_/{name}' for name in promised} <= set(BASES)


@pytest.mark.parametrize('name', PAIRS)
def test_values_of_the_domain_pairs(name):
    source_scale, target_scale, test_scale, crop, colour = PAIRS[name]
    cfg = load_config(CONFIGS / '_base_' / 'datasets' / f'{name}.py')
    train = cfg.data.train
    source, target = transforms(train.source.pipeline), transforms(train.target.pipeline)
    assert (source['Resize'].img_scale, target['Resize'].img_scale) == (source_scale, target_scale)
    for domain in (source, target):
        assert domain['RandomCrop'].crop_size == domain['Pad'].size == (crop, crop) == cfg.crop_size
        assert domain['RandomFlip'].prob == 0.5
    both_labelled = 'to_cityscapes_512' in name and name.startswith('uda_cityscapes')
    assert source['RandomCrop'].cat_max_ratio == 0.75
    assert target['RandomCrop'].get('cat_max_ratio', 1.) == (0.75 if both_labelled else 1.)
    assert ('PhotoMetricDistortion' in source) == colour
    assert ('PhotoMetricDistortion' in target) == (colour and both_labelled)
    without_labels = train.target.type in ('ACDCDataset', 'CityscapesFoggyRainDataset', 'DarkZurichDataset')
    assert ('LoadAnnotations' in target) != without_labels
    assert target['Collect']['keys'] == (['img'] if without_labels else ['img', 'gt_semantic_seg'])
    for split in ('val', 'test'):
        assert cfg.data[split].type == train.target.type
        assert transforms(cfg.data[split].pipeline)['MultiScaleFlipAug'].img_scale == test_scale


@pytest.mark.parametrize('name', SINGLE)
def test_values_of_the_single_domains(name):
    scale, crop = SINGLE[name]
    cfg = load_config(CONFIGS / '_base_' / 'datasets' / f'{name}.py')
    train = transforms(cfg.data.train.pipeline)
    assert (train['Resize'].img_scale, train['RandomCrop'].crop_size) == (scale, (crop, crop))
    assert train['RandomCrop'].cat_max_ratio == 0.75
    assert 'PhotoMetricDistortion' in train
    assert cfg.data.val.type == cfg.data.test.type == 'CityscapesDataset'


@pytest.mark.parametrize('path', sorted((CONFIGS / '_base_/datasets').glob('*.py')), ids=lambda path: path.stem)
def test_the_named_pipelines_are_those_of_the_data(path):
    cfg = load_config(path).to_dict()
    train = cfg['data']['train']
    domains = [train['source'], train['target']] if 'source' in train else [train]
    named = [value for name, value in cfg.items() if name.endswith('train_pipeline')]
    assert len(named) == len({str(domain['pipeline']) for domain in domains})
    assert all(domain['pipeline'] in named for domain in domains)
    assert cfg['data']['val']['pipeline'] == cfg['data']['test']['pipeline'] == cfg['test_pipeline']


def test_mics_name_of_a_pair_is_the_same_pair():
    alias, pair = (load_config(CONFIGS / f'_base_/datasets/uda_{name}_512x512.py') for name in (
        'cityscapes_to_cityscapesCAug', 'cityscapesCAug_to_cityscapes'))
    assert alias.to_dict() == pair.to_dict()


def test_dark_zurich_has_its_own_folders_and_no_labels():
    data = load_config(CONFIGS / '_base_/datasets/uda_cityscapes_to_darkzurich_512x512.py').data
    assert data.train.target.img_dir == 'rgb_anon/train/night/'
    assert {data.train.target.data_root, data.val.data_root, data.test.data_root} == {'data/dark_zurich/'}
