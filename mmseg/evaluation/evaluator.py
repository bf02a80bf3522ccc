"""Run a segmentor over a data set, one image at a time, and score it on the fly."""
from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from tqdm import tqdm

from mmseg.distributed import processes
from mmseg.errors import DataError
from mmseg.evaluation.metrics import ConfusionMatrix, check_metrics
from mmseg.models.segmentors.results import ClassScores
from mmseg.utils.labels import IGNORED

T = TypeVar('T')
OnPrediction = Callable[[int, Tensor, dict[str, Any]], None]


@dataclass(frozen=True)
class EvaluatedImage:
    """What is known of an image when it has been predicted. Nothing has waited for the device yet.

    Attributes:
        index: its number in the data set.
        meta: its meta dict.
        img: what the network saw of it first, float [3, H, W], normalised, on the CPU.
        pred: class ids [h, w] at original size, on the device.
        scores: what they were chosen by, [1, C, h, w].
        label: ids [h, w]; None: no metrics are computed.
        counts: [C, C] pairs of (label, prediction), on the device; None as above.
    """
    index: int
    meta: dict[str, Any]
    img: Tensor
    pred: Tensor
    scores: ClassScores
    label: Tensor | None = None
    counts: Tensor | None = None


OnImage = Callable[[EvaluatedImage], None]


def predictions(network: nn.Module,
                loader: Iterable[dict[str, Any]],
                *,
                device: torch.device | str,
                autocast_dtype: torch.dtype | None = None,
                progress: bool = True) -> Iterator[tuple[dict[str, Any], Tensor]]:
    """Yield (batch, prediction) for every batch of an evaluation loader.

    The network is in evaluation mode meanwhile; afterwards every submodule is in the mode that it came in.

    Args:
        network: a segmentor with ``predict(imgs, metas) -> int64 [B, h, w]`` at original image size.
        loader: yields dicts with ``img`` (list over augmentations of float32 [B, 3, H, W]) and ``img_metas`` (list over
            augmentations of lists of B dicts).
        device: where the network is.
        autocast_dtype: e.g. torch.bfloat16; None computes in fp32.
        progress: show a progress bar on stderr.
    """
    return _computed(network.predict, network, loader, device, autocast_dtype, progress)


def _computed(compute: Callable[[list[Tensor], Any], T], network: nn.Module, loader: Iterable[dict[str, Any]],
              device: torch.device | str, autocast_dtype: torch.dtype | None, progress: bool
              ) -> Iterator[tuple[dict[str, Any], T]]:
    """Each batch, and what a method of the network makes of its images and metas; see :func:`predictions`."""
    device = torch.device(device)
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    # Written to a file, a bar that moves ten times a second is only noise.
    interval = 0.1 if sys.stderr.isatty() else 10.0
    try:
        for batch in tqdm(loader, desc='evaluating', unit='img', mininterval=interval, leave=None,
                          disable=not (progress and processes.is_main())):
            with torch.no_grad(), torch.autocast(device.type, autocast_dtype, autocast_dtype is not None):
                imgs = [img.to(device, non_blocking=True) for img in batch['img']]
                found = [compute(imgs, batch['img_metas'])]
            yield batch, found.pop()  # not kept while the next batch is computed
    finally:
        for module, mode in modes:
            module.training = mode


def check_classes(network: nn.Module, dataset: Any) -> None:
    """Refuse to score a network on a data set with another number of classes.

    Raises:
        DataError: naming both numbers.
    """
    if network.num_classes != len(dataset.CLASSES):
        raise DataError(f'the network predicts {network.num_classes} classes, but {type(dataset).__name__} has '
                        f'{len(dataset.CLASSES)}: set model.decode_head.num_classes or the data set to match')


