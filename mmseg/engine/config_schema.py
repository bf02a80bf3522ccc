"""What may stand in a config: the known sections, their keys and, where it is cheap, the kind of their values.

A key or type inside a known section has to be known. At top level only a near miss of a known name is refused, because
older config files leave their variables there.
"""
from __future__ import annotations

import difflib
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import torch
from mmengine.registry import Registry

from mmseg.datasets.construction import known_arguments
from mmseg.datasets.sections import inner_sections, walk
from mmseg.engine.config_advice import warn_of_settings_for_other_targets
from mmseg.engine.config_errors import ConfigError
from mmseg.engine.config_ignored import check_ignored
from mmseg.engine.config_limits import check_limits
from mmseg.engine.config_names import (
    LEAKED,
    MODEL_KEYS,
    MODEL_TYPES,
    TRANSFORM_TYPES,
)
from mmseg.engine.memory_limits import check_pictures
from mmseg.engine.schedule import POLICIES, WARMUPS
from mmseg.registry import DATASETS, MODELS, PIPELINES, UDA
from mmseg.utils.names import nearest

NEAR = 0.8  # likeness (difflib) from which a top-level name counts as a slip of the keyboard


class Kind(NamedTuple):
    """A kind of value: how messages call it, and its test."""
    text: str
    test: Callable[[Any], bool]


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _whole(least: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


def one_of(names: Collection[str]) -> Kind:
    """The kind of a value that is one of a few names."""
    return Kind(f'one of {", ".join(map(repr, names))}', lambda value: value in names)


ANY = Kind('anything', lambda value: True)
DICT = Kind('a dict', lambda value: isinstance(value, dict))
LIST = Kind('a list', lambda value: isinstance(value, (list, tuple)))
FLAG = Kind('True or False', lambda value: isinstance(value, bool))
NUMBER = Kind('a number', _number)
POSITIVE = Kind('a number above 0', lambda value: _number(value) and value > 0)
COUNT = Kind('a whole number of at least 1', _whole(1))
WHOLE = Kind('a whole number of at least 0', _whole(0))
ITERATIONS = Kind('a whole number of iterations, at least 1', _whole(1))
NAME = Kind('a text', lambda value: isinstance(value, str))
NAMES = Kind('a text or a list of texts',
             lambda value: isinstance(value, str) or all(isinstance(entry, str) for entry in value))
NOT_BY_EPOCH = Kind('False: training counts iterations', lambda value: value is False)

LOG_HOOK = dict(type=NAME, by_epoch=ANY, interval=ITERATIONS, ignore_last=ANY, reset_flag=ANY)
LOG_HOOKS = dict(
    TextLoggerHook=LOG_HOOK,
    PrecisionLoggerHook=LOG_HOOK,
    TensorboardLoggerHook=dict(LOG_HOOK, log_dir=NAME),
    WandbLoggerHook=dict(LOG_HOOK, init_kwargs=DICT, define_metric_cfg=ANY, commit=ANY, with_step=ANY,
                         log_artifact=ANY, out_suffix=ANY),
    MlflowLoggerHook=dict(LOG_HOOK, exp_name=NAME, run_name=NAME, tags=DICT, params=DICT, tracking_uri=NAME,
                          log_model=ANY))
SECTIONS: dict[str, dict[str, Kind]] = {
    'runner': dict(type=one_of(['IterBasedRunner']), max_iters=ITERATIONS),
    'optimizer_config': dict(grad_clip=ANY, accumulate=COUNT),
    'lr_config': dict(policy=one_of(list(POLICIES)), by_epoch=NOT_BY_EPOCH, warmup=one_of(WARMUPS), warmup_iters=WHOLE,
                      warmup_ratio=NUMBER, **dict.fromkeys(sorted(set().union(*POLICIES.values())), ANY)),
    'checkpoint_config': dict(by_epoch=NOT_BY_EPOCH, interval=ITERATIONS, max_keep_ckpts=Kind(
        'a whole number, -1 for all', _whole(-1)), save_optimizer=FLAG, out_dir=NAME),
    'evaluation': dict(interval=ITERATIONS, start=WHOLE, by_epoch=NOT_BY_EPOCH, metric=NAMES, model=NAMES,
                       save_best=ANY, efficient_test=FLAG, pre_eval=FLAG, gpu_collect=FLAG),
    'log_config': dict(interval=ITERATIONS, img_interval=ITERATIONS, hooks=LIST),
    'amp': dict(dtype=one_of(['bfloat16', 'bf16'])),
    'data': dict(samples_per_gpu=COUNT, workers_per_gpu=WHOLE, train=ANY, val=ANY, test=ANY),
}
VALUES = dict(seed=WHOLE, deterministic=FLAG, auto_scale_lr=FLAG, device=NAME, work_dir=NAME, load_from=NAME,
              resume_from=NAME, new_classifier=FLAG)
UDA_VALUES = dict(alpha=NUMBER, pseudo_threshold=NUMBER, imnet_feature_dist_lambda=NUMBER, mask_lambda=NUMBER,
                  pseudo_weight_ignore_top=WHOLE, pseudo_weight_ignore_bottom=WHOLE, lr_D=POSITIVE, lr_D_power=NUMBER,
                  lr_D_min=NUMBER)
RARE_CLASS_SAMPLING = dict(min_pixels=NUMBER, class_temp=POSITIVE, min_crop_ratio=NUMBER)
TOP_LEVEL = frozenset({
    *SECTIONS, *VALUES, 'model', 'uda', 'optimizer', 'momentum_config', 'log_level', 'dist_params', 'workflow',
    'compile', 'cudnn_benchmark', 'find_unused_parameters', 'use_ddp_wrapper', 'gpu_ids', 'n_gpus', 'gpu_model',
    'git_rev', 'name', 'exp', 'name_dataset', 'name_architecture', 'name_encoder', 'name_decoder', 'name_uda',
    'name_opt', 'custom_imports'
})


def check_content(content: dict[str, Any]) -> None:
    """Check the whole content of a config after the legacy fixes.

    Raises:
        ConfigError: for the first thing that is wrong, naming its dotted key.
    """
    _check_top_level(content)
    for name, keys in SECTIONS.items():
        _check_section(content.get(name), keys, name)
    _check_section((content.get('optimizer_config') or {}).get('grad_clip'), dict(max_norm=POSITIVE, norm_type=NUMBER),
                   'optimizer_config.grad_clip')
    if content.get('optimizer') is not None:
        _check_optimizer(content['optimizer'])
    if content.get('uda') is not None:
        _check_uda(content['uda'])
    if content.get('model') is not None:
        _check_model(content['model'])
    _check_log_hooks((content.get('log_config') or {}).get('hooks') or [])
    for split in ('train', 'val', 'test'):
        for place in walk((content.get('data') or {}).get(split), f'data.{split}'):
            _check_dataset(place.section, place.key)
    check_limits(content)
    check_pictures(content)
    check_ignored(content)
    warn_of_settings_for_other_targets(content)


def unknown(word: Any, known: Collection[str], key: str) -> ConfigError:
    """The error about a key or type ``word`` at the dotted key ``key``."""
    return ConfigError(f'{key}: {word!r} is not known, {nearest(word, known)}', str(word), key)


def _check_top_level(content: dict[str, Any]) -> None:
    for name in content:
        if name in TOP_LEVEL or name in LEAKED or name.endswith('_pipeline'):
            continue
        near = difflib.get_close_matches(name.lower(), TOP_LEVEL, 1, NEAR)
        if near:
            raise ConfigError(f'{name}: no section of this name exists, did you mean {near[0]!r}? '
                              'A variable of your own needs a name that is less like it', name, name)
    _check_values(content, VALUES, '')


def _check_values(section: dict[str, Any], kinds: dict[str, Kind], key: str) -> None:
    for name in kinds.keys() & section.keys():
        value, kind, path = section[name], kinds[name], f'{key}.{name}' if key else name
        if value is None or kind.test(value):
            continue
        hint = ''
        if isinstance(value, str) and kind.text.startswith('a number'):
            hint = '; YAML reads an exponent only with a point and a sign, as in 6.0e-05'
        raise ConfigError(f'{path}: {value!r} is not {kind.text}{hint}', name, path)


def _check_section(section: Any, kinds: dict[str, Kind], key: str) -> None:
    """Check a section whose keys are all known, and their values."""
    if section is None:
        return
    _require_dict(section, key)
    for name in section:
        if name not in kinds:
            raise unknown(name, kinds, f'{key}.{name}')
    _check_values(section, kinds, key)


def _require_dict(section: Any, key: str) -> None:
    if not isinstance(section, dict):
        raise ConfigError(f'{key}: has to be a dict, not {section!r}', key.rpartition('.')[2], key)


def _typed(section: Any, known: Collection[str], key: str) -> str:
    """The type of a section that needs one."""
    _require_dict(section, key)
    name = section.get('type')
    if not isinstance(name, str):
        problem = 'is missing' if name is None else f'has to be a name, not {name!r}'
        raise ConfigError(f'{key}: type {problem}', key.rpartition('.')[2], key)
    if name not in known:
        raise unknown(name, known, f'{key}.type')
    return name


def _registered(registry: Registry) -> dict[str, type]:
    registry.import_from_location()
    return registry.module_dict


def _check_keys(section: dict[str, Any], known: Collection[str], key: str) -> None:
    for name in section:
        if name != 'type' and name not in known:
            raise unknown(name, known, f'{key}.{name}')


def _check_optimizer(section: Any) -> None:
    kinds = {name: cls for name, cls in vars(torch.optim).items() if isinstance(cls, type)}
    cls = kinds[_typed(section, kinds, 'optimizer')]
    _check_keys(section, {*known_arguments(cls), 'paramwise_cfg'} - {'params'}, 'optimizer')
    _check_values(section, dict(lr=POSITIVE, weight_decay=NUMBER, momentum=NUMBER), 'optimizer')
    paramwise = section.get('paramwise_cfg')
    _check_section(paramwise, dict(custom_keys=ANY), 'optimizer.paramwise_cfg')
    for name, rule in ((paramwise or {}).get('custom_keys') or {}).items():
        _check_section(rule, dict(lr_mult=NUMBER, decay_mult=NUMBER), f'optimizer.paramwise_cfg.custom_keys.{name}')


def _check_uda(section: Any) -> None:
    hosts = {name: cls for name, cls in _registered(UDA).items() if hasattr(cls, 'config_keys')}
    _check_keys(section, hosts[_typed(section, hosts, 'uda')].config_keys(), 'uda')
    _check_values(section, UDA_VALUES, 'uda')


def _check_log_hooks(hooks: list[Any]) -> None:
    for position, hook in enumerate(hooks):
        key = f'log_config.hooks.{position}'
        _check_section(hook, LOG_HOOKS[_typed(hook, LOG_HOOKS, key)], key)


def _check_model(section: Any) -> None:
    """The types of all parts; their arguments are checked by the classes."""
    known = {*_registered(MODELS), *MODEL_TYPES}
    cls = MODELS.module_dict.get(_typed(section, known, 'model'))
    _check_keys(section, MODEL_KEYS | set(known_arguments(cls) if cls else ()), 'model')
    _check_parts(section, known, 'model')


def _check_parts(section: dict[str, Any], known: Collection[str], key: str) -> None:
    for name in ('backbone', 'neck', 'decode_head', 'auxiliary_head', 'loss_decode'):
        part = section.get(name)
        numbered = enumerate(part) if isinstance(part, (list, tuple)) else [(None, part)]
        for position, entry in numbered:
            if entry is not None:
                path = f'{key}.{name}' if position is None else f'{key}.{name}.{position}'
                _typed(entry, known, path)
                _check_parts(entry, known, path)
    if section.get('single_scale_head', 'HRDAHead') not in known:
        raise unknown(section['single_scale_head'], known, f'{key}.single_scale_head')


def _check_dataset(section: Any, key: str) -> None:
    classes = _registered(DATASETS)
    _check_keys(section, known_arguments(classes[_typed(section, classes, key)]), key)
    _check_section(section.get('rare_class_sampling'), RARE_CLASS_SAMPLING, f'{key}.rare_class_sampling')
    lists = [name for name, inner in inner_sections(section).items() if inner.several]
    _check_values(section, dict.fromkeys(['pipeline', *lists], LIST), key)
    _check_pipeline(section.get('pipeline') or (), f'{key}.pipeline')


def _check_pipeline(pipeline: list[Any] | tuple[Any, ...], key: str) -> None:
    classes = _registered(PIPELINES)
    for position, transform in enumerate(pipeline):
        path = f'{key}.{position}'
        name = _typed(transform, {*classes, *TRANSFORM_TYPES}, path)
        if name in classes:
            _check_keys(transform, known_arguments(classes[name]), path)
        _check_values(transform, dict(transforms=LIST), path)
        _check_pipeline(transform.get('transforms') or (), f'{path}.transforms')
