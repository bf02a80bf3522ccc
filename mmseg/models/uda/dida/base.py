"""What the objectives of DIDA share: their section of the config, the table of presets, and the memory bank."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from torch import Tensor

from mmseg.models.segmentors.results import Decoded
from mmseg.models.uda.dida.memory_bank import MemoryBank
from mmseg.models.uda.objective import Objective
from mmseg.models.uda.step_state import StepState
from mmseg.utils.kinds import COUNT, NONE, SHARE, WHOLE, Typed, list_of
from mmseg.utils.names import nearest
from mmseg.utils.options import optional

if TYPE_CHECKING:
    from mmseg.models.uda.base import UDADecorator

DEFAULT = 'cosine'
PRESETS: dict[str, type[InstanceObjective]] = {}  # by the names that the config gives them; preset() adds them

Class = TypeVar('Class', bound='type[InstanceObjective]')


def preset(*names: str) -> Callable[[Class], Class]:
    """Class decorator: ``uda.instance_bank.preset`` with one of the names builds this objective."""

    def add(cls: Class) -> Class:
        PRESETS.update(dict.fromkeys(names, cls))
        return cls

    return add


class InstanceObjective(Objective):
    """Base of the objectives that compare pixels with a memory bank of labelled source instances.

    The config has one section for all of them, whose ``preset`` says which one is built. So only one is registered.

    Args:
        weight: factor of the loss.
        smoothing: share of the class scores in the refined pseudo labels, in [0, 1]; 1 leaves them alone.
        calibrate: whether class scores weigh the similarities that the student should have (scatter).
        momentum: share of a row that a renewal keeps, in [0, 1].
        interval: iterations between two renewals, at least 1.

    Attributes:
        bank: the memory bank, which the subclass makes.

    Raises:
        ValueError: for a value that cannot be.
    """
    name = 'instance_bank'
    joins = 'mix'
    keys = dict(instance_bank=None)
    key_kinds = dict(instance_bank=Typed(lambda: PRESETS, optional, key='preset', default=DEFAULT) | NONE)
    OPTIONS = dict(size=COUNT, classes=list_of(WHOLE) | NONE, smoothing=SHARE, momentum=SHARE, interval=COUNT)
    needs_teacher = True
    bank: MemoryBank

    def __init__(self, weight: float, smoothing: float, calibrate: bool, momentum: float, interval: int) -> None:
        super().__init__()
        for name, share in dict(smoothing=smoothing, momentum=momentum).items():
            if not 0 <= share <= 1:
                raise ValueError(f'{name}={share} must lie in [0, 1]')
        check_count('interval', interval)
        self.weight, self.smoothing, self.calibrate = weight, smoothing, calibrate
        self.momentum, self.interval = momentum, interval

    @classmethod
    def from_config(cls, uda: dict[str, Any], host: UDADecorator) -> InstanceObjective | None:
        """Build the objective of the preset; None if it is inactive.

        Raises:
            FileNotFoundError: if the bank that it starts from does not exist.
            TypeError: if the section is no dict or has an unknown entry.
            ValueError: for an unknown preset or a value that cannot be.
        """
        options, name = uda['instance_bank'], DEFAULT
        if options is None:
            return None
        if isinstance(options, Mapping):
            options = dict(options)
            name = options.pop('preset', DEFAULT)
        if name not in PRESETS:
            raise ValueError(f'uda.instance_bank.preset={name!r}: {nearest(name, PRESETS)}')
        try:
            return PRESETS[name].build(options, uda, host)
        except (FileNotFoundError, ValueError) as error:
            raise type(error)(f'uda.instance_bank: {error}') from error

    @classmethod
    def build(cls, options: Any, uda: dict[str, Any], host: UDADecorator, **context: Any) -> InstanceObjective:
        """Build this objective from the entries of its section.

        Args:
            options: the entries, without the preset.
            uda, host: see :meth:`from_config`.
            context: further arguments of the constructor, which a config may not set.
        """
        return cls.from_options('instance_bank', options, num_classes=host.num_classes,
                                channels=host.model.embedding_channels, **context)

    @classmethod
    def class_ids(cls, uda: dict[str, Any]) -> dict[str, list[int]]:
        """The classes that get rows, by config key."""
        options = uda.get('instance_bank')
        ids = options.get('classes') if isinstance(options, Mapping) else None
        return {'instance_bank.classes': list(ids)} if ids else {}

    def renews(self, step: StepState) -> bool:
        """Whether full classes of the bank are renewed in this iteration."""
        return step.draws.iteration % self.interval == 0


def embedding_of(decoded: Decoded) -> Tensor:
    """What is compared with the rows, fp32 [B, D, h, w].

    Raises:
        TypeError: if the decode head gives none.
    """
    if decoded.embedding is None:
        raise TypeError('uda.instance_bank compares embeddings, and this decode head gives none: take another head')
    return decoded.embedding.float()


def check_count(name: str, value: int) -> None:
    """Refuse what is less than 1.

    Raises:
        ValueError: naming the option.
    """
    if value < 1:
        raise ValueError(f'{name}={value} must be at least 1')
