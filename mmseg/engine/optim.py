"""Optimizer: parameter rules, a handful of groups, and the wrapper that the training step talks to."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.optim import Optimizer

from mmseg.distributed import processes
from mmseg.distributed.synchronise import average_gradients

BFLOAT16_NAMES = ('bfloat16', 'bf16')
FUSED = ('Adam', 'AdamW', 'SGD')  # those with one kernel for all tensors on CPU and CUDA since torch 2.4


def parameter_rule(name: str, optimizer_cfg: dict[str, Any]) -> tuple[float, float]:
    """Initial learning rate and weight decay of the parameter called ``name``.

    Of ``paramwise_cfg.custom_keys`` the longest key that is a part of the dotted name decides (the alphabetically first
    among equally long ones), alone: its ``lr_mult`` and ``decay_mult`` scale the optimizer's own values.

    Raises:
        ValueError: if ``paramwise_cfg`` asks for anything but ``custom_keys``.
    """
    lr, decay = optimizer_cfg['lr'], optimizer_cfg.get('weight_decay', 0.)
    paramwise = optimizer_cfg.get('paramwise_cfg') or {}
    unknown = sorted(set(paramwise) - {'custom_keys'})
    if unknown:
        raise ValueError(f'optimizer.paramwise_cfg knows custom_keys only, not {", ".join(unknown)}: '
                         'say the same with custom_keys, e.g. custom_keys=dict(norm=dict(decay_mult=0.))')
    rules = paramwise.get('custom_keys') or {}
    for key in sorted(sorted(rules), key=len, reverse=True):
        if key in name:
            return lr * rules[key].get('lr_mult', 1.), decay * rules[key].get('decay_mult', 1.)
    return lr, decay


def _own_options(model: nn.Module) -> dict[str, dict[str, float]]:
    """Options of the modules that ask for their own (``module.optimizer_options()``), by name prefix."""
    return {f'{name}.' if name else '': module.optimizer_options()
            for name, module in model.named_modules() if hasattr(module, 'optimizer_options')}


def parameter_groups(model: nn.Module, optimizer_cfg: dict[str, Any]) -> list[dict[str, Any]]:
    """The trainable parameters of ``model``, one group for each (learning rate, weight decay).

    A submodule may have a method ``optimizer_options() -> dict(lr=..., weight_decay=...)``: what it returns goes before
    the rules for the parameters below it.

    Returns:
        Groups with ``params``, ``names``, ``lr``, ``initial_lr`` and ``weight_decay``, in order of first appearance.
    """
    options = _own_options(model)
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        lr, decay = parameter_rule(name, optimizer_cfg)
        prefix = max((p for p in options if name.startswith(p)), key=len, default=None)
        if prefix is not None:
            lr, decay = options[prefix].get('lr', lr), options[prefix].get('weight_decay', decay)
        group = groups.setdefault((lr, decay), dict(params=[], names=[], lr=lr, initial_lr=lr, weight_decay=decay))
        group['params'].append(parameter)
        group['names'].append(name)
    if not groups:
        raise ValueError(f'{type(model).__name__} has no trainable parameter: nothing to optimize')
    return list(groups.values())


def build_optimizer(model: nn.Module, optimizer_cfg: dict[str, Any]) -> Optimizer:
    """Build the ``optimizer`` section: any optimizer of ``torch.optim`` by its name, with one kernel for all tensors.

    Args:
        model: already on its device.
        optimizer_cfg: ``type``, ``lr``, the optimizer's own arguments, and ``paramwise_cfg`` with ``custom_keys``.

    Raises:
        ValueError: for an unknown optimizer or an argument that it does not take.
    """
    settings = {key: value for key, value in dict(optimizer_cfg).items() if key not in ('type', 'paramwise_cfg')}
    kind = getattr(torch.optim, str(optimizer_cfg.get('type')), None)
    if not (isinstance(kind, type) and issubclass(kind, Optimizer)):
        raise ValueError(f'optimizer.type {optimizer_cfg.get("type")!r} is not in torch.optim: use AdamW or SGD')
    if 'lr' not in settings:
        raise ValueError('optimizer.lr is missing: name the base learning rate, e.g. lr=6e-05')
    known = signature(kind).parameters
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ValueError(f'optimizer.{unknown[0]} is not an argument of torch.optim.{kind.__name__}: '
                         f'known are {", ".join(list(known)[1:])}')
    # measured on two CPU cores with 85 M parameters: fused takes a third of the time of foreach
    if kind.__name__ in FUSED and 'foreach' not in settings:
        settings.setdefault('fused', True)
    groups = parameter_groups(model, optimizer_cfg)
    try:
        return kind(groups, **settings)
    except ValueError as error:
        raise ValueError(f'optimizer: {kind.__name__} refuses its arguments ({error})') from error


class StepWrapper(OptimWrapper):
    """MMEngine's optimizer wrapper with bfloat16 autocast on any device and without host synchronisation.

    With several processes, :meth:`step` first averages the gradients of all its parameters over them.

    Args:
        optimizer: the optimizer.
        clip_grad: arguments of ``clip_grad_norm_`` (``max_norm``, ``norm_type``), or None.
        autocast: run the forwards under ``optim_context`` in bfloat16.
        accumulate: parts of an iteration: so many calls of :meth:`step` make one step, with their mean gradient.
    """

    def __init__(self, optimizer: Optimizer, clip_grad: dict[str, Any] | None = None, autocast: bool = False,
                 accumulate: int = 1) -> None:
        super().__init__(optimizer, clip_grad=dict(clip_grad) if clip_grad else None)
        self.autocast, self.accumulate, self.part = autocast, accumulate, 0
        self.device_type = optimizer.param_groups[0]['params'][0].device.type
        self.log_vars: dict[str, Tensor] = {}

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Open it around each forward, as often as needed."""
        with super().optim_context(model), torch.autocast(self.device_type, torch.bfloat16, enabled=self.autocast):
            yield

    def zero_grad(self, **kwargs: Any) -> None:
        """Only before the first part of an iteration: the others add to its gradients."""
        if self.part == 0:
            super().zero_grad(**kwargs)

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Of a part's share in the mean loss."""
        super().backward(loss / self.accumulate, **kwargs)

    def step(self, **kwargs: Any) -> None:
        """Count a part; after the last one average the gradients over the processes, clip them and step."""
        self.part = (self.part + 1) % self.accumulate
        if self.part == 0:
            average_gradients([p for group in self.optimizer.param_groups for p in group['params']])
            super().step(**kwargs)

    def _clip_grad(self) -> None:
        # MMEngine reads the norm to the host in every iteration; here it stays a tensor until the logging interval
        parameters = [p for group in self.optimizer.param_groups for p in group['params'] if p.grad is not None]
        norm = self.clip_func(parameters, **self.clip_grad_kwargs)
        if norm is not None:
            self.log_vars[self.grad_name] = norm.detach()


