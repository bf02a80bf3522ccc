"""The harness itself, on reduced copies of the golden files: they may hold some families of cases and lack others."""
from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.parity import golden, test_rcs, test_train_step

TESTS = Path(__file__).parent


def reduce(folder: Path, file: str, keep: str) -> None:
    """Copy what the names in a file match: its first keys, and those below where there are any."""
    if file.endswith('.npz'):
        with np.load(golden.ROOT / file) as arrays:
            np.savez(folder / file, **{name: arrays[name] for name in arrays if re.match(keep, name)})
        return
    content = json.loads((golden.ROOT / file).read_text())
    kept = {}
    for name, value in content.items():
        below = {f'{name}/{key}': key for key in value} if isinstance(value, dict) else {}
        chosen = {key: value[key] for path, key in below.items() if re.match(keep, path)}
        if re.match(keep, name) or chosen:
            kept[name] = chosen or value
    (folder / file).write_text(json.dumps(kept))


COMPONENTS = ('test_entropy_balance', 'test_dida_components', 'test_dida_ebda_steps', 'test_mic_components',
              'test_miou', 'test_rcs', 'test_uda_components')
NUMBERS = ('test_losses_grads', 'test_pipeline', 'test_train_step')


@pytest.fixture(scope='module')
def reduced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Counter[str], str]:
    """What test modules make of reduced files: their number of tests that passed, and the whole output."""
    folder = tmp_path_factory.mktemp('reduced')
    for file, keep in (('dida_ebda.json', 'ebda/loss'), ('dida_ebda.npz', 'ebda/loss'),
                       ('uda_components.json', 'ema|blur'), ('uda_components.npz', 'ema|blur'),
                       ('losses_grads.json', 'segformer'), ('losses_grads.npz', 'ce/mean'),
                       ('pipeline.npz', 'randomcrop'), ('train_step_daformer.npz', '.*')):
        reduce(folder, file, keep)
    files = [str(TESTS / f'{name}.py') for name in (*COMPONENTS, *NUMBERS)]
    done = subprocess.run([sys.executable, '-m', 'pytest', '-rspfE', '-p', 'no:cacheprovider', *files], text=True,
                          env=dict(os.environ, GOLDENS=str(folder)), cwd=TESTS.parents[1], capture_output=True)
    output = done.stdout + done.stderr
    assert done.returncode == 0 and not re.search('^(FAILED|ERROR)', output, re.MULTILINE), output
    return Counter(re.findall(r'^PASSED .*?(\w+)\.py::', output, re.MULTILINE)), output


def test_families_that_a_file_lacks_are_skipped(reduced: tuple[Counter[str], str]) -> None:
    passed, output = reduced
    assert sum(passed[name] for name in COMPONENTS) > 20, output


def test_losses_without_cross_entropy_and_arrays_without_numbers(reduced: tuple[Counter[str], str]) -> None:
    passed, output = reduced
    assert sum(passed[name] for name in NUMBERS) >= 3, output
    assert 'losses_grads.json has no cross_entropy' in output, output


def test_an_empty_file_fails_and_so_does_a_name_that_nobody_understands(tmp_path: Path,
                                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden, 'ROOT', tmp_path)
    (tmp_path / 'a.json').write_text('{}')
    [parameter] = golden.cases('a.json').args[1]
    assert 'holds no case' in parameter.values[0].problem
    (tmp_path / 'a.json').write_text('{"x": 1}')
    [parameter] = golden.cases('a.json', only='y').args[1]
    assert not parameter.values[0].problem and 'no case of y' in parameter.values[0].lacking
    (tmp_path / test_rcs.FILE).write_text('{"ema": 1}')
    [parameter] = test_rcs.rcs_cases().args[1]
    assert any(mark.name == 'skip' for mark in parameter.marks)


@pytest.mark.parametrize('name, alpha, margins', [
    ('dacs_nofd_daformer_b0/B/thr0.12', 0.99, False), ('dacs_daformer_b0/B/thr0.12', 0.999, True),
    ('dacs_nofd_hrda_b0/B/nomask/thr0.1', 0.99, False), ('dacs_hrda_b0/B/nomask/thr0.1', 0.999, True),
    ('mic_dacs_nofd_daformer_b0/B/separatetrg/thr0.12', 0.99, False),
])
def test_cases_without_feature_distance_are_plain_dacs(name: str, alpha: float, margins: bool) -> None:
    match = test_train_step.parse(name)
    uda, batch = test_train_step.make_config(match).uda, test_train_step.make_batch(match)
    assert uda.alpha == alpha
    assert ('imnet_feature_dist_lambda' in uda) == margins
    assert ('pseudo_weight_ignore_top' in uda or 'valid_pseudo_mask' in batch) == margins
