"""Hooks that a config adds to a training: ``custom_hooks``, with their state in checkpoints."""
from __future__ import annotations

import io
import pickle
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from mmengine import is_method_overridden
from mmengine.hooks import Hook
from mmengine.runner.priority import Priority, get_priority

from mmseg.errors import CheckpointError
from mmseg.registry import HOOKS
from mmseg.utils.kinds import Problem, Typed, one_of, whole
from mmseg.utils.options import options, registered

REACHED = ('before_run', 'before_train', 'before_train_epoch', 'before_train_iter', 'after_train_iter',
           'after_train_epoch', 'after_train', 'after_run', 'before_save_checkpoint', 'after_load_checkpoint')
# Hooks of mmcv, MMEngine and this program that a config cannot add, by who does their work here.
_DONE = {
    'checkpoint_config': 'CheckpointHook',
    'evaluation': 'EvalHook DistEvalHook EvaluationHook',
    'log_config': """LoggerHook IterTimerHook RuntimeInfoHook LogHook TextLoggerHook PrecisionLoggerHook
        TensorboardLoggerHook WandbLoggerHook MlflowLoggerHook""",
    'log_config.img_interval': 'PanelHook NaiveVisualizationHook SegVisualizationHook',
    'lr_config': """ScheduleHook ParamSchedulerHook LrUpdaterHook PolyLrUpdaterHook StepLrUpdaterHook
        FixedLrUpdaterHook CosineAnnealingLrUpdaterHook""",
    'optimizer_config': 'OptimizerHook GradientCumulativeOptimizerHook',
    'amp': 'Fp16OptimizerHook GradientCumulativeFp16OptimizerHook',
    'uda.alpha, the decay of the teacher,': 'EMAHook ExpMomentumEMAHook LinearMomentumEMAHook',
    'the program itself': 'DistSamplerSeedHook SyncBuffersHook HealthHook NumClassCheckHook CheckInvalidLossHook',
}
DONE = {name: place for place, names in _DONE.items() for name in names.split()}
FOREIGN = ('EmptyCacheHook', 'ProfilerHook')  # of MMEngine and mmcv: those that can work here
PRIORITY = one_of([priority.name for priority in Priority]) | whole(0, 100)


def known_hooks() -> Mapping[str, type[Hook]]:
    """What is registered with this program or MMEngine and has work to do here."""
    return {name: cls for name, cls in _all_hooks().items() if name not in DONE and not unreached(cls)
            and (name in FOREIGN or cls.__module__.partition('.')[0] not in ('mmengine', 'mmcv'))}


def _all_hooks() -> Mapping[str, type[Hook]]:
    return {**registered(HOOKS.parent), **registered(HOOKS)}


def unreached(cls: type[Hook]) -> list[str]:
    """What a hook waits for although no training here comes to it."""
    return [stage for stage in Hook.stages if stage not in REACHED and is_method_overridden(stage, Hook, cls)]


class HookKind(Typed):
    """One entry of ``custom_hooks``."""

    def __init__(self) -> None:
        super().__init__(known_hooks, options, more=dict(priority=PRIORITY))

    def _named(self, value: dict[str, Any], key: str) -> Iterator[Problem]:
        name = value.get('type')
        if not isinstance(name, str):
            yield from super()._named(value, key)
            return
        if name in DONE:
            yield Problem(f'{key}.type', name, f'{name} has nothing to do here, where {DONE[name]} does its work: '
                          'remove the entry')
            return
        cls = _all_hooks().get(name)
        if cls is not None and unreached(cls):
            yield Problem(f'{key}.type', name, f'{name} waits for {", ".join(unreached(cls))}, which no training here '
                          f'comes to: it can use {", ".join(REACHED)}, and after_report for the scores')
            return
        yield from super()._named(value, key)
        if cls is not None and keeps_state(cls) and _is_late(value.get('priority', cls.priority)):
            yield Problem(f'{key}.priority', 'priority', f'{name} keeps a state, so it has to have done its part '
                          "before a checkpoint is written: take a priority before 'LOW'")


HOOK = HookKind()


def _is_late(priority: Any) -> bool:
    return PRIORITY.fits(priority) and get_priority(priority) >= Priority.LOW.value


def build_custom_hooks(entries: Iterable[Mapping[str, Any]] | None) -> list[Hook]:
    """Make the hooks that ``custom_hooks`` lists."""
    hooks = []
    for entry in entries or ():
        arguments = dict(entry)
        priority = arguments.pop('priority', None)
        hook = HOOKS.build(arguments)
        if priority is not None:
            hook.priority = priority
        hooks.append(hook)
    return hooks


# -- their state ------------------------------------------------------------------------------------------------------


def keeps_state(hook: Hook | type[Hook]) -> bool:
    """Whether a hook has a state to save: ``state_dict()`` and ``load_state_dict(state)``."""
    return hasattr(hook, 'state_dict') and hasattr(hook, 'load_state_dict')


def _stateful(hooks: Iterable[Hook]) -> Iterator[tuple[str, Hook]]:
    """Hooks with a state by name: that of the class, with a number behind it from the second one on."""
    counts: dict[str, int] = {}
    for hook in filter(keeps_state, hooks):
        name = type(hook).__name__
        counts[name] = counts.get(name, 0) + 1
        yield name if counts[name] == 1 else f'{name}_{counts[name]}', hook


def hook_states(hooks: Iterable[Hook]) -> dict[str, Any]:
    """The states of those that keep one, by name."""
    return {name: hook.state_dict() for name, hook in _stateful(hooks)}


def restore_hooks(states: Any, hooks: Iterable[Hook]) -> Iterator[str]:
    """Put states of a checkpoint back; gives warnings about hooks that start anew and states that nobody takes.

    Raises:
        CheckpointError: if a hook cannot do anything with its state.
    """
    left = dict(states) if isinstance(states, Mapping) else {}
    for name, hook in _stateful(hooks):
        if name in left:
            try:
                hook.load_state_dict(left.pop(name))
            except Exception as error:  # of somebody else's code
                raise CheckpointError(f'{name} does not take over its state of the checkpoint ({error!r}): remove it '
                                      'from custom_hooks, or start anew with --load-from') from error
        else:
            yield f'holds no state of {name}, which starts anew'
    if left:
        yield f'holds states of hooks that custom_hooks does not list: {", ".join(left)}'


def require_readable(content: Any, whose: str) -> None:
    """Refuse to save what no checkpoint could be read with.

    Raises:
        CheckpointError: naming ``whose`` content it is.
    """
    file = io.BytesIO()
    try:
        torch.save(content, file)
        file.seek(0)
        torch.load(file, weights_only=True)
    except (pickle.PickleError, TypeError, AttributeError, RuntimeError) as error:
        raise CheckpointError(f'{whose} cannot be kept in a checkpoint, which holds tensors, numbers, texts, lists and '
                              f'dicts: {str(error).splitlines()[0]}') from error
