"""Counts and scores against those that the original evaluation computed from the same label maps."""
from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from mmseg.evaluation import ConfusionMatrix
from tests.parity import golden
from tests.parity.golden import UnknownName

pytestmark = pytest.mark.parity

ARRAYS, NUMBERS = 'uda_components.npz', 'uda_components.json'
IMAGE = r'miou/img(\d+)/input_(pred|gt)_u8'
COUNTS = r'miou/(img\d+|total)/(intersect|union|pred|label)'
SCORES = r'miou/(IoU|Acc|Dice|Fscore|Precision|Recall)'
MAPS = 'miou|miou_absent_class|eval_metrics_nanmean'
ABOUT = 'miou|eval_metrics'
MEAN = r'm?(IoU|Acc|Dice|Fscore|Precision|Recall)(_nanmean)?'


def understood(entry: str) -> tuple[str, str]:
    """Each entry is a case of its own."""
    if not any(re.fullmatch(pattern, entry) for pattern in (IMAGE, COUNTS, SCORES, MAPS)):
        raise UnknownName('no entry about evaluation')
    return entry, ''


def confusion(*images: str) -> ConfusionMatrix:
    """The stored maps of some images (all without names), counted one after the other."""
    arrays = golden.read_npz(ARRAYS)
    classes = len(golden.recorded(ARRAYS, 'miou/total/label'))
    images = images or tuple(dict.fromkeys(f'img{m[1]}' for name in arrays if (m := re.fullmatch(IMAGE, name))))
    matrix = ConfusionMatrix(classes)
    for image in images:
        maps = [torch.from_numpy(golden.recorded(ARRAYS, f'miou/{image}/input_{kind}_u8')) for kind in ('pred', 'gt')]
        matrix.update(*maps)
    return matrix


@golden.cases(ARRAYS, split=understood, only=ABOUT)
def test_arrays(case: golden.Case) -> None:
    expected = golden.read_npz(ARRAYS)[case.name]
    if match := re.fullmatch(COUNTS, case.name):
        counts = confusion(*([] if match[1] == 'total' else [match[1]])).counts
        hit, label, pred = counts.diagonal(), counts.sum(1), counts.sum(0)
        actual = {'intersect': hit, 'label': label, 'pred': pred, 'union': label + pred - hit}[match[2]]
        np.testing.assert_array_equal(actual.numpy(), expected)
    elif match := re.fullmatch(SCORES, case.name):
        np.testing.assert_allclose(confusion().per_class()[match[1]], expected, rtol=1e-12)
    else:
        assert expected.dtype == np.uint8  # an input of the other cases


def absent_classes(num_classes: int) -> ConfusionMatrix:
    """One labelled class, half of it predicted as the next one; the other classes occur nowhere."""
    matrix = ConfusionMatrix(num_classes)
    matrix.update(torch.tensor([0, 0, 1, 1]), torch.zeros(4, dtype=torch.int64))
    return matrix


@golden.cases(NUMBERS, split=understood, only=ABOUT)
def test_numbers(case: golden.Case) -> None:
    expected = golden.read_json(NUMBERS)[case.name]
    matrix = absent_classes(len(expected['IoU'])) if case.name == 'miou_absent_class' else confusion()
    values = matrix.per_class()
    assert expected
    for key, value in expected.items():
        if key == 'aAcc':  # compute() rounds to 0.01 percent, as the original does when it reports
            assert float(matrix.counts.trace() / matrix.counts.sum()) == pytest.approx(value, rel=1e-6)
            assert matrix.compute()['aAcc'] == round(value * 100, 2) / 100
        elif isinstance(value, list):
            wanted = np.array([np.nan if x is None else x for x in value])
            np.testing.assert_allclose(values[key], wanted, rtol=1e-6, err_msg=key)
        elif match := re.fullmatch(MEAN, key):
            assert np.nanmean(values[match[1]]) == pytest.approx(value, rel=1e-6), key
        else:
            pytest.fail(f'{case.name}/{key} is not understood')
