"""What a forward returns to be trained and to be logged, distinguished by type and not by name."""
from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from torch import Tensor


class Losses(Mapping[str, Tensor]):
    """Named scalars of a forward. Read as a mapping it holds all of them, in the order in which they came.

    Args:
        trained: summed and back-propagated; logged, too.
        logged: logged only.

    Raises:
        TypeError: if an entry is no tensor.
        ValueError: if an entry has more than one element, or a name stands in both.
    """

    def __init__(self, trained: Mapping[str, Tensor] | None = None, logged: Mapping[str, Tensor] | None = None) -> None:
        trained, logged = dict(trained or {}), dict(logged or {})
        for name, value in (*trained.items(), *logged.items()):
            if not isinstance(value, Tensor):
                raise TypeError(f'the entry {name!r} of Losses is a {type(value).__name__}: give a scalar tensor')
            if value.numel() != 1:
                raise ValueError(f'the entry {name!r} of Losses has the shape {tuple(value.shape)}: make it a scalar')
        _refuse_repeated(trained.keys() & logged.keys())
        self._values, self._trained = {**trained, **logged}, frozenset(trained)

    def __getitem__(self, name: str) -> Tensor:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __or__(self, other: Losses) -> Losses:
        """Both together.

        Raises:
            TypeError: if ``other`` is something else, a plain dict for example.
            ValueError: if a name stands in both.
        """
        if not isinstance(other, Losses):
            raise TypeError(f'a {type(other).__name__} does not say which of its entries are trained: return '
                            'Losses(trained=dict(...), logged=dict(...)), see mmseg/models/named_losses.py')
        _refuse_repeated(self.keys() & other.keys())
        return _made(self._values | other._values, self._trained | other._trained)

    @property
    def trained(self) -> dict[str, Tensor]:
        """The entries that are back-propagated."""
        return {name: value for name, value in self._values.items() if name in self._trained}

    def prefixed(self, prefix: str) -> Losses:
        """The same entries with ``prefix`` before their names."""
        return _made({prefix + name: value for name, value in self._values.items()},
                     frozenset(prefix + name for name in self._trained))

    def scaled(self, factor: float, names: Collection[str] | None = None) -> Losses:
        """With the trained entries, or those of them in ``names``, times ``factor``."""
        chosen = self._trained if names is None else self._trained & set(names)
        return _made({name: factor * value if name in chosen else value for name, value in self._values.items()},
                     self._trained)

    def total(self) -> Tensor:
        """The sum of the trained entries.

        Raises:
            ValueError: if there is none.
        """
        if not self._trained:
            raise ValueError(f'nothing to train: {", ".join(self) or "no entry"} is only logged')
        return sum(value.reshape(()) for value in self.trained.values())

    def detached(self) -> Losses:
        """Without graphs, to be logged."""
        return _made({name: value.detach() for name, value in self._values.items()}, self._trained)

    def __repr__(self) -> str:
        return f'Losses(trained={self.trained}, logged={dict(self.items() - self.trained.items())})'


def _made(values: dict[str, Tensor], trained: frozenset[str]) -> Losses:
    """Losses of entries that are known to be fit, in their order."""
    losses = Losses()
    losses._values, losses._trained = values, trained
    return losses


def _refuse_repeated(names: Collection[Any]) -> None:
    if names:
        raise ValueError(f'two losses or logged values have the name {sorted(names)[0]!r}: rename one')
