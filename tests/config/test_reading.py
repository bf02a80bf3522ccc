"""Loading configs: what merges how, what older files say, what is refused and with which words."""
from __future__ import annotations

import json
import math
import os
from pathlib import Path
from textwrap import dedent

import pytest
from mmengine.config import Config, DictAction

from mmseg.cli import training
from mmseg.config.reading import TRAINING, dump_config, load_config, validate_config
from mmseg.errors import ConfigError
from mmseg.models.uda import Objective
from mmseg.registry import OBJECTIVES, PIPELINES
from tools import train

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs'
DAFORMER = CONFIGS / 'daformer' / 'gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py'


@pytest.fixture
def write(tmp_path):
    """Write a file of that name and give its path."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(dedent(text))
        return path

    return write


def refusal(path: Path, options: dict | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, options)
    return str(caught.value)


def options(*arguments: str) -> dict:
    """What ``--options`` makes of its arguments."""
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument('--options', nargs='+', action=DictAction)
    return parser.parse_args(['--options', *arguments]).options


# merging


def test_children_merge_into_bases(write):
    write('base.py', '''
        model = dict(backbone=dict(type='mit_b0', style='pytorch'), type='EncoderDecoder')
        optimizer_config = dict(grad_clip=dict(max_norm=1.))
        crops = [1, 2, 3]
        ''')
    child = write('child.py', '''
        _base_ = 'base.py'
        model = dict(backbone=dict(_delete_=True, type='mit_b1'), neck=dict(_delete_=True, type='SegFormerAdapter'))
        optimizer_config = None
        crops = [4]
        ''')
    cfg = load_config(child)
    assert cfg.model == dict(type='EncoderDecoder', backbone=dict(type='mit_b1'), neck=dict(type='SegFormerAdapter'))
    assert cfg.optimizer_config is None
    assert cfg.crops == [4]


def test_a_dict_needs_delete_to_replace_none(write):
    write('base.py', "uda = dict(type='DACS', mask_generator=None)")
    child = write('child.py', "_base_ = 'base.py'\nuda = dict(mask_generator=dict(type='block', mask_ratio=0.7))")
    with pytest.raises(TypeError, match='_delete_=True') as caught:
        load_config(child)
    assert isinstance(caught.value, ConfigError) and str(child) in str(caught.value)
    child.write_text("_base_ = 'base.py'\nuda = dict(mask_generator=dict(_delete_=True, type='block'))")
    assert load_config(child).uda.mask_generator == dict(type='block')


def test_json_and_yaml_give_what_python_gives(write):
    python = load_config(DAFORMER, {'data.train.rare_class_sampling.class_temp': math.inf})
    for suffix in ('.json', '.yaml', '.py'):
        twin = write(f'twin{suffix}', '')
        dump_config(python, twin)
        again = load_config(twin).to_dict()
        python_again = python.to_dict()
        assert again['data'] == python_again['data'], suffix
        assert again['data']['train']['rare_class_sampling']['class_temp'] == math.inf
        for section in ('model', 'uda', 'optimizer', 'lr_config', 'runner', 'evaluation'):
            assert json.dumps(again[section]) == json.dumps(python_again[section]), suffix
        assert again['optimizer']['betas'] == (0.9, 0.999)


def test_json_infinity_and_lists_that_mean_tuples(write):
    path = write('a.json', '''
        {"data": {
            "train": {"type": "UDADataset",
                "source": {"type": "GTADataset", "img_dir": "i", "pipeline": [
                    {"type": "Resize", "img_scale": [1280, 720]}, {"type": "RandomCrop", "crop_size": [512, 512]},
                    {"type": "Pad", "size": [512, 512]}]},
                "target": {"type": "CityscapesDataset", "img_dir": "i", "pipeline": [
                    {"type": "Resize", "img_scale": [[1024, 512]]}]},
                "sync_crop_size": [256, 256],
                "rare_class_sampling": {"min_pixels": 3000, "class_temp": Infinity, "min_crop_ratio": 0.5}},
            "val": {"type": "CityscapesDataset", "img_dir": "i", "pipeline": [
                {"type": "MultiScaleFlipAug", "img_scale": [1024, 512], "transforms": [
                    {"type": "Resize", "img_scale": [1024, 512]}]}]}},
         "model": {"type": "HRDAEncoderDecoder", "scales": [1, 0.5], "hr_crop_size": [512, 512],
                   "backbone": {"type": "mit_b5"}, "decode_head": {"type": "DAFormerHead", "in_channels": [64, 128],
                   "channels": 8, "num_classes": 19},
                   "test_cfg": {"mode": "slide", "stride": [512, 512], "crop_size": [1024, 1024]}}}
        ''')
    cfg = load_config(path)
    source, target = cfg.data.train.source.pipeline, cfg.data.train.target.pipeline
    assert [source[0].img_scale, source[1].crop_size, source[2].size] == [(1280, 720), (512, 512), (512, 512)]
    assert target[0].img_scale == [(1024, 512)]
    assert cfg.data.train.sync_crop_size == (256, 256)
    flip = cfg.data.val.pipeline[0]
    assert flip.img_scale == flip.transforms[0].img_scale == (1024, 512)
    assert cfg.data.train.rare_class_sampling.class_temp == math.inf
    assert cfg.model.test_cfg.stride == (512, 512) and cfg.model.hr_crop_size == (512, 512)
    assert cfg.model.scales == [1, 0.5] and cfg.model.decode_head.in_channels == [64, 128]


def test_variables_of_files_and_bases(write, monkeypatch):
    monkeypatch.setenv('BASE_FOLDER', '.')
    write('base.py', 'seed = 3')
    assert load_config(write('a.py', "_base_ = '{{ fileDirname }}/base.py'\nname = '{{ fileBasenameNoExtension }}'")) \
        .to_dict() == dict(seed=3, name='a')
    write('base.json', '{"seed": 3}')
    cfg = load_config(write('b.json', '{"_base_": "{{$BASE_FOLDER:nowhere}}/base.json", "my_seed": {{ _base_.seed }}}'))
    assert cfg.my_seed == 3


def test_python_takes_and_changes_variables_of_bases(write):
    write('base.py', '''
        road_pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', img_scale=(4, 2))]
        my_data = dict(train=dict(pipeline=road_pipeline), test=dict(pipeline=road_pipeline))
        ''')
    cfg = load_config(write('child.py', '''
        _base_ = 'base.py'
        night_pipeline = _base_.pop('road_pipeline')
        night_pipeline[1] = dict(type='Resize', img_scale=(8, 4))
        my_data = dict(train=dict(pipeline=night_pipeline))
        '''))
    assert set(cfg) == {'night_pipeline', 'my_data'}
    pipelines = (cfg.night_pipeline, cfg.my_data.train.pipeline, cfg.my_data.test.pipeline)
    assert [pipeline[1].img_scale for pipeline in pipelines] == [(8, 4), (8, 4), (4, 2)]


# --options


def test_options_reach_into_dicts_and_lists():
    cfg = load_config(DAFORMER, options(
        'data.train.source.pipeline.3.crop_size=(256,128)', 'data.val.pipeline.1.transforms.0.keep_ratio=False',
        'model.decode_head.in_channels.0=32', 'optimizer.paramwise_cfg.custom_keys.norm.decay_mult=0.5',
        'runner.max_iters=7', 'optimizer.betas=0.8,0.9', 'amp.dtype=bfloat16', 'load_from=None',
        'optimizer_config.grad_clip.max_norm=35', 'uda.mask_generator.type=block'))
    assert cfg.data.train.source.pipeline[3].crop_size == (256, 128)
    assert cfg.data.train.target.pipeline[3].crop_size == (512, 512)
    assert cfg.gta_train_pipeline[3].crop_size == (512, 512)
    assert cfg.data.val.pipeline[1].transforms[0].keep_ratio is False
    assert cfg.data.test.pipeline[1].transforms[0].keep_ratio is True
    assert cfg.model.decode_head.in_channels == [32, 128, 320, 512]
    assert cfg.optimizer.paramwise_cfg.custom_keys.norm == dict(decay_mult=0.5)
    assert cfg.optimizer.paramwise_cfg.custom_keys.head == dict(lr_mult=10.0)
    assert (cfg.runner.max_iters, cfg.optimizer.betas, cfg.load_from) == (7, (0.8, 0.9), None)
    assert cfg.amp.dtype == 'bfloat16'
    assert cfg.optimizer_config == dict(grad_clip=dict(max_norm=35))
    assert cfg.uda.mask_generator == dict(type='block')


def test_a_dict_as_option_merges():
    cfg = load_config(DAFORMER, {'evaluation': dict(interval=5), 'runner': dict(max_iters=3)})
    assert cfg.evaluation == dict(interval=5, metric='mIoU')
    assert cfg.runner == dict(type='IterBasedRunner', max_iters=3)


def test_one_pipeline_for_two_domains_becomes_two():
    cfg = load_config(CONFIGS / '_base_/datasets/uda_cityscapes_to_cityscapes_512x512.py',
                      {'data.train.source.pipeline.4.prob': 0.})
    assert (cfg.data.train.source.pipeline[4].prob, cfg.data.train.target.pipeline[4].prob) == (0., 0.5)


@pytest.mark.parametrize('option, key, near', [
    ('data.trian.source.type=GTADataset', 'data.trian', 'train'),
    ('uda.alhpa=0.9', 'uda.alhpa', 'alpha'),
    ('model.backbon.type=mit_b0', 'model.backbon', 'backbone'),
    ('model.decode_head.decoder_parms.embed_dims=8', 'model.decode_head.decoder_parms', 'decoder_params'),
    ('data.train.source.pipeline.3.crop_sise=3', 'data.train.source.pipeline.3.crop_sise', 'crop_size'),
    ('data.train.source.pipeline.9.crop_size=3', 'data.train.source.pipeline', 'from 0 to 8'),
    ('data.train.source.pipeline.first.prob=3', 'data.train.source.pipeline', 'from 0 to 8'),
    ('runner.max_iters.first=3', 'runner.max_iters', '40000'),
    ('runner.max_iters=many', 'runner.max_iters', 'whole number'),
    ('evalution.interval=3', 'evalution', 'evaluation'),
    ('crop_size=64', 'crop_size', 'the key of the section'),
    ('img_norm_cfg.to_rgb=False', 'img_norm_cfg.to_rgb', 'the key of the section'),
    ('max_iters=5', 'max_iters', 'nothing would read it'),
    ('lr=0.1', 'lr', 'nothing would read it'),
    ('my.thing=3', 'my.thing', 'nothing would read it'),
])
def test_wrong_options_are_refused(option, key, near):
    message = refusal(DAFORMER, options(option))
    assert message.startswith('--options: ') and str(DAFORMER) in message
    assert key in message and near in message


# what is refused

RUNNABLE = '''
    head = dict(type='DAFormerHead', in_channels=[32, 64], in_index=[0, 1], channels=8, num_classes=19)
    model = dict(type='EncoderDecoder', backbone=dict(type='mit_b0'), decode_head=head)
    data = dict(samples_per_gpu=2, train=dict(type='CityscapesDataset', img_dir='i', pipeline=[
        dict(type='Resize', img_scale=(8, 8)), dict(type='RandomFlip', prob=0.5)]))
    uda = dict(type='DACS', alpha=0.9)
    optimizer = dict(type='AdamW', lr=1e-4)
    runner = dict(type='IterBasedRunner', max_iters=5)
    '''


@pytest.mark.parametrize('line, key, near', [
    ("uda['pseudo_treshold'] = 0.9", 'uda.pseudo_treshold', 'pseudo_threshold'),
    ("uda['type'] = 'DACs'", 'uda.type', 'DACS'),
    ("uda['alpha'] = '0.9'", 'uda.alpha', 'a number'),
    ("optimizer['weigth_decay'] = 0.1", 'optimizer.weigth_decay', 'weight_decay'),
    ("optimizer['type'] = 'AdmW'", 'optimizer.type', 'AdamW'),
    ("optimizer['lr'] = '6e-5'", 'optimizer.lr', '6.0e-05'),
    ("optimizer['lr'] = 0", 'optimizer.lr', 'above 0'),
    ("optimizer['paramwise_cfg'] = dict(custom_key=dict())", 'optimizer.paramwise_cfg.custom_key', 'custom_keys'),
    ("optimizer['paramwise_cfg'] = dict(custom_keys=dict(head=dict(lr_mul=10.)))",
     'optimizer.paramwise_cfg.custom_keys.head.lr_mul', 'lr_mult'),
    ('optimizer_config = dict(grad_clp=None)', 'optimizer_config.grad_clp', 'grad_clip'),
    ("lr_config = dict(policy='ploy')", 'lr_config.policy', 'poly'),
    ("lr_config = dict(policy='poly', warmup_iter=5)", 'lr_config.warmup_iter', 'warmup_iters'),
    ("runner['type'] = 'EpochBasedRunner'", 'runner.type', 'IterBasedRunner'),
    ("runner['max_iters'] = 0", 'runner.max_iters', 'at least 1'),
    ("runner['max_iters'] = True", 'runner.max_iters', 'at least 1'),
    ("runner['max_epochs'] = 3", 'runner.max_epochs', 'max_iters'),
    ('runner = 5', 'runner', 'a dict'),
    ("data['sample_per_gpu'] = 2", 'data.sample_per_gpu', 'samples_per_gpu'),
    ("data['samples_per_gpu'] = 0", 'data.samples_per_gpu', 'at least 1'),
    ("data['train']['type'] = 'CityscapeDataset'", 'data.train.type', 'CityscapesDataset'),
    ("data['train']['image_dir'] = 'x'", 'data.train.image_dir', 'img_dir'),
    ("del data['train']['type']", 'data.train', 'type is missing'),
    ("data['train']['pipeline'] = 'none'", 'data.train.pipeline', 'a list'),
    ("data['train']['pipeline'][1]['type'] = 'RandomFlop'", 'data.train.pipeline.1.type', 'RandomFlip'),
    ("data['train']['pipeline'][1]['probability'] = 1", 'data.train.pipeline.1.probability', 'prob'),
    ("data['train'] = dict(type='UDADataset', souce=dict())", 'data.train.souce', 'source'),
    ("data['train'] = dict(type='UDADataset', source=dict(type='GTADatset'))", 'data.train.source.type', 'GTADataset'),
    ("data['train'] = dict(type='UDADataset', rare_class_sampling=dict(temperature=1))",
     'data.train.rare_class_sampling.temperature', 'class_temp'),
    ("model['type'] = 'EncoderDecodr'", 'model.type', 'EncoderDecoder'),
    ("model['backbone']['type'] = 'mit_b9'", 'model.backbone.type', 'mit_b'),
    ("model['backbone']['typo'] = 3", 'model.backbone.typo', 'depths'),
    ("model['backbone']['type'] = 'IMTRv21_5'", 'model.backbone.type', 'mit_b5'),
    ("model['backbone'] = dict(type='ResNetV1c', depth=3)", 'model.backbone.depth', '50, 101'),
    ("model['backbone'] = dict(type='ResNetV1c', deep_stem=True)", 'model.backbone.deep_stem', 'remove it'),
    ("model['backbone'] = dict(type='ResNet', norm_cfg=dict(type='BN', momentun=0.1))",
     'model.backbone.norm_cfg.momentun', 'momentum'),
    ("model['decode_head']['chanels'] = 16", 'model.decode_head.chanels', 'channels'),
    ("model['decode_head']['decoder_params'] = dict(embed_dimz=16)", 'model.decode_head.decoder_params.embed_dimz',
     'embed_dims'),
    ("model['decode_head']['decoder_params'] = dict(fusion_cfg=dict(type='aspp', sepp=True))",
     'model.decode_head.decoder_params.fusion_cfg.sepp', 'sep'),
    ("model['decode_head']['decoder_params'] = dict(fusion_cfg=dict(type='isa', norm_cfg=dict(type='BM')))",
     'model.decode_head.decoder_params.fusion_cfg.norm_cfg.type', 'BN'),
    ("model['decode_head']['loss_decode'] = dict(type='CrossEntropyLoss', loss_wieght=2)",
     'model.decode_head.loss_decode.loss_wieght', 'loss_weight'),
    ("model['decode_head']['loss_decode'] = [dict(type='CrossEntropyLoss'), dict(type='DiceLoss', smoth=1.)]",
     'model.decode_head.loss_decode.1.smoth', 'smooth'),
    ("model['decode_head']['loss_decode'] = dict(type='CrossEntropyLoss', loss_weight=-1.)",
     'model.decode_head.loss_decode.loss_weight', 'a number of at least 0'),
    ("model['decode_head']['loss_decode'] = dict(type='CrossEntropyLoss', use_sigmoid='False')",
     'model.decode_head.loss_decode.use_sigmoid', 'True or False'),
    ("model['decode_head']['sampler'] = dict(type='OHEMPixelSampler', thresh=1.5)",
     'model.decode_head.sampler.thresh', 'at most 1'),
    ("model['test_cfg'] = dict(mode='sldie')", 'model.test_cfg.mode', 'slide'),
    ("model['test_cfg'] = dict(batched_slid=True)", 'model.test_cfg.batched_slid', 'batched_slide'),
    ("model['test_cfg'] = dict(mode='slide', crop_size=(8, 8))", 'model.test_cfg.stride', 'is missing'),
    ("model['test_cfg'] = dict(mode='slide', crop_size=(8, 8), stride=(8, 9))", 'model.test_cfg.stride', 'gaps'),
    ("uda['mrm'] = dict(wieght=1)", 'uda.mrm.wieght', 'weight'),
    ("uda['mrm'] = dict(weight='x')", 'uda.mrm.weight', 'a number'),
    ("uda['mrm'] = dict(view='mixed')", 'uda.mrm.view', "'mix'"),
    ("uda['mrm'] = dict(student=3)", 'uda.mrm.student', 'known are'),
    ("uda['instance_bank'] = dict(preset='dida_coed')", 'uda.instance_bank.preset', 'dida_code'),
    ("uda['instance_bank'] = dict(preset='dida_code', warmup=3)", 'uda.instance_bank.warmup', 'known are'),
    ("uda['blur'] = 'x'", 'uda.blur', 'True or False'),
    ("uda['mask_generator'] = dict(type='block', mask_ratio=2)", 'uda.mask_generator.mask_ratio', 'from 0 to 1'),
    ("uda['pseudo_threshold'] = 1.5", 'uda.pseudo_threshold', 'from 0 to 1'),
    ("uda['pseudo_threshold'] = float('nan')", 'uda.pseudo_threshold', 'from 0 to 1'),
    ("uda['color_jitter_probability'] = 7", 'uda.color_jitter_probability', 'from 0 to 1'),
    ("uda['pseudo_weight_ignore_top'] = 64\ndata['train'] = dict(type='UDADataset', source=data['train'], target=dict("
     "type='CustomDataset', img_dir='i', pipeline=[dict(type='RandomCrop', crop_size=(64, 64))]))",
     'uda.pseudo_weight_ignore_top', 'crops of 64'),
    ("data['train']['pipeline'].append(dict(type='RandomCrop', crop_size='64'))", 'data.train.pipeline.2.crop_size',
     'a list of 2 values'),
    ("data['train']['pipeline'].append(dict(type='Normalize', mean=[0, 0, 0], std=[1, 1, -1]))",
     'data.train.pipeline.2.std', 'above 0'),
    ("data['train']['pipeline'].append(dict(type='Normalize', mean=None, std=[1, 1, 1]))",
     'data.train.pipeline.2.mean', 'not None'),
    ("data['train']['pipeline'][1]['prob'] = 1.5", 'data.train.pipeline.1.prob', 'from 0 to 1'),
    ("data['train']['pipeline'][0]['type'] = 'Transpose'", 'data.train.pipeline.0.type', 'not known'),
    ("data['train'] = dict(type='DGDataset')", 'data.train.type', 'UDADataset'),
    ("data['train'] = dict(type='ConcatDataset', datasets=[dict(type='GTADataset', img_dri='i')])",
     'data.train.datasets.0.img_dri', 'img_dir'),
    ("lr_config = dict(policy='poly', power='x')", 'lr_config.power', 'a number'),
    ("lr_config = dict(policy='poly', gamma=3)", 'lr_config.gamma', 'not known'),
    ("lr_config = dict(policy='poly', warmup_ratio=-0.5)", 'lr_config.warmup_ratio', 'from 0 to 1'),
    ("lr_config = dict(policy='poly', min_lr=1.)", 'lr_config.min_lr', 'would rise'),
    ("optimizer['paramwise_cfg'] = dict(custom_keys=dict(head=dict(lr_mult=-1.)))",
     'optimizer.paramwise_cfg.custom_keys.head.lr_mult', 'at least 0'),
    ("optimizer['betas'] = (0.9, 2)", 'optimizer.betas', 'from 0 to 1'),
    ("evaluation = dict(metric='mIuU')", 'evaluation.metric', 'mIoU'),
    ("evaluation = dict(save_best='foo')", 'evaluation.save_best', 'mIoU'),
    ("evaluation = dict(save_best='miou')", 'evaluation.save_best', 'mIoU'),
    ("evaluation = dict(save_best='mDice', metric=['mIoU', 'mFscore'])", 'evaluation.save_best', 'no score'),
    ("evaluation = dict(model='techer')", 'evaluation.model', 'teacher'),
    ("uad = dict(type='DACS')", 'uad', 'uda'),
    ('seod = 3', 'seod', 'seed'),
    ("anp = dict(dtype='bf16')", 'anp', 'amp'),
    ("model['decode_head']['type'] = 'DAFormerhead'", 'model.decode_head.type', 'DAFormerHead'),
    ("model['decode_head'] = dict(type='HRDAHead', single_scale_head='DAFormeHead', chanels=3)",
     'model.decode_head.single_scale_head', 'DAFormerHead'),
    ("model['decode_head'] = dict(type='HRDAHead', single_scale_head='DAFormerHead', chanels=3)",
     'model.decode_head.chanels', 'channels'),
    ("model['tset_cfg'] = dict()", 'model.tset_cfg', 'test_cfg'),
    ('checkpoint_config = dict(intervall=5)', 'checkpoint_config.intervall', 'interval'),
    ('checkpoint_config = dict(interval=5, by_epoch=True)', 'checkpoint_config.by_epoch', 'counts iterations'),
    ("evaluation = dict(metrics='mIoU')", 'evaluation.metrics', 'metric'),
    ("evaluation = dict(interval='5')", 'evaluation.interval', 'whole number'),
    ('log_config = dict(image_interval=5)', 'log_config.image_interval', 'img_interval'),
    ("log_config = dict(hooks=[dict(type='TextLogger')])", 'log_config.hooks.0.type', 'TextLoggerHook'),
    ("amp = dict(dtype='float16')", 'amp.dtype', 'bfloat16'),
    ('fp16 = dict(loss_scale=512.)', 'fp16', "amp=dict(dtype='bfloat16')"),
    ('optimiser = dict()', 'optimiser', 'optimizer'),
    ('evalution = dict()', 'evalution', 'evaluation'),
    ('seed = -1', 'seed', 'a whole number from 0'),
    ('new_classifier = 1', 'new_classifier', 'True or False'),
    ("data['workers_per_gpu'] = 10**9", 'data.workers_per_gpu', '256 at most'),
    ("optimizer_config = dict(accumulate=10**9)", 'optimizer_config.accumulate', '10000 at most'),
    ("model['backbone']['depths'] = [1, 1, 10**9, 1]", 'model.backbone.depths', '1000 at most'),
    ("model['backbone']['mlp_ratios'] = (4, 4, 4, 1e9)", 'model.backbone.mlp_ratios', '1000 at most'),
    ("model['decode_head']['num_classes'] = 255", 'model.decode_head.num_classes', '254 at most'),
    ("model['decode_head']['decoder_params'] = dict(embed_dims=float('inf'))",
     'model.decode_head.decoder_params.embed_dims', '65536 at most'),
    ("model['auxiliary_head'] = [dict(type='FCNHead', channels=10**7)]", 'model.auxiliary_head.0.channels', 'at most'),
    ("uda['mrm'] = dict(dim=10**9)", 'uda.mrm.dim', '65536 at most'),
    ("data['train']['pipeline'][0]['ratio_range'] = (0.5, 1e6)", 'data.train.pipeline.0.ratio_range', '1000 at most'),
    ("data['train']['pipeline'][0]['img_scale'] = (10**9, 10**9)", 'data.train.pipeline.0.img_scale', 'GiB of memory'),
    ("data['train']['pipeline'][0].update(img_scale=[(8, 8), (10**9, 10**9)])", 'data.train.pipeline.0.img_scale',
     'GiB'),
    ("data['train']['pipeline'][0].update(img_scale=(10**9, 512), keep_ratio=False, ratio_range=(1, 9))",
     'data.train.pipeline.0.img_scale', 'GiB'),
    ("data['train']['pipeline'].append(dict(type='Pad', size=(10**6, 10**6)))", 'data.train.pipeline.2.size', 'GiB'),
    ("data['train']['pipeline'].append(dict(type='Pad', size_divisor=10**6))", 'data.train.pipeline.2.size_divisor',
     'GiB'),
    ("data['train']['pipeline'].append(dict(type='RandomCrop', crop_size=(10**6, 10**6)))",
     'data.train.pipeline.2.crop_size', 'GiB'),
    ("data['test'] = dict(type='CityscapesDataset', img_dir='i', pipeline=[dict(type='MultiScaleFlipAug', "
     'transforms=[], img_scale=(10**6, 10**6))])', 'data.test.pipeline.0.img_scale', 'GiB'),
    ("data['train'] = []", 'data.train', 'a list with entries'),
    ("data['train'] = dict(type='ConcatDataset', datasets=[])", 'data.train.datasets', 'a list with entries'),
    ("data['train']['pipeline'] = [dict(type='LoadImageFromFile'), dict(type='Collect', keys=['img'])]",
     'data.train.pipeline.1.keys', "'gt_semantic_seg'"),
    ("data['train']['pipeline'] = [dict(type='LoadAnnotations'), dict(type='Collect', keys=['gt_semantic_seg'])]",
     'data.train.pipeline.1.keys', "'img'"),
    ("model['decode_head']['loss_decode'] = []", 'model.decode_head.loss_decode', 'a list with entries'),
    ("model['decode_head']['norm_cfg'] = dict(type='BN', momentum=2)", 'model.decode_head.norm_cfg.momentum',
     'from 0 to 1'),
    ("model['decode_head']['norm_cfg'] = dict(type='GN', num_groups=2, momentum=0.1)",
     'model.decode_head.norm_cfg.momentum', 'not known'),
    ("model['backbone']['drop_path_rate'] = 1", 'model.backbone.drop_path_rate', 'below 1'),
    ("compile = dict(mod='default')", 'compile.mod', "'mode'"),
    ("compile = dict(fullgraph='no')", 'compile.fullgraph', 'True or False'),
    ("uda.update(imnet_feature_dist_lambda=0.1, imnet_feature_dist_classes=[3, 19])",
     'uda.imnet_feature_dist_classes', 'the classes 0 to 18'),
    ("uda['instance_bank'] = dict(preset='cosine', classes=[30])", 'uda.instance_bank.classes', '0 to 18'),
    ("evaluation = dict(save_best='IoU')", 'evaluation.save_best', 'no score'),
    ('style_hallucination_hook = dict(interval=4000)', 'style_hallucination_hook', 'SHADE'),
    ("uda['style_consistency_lambda'] = 10.", 'style_consistency_lambda', 'SHADE'),
    ("model['backbone']['style_hallucination_cfg'] = dict(style_dim=64)", 'style_hallucination_cfg', 'SHADE'),
])
def test_refusals_name_file_key_and_remedy(write, line, key, near):
    path = write('wrong.py', dedent(RUNNABLE) + line)
    message = refusal(path)
    assert message.startswith(f'{path}: {key}'), message
    assert near in message
    assert '\n' not in message


def test_the_refusal_names_the_base_that_is_wrong(write):
    base = write('base.py', "optimizer = dict(type='AdamW', lr=1e-4, weigth_decay=0.)")
    child = write('child.py', "_base_ = 'base.py'\nseed = 1")
    message = refusal(child)
    assert message.startswith(f'{base}: optimizer.weigth_decay') and f'(read for {child})' in message


@pytest.mark.parametrize('section', ['model', 'uda', 'checkpoint_config', 'log_config', 'data'])
def test_sections_that_are_no_dicts_are_named(write, section):
    assert f'{section}: has to be a dict or None, not 3' in refusal(write('a.py', f'{section} = 3'))


@pytest.mark.parametrize('names', [
    'dataset_type data_root img_norm_cfg crop_size gta_train_pipeline acdc_train_pipeline test_pipeline norm_cfg',
    'n_gpus gpu_model name exp name_dataset name_architecture name_encoder name_decoder name_uda name_opt git_rev',
    'momentum_config gpu_ids workflow dist_params cudnn_benchmark find_unused_parameters use_ddp_wrapper',
    'norm backbone_channels crop scales batch my_own_thing num_classes',
])
def test_leaked_names_pass(write, names):
    assert set(load_config(write('a.py', '\n'.join(f'{name} = None' for name in names.split())))) == set(names.split())


def test_log_levels_may_be_numbers(write):
    assert load_config(write('a.json', '{"log_level": 40}')).log_level == 40


def test_missing_files_name_who_asked_and_what_is_near(write):
    write('adamw.py', 'seed = 1')
    child = write('child.py', "_base_ = ['adamV.py']")
    with pytest.raises(FileNotFoundError) as caught:
        load_config(child)
    assert isinstance(caught.value, ConfigError)
    message = str(caught.value)
    assert str(child) in message and str(child.with_name('adamV.py')) in message and 'did you mean adamw.py' in message
    with pytest.raises(FileNotFoundError, match='chidl.py does not exist, did you mean child.py'):
        load_config(child.with_name('chidl.py'))
    with pytest.raises(FileNotFoundError, match='is a folder'):
        load_config(child.parent)


@pytest.mark.parametrize('make', [os.mkfifo, lambda path: path.symlink_to('nowhere'), lambda path: path.symlink_to(
    path.name), lambda path: path.symlink_to('/dev/zero')], ids=['pipe', 'nowhere', 'itself', 'device'])
def test_what_is_no_file_is_named_instead_of_waited_for(tmp_path, make):
    make(tmp_path / 'a.py')
    with pytest.raises(FileNotFoundError, match='a.py is a pipe, a device or a link that leads to no file'):
        load_config(tmp_path / 'a.py')


@pytest.mark.parametrize('name, text', [('a.json', '{"_base_": 3}'), ('a.yaml', '_base_: [null, {}]'),
                                        ('a.py', '_base_ = [None]'), ('a.py', '_base_ = 3')])
def test_bases_that_are_no_paths_are_named(write, name, text):
    assert '_base_ has to be a path or a list of paths, not ' in refusal(write(name, text))


def test_package_bases_are_refused_wherever_they_stand(write):
    write('middle.py', "_base_ = 'mmdet::_base_/default_runtime.py'")
    message = refusal(write('child.py', '_base_ = ["middle.py"]'))
    assert 'middle.py' in message and 'mmdet::_base_/default_runtime.py' in message and 'copy that file' in message


def test_circles_are_refused(write):
    write('a.py', "_base_ = 'b.py'")
    message = refusal(write('b.py', "_base_ = 'a.py'"))
    assert 'inherits from itself' in message and 'a.py' in message and 'b.py' in message


def test_duplicate_keys_among_bases_are_refused(write):
    write('a.py', 'seed = 1')
    write('b.py', 'seed = 2')
    child = write('child.py', "_base_ = ['a.py', 'b.py']")
    message = refusal(child)
    assert message.startswith(str(child)) and 'seed' in message and 'two files' in message


@pytest.mark.parametrize('name, text, part', [
    ('a.py', 'seed = = 3', 'line 1'),
    ('a.py', 'seed = unknown_variable', 'unknown_variable'),
    ('a.json', '{"seed": }', 'line 1'),
    ('a.json', '[1, 2]', 'holds a list'),
    ('a.yaml', 'seed: [1', 'a.yaml'),
    ('a.toml', 'seed = 3', '.py, .json, .yml, .yaml'),
])
def test_unreadable_files_give_one_message(write, name, text, part):
    path = write(name, text)
    message = refusal(path)
    assert message.startswith(str(path)) and part in message


def test_yaml_numbers_with_exponent_are_explained(write):
    message = refusal(write('a.yaml', 'optimizer: {type: AdamW, lr: 6e-5}'))
    assert 'optimizer.lr' in message and '6.0e-05' in message


def test_validate_config_checks_what_a_program_made():
    validate_config(Config(dict(runner=dict(type='IterBasedRunner', max_iters=3))))
    with pytest.raises(ConfigError, match='config: runner.max_iter: .*max_iters'):
        validate_config(Config(dict(runner=dict(max_iter=3))))


def test_a_long_side_without_limit_is_fine_for_images_that_keep_their_shape(write):
    scale = load_config(write('a.py', dedent(RUNNABLE) + "data['train']['pipeline'][0]['img_scale'] = (10**9, 512)"))
    assert scale.data.train.pipeline[0].img_scale == (10**9, 512)


# what is missing


@pytest.mark.parametrize('line, key, words', [
    ("del head['in_channels']", 'model.decode_head.in_channels', 'is missing, it has to be a whole number'),
    ("del head['num_classes']", 'model.decode_head.num_classes', 'is missing'),
    ("del model['decode_head']", 'model.decode_head', 'is missing, it has to be a dict'),
    ("model['decode_head'] = dict(head, type='HRDAHead')", 'model.decode_head.single_scale_head', 'is missing'),
    ("model['backbone'] = dict(type='ResNetV1c')", 'model.backbone.depth', 'it has to be one of 18, 34, 50'),
    ("model['auxiliary_head'] = [dict(head), dict(type='FCNHead', channels=8, num_classes=19)]",
     'model.auxiliary_head.1.in_channels', 'is missing'),
    ("head['decoder_params'] = dict(embed_cfg=dict(type='conv'))",
     'model.decode_head.decoder_params.embed_cfg.kernel_size', 'is missing'),
    ("del data['train']['img_dir']", 'data.train.img_dir', 'is missing'),
    ("data['train'] = dict(type='UDADataset', source=data['train'])", 'data.train.target', 'is missing'),
    ("data['train']['pipeline'].append(dict(type='RandomCrop'))", 'data.train.pipeline.2.crop_size', 'is missing'),
    ("del optimizer['lr']", 'optimizer.lr', 'is missing, it has to be a number above 0'),
    ("del runner['max_iters']", 'runner.max_iters', 'is missing'),
    ('amp = dict()', 'amp.dtype', 'is missing'),
    ("lr_config = dict(policy='step')", 'lr_config.step', "policy='step'"),
    ("lr_config = dict(policy='poly', warmup='linear')", 'lr_config.warmup_iters', "warmup='linear'"),
])
def test_what_is_missing_is_named(write, line, key, words):
    path = write('wrong.py', dedent(RUNNABLE) + line)
    message = refusal(path)
    assert message.startswith(f'{path}: {key}: ') and words in message


def test_mistakes_are_collected_with_what_is_missing(write):
    path = write('wrong.py', dedent(RUNNABLE) + "del head['in_channels']\nhead['channels'] = 'x'\nseed = 'x'")
    found = []
    load_config(path, mistakes=found)
    assert {error.key for error in found} == {'seed', 'model.decode_head.channels', 'model.decode_head.in_channels'}


def test_a_part_that_others_inherit_from_may_leave_things_out(write):
    load_config(write('part.py', "model = dict(type='EncoderDecoder', decode_head=dict(type='DAFormerHead'))"))


COLLECT = """
    load, label = dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')

    def data_of(*steps, **changes):
        return dict(train=dict(type='CityscapesDataset', img_dir='i', pipeline=list(steps), **changes))
    """


@pytest.mark.parametrize('steps, key, words', [
    ("load, dict(type='Collect', keys=['img', 'gt_semantic_seg'])", 'data.train.pipeline.1.keys', "'gt_semantic_seg'"),
    ("load, label, dict(type='Collect', keys=['image'])", 'data.train.pipeline.2.keys', "did you mean 'img'"),
    ("load, dict(type='Collect', keys=['img', 'valid_pseudo_mask'])", 'data.train.pipeline.1.keys', 'no transform'),
    ("load, dict(type='ImageToTensor', keys=['imgs'])", 'data.train.pipeline.1.keys', "did you mean 'img'"),
    ("load, dict(type='MultiScaleFlipAug', transforms=[dict(type='Collect', keys=['x'])])",
     'data.train.pipeline.1.transforms.0.keys', "'x'"),
])
def test_a_field_that_nothing_makes_cannot_be_collected(write, steps, key, words):
    path = write('wrong.py', dedent(COLLECT) + f'data = data_of({steps})')
    message = refusal(path)
    assert message.startswith(f'{path}: {key}: ') and words in message


def test_fields_that_are_made_somewhere_are_collected(write):
    own = type('Own', (), dict(__call__=lambda self, results: results, __module__='mine'))
    PIPELINES.register_module(name='Own', module=own)
    try:
        for steps in ("load, dict(type='Collect', keys=['img', 'valid_pseudo_mask']), crop_pseudo_margins=[1, 1, 1, 1]",
                      "load, dict(type='Own'), dict(type='Collect', keys=['img', 'depth'])"):
            load_config(write('right.py', dedent(COLLECT) + f'data = data_of({steps})'))
        own.MAKES = ('depth', )
        assert "no transform before makes 'dept'" in refusal(write('wrong.py', dedent(COLLECT) + (
            "data = data_of(load, dict(type='Own'), dict(type='Collect', keys=['dept']))")))
    finally:
        PIPELINES.module_dict.pop('Own')


def test_an_objective_that_declares_no_kinds_is_checked_by_its_defaults(write):
    class Idea(Objective):
        name, keys = 'idea', dict(idea=None, idea_weight=0.5, idea_on=False)

    OBJECTIVES.register_module(module=Idea)
    try:
        load_config(write('right.py', "uda = dict(type='DACS', idea=dict(anything=1), idea_weight=1, idea_on=True)"))
        for value, words in (("idea_weight='x'", 'a number'), ('idea_weight=-1', 'at least 0'), ('idea_on=3', 'True')):
            assert words in refusal(write('wrong.py', f"uda = dict(type='DACS', {value})"))
    finally:
        OBJECTIVES.module_dict.pop('Idea')


# ignored ids


DATASETS = """
    def labelled(**changes):
        return dict(type='CustomDataset', img_dir='i', ann_dir='a', pipeline=[], **changes)
    unlabelled = dict(type='CustomDataset', img_dir='i', pipeline=[])
    fcn = dict(type='FCNHead', in_channels=32, channels=8, num_classes=19)
    head = dict(fcn, ignore_index=3)
    model = dict(type='EncoderDecoder', backbone=dict(type='mit_b0'), decode_head=head)
    """


@pytest.mark.parametrize('lines, key, place, found', [
    ('data = dict(train=labelled())', 'decode_head', 'train', 255),
    ('data = dict(train=labelled(ignore_index=4))', 'decode_head', 'train', 4),
    ('data = dict(train=labelled(ignore_index=3), val=labelled())', 'decode_head', 'val', 255),
    ('data = dict(train=labelled(ignore_index=3), test=labelled())', 'decode_head', 'test', 255),
    ("data = dict(train=dict(type='UDADataset', source=labelled(), target=labelled(ignore_index=3)))", 'decode_head',
     'train.source', 255),
    ("data = dict(train=dict(type='RepeatDataset', times=2, dataset=labelled()))", 'decode_head', 'train.dataset', 255),
    ("data = dict(train=dict(type='ConcatDataset', datasets=[labelled(ignore_index=3), labelled()]))", 'decode_head',
     'train.datasets.1', 255),
    ('data = dict(train=[labelled(ignore_index=3), labelled()])', 'decode_head', 'train.1', 255),
    ("model.update(decode_head=fcn, auxiliary_head=head)\ndata = dict(train=labelled())",
     'auxiliary_head', 'train', 255),
    ("model.update(decode_head=fcn, auxiliary_head=[fcn, head])\n"
     'data = dict(train=labelled())', 'auxiliary_head.1', 'train', 255),
])
def test_a_head_and_its_data_name_one_ignored_id(write, lines, key, place, found):
    message = refusal(write('wrong.py', dedent(DATASETS) + lines))
    assert f'model.{key}.ignore_index=3 ' in message and f'data.{place}.ignore_index={found} ' in message


@pytest.mark.parametrize('lines', [
    'data = dict(train=labelled(ignore_index=3), val=labelled(ignore_index=3), test=unlabelled)',
    "data = dict(train=dict(type='UDADataset', source=labelled(ignore_index=3), target=labelled()))",
    "head['ignore_index'] = 255\ndata = dict(train=labelled(ignore_index=3), val=labelled())",
    "head['ignore_index'] = None\ndata = dict(train=labelled())",
    "del head['ignore_index']\ndata = dict(train=labelled(ignore_index=3), val=labelled(ignore_index=0))",
    '',
])
def test_ignored_ids_that_agree_pass(write, lines):
    load_config(write('right.py', dedent(DATASETS) + lines))


# older files


def test_old_names_of_the_networks(write):
    path = write('old.json', '''
        {"model": {"type": "MultiResEncoderDecoder", "backbone": {"type": "mit_b5", "ema_drop_path_rate": 0.1},
          "train_cfg": {"work_dir": "work_dirs/x", "log_config": {"img_interval": 3}},
          "decode_head": {"type": "MultiResAttentionWrapper", "single_scale_head": "UniHead",
            "decoder_params": {"fusion_cfg": {"type": "aspp", "fusion": "none", "_delete_": true}}}}}
        ''')
    model = load_config(path).model
    assert (model.type, model.decode_head.type, model.decode_head.single_scale_head) == \
        ('HRDAEncoderDecoder', 'HRDAHead', 'DAFormerHead')
    assert model.decode_head.decoder_params.fusion_cfg == dict(type='aspp')
    assert model.backbone == dict(type='mit_b5')
    assert model.train_cfg == {}
    path.write_text('{"model": {"type": "EncoderDecoder", "decode_head": {"type": "UniHead", "decoder_params": '
                    '{"fusion_cfg": {"type": "aspp", "fusion": "aspp"}}}}}')
    assert load_config(path).model.decode_head == dict(type='DAFormerHead',
                                                       decoder_params=dict(fusion_cfg=dict(type='aspp')))


def test_old_training_keys(write):
    cfg = load_config(write('old.py', '''
        uda = dict(type='DACS', imnet_feature_dist_scale_method='ratio', debug_img_interval=200,
                   share_src_backward=True, style_consistency_lambda=0)
        total_iters = 40000
        checkpoint_config = dict(by_epoch=False, interval=5, meta=dict(config='text'))
        style_hallucination_hook = None
        fp16 = None
        data = dict(train=dict(type='UDADataset', sync_crop_size=[8, 8], _delete_=True))
        '''))
    assert cfg.uda == dict(type='DACS')
    assert cfg.log_config == dict(img_interval=200)
    assert cfg.runner == dict(type='IterBasedRunner', max_iters=40000)
    assert cfg.checkpoint_config == dict(by_epoch=False, interval=5)
    assert cfg.data.train == dict(type='UDADataset', sync_crop_size=(8, 8))


def test_a_runner_wins_over_total_iters(write):
    cfg = load_config(write('a.py', "total_iters = 5\nrunner = dict(type='IterBasedRunner', max_iters=7)"))
    assert cfg.runner.max_iters == 7 and 'total_iters' not in cfg


def test_types_of_later_parts_load():
    for name in ('advseg', 'minent'):
        assert load_config(CONFIGS / '_base_' / 'uda' / f'{name}.py').uda.mask_mode is None
    assert load_config(CONFIGS / '_base_/models/danet_r50-d8.py').model.decode_head.type == 'DAHead'


ADVERSE = """
    data = dict(train=dict(type='UDADataset', source=dict(type={source!r}, pipeline=[]),
                           target=dict(type={target!r}, pipeline=[], {margins})))
    uda = dict(type='DACS', {uda})
    """


@pytest.mark.parametrize('target', ['ACDCDataset', 'DarkZurichDataset'])
@pytest.mark.parametrize('uda, margins, named', [
    ("mask_mode='separatetrgaug'", '', 'uda.mask_mode'),
    ('pseudo_weight_ignore_bottom=120', '', 'uda.pseudo_weight_ignore_bottom:'),
    ('', 'crop_pseudo_margins=[30, 240, 30, 30]', 'data.train.target.crop_pseudo_margins'),
])
def test_settings_for_another_target_warn(write, target, uda, margins, named):
    text = ADVERSE.format(source='CityscapesDataset', target=target, uda=uda, margins=margins)
    with pytest.warns(UserWarning, match=f'^{named}.*choose_config.md'):
        load_config(write('a.py', text))


@pytest.mark.parametrize('source, target, uda', [
    ('GTADataset', 'CityscapesDataset', "mask_mode='separatetrgaug', pseudo_weight_ignore_top=15"),
    ('GTADataset', 'ACDCDataset', "mask_mode='separatetrgaug', pseudo_weight_ignore_top=15"),
    ('CityscapesDataset', 'ACDCDataset', "mask_mode='separate', pseudo_weight_ignore_top=0"),
])
def test_settings_for_their_own_target_do_not_warn(write, recwarn, source, target, uda):
    load_config(write('a.py', ADVERSE.format(source=source, target=target, uda=uda, margins='')))
    assert not recwarn.list


@pytest.mark.parametrize('name', TRAINING)
def test_a_training_without_a_section_is_refused_by_name(name, write):
    content = {key: value for key, value in load_config(DAFORMER).to_dict().items() if key != name}
    path = write('part.json', json.dumps(content))
    with pytest.raises(ConfigError, match=rf'part\.json: there is no section {name}: inherit'):
        training.configure(train.parse_args([str(path)]))


@pytest.mark.parametrize('key', ['model.type', 'model.decode_head.type', 'model.backbone.type', 'uda.type'])
@pytest.mark.parametrize('value', [[1], {}, 3])
def test_a_type_that_is_no_name_is_refused(key, value):
    assert f'{key.rpartition(".")[0]}' in refusal(DAFORMER, {key: value})


def test_rows_without_pseudo_labels_are_added_up():
    margins = {'uda.pseudo_weight_ignore_top': 300, 'uda.pseudo_weight_ignore_bottom': 250}
    message = refusal(DAFORMER, margins)
    assert 'pseudo_weight_ignore_bottom: 250 rows leave no pseudo label in crops of 512 rows, 300 at the' in message


@pytest.mark.parametrize('seed', [-1, 2**63, 1.5, '3'])
def test_a_seed_is_one_that_torch_takes(seed):
    assert 'seed: has to be a whole number from 0 to' in refusal(DAFORMER, {'seed': seed})


@pytest.mark.parametrize('key, value', [('depths', [1, 1, 1]), ('num_heads', [1, 2, 4]), ('sr_ratios', [8, 4, 2, 1, 1]),
                                        ('mlp_ratios', [4, 4]), ('embed_dims', [64])])
def test_stages_of_a_mit_are_four(key, value, write):
    backbone = f"model = dict(type='EncoderDecoder', backbone=dict(type='MixVisionTransformer', {key}={value}))"
    assert f'model.backbone.{key}: has to be a list of 4 values' in refusal(write('a.py', backbone))