def evaluate_network(network: nn.Module,
                     loader: Iterable[dict[str, Any]],
                     *,
                     device: torch.device | str,
                     dataset: Any,
                     autocast_dtype: torch.dtype | None = None,
                     on_prediction: OnPrediction | None = None,
                     on_image: OnImage | None = None,
                     progress: bool = True,
                     metrics: str | Iterable[str] = ('mIoU',),
                     subsets: Mapping[str, Sequence[str]] | None = None) -> dict[str, float]:
    """Score a segmentor. No prediction is kept and, on a GPU, nothing waits for the device until the end.

    Several processes, each with a share of the images, count their pixels together: all get the scores of all images.

    Args:
        network, loader, device, autocast_dtype, progress: see :func:`predictions`; the loader also gives ``label``, an
            integer [H, W] map at original image size.
        dataset: says CLASSES.
        on_prediction: called with (running number in this process, int64 [h, w] on the device, its meta dict).
        on_image: called with all that is known of an image; the network then needs ``class_scores(imgs, metas)``, and
            the loader gives ``index``, too.
        metrics: of 'mIoU', 'mDice', 'mFscore'; an empty list only predicts and returns {}.
        subsets: further mean IoUs, see :meth:`ConfusionMatrix.compute`.

    Returns:
        Scores in 0..1: aAcc, mIoU, mAcc, IoU.<class>, Acc.<class>, ...

    Raises:
        DataError: if a label holds unknown ids or has another size than its image, naming the file; if the network
            and the data set differ in the number of classes.
    """
    metrics, classes = check_metrics(metrics), dataset.CLASSES
    check_classes(network, dataset)
    confusion = ConfusionMatrix(len(classes), device)
    compute = network.predict if on_image is None else network.class_scores
    total = 0
    for batch, found in _computed(compute, network, loader, device, autocast_dtype, progress):
        preds, metas = found if on_image is None else found.ids(), batch['img_metas'][0]
        labels = _labels(batch, preds, dataset) if metrics else [None] * len(metas)
        for number, (pred, label, meta) in enumerate(zip(preds, labels, metas)):
            counts = None if label is None else confusion.update(pred, label)
            if on_prediction is not None:
                on_prediction(total, pred, meta)
            if on_image is not None:
                on_image(EvaluatedImage(batch['index'] + number, meta, batch['img'][0][number], pred,
                                        found.of_image(number), label, counts))
            total += 1
        del found
    if int(processes.add_up(torch.tensor(total))) == 0:
        raise DataError(f'the {type(dataset).__name__} to evaluate holds no image: check its img_dir and split')
    if not metrics:
        return {}
    confusion.gather()
    return confusion.compute(classes, metrics, subsets)


def _labels(batch: dict[str, Any], preds: Tensor, dataset: Any) -> Tensor:
    """The labels [B, h, w] of a batch, checked."""
    if 'label' not in batch:
        raise DataError(f'{type(dataset).__name__} has no labels to compare with: predict with '
                        '--format-only or --show-dir instead of --eval')
    labels = torch.as_tensor(batch['label'])
    labels = labels[None] if labels.ndim == 2 else labels
    _check_labels(labels, preds, batch['img_metas'][0], len(dataset.CLASSES))
    return labels


def _check_labels(labels: Tensor, preds: Tensor, metas: Sequence[dict[str, Any]], num_classes: int
                  ) -> None:
    """Refuse labels that would be counted wrongly. Looks at the labels on the CPU, never at the device."""
    names = ', '.join(str(meta.get('filename', meta.get('ori_filename'))) for meta in metas)
    if labels.shape != preds.shape:
        raise DataError(f'the label of {names} is {_size(labels)} (height x width), the image is {_size(preds)}: '
                         'convert the labels again, or remove the pair')
    foreign = labels[(labels != IGNORED) & ((labels < 0) | (labels >= num_classes))]
    if len(foreign):
        raise DataError(f'the label of {names} holds the ids {foreign.unique().tolist()[:10]}; known are 0 to '
                         f'{num_classes - 1} and {IGNORED} (ignored). Was it converted to train ids '
                         '(tools/convert_datasets)?')


def _size(maps: Tensor) -> str:
    return 'x'.join(str(side) for side in maps.shape[-2:])
