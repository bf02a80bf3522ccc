"""Registries: the names that a config's ``type`` keys refer to.

The aliases (BACKBONES, HEADS, ...) all point to one MODELS registry, as in mmsegmentation 0.16.
"""
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import Registry

MODELS = Registry('model', scope='mmseg', locations=['mmseg.models'])
BACKBONES = NECKS = HEADS = LOSSES = SEGMENTORS = UDA = MODELS
OBJECTIVES = Registry('uda objective', scope='mmseg', locations=['mmseg.models.uda'])
PIXEL_SAMPLERS = Registry('pixel sampler', scope='mmseg', locations=['mmseg.models'])
DATASETS = Registry('dataset', scope='mmseg', locations=['mmseg.datasets'])
PIPELINES = Registry('pipeline', scope='mmseg', locations=['mmseg.datasets'])
STYLES = Registry('source style', scope='mmseg', locations=['mmseg.datasets'])
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope='mmseg', locations=['mmseg.engine'])
