"""tools/predict.py: images, folders and videos, and what cannot be read."""
from __future__ import annotations

import os
import pickle
import shutil
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mmseg.apis import draw_result, inference_segmentor, init_segmentor, load_config
from mmseg.apis.inference import Predictor
from mmseg.apis.predict import ahead, writable_rate
from mmseg.datasets import PIPELINES
from mmseg.datasets.pipelines.loading import loaded
from mmseg.errors import ConfigError, DataError
from mmseg.models import build_segmentor
from mmseg.visualization import write_image
from tests.tiny import TinyRun, make_tiny_run
from tools import predict
from tools import test as test_cli

ROOT = Path(__file__).parents[2]
SLIDE = ['--options', 'model.test_cfg.mode=slide', 'model.test_cfg.crop_size=(64,64)', 'model.test_cfg.stride=(32,32)']


@pytest.fixture(scope='module')
def run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    return make_tiny_run(tmp_path_factory.mktemp('tiny'), teacher=True)


@pytest.fixture(scope='module')
def model(run: TinyRun) -> torch.nn.Module:
    return init_segmentor(str(run.config), str(run.checkpoint), device='cpu')


def call(run: TinyRun, source: Path, *flags: object) -> int:
    return predict.main([str(source), str(run.config), str(run.checkpoint), '--device', 'cpu', *map(str, flags)])


def ids_in(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == 'P'
        return np.array(image)


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file())


def write_video(path: Path, count: int = 5, size: tuple[int, int] = (96, 64), rate: float = 7.5) -> Path:
    """A moving gradient, lossy."""
    codec = cv2.VideoWriter_fourcc(*('MJPG' if path.suffix == '.avi' else 'mp4v'))
    writer = cv2.VideoWriter(str(path), codec, rate, size)
    for index in range(count):
        ramp = np.linspace(0, 255, size[0]).astype(np.uint8)
        writer.write(np.ascontiguousarray(np.broadcast_to(np.roll(ramp, 9 * index)[None, :, None], (*size[::-1], 3))))
    writer.release()
    return path


def frames(path: Path) -> tuple[list[np.ndarray], float]:
    capture, found = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        found.append(read[1])
    return found, capture.get(cv2.CAP_PROP_FPS)


# images


def test_one_image_is_written_beside_itself(run: TinyRun, model: torch.nn.Module, tmp_path: Path) -> None:
    image = Path(shutil.copy(run.image('bonn', 0), tmp_path / 'street.png'))
    assert call(run, image) == 0
    expected = draw_result(model, str(image), inference_segmentor(model, str(image)))
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'street_pred.png'))[..., ::-1], expected)
    assert names(tmp_path) == ['street.png', 'street_pred.png']


@pytest.mark.parametrize('out, written', [('new/a.png', 'new/a.png'), ('new/a.jpg', 'new/a.jpg'),
                                          ('folder', 'folder/bonn_000000_leftImg8bit.png')])
def test_out_names_a_file_or_a_folder(run: TinyRun, tmp_path: Path, out: str, written: str) -> None:
    assert call(run, run.image('bonn', 0), '--out', tmp_path / out) == 0
    assert names(tmp_path) == [written]


def test_opacity_1_writes_class_ids(run: TinyRun, model: torch.nn.Module, tmp_path: Path) -> None:
    image = Image.open(run.image('bonn', 1))
    image.save(tmp_path / 'a.jpg')
    assert call(run, tmp_path / 'a.jpg', '--opacity', '1', '--out', tmp_path / 'ids.jpg') == 0
    [expected] = inference_segmentor(model, str(tmp_path / 'a.jpg'))
    np.testing.assert_array_equal(ids_in(tmp_path / 'ids.png'), expected)  # a JPEG would change the ids


