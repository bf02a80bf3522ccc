"""The converters on tiny folders in the layout of the real data sets."""
from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg.cli.convert import main
from mmseg.cli.convert_datasets import acdc, cityscapes, gta, mapillary, synthia
from mmseg.datasets import build_dataset
from mmseg.datasets.gta import GTA_TRAIN_IDS
from mmseg.errors import DataError, command
from tests.datasets import layouts, scenes

ROOT = Path(__file__).parents[2]
STATS = ('sample_class_stats.json', 'sample_class_stats_dict.json', 'samples_with_class.json')


def run(converter, *arguments) -> None:
    """The converter as a command line in this process."""
    command(lambda: main([converter.__name__.rpartition('.')[2], *map(str, arguments)]))


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


def converted(files: list[Path]) -> list[Path]:
    return [file.with_name(f'{file.stem}_labelTrainIds.png') for file in files]


@pytest.mark.parametrize('nproc', [1, 2])
def test_gta(tmp_path, nproc) -> None:
    files = layouts.write_gta(tmp_path)
    run(gta, tmp_path, '--nproc', nproc)
    for before, after in zip(files, converted(files)):
        ids, label = np.asarray(Image.open(before)), read(after)
        assert label.dtype == np.uint8 and label[0, :4].tolist() == [0, 18, 255, 255]
        expected = np.full(ids.shape, 255)
        for label_id, train_id in GTA_TRAIN_IDS.items():
            expected[ids == label_id] = train_id
        np.testing.assert_array_equal(label, expected)
    check_statistics(tmp_path, converted(files))


def test_pairs_of_different_size_are_counted(tmp_path, capsys) -> None:
    """Of three pairs one differs by two rows, which training resizes, and one by more, at which it would stop."""
    layouts.write_gta(tmp_path)
    scenes.write_image(tmp_path / 'images/00001.png', 1, (10, 16))
    scenes.write_image(tmp_path / 'images/00002.png', 2, (6, 16))
    (tmp_path / 'labels/._00000.png').write_bytes(b'a copy that macOS made')
    run(gta, tmp_path, '--nproc', 1)
    shown = capsys.readouterr().out
    assert '3 label maps: 3 converted' in shown
    assert re.search('1 of them differ a little from their image, such as .*00001.png: a training resizes', shown)
    assert re.search('1 of them have another size than their image, such as .*00002.png: a training stops', shown)


def test_as_a_plain_script_with_relative_path(tmp_path) -> None:
    layouts.write_gta(tmp_path / 'data/gta', 1)
    script = ROOT / 'tools/convert_datasets/gta.py'
    command = [sys.executable, str(script), 'data/gta', '--nproc', '2', '-o', 'stats']
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert 'Converting labels' in done.stderr and '1/1' in done.stderr
    stats = json.loads((tmp_path / 'stats/sample_class_stats.json').read_text())
    assert [entry['file'] for entry in stats] == ['data/gta/labels/00000_labelTrainIds.png']


def test_an_interrupted_run_goes_on(tmp_path) -> None:
    files = layouts.write_gta(tmp_path)
    run(gta, tmp_path)
    whole = [path.read_bytes() for path in converted(files)]
    statistics = [(tmp_path / name).read_text() for name in STATS]
    first, second, third = converted(files)
    second.unlink()
    third.write_bytes(whole[2][:30])  # as an older converter leaves it when it is killed
    done = first.stat().st_mtime_ns
    run(gta, tmp_path)
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
def test_synthia(tmp_path, count) -> None:
    files = [tmp_path / 'GT/LABELS' / f'{i:07d}.png' for i in range(2)]
    rng = np.random.RandomState(0)
    classes = [rng.randint(0, 23, (8, 10)) for _ in files]
    for file, ids in zip(files, classes):
        instances = rng.randint(0, 40000, (8, 10, count - 1))
        write_png16(file, np.dstack([ids, instances]))
    run(synthia, tmp_path)
    for file, ids in zip(converted(files), classes):
        expected = np.full(ids.shape, 255)
        for label_id, train_id in synthia.TRAIN_IDS.items():
            expected[ids == label_id] = train_id
        np.testing.assert_array_equal(read(file), expected)
    check_statistics(tmp_path, converted(files))


