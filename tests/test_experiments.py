"""The numbered experiments: their configs load over our base files, build and train, and configs/ says the same."""
from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine import Config

from experiments import EXPERIMENTS, generate_experiment_cfgs
from mmseg.config.reading import load_config
from mmseg.engine.optim import build_optim_wrapper
from mmseg.experiments.runs import Run, grid
from mmseg.models.outline import without_values
from tests.models.uda.conftest import NORM, make_batch
from tests.parity import model_zoo

CONFIGS = Path(__file__).parents[1] / 'configs'
ABOUT = ('name', 'exp', 'name_dataset', 'name_architecture', 'name_encoder', 'name_decoder', 'name_uda', 'name_opt',
         'seed', 'n_gpus', 'gpu_model')
PAPERS = {  # file: number of the experiment, source, target, seed
    'daformer/gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py': (6, 'gta', 'cityscapes', 0),
    'daformer/syn2cs_daformer.py': (7, 'synthia', 'cityscapes', 0),
    'daformer/cs2acdc_daformer.py': (8, 'cityscapes', 'acdc', 0),
    'daformer/cs2dzur_daformer.py': (8, 'cityscapes', 'darkzurich', 0),
    'hrda/gtaHR2csHR_hrda.py': (40, 'gtaHR', 'cityscapesHR', 1),
    'hrda/synHR2csHR_hrda.py': (40, 'synthiaHR', 'cityscapesHR', 0),
    'hrda/csHR2acdcHR_hrda.py': (49, 'cityscapesHR', 'acdcHR', 0),
    'hrda/csHR2dzurHR_hrda.py': (49, 'cityscapesHR', 'darkzurichHR', 0),
    'dida/gta2cs_dida_daformer_mitb5.py': (70, 'gta', 'cityscapes', 0),
    'dida/syn2cs_dida_daformer_mitb5.py': (71, 'synthia', 'cityscapes', 2),
    'ebda/cs2acdc_ebda_daformer_mitb5.py': (60, 'cityscapes', 'acdc', 0),
    'ebda/cs2foggyrain_ebda_daformer_mitb5.py': (60, 'cityscapes', 'foggyrain', 0),
    'mic/gtaHR2csHR_mic_hrda.py': (80, 'gtaHR', 'cityscapesHR', 2),
    'mic/synHR2csHR_mic_hrda.py': (80, 'synthiaHR', 'cityscapesHR', 0),
    'mic/csHR2acdcHR_mic_hrda.py': (80, 'cityscapesHR', 'acdcHR', 0),
    'mic/csHR2dzurHR_mic_hrda.py': (80, 'cityscapesHR', 'darkzurichHR', 0),
    'gta2cs_dacs_mrm_dlv2.py': (90, 'gta', 'cityscapes', 0),
    'syn2cs_dacs_mrm_dlv2.py': (90, 'synthia', 'cityscapes', 0),
    'mrm/gta2cs_daformer_mrm.py': (91, 'gta', 'cityscapes', 0),
    'mrm/syn2cs_daformer_mrm.py': (91, 'synthia', 'cityscapes', 0),
    'mrm/gtaHR2csHR_hrda_mrm.py': (92, 'gtaHR', 'cityscapesHR', 0),
    'mrm/synHR2csHR_hrda_mrm.py': (92, 'synthiaHR', 'cityscapesHR', 0),
    'mrm/gtaHR2csHR_mic_hrda_mrm.py': (93, 'gtaHR', 'cityscapesHR', 0),
    'mrm/synHR2csHR_mic_hrda_mrm.py': (93, 'synthiaHR', 'cityscapesHR', 0),
}
ANNOTATED = ('daformer/gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py', 'hrda/gtaHR2csHR_hrda.py',
             'mic/gtaHR2csHR_mic_hrda.py', 'gta2cs_dacs_mrm_dlv2.py', 'syn2cs_dacs_mrm_dlv2.py')
# of DAFormer and EBDA on ACDC and Dark Zurich, which were published with margins
published_margins = pytest.mark.filterwarnings('ignore:.*margins without pseudo labels')


def setting(cfg: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in cfg.items() if key not in ABOUT}


def settings() -> dict[str, dict[str, Any]]:
    """The configs that differ in more than seed and names, by number and name."""
    found = {}
    for experiment in EXPERIMENTS:
        for cfg in generate_experiment_cfgs(experiment.number):
            found.setdefault(json.dumps(setting(cfg)), cfg)
    return {f'{cfg["exp"]}:{cfg["name"]}': cfg for cfg in found.values()}


