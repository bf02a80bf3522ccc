"""The sections of a config and what may stand in them; what is built by name says itself what it takes."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from mmseg.datasets.kinds import DATASET
from mmseg.engine.custom_hooks import HOOK
from mmseg.engine.optim import BFLOAT16_NAMES
from mmseg.engine.schedule import POLICIES, WARMUPS
from mmseg.evaluation.metrics import METRIC_COLUMNS
from mmseg.models.kinds import PART
from mmseg.registry import UDA
from mmseg.utils.kinds import (
    AMOUNT,
    ANY,
    COUNT,
    DICT,
    FIXED,
    FLAG,
    NAME,
    NONE,
    NUMBER,
    PATH,
    POSITIVE,
    SEED,
    SHARE,
    WHOLE,
    Each,
    Kind,
    Needed,
    Section,
    Typed,
    Values,
    list_of,
    number,
    one_of,
    whole,
)
from mmseg.utils.options import kind_of, options, registered

if TYPE_CHECKING:
    from mmseg.models.uda.base import UDADecorator

NOT_BY_EPOCH = Kind('False: training counts iterations', lambda value: value is False)
LEVELS = ('DEBUG', 'INFO', 'WARN', 'WARNING', 'ERROR', 'CRITICAL', 'FATAL', 'NOTSET')  # of Python's logging
METRIC, NETWORK = one_of(METRIC_COLUMNS), one_of(['student', 'teacher'])

_LOG = dict(by_epoch=FLAG, interval=COUNT, ignore_last=FLAG, reset_flag=FLAG)
LOG_HOOKS = dict(
    TextLoggerHook=_LOG,
    PrecisionLoggerHook=_LOG,
    TensorboardLoggerHook=dict(_LOG, log_dir=NAME | NONE),
    WandbLoggerHook=dict(_LOG, init_kwargs=DICT | NONE, define_metric_cfg=ANY, commit=FLAG, with_step=FLAG,
                         log_artifact=FLAG, out_suffix=ANY),
    MlflowLoggerHook=dict(_LOG, exp_name=NAME | NONE, run_name=NAME | NONE, tags=DICT | NONE, params=DICT | NONE,
                          tracking_uri=NAME | NONE, log_model=FLAG))
SCHEDULE = dict(by_epoch=NOT_BY_EPOCH, warmup=one_of(WARMUPS) | NONE, warmup_iters=WHOLE, warmup_ratio=SHARE)
SECTIONS: dict[str, dict[str, Kind]] = {
    'runner': dict(type=one_of(['IterBasedRunner']), max_iters=Needed(COUNT)),
    'optimizer_config': dict(grad_clip=Section(dict(max_norm=POSITIVE, norm_type=NUMBER)) | NONE,
                             accumulate=COUNT | NONE),
    'lr_config': dict(SCHEDULE, policy=one_of(POLICIES),
                      **{key: kind for keys in POLICIES.values() for key, kind in keys.items()}),
    'checkpoint_config': dict(by_epoch=NOT_BY_EPOCH, interval=COUNT | NONE, max_keep_ckpts=whole(-1),
                              save_optimizer=FLAG, save_last=FLAG, out_dir=NAME | NONE),
    'evaluation': dict(interval=COUNT, start=WHOLE | NONE, by_epoch=NOT_BY_EPOCH, metric=METRIC | list_of(METRIC),
                       model=NETWORK | list_of(NETWORK), save_best=NAME | NONE, rule=one_of(['greater']) | NONE,
                       efficient_test=FLAG, pre_eval=FLAG, gpu_collect=FLAG),
    'log_config': dict(interval=COUNT, img_interval=COUNT | NONE, meters=FLAG,
                       hooks=Each(Typed(lambda: LOG_HOOKS, dict))),
    'amp': dict(dtype=Needed(one_of(BFLOAT16_NAMES))),
    'data': dict(samples_per_gpu=COUNT, workers_per_gpu=WHOLE, persistent_workers=FLAG, pin_memory=FLAG,
                 train=DATASET | NONE, val=DATASET | NONE, test=DATASET | NONE),
}
# those that all versions of torch have
_COMPILE = Section({name: options(torch.compile)[name]
                    for name in ('fullgraph', 'dynamic', 'backend', 'mode', 'options')})
VALUES = dict(seed=SEED, deterministic=FLAG, auto_scale_lr=FLAG, device=NAME, work_dir=NAME, load_from=PATH,
              resume_from=PATH, new_classifier=FLAG, compile=FLAG | _COMPILE, cudnn_benchmark=FLAG,
              log_level=one_of(LEVELS) | WHOLE)
_CUSTOM_KEYS = Values(Section(dict(lr_mult=AMOUNT, decay_mult=AMOUNT)))


def _optimizers() -> dict[str, type]:
    return {name: cls for name, cls in vars(torch.optim).items()
            if isinstance(cls, type) and issubclass(cls, torch.optim.Optimizer)}


def _hosts() -> dict[str, type[UDADecorator]]:
    return {name: cls for name, cls in registered(UDA).items() if hasattr(cls, 'config_keys')}


def uda_keys(host: type[UDADecorator]) -> dict[str, Kind]:
    """The keys of the ``uda`` section for a method: its own and those of the objectives that may join it."""
    kinds = {name: kind_of(Any, default) for name, default in host.defaults().items()}
    for owner in (*reversed(host.__mro__), *host.objective_classes()):
        kinds.update(getattr(owner, 'key_kinds', {}))
    return kinds


OPTIMIZER = Typed(_optimizers, options, more=dict(
    params=FIXED, lr=Needed(POSITIVE), betas=list_of(number(0, 1), 2), paramwise_cfg=Section(dict(
        custom_keys=_CUSTOM_KEYS | NONE)) | NONE))
KINDS: dict[str, Kind] = {
    **{name: Section(keys) | NONE for name, keys in SECTIONS.items()},
    **{name: kind | NONE for name, kind in VALUES.items()},
    'lr_config': Typed(lambda: POLICIES, dict, key='policy', more=SCHEDULE) | NONE,
    'custom_hooks': Each(HOOK) | NONE,
    'optimizer': OPTIMIZER | NONE,
    'model': PART | NONE,
    'uda': Typed(_hosts, uda_keys) | NONE,
}
