"""Look-alikes of the configs of the five published programs, drawn at random: all of them load and build.

What they may say follows the programs' dialect: base files and what experiments change in them, merged dumps in JSON
that the programs write beside their checkpoints, old names of networks, keys without effect, values as lists.
"""
from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from mmseg.checkpoint.pretrained import address
from mmseg.config.reading import load_config
from mmseg.experiments.runs import DECODERS, ENCODERS
from mmseg.models import build_backbone
from mmseg.models.outline import without_values
from tests.parity import model_zoo

CONFIGS = Path(__file__).parents[2] / 'configs'
DRAWN = 12  # configs of each program
PROGRAMS = ('DAFormer', 'HRDA', 'MIC', 'EBDA', 'DIDA')
THINGS = [6, 7, 11, 12, 13, 14, 15, 16, 17, 18]
CNN = ('dlv2red@r101v1c', 'da_nodbn@r101v1c', 'isa_nodbn@r101v1c', 'dlv3p_nodbn@r101v1c', 'segformer@r101v1c')
TRANSFORMERS = ('segformer@mitb5', 'segformer@mitb3', 'daformer_conv1@mitb5', 'daformer_aspp@mitb5',
                'daformer_isa@mitb5', 'daformer_sepaspp_bottleneck@mitb5', 'upernet@mitb5', 'sfa_dlv3p_nodbn@mitb5-del')
FINAL = 'daformer_sepaspp@mitb5'
HALF = ('gta_to_cityscapes', 'synthia_to_cityscapes', 'cityscapes_to_acdc', 'cityscapes_to_darkzurich')
FULL = ('gtaHR_to_cityscapesHR', 'synthiaHR_to_cityscapesHR', 'cityscapesHR_to_acdcHR')

pytestmark = pytest.mark.filterwarnings('ignore::UserWarning')


def lists(value: Any) -> Any:
    """A value as JSON has it: tuples are lists."""
    return json.loads(json.dumps(value))


def network(rng: random.Random, program: str, large: bool) -> tuple[str, dict[str, Any]]:
    """Base file and changes of the model section; ``pretrained`` stays what the programs name."""
    if program == 'EBDA':
        loss = dict(type='LogitConstraintLoss', use_sigmoid=False, loss_weight=1.0)
        loss.update(rng.choice([{}, dict(use_mask=False), dict(avg_non_ignore=False), dict(loss_name='loss_ce')]))
        return 'daformer_sepaspp_lc_mitb5', dict(decode_head=dict(loss_decode=loss))
    name = rng.choice([FINAL, 'dlv2red@r101v1c']) if large else FINAL if program == 'DIDA' else rng.choice(
        [FINAL, *CNN, *TRANSFORMERS])
    decoder, _, encoder = name.partition('@')
    file, changes = DECODERS.get(name) or DECODERS[decoder]
    pretrained, backbone = ENCODERS[encoder]
    head = dict(changes.get('decode_head', {}))
    model = dict(changes, pretrained=pretrained, backbone=dict(backbone), decode_head=head)
    if large:
        head.update(
            type='HRDAHead', single_scale_head='DLV2Head' if decoder == 'dlv2red' else 'DAFormerHead',
            attention_classwise=True, hr_loss_weight=0.1)
        model.update(
            type='HRDAEncoderDecoder', scales=[1, 0.5], hr_crop_size=[512, 512], feature_scale=0.5,
            crop_coord_divisible=8, hr_slide_inference=True,
            test_cfg=dict(mode='slide', batched_slide=True, stride=[512, 512], crop_size=[1024, 1024]))
    return file, model


