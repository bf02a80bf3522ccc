"""The converters on tiny folders in the layout of the real data sets."""
from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg.datasets import build_dataset
from mmseg.datasets.conversion import main
from tests.datasets import scenes
from tools.convert_datasets import cityscapes, gta, synthia

ROOT = Path(__file__).parents[2]
STATS = ('sample_class_stats.json', 'sample_class_stats_dict.json', 'samples_with_class.json')


def run(monkeypatch, converter, *arguments) -> None:
    """The converter as a command line in this process."""
    monkeypatch.setattr(sys, 'argv', ['converter', *map(str, arguments)])
    main(converter.convert)


def read(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def check_statistics(folder: Path, files: list[Path]) -> None:
    """Exactly the three files, with the pixels of the converted labels."""
    stats, by_file, with_class = (json.loads((folder / name).read_text()) for name in STATS)
    assert [entry['file'] for entry in stats] == list(by_file) == [str(file) for file in files]
    listed = {}
    for entry, file in zip(stats, files):
        label = read(file)
        expected = {str(c): int((label == c).sum()) for c in np.unique(label) if c != 255}
        assert entry == dict(expected, file=str(file)) and by_file[str(file)] == expected
        for c, n in expected.items():
            listed.setdefault(c, []).append([str(file), n])
    assert with_class == listed
    assert (folder / STATS[0]).read_text().startswith('[\n  {\n    "')


def write_gta(root: Path, count: int = 3) -> list[Path]:
    files = []
    for i in range(count):
        ids = np.random.RandomState(i).randint(0, 35, (12, 16)).astype(np.uint8)
        ids[0, :4] = (7, 33, 34, 4)
        image = Image.fromarray(ids)
        image.putpalette(np.random.RandomState(9).randint(0, 256, 768).astype(np.uint8).tolist())
        files.append(root / 'labels' / f'{i:05d}.png')
        files[-1].parent.mkdir(parents=True, exist_ok=True)
        image.save(files[-1])
    return files


def converted(files: list[Path]) -> list[Path]:
    return [file.with_name(f'{file.stem}_labelTrainIds.png') for file in files]


@pytest.mark.parametrize('nproc', [1, 2])
def test_gta(tmp_path, monkeypatch, nproc) -> None:
    files = write_gta(tmp_path)
    run(monkeypatch, gta, tmp_path, '--nproc', nproc)
    for before, after in zip(files, converted(files)):
        ids, label = np.asarray(Image.open(before)), read(after)
        assert label.dtype == np.uint8 and label[0, :4].tolist() == [0, 18, 255, 255]
        expected = np.full(ids.shape, 255)
        for label_id, train_id in gta.TRAIN_IDS.items():
            expected[ids == label_id] = train_id
        np.testing.assert_array_equal(label, expected)
    check_statistics(tmp_path, converted(files))


def test_as_a_plain_script_with_relative_path(tmp_path) -> None:
    write_gta(tmp_path / 'data/gta', 1)
    script = ROOT / 'tools/convert_datasets/gta.py'
    command = [sys.executable, str(script), 'data/gta', '--nproc', '2', '-o', 'stats']
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert 'Converting labels' in done.stderr and '1/1' in done.stderr
    stats = json.loads((tmp_path / 'stats/sample_class_stats.json').read_text())
    assert [entry['file'] for entry in stats] == ['data/gta/labels/00000_labelTrainIds.png']


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch) -> None:
    files = write_gta(tmp_path)
    run(monkeypatch, gta, tmp_path)
    whole = [path.read_bytes() for path in converted(files)]
    statistics = [(tmp_path / name).read_text() for name in STATS]
    first, second, third = converted(files)
    second.unlink()
    third.write_bytes(whole[2][:30])  # as an older converter leaves it when it is killed
    done = first.stat().st_mtime_ns
    run(monkeypatch, gta, tmp_path)
    assert [path.read_bytes() for path in converted(files)] == whole and first.stat().st_mtime_ns == done
    assert [(tmp_path / name).read_text() for name in STATS] == statistics
    assert {path.name for path in (tmp_path / 'labels').iterdir()} == {f.name for f in [*files, *converted(files)]}


def write_png16(path: Path, channels: np.ndarray) -> None:
    """A 16-bit PNG with two (grey, alpha) or three (red, green, blue) channels."""
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))

    height, width, count = channels.shape
    header = struct.pack('>IIBBBBB', width, height, 16, {2: 4, 3: 2}[count], 0, 0, 0)
    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in channels)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(rows)) +
                     chunk(b'IEND', b''))


