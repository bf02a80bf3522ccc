"""Refusing what cannot fit into the memory of this machine, by numbers of the config, before anything is built.

What is compared is a lower bound: what is refused never fits, what is accepted need not (the estimate in
:mod:`mmseg.doctor.memory` says more).
"""
from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from mmseg.config.limits import LARGEST, entries, limited, numbers
from mmseg.errors import ConfigError
from mmseg.models.outline import outline

GIB = 2**30
FLOAT = 4  # bytes


class Need(NamedTuple):
    """Bytes that ``what`` takes at least, because of the number at the dotted ``key``."""
    size: float
    key: str
    what: str

    def check(self, device: torch.device) -> None:
        """Compare with the memory of a device.

        Raises:
            ConfigError: if it has less.
        """
        there = total_memory(device)
        if self.size > there:
            owner = 'this machine' if device.type == 'cpu' else device
            raise ConfigError(f'{self.key}: {self.what} takes at least {self.size / GIB:.3g} GiB of memory, {owner} '
                              f'has {there / GIB:.3g}', self.key.rpartition('.')[2], self.key)


def total_memory(device: torch.device) -> int:
    """Bytes of memory of a GPU, or of the machine."""
    if device.type == 'cuda':
        return torch.cuda.get_device_properties(device).total_memory
    return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')


def check_pictures(content: dict[str, Any]) -> None:
    """Refuse pipelines with a picture that does not fit into the memory of the machine.

    Raises:
        ConfigError: naming the dotted key.
    """
    for key, pixels, step in _pictures(content.get('data'), 'data'):
        Need(3 * pixels, key, f'a picture that {step} makes').check(torch.device('cpu'))


def check_memory(cfg: Any, device: torch.device) -> None:
    """Refuse a training whose batches, validation images or weights do not fit into the memory of ``device``.

    Args:
        cfg: a whole config, from ``load_config``.

    Raises:
        ConfigError: naming file and dotted key.
    """
    try:
        for need in (*_crops(cfg, device), *_validation_images(cfg), *_weights(cfg.model)):
            need.check(device)
    except ConfigError as error:
        raise ConfigError(f'{cfg.filename or "config"}: {error}', error.word, error.key) from None


def _crops(cfg: Any, device: torch.device) -> Iterator[Need]:
    samples = cfg.data.get('samples_per_gpu') or 2
    for key, pixels, step in _pictures(cfg.data.get('train'), 'data.train'):
        if step in ('RandomCrop', 'Pad'):
            one = pixels * _bytes_per_pixel(cfg.model)
            key = key if one > total_memory(device) else 'data.samples_per_gpu'
            yield Need(samples * one, key, f'a batch of {samples} crops of {pixels:.3g} pixels with their logits')


def _validation_images(cfg: Any) -> Iterator[Need]:
    if cfg.get('evaluation') is not None:
        for key, pixels, _ in _pictures(cfg.data.get('val'), 'data.val'):
            yield Need(pixels * _bytes_per_pixel(cfg.model), key, 'an image with its logits')


def _weights(model: Any) -> Iterator[Need]:
    """Weights and gradients; their cause is the number in the largest part that is nearest to its limit."""
    try:
        network = outline(model)
    except Exception:  # what is wrong with the model is said where it is built in earnest
        return
    sizes: Counter[str] = Counter()
    for name, parameter in network.named_parameters():
        sizes[name.partition('.')[0]] += parameter.numel()
    part, total = sizes.most_common(1)[0][0], sizes.total()
    found = {key: value / LARGEST[name] for key, name, value in limited(model.get(part), f'model.{part}')}
    yield Need(2 * FLOAT * total, max(found, key=found.__getitem__, default=f'model.{part}'),
               f'a network of {total:.3g} parameters with their gradients')


def _bytes_per_pixel(model: Any) -> float:
    """Of an image and its logits at image size, both in float32."""
    classes = [value for _, name, value in limited(model.get('decode_head'), '') if name == 'num_classes']
    return FLOAT * (3 + max(classes, default=0))


def _pictures(node: Any, key: str) -> Iterator[tuple[str, float, str]]:
    """Dotted key, least number of pixels, and transform of the pictures that pipelines below ``key`` make."""
    for path, name, entry in entries(node, key):
        sides = numbers(entry)
        if name == 'img_scale' and len(sides) > 1:
            yield path, _scaled(node), node.get('type')
        elif name in ('crop_size', 'size') and len(sides) == 2:
            yield path, math.prod(sides), node.get('type')
        elif name == 'size_divisor' and sides:
            yield path, sides[0]**2, node.get('type')
        yield from _pictures(entry, path)


def _scaled(step: dict[str, Any]) -> float:
    """Pixels of the largest image of a scale; one that keeps its shape has at least the short side squared."""
    scales = step['img_scale'] if isinstance(step['img_scale'][0], (list, tuple)) else [step['img_scale']]
    sides = [pair for pair in map(numbers, scales) if pair]
    factor = max(numbers([step.get('ratio_range'), step.get('img_ratios')]), default=1)
    return factor**2 * max(min(pair)**2 if step.get('keep_ratio', True) else math.prod(pair) for pair in sides)