def bfloat16_is_slow(device_type: str) -> bool:
    """Whether bfloat16 is emulated on this machine: CPUs without AVX-512 or AMX compute it 10 to 100 times slower."""
    return device_type == 'cpu' and not torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _wants_autocast(cfg: Any) -> bool:
    """Whether ``amp=dict(dtype='bfloat16')`` is set; float16 is refused."""
    amp = cfg.get('amp')
    if cfg.get('fp16') is not None or (amp and amp.get('dtype') in ('float16', 'fp16', 'half')):
        raise ValueError("fp16 training is not supported, its range is too small for the pseudo-label losses: use "
                         "amp=dict(dtype='bfloat16')")
    if not amp:
        return False
    if amp.get('dtype') not in BFLOAT16_NAMES or set(amp) != {'dtype'}:
        raise ValueError(f"amp={dict(amp)} is not understood: use amp=dict(dtype='bfloat16'), or amp=None for float32")
    return True


def build_optim_wrapper(model: nn.Module, cfg: Any) -> StepWrapper:
    """Translate ``optimizer``, ``optimizer_config``, ``amp`` and ``auto_scale_lr`` of a whole config.

    Raises:
        ValueError: if one of the three asks for something unknown.
    """
    step_cfg = dict(cfg.get('optimizer_config') or {})
    clip, accumulate = step_cfg.pop('grad_clip', None), step_cfg.pop('accumulate', None) or 1
    if step_cfg:
        raise ValueError(f'optimizer_config knows grad_clip and accumulate only, not {", ".join(sorted(step_cfg))}'
                         " (mixed precision: amp=dict(dtype='bfloat16'))")
    optimizer = build_optimizer(model, cfg['optimizer'])
    if cfg.get('auto_scale_lr'):
        for group in optimizer.param_groups:
            group['lr'] = group['initial_lr'] = group['initial_lr'] * processes.count()
    return StepWrapper(optimizer, clip, _wants_autocast(cfg), accumulate)