@pytest.mark.parametrize('count', [2, 3])
def test_synthia(tmp_path, monkeypatch, count) -> None:
    files = [tmp_path / 'GT/LABELS' / f'{i:07d}.png' for i in range(2)]
    rng = np.random.RandomState(0)
    classes = [rng.randint(0, 23, (8, 10)) for _ in files]
    for file, ids in zip(files, classes):
        instances = rng.randint(0, 40000, (8, 10, count - 1))
        write_png16(file, np.dstack([ids, instances]))
    run(monkeypatch, synthia, tmp_path)
    for file, ids in zip(converted(files), classes):
        expected = np.full(ids.shape, 255)
        for label_id, train_id in synthia.TRAIN_IDS.items():
            expected[ids == label_id] = train_id
        np.testing.assert_array_equal(read(file), expected)
    check_statistics(tmp_path, converted(files))


def write_polygons(root: Path, frame: str, objects: list[dict]) -> Path:
    path = root / 'gtFine' / f'{frame}_gtFine_polygons.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(imgHeight=20, imgWidth=30, objects=objects)))
    return path


SCENE = [dict(label='sky', polygon=[[0, 0], [29, 0], [29, 9], [0, 9]]),
         dict(label='road', polygon=[[0, 10], [29, 10], [29, 19], [0, 19]]),
         dict(label='cargroup', polygon=[[5, 12], [9, 12], [9, 15], [5, 15]]),
         dict(label='license plate', polygon=[[6, 13], [7, 13], [7, 14], [6, 14]]),
         dict(label='ego vehicle', polygon=[[0, 18], [29, 18], [29, 19], [0, 19]])]


def test_cityscapes(tmp_path, monkeypatch) -> None:
    root = tmp_path / 'train' / 'cityscapes'  # `train` in the path of the data set is not the split
    frames = ['train/ulm/ulm_000001_000019', 'train/bonn/bonn_000000_000019', 'val/lindau/lindau_000000_000019']
    for frame in frames:
        write_polygons(root, frame, SCENE)
        scenes.write_image(root / 'leftImg8bit' / f'{frame}_leftImg8bit.png', 0, (20, 30))
    run(monkeypatch, cityscapes, root)
    label = read(root / 'gtFine' / f'{frames[0]}_gtFine_labelTrainIds.png')
    assert label.shape == (20, 30) and label.dtype == np.uint8
    assert (label[:10] == 10).all() and (label[18:] == 255).all()
    assert (label[12:16, 5:10] == 13).all() and (label[10:12] == 0).all()
    check_statistics(root, [root / 'gtFine' / f'{frame}_gtFine_labelTrainIds.png' for frame in sorted(frames[:2])])
    assert (root / 'train.txt').read_text() == 'bonn/bonn_000000_000019\nulm/ulm_000001_000019\n'
    assert (root / 'val.txt').read_text() == 'lindau/lindau_000000_000019\n' and not (root / 'test.txt').exists()
    dataset = build_dataset(scenes.city_cfg(root, split='train.txt'))  # the list is one that datasets read
    assert len(dataset) == 2 and dataset.label(0).shape == (20, 30)


@pytest.mark.parametrize('content', ['', '{"objects": []}', None])
def test_bad_polygons_name_the_file(tmp_path, monkeypatch, content) -> None:
    path = write_polygons(tmp_path, 'train/ulm/ulm_0', [dict(label='unicorn', polygon=[[0, 0], [1, 1], [2, 0]])])
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit, match='error: label file .*ulm_0_gtFine_polygons.json cannot be drawn'):
        run(monkeypatch, cityscapes, tmp_path, '--nproc', 2)


def test_bad_label_names_the_file(tmp_path, monkeypatch) -> None:
    write_gta(tmp_path)[1].write_bytes(b'nothing')
    with pytest.raises(SystemExit, match='error: label map .*00001.png: the file is damaged'):
        run(monkeypatch, gta, tmp_path, '--nproc', 2)


def test_wrong_folders(tmp_path, monkeypatch) -> None:
    with pytest.raises(SystemExit, match='labels does not exist: .*--gt-dir'):
        run(monkeypatch, gta, tmp_path)
    (tmp_path / 'labels').mkdir()
    with pytest.raises(SystemExit, match='no file below .*labels'):
        run(monkeypatch, gta, tmp_path)
    scenes.write_label(tmp_path / 'other' / '0.png', 0, ids=(0, 1))
    with pytest.raises(SystemExit, match='none of the 1 label maps holds a known class id'):
        run(monkeypatch, gta, tmp_path, '--gt-dir', 'other', '--nproc', 1)
