"""Results as an evaluation leaves them, drawn by hand."""
from __future__ import annotations

from typing import Any

import numpy as np

from mmseg.evaluation import ImageResults, ImageScore, Picture
from mmseg.report.result import Result, evaluated

CLASSES, PALETTE = ('road', 'sky <b>', 'car'), [[128, 64, 128], [70, 130, 180], [0, 0, 142]]
SCORES = {'aAcc': 0.75, 'mIoU': 0.5, 'mAcc': 0.6, 'IoU.road': 0.75, 'IoU.sky <b>': 0.25, 'IoU.car': float('nan')}
WIDTH, HEIGHT = 64, 32


def picture(index: int, name: str) -> Picture:
    """The upper half is sky, the lower one road, of which the right half is taken for sky."""
    truth = np.zeros((HEIGHT, WIDTH), np.uint8)
    truth[:HEIGHT // 2] = 1
    truth[0] = 255
    prediction = truth.copy()
    prediction[HEIGHT // 2:, WIDTH // 2:] = 1
    score = ImageScore(index, name, np.array([512, 960, 0]), np.array([1024, 960, 0]), np.array([512, 1472, 0]))
    return Picture(score, np.full((HEIGHT, WIDTH, 3), 90, np.uint8), truth, prediction,
                   np.full((HEIGHT, WIDTH), 204, np.uint8))


def images(names: tuple[str, ...] = ('bonn/a.png', 'bonn/<i>.png')) -> ImageResults:
    found = ImageResults(len(names), len(CLASSES))
    found.confusion += np.array([[512, 512, 0], [0, 960, 0], [0, 0, 0]])
    for index, name in enumerate(names):
        one = picture(index, name)
        found.scores.append(one.score)
        found._drawn.append(one)
        found._worst.append((-one.score.miou, index, one))
    return found


def result(name: str = 'run_a, student', **about: Any) -> Result:
    about.setdefault('config', 'lr = 1\nseed = 0')
    return evaluated(name, SCORES, images(), CLASSES, PALETTE, facts={'data': '2 images'}, environment={'torch': '2'},
                     curves={'mIoU, %': {'mIoU': ([1, 2], [30., 50.])}}, **about)
