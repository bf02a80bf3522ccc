"""What one network, or two to compare, see in an image or a video, as values that JSON can hold."""
from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmseg.apis.inference import Image, Predictor
from mmseg.apis.model import Model
from mmseg.apis.predict import FAILURES, IMAGES, VIDEOS, frames_announced, reason, writable_rate
from mmseg.datasets.files import read_header
from mmseg.errors import DataError
from mmseg.report import encoding
from mmseg.visualization import displayable

SIDE = 1024  # pictures are no longer than this: of a larger image every second, third, ... pixel is shown
# FFmpeg takes a text that names other files for a video, too, whatever it is called: these demuxers open no other file.
CONTAINERS = 'mov,matroska,webm,avi,asf,mpeg,mpegts,mpegvideo'
CAPTURE = f'format_whitelist;{CONTAINERS}|protocol_whitelist;file'


@dataclass(frozen=True)
class Limits:
    """How large a file may be.

    Attributes:
        megabytes: of a file, 10**6 bytes each.
        megapixels: of an image or of a frame, 10**6 pixels each.
        frames: of a video; of a longer one the first ones are shown.
    """
    megabytes: int = 100
    megapixels: int = 16
    frames: int = 300


class Viewer:
    """Networks that look at files, one image at a time, whichever thread asks.

    Args:
        models: by the name to show.
        limits: what larger files are refused for.

    Attributes:
        names, classes, palette: of the networks, and of the classes that they have in common.

    Raises:
        DataError: if the networks have not the same classes, or a config describes no test pipeline.
    """

    def __init__(self, models: Mapping[str, Model], limits: Limits = Limits()) -> None:  # noqa: B008 (frozen)
        self.names, self.limits = list(models), limits
        self._predictors = [Predictor(model.network) for model in models.values()]
        first, *others = models.values()
        self.classes, self.palette = first.classes, first.palette
        for name, other in zip(self.names[1:], others):
            if other.classes != first.classes:
                raise DataError(f'{self.names[0]} and {name} have different classes and cannot be compared: '
                                f'{", ".join(first.classes)}; and {", ".join(other.classes)}')
        self._turn = threading.Lock()

    def answers(self, path: Path, name: str) -> Iterator[dict[str, Any]]:
        """What the networks see in a file: one answer about an image, one about each frame of a video.

        Args:
            path: image or video, by its suffix.
            name: what messages call it.

        Yields:
            dicts with

            - ``photograph``: the address of a JPEG, at most :data:`SIDE` pixels long;
            - ``networks``: of each ``ids`` and ``confidence``, addresses of grey PNGs of that size (255 is a confidence
              of 1), ``shares`` of the pixels by class and the mean confidence ``sure``, 0 to 1, and ``seconds``;
            - ``size``: width and height of the image;
            - ``rate``: frames per second, and ``count``: how many frames will be shown, as far as the file says it (0:
              it does not); of videos;
            - ``note``: what a person should know. A dict may have nothing else.

        Raises:
            DataError: if the file is none of these, too large, or cannot be read.
        """
        suffix = path.suffix.lower()
        if suffix not in IMAGES + VIDEOS:
            raise DataError(f'{name} is neither image nor video by its name: known are {", ".join(IMAGES + VIDEOS)}')
        try:
            yield from self._video(path) if suffix in VIDEOS else self._image(path)
        except FAILURES as error:
            raise DataError(reason(path, error).replace(str(path), name)) from error

    def wait(self) -> None:
        """Wait for the network that is at work, and let none begin any more."""
        self._turn.acquire()

    def _image(self, path: Path) -> Iterator[dict[str, Any]]:
        header = read_header(str(path))
        self._check_size(path, header.width, header.height)
        answer = self._answer(str(path))
        if header.orientation != 1:
            answer['note'] = ('The file says that it is to be turned for display. The networks see the pixels as they '
                              'are stored: turn the image before (mogrify -auto-orient FILE).')
        yield answer

    def _video(self, path: Path) -> Iterator[dict[str, Any]]:
        os.environ['OPENCV_FFMPEG_CAPTURE_OPTIONS'] = CAPTURE
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        try:
            width, height = (int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
            self._check_size(path, width, height)
            about = dict(rate=writable_rate(capture.get(cv2.CAP_PROP_FPS)),
                         count=min(frames_announced(capture), self.limits.frames))
            shown = 0
            while shown < self.limits.frames and (read := capture.read())[0]:
                height, width = read[1].shape[:2]
                self._check_size(path, width, height)  # some change it midway
                yield self._answer(read[1]) | about
                shown += 1
            if not shown:
                raise DataError(f'video {path}: it is damaged, or OpenCV lacks its codec: download it again, or '
                                'convert it to .mp4')
            if shown == self.limits.frames and capture.grab():
                yield dict(note=f'The video goes on: its first {shown} frames are shown. Cut it, or start the page '
                           'with another --max-frames.')
        finally:
            capture.release()

    def _check_size(self, path: Path, width: int, height: int) -> None:
        if width * height > self.limits.megapixels * 10**6:
            raise DataError(f'{path} has {width} x {height} pixels, the limit of this page is {self.limits.megapixels} '
                            'million: make it smaller, or start the page with another --max-megapixels')

    def _answer(self, image: Image) -> dict[str, Any]:
        with self._turn:
            loaded = [predictor.load(image) for predictor in self._predictors]
            networks = [_seen(predictor, results) for predictor, results in zip(self._predictors, loaded)]
        photograph = displayable(loaded[0]['img'])
        height, width = photograph.shape[:2]
        step = _step(width, height)
        small = cv2.resize(photograph, (-(-width // step), -(-height // step)), interpolation=cv2.INTER_AREA)
        return dict(photograph=encoding.photograph(np.ascontiguousarray(small[..., ::-1])), networks=networks,
                    size=[width, height])


def _step(*sides: int) -> int:
    """Of how many pixels in a row one is shown."""
    return -(-max(sides) // SIDE)


def _seen(predictor: Predictor, results: dict[str, Any]) -> dict[str, Any]:
    """What a network sees in what its loader returned, see :meth:`Viewer.answers`."""
    started = time.perf_counter()
    scores = predictor.scores(predictor.prepare(results))
    ids = scores.ids()[0]
    step = _step(*ids.shape)
    confidence = scores.confidence(step)[0].float()
    small = ids[::step, ::step].byte().cpu().numpy()
    counts = np.bincount(ids.flatten().cpu().numpy(), minlength=predictor.model.num_classes)
    seconds = time.perf_counter() - started
    return dict(ids=encoding.class_map(small), seconds=round(seconds, 3),
                confidence=encoding.confidence_map((confidence * 255).round().byte().cpu().numpy()),
                shares=(counts / ids.numel()).tolist(), sure=float(confidence.mean()))
