"""Predict files: images, videos, and folders of both."""
from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np
import torch
from mmengine import Config
from torch import nn
from tqdm import tqdm

from mmseg.apis.inference import Predictor
from mmseg.datasets.custom import IMAGE_SUFFIXES
from mmseg.datasets.storage import list_files
from mmseg.errors import DataError
from mmseg.evaluation import Background
from mmseg.evaluation.writers import pack_probabilities, write_probabilities
from mmseg.registry import DATASETS
from mmseg.utils.atomic import write_atomically
from mmseg.visualization import BLENDED, Style, displayable, write_image, write_palette_png

IMAGES = (*IMAGE_SUFFIXES, '.ppm')
VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv')
CODECS = {'.mp4': 'mp4v', '.avi': 'MJPG'}
USUAL_RATE = 25  # frames per second of videos that do not say theirs
CREDIBLE_RATES = (0.01, 1000)  # others are those of damaged headers, such as 0 and 90000
TIME_BASE = 65535  # MPEG-4 counts time in fractions of a second with at most this denominator
FAILURES = (ValueError, RuntimeError, MemoryError, cv2.error)  # of one file: unreadable, or not for this network
WRITERS, WAITING = 2, 4  # threads, and predictions that may wait for them

Item = TypeVar('Item')


@dataclass(frozen=True)
class Job:
    """One file to predict.

    Attributes:
        source: image or video.
        target: what is written: a picture or video with the prediction laid over it.
        ids: palette PNG of class ids, for videos the folder of one per frame; None: not wanted.
        probabilities: file of all classes' probabilities, for videos the folder of one per frame; None: not wanted.
        suffix: of files of probabilities: .npz or .png, see :func:`~mmseg.evaluation.writers.write_probabilities`.
    """
    source: Path
    target: Path
    ids: Path | None = None
    probabilities: Path | None = None
    suffix: str = '.npz'

    @property
    def is_video(self) -> bool:
        """Whether the source is a video, by its suffix."""
        return self.source.suffix.lower() in VIDEOS


class Predicted(NamedTuple):
    """Of one image.

    Attributes:
        ids: int64 [H, W].
        probabilities: [C, H, W] as they are written, if they are wanted.
    """
    ids: np.ndarray
    probabilities: np.ndarray | None = None


def image_suffixes(cfg: Config) -> tuple[str, ...]:
    """How names of images end: the usual suffixes and, for a loader of the user's own, that of the test data."""
    test = (cfg.get('data') or {}).get('test') or {}
    own = test.get('img_suffix') or getattr(DATASETS.get(test.get('type') or ''), 'IMG_SUFFIX', None)
    return (*IMAGES, own.lower()) if own and not own.lower().endswith(IMAGES) else IMAGES


def find_jobs(source: Path, out: Path | None = None, ids: Path | None = None, style: Style = BLENDED,
              images: tuple[str, ...] = IMAGES, probabilities: Path | None = None, suffix: str = '.npz',
              ) -> tuple[list[Job], list[str]]:
    """What there is to predict, and where it goes.

    Args:
        source: an image, a video, or a folder of them, with subfolders, links being followed.
        out: folder that mirrors ``source``, or for a single file the file to write; None: a file or folder called
            ``<name>_pred`` beside ``source`` (if that is a link, beside the link). Videos become .mp4 unless they are
            .avi.
        ids: folder for palette PNGs of class ids; None: none.
        style: of the pictures; see :func:`predict_files`.
        images: how names of images end, in lower case; see :func:`image_suffixes`.
        probabilities: folder for files of probabilities; None: none.
        suffix: of these files, see :class:`Job`.

    Returns:
        The jobs in the order of their names, and the names below ``source`` that are left out: hidden, or neither image
        nor video by their suffixes (see :func:`~mmseg.datasets.storage.list_files`).

    Raises:
        DataError: if there is nothing to predict, or two files would be written to one place or an input.
    """
    _check_exists(source)
    known, places = images + VIDEOS, Places(out, ids, probabilities, suffix)
    if source.is_dir():
        jobs, left_out = _jobs_below(source, places, style, known)
    elif source.name.lower().endswith(known):
        jobs, left_out = [_job_of_file(source, places, style)], []
    else:
        raise DataError(f'{source} is neither image nor video by its name: known are {", ".join(known)}; rename it, or '
                        'name its suffix in data.test.img_suffix of the config if that has a loader for it')
    _check_places(jobs)
    return jobs, left_out