def test_a_folder_is_mirrored_with_ids_beside_it(run: TinyRun, model: torch.nn.Module, tmp_path: Path,
                                                 capsys: pytest.CaptureFixture) -> None:
    folder = Path(shutil.copytree(run.data / 'leftImg8bit/val', tmp_path / 'in'))
    (folder / 'notes.txt').touch()
    assert call(run, folder, '--out', tmp_path / 'out', '--ids', tmp_path / 'ids') == 0
    inputs = [name for name in names(folder) if name != 'notes.txt']
    assert names(tmp_path / 'out') == names(tmp_path / 'ids') == inputs and len(inputs) == 4
    for name in inputs:
        [expected] = inference_segmentor(model, str(folder / name))
        np.testing.assert_array_equal(ids_in(tmp_path / 'ids' / name), expected)
        np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'out' / name))[..., ::-1],
                                      draw_result(model, str(folder / name), [expected]))
    printed = capsys.readouterr()
    assert 'left out, hidden or neither image nor video: 1 (notes.txt)' in printed.err
    assert 'predicted 4 of 4 files' in printed.out


def test_what_is_there_is_written_anew(run: TinyRun, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run.data / 'leftImg8bit/val', tmp_path / 'in'))
    assert call(run, folder) == 0
    written = tmp_path / 'in_pred' / names(folder)[0]
    before = written.read_bytes()
    written.write_bytes(b'old')
    assert call(run, folder) == 0 and written.read_bytes() == before


def huge_png() -> bytes:
    """A PNG whose header promises 40000x30000 pixels."""
    header = struct.pack('>IIBBBBB', 40000, 30000, 8, 0, 0, 0, 0)
    chunks = [kind + data for kind, data in ((b'IHDR', header), (b'IDAT', zlib.compress(bytes(99))), (b'IEND', b''))]
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(chunk) - 4) + chunk + struct.pack('>I', zlib.crc32(chunk)) for chunk in chunks)