def adaptation(rng: random.Random, program: str) -> tuple[str | None, dict[str, Any]]:
    """Base file and changes of the uda section."""
    files = dict(DAFormer=['dacs', 'dacs_fd', 'dacs_fdthings', 'dacs_a999_fdthings', None],
                 HRDA=['dacs', 'dacs_a999_fdthings', 'advseg', 'minent'],
                 MIC=['dacs', 'dacs_a999_fdthings', 'dacs_srconly', 'advseg', 'minent'])
    file = rng.choice(files.get(program, ['dacs', 'dacs_a999_fdthings']))
    if file is None:
        return None, {}
    uda: dict[str, Any] = rng.choice([{}, dict(debug_img_interval=200)])
    if file.startswith('dacs'):
        uda.update(rng.choice([{}, dict(print_grad_magnitude=False)]))
        if file == 'dacs' and rng.random() < 0.5:
            uda.update(alpha=0.999, imnet_feature_dist_lambda=0.005, imnet_feature_dist_classes=THINGS,
                       imnet_feature_dist_scale_min_ratio=0.75, imnet_feature_dist_scale_method='ratio')
    if program == 'MIC' and rng.random() < 0.8:
        uda.update(
            mask_mode='separatesrc' if file == 'dacs_srconly' else rng.choice(['separatetrgaug', 'separate']),
            mask_alpha=rng.choice(['same', 0]), mask_pseudo_threshold=rng.choice(['same', None]), mask_lambda=1,
            mask_generator=dict(type='block', mask_ratio=0.7, mask_block_size=rng.choice([32, 64]), _delete_=True))
    return file, uda


def draw(rng: random.Random, program: str) -> dict[str, Any]:
    """The content of a config as one of the programs generates it."""
    large = program in ('HRDA', 'MIC') and rng.random() < 0.7
    model_file, model = network(rng, program, large)
    uda_file, uda = adaptation(rng, program)
    pair = rng.choice(FULL if large else HALF) if program != 'EBDA' else 'cityscapes_to_acdc'
    train: dict[str, Any] = {}
    if uda_file and not uda_file.startswith(('advseg', 'minent')):
        train['rare_class_sampling'] = dict(
            min_pixels=3000, class_temp=rng.choice([0.01, float('inf')]), min_crop_ratio=2.0 if large else 0.5)
    if uda_file and large and pair.endswith('cityscapesHR'):
        train['target'] = dict(crop_pseudo_margins=[30, 240, 30, 30])
    elif uda_file and not large:
        uda.update(pseudo_weight_ignore_top=15, pseudo_weight_ignore_bottom=120)
    evaluation = dict(EBDA=dict(interval=2000, metric='mIoU', save_best='mIoU')).get(
        program, dict(interval=rng.choice([1600, 4000]), metric='mIoU'))
    keys: dict[str, Any] = dict(head=dict(lr_mult=10.0))
    if 'resnet' not in (model.get('pretrained') or ''):
        keys.update(pos_block=dict(decay_mult=0.0), norm=dict(decay_mult=0.0))
    return dict(
        _base_=[f'_base_/{file}.py' for file in (
            'default_runtime', f'models/{model_file}',
            f'datasets/uda_{pair}_{"1024x1024" if large else "512x512"}' if uda_file else 'datasets/cityscapes_512x512',
            *([f'uda/{uda_file}'] if uda_file else []), 'schedules/adamw', 'schedules/poly10warm')],
        gpu_model='NVIDIATITANRTX', n_gpus=1, seed=rng.randrange(3), model=model,
        data=dict(samples_per_gpu=1 if program == 'EBDA' else 2, workers_per_gpu=rng.choice([1, 4, 8]), train=train),
        **(dict(uda=uda) if uda_file else {}), optimizer_config=None,
        optimizer=dict(lr=6e-05, paramwise_cfg=dict(custom_keys=keys)),
        runner=dict(type='IterBasedRunner', max_iters=rng.choice([40000, 50000, 60000])),
        checkpoint_config=dict(by_epoch=False, interval=1600, max_keep_ckpts=rng.choice([1, 50])),
        evaluation=evaluation, log_config=dict(interval=100),
        name=f'{pair}_{uda_file}_{model_file}_s0', exp=rng.choice(['basic', 7, 40, 80]), name_dataset=pair,
        name_architecture=model_file, name_encoder='x', name_decoder='x', name_uda=str(uda_file), name_opt='adamw')


