"""docs/how-to/own_data.md from folder to adapted network: its files, configs and commands, with tiny images."""
from __future__ import annotations

import importlib
import re
import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmseg.apis import load_config
from mmseg.cli import run_experiments
from mmseg.datasets import CamVidDataset, build_dataset
from mmseg.experiments.suites import METHODS
from tests.test_docs import ROOT

TEXT = (ROOT / 'docs' / 'how-to' / 'own_data.md').read_text()
# What makes the examples small: sizes in their text, and settings behind it.
SMALL_SIZES = {'(512, 512)': '(64, 64)', '(1024, 768)': '(96, 72)', '(160, 160)': '(64, 64)', '(240, 180)': '(96, 72)',
               'workers_per_gpu=2': 'workers_per_gpu=0', 'samples_per_gpu=4': 'samples_per_gpu=2'}
SMALL_SETTINGS = '''
runner = dict(type='IterBasedRunner', max_iters=2)
checkpoint_config = dict(by_epoch=False, interval=2)
evaluation = dict(interval=2, metric='mIoU')
device = 'cpu'
'''
SMALL_MODEL = '''
model = dict(pretrained=None, backbone=dict(type='mit_b0'), decode_head=dict(
    num_classes=2, channels=32, in_channels=[32, 64, 160, 256], decoder_params=dict(embed_dims=32)))
'''


def section(title: str) -> str:
    return re.search(rf'^## {title}\n(.*?)(?=^## )', TEXT, re.MULTILINE | re.DOTALL)[1]


def write_files(text: str, folder: Path) -> list[Path]:
    """The blocks of a section whose first line names a file."""
    paths = []
    for name, content in re.findall(r'^```\w+\n# ([\w/.]+)\n(.*?)^```', text, re.MULTILINE | re.DOTALL):
        paths.append(folder / name)
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        paths[-1].write_text(content)
    return paths


def run_commands(text: str) -> int:
    """The commands of a section, each in this process; returns how many they were."""
    lines = '\n'.join(re.findall(r'^```sh\n(.*?)^```', text, re.MULTILINE | re.DOTALL)).splitlines()
    for line in lines:
        program, *arguments = shlex.split(line.removeprefix('python ').removeprefix('-m '))
        importlib.import_module(program.removesuffix('.py').replace('/', '.')).main(arguments)
    return len(lines)


def write_pair(root: Path, image: str, mask: str | None, values: list[int], seed: int) -> None:
    """A 96x128 image, and blocks of the values as its mask."""
    rng = np.random.RandomState(seed)
    pictures = {image: cv2.resize(rng.randint(0, 256, (6, 8, 3)).astype(np.uint8), (128, 96))}
    if mask is not None:
        pictures[mask] = np.kron(rng.choice(values, (6, 8)), np.ones((16, 16))).astype(np.uint8)
    for name, picture in pictures.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / name), picture)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A folder with the configs that the examples build on, in which commands run."""
    (tmp_path / 'configs').mkdir()
    for name in ('_base_', 'camvid'):
        (tmp_path / 'configs' / name).symlink_to(ROOT / 'configs' / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_small(config: Path, settings: str) -> None:
    text = config.read_text()
    for size, small in SMALL_SIZES.items():
        text = text.replace(size, small)
    config.write_text(text + settings)


def test_two_classes(project, capsys) -> None:
    data, text = project / 'data/cracks', section('Two classes: cracks')
    for i in range(3):
        write_pair(data, f'lab/images/{i}.jpg', f'lab/masks/{i}.png', [0, 255], i)
        write_pair(data, f'field/images/train/a{i}.jpg', None, [], 10 + i)
    write_pair(data, 'field/images/val/b.jpg', 'field/masks/val/b.png', [0, 255], 20)
    [config] = write_files(text, project)
    cfg = load_config(config)
    assert cfg.model.decode_head.num_classes == 2 and cfg.data.val.classes == ['sound', 'crack']
    make_small(config, SMALL_SETTINGS + SMALL_MODEL)
    assert run_commands(text) == 3
    output = capsys.readouterr().out
    assert re.search(r'crack\W+\d+\.\d', output), 'no IoU of the class in the output'
    run = project / 'work_dirs/cracks'
    assert any('student' in key or key.startswith('model.') for key in torch.load(run / 'latest.pth')['state_dict'])
    assert (run / 'val/b.jpg').is_file() and len(list((run / 'train').iterdir())) == 3
    assert len(list(data.glob('class_stats_*/sample_class_stats.json'))) == 1


def test_eleven_classes(project, capsys) -> None:
    data, text = project / 'data/camvid', section('Eleven classes: CamVid')
    for part in ('day_train', 'dusk_train', 'dusk_val'):
        for i in range(3):
            write_pair(data, f'images/{part}/{part}{i}.jpg', f'labels/{part}/{part}{i}.png', [*range(11), 255], i)
    *_, config = write_files(text, project)
    shipped = load_config(ROOT / 'configs/camvid/daformer.py')
    cfg = load_config(config)
    for key in ('model', 'uda', 'optimizer', 'lr_config', 'runner', 'evaluation', 'seed'):
        assert cfg[key] == shipped[key], key
    for part in ('source', 'target'):
        own, theirs = (build_dataset(config.data.train[part]) for config in (cfg, shipped))
        assert (own.CLASSES, own.PALETTE) == (CamVidDataset.CLASSES, CamVidDataset.PALETTE)
        samples = [dataset.get(1, np.random.RandomState(3)) for dataset in (own, theirs)]
        assert torch.equal(samples[0]['img'], samples[1]['img'])
        assert torch.equal(samples[0]['gt_semantic_seg'], samples[1]['gt_semantic_seg'])
    make_small(config, SMALL_SETTINGS)
    assert run_commands(text) == 3
    assert 'Bicyclist' in capsys.readouterr().out
    assert (project / 'work_dirs/camvid/latest.pth').exists() and (data / 'cache/source/cache.json').is_file()


def test_a_small_data_set(project, capsys) -> None:
    title = 'A small data set, all methods: a copy of configs/streets'
    copy, train = re.findall(r'^```sh\n(.*?)^```', section(title), re.MULTILINE | re.DOTALL)
    assert copy.split() == ['cp', '-r', 'configs/streets', 'configs/mystreets']
    shutil.copytree(ROOT / 'configs/streets', project / 'configs/mystreets')
    common = project / 'configs/mystreets/common.py'
    common.write_text(common.read_text().replace('data/camvid/', 'data/mine/'))
    (project / 'data/mine/images/target_train').mkdir(parents=True)
    program, *arguments = train.replace('\\\n', '').split()[1:]
    run_experiments.main([*arguments, '--dry-run'])
    names = re.findall(r'Run \d of 4: \d+_\d+_(\w+)_s0', capsys.readouterr().out)
    assert names == ['source_only', 'photometric', 'fda', 'daformer'] and program == 'run_experiments.py'
    for path in (project / 'configs/generated/local-mystreets').iterdir():
        source = load_config(path).data.train
        assert source.get('source', source).img_dir == 'data/mine/images/day_train'
    run_experiments.main(['--exp', 'configs/mystreets', '--list'])
    assert len(capsys.readouterr().out.split('with --methods also')[0].split()) == 3 * len(METHODS)