def test_files_that_fail_are_named_and_the_rest_goes_on(run: TinyRun, tmp_path: Path,
                                                        capsys: pytest.CaptureFixture) -> None:
    folder = Path(shutil.copytree(run.data / 'leftImg8bit/val/bonn', tmp_path / 'in'))
    content = run.image('bonn', 0).read_bytes()
    (folder / 'a_cut.png').write_bytes(content[:len(content) // 2])
    (folder / 'a_empty.jpg').touch()
    (folder / 'a_huge.png').write_bytes(huge_png())
    (folder / 'a_link.png').symlink_to('nowhere.png')
    os.mkfifo(folder / 'a_pipe.png')
    (folder / 'a_text.mp4').write_text('this is no video')
    assert call(run, folder, '--out', tmp_path / 'out') == 1
    assert len(names(tmp_path / 'out')) == 2
    printed = capsys.readouterr()
    errors = [line for line in printed.err.replace('\r', '\n').splitlines() if 'error:' in line]
    reasons = dict(a_cut='damaged', a_empty='', a_huge='40000', a_link='a link to nowhere.png, which does not exist',
                   a_pipe='a pipe', a_text='damaged')
    for (name, reason), line in zip(reasons.items(), errors, strict=True):
        assert str(folder / name) in line and reason in line
    assert 'predicted 2 of 8 files' in printed.out


# the loader of the config


class LoadArray:
    """A loader of a user's own: NumPy files of 12 bits."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        path = os.path.join(results['img_prefix'], results['img_info']['filename'])
        image = np.load(path) / np.float32(16)
        return dict(results, **loaded(path, results['img_info']['filename'], image.shape), img=image)


@pytest.fixture(autouse=True)
def own_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PIPELINES.module_dict, 'LoadArray', LoadArray)


def with_loader(run: TinyRun, folder: Path, loader: str, channels: int = 3, suffix: str = '.png') -> TinyRun:
    """The run with another loader, and a network for its number of channels."""
    text = run.config.read_text().replace("dict(type='LoadImageFromFile')", loader)
    text = text.replace("style='pytorch'", f"style='pytorch', in_chans={channels}")
    text = text.replace("img_dir='leftImg8bit/val'", f"img_dir='leftImg8bit/val', img_suffix='_leftImg8bit{suffix}'")
    if channels == 1:
        text = text.replace('norm = dict(', 'norm = dict(mean=[116.], std=[57.], to_rgb=False)\nunused = dict(')
    (folder / 'own.py').write_text(text)
    torch.manual_seed(0)
    network = build_segmentor(dict(load_config(folder / 'own.py').model, pretrained=None))
    torch.save(dict(state_dict=network.state_dict()), folder / 'own.pth')
    return TinyRun(folder, folder / 'own.py', folder / 'own.pth', run.data)


@pytest.fixture
def grey(run: TinyRun, tmp_path: Path) -> TinyRun:
    return with_loader(run, tmp_path, "dict(type='LoadImageFromFile', color_type='grayscale')", 1)


@pytest.mark.parametrize('loader, channels, suffix', [
    ("dict(type='LoadImageFromFile')", 3, '.png'),
    ("dict(type='LoadImageFromFile', color_type='grayscale')", 1, '.png'),
    ("dict(type='LoadImageFromFile', color_type='unchanged', to_float32=True)", 3, '.png'),
    ("dict(type='LoadArray')", 3, '.npy')], ids=['colour', 'grey', 'unchanged', 'own'])
def test_predict_and_test_agree(run: TinyRun, tmp_path: Path, loader: str, channels: int, suffix: str) -> None:
    own = with_loader(run, tmp_path, loader, channels, suffix)
    folder, out, ids = (tmp_path / name for name in ('in', 'out', 'ids'))
    shutil.copytree(run.data / 'leftImg8bit/val', folder)
    images = sorted(folder.rglob('*.png'))
    picture = cv2.imread(str(images[0]), cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR)
    if suffix == '.npy':
        for path in images:
            np.save(path.with_suffix('.npy'), cv2.imread(str(path)).astype(np.uint16) * 16)
            path.unlink()
    test_cli.main([str(own.config), str(own.checkpoint), '--device', 'cpu', '--out', str(tmp_path / 'test.pkl'),
                   '--options', f'data.test.img_dir={folder}'])
    assert call(own, folder, '--out', out, '--ids', ids) == 0
    predicted = [ids_in(path) for path in sorted(ids.rglob('*.png'))]
    np.testing.assert_array_equal(predicted, pickle.loads((tmp_path / 'test.pkl').read_bytes()))
    assert len(predicted) == 4 and len(np.unique(predicted)) > 1
    model = init_segmentor(str(own.config), str(own.checkpoint), 'cpu')
    drawn = cv2.imread(str(out / images[0].relative_to(folder)))[..., ::-1]
    np.testing.assert_array_equal(drawn, draw_result(model, picture, predicted[:1]))


def test_a_loader_of_ones_own_may_fail_in_any_way(run: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    own = with_loader(run, tmp_path, "dict(type='LoadArray')", suffix='.npy')
    folder = tmp_path / 'in'
    folder.mkdir()
    a, b, c = (folder / f'{name}_leftImg8bit.npy' for name in 'abc')
    a.write_bytes(b'no array')
    np.save(b, np.zeros((40, 50, 2), np.uint16))  # the network takes three channels
    np.save(c, np.zeros((40, 50, 3), np.uint16))
    assert call(own, folder) == 1
    errors = [line for line in capsys.readouterr().err.replace('\r', '\n').splitlines() if line.startswith('error:')]
    assert len(errors) == 2 and str(a) in errors[0] and str(b) in errors[1]
    assert names(tmp_path / 'in_pred') == ['c_leftImg8bit.png']
    assert call(own, c) == 0 and names(folder)[-1] == 'c_leftImg8bit_pred.png'


def test_a_grey_network_takes_videos(grey: TinyRun, tmp_path: Path) -> None:
    assert call(grey, write_video(tmp_path / 'a.avi'), '--ids', tmp_path / 'ids') == 0
    model = init_segmentor(str(grey.config), str(grey.checkpoint), 'cpu')
    [first, *_], _ = frames(tmp_path / 'a.avi')
    expected = inference_segmentor(model, cv2.cvtColor(first, cv2.COLOR_BGR2GRAY))[0]
    np.testing.assert_array_equal(ids_in(tmp_path / 'ids/a/000000.png'), expected)


# which files


def test_links_are_followed_and_results_lie_beside_them(run: TinyRun, tmp_path: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monday = tmp_path / 'elsewhere/monday'
    shutil.copytree(run.data / 'leftImg8bit/val/bonn', monday)
    (tmp_path / 'drives').mkdir()
    (tmp_path / 'drives/first').symlink_to(monday)
    (tmp_path / 'today').symlink_to(monday)
    assert call(run, tmp_path / 'drives', '--out', tmp_path / 'out') == 0
    assert names(tmp_path / 'out') == [f'first/{name}' for name in names(monday)]
    assert call(run, f'{tmp_path / "today"}/') == 0
    assert names(tmp_path / 'today_pred') == names(monday)
    with pytest.raises(DataError, match='lies inside of'):
        call(run, tmp_path / 'drives', '--out', monday / 'out')
    monkeypatch.chdir(monday)
    assert call(run, '.') == 0 and names(tmp_path / 'elsewhere/monday_pred') == names(monday)
    (monday / 'sub').mkdir()
    monkeypatch.chdir(monday / 'sub')
    shutil.rmtree(tmp_path / 'elsewhere/monday_pred')
    assert call(run, '..') == 0 and names(tmp_path / 'elsewhere/monday_pred') == names(monday)


def test_suffixes_in_any_case_and_no_hidden_names(run: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    image = Image.open(run.image('bonn', 0))
    folder = tmp_path / 'in'
    (folder / '.ipynb_checkpoints').mkdir(parents=True)
    wanted = ['0.png', '1.TIF', '2.BMP', '3.Jpg']
    for name in (*wanted, '.ipynb_checkpoints/0-checkpoint.png'):
        image.save(folder / name)
    (folder / '._0.png').write_bytes(b'Mac OS X')
    assert call(run, folder) == 0 and names(tmp_path / 'in_pred') == wanted
    assert 'image nor video: 2 (._0.png, .ipynb_checkpoints/)' in capsys.readouterr().err


def test_the_network_is_chosen(run: TinyRun, tmp_path: Path) -> None:
    image = run.image('aachen', 0)
    teacher = init_segmentor(str(run.config), str(run.checkpoint), 'cpu', 'teacher')
    call(run, image, '--network', 'teacher', '--opacity', '1', '--out', tmp_path / 'a.png')
    np.testing.assert_array_equal(ids_in(tmp_path / 'a.png'), inference_segmentor(teacher, str(image))[0])
    call(run, image, '--opacity', '1', '--out', tmp_path / 'b.png')
    assert (ids_in(tmp_path / 'a.png') != ids_in(tmp_path / 'b.png')).any()


def test_windows_in_one_batch_predict_the_same(run: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmseg.models.segmentors import EncoderDecoder
    sizes, original = [], EncoderDecoder.encode_decode
    monkeypatch.setattr(EncoderDecoder, 'encode_decode',
                        lambda self, img: sizes.append(len(img)) or original(self, img))
    image, results = run.image('aachen', 1), []
    for flags in ([], ['--batch-windows']):
        call(run, image, *flags, '--opacity', '1', '--out', tmp_path / 'a.png', *SLIDE)
        results.append(ids_in(tmp_path / 'a.png'))
    assert sizes == [1, 1, 2]
    assert (results[0] == results[1]).mean() > 0.99  # batched kernels round in another way
    with pytest.raises(ConfigError, match='--batch-windows.*whole images'):
        call(run, image, '--batch-windows')


def test_bfloat16_predicts_nearly_the_same(run: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, dtypes = run.image('aachen', 1), []
    original = torch.nn.functional.linear
    monkeypatch.setattr(torch.nn.functional, 'linear', lambda *args: dtypes.append(original(*args).dtype) or
                        original(*args))
    for name, flags in (('a', []), ('b', ['--bf16'])):
        call(run, image, *flags, '--opacity', '1', '--out', tmp_path / f'{name}.png')
    assert set(dtypes) == {torch.float32, torch.bfloat16}
    assert (ids_in(tmp_path / 'a.png') == ids_in(tmp_path / 'b.png')).mean() > 0.8


def test_styles_add_contour_image_and_legend(run: TinyRun, model: torch.nn.Module, tmp_path: Path) -> None:
    image = cv2.imread(str(run.image('bonn', 0)))[..., ::-1]
    [ids] = inference_segmentor(model, str(run.image('bonn', 0)))

    def drawn(*flags: str) -> np.ndarray:
        call(run, run.image('bonn', 0), '--out', tmp_path / 'out.png', *flags)
        return cv2.imread(str(tmp_path / 'out.png'))[..., ::-1]

    contour = drawn('--contour')
    inside = np.ones_like(ids, bool)  # no other class within two pixels
    for down in range(-2, 3):
        for right in range(-2, 3):
            inside &= np.roll(ids, (down, right), (0, 1)) == ids
    np.testing.assert_array_equal(contour[2:-2, 2:-2][inside[2:-2, 2:-2]], image[2:-2, 2:-2][inside[2:-2, 2:-2]])
    assert len(np.unique(ids)) == 1 or (contour != image).any()
    both = drawn('--side-by-side', '--opacity', '1')
    np.testing.assert_array_equal(both[:, :96], image)
    np.testing.assert_array_equal(both[:, -96:], np.array(model.PALETTE)[ids])
    legend = drawn('--legend')
    np.testing.assert_array_equal(legend[:64], drawn())
    assert legend.shape[0] > 64 and all((legend[64:] == colour).all(2).any() for colour in model.PALETTE)


def test_probabilities(run: TinyRun, model: torch.nn.Module, tmp_path: Path) -> None:
    call(run, run.image('bonn', 0).parent, '--out', tmp_path / 'out', '--probabilities', tmp_path / 'p')
    assert [name.rpartition('.')[2] for name in names(tmp_path / 'p')] == ['npz', 'npz']
    [ids] = inference_segmentor(model, str(run.image('bonn', 0)))
    with np.load(tmp_path / 'p' / f'{run.image("bonn", 0).stem}.npz') as file:
        assert file['probabilities'].dtype == np.float16 and tuple(file['classes']) == tuple(model.CLASSES)
        assert (file['probabilities'].argmax(0) == ids).mean() > 0.99  # but for ties of 16 bits


def test_probabilities_as_png_lose_half_a_step_at_most(run: TinyRun, model: torch.nn.Module, tmp_path: Path) -> None:
    path = run.image('bonn', 0)
    call(run, path, '--out', tmp_path / 'a.png', '--probabilities', tmp_path / 'p', '--probabilities-format', 'png')
    predictor = Predictor(model)
    exact = predictor.scores(predictor.prepare(predictor.load(path))).probabilities()[0].numpy()
    read = cv2.imread(str(tmp_path / 'p' / path.name), cv2.IMREAD_UNCHANGED)
    assert read.dtype == np.uint16 and read.shape == (19 * 64, 96)
    np.testing.assert_allclose(read.reshape(19, 64, 96) / 65535, exact, rtol=0, atol=0.51 / 65535)
    with Image.open(tmp_path / 'p' / path.name) as file:
        assert file.text['classes'].split('\n') == list(model.CLASSES)
    video = write_video(tmp_path / 'drive.avi', count=2)
    call(run, video, '--probabilities', tmp_path / 'q', '--probabilities-format', 'png')
    assert names(tmp_path / 'q') == ['drive/000000.png', 'drive/000001.png']
    with pytest.raises(DataError, match='would both be written'):
        call(run, path, '--ids', tmp_path / 'p', '--probabilities', tmp_path / 'p', '--probabilities-format', 'png')


def test_videos_have_legends_too(run: TinyRun, tmp_path: Path) -> None:
    source = write_video(tmp_path / 'drive.avi', count=2)
    call(run, source, '--out', tmp_path / 'out.avi', '--legend', '--side-by-side', '--probabilities', tmp_path / 'p')
    [first, _], _ = frames(tmp_path / 'out.avi')
    assert first.shape[1] == 2 * 96 + 8 and first.shape[0] > 64
    assert names(tmp_path / 'p') == ['drive/000000.npz', 'drive/000001.npz']


# videos


@pytest.mark.parametrize('suffix, written', [('.mp4', '.mp4'), ('.avi', '.avi'), ('.mkv', '.mp4')])
def test_a_video_becomes_a_video(run: TinyRun, model: torch.nn.Module, tmp_path: Path, suffix: str,
                                 written: str) -> None:
    video = write_video(tmp_path / f'drive{suffix}')
    assert call(run, video, '--ids', tmp_path / 'ids') == 0
    inputs, _ = frames(video)
    outputs, rate = frames(tmp_path / f'drive_pred{written}')
    assert len(outputs) == len(inputs) == 5 and rate == 7.5 and outputs[0].shape == (64, 96, 3)
    assert names(tmp_path / 'ids') == [f'drive/{index:06d}.png' for index in range(5)]
    for index, (image, output) in enumerate(zip(inputs, outputs)):
        result = inference_segmentor(model, image)
        np.testing.assert_array_equal(ids_in(tmp_path / f'ids/drive/{index:06d}.png'), result[0])
        drawn = draw_result(model, image, result)[..., ::-1].astype(int)
        assert abs(output - drawn).mean() < 12  # what the codec loses
    assert names(tmp_path)[:2] == [f'drive{suffix}', f'drive_pred{written}']


def test_a_folder_may_hold_images_and_videos_of_any_size(run: TinyRun, tmp_path: Path) -> None:
    folder = tmp_path / 'in'
    folder.mkdir()
    write_video(folder / 'odd.avi', 2, (97, 65))
    shutil.copy(run.image('bonn', 0), folder / 'a.png')
    assert call(run, folder, '--opacity', '1') == 0
    assert names(tmp_path / 'in_pred') == ['a.png', 'odd.avi']
    sizes = [frames(place / 'odd.avi')[0][0].shape for place in (folder, tmp_path / 'in_pred')]
    assert sizes[0] == sizes[1]


def test_a_video_that_ends_early_is_reported(run: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    content = write_video(tmp_path / 'drive.avi', 60, rate=25).read_bytes()
    (tmp_path / 'drive.avi').write_bytes(content[:len(content) * 6 // 10])
    assert call(run, tmp_path / 'drive.avi', '--out', tmp_path / 'out.avi') == 1
    error = capsys.readouterr().err
    read, _ = frames(tmp_path / 'out.avi')
    assert 5 < len(read) < 60 and f'only {len(read)} of its 60 frames' in error and 'drive.avi' in error


def test_videos_that_cannot_be_written_are_named(run: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                capsys: pytest.CaptureFixture) -> None:
    video = write_video(tmp_path / 'drive.avi')
    monkeypatch.setattr(cv2.VideoWriter, 'isOpened', lambda self: False)
    assert call(run, video, '--out', tmp_path / 'out.avi') == 1
    assert names(tmp_path) == ['drive.avi']
    assert f'error: {video}: cannot write the video {tmp_path / "out.avi"}' in capsys.readouterr().err


@pytest.mark.parametrize('rate, written', [
    (25, 25), (30000 / 1001, 29.97), (66.667, 66.67), (119.8801, 119.88), (960.013, 960), (1000, 1000), (0.5, 0.5),
    (0, 25), (-1, 25), (90000, 25), (1e300, 25), (float('nan'), 25), (float('inf'), 25)])
def test_frame_rates(rate: float, written: float) -> None:
    assert writable_rate(rate) == written


def test_a_frame_rate_is_rounded_to_what_mp4_takes(run: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    video = write_video(tmp_path / 'slow.avi', rate=66.667)
    assert call(run, video, '--out', tmp_path / 'out.mp4') == 0
    written, rate = frames(tmp_path / 'out.mp4')
    assert len(written) == 5 and rate == 66.67
    assert capsys.readouterr().err.count('66.667 frames per second are written as 66.67') == 1


def write_stream(path: Path, *sizes: tuple[int, int]) -> None:
    """A stream of JPEGs, which may differ in size (height, width)."""
    images = [cv2.imencode('.jpg', np.full((*size, 3), 9 * index, np.uint8))[1] for index, size in enumerate(sizes)]
    path.write_bytes(b''.join(image.tobytes() for image in images))


def test_frames_of_any_size(run: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = tmp_path / 'in'
    folder.mkdir()
    write_stream(folder / 'a_line.avi', (1, 16), (1, 16))
    write_stream(folder / 'b_changes.avi', (64, 96), (48, 80), (48, 80))
    write_stream(folder / 'c_odd.avi', (65, 97), (65, 97))
    for path in list(folder.iterdir()):
        path.rename(path.with_suffix('.mkv'))  # what is written is .mp4, which holds no frames of one line
    assert call(run, folder) == 1
    sizes = {path.name: [frame.shape for frame in frames(path)[0]] for path in (tmp_path / 'in_pred').iterdir()}
    assert sizes == {'b_changes.mp4': [(64, 96, 3)] * 3, 'c_odd.mp4': [(64, 96, 3)] * 2}
    error = capsys.readouterr().err
    assert error.count('error:') == 1 and 'a_line.mkv' in error and '16x1' in error


# mistakes


def test_mistakes_are_said_before_anything_is_predicted(run: TinyRun, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run.data / 'leftImg8bit/val/bonn', tmp_path / 'in'))
    image = folder / names(folder)[0]
    with pytest.raises(DataError, match='absent does not exist'):
        call(run, tmp_path / 'absent')
    with pytest.raises(DataError, match='holds no image and no video: known are .png'):
        call(run, run.folder)
    with pytest.raises(DataError, match=r'tiny_5.py is neither image nor video by its name: known are .png'):
        call(run, run.config)
    (tmp_path / 'link.png').symlink_to('nowhere')
    with pytest.raises(DataError, match=r'link.png is a link to nowhere, which does not exist'):
        call(run, tmp_path / 'link.png')
    with pytest.raises(DataError, match='is an input and would be written over'):
        call(run, image, '--out', image)
    for out in (folder, folder / 'pred'):
        with pytest.raises(DataError, match='lies inside of .*in, so its files would be inputs'):
            call(run, folder, '--out', out)
    Image.open(image).save(image.with_suffix('.jpg'))
    with pytest.raises(DataError, match=r'\.jpg and .*\.png would both be written to .*: rename'):
        call(run, folder, '--opacity', '1')
    assert not (tmp_path / 'in_pred').exists()


def test_a_wrong_opacity_is_refused(run: TinyRun, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        call(run, run.image('bonn', 0), '--opacity', '0')
    assert '--opacity' in capsys.readouterr().err


def test_as_a_program_it_ends_with_1_and_one_line(run: TinyRun, tmp_path: Path) -> None:
    write_video(tmp_path / 'a.mp4')
    content = (tmp_path / 'a.mp4').read_bytes()
    (tmp_path / 'a.mp4').write_bytes(content[:len(content) // 2])
    done = subprocess.run([sys.executable, '-m', 'tools.predict', tmp_path / 'a.mp4', run.config, run.checkpoint,
                           '--device', 'cpu'], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and 'predicted 0 of 1' in done.stdout
    lines = [line for line in done.stderr.replace('\r', '\n').splitlines() if line.strip() and 'img/s' not in line]
    assert len(lines) == 1 and lines[0].startswith('error: video') and 'a.mp4' in lines[0]


def test_inference_segmentor_takes_lists(run: TinyRun, model: torch.nn.Module) -> None:
    paths = [run.image('bonn', 0), run.image('aachen', 1)]
    results = inference_segmentor(model, [str(paths[0]), cv2.imread(str(paths[1]))])
    for path, result in zip(paths, results, strict=True):
        np.testing.assert_array_equal(result, inference_segmentor(model, path)[0])
    assert inference_segmentor(model, []) == []


def test_the_next_item_is_made_while_one_is_in_use() -> None:
    made = [threading.Event() for _ in range(3)]

    def items() -> Iterator[int]:
        for index, event in enumerate(made):
            event.set()
            yield index

    for index in ahead(items()):
        assert all(event.wait(10) for event in made[:index + 2])
        assert not any(event.is_set() for event in made[index + 2:])


def test_what_fails_ahead_fails_in_its_turn() -> None:
    def items() -> Iterator[int]:
        yield 0
        raise ValueError('the second')

    seen = []
    with pytest.raises(ValueError, match='the second'):
        seen.extend(ahead(items()))
    assert seen == [0]


def test_a_picture_that_cannot_be_drawn_is_named_and_the_rest_goes_on(
        run: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are written by other threads, whose errors must not get lost."""
    folder, out = tmp_path / 'in', tmp_path / 'out'
    for name in ('a', 'b', 'c'):
        write_image(folder / f'{name}.png', np.zeros((64, 96, 3), np.uint8))

    def fails_for_b(path: Path, image: np.ndarray) -> None:
        if path.stem == 'b':
            raise ValueError('no picture')
        write_image(path, image)

    monkeypatch.setattr('mmseg.apis.predict.write_image', fails_for_b)
    assert call(run, folder, '--out', out) == 1
    assert names(out) == ['a.png', 'c.png']
    assert f'error: {folder / "b.png"}: no picture' in capsys.readouterr().err