def aged(rng: random.Random, merged: dict[str, Any]) -> dict[str, Any]:
    """A merged dump as older versions of the programs left it beside a checkpoint."""
    content = lists(merged)
    model, head = content['model'], content['model']['decode_head']
    if head.get('type') == 'DAFormerHead' and rng.random() < 0.7:
        head['type'] = 'UniHead'
        head['decoder_params']['fusion_cfg']['fusion'] = head['decoder_params']['fusion_cfg']['type']
    if model['type'] == 'HRDAEncoderDecoder' and rng.random() < 0.5:
        model['type'], head['type'] = 'MultiResEncoderDecoder', 'MultiResAttentionWrapper'
        head.update(scales=[1, 0.5], enable_hr_crop=True, hr_slide_inference=True)
    if model['backbone']['type'].startswith('mit') and rng.random() < 0.5:
        model['backbone']['ema_drop_path_rate'] = 0.1
    model['train_cfg'] = dict(work_dir='work_dirs/x', log_config=content['log_config'])
    content['checkpoint_config']['meta'] = dict(mmseg_version='0.16.0', config='text', CLASSES=['road'])
    content.update(work_dir='work_dirs/x', git_rev='', gpu_ids=[0], total_iters=40000, fp16=None)
    if content.get('uda'):
        content.update(use_ddp_wrapper=True)
        for key in rng.sample(sorted(content['uda'].keys() - {'type'}), 3):  # older file, newer program
            if not key.startswith(('imnet', 'mask')):
                del content['uda'][key]
    return content


def look_alikes() -> Iterator[Any]:
    for program in PROGRAMS:
        for number in range(DRAWN):
            marks = [] if number < 3 else [pytest.mark.slow]
            yield pytest.param(program, number, id=f'{program}-{number}', marks=marks)


class StandIn:
    """Puts files with zeros where configs expect ImageNet weights; all tensors share their memory."""

    def __init__(self) -> None:
        Path('pretrained').mkdir()

    def write(self, model: Config) -> None:
        name = model.pretrained
        path = Path('pretrained', address(name).rpartition('/')[2]) if '://' in name else Path(name)
        if path.exists():  # of the same config in another spelling
            return
        with without_values():
            shapes = {key: value.shape for key, value in build_backbone(model.backbone).state_dict().items()}
        memory = torch.zeros(max(map(torch.Size.numel, shapes.values())))
        torch.save({key: memory[:shape.numel()].view(shape) for key, shape in shapes.items()}, path)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    monkeypatch.chdir(tmp_path)
    return StandIn()


def check_builds(cfg: Config, stand_in: StandIn) -> None:
    """The network is built and takes its ImageNet weights from the file that the config names."""
    stand_in.write(cfg.model)
    with without_values():
        model = model_zoo.build(cfg)
        model.init_weights()
    assert model.networks()['student'].num_classes == 19


@pytest.mark.parametrize('program, number', look_alikes())
def test_all_of_them_load_and_build(program: str, number: int, tmp_path: Path, stand_in: StandIn) -> None:
    rng = random.Random(f'{program} {number}')
    content = draw(rng, program)
    bases = [str(CONFIGS / base) for base in content['_base_']]
    child = tmp_path / 'child.json'
    child.write_text(json.dumps(dict(content, _base_=bases)))
    cfg = load_config(child)
    check_builds(cfg, stand_in)
    merged = Config.fromfile(child, lazy_import=False).to_dict()
    dump = tmp_path / 'dump.json'
    dump.write_text(json.dumps(aged(rng, merged)))
    old = load_config(dump)
    assert old.model.pretrained == cfg.model.pretrained
    assert old.model.decode_head.type == cfg.model.decode_head.type
    check_builds(old, stand_in)
