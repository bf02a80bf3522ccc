"""A hundred trainings are killed somewhere, also while they write a checkpoint; all end as if they had not been."""
from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.test_resume import ADVSEG, EXACT, MRM, UDA, assert_same_end, losses, start, wait_for
from tests.engine.tiny import tiny_config, write_images
from tests.models import nets
from tools import train as train_tool

ITERATIONS, TRIALS = 24, 100
MIC = dict(mask_mode='separatetrgaug', mask_lambda=1,
           mask_generator=dict(type='block', mask_ratio=0.5, mask_block_size=8))
METHODS: dict[str, dict[str, Any]] = dict(
    plain=dict(uda=None),
    dacs=dict(uda=UDA),
    daformer=dict(uda=dict(UDA, imnet_feature_dist_lambda=0.005, imnet_feature_dist_allow_random=True,
                           imnet_feature_dist_classes=[1, 2], imnet_feature_dist_scale_min_ratio=0.5)),
    hrda=dict(uda=UDA, model=nets.hrda_config(3, hr_crop_size=(32, 32))),
    mic=dict(uda=dict(UDA, **MIC)),
    mrm=dict(uda=MRM),
    ebda=dict(uda=dict(UDA, entropy_balance=dict(region='valid'))),
    dida=dict(uda=dict(UDA, instance_bank=dict(preset='cosine', size=6, warmup=0, interval=1))),
    advseg=dict(uda=ADVSEG),
    minent=dict(uda=dict(type='MinEnt')))


@pytest.fixture(scope='module')
def config(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Path], str]:
    """The file of a method's training into a folder."""
    large = write_images(tmp_path_factory.mktemp('large'), shape=(64, 96))

    def make(method: str, folder: Path) -> str:
        changes, is_hrda = copy.deepcopy(METHODS[method]), method == 'hrda'
        file = Path(tiny_config(large if is_hrda else images, folder, ITERATIONS, log_config=EXACT,
                                checkpoint_config=dict(interval=2, max_keep_ckpts=3), **changes).filename)
        if is_hrda:  # whose context is half as large
            file.write_text(file.read_text().replace('crop_size=(32, 32))', 'crop_size=(64, 64))'))
        return str(file)

    return make


@pytest.fixture(scope='module')
def whole(config, tmp_path_factory) -> Callable[[str], Path]:
    """The uninterrupted run of a method, made once."""
    folder, done = tmp_path_factory.mktemp('whole'), set()

    def get(method: str) -> Path:
        if method not in done:
            train_tool.main([config(method, folder / method)])
            done.add(method)
        return folder / method

    return get


def kill_somewhere(file: str, run: Path, rng: random.Random) -> None:
    """Start a training and kill it after a while, every other time in the writing of a checkpoint."""
    process = start(file)
    try:
        wait_for(process, lambda: list(run.glob('*.log.json')))
        if rng.random() < 0.5:
            wait_for(process, lambda: list(run.glob('.unfinished_*')))
        else:
            time.sleep(3 * rng.random())
    except AssertionError:
        assert process.poll() == 0  # it was done before
    process.kill()
    process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize('trial', range(TRIALS))
def test_a_killed_training_ends_as_if_it_had_not_been(config, whole, tmp_path, trial: int) -> None:
    method = list(METHODS)[trial % len(METHODS)]
    expected, run = whole(method), tmp_path / 'run'
    file = config(method, run)
    kill_somewhere(file, run, random.Random(trial))
    train_tool.main([file, '--resume-from', 'auto'])
    assert losses(run) == losses(expected)
    assert_same_end(run, expected)
    assert not list(run.glob('.unfinished_*'))
