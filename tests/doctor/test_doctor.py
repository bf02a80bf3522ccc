"""tools/doctor.py: finds what is wrong, says how to fix it, and never gives up."""
from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine import Config

from mmseg.apis import load_config
from mmseg.doctor import Report
from mmseg.doctor import machine as machine_checks
from mmseg.doctor import network as network_checks
from mmseg.doctor.known import expected_tree
from mmseg.models import build_backbone
from mmseg.utils.config_text import format_config
from tests.datasets import scenes
from tests.doctor.answer import Answer


def test_a_fit_training(cfg: Config, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    before = sorted(tmp_path.rglob('*'))
    answer = Answer(cfg, capsys)
    assert answer.status == 0 and not answer.problems
    assert sorted(tmp_path.rglob('*')) == before, 'the doctor wrote something'
    for part in ('torch 2', '4 of 4 images looked at, all fit: 48x32', '4 of 4 label maps read, all fit',
                 'share of pixels', '2 crops of 32x32 on cpu', 'mix.decode.loss_seg', 'of 32x32, estimated: 0.0',
                 'no problems, 2 warnings'):
        assert part in answer.text
    assert any('random weights' in warning for warning in answer.warnings)


def test_a_source_style_is_told(cfg: Config, capsys: pytest.CaptureFixture) -> None:
    answer = Answer(cfg, capsys, 'data.train.source_style.type=FourierAdaptation', 'data.train.source_style.beta=0.05')
    assert answer.status == 0 and 'style of target images: FourierAdaptation(beta=0.05)' in answer.text


def test_every_finding_says_how_to_mend_it(cfg: Config, images: Path, capsys: pytest.CaptureFixture) -> None:
    (images / 'img' / '2.png').write_bytes(b'no image')
    text = Answer(cfg, capsys, 'optimizer.lrr=1', 'model.decode_head.num_classes=5').text
    blocks = [block for block in re.split(r'\n(?=  \w|\n)', text) if re.match(r'\s*(problem|warning)', block)]
    assert len(blocks) > 5 and all('\n            fix: ' in block for block in blocks)


def test_it_does_not_stop_at_the_first_mistake_in_a_config(cfg: Config, capsys: pytest.CaptureFixture) -> None:
    answer = Answer(cfg, capsys, 'runner.max_iters=-1', 'optimizer.lrr=3', 'uda.alphaa=2', 'data.val.type=Nix')
    assert answer.status == 1
    for pattern in ('max_iters: has to be a whole number of at least 1, not -1', "'alphaa'", "'Nix'",
                    "'lrr' is not known, did you mean 'lr'"):
        answer.problem(pattern)
    assert '2 crops of 32x32 on cpu' in answer.text, 'without the wrong entries the rest was tried'


@pytest.mark.parametrize('content', ['model = 3', 'data = dict(train=[])', 'model = dict(', 'uda = dict(type="DACS")',
                                     'data = dict(train=dict(type="UDADataset"))', '_base_ = "absent.py"'])
def test_broken_configs_are_findings(content: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / 'broken.py').write_text(content)
    answer = Answer(tmp_path / 'broken.py', capsys)
    assert answer.status == 1 and answer.problems and 'machine' in answer.text


def test_a_config_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert 'does not exist' in Answer(tmp_path / 'absent.py', capsys).problem('absent.py')


# data


@pytest.fixture
def game(cfg: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """GTA and Cityscapes in their layouts, with rare class sampling; images of other sizes than published."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    source = scenes.game_cfg(scenes.write_game(tmp_path / 'game'))
    target = scenes.city_cfg(scenes.write_city(tmp_path / 'city'))
    val = scenes.city_cfg(scenes.write_city(tmp_path / 'city', 'val'), 'val', pipeline=scenes.test_pipeline())
    content = cfg.to_dict()
    content['data'].update(val=val, train=dict(type='UDADataset', source=source, target=target,
                                               rare_class_sampling=dict(min_pixels=50, class_temp=0.1)))
    content['model']['decode_head']['num_classes'] = 19
    content['evaluation'] = dict(interval=2)
    Path(cfg.filename).write_text(format_config(content))
    return cfg


def test_several_sources_may_have_classes_of_their_own(game: Config, tmp_path: Path,
                                                       capsys: pytest.CaptureFixture) -> None:
    content = load_config(game.filename).to_dict()
    pair = content['data']['train']
    for i in range(4):
        scenes.write_label(tmp_path / 'game' / 'few' / f'{i:05d}_labelTrainIds.png', i, ids=(0, 1, 255))
    few = dict(pair['source'], type='CustomDataset', classes=['rider', 'road'], ann_dir='few', img_suffix='.png',
               seg_map_suffix='_labelTrainIds.png')
    content['data']['train'] = dict(type='MultiSource', sources=[pair['source'], few], target=pair['target'],
                                    rare_class_sampling=pair['rare_class_sampling'])
    Path(game.filename).write_text(format_config(content))
    answer = Answer(game, capsys)
    assert not answer.problems and answer.text.count('statistics for rare class sampling are not there') == 2
    assert 'data.train.sources.1: CustomDataset' in answer.text and '2 crops of 32x32 on cpu' in answer.text


def test_layouts_of_the_benchmarks(game: Config, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    answer = Answer(game, capsys)
    assert answer.status == 0, answer.problems
    assert '4 images of other sizes than the published 1914x1052' in answer.text
    assert any('statistics for rare class sampling are not there' in warning for warning in answer.warnings)
    assert not list((tmp_path / 'game').glob('*.json')), 'counting is left to the training'


def test_rare_class_probabilities(game: Config, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from mmseg.datasets import build_dataset
    dataset = build_dataset(game.fromfile(game.filename).data.train)
    capsys.readouterr()
    text = Answer(game, capsys).text
    drawn = dict(zip(dataset.sampler.classes.tolist(), dataset.sampler.probabilities.tolist()))
    for index, name in enumerate(dataset.CLASSES):
        row = re.search(rf'\| {name} +\| .*\|', text)[0].split('|')
        assert float(row[4].strip(' %')) == pytest.approx(100 * drawn.get(index, 0), abs=0.05)
        assert int(row[3]) == len(dataset.sampler.images.get(index, ()))
    assert 'no label map holds wall, fence' in text


def test_missing_folders_are_answered_with_the_tree(game: Config, tmp_path: Path,
                                                    capsys: pytest.CaptureFixture) -> None:
    (tmp_path / 'game' / 'images').rename(tmp_path / 'game' / 'pictures')
    shutil.rmtree(tmp_path / 'city' / 'leftImg8bit' / 'val')
    answer = Answer(game, capsys)
    assert answer.status == 1 and 'with synthetic images' in answer.text and 'crops of' in answer.text
    found = answer.problem('game/images does not exist')
    for part in ('game holds labels, pictures', '├── images/*.png', '└── labels/*_labelTrainIds.png',
                 f'python -m tools.convert_datasets.gta {tmp_path}/game'):
        assert part in found
    assert '├── leftImg8bit/val/<city>/*_leftImg8bit.png' in answer.problem('leftImg8bit/val does not exist')


def test_own_folders_and_archives_have_a_tree_too() -> None:
    own = dict(type='FolderDataset', data_root='data/mine', img_dir='sim', ann_dir=['a', 'b'], split='train.txt')
    assert expected_tree(own, True).splitlines() == ['data/mine', '├── sim/*', '├── a/*', '├── b/*', '└── train.txt']
    packed = dict(type='GTADataset', data_root='data/gta.zip', img_dir='images', ann_dir='labels')
    assert expected_tree(packed, False).splitlines() == ['data/gta.zip', '└── images/*.png']


def test_labels_that_are_not_there(game: Config, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / 'game' / 'labels' / '00001_labelTrainIds.png').unlink()
    found = Answer(game, capsys).problem('1 of 4 label maps do not exist, such as .*00001_labelTrainIds.png')
    assert 'fix: python -m tools.convert_datasets.gta' in found


def test_a_sample_of_the_files_is_read(game: Config, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    labels = tmp_path / 'game' / 'labels'
    scenes.write_label(labels / '00000_labelTrainIds.png', 0, ids=(33,))
    scenes.write_label(labels / '00001_labelTrainIds.png', 0, size=(16, 16))
    image = tmp_path / 'game' / 'images' / '00002.png'
    image.write_bytes(image.read_bytes()[:200])
    answer = Answer(game, capsys)
    answer.problem(r'00000_labelTrainIds.png holds the ids \[33\]')
    answer.problem('00001_labelTrainIds.png is 16x16 but image .*00001.png is 96x48')
    answer.problem('00002.png: the file is damaged')
    assert '4 of 4 images looked at, 1 not fit' in answer.text and '4 of 4 label maps read, 2 not fit' in answer.text


def test_labels_of_nothing_but_ignored_pixels(game: Config, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for path in (tmp_path / 'city' / 'gtFine' / 'val').rglob('*.png'):
        cv2.imwrite(str(path), np.full(scenes.SIZE, 255, np.uint8))
    Answer(game, capsys).problem('nothing but 255')


def test_the_published_sets_are_counted(game: Config, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for i in range(3):
        stem = f'val/ulm/ulm_{i:06d}_000019'
        scenes.write_image(tmp_path / 'city' / 'leftImg8bit' / f'{stem}_leftImg8bit.png', i, (1024, 2048))
        scenes.write_label(tmp_path / 'city' / 'gtFine' / f'{stem}_gtFine_labelTrainIds.png', i, (1024, 2048))
    assert '3 images, the published data set has 500 there' in Answer(game, capsys).text


def test_what_the_first_evaluation_would_meet(game: Config, capsys: pytest.CaptureFixture) -> None:
    answer = Answer(game, capsys, 'evaluation.metric=mIou', 'data.val=None')
    answer.problem('evaluation.metric: has to be one of')
    answer.problem('no data.val')


NORM = dict(mean=[1., 2., 3.], std=[4., 5., 6.], to_rgb=True)


@pytest.mark.parametrize('change, pattern', [
    (lambda val: val['pipeline'].pop(1), 'a pipeline for evaluation gives a list of tensors'),
    (lambda val: val['pipeline'][1]['transforms'].pop(2), 'data.val is normalised by .* other values'),
    (lambda val: val['pipeline'][1]['transforms'][2].update(NORM), r'normalised by .*\[1.0, 2.0, 3.0\]'),
    (lambda val: val['pipeline'][1].update(img_scale=(4, 4)), 'need at least .* pixels')])
def test_what_is_wrong_with_a_validation_pipeline(game: Config, capsys: pytest.CaptureFixture, change: Callable,
                                                  pattern: str) -> None:
    content = load_config(game.filename).to_dict()
    change(content['data']['val'])
    Path(game.filename).write_text(format_config(content))
    answer = Answer(game, capsys)
    answer.problem(pattern)
    assert answer.status == 1 and not re.search(r'Error: |\.py, line', '\n'.join(answer.problems))


def test_windows_that_no_network_can_see(game: Config, capsys: pytest.CaptureFixture) -> None:
    slide = ['model.test_cfg.mode=slide', 'model.test_cfg.stride=[4,4]', 'model.test_cfg.crop_size=[{0},{0}]']
    found = Answer(game, capsys, *(part.format(4) for part in slide)).problem('need at least .* pixels')
    assert 'model.test_cfg' in found
    assert 'the prediction is 96x48' in Answer(game, capsys, *(part.format(32) for part in slide)).text


@pytest.mark.parametrize('option, pattern', [
    ('model.decode_head.in_channels=[1,2,3,4]', r'in_channels.*\[1, 2, 3, 4\]'),
    ('model.decode_head.in_index=[0,1,2,7]', 'names a level that there is not'),
    ('model.decode_head.loss_decode.class_weight=[1.0,2.0]', 'class_weight of CrossEntropyLoss has 2 entries for')])
def test_what_a_network_refuses_is_said_without_its_exception(cfg: Config, capsys: pytest.CaptureFixture, option: str,
                                                              pattern: str) -> None:
    answer = Answer(cfg, capsys, option)
    assert re.search(pattern, answer.text)
    assert answer.problems and not re.search(r'Error: |\.py, line', '\n'.join(answer.problems))


def test_the_built_in_benchmark_is_no_resized_cityscapes(game: Config, capsys: pytest.CaptureFixture) -> None:
    assert not any('other sizes' in warning for warning in Answer(game, capsys).warnings)


# network


def test_pretrained_weights(cfg: Config, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    backbone = build_backbone(cfg.model.backbone)
    torch.save(backbone.state_dict(), tmp_path / 'own.pth')
    torch.save({'patch_embed1.proj.weight': torch.zeros(1)}, tmp_path / 'other.pth')
    fits = Answer(cfg, capsys, f'model.pretrained={tmp_path}/own.pth')
    assert fits.status == 0 and 'own.pth holds the weights of the encoder' in fits.text
    Answer(cfg, capsys, f'model.pretrained={tmp_path}/other.pth').problem('other.pth does not hold the weights')
    found = Answer(cfg, capsys, f'model.pretrained={tmp_path}/absent.pth').problem('no pretrained weights at')
    assert 'tools/download_checkpoints.sh' in found


def test_number_of_classes(cfg: Config, capsys: pytest.CaptureFixture) -> None:
    found = Answer(cfg, capsys, 'model.decode_head.num_classes=5').problem('predicts 5 classes, the data set has 3')
    assert 'model.decode_head.num_classes=3' in found


def test_losses_that_are_no_numbers(cfg: Config, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / 'weights.json').write_text(str([1e39] * cfg.model.decode_head.num_classes))
    answer = Answer(cfg, capsys, f'model.decode_head.loss_decode.class_weight={tmp_path}/weights.json')
    answer.problem('not a finite number: decode.loss_seg')


def test_impossible_combinations(cfg: Config, capsys: pytest.CaptureFixture) -> None:
    Answer(cfg, capsys, 'uda.imnet_feature_dist_lambda=0.005').problem('compares the encoder with its ImageNet weights')


def test_large_crops_are_tried_small(cfg: Config, capsys: pytest.CaptureFixture) -> None:
    """The pipeline still has to deliver the full size, which these images are too small for."""
    options = [f'data.train.{part}.pipeline.2.crop_size=(512,512)' for part in ('source', 'target')]
    answer = Answer(cfg, capsys, *options)
    assert answer.status == 0 and '2 crops of 32x48 on cpu' in answer.text
    assert 'of 512x512, estimated: 0.' in answer.text


def test_too_little_memory(cfg: Config, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_checks, 'total_memory', lambda device: 2**10)
    answer = Answer(cfg, capsys)
    assert answer.status == 1 and 'data.samples_per_gpu' in answer.problem(r'estimated: 0\.\d+ GiB.* cpu has 0\.0 GiB')


def test_a_step_that_cannot_be_estimated_is_no_problem(cfg: Config, capsys: pytest.CaptureFixture,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    def needs_values(*_: Any) -> int:
        raise RuntimeError('a tensor has no value')

    monkeypatch.setattr(network_checks, 'estimated_bytes', needs_values)
    answer = Answer(cfg, capsys)
    assert answer.status == 0 and any('a tensor has no value' in warning for warning in answer.warnings)


# machine


def test_packages_are_compared_with_the_requirements(monkeypatch: pytest.MonkeyPatch,
                                                     capsys: pytest.CaptureFixture) -> None:
    wanted = ['torch>=99', 'no-such-package', 'numpy', "other; extra == 'onnx'"]
    monkeypatch.setattr(machine_checks, 'requires', lambda name: wanted)
    report = Report()
    machine_checks.check_machine(report, 'cpu')
    text = capsys.readouterr().out
    assert report.counts['problem'] == 2 and 'needed is >=99' in text and 'no-such-package is not installed' in text


def test_a_device_that_is_not_there(capsys: pytest.CaptureFixture) -> None:
    report = Report()
    assert machine_checks.check_machine(report, 'cuda:77') is None
    assert report.counts['problem'] == 1 and 'use --device cpu' in capsys.readouterr().out
