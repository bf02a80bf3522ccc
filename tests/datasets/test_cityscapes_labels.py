"""The labels of Cityscapes are those of the program of its authors."""
from __future__ import annotations

import json
import random

import numpy as np
import pytest

from mmseg.datasets.cityscapes_labels import LABELS, draw_train_ids

pytest.importorskip('cityscapesscripts')
from cityscapesscripts.helpers import labels as official  # noqa: E402
from cityscapesscripts.helpers.annotation import Annotation  # noqa: E402
from cityscapesscripts.preparation.json2labelImg import createLabelImage  # noqa: E402


def test_ids_and_colours():
    expected = {label.name: (label.id, label.trainId if label.trainId >= 0 else 255, label.color)
                for label in official.labels}
    assert {name: tuple(label) for name, label in LABELS.items()} == expected


def test_label_maps(tmp_path):
    draw, names = random.Random(0), [*LABELS, 'cargroup', 'persongroup']
    things = [dict(label=draw.choice(names), deleted=int(draw.random() < 0.1),
                   polygon=[[draw.randint(-5, 69), draw.randint(-5, 49)] for _ in range(draw.randint(3, 9))])
              for _ in range(60)]
    file = tmp_path / 'a_polygons.json'
    file.write_text(json.dumps(dict(imgHeight=48, imgWidth=64, objects=things)))
    annotation = Annotation()
    annotation.fromJsonFile(str(file))
    expected = np.array(createLabelImage(annotation, 'trainIds'))
    assert len(np.unique(expected)) > 5
    np.testing.assert_array_equal(draw_train_ids(str(file)), expected)
