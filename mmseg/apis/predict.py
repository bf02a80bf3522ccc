"""Predict files: images, videos, and folders of both."""
from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from mmseg.apis.inference import draw_result, inference_segmentor
from mmseg.datasets.errors import DataError
from mmseg.datasets.files import read_image, write_atomically
from mmseg.visualization import write_image, write_palette_png

IMAGES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp', '.ppm')
VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv')
CODECS = {'.mp4': 'mp4v', '.avi': 'MJPG'}
USUAL_RATE = 25  # frames per second of videos that do not say theirs


@dataclass(frozen=True)
class Job:
    """One file to predict.

    Attributes:
        source: image or video.
        target: what is written: a picture or video with the prediction laid over it.
        ids: palette PNG of class ids, for videos the folder of one per frame; None: not wanted.
    """
    source: Path
    target: Path
    ids: Path | None = None

    @property
    def is_video(self) -> bool:
        """Whether the source is a video, by its suffix."""
        return self.source.suffix.lower() in VIDEOS


def find_jobs(source: Path, out: Path | None = None, ids: Path | None = None,
              opacity: float = 0.5) -> tuple[list[Job], list[Path]]:
    """What there is to predict, and where it goes.

    Args:
        source: an image, a video, or a folder of them, with subfolders.
        out: folder that mirrors ``source``, or for a single file the file to write; None: a file or folder called
            ``<name>_pred`` beside ``source``. Videos become .mp4 unless they are .avi.
        ids: folder for palette PNGs of class ids; None: none.
        opacity: of the prediction; with 1 a palette PNG of class ids is what is written for an image.

    Returns:
        The jobs in the order of their names, and the files that are neither image nor video by their suffixes.

    Raises:
        DataError: if there is nothing to predict, or two files would be written to one place or an input.
    """
    if not source.exists():
        raise DataError(f'{source} does not exist: name an image, a video or a folder')
    root = source if source.is_dir() else source.parent
    files = sorted(path for path in source.rglob('*') if path.is_file()) if source.is_dir() else [source]
    known = [path for path in files if path.suffix.lower() in IMAGES + VIDEOS]
    if not known:
        raise DataError(f'{source} holds no image and no video: known are {", ".join(IMAGES + VIDEOS)}')
    if source.is_dir():
        folder = source.resolve()
        out = out or folder.with_name(f'{folder.name}_pred')
        for place in filter(None, (out, ids)):
            if place.resolve().is_relative_to(folder):
                raise DataError(f'{place} lies inside of {source}, so its files would be inputs the next time: choose '
                                'another place')
    out = out or source.with_name(f'{source.stem}_pred{source.suffix}')
    is_file = not source.is_dir() and not out.is_dir() and out.suffix.lower() in IMAGES + VIDEOS
    names = [path.relative_to(root) for path in known]
    jobs = [_job(path, out if is_file else out / name, ids and ids / name, opacity)
            for path, name in zip(known, names)]
    _check_places(jobs)
    return jobs, [path for path in files if path not in known]


def _job(source: Path, target: Path, ids: Path | None, opacity: float) -> Job:
    """A job whose targets have the suffixes of what is written to them."""
    suffix = target.suffix.lower()
    if source.suffix.lower() in VIDEOS:
        return Job(source, target.with_suffix(suffix if suffix in CODECS else '.mp4'), ids and ids.with_suffix(''))
    keeps_suffix = opacity < 1 and suffix in IMAGES
    return Job(source, target if keeps_suffix else target.with_suffix('.png'), ids and ids.with_suffix('.png'))


def _check_places(jobs: Sequence[Job]) -> None:
    """Refuse to write over an input, or twice to one place."""
    sources = {job.source.resolve() for job in jobs}
    taken: dict[Path, Path] = {}
    for job in jobs:
        for place in filter(None, (job.target, job.ids)):
            if place.resolve() in sources:
                raise DataError(f'{place} is an input and would be written over: choose another place with --out')
            if place.resolve() in taken:
                raise DataError(f'{taken[place.resolve()]} and {job.source} would both be written to {place}: rename '
                                'one of them')
            taken[place.resolve()] = job.source


