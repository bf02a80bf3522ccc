"""The shipped configs on each benchmark as it is published, with images of the real size, from download to sample."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mmseg.apis import load_config
from mmseg.cli.convert import main
from mmseg.cli.convert_datasets import acdc, cityscapes, gta, synthia
from mmseg.datasets import build_dataset
from mmseg.errors import command
from tests.datasets import layouts, scenes

BASES = Path(__file__).parents[2] / 'configs/_base_/datasets'
BLOCKS = np.random.RandomState(0)


def blocks(ids: int, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(BLOCKS.randint(0, ids, (9, 16)).astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)


def write_picture(path: Path, size: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), 100, np.uint8))


def make_gta(root: Path) -> None:
    write_picture(root / 'images/00001.png', (1052, 1914))
    layouts.write_palette_png(root / 'labels/00001.png', blocks(35, (1052, 1914)))
    convert(gta, root)


def make_synthia(root: Path) -> None:
    write_picture(root / 'RGB/0000000.png', (760, 1280))
    label = np.zeros((760, 1280, 3), np.uint16)
    label[:, :, 2] = blocks(23, (760, 1280))  # OpenCV writes blue, green, red
    (root / 'GT/LABELS').mkdir(parents=True)
    cv2.imwrite(str(root / 'GT/LABELS/0000000.png'), label)
    convert(synthia, root)


def make_cityscapes(root: Path) -> None:
    scene = [dict(label=label, polygon=[[x, 0], [x + 511, 0], [x + 511, 1023], [x, 1023]])
             for x, label in ((0, 'road'), (512, 'sky'), (1024, 'car'), (1536, 'ground'))]
    for split in ('train', 'val'):
        frame = f'{split}/ulm/ulm_000000_000019'
        write_picture(root / 'leftImg8bit' / f'{frame}_leftImg8bit.png', (1024, 2048))
        polygons = layouts.write_polygons(root, frame, scene)
        polygons.write_text(polygons.read_text().replace('20, "imgWidth": 30', '1024, "imgWidth": 2048'))
    convert(cityscapes, root)


def make_acdc(root: Path) -> None:
    layouts.write_acdc(root)
    for path in (root / 'rgb_anon/fog/train/GOPR00').iterdir():
        write_picture(path, (1080, 1920))
    convert(acdc, root)


def make_dark_zurich(root: Path) -> None:
    for split in ('train', 'val'):
        write_picture(root / f'rgb_anon/{split}/night/GOPR0351/GOPR0351_frame_000159_rgb_anon.png', (1080, 1920))
    scenes.write_label(root / 'gt/val/night/GOPR0351/GOPR0351_frame_000159_gt_labelTrainIds.png', 0, (1080, 1920))


def convert(converter, root: Path) -> None:
    command(lambda: main([converter.__name__.rpartition('.')[2], str(root), '--nproc', '2']))


@pytest.mark.parametrize('name, source, target, source_size, target_size', [
    ('uda_gta_to_cityscapes_512x512', make_gta, make_cityscapes, (704, 1280), (512, 1024)),
    ('uda_gtaCAugHR_to_cityscapesHR_1024x1024', make_gta, make_cityscapes, (1407, 2560), (1024, 2048)),
    ('uda_synthia_to_cityscapes_512x512', make_synthia, make_cityscapes, (760, 1280), (512, 1024)),
    ('uda_cityscapes_to_acdc_512x512', make_cityscapes, make_acdc, (512, 1024), (540, 960)),
    ('uda_cityscapes_to_darkzurich_512x512', make_cityscapes, make_dark_zurich, (512, 1024), (540, 960)),
])
def test_from_download_to_sample(tmp_path, monkeypatch, name, source, target, source_size, target_size) -> None:
    monkeypatch.chdir(tmp_path)
    cfg = load_config(BASES / f'{name}.py')
    for make, section in ((source, cfg.data.train.source), (target, cfg.data.train.target)):
        make(Path(section.data_root))
    dataset = build_dataset({**cfg.data.train, 'rare_class_sampling': dict(min_pixels=3000)})
    assert dataset.source.prepare(0)['gt_semantic_seg'].shape == source_size
    assert dataset.source.prepare(0)['img'].shape[:2] == source_size
    assert dataset.target.prepare(0)['img'].shape[:2] == target_size
    sample = dataset.get(0, np.random.RandomState(0))
    assert sample['img'].shape == sample['target_img'].shape == (3, *cfg.crop_size)
    if name.endswith('gta_to_cityscapes_512x512'):
        val = build_dataset(cfg.data.val, dict(test_mode=True))
        assert val.label(0).shape == (1024, 2048) and np.unique(val.label(0)).tolist() == [0, 10, 13, 255]
