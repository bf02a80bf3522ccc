"""Build networks and UDA methods from their config sections."""
from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any

from torch import nn

from mmseg.registry import BACKBONES, HEADS, LOSSES, MODELS, NECKS, OBJECTIVES, SEGMENTORS, UDA

if TYPE_CHECKING:
    from mmseg.models.segmentors.base import BaseSegmentor
    from mmseg.models.trainable import Trainable

__all__ = [
    'BACKBONES', 'HEADS', 'LOSSES', 'MODELS', 'NECKS', 'SEGMENTORS', 'UDA',
    'build_backbone', 'build_head', 'build_loss', 'build_neck', 'build_segmentor', 'build_train_model'
]


def _build(cfg: dict[str, Any], **kwargs: Any) -> Any:
    return MODELS.build({**copy.deepcopy(dict(cfg)), **kwargs})


def build_backbone(cfg: dict[str, Any]) -> nn.Module:
    """Build a backbone from ``dict(type=..., ...)``."""
    return _build(cfg)


def build_neck(cfg: dict[str, Any]) -> nn.Module:
    """Build a neck from ``dict(type=..., ...)``."""
    return _build(cfg)


def build_head(cfg: dict[str, Any]) -> nn.Module:
    """Build a decode head from ``dict(type=..., ...)``."""
    return _build(cfg)


def build_loss(cfg: dict[str, Any]) -> nn.Module:
    """Build a loss from ``dict(type=..., ...)``."""
    return _build(cfg)


def build_segmentor(cfg: dict[str, Any], train_cfg: dict | None = None, test_cfg: dict | None = None) -> BaseSegmentor:
    """Build a segmentor from the ``model`` section of a config.

    Args:
        cfg: the section, with ``type`` (e.g. ``EncoderDecoder``).
        train_cfg, test_cfg: accepted as in mmsegmentation 0.16, where they could stand outside of ``model``.

    Raises:
        ValueError: if ``train_cfg`` or ``test_cfg`` is given both here and inside ``cfg``.
    """
    cfg = copy.deepcopy(dict(cfg))
    for name, value in (('train_cfg', train_cfg), ('test_cfg', test_cfg)):
        if value is not None:
            if cfg.get(name) is not None:
                raise ValueError(f'{name} stands both inside and outside of the model section: keep one of them')
            warnings.warn(f'{name} belongs inside the model section', UserWarning, stacklevel=2)
            cfg[name] = value
    return _build(cfg)


def names_weights(model: dict[str, Any]) -> bool:
    """Whether a ``model`` section says where its encoder's weights come from."""
    keys = ('pretrained', 'init_cfg', 'checkpoint_path')
    return bool(model.get('pretrained') or any(model['backbone'].get(key) for key in keys))


def leave_weights_out(cfg: Any) -> None:
    """Change a whole config so that its model is built with random weights, where these do not matter."""
    cfg.model.pretrained = None
    for objective in OBJECTIVES.module_dict.values() if cfg.get('uda') else ():
        cfg.uda.update(objective.without_weights(cfg.uda))


def training_crop(cfg: Any) -> tuple[int, int] | None:
    """(height, width) of the crops that a whole config trains on; None if its data section does not say it."""
    train = (cfg.get('data') or {}).get('train')
    target = train.get('target', train) if isinstance(train, dict) else None
    if not isinstance(target, dict):  # several data sets
        return None
    crops = [step.get('crop_size') for step in target.get('pipeline') or () if step['type'] == 'RandomCrop']
    return train.get('sync_crop_size') or (crops[-1] if crops else None)


def build_train_model(cfg: Any, train_cfg: dict | None = None, test_cfg: dict | None = None) -> Trainable:
    """Build what a config trains: the UDA method if it has a ``uda`` section, else the plain segmentor.

    Args:
        cfg: a whole config (``model``, ``runner``, ``data`` and, for UDA, ``uda``).
    """
    if cfg.get('uda') is None:
        return build_segmentor(cfg['model'], train_cfg, test_cfg)
    return _build(cfg['uda'], model=copy.deepcopy(dict(cfg['model'])), max_iters=cfg['runner']['max_iters'],
                  crop_size=training_crop(cfg))