def kind(run: Run) -> Hashable:
    """Head, inference mode, UDA method and objectives: what makes another program."""
    host = run.uda.partition('_')[0] if run.adapts else 'plain'
    objectives = frozenset(key.partition('_')[0] for objective in run.objectives for key in objective.keys)
    return run.decoder, run.hrda is not None, run.slide, host, objectives


def representatives(key: Callable[[Run], Hashable]) -> list[str]:
    """The first setting for each value of the key."""
    first: dict[Hashable, str] = {}
    for experiment in EXPERIMENTS:
        for run in experiment.runs:
            first.setdefault(key(run), f'{experiment.number}:{run.name}')
    return list(first.values())


def slow_but(quick: list[str], names: Iterable[str]) -> list[Any]:
    """Cases of which only the quick ones belong to the normal suite."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


SETTINGS, REPRESENTATIVES = settings(), representatives(kind)
EACH_KIND = slow_but(REPRESENTATIVES, SETTINGS)
# in the normal suite one head for each inference mode and UDA method
TRAINED = slow_but(representatives(lambda run: kind(run)[1:]), REPRESENTATIVES)
SHRINK, MIN_SIDE = 8, 32  # MiT needs 29 pixels
# channels of the encoder's levels: MiT-B5 to MiT-B0, ResNet-101 to a ResNet-18 of an eighth of the width
MIT_WIDTHS = {64: 32, 128: 64, 320: 160, 512: 256}
RESNET_WIDTHS = {256: 8, 512: 16, 1024: 32, 2048: 64}
RESNET18 = dict(depth=18, base_channels=8, stem_channels=8)


def load(cfg: dict[str, Any], folder: Path) -> Config:
    path = folder / 'experiment.json'
    path.write_text(json.dumps(dict(cfg, _base_=[str(CONFIGS / base) for base in cfg['_base_']])))
    return load_config(path)


def check_holds(actual: Any, expected: Any, key: str) -> None:
    """Every value of the experiment stands in the merged config."""
    if isinstance(expected, dict):
        for name in expected.keys() - {'_delete_'}:
            assert name in actual, f'{key}.{name}'
            check_holds(actual[name], expected[name], f'{key}.{name}')
    elif isinstance(expected, list):
        assert list(actual) == expected, key
    else:
        assert actual == expected, key


@published_margins
@pytest.mark.parametrize('name', SETTINGS)
def test_experiments_load(name: str, tmp_path: Path) -> None:
    cfg = SETTINGS[name]
    merged = load(cfg, tmp_path).to_dict()
    check_holds(merged, {key: value for key, value in cfg.items() if key != '_base_'}, name)
    assert {'model', 'data', 'optimizer', 'lr_config', 'log_config'} <= merged.keys()


@published_margins
@pytest.mark.parametrize('name', EACH_KIND)
def test_experiments_build(name: str, tmp_path: Path) -> None:
    with without_values():
        model = model_zoo.build(load(SETTINGS[name], tmp_path))
    assert all(parameter.is_meta for parameter in model.parameters())
    assert model.networks()['student'].num_classes == 19


def shrunk(cfg: Config) -> Config:
    """The same training with MiT-B0 or ResNet-18, head, crops, blocks and ignored rows divided by 8."""
    model, head = cfg.model, cfg.model.decode_head
    mit = model.backbone.type.startswith('mit')
    widths = MIT_WIDTHS if mit else RESNET_WIDTHS
    model.update(pretrained=None, backbone=dict(type='mit_b0') if mit else dict(model.backbone, **RESNET18))
    for key in ('in_channels', 'c1_in_channels'):
        if head.get(key):
            head[key] = [widths[c] for c in head[key]] if isinstance(head[key], list) else widths[head[key]]
    decoder = head.get('decoder_params', {})
    for part, key in ((head, 'channels'), (decoder, 'embed_dims'), (decoder.get('fusion_cfg', {}), 'isa_channels')):
        if key in part:
            part[key] //= SHRINK
    if 'hr_crop_size' in model:
        model.hr_crop_size = [side // SHRINK for side in model.hr_crop_size]
    if model.test_cfg.mode == 'slide':
        side = max(model.test_cfg.crop_size[0] // SHRINK, MIN_SIDE)
        model.test_cfg.update(crop_size=(side, side), stride=(side // 2, side // 2))
    shrink_method(cfg.get('uda', {}))
    return cfg


def shrink_method(uda: Any) -> None:
    for key in ('pseudo_weight_ignore_top', 'pseudo_weight_ignore_bottom'):
        if key in uda:
            uda[key] //= SHRINK
    if uda.get('mask_mode'):
        uda.mask_generator.mask_block_size //= SHRINK
    if uda.get('mrm'):
        uda.mrm.update(dim=16, heads=2)
    if uda.get('type') == 'DACS':
        uda.imnet_feature_dist_allow_random = True


def training_batch(cfg: Config) -> dict[str, Any]:
    """Noise with random labels in an eighth of the crop size."""
    train = cfg.data.train
    pipeline = train.get('source', train).pipeline
    crop = train.get('sync_crop_size') or next(step.crop_size for step in pipeline if step.type == 'RandomCrop')
    side = max(crop[0] // SHRINK, MIN_SIDE)
    batch = make_batch(cfg.data.samples_per_gpu, (side, side), num_classes=19)
    margins = train.get('target', {}).get('crop_pseudo_margins')
    if margins:
        top, bottom = margins[0] // SHRINK, margins[1] // SHRINK
        batch['valid_pseudo_mask'] = torch.ones(len(batch['img']), 1, side, side, dtype=torch.uint8)
        batch['valid_pseudo_mask'][..., :top, :] = batch['valid_pseudo_mask'][..., side - bottom:, :] = 0
    return batch


@published_margins
@pytest.mark.parametrize('name', TRAINED)
def test_experiments_train_and_predict(name: str, tmp_path: Path) -> None:
    cfg = shrunk(load(SETTINGS[name], tmp_path))
    torch.manual_seed(0)
    model = model_zoo.build(cfg).train()
    model.start(seed=0, rank=0, iteration=0)
    wrapper, batch, student = build_optim_wrapper(model, cfg), training_batch(cfg), model.networks()['student']
    before = {name: p.detach().clone() for name, p in student.backbone.named_parameters()}
    for _ in range(2):
        logs = model.train_step(batch, wrapper)
        assert all(torch.isfinite(value).all() for value in logs.values()), logs
    still = [name for name, p in student.backbone.named_parameters() if torch.equal(p, before[name])]
    assert not still, 'parameters that do not learn'
    groups = {key.partition('.')[0] for key in logs} - {'decode'}
    expected = {'DACS': {'mix', 'pseudo_weight'}, 'AdvSeg': {'G_trg', 'D_src', 'D_trg'}, 'MinEnt': {'ent'}}
    uda = cfg.get('uda', {})
    assert groups == expected.get(uda.get('type'), set()) | ({'masked'} if uda.get('mask_mode') else set()) | (
        {'src'} if uda.get('imnet_feature_dist_lambda') else set()) | ({'target'} if uda.get('mrm') else set()) | (
        {'instance'} if uda.get('instance_bank') else set())
    side = batch['img'].shape[-1]
    wide = side + side // 2
    meta = dict(img_norm_cfg=NORM, ori_shape=(side, wide, 3), img_shape=(side, wide, 3), flip=False)
    classes = student.eval().predict([torch.randn(1, 3, side, wide)], [[meta]])
    assert classes.shape == (1, side, wide) and classes.max() < 19


def test_numbers_are_unique_and_runs_have_names_of_their_own() -> None:
    numbers = [experiment.number for experiment in EXPERIMENTS]
    assert len(set(numbers)) == len(numbers)
    for experiment in EXPERIMENTS:
        names = [run.name for run in experiment.runs]
        assert len(set(names)) == len(names), experiment.number


def test_an_unknown_number_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r'no experiment 50, only 1, 2, .*, 85, .*--list'):
        generate_experiment_cfgs(50)


def test_a_grid_combines_settings_the_first_axis_slowest() -> None:
    assert grid([dict(a=1), dict(a=2)], dict(b=0), [dict(c=3), {}]) == (
        dict(a=1, b=0, c=3), dict(a=1, b=0), dict(a=2, b=0, c=3), dict(a=2, b=0))


@published_margins
@pytest.mark.parametrize('file', PAPERS)
def test_configs_of_the_papers_are_the_experiments(file: str, tmp_path: Path) -> None:
    number, source, target, seed = PAPERS[file]
    [experiment] = [experiment for experiment in EXPERIMENTS if experiment.number == number]
    first = experiment.seeds[0]
    [run] = [run for run in experiment.runs if (run.source, run.target, run.seed) == (source, target, first)
             and run.decoder in ('daformer_sepaspp', 'dlv2red') and run.adapts]
    ours = load_config(CONFIGS / file)
    assert ours.seed == seed
    assert setting(ours.to_dict()) == setting(load(run.config(number), tmp_path).to_dict())


@pytest.mark.parametrize('file', ANNOTATED)
def test_annotated_configs_name_themselves_and_their_parts(file: str) -> None:
    cfg = load_config(CONFIGS / file)
    assert cfg.name == Path(file).stem and cfg.exp == 'basic'
    assert cfg.name_architecture == f'{cfg.name_decoder}_{cfg.name_encoder}'