def test_cityscapes(tmp_path) -> None:
    root = tmp_path / 'train' / 'cityscapes'  # `train` in the path of the data set is not the split
    frames = ['train/ulm/ulm_000001_000019', 'train/bonn/bonn_000000_000019', 'val/lindau/lindau_000000_000019']
    for frame in frames:
        layouts.write_polygons(root, frame, layouts.SCENE)
        scenes.write_image(root / 'leftImg8bit' / f'{frame}_leftImg8bit.png', 0, (20, 30))
    run(cityscapes, root)
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
def test_bad_polygons_name_the_file(tmp_path, content) -> None:
    scene = [dict(label='unicorn', polygon=[[0, 0], [1, 1], [2, 0]])]
    path = layouts.write_polygons(tmp_path, 'train/ulm/ulm_0', scene)
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit, match='error: label file .*ulm_0_gtFine_polygons.json cannot be drawn'):
        run(cityscapes, tmp_path, '--nproc', 2)


def test_bad_label_names_the_file(tmp_path) -> None:
    layouts.write_gta(tmp_path)[1].write_bytes(b'nothing')
    with pytest.raises(SystemExit, match='error: label map .*00001.png: the file is damaged'):
        run(gta, tmp_path, '--nproc', 2)


def test_wrong_folders(tmp_path) -> None:
    with pytest.raises(SystemExit, match='labels does not exist: .*--gt-dir'):
        run(gta, tmp_path)
    (tmp_path / 'labels').mkdir()
    with pytest.raises(SystemExit, match='no file below .*labels'):
        run(gta, tmp_path)
    scenes.write_label(tmp_path / 'other' / '0.png', 0, ids=(0, 1))
    with pytest.raises(SystemExit, match='none of the 1 label maps holds a known class id'):
        run(gta, tmp_path, '--gt-dir', 'other', '--nproc', 1)


def test_counts_at_the_end(tmp_path, capsys) -> None:
    files = layouts.write_gta(tmp_path)
    run(gta, tmp_path)
    converted(files)[1].unlink()
    capsys.readouterr()
    run(gta, tmp_path)
    output = capsys.readouterr().out
    assert '3 label maps: 1 converted, 2 were already' in output
    assert f'Statistics of 3 label maps are in {tmp_path}: 19 of 19 classes occur' in output


def test_labels_of_another_data_set(tmp_path) -> None:
    layouts.write_palette_png(tmp_path / 'labels/00001.png', np.array([[7, 35, 123, 255]], np.uint8))
    with pytest.raises(SystemExit, match='00001.png holds the ids 35, 123, which are no class; .* has 0 to 34'):
        run(gta, tmp_path, '--nproc', 2)


@pytest.mark.parametrize('whole', [True, False])
def test_mapillary(tmp_path, whole, capsys) -> None:
    """The folder of a split, and the one that holds all splits."""
    files = [tmp_path / split / 'labels' / f'-{i}Ab_{split}.png' for split in ('training', 'validation')
             for i in range(2)]
    for i, file in enumerate(files):
        layouts.write_palette_png(file, np.random.RandomState(i).randint(0, 66, (20, 30)).astype(np.uint8))
        scenes.write_image(file.parents[1] / 'images' / f'{file.stem}.jpg', i, (20, 30))
    root, wanted = (tmp_path, files) if whole else (tmp_path / 'validation', files[2:])
    for _ in range(2):
        run(mapillary, root, '--nproc', 2)
    for before, after in zip(wanted, converted(wanted)):
        ids, expected = np.asarray(Image.open(before)), np.full((20, 30), 255)
        for label_id, train_id in mapillary.TRAIN_IDS.items():
            expected[ids == label_id] = train_id
        np.testing.assert_array_equal(read(after), expected)
    check_statistics(root, converted(wanted[:2]))
    assert f'{len(wanted)} label maps: 0 converted' in capsys.readouterr().out
    dataset = build_dataset(dict(type='MapillaryDataset', data_root=str(tmp_path), img_dir='validation/images',
                                 ann_dir='validation/labels', pipeline=scenes.train_pipeline()))
    assert len(dataset) == 2 and dataset[0]['gt_semantic_seg'].shape == (1, 32, 32)


