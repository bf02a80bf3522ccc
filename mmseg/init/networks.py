"""Which network, batch and length train on a machine."""
from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmseg.config.memory import GIB
from mmseg.doctor.memory import CONTEXT_GIB, MARGIN


@dataclass(frozen=True)
class Choice:
    """A network with what belongs to it.

    Attributes:
        name: for people.
        bases: files in configs/_base_.
        model: what the config adds to the ``model`` of the base, beside the number of classes.
        samples: images per domain and iteration.
        settings: further top-level entries of the config.
    """
    name: str
    bases: Sequence[str]
    samples: int
    model: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """How a kind of machine trains.

    Attributes:
        side: shorter side of images in pixels.
        choices: networks, the best first.
        alpha: of the teacher.
        workers: processes that load images.
    """
    side: int
    choices: Sequence[Choice]
    alpha: float
    workers: int
    why_side: str
    why_alpha: str


def _mit(number: int, settings: Mapping[str, Any]) -> Choice:
    name = f'mit_b{number}'
    model = {} if number == 5 else dict(pretrained=name, backbone=dict(type=name))
    title = f"MiT-B{number} with DAFormer's head{', in bfloat16' if settings else ''}"
    return Choice(title, ['mit.py'], 2, model, settings)


BF16 = dict(amp=dict(dtype='bfloat16'))
LITE = [Choice("EfficientNet-Lite0 with DAFormer's smallest head", ['lite0.py', 'uda/dacs.py'], samples,
               settings=dict(optimizer=dict(lr=2e-4))) for samples in (4, 2, 1)]
MIT = [_mit(5, {}), _mit(5, BF16), _mit(3, BF16), _mit(2, BF16), _mit(1, BF16)]


def training_on(kind: str) -> Training:
    """What trains on a 'cpu' or on a GPU."""
    if kind == 'cpu':
        return Training(128, LITE, 0.99, 0, 'as configs/streets, which learns on one CPU core',
                        'a teacher of 0.999 would still average over the first iterations when a short training ends')
    return Training(512, MIT, 0.999, min(4, os.cpu_count() or 1), "as DAFormer's experiments",
                    "as DAFormer's experiments")


def first_that_fits(choices: Sequence[Choice], needed: Callable[[Choice], int], there: int) -> tuple[Choice, str]:
    """The first choice whose training iteration fits into the memory, the last if none does; and why.

    Args:
        needed: the bytes of an iteration, without what libraries need.
        there: bytes of memory.
    """
    for choice in choices:
        size = needed(choice)
        fits = MARGIN * size + CONTEXT_GIB * GIB <= there
        if fits:
            break
    text = f'an iteration needs about {size / GIB:.1f} GiB, there are {there / GIB:.1f}'
    larger = choices[:choices.index(choice)]
    return choice, text + (f'; {larger[-1].name} with a batch of {larger[-1].samples} would not fit' if larger else '')


def length(kind: str, images: int, samples: int) -> tuple[int, str]:
    """Iterations, and why; ``images`` of the larger domain."""
    if kind == 'cpu':
        return 2000, 'half of what configs/streets have: a night is enough; what adapts still rises, so more is better'
    iterations = min(max(100 * images // samples, 4000), 40000) // 1000 * 1000
    return iterations, (f"each of {images:,} images about {iterations * samples / images:.0f} times; DAFormer's "
                        'experiments have 40,000')
