"""Predictions as files: for the test servers of Cityscapes, ACDC and Dark Zurich, and for looking at."""
from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from mmseg.datasets.cityscapes_labels import CITYSCAPES_CLASSES, LABELS, NO_CLASS, UNLABELED
from mmseg.datasets.files import read_image
from mmseg.distributed import processes
from mmseg.errors import DataError
from mmseg.evaluation.evaluator import EvaluatedImage
from mmseg.utils.atomic import write_atomically
from mmseg.visualization.palettes import Palette
from mmseg.visualization.predictions import blend, heat_map, write_image, write_palette_png

PNG_ONE = 65535  # stands for a probability of 1


class Background:
    """Runs jobs that write files in a few threads, so that the device need not wait for the disk.

    The first error of a job is raised by the next :meth:`submit` or at the end of the ``with`` block.

    Args:
        threads: how many write at a time.
        waiting: how many jobs may be open before :meth:`submit` blocks.
    """

    def __init__(self, threads: int = 4, waiting: int = 16) -> None:
        self._pool = ThreadPoolExecutor(threads, 'write')
        self._free = threading.Semaphore(waiting)
        self._error: BaseException | None = None

    def submit(self, job: Callable[..., None], *args: Any) -> None:
        """Run ``job(*args)`` soon."""
        self._free.acquire()
        self._raise()
        self._pool.submit(job, *args).add_done_callback(self._finished)

    def _finished(self, future: Future) -> None:
        self._error = self._error or future.exception()
        self._free.release()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Background:
        return self

    def __exit__(self, kind: type | None, *_: Any) -> None:
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)
        if kind is None:
            self._raise()


class PredictionPictures:
    """Writes ``<folder>/<ori_filename>``: the palette PNG of train ids at opacity 1, else a blend with the image.

    Ids keep their values only in a PNG, so at opacity 1 the suffix is always .png. Float predictions (HRDA's scale
    attention, 0..1) are painted as heat maps.

    Args:
        folder: where the pictures go; subfolders mirror those of the image folder.
        palette: RGB colours 0..255.
        opacity: of the prediction, 0 < opacity <= 1.
        background: who writes.
        read: from the path of an image to the picture below the prediction, uint8 [H, W, 3] in the order blue, green,
            red; called by the threads of ``background``.
    """

    def __init__(self, folder: str | os.PathLike, palette: Palette, opacity: float, background: Background,
                 read: Callable[[str], np.ndarray] = read_image) -> None:
        self.folder, self.palette, self.opacity, self.background = Path(folder), palette, opacity, background
        self.read = read

    def __call__(self, index: int, pred: Tensor, meta: dict[str, Any]) -> None:
        """Write one prediction, int64 [h, w] on any device."""
        self.background.submit(self._write, _compact(pred), meta)

    def _write(self, pred: Tensor, meta: dict[str, Any]) -> None:
        ids = pred.cpu().numpy()  # waits for the device, but nobody waits for this thread
        path = self.folder / meta['ori_filename']
        if self.opacity < 1:
            image = self.read(meta['filename'])[..., ::-1]
            write_image(path, blend(image, ids, self.palette, self.opacity))
        elif np.issubdtype(ids.dtype, np.floating):
            write_image(path.with_suffix('.png'), heat_map(ids))
        else:
            write_palette_png(path.with_suffix('.png'), ids, self.palette)


class ProbabilityFiles:
    """Writes ``<folder>/<ori_filename>``, its suffix changed, with the probabilities of all classes.

    Args:
        folder: where the files go; subfolders mirror those of the image folder.
        classes: C class names.
        background: who writes.
        suffix: of the files, which says their format, see :func:`write_probabilities`.
    """

    def __init__(self, folder: str | os.PathLike, classes: Sequence[str], background: Background,
                 suffix: str = '.npz') -> None:
        self.folder, self.classes, self.background, self.suffix = Path(folder), list(classes), background, suffix

    def __call__(self, image: EvaluatedImage) -> None:
        """Write those of one image."""
        target = (self.folder / image.meta['ori_filename']).with_suffix(self.suffix)
        self.background.submit(self._write, target, pack_probabilities(image.scores.probabilities()[0], self.suffix))

    def _write(self, target: Path, packed: Tensor) -> None:
        write_probabilities(target, packed.cpu().numpy(), self.classes)


