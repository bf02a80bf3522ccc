"""What is certified, the most important first: what the time does not suffice for stands at the end."""
from __future__ import annotations

from collections.abc import Iterator

from mmseg.cli.certify.checks import PARITY
from mmseg.cli.certify.jobs import Job
from mmseg.cli.certify.methods import METHODS, PRECISIONS
from mmseg.cli.certify.trainings import REPEATED, RESUMED, SEVERAL

MEASURED = ('DAFormer', 'HRDA', 'MIC', 'MRM', 'DIDA')  # EBDA is DAFormer but for one term of the loss
COMPILED = ('bf16', 'TF32', 'fp32')  # the likeliest gain first


def checks(miniature: bool) -> Iterator[Job]:
    """What may be right or wrong."""
    yield Job('environment', ('environment', ), 60)
    yield Job('waiting', tuple(f'no waiting: {method}' for method in METHODS), 600 if miniature else 90)
    for group in (list(PARITY)[-1:] if miniature else PARITY):
        yield Job('parity', (f'parity: {group}', ), 600 if miniature else 75, dict(group=group))
    yield Job('trainings', (REPEATED, RESUMED, SEVERAL), 600 if miniature else 180)


def _measured(method: str, precision: str, how: str) -> Job:
    # a compilation of HRDA takes minutes
    return Job('speed', (f'{method}, {precision}, {how}', ), 240 if how == 'compiled' else 150,
               dict(method=method, precision=precision, how=how))


def measurements(miniature: bool) -> Iterator[Job]:
    """What takes a time."""
    if miniature:
        yield _measured('DAFormer', 'fp32', 'eager')
        return
    for method in MEASURED[:3]:
        yield from (_measured(method, precision, 'eager') for precision in PRECISIONS)
    yield _measured('DAFormer', COMPILED[0], 'compiled')
    for method in MEASURED[3:]:
        yield from (_measured(method, precision, 'eager') for precision in PRECISIONS)
    for precision in COMPILED:
        yield from (_measured(method, precision, 'compiled') for method in MEASURED
                    if (method, precision) != ('DAFormer', COMPILED[0]))


def estimates(miniature: bool) -> Iterator[Job]:
    """The memory of what is measured; TF32 needs that of fp32."""
    for method in MEASURED[:1] if miniature else MEASURED:
        for precision in PRECISIONS[:1] if miniature else ('fp32', 'bf16'):
            yield Job('memory', (f'memory, {method}, {precision}', ), 300, dict(method=method, precision=precision))
