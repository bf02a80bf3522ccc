"""Predictions as files."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mmseg.datasets import CityscapesDataset
from mmseg.errors import DataError
from mmseg.evaluation import Background, PredictionPictures, TestServerExport

CLASSES, PALETTE = CityscapesDataset.CLASSES, CityscapesDataset.PALETTE
META = dict(filename='images/bonn/b_1.png', ori_filename='bonn/b_1.png')
PRED = torch.tensor([[0, 18, 13], [10, 255, 2]])


def read(path: Path) -> tuple[str, np.ndarray]:
    with Image.open(path) as image:
        return image.mode, np.array(image)


def test_opacity_1_writes_palette_pngs_of_train_ids_mirroring_the_folders(tmp_path: Path) -> None:
    with Background() as background:
        PredictionPictures(tmp_path, PALETTE, 1., background)(0, PRED, META)
    mode, ids = read(tmp_path / 'bonn/b_1.png')
    assert mode == 'P' and ids.tolist() == PRED.tolist()
    with Image.open(tmp_path / 'bonn/b_1.png') as image:
        colours = np.array(image.convert('RGB'))
    assert colours[0, 0].tolist() == [128, 64, 128] and colours[0, 2].tolist() == [0, 0, 142]
    assert colours[1, 1].tolist() == [0, 0, 0]  # ignored pixels are black


def test_ids_of_jpeg_images_go_to_png(tmp_path: Path) -> None:
    with Background() as background:
        PredictionPictures(tmp_path, PALETTE, 1., background)(0, PRED, dict(META, ori_filename='c.jpg'))
    assert read(tmp_path / 'c.png')[1].tolist() == PRED.tolist()


def test_lower_opacity_blends_with_the_image(tmp_path: Path) -> None:
    image = np.full((2, 3, 3), (200, 100, 50), np.uint8)  # blue, green, red
    cv2.imwrite(str(tmp_path / 'image.png'), image)
    meta = dict(filename=str(tmp_path / 'image.png'), ori_filename='x/image.png')
    with Background() as background:
        PredictionPictures(tmp_path / 'out', PALETTE, 0.5, background)(0, PRED, meta)
    mode, blended = read(tmp_path / 'out/x/image.png')
    assert mode == 'RGB'
    assert blended[0, 0].tolist() == [(50 + 128) // 2, (100 + 64) // 2, (200 + 128) // 2]


def test_attention_is_painted_as_heat_map(tmp_path: Path) -> None:
    with Background() as background:
        PredictionPictures(tmp_path, PALETTE, 1., background)(0, torch.tensor([[0., 1.]]), META)
    mode, picture = read(tmp_path / 'bonn/b_1.png')
    assert mode == 'RGB' and picture[0, 1].sum() > picture[0, 0].sum()


def test_label_ids_for_the_cityscapes_server(tmp_path: Path) -> None:
    with Background() as background:
        TestServerExport(tmp_path, CLASSES, PALETTE, background)(0, PRED, META)
    mode, ids = read(tmp_path / 'b_1.png')
    assert mode == 'P' and ids.tolist() == [[7, 33, 26], [23, 0, 11]]


def test_train_ids_for_the_acdc_server(tmp_path: Path) -> None:
    with Background() as background:
        TestServerExport(tmp_path, CLASSES, PALETTE, background, to_label_id=False)(0, PRED, META)
    mode, ids = read(tmp_path / 'b_1.png')
    assert mode == 'P' and ids.tolist() == PRED.tolist()


def test_label_ids_are_refused_for_other_classes(tmp_path: Path) -> None:
    with Background() as background, pytest.raises(DataError, match='to_label_id=False'):
        TestServerExport(tmp_path, ('road', 'sky'), PALETTE, background)


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    with Background() as background, pytest.raises(DataError, match='bonn/b_1.png and ulm/b_1.png'):
        export = TestServerExport(tmp_path, CLASSES, PALETTE, background)
        export(0, PRED, META)
        export(1, PRED, dict(META, ori_filename='ulm/b_1.png'))


def test_a_failed_write_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / 'bonn').write_text('in the way')
    with pytest.raises(OSError, match='bonn/b_1.png'), Background() as background:
        PredictionPictures(tmp_path, PALETTE, 1., background)(0, PRED, META)


def test_after_a_failed_write_nothing_more_is_accepted(tmp_path: Path) -> None:
    def fail() -> None:
        raise OSError('disk full')

    with pytest.raises(OSError, match='disk full'), Background(threads=1, waiting=1) as background:
        for _ in range(3):
            background.submit(fail)
        pytest.fail('a second job was accepted after the first had failed')