class Places(NamedTuple):
    """Where the files of a command go, or those of one input: pictures, class ids, probabilities with their suffix."""
    out: Path | None
    ids: Path | None
    probabilities: Path | None
    suffix: str

    @property
    def wanted(self) -> list[Path]:
        """Without what is not wanted."""
        return [place for place in self[:3] if place]

    def of(self, name: Path | str) -> Places:
        """Below folders."""
        return Places(*(place and place / name for place in self[:3]), self.suffix)


def _check_exists(path: Path) -> None:
    if os.path.isfile(path) or os.path.isdir(path):
        return
    if os.path.islink(path):
        raise DataError(f'{path} is a link to {os.readlink(path)}, which does not exist')
    if os.path.exists(path):
        raise DataError(f'{path} is a pipe or a device, no file')
    raise DataError(f'{path} does not exist: name an image, a video or a folder')


def _jobs_below(source: Path, places: Places, style: Style, known: tuple[str, ...]) -> tuple[list[Job], list[str]]:
    listing = list_files(source, known)
    if not listing.files:
        raise DataError(f'{source} holds no image and no video: known are {", ".join(known)}, and names that begin '
                        'with a dot are left out')
    places = places._replace(out=places.out or _beside(source))
    parents = {parent for name in listing.files for parent in Path(name).parents}
    folders = {(source / parent).resolve() for parent in parents}  # those that links lead to, too
    for place in places.wanted:
        if any(place.resolve().is_relative_to(folder) for folder in folders):
            raise DataError(f'{place} lies inside of {source}, so its files would be inputs the next time: choose '
                            'another place')
    return [_job(source / name, places.of(name), style) for name in listing.files], listing.left_out


def _beside(folder: Path) -> Path:
    """``<name>_pred`` beside a folder as it was given: beside the link, if it is one."""
    named = folder.resolve() if folder.name in ('', '..') else folder
    return named.with_name(f'{named.name}_pred')


def _job_of_file(source: Path, places: Places, style: Style) -> Job:
    out = places.out
    if out is None:
        out = source.with_name(f'{source.stem}_pred{source.suffix}')
    elif out.is_dir() or out.suffix.lower() not in IMAGES + VIDEOS:
        out = out / source.name
    return _job(source, places.of(source.name)._replace(out=out), style)


def _job(source: Path, places: Places, style: Style) -> Job:
    """A job whose targets have the suffixes of what is written to them."""
    target, ids, probabilities, kind = places
    assert target is not None, 'a default has been chosen'
    suffix = target.suffix.lower()
    if source.suffix.lower() in VIDEOS:
        return Job(source, target.with_suffix(suffix if suffix in CODECS else '.mp4'), ids and ids.with_suffix(''),
                   probabilities and probabilities.with_suffix(''), kind)
    keeps_suffix = not style.is_ids and suffix in IMAGES
    return Job(source, target if keeps_suffix else target.with_suffix('.png'), ids and ids.with_suffix('.png'),
               probabilities and probabilities.with_suffix(kind), kind)


def _check_places(jobs: Sequence[Job]) -> None:
    """Refuse to write over an input, or twice to one place."""
    sources = {job.source.resolve() for job in jobs}
    taken: dict[Path, Path] = {}
    for job in jobs:
        for place in filter(None, (job.target, job.ids, job.probabilities)):
            if place.resolve() in sources:
                raise DataError(f'{place} is an input and would be written over: choose another place with --out')
            if place.resolve() in taken:
                raise DataError(f'{taken[place.resolve()]} and {job.source} would both be written to {place}: rename '
                                'one of them')
            taken[place.resolve()] = job.source


