"""The config that a checkpoint holds, as far as it says how to predict: read as data, whoever wrote it."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from mmseg.config.legacy import apply_legacy_fixes
from mmseg.config.schema import check_content
from mmseg.errors import ConfigError
from mmseg.utils.config_text import value_at
from mmseg.utils.nested import leaves


def prediction_config(content: Mapping[str, Any]) -> Config:
    """The sections ``model`` and ``data.test`` of a config that came with a checkpoint, checked.

    Nothing is imported or fetched for it: ``custom_imports`` has no effect, types are those that are registered, and
    weights come from the checkpoint.

    Args:
        content: the sections, from :func:`mmseg.utils.config_text.read_config_text`.

    Raises:
        ConfigError: for what cannot be used, naming the dotted key.
    """
    if not isinstance(content.get('model'), dict):
        raise ConfigError('there is no section model')
    test = value_at(content, 'data.test')
    kept = dict(model={**content['model'], 'pretrained': None, 'train_cfg': None})
    if isinstance(test, dict):
        kept['data'] = dict(test=test)
    kept = apply_legacy_fixes(kept)
    for section in kept:  # one by one: together they are taken for a config to train with, which needs more
        check_content({section: kept[section]})
    for name, value in leaves(kept['model']):
        if name.endswith('model_name') and ':' in str(value):
            raise ConfigError(f'model.{name}: {value!r} would be fetched from elsewhere', str(value), f'model.{name}')
    return Config(kept)
