"""Unsupervised domain adaptation for semantic segmentation.

    model = mmseg.load('work_dirs/my_run')        # or a checkpoint file, or 'hf:owner/name'
    model('street.png').save('street_pred.png')   # see mmseg.apis.model.Model for what else it takes
    scores = mmseg.evaluate(model)
    model = mmseg.train('config.py', seed=1)
"""
from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mmseg.ownership import DISTRIBUTION, refuse_a_second_owner

if TYPE_CHECKING:
    from mmseg.apis.model import Model, Prediction, evaluate, load
    from mmseg.apis.train import train

__version__ = '1.0.0'
__all__ = ['DISTRIBUTION', 'Model', 'Prediction', 'evaluate', 'load', 'train']

_PLACES = {'Model': 'model', 'Prediction': 'model', 'evaluate': 'model', 'load': 'model', 'train': 'train'}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: torch takes seconds."""
    if name not in _PLACES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.apis.{_PLACES[name]}'), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


refuse_a_second_owner()
