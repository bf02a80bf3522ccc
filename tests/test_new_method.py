"""docs/how-to/new_method.md: its objective, saved where the page says, trains on a small built-in benchmark."""
from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmseg.registry import HOOKS, OBJECTIVES
from mmseg.report.logs import read_log
from tests.models.uda.conftest import make_batch, make_host
from tests.test_docs import ROOT
from tools import train

TEXT = (ROOT / 'docs' / 'how-to' / 'new_method.md').read_text()
SMALL = ['runner.max_iters=3', 'checkpoint_config.interval=2', 'evaluation.interval=3', 'log_config.interval=1',
         'log_config.img_interval=100', 'model.decode_head.channels=16',
         'model.decode_head.decoder_params.embed_dims=16', 'uda.diversity.weight=1.0', 'device=cpu']
IMAGES = [('game/images/{}.png', 'game/labels/{}_labelTrainIds.png'),
          ('camera/leftImg8bit/train/a/{}_leftImg8bit.png', 'camera/gtFine/train/a/{}_gtFine_labelTrainIds.png'),
          ('camera/leftImg8bit/val/a/{}_leftImg8bit.png', 'camera/gtFine/val/a/{}_gtFine_labelTrainIds.png')]


def write_small_benchmark(folder: Path) -> None:
    """Two noisy images with labels in each place where the built-in benchmark has some."""
    rng = np.random.RandomState(0)
    for names in IMAGES:
        for number in range(2):
            label = np.kron(rng.randint(0, 19, (6, 12)), np.ones((16, 16))).astype(np.uint8)
            for name, picture in zip(names, (rng.randint(0, 256, (96, 192, 3)).astype(np.uint8), label)):
                path = folder / name.format(number)
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), picture)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with our configs and what the page tells to save, as the current one; the method is gone afterwards."""
    for name in ('_base_', 'toy'):
        (tmp_path / 'configs' / name).parent.mkdir(exist_ok=True)
        (tmp_path / 'configs' / name).symlink_to(ROOT / 'configs' / name)
    files = re.findall(r'Save\s+this\s+as\s+`([\w/.]+)`:\n\n```python\n(.*?)^```', TEXT, re.MULTILINE | re.DOTALL)
    for name, content in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ('Diversity', 'Mirrored'):
        OBJECTIVES.module_dict.pop(name, None)
    HOOKS.module_dict.pop('Lowest', None)


@pytest.mark.filterwarnings('ignore:rare class sampling leaves out')
def test_the_page_leads_to_a_trained_run(project: Path) -> None:
    assert len((project / 'mine/diversity.py').read_text().splitlines()) < 40
    write_small_benchmark(project / 'data/toy')
    flags = re.search(r'^python -m tools.train (configs/mine.*)$', TEXT, re.MULTILINE)[1].split()
    train.main([*flags, '--options', *SMALL])
    log = read_log(project / 'work_dirs/diversity')
    assert 'mIoU' in log.val[3]
    assert sorted(log.train) == [1, 2, 3]
    for row in log.train.values():
        assert 0 <= row['mix.loss_diversity'] == pytest.approx(math.log(19) - row['mix.diversity'], abs=2e-4)
    # what the page says that one can count on
    with pytest.raises(TypeError, match="did you mean 'weight'"):
        make_host(diversity=dict(wieght=1))
    (without, wrapper), (other, other_wrapper) = make_host(), make_host(diversity=dict(weight=1.))
    first, second = without.train_step(make_batch(), wrapper), other.train_step(make_batch(), other_wrapper)
    assert first.items() <= second.items() and len(second) == len(first) + 2


def test_it_passes_the_tests_that_it_inherits(project: Path) -> None:
    command = re.search(r'^python (-m pytest mine/.*)$', TEXT, re.MULTILINE)[1].split()
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]))
    result = subprocess.run([sys.executable, *command, '-rA'], env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    assert 'PASSED mine/test_diversity.py::TestDiversity::test_switched_off_it_is_as_absent' in result.stdout


@pytest.mark.filterwarnings('ignore:rare class sampling leaves out')
def test_a_branch_of_its_own_beside_mic_and_mrm(project: Path) -> None:
    write_small_benchmark(project / 'data/toy')
    train.main(['configs/mine/mirrored.py', '--work-dir', 'work_dirs/mirrored', '--seed', '0', '--no-validate',
                '--options', *SMALL[:-2], 'device=cpu'])
    rows = read_log(project / 'work_dirs/mirrored').train
    assert all({'mirrored.decode.loss_seg', 'masked.decode.loss_seg', 'target.decode.loss_seg'} <= row.keys()
               for row in rows.values())
    with pytest.raises(ValueError, match=r'Mirrored \(uda.mirrored\) learns from pseudo labels: .*source_only'):
        make_host(mirrored=dict(), source_only=True)


@pytest.mark.filterwarnings('ignore:rare class sampling leaves out')
def test_a_hook_of_its_own_speaks_and_goes_on(project: Path) -> None:
    write_small_benchmark(project / 'data/toy')
    common = ['configs/mine/lowest.py', '--seed', '0', '--no-validate', '--work-dir']
    train.main([*common, 'work_dirs/lowest', '--options', *SMALL[:-2], 'device=cpu'])
    told = re.findall(r'lowest mix.decode.loss_seg so far: ([\d.]+)',
                      next((project / 'work_dirs/lowest').glob('*.log')).read_text())
    rows = read_log(project / 'work_dirs/lowest').train.values()
    assert float(told[-1]) == pytest.approx(min(row['mix.decode.loss_seg'] for row in rows), abs=1e-4)
    state = torch.load(project / 'work_dirs/lowest/latest.pth', weights_only=True)['hooks']
    assert state == dict(Lowest=dict(value=pytest.approx(float(told[-1]), abs=1e-4)))