def predict_files(model: nn.Module, jobs: Sequence[Job], *, style: Style = BLENDED, bf16: bool = False,
                  progress: bool = True) -> int:
    """Predict files and write the results; those that fail are named on stderr, and the rest goes on.

    Args:
        model: what :func:`~mmseg.apis.init_segmentor` returned.
        jobs: from :func:`find_jobs`. What is there already is written anew.
        style: of the pictures. With nothing but an opacity of 1 an image's picture is a palette PNG of class ids.
        bf16: compute in bfloat16.
        progress: show a progress bar on stderr, in images and frames.

    Returns:
        How many files failed.

    Raises:
        DataError: if the config describes no test pipeline.
        OSError: if a picture cannot be written.
    """
    failed = []
    predictor = Predictor(model)
    device = next(model.parameters()).device
    interval = 0.1 if sys.stderr.isatty() else 10.0

    def report(job: Job, error: Exception) -> None:
        failed.append(job)
        bar.write(f'error: {reason(job.source, error)}', file=sys.stderr)

    def write(job: Job, image: np.ndarray, prediction: Predicted) -> None:
        try:
            _write_image(model, job, image, prediction, style)
        except FAILURES as error:
            report(job, error)

    with tqdm(total=sum(map(_length, jobs)), unit='img', mininterval=interval, disable=not progress) as bar, \
            torch.autocast(device.type, torch.bfloat16, bf16), Background(WRITERS, WAITING) as background:
        for job, read in ahead(_read(predictor, jobs)):
            try:
                if isinstance(read, Exception):
                    raise read
                if job.is_video:
                    _predict_video(predictor, job, style, bar)
                else:
                    results, sample = read
                    background.submit(write, job, results['img'], _predict(predictor, sample, job))
                    bar.update()
            except FAILURES as error:
                report(job, error)
                bar.update(not job.is_video)
    return len(failed)


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The items, each made in another thread while the one before it is in use."""
    end: Any = object()
    with ThreadPoolExecutor(1, 'read') as pool:
        following = pool.submit(next, items, end)
        while (item := following.result()) is not end:
            following = pool.submit(next, items, end)
            yield item


def _read(predictor: Predictor, jobs: Sequence[Job]) -> Iterator[tuple[Job, Any]]:
    """Each job with what was loaded and prepared, or why that failed; with nothing for a video."""
    for job in jobs:
        try:
            _check_exists(job.source)
            results = None if job.is_video else predictor.load(job.source)
            yield job, results and (results, predictor.prepare(results))
        except FAILURES as error:
            yield job, error


def reason(source: Path, error: Exception) -> str:
    """What went wrong with a file, in one line that names it."""
    text = ' '.join(str(error).split()) or type(error).__name__
    return text if str(source) in text else f'{source}: {text}'


def _length(job: Job) -> int:
    """How many images a file holds, as far as it says."""
    if not job.is_video:
        return 1
    return frames_announced(cv2.VideoCapture(str(job.source))) if os.path.isfile(job.source) else 0


def _predict(predictor: Predictor, sample: dict[str, Any], job: Job) -> Predicted:
    if job.probabilities is None:
        return Predicted(predictor.predict(sample))
    scores = predictor.scores(sample)
    packed = pack_probabilities(scores.probabilities()[0], job.suffix)
    return Predicted(scores.ids()[0].cpu().numpy(), packed.cpu().numpy())


def _write_image(model: nn.Module, job: Job, image: np.ndarray, prediction: Predicted, style: Style) -> None:
    if style.is_ids:
        write_palette_png(job.target, prediction.ids, model.PALETTE)
    else:
        write_image(job.target, _drawn(model, image, prediction.ids, style))
    _write_numbers(model, prediction, job.ids, job.probabilities)


def _write_numbers(model: nn.Module, prediction: Predicted, ids: Path | None, probabilities: Path | None) -> None:
    """Write the files of ids and probabilities that are wanted."""
    if ids is not None:
        write_palette_png(ids, prediction.ids, model.PALETTE)
    if probabilities is not None:
        write_probabilities(probabilities, prediction.probabilities, model.CLASSES)


def _drawn(model: nn.Module, image: np.ndarray, ids: np.ndarray, style: Style) -> np.ndarray:
    """The picture of a prediction, uint8 [H, W, 3] RGB, for what the loader returned."""
    return style.draw(displayable(image)[..., ::-1], ids, model.CLASSES, model.PALETTE)


def frames_announced(capture: cv2.VideoCapture) -> int:
    """How many frames a video says that it has; 0 if it does not."""
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(count) if 0 < count < 2**31 else 0


def _frames(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    """The frames of a video, uint8 [H, W, 3] in the order blue, green, red."""
    while (read := capture.read())[0]:
        yield read[1]


def writable_rate(rate: float) -> float:
    """The frame rate nearest to ``rate`` that a video can be written with; of what is not credible the usual one."""
    slowest, fastest = CREDIBLE_RATES
    if not slowest <= rate <= fastest:  # NaN neither
        return USUAL_RATE
    return round(rate, next(digits for digits in (3, 2, 1) if rate * 10**digits <= TIME_BASE))


def _predict_video(predictor: Predictor, job: Job, style: Style, bar: Any) -> None:
    capture = cv2.VideoCapture(str(job.source))
    frames = _frames(capture)
    first = next(frames, None)
    if first is None:
        raise DataError(f'video {job.source}: it is damaged, or OpenCV lacks its codec: download it again, or convert '
                        'it to .mp4')
    said, announced = capture.get(cv2.CAP_PROP_FPS), frames_announced(capture)
    rate = writable_rate(said)
    if not abs(rate - said) < 0.001:
        bar.write(f'{job.source}: {said:g} frames per second are written as {rate:g}', file=sys.stderr)
    model = predictor.model
    prepared = ((frame, predictor.prepare(predictor.load(frame))) for frame in chain([first], frames))
    predicted = ((frame, _predict(predictor, sample, job)) for frame, sample in ahead(prepared))
    height, width = _drawn(model, first, np.zeros(first.shape[:2], np.uint8), style).shape[:2]

    def draw(index: int, frame: np.ndarray, prediction: Predicted) -> np.ndarray:
        _write_numbers(model, prediction, job.ids and job.ids / f'{index:06d}.png',
                       job.probabilities and job.probabilities / f'{index:06d}{job.suffix}')
        drawn = _drawn(model, frame, prediction.ids, style)
        bar.update()
        return cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR)

    count = 0

    def write(temporary: str) -> None:
        nonlocal count
        count = _write_video(temporary, predicted, draw, rate, (width, height), job.target)

    write_atomically(job.target, write)
    if count + 1 < announced:  # the number is an estimate in some formats
        raise DataError(f'video {job.source}: only {count} of its {announced} frames can be read, it is damaged or '
                        f'incomplete; {job.target} holds these')


def _write_video(path: str, predicted: Iterable[tuple[np.ndarray, Predicted]], draw: Callable[..., np.ndarray],
                 rate: float, size: tuple[int, int], target: Path) -> int:
    """Write what is drawn, resized where it changes its size, as frames of ``size`` (width, height).

    Args:
        path: file to write.
        predicted: frames with what was predicted for them.
        draw: from the index, a frame and its prediction to a picture, blue, green, red; called in another thread.
        rate: frames per second.
        size: of the frames.
        target: what errors name.

    Returns:
        How many frames there are.

    Raises:
        DataError: if that fails, naming ``target``.
    """
    codec, count = cv2.VideoWriter_fourcc(*CODECS[target.suffix.lower()]), 0
    frames = f'frames of {size[0]}x{size[1]} pixels'
    writer = cv2.VideoWriter(path, codec, rate, size)
    try:
        if not writer.isOpened():
            raise DataError(f'cannot write the video {target}: OpenCV lacks the codec, or it takes no {frames}; choose '
                            'another place that ends in .avi or .mp4 with --out')
        with Background(1, WAITING) as background:  # one thread: in their order
            for frame, prediction in predicted:
                background.submit(lambda *drawn: writer.write(cv2.resize(draw(*drawn), size)), count, frame, prediction)
                count += 1
    finally:
        writer.release()
    if frames_announced(cv2.VideoCapture(path)) < count:  # the writer itself reports nothing
        raise DataError(f'cannot write the video {target}: the disk is full, or the codec takes no {frames}')
    return count
