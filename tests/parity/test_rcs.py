"""Rare class sampling against class probabilities, drawn indices and frequencies of the original."""
from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest

from mmseg.datasets.base import SampledDataset
from mmseg.datasets.cityscapes import CITYSCAPES_CLASSES
from mmseg.datasets.class_stats import ClassStats, load_stats
from mmseg.datasets.rare_class_sampling import RareClassSampler, class_probabilities
from mmseg.datasets.uda_dataset import UDADataset
from tests.parity import golden

pytestmark = pytest.mark.parity

FILE = 'uda_components.json'
SAMPLING = r'sampling_minpixels(\d+)'


def is_temperature(name: str) -> bool:
    try:
        return float(name) > 0
    except ValueError:
        return False


def rcs_cases() -> pytest.MarkDecorator:
    """One case per entry of ``rcs``."""
    mark = pytest.mark.golden(FILE)
    if not (golden.ROOT / FILE).exists():
        skip = pytest.mark.skip(reason=f'{FILE} is absent')
        return pytest.mark.parametrize('case', [pytest.param(golden.Case(FILE, 'rcs'), marks=[mark, skip])])
    found = [golden.Case(FILE, name, problem='' if is_temperature(name) or re.fullmatch(SAMPLING, name) else
                         f'{FILE}: rcs/{name} is not understood') for name in golden.read_json(FILE).get('rcs', {})]
    if not found:
        mark, found = pytest.mark.skip(reason=f'{FILE} holds no rcs'), [golden.Case(FILE, 'none')]
    return pytest.mark.parametrize('case', [pytest.param(case, id=f'rcs:{case.name}', marks=mark) for case in found])


@pytest.fixture
def stats(tmp_path) -> ClassStats:
    """The recorded statistics, read as those of a data set."""
    for name in ('sample_class_stats.json', 'samples_with_class.json'):
        golden.read_json(f'rcs_{name}')
        (tmp_path / name).write_text((golden.ROOT / f'rcs_{name}').read_text())
    return load_stats(tmp_path)


class Numbered(SampledDataset):
    """Samples that are their index and draw nothing."""
    CLASSES = CITYSCAPES_CLASSES

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def prepare(self, idx: int) -> int:
        return idx

    def finish(self, idx: int, rng: np.random.RandomState) -> dict[str, Any]:
        return dict(img=idx, img_metas={}, gt_semantic_seg=None)

    def get(self, idx: int, rng: np.random.RandomState) -> dict[str, Any]:
        return self.finish(idx, rng)


def pairs(dataset: UDADataset, seed: int, count: int) -> tuple[list[int], list[int]]:
    rng = np.random.RandomState(seed)
    drawn = [dataset.get(0, rng) for _ in range(count)]
    return [d['img'] for d in drawn], [d['target_img'] for d in drawn]


def check_frequency(drawn: list[int], expected: list[float]) -> None:
    frequency = np.bincount(drawn, minlength=len(expected)) / len(drawn)
    np.testing.assert_allclose(frequency, expected, atol=0.01, rtol=0)


def check_sampling(expected: dict[str, Any], min_pixels: int, stats: ClassStats) -> None:
    files = sorted(stats.files)
    sampler = RareClassSampler(stats, files, CITYSCAPES_CLASSES, min_pixels, 0.01, min_crop_ratio=0)
    dataset = UDADataset(Numbered(len(files)), Numbered(expected['dataset_len'] // len(files)))
    dataset.sampler = sampler
    assert len(dataset) == expected.pop('dataset_len')
    assert {str(c): len(images) for c, images in sampler.images.items()} == expected.pop('n_samples_per_class')
    for side, first in zip(('source', 'target'), pairs(dataset, 0, 20)):
        assert first == expected.pop(f'first_20_{side}_indices_npseed0')
    count = expected.pop('n_draws')
    sources, targets = pairs(dataset, 0, count)
    check_frequency(sources, expected.pop('source_file_frequency'))
    check_frequency(targets, expected.pop('target_frequency'))
    rng = np.random.RandomState(1)
    classes = Counter(sampler.draw(rng)[0] for _ in range(count))
    for c, frequency in expected.pop('class_frequency_npseed1').items():
        assert classes[int(c)] / count == pytest.approx(frequency, abs=0.01)
    assert not expected, f'not understood: {list(expected)}'


@rcs_cases()
def test_rare_class_sampling(case: golden.Case, stats: ClassStats) -> None:
    expected = golden.read_json(FILE)['rcs'][case.name]
    if match := re.fullmatch(SAMPLING, case.name):
        check_sampling(expected, int(match[1]), stats)
        return
    classes, probabilities = class_probabilities(stats.totals, float(case.name))
    assert classes == expected.pop('classes')
    np.testing.assert_allclose(probabilities, expected.pop('probs'), atol=1e-6, rtol=0)
    assert not expected, f'not understood: {list(expected)}'
