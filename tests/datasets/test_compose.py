"""Errors of transforms: they stay what they are, and name the transform and the file."""
from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from mmseg.datasets.pipelines.compose import Compose
from mmseg.errors import DataError

SAMPLE = dict(img_info=dict(filename='a.png'))


class OwnError(Exception):
    """An error that is not made from a text."""

    def __init__(self, code: int) -> None:
        super().__init__(f'code {code:d}')


class Failing:
    """A transform that does something wrong."""

    def __init__(self, action: Callable[[], Any]) -> None:
        self.action = action

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        self.action()
        return results


def own_error() -> None:
    raise OwnError(7)


@pytest.mark.parametrize('action, kind', [
    (lambda: int('x'), ValueError),
    (lambda: {}['key'], KeyError),
    (lambda: [][3], IndexError),
    (lambda: open('nowhere/x'), FileNotFoundError),
    (lambda: cv2.resize(np.zeros((2, 2)), (-1, 3)), cv2.error),
    (lambda: np.zeros(2**55), MemoryError),  # of a class of numpy's own
    (lambda: b'\xff'.decode(), UnicodeError),
    (lambda: json.loads('{'), ValueError),
    (own_error, RuntimeError),
])
def test_the_kind_stays_and_transform_and_file_are_named(action: Callable[[], Any], kind: type) -> None:
    with pytest.raises(kind, match=r'Failing failed on a\.png: \S') as raised:
        Compose([Failing(action)])(SAMPLE)
    assert raised.value.__cause__ is not None


def test_errors_about_data_pass_as_they_are() -> None:
    error = DataError('label map b.png: damaged')

    def fail() -> None:
        raise error

    with pytest.raises(DataError) as raised:
        Compose([Failing(fail)])(SAMPLE)
    assert raised.value is error


@pytest.mark.parametrize('sample, name', [
    (dict(SAMPLE, filename='folder/a.png'), 'folder/a.png'), (dict(img_info=None), 'an image in memory'),
    ({}, 'an image in memory')])
def test_the_whole_path_is_named_where_it_is_known(sample: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=f'Failing failed on {name}: '):
        Compose([Failing(lambda: int('x'))])(sample)


def test_a_transform_that_cannot_be_built_is_named_by_its_place() -> None:
    with pytest.raises(ValueError, match='^transform 1 of the pipeline: Pad needs either size or size_divisor'):
        Compose([dict(type='RandomFlip', prob=0.5), dict(type='Pad')])