def acdc_names(root: Path, split: str, **changes) -> list[str]:
    cfg = dict(type='ACDCDataset', data_root=str(root), img_dir=f'rgb_anon/{split}', ann_dir=f'gt/{split}',
               pipeline=scenes.train_pipeline(labels=split != 'test'))
    dataset = build_dataset(dict(cfg, **changes))
    assert 'img' in dataset[0] and (split == 'test' or dataset.label(0).shape == (27, 48))
    return sorted(Path(info['filename']).name for info in dataset.img_infos)


@pytest.mark.parametrize('links', [True, False])
def test_acdc(tmp_path, monkeypatch, capsys, links) -> None:
    """All splits, test included, by links or copies; the data set reads the layout of before, too."""
    layouts.write_acdc(tmp_path)
    published = {split: acdc_names(tmp_path, split) for split in ('train', 'val', 'test')}
    assert all(len(names) == 4 and not any('ref' in name for name in names) for names in published.values())
    if not links:
        monkeypatch.setattr(os, 'link', lambda *_: (_ for _ in ()).throw(OSError('no links')))
    run(acdc, tmp_path, '--nproc', 1)
    assert 'train: 4 images, 4 label maps; 8 files laid out, 0 were already' in capsys.readouterr().out
    for split in ('train', 'val', 'test'):
        flat = sorted(path.name for path in (tmp_path / 'rgb_anon' / split).iterdir())
        assert flat == published[split] == acdc_names(tmp_path, split)
        assert (tmp_path / 'gt' / split).exists() == (split != 'test')
    check_statistics(tmp_path, sorted((tmp_path / 'gt/train').iterdir()))
    broken = next((tmp_path / 'rgb_anon/val').iterdir())  # as an interrupted copy leaves it
    broken.unlink()
    broken.write_bytes(b'half')
    run(acdc, tmp_path, '--nproc', 2)
    output = capsys.readouterr().out
    assert '4 images, 4 label maps; 1 files laid out, 7 were already' in output
    assert 'test: 4 images, 0 label maps; 0 files laid out, 4 were already' in output
    assert read(broken).shape == (27, 48, 3)


def test_acdc_that_is_incomplete(tmp_path) -> None:
    with pytest.raises(SystemExit, match='no image in .*rgb_anon/<condition>/<split>/<sequence>'):
        run(acdc, tmp_path)
    layouts.write_acdc(tmp_path)
    damaged = tmp_path / 'rgb_anon/fog/test/GOPR02/GOPR02_frame_000001_rgb_anon.png'
    content = damaged.read_bytes()
    damaged.write_bytes(content[:len(content) // 2])
    with pytest.raises(SystemExit, match='error: image .*GOPR02_frame_000001_rgb_anon.png: the file is damaged'):
        run(acdc, tmp_path, '--nproc', 2)
    label = tmp_path / 'gt/rain/val/GOPR21/GOPR21_frame_000001_gt_labelTrainIds.png'
    label.unlink()
    with pytest.raises(SystemExit, match='1 of 4 images of val have no label map, such as .*GOPR21_frame_000001'):
        run(acdc, tmp_path)
    with pytest.raises(DataError, match='img_dir .*rgb_anon/trian does not exist'):
        acdc_names(tmp_path, 'trian')