def predict_files(model: nn.Module, jobs: Sequence[Job], *, opacity: float = 0.5, bf16: bool = False,
                  progress: bool = True) -> int:
    """Predict files and write the results; what cannot be read is named on stderr, and the rest goes on.

    Args:
        model: what :func:`~mmseg.apis.init_segmentor` returned.
        jobs: from :func:`find_jobs`. What is there already is written anew.
        opacity: of the predictions, 0 < opacity <= 1; see :func:`find_jobs`.
        bf16: compute in bfloat16.
        progress: show a progress bar on stderr, in images and frames.

    Returns:
        How many files failed.

    Raises:
        OSError: if something cannot be written.
    """
    failed = 0
    device = next(model.parameters()).device
    total = sum(_announced(cv2.VideoCapture(str(job.source))) if job.is_video else 1 for job in jobs)
    interval = 0.1 if sys.stderr.isatty() else 10.0
    with tqdm(total=total, unit='img', mininterval=interval, disable=not progress) as bar, \
            torch.autocast(device.type, torch.bfloat16, bf16):
        for job in jobs:
            try:
                (_predict_video if job.is_video else _predict_image)(model, job, opacity, bar)
            except ValueError as error:  # unreadable, or of a size that the network does not take
                failed += 1
                bar.write(f'error: {error}', file=sys.stderr)
                bar.update(not job.is_video)
    return failed


def _predict_image(model: nn.Module, job: Job, opacity: float, bar: Any) -> None:
    image = read_image(str(job.source))
    [ids] = inference_segmentor(model, image)
    if opacity == 1:
        write_palette_png(job.target, ids, model.PALETTE)
    else:
        write_image(job.target, draw_result(model, image, [ids], opacity=opacity))
    if job.ids:
        write_palette_png(job.ids, ids, model.PALETTE)
    bar.update()


def _announced(capture: cv2.VideoCapture) -> int:
    """How many frames a video says that it has; 0 if it does not."""
    return max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))


def _frames(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    """The frames of a video, uint8 [H, W, 3] in the order blue, green, red."""
    while (read := capture.read())[0]:
        yield read[1]


def _predict_video(model: nn.Module, job: Job, opacity: float, bar: Any) -> None:
    capture = cv2.VideoCapture(str(job.source))
    frames = _frames(capture)
    first = next(frames, None)
    if first is None:
        raise DataError(f'video {job.source}: it is damaged, or OpenCV lacks its codec: download it again, or convert '
                        'it to .mp4')
    count = 0

    def write(temporary: str) -> None:
        nonlocal count
        rate, size = capture.get(cv2.CAP_PROP_FPS) or USUAL_RATE, first.shape[1::-1]
        writer = cv2.VideoWriter(temporary, cv2.VideoWriter_fourcc(*CODECS[job.target.suffix.lower()]), rate, size)
        if not writer.isOpened():
            raise OSError(f'cannot write the video {job.target}: OpenCV lacks the codec, choose .avi or .mp4')
        try:
            for image in (frame for part in ([first], frames) for frame in part):
                [ids] = inference_segmentor(model, image)
                writer.write(np.ascontiguousarray(draw_result(model, image, [ids], opacity=opacity)[..., ::-1]))
                if job.ids:
                    write_palette_png(job.ids / f'{count:06d}.png', ids, model.PALETTE)
                count += 1
                bar.update()
        finally:
            writer.release()
        if _announced(cv2.VideoCapture(temporary)) < count:  # the writer itself reports nothing
            raise OSError(f'cannot write the video {job.target}: the disk is full, or the codec takes no frames of '
                          f'{size[0]}x{size[1]} pixels')

    write_atomically(job.target, write)
    if count + 1 < _announced(capture):  # the number is an estimate in some formats
        raise DataError(f'video {job.source}: only {count} of its {_announced(capture)} frames can be read, it is '
                        f'damaged or incomplete; {job.target} holds these')
