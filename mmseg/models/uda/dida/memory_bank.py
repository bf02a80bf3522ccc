"""The memory bank: labelled instance features, how its rows are filled and renewed, and its files.

Shapes: K rows of D channels, C classes.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mmseg.errors import CheckpointError

FEATURES, LABELS = 'f_buffer_s.npz', 'l_buffer_s.npz'
OLDER_FEATURES = 'f_buffer.npz'  # read where FEATURES is absent
FILES = (FEATURES, OLDER_FEATURES, LABELS)
ENTRY = 'arr_0'  # name of the array in each file
# Train ids of Cityscapes, rarest first: the order in which classes get a row more, where rows cannot be shared equally.
RAREST_FIRST = (18, 12, 17, 16, 7, 6, 11, 15, 4, 5, 14, 3, 9, 13, 8, 1, 10, 2, 0)


def balanced_labels(size: int, classes: Sequence[int]) -> Tensor:
    """Class of each row, int64 [K]: equal shares, the first classes have a row more; rows of a class are neighbours.

    Args:
        size: number of rows K, at least 1.
        classes: class ids, at least one.
    """
    share, more = divmod(size, len(classes))
    return torch.tensor([label for i, label in enumerate(classes) for _ in range(share + (i < more))])


def known_classes(classes: Sequence[int] | None, num_classes: int) -> Sequence[int]:
    """The ids of the classes that get rows, rarest first: ``classes``, or all of them.

    Raises:
        ValueError: if there is none, or an id that is no class or stands there twice.
    """
    if classes is None:
        return RAREST_FIRST if num_classes == len(RAREST_FIRST) else range(num_classes)
    if len(set(classes)) < len(classes) or not set(classes) <= set(range(num_classes)) or not classes:
        raise ValueError(f'classes={list(classes)} must be different ids from 0 to {num_classes - 1}')
    return classes


class MemoryBank(nn.Module):
    """K features with class labels, in buffers, so that they are on the device and in checkpoints.

    Nothing here waits for the device: which classes are present and which rows are filled are tensors.

    Args:
        feature: float32 [K, D].
        label: int64 [K], in [0, C).
        num_classes: number of classes C.
        filled: whether ``feature`` holds something already.

    Attributes:
        feature, label: see above.
        filled: bool [K], the rows that hold something.
        pointer: int64 [C], how many rows each class has got so far.
    """
    feature: Tensor
    label: Tensor
    filled: Tensor
    pointer: Tensor

    def __init__(self, feature: Tensor, label: Tensor, num_classes: int, filled: bool) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.register_buffer('feature', feature.float())
        self.register_buffer('label', label.long())
        self.register_buffer('filled', torch.full((len(label), ), filled))
        self.register_buffer('pointer', torch.bincount(self.label, minlength=num_classes) if filled else
                             torch.zeros(num_classes, dtype=torch.int64))

    @classmethod
    def empty(cls, size: int, num_classes: int, dim: int, classes: Sequence[int] | None = None,
              value: float = 0.) -> MemoryBank:
        """A bank of ``size`` empty rows of ``dim`` channels, shared equally by the classes.

        Args:
            size, num_classes, dim: K, C and D, at least 1.
            classes: see :func:`known_classes`, which also says what is refused.
            value: of all entries until the rows are filled.
        """
        label = balanced_labels(size, known_classes(classes, num_classes))
        return cls(torch.full((size, dim), value), label, num_classes, filled=False)

    @classmethod
    def read(cls, folder: str | Path, num_classes: int, dim: int, non_negative: bool = False) -> MemoryBank:
        """The full bank of a folder; arguments and errors are those of :func:`read_bank`."""
        return cls(*read_bank(folder, num_classes, dim, non_negative), num_classes, filled=True)

    def check_state(self, state: Mapping[str, Tensor]) -> None:
        """Refuse buffers of a checkpoint, by name, with classes or counts that cannot be: they are indices on a GPU.

        Raises:
            CheckpointError: naming the buffer.
        """
        label, pointer = state['label'], state['pointer']
        if label.dtype.is_floating_point or label.min() < 0 or label.max() >= self.num_classes:
            raise CheckpointError(f'label holds {label.min():g} to {label.max():g} ({label.dtype}); rows of the bank '
                                  f'have the classes 0 to {self.num_classes - 1}')
        if pointer.dtype.is_floating_point or pointer.min() < 0:
            raise CheckpointError(f'pointer holds {pointer.min():g} ({pointer.dtype}); it counts the rows of a class')

    @property
    def membership(self) -> Tensor:
        """Float [K, C], 1 where a row belongs to a class."""
        classes = torch.arange(self.num_classes, device=self.label.device)
        return (self.label[:, None] == classes).float()

    @property
    def full(self) -> Tensor:
        """0-dim bool: whether every row is filled."""
        return self.filled.all()

    def clear(self) -> None:
        """Let all rows count as empty."""
        self.filled.zero_()
        self.pointer.zero_()

    @torch.no_grad()
    def update(self, prototypes: Tensor, present: Tensor, renew: bool, momentum: float | None) -> None:
        """Fill empty rows with class prototypes; in classes that have none left, renew the others.

        Args:
            prototypes: one feature per class, [C, D].
            present: bool [C], the classes that have a prototype; rows of others stay bit-equal.
            renew: whether classes whose rows are all filled learn, too.
            momentum: in [0, 1], their rows become ``momentum * row + (1 - momentum) * prototype``; None replaces the
                oldest row.
        """
        member = self.membership
        quota = member.sum(dim=0).long()
        complete = self.pointer >= quota
        if renew and momentum is not None:
            blended = momentum * self.feature + (1 - momentum) * prototypes[self.label]
            self._write(blended, (present & complete)[self.label])
        stored = present & (~complete | (renew and momentum is None)) & (quota > 0)
        # first in, first out: the n-th row of its class gets the prototype whose number is n modulo the class's rows
        number = ((member.cumsum(dim=0) - 1) * member).sum(dim=1).long()
        rows = (number == (self.pointer % quota.clamp_min(1))[self.label]) & stored[self.label]
        self._write(prototypes[self.label], rows)
        self.filled |= rows
        self.pointer += stored

    def _write(self, feature: Tensor, rows: Tensor) -> None:
        """Take over the features [K, D] of some rows, bool [K]."""
        self.feature.copy_(torch.where(rows[:, None], feature, self.feature))


def read_bank(folder: str | Path, num_classes: int, dim: int, non_negative: bool = False) -> tuple[Tensor, Tensor]:
    """Features float32 [K, D] and labels int64 [K] of a folder, in the format of the banks that DIDA's authors publish.

    Features are in f_buffer_s.npz, or else in f_buffer.npz; labels in l_buffer_s.npz.

    Args:
        folder: of the files.
        num_classes, dim: C and D of the network.
        non_negative: refuse negative features.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is no such file, or does not fit to the other one, the classes or the network.
    """
    folder = Path(folder)
    older = not (folder / FEATURES).exists() and (folder / OLDER_FEATURES).exists()
    features, labels = folder / (OLDER_FEATURES if older else FEATURES), folder / LABELS
    feature, label = _read_array(features), _read_array(labels)
    if feature.dtype.kind not in 'fiu' or feature.ndim != 2 or label.shape != feature.shape[:1] or not len(label):
        raise ValueError(f'{folder}: {features.name}, {feature.dtype} {feature.shape}, and {LABELS} of shape '
                         f'{label.shape} are no bank, which has numbers of shapes (K, D) and (K,)')
    if feature.shape[1] != dim:
        raise ValueError(f'{folder}: the bank has {feature.shape[1]} channels, the embedding of this network {dim}: '
                         'make one with create_buffer.py --mode source')
    if label.dtype.kind not in 'iu' or label.min() < 0 or label.max() >= num_classes:
        raise ValueError(f'{labels}: labels from {label.min()} to {label.max()} of type {label.dtype}, but they have '
                         f'to be whole numbers below {num_classes}, the number of classes')
    if not np.isfinite(feature).all():
        raise ValueError(f'{features} has entries that are no finite numbers: make a bank with create_buffer.py')
    if non_negative and feature.min() < 0:
        raise ValueError(f'{features} has negative features, down to {feature.min():.3g}, and '
                         "preset='dida_code' takes logarithms of similarities: make another bank with "
                         'create_buffer.py, or leave bank out, then the training fills one from source images')
    return torch.from_numpy(feature).float(), torch.from_numpy(label).long()


def _read_array(path: Path) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(f'there is no {path}: a bank is a folder with {FEATURES} (or {OLDER_FEATURES}) and '
                                f'{LABELS}, as create_buffer.py makes it')
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays[ENTRY]
    except Exception as error:  # damage shows in many ways
        raise ValueError(f'{path} is no NPZ file with an array {ENTRY!r}: {error}') from error


def write_bank(folder: str | Path, feature: Tensor, label: Tensor) -> None:
    """Write features [K, D], under both of their names, and labels [K] as :func:`read_bank` reads them.

    The folder is made.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (FEATURES, OLDER_FEATURES):
        np.savez(folder / name, feature.detach().float().cpu().numpy())
    np.savez(folder / LABELS, label.cpu().numpy().astype(np.int64))
