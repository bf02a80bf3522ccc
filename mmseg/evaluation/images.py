"""What is kept of single images while a network is evaluated: the scores of all, and pictures of a few."""
from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from torch import Tensor

from mmseg.distributed import processes
from mmseg.evaluation.evaluator import EvaluatedImage
from mmseg.evaluation.writers import Background
from mmseg.visualization import displayable

SHOWN = 12  # images with the lowest mIoU, and as many that are drawn at random
SIDE = 768  # pictures are no longer than this: of a larger image every second, third, ... pixel is kept
WAITING = 4  # images that may wait to be looked at before the network has to


@dataclass(frozen=True)
class ImageScore:
    """The pixels of one image, counted by class.

    Attributes:
        index: number of the image in the data set.
        name: path below the image folder.
        hits, labelled, predicted: int64 [C], of each class the pixels that are right, labelled and predicted.
    """
    index: int
    name: str
    hits: np.ndarray
    labelled: np.ndarray
    predicted: np.ndarray

    @property
    def iou(self) -> np.ndarray:
        """Float [C], 0..1; NaN for a class that is neither labelled nor predicted."""
        with np.errstate(invalid='ignore'):
            return self.hits / (self.labelled + self.predicted - self.hits)

    @property
    def miou(self) -> float:
        """Mean IoU of the classes that are labelled in the image; NaN if none is."""
        there = self.labelled > 0
        return float(self.iou[there].mean()) if there.any() else float('nan')

    @property
    def accuracy(self) -> float:
        """Share of the labelled pixels that are right; NaN if there is none."""
        labelled = self.labelled.sum()
        return float(self.hits.sum() / labelled) if labelled else float('nan')


@dataclass(frozen=True)
class Picture:
    """An image and what a network made of it, both sides at most :data:`SIDE` pixels.

    Attributes:
        score: of the whole image.
        photograph: uint8 [h, w, 3] RGB, as the network saw it.
        truth, prediction: uint8 [h, w] class ids; 255 where nothing is known.
        confidence: uint8 [h, w], probability of the predicted class times 255.
    """
    score: ImageScore
    photograph: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray
    confidence: np.ndarray


class ImageResults:
    """Collects scores and pictures while :func:`~mmseg.evaluation.evaluate_network` runs, as its ``on_image``.

    A thread looks at the images, so that the device need not wait; at most 2 * :data:`SHOWN` pictures are kept. All is
    there when the ``with`` block has ended.

    Args:
        num_images: of the data set, all processes together.
        num_classes: C.

    Attributes:
        confusion: int64 [C, C], rows are labels, columns predictions.
        scores: of all images, in the order of the data set.
    """

    def __init__(self, num_images: int, num_classes: int) -> None:
        self.confusion = np.zeros((num_classes, num_classes), np.int64)
        self.scores: list[ImageScore] = []
        self._sample = set(np.random.RandomState(0).permutation(num_images)[:SHOWN].tolist())
        self._drawn: list[Picture] = []
        self._worst: list[tuple[float, int, Picture]] = []  # a heap: the best of them comes first
        self._background = Background(threads=1, waiting=WAITING)

    def __call__(self, image: EvaluatedImage) -> None:
        """Look at an image with a label soon."""
        assert image.label is not None and image.counts is not None, 'metrics are computed where images are collected'
        step = -(-max(image.pred.shape) // SIDE)
        maps = [(map_[::step, ::step]).byte().contiguous() for map_ in (image.label, image.pred)]
        confidence = (image.scores.confidence(step)[0] * 255).round().byte()
        self._background.submit(self._look, image.index, image.meta, image.img, image.counts, *maps, confidence)

    def _look(self, index: int, meta: dict[str, Any], img: Tensor, counts: Tensor, *maps: Tensor) -> None:
        pairs = counts.cpu().numpy()  # waits for the device, but nobody waits for this thread
        self.confusion += pairs
        score = ImageScore(index, meta['ori_filename'], pairs.diagonal().copy(), pairs.sum(1), pairs.sum(0))
        self.scores.append(score)
        bad = not np.isnan(score.miou) and (len(self._worst) < SHOWN or -score.miou > self._worst[0][0])
        if not bad and index not in self._sample:
            return
        truth, prediction, confidence = (map_.cpu().numpy() for map_ in maps)
        picture = Picture(score, _photograph(img, meta, truth.shape), truth, prediction, confidence)
        if index in self._sample:
            self._drawn.append(picture)
        if bad:
            heapq.heappush(self._worst, (-score.miou, index, picture))
            if len(self._worst) > SHOWN:
                heapq.heappop(self._worst)

    def __enter__(self) -> ImageResults:
        return self

    def __exit__(self, kind: type | None, *_: Any) -> None:
        """Wait for the images that are still to be looked at; process 0 gets those of all processes."""
        self._background.__exit__(kind)
        if kind is not None:
            return
        for confusion, scores, drawn, worst in processes.gather((self.confusion, self.scores, self._drawn,
                                                                 self._worst))[1:]:
            self.confusion += confusion
            self.scores += scores
            self._drawn += drawn
            self._worst += worst
        self.scores.sort(key=lambda score: score.index)

    @property
    def worst(self) -> list[Picture]:
        """Those with the lowest mIoU, the lowest first."""
        return [picture for _, _, picture in sorted(self._worst, key=lambda entry: (-entry[0], entry[1]))[:SHOWN]]

    @property
    def drawn(self) -> list[Picture]:
        """Those drawn at random, which are the same for each network and each time."""
        return sorted(self._drawn, key=lambda picture: picture.score.index)


def _photograph(img: Tensor, meta: dict[str, Any], size: tuple[int, ...]) -> np.ndarray:
    """A normalised image, float [C, H, W], as uint8 [*size, 3] RGB."""
    norm = meta.get('img_norm_cfg') or dict(mean=0., std=1., to_rgb=False)
    pixels = cv2.resize(img.permute(1, 2, 0).contiguous().numpy(), size[::-1], interpolation=cv2.INTER_AREA)
    pixels = np.atleast_3d(pixels) * np.asarray(norm['std'], np.float32) + np.asarray(norm['mean'], np.float32)
    picture = displayable(pixels.round(3))  # 255.00001 would be no brightness any more
    return picture if norm.get('to_rgb', True) else np.ascontiguousarray(picture[..., ::-1])