def pack_probabilities(probabilities: Tensor, suffix: str) -> Tensor:
    """Probabilities [C, h, w], 0..1, as a file holds them: float16 in an .npz, uint16 up to 65535 in a .png."""
    if suffix == '.npz':
        return probabilities.half()
    return (probabilities.float() * PNG_ONE).round().to(torch.uint16)


def write_probabilities(target: Path, packed: np.ndarray, classes: Sequence[str]) -> None:
    """Write what :func:`pack_probabilities` has made of those of one image.

    An .npz has ``probabilities`` [C, h, w] and ``classes``, names. A .png is grey, with 16 bits: [C * h, w], the map of
    one class below that of the other, and the names, one a line, in its text ``classes``.
    """
    def write(path: str) -> None:
        if target.suffix == '.npz':
            np.savez_compressed(path, probabilities=packed, classes=list(classes))
            return
        names = PngInfo()
        names.add_itxt('classes', '\n'.join(classes))
        Image.fromarray(packed.reshape(-1, packed.shape[2])).save(path, pnginfo=names)

    write_atomically(target, write)


class TestServerExport:
    """Writes ``<folder>/<image name>.png``, 8-bit ids of mode P, as the test servers take them.

    Args:
        folder: where the files go, without subfolders.
        classes: class names of the evaluated data set.
        palette: RGB colours 0..255 of the train ids.
        background: who writes.
        to_label_id: True writes the 34 label ids of Cityscapes, False the 19 train ids (ACDC, Dark Zurich).

    Raises:
        DataError: for label ids of classes that are not those of Cityscapes.
    """
    __test__ = False  # not a test, whatever pytest makes of the name

    def __init__(self, folder: str | os.PathLike, classes: Sequence[str], palette: Palette, background: Background,
                 to_label_id: bool = True) -> None:
        if to_label_id and tuple(classes) != CITYSCAPES_CLASSES:
            raise DataError('only the 19 Cityscapes classes have label ids: add to_label_id=False to --eval-options')
        self.folder, self.background = Path(folder), background
        self._ids = label_ids() if to_label_id else np.arange(256, dtype=np.uint8)
        self._palette = [label.color for label in sorted(LABELS.values()) if label.id >= 0] if to_label_id else palette
        self._written: dict[str, str] = {}

    def __call__(self, index: int, pred: Tensor, meta: dict[str, Any]) -> None:
        """Write one prediction, int64 [h, w] on any device.

        Raises:
            DataError: if two images of different folders have one name.
        """
        name = server_name(meta['ori_filename'])
        self._claim(name, meta['ori_filename'])
        self.background.submit(self._write, name, _compact(pred))

    def gather(self) -> None:
        """Wait for the files of all processes, and let process 0 know them. To be called when the background has ended.

        Raises:
            DataError: as when they are written.
        """
        for written in processes.gather(self._written):
            for name, image in written.items():
                self._claim(name, image)

    def _claim(self, name: str, image: str) -> None:
        if self._written.setdefault(name, image) != image:
            raise DataError(f'{self._written[name]} and {image} would both be written to {self.folder / name}: '
                             'the servers want one folder, test one of the subfolders at a time')

    def _write(self, name: str, pred: Tensor) -> None:
        write_palette_png(self.folder / name, self._ids[pred.cpu().numpy()], self._palette)

    def archive(self) -> Path:
        """Pack the files of this run, below the name of their folder, into ``<folder>.zip`` beside it.

        To be called by process 0 after :meth:`gather`. Files that lay in the folder before are left out.

        Returns:
            The archive, ready to upload.
        """
        folder = self.folder.resolve()
        path = folder.with_name(f'{folder.name}.zip')

        def write(temporary: str) -> None:
            with ZipFile(temporary, 'w') as archive:  # PNGs do not shrink a second time: stored as they are
                for name in self._written:
                    archive.write(folder / name, f'{folder.name}/{name}')

        write_atomically(path, write)
        return path


def server_name(image: str) -> str:
    """Name of the prediction file of an image, given its path below the image folder."""
    return f'{Path(image).stem}.png'


def _compact(pred: Tensor) -> Tensor:
    """An eighth of the bytes to carry to the host; float maps stay what they are."""

    return pred if pred.is_floating_point() else pred.to(torch.uint8)


def label_ids() -> np.ndarray:
    """[256] uint8 table from train ids to Cityscapes label ids; 255 becomes 0 (unlabeled), unknown ids stay."""
    table = np.arange(256, dtype=np.uint8)
    table[NO_CLASS] = UNLABELED
    for name in CITYSCAPES_CLASSES:
        table[LABELS[name].train_id] = LABELS[name].id
    return table
