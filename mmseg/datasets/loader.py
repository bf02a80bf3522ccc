"""Loaders for training and evaluation.

A training sample is a function of (seed, rank, iteration, slot in the batch): it does not depend on the number of
workers, and a resumed run starts at its iteration without reading what came before.
"""
from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from mmseg.datasets.base import SampledDataset
from mmseg.datasets.collate import collate
from mmseg.errors import DataError
from mmseg.utils.draws import Draws


class TrainSlots(Dataset):
    """What fills slot k of iteration t: ``slots[t, k]``.

    Args:
        dataset: draws the samples.
        samples: slots per iteration.
        seed, rank, world_size: of the run and of this process.
    """

    def __init__(self, dataset: SampledDataset, samples: int, seed: int, rank: int, world_size: int) -> None:
        self.dataset = dataset
        self.samples = samples
        self.seed, self.rank, self.world_size = seed, rank, world_size

    def __getitem__(self, place: tuple[int, int]) -> dict[str, Any] | DataError:
        iteration, slot = place
        position = (iteration * self.samples + slot) * self.world_size + self.rank
        rng = Draws(self.seed, self.rank, iteration).numpy(f'sample{slot}')
        return _or_error(lambda: self.dataset.sample(position, rng, self.seed))


class IterationSlots:
    """For every iteration from ``start`` to ``stop - 1`` and each of its parts the list of its (iteration, slot)."""

    def __init__(self, start: int, stop: int, samples_per_gpu: int, parts: int) -> None:
        self.iterations = range(start, stop)
        self.samples_per_gpu, self.parts = samples_per_gpu, parts

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        starts = [part * self.samples_per_gpu for part in range(self.parts)]
        return ([(iteration, slot) for slot in range(start, start + self.samples_per_gpu)]
                for iteration in self.iterations for start in starts)

    def __len__(self) -> int:
        return len(self.iterations) * self.parts


class EvalImages(Dataset):
    """Test-time versions of every image, with its label map if there is one and it is wanted."""

    def __init__(self, dataset: SampledDataset, with_label: bool) -> None:
        self.dataset = dataset
        self.with_label = with_label and dataset.has_labels

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, idx: int) -> dict[str, Any] | DataError:
        return _or_error(lambda: self._load(idx))

    def _load(self, idx: int) -> dict[str, Any]:
        sample = self.dataset[idx]
        versions = sample.get('img')
        if not isinstance(versions, list) or not all(isinstance(img, torch.Tensor) for img in versions):
            raise DataError('a pipeline for evaluation gives a list of tensors: it ends in MultiScaleFlipAug, whose '
                            'transforms end in ImageToTensor and Collect (configs/_base_/datasets has many)')
        image = {'index': idx, 'img': [version.unsqueeze(0) for version in sample['img']],
                 'img_metas': [[metas] for metas in sample['img_metas']]}
        if self.with_label:
            size = tuple(sample['img_metas'][0]['ori_shape'][:2])
            image['label'] = torch.from_numpy(self.dataset.label(idx, size))
        return image


def is_dead_worker(error: BaseException) -> bool:
    """Whether an error says that a worker process has died, which torch raises wherever the program is."""
    return isinstance(error, RuntimeError) and re.match(r'DataLoader worker \(pid', str(error)) is not None


class Loader:
    """A DataLoader whose workers hand errors about the data over instead of dying with a traceback of theirs."""

    def __init__(self, loader: DataLoader) -> None:
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.loader:
            if isinstance(batch, DataError):
                raise batch
            yield batch


def _or_error(load: Callable[[], dict[str, Any]]) -> dict[str, Any] | DataError:
    try:
        return load()
    except DataError as error:
        return error


def _collate_or_error(samples: list[dict[str, Any] | DataError]) -> dict[str, Any] | DataError:
    errors = [sample for sample in samples if isinstance(sample, DataError)]
    whole = [sample for sample in samples if not isinstance(sample, DataError)]
    return errors[0] if errors else _or_error(lambda: collate(whole))


def _as_it_is(sample: Any) -> Any:
    return sample


def _report_unless_left(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The thread that hands tensors over is cut short when the main process ends, and that one says why it does."""
    if not issubclass(kind, (ConnectionError, EOFError)):
        sys.__excepthook__(kind, error, trace)


def _start_worker(_: int) -> None:
    """One thread per worker; Ctrl-C is the main process's business, and a plain end is what SIGTERM asks for."""
    sys.excepthook = _report_unless_left
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def build_train_loader(dataset: SampledDataset, samples_per_gpu: int, workers_per_gpu: int, *, seed: int, stop: int,
                       start: int = 0, rank: int = 0, world_size: int = 1, parts: int = 1, pin_memory: bool = False,
                       persistent_workers: bool = False) -> Loader:
    """Batches of the iterations ``start`` to ``stop - 1`` (see :func:`~mmseg.datasets.collate.collate`).

    Args:
        dataset: draws the samples.
        samples_per_gpu: batch size of this process.
        workers_per_gpu: worker processes; 0 loads in this process.
        seed: of the run.
        rank, world_size: of this process, and number of processes.
        parts: batches per iteration. Two of one sample hold what one of two samples would.
        pin_memory: put batches into page-locked memory.
        persistent_workers: keep the workers when the loader is iterated again.
    """
    return Loader(DataLoader(
        TrainSlots(dataset, samples_per_gpu * parts, seed, rank, world_size),
        batch_sampler=IterationSlots(start, stop, samples_per_gpu, parts), num_workers=workers_per_gpu,
        collate_fn=_collate_or_error, pin_memory=pin_memory, worker_init_fn=_start_worker,
        persistent_workers=persistent_workers and workers_per_gpu > 0))


def build_eval_loader(dataset: SampledDataset, workers_per_gpu: int = 2, with_label: bool = True, rank: int = 0,
                      world_size: int = 1) -> Loader:
    """One image at a time: ``index``, ``img`` (list over test-time versions of float32 [1, 3, H, W]), ``img_metas``
    (list of lists of one dict) and ``label`` (uint8 [h, w] at the original size) if it exists and is wanted.

    Of several processes each gets every ``world_size``-th image, from number ``rank`` on: all together each image once.
    """
    return Loader(DataLoader(EvalImages(dataset, with_label), sampler=range(rank, len(dataset), world_size),
                             batch_size=None, num_workers=workers_per_gpu, collate_fn=_as_it_is,
                             worker_init_fn=_start_worker))
