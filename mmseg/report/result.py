"""What a page shows of an evaluated network, as values that JSON can hold; a page carries them in it."""
from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from mmseg.errors import LogError
from mmseg.evaluation import ImageResults, Picture
from mmseg.report import encoding
from mmseg.report.curves import Curves
from mmseg.visualization import Palette, default_palette

VERSION = 1  # of what a page carries
DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


@dataclass(frozen=True)
class Shown:
    """A picture of an evaluated image.

    Attributes:
        name: path below the image folder.
        miou, accuracy: 0..1, of the classes and pixels that are labelled in it; None if there are none.
        worst, drawn: whether it is one of those with the lowest mIoU, of those drawn at random.
        photograph, truth, prediction, confidence: addresses that hold the files, see :mod:`mmseg.report.encoding`.
    """
    name: str
    miou: float | None
    accuracy: float | None
    worst: bool
    drawn: bool
    photograph: str
    truth: str
    prediction: str
    confidence: str


@dataclass(frozen=True)
class Result:
    """An evaluated network, or what is known of one.

    Attributes:
        name: what to call it.
        scores: 0..1 by the names of logs; None for what does not occur.
        classes, palette: names and RGB colours.
        confusion: [C][C] pixels, rows are labels, columns predictions; None: not known.
        images: the worst, then those drawn at random; an image that is both is there once.
        curves: of the run, see :func:`mmseg.report.curves.curves_of`.
        facts, environment: short texts by title.
        config: the whole config as text.
    """
    name: str
    scores: dict[str, float | None]
    classes: list[str]
    palette: list[list[int]]
    confusion: list[list[int]] | None = None
    images: list[Shown] = field(default_factory=list)
    curves: Curves = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    config: str = ''


def known(value: float) -> float | None:
    """A score that JSON can hold: None for NaN."""
    return None if math.isnan(value) else round(float(value), 6)


def evaluated(name: str, scores: Mapping[str, float], images: ImageResults, classes: Sequence[str],
              palette: Palette | None, **about: Any) -> Result:
    """The result of an evaluation.

    Args:
        scores: as :func:`~mmseg.evaluation.evaluate_network` gives them.
        images: what it has collected.
        palette: RGB colours 0..255; None draws some.
        about: further attributes of :class:`Result`.
    """
    worst = [picture.score.index for picture in images.worst]
    drawn = {picture.score.index for picture in images.drawn}
    pictures = {picture.score.index: picture for picture in (*images.worst, *images.drawn)}
    colours = palette or default_palette(len(classes))
    return Result(name, {key: known(value) for key, value in scores.items()}, list(classes),
                  [list(map(int, colour)) for colour in colours], images.confusion.tolist(),
                  [_shown(picture, index in worst, index in drawn) for index, picture in pictures.items()], **about)


def _shown(picture: Picture, worst: bool, drawn: bool) -> Shown:
    score = picture.score
    return Shown(score.name, known(score.miou), known(score.accuracy), worst, drawn,
                 encoding.photograph(picture.photograph), encoding.class_map(picture.truth),
                 encoding.class_map(picture.prediction), encoding.confidence_map(picture.confidence))


def shares(confusion: Sequence[Sequence[int]]) -> np.ndarray:
    """Float [C, C], each row of a confusion matrix divided by its sum; NaN for classes that are not labelled."""
    counts = np.asarray(confusion, float)
    with np.errstate(invalid='ignore'):
        return counts / counts.sum(1, keepdims=True)


def embeddable(content: Any) -> str:
    """JSON that may stand inside of a page: no element of it ends there."""
    return json.dumps(content, separators=(',', ':')).replace('<', '\\u003c')


def dumped(results: Sequence[Result]) -> str:
    """The results as a page carries them."""
    return embeddable(dict(version=VERSION, results=[asdict(result) for result in results]))


def loaded(text: str, source: str) -> list[Result]:
    """The results that a page carries.

    Raises:
        LogError: if it carries none that this version knows, naming ``source``.
    """
    found = DATA.search(text)
    try:
        content = json.loads(found[1]) if found else {}
        if content.get('version') != VERSION:
            raise ValueError('it carries no results of this version')
        return [Result(**{**entry, 'images': [Shown(**image) for image in entry['images']],
                          'curves': _curves(entry['curves'])}) for entry in content['results']]
    except (ValueError, KeyError, TypeError) as error:
        raise LogError(f'{source} is no report that can be read ({error}): test the checkpoint again') from error


def _curves(charts: Mapping[str, Mapping[str, Sequence[list]]]) -> Curves:
    """Curves from JSON, which has no tuples."""
    return {title: {label: (iterations, values) for label, (iterations, values) in chart.items()}
            for title, chart in charts.items()}
