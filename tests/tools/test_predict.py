"""tools/predict.py: images, folders and videos, and what cannot be read."""
from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mmseg.apis import draw_result, inference_segmentor, init_segmentor
from mmseg.datasets import DataError
from mmseg.engine.config import ConfigError
from tests.tiny import TinyRun, make_tiny_run
from tools import predict

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
    assert 'left out, neither image nor video: notes.txt' in printed.err
    assert 'predicted 4 of 4 files' in printed.out


def test_what_is_there_is_written_anew(run: TinyRun, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run.data / 'leftImg8bit/val', tmp_path / 'in'))
    assert call(run, folder) == 0
    written = tmp_path / 'in_pred' / names(folder)[0]
    before = written.read_bytes()
    written.write_bytes(b'old')
    assert call(run, folder) == 0 and written.read_bytes() == before


def test_unreadable_files_are_named_and_the_rest_goes_on(run: TinyRun, tmp_path: Path,
                                                         capsys: pytest.CaptureFixture) -> None:
    folder = Path(shutil.copytree(run.data / 'leftImg8bit/val/bonn', tmp_path / 'in'))
    content = run.image('bonn', 0).read_bytes()
    (folder / 'a_cut.png').write_bytes(content[:len(content) // 2])
    (folder / 'b_empty.jpg').touch()
    (folder / 'c_text.mp4').write_text('this is no video')
    assert call(run, folder, '--out', tmp_path / 'out') == 1
    assert len(names(tmp_path / 'out')) == 2
    printed = capsys.readouterr()
    errors = [line for line in printed.err.replace('\r', '\n').splitlines() if 'error:' in line]
    assert len(errors) == 3
    assert all(name in line for name, line in zip(('a_cut.png', 'b_empty.jpg', 'c_text.mp4'), errors))
    assert 'predicted 2 of 5 files' in printed.out


def test_the_network_is_chosen(run: TinyRun, tmp_path: Path) -> None:
    image = run.image('aachen', 0)
    teacher = init_segmentor(str(run.config), str(run.checkpoint), 'cpu', 'ema_model')
    call(run, image, '--network', 'ema_model', '--opacity', '1', '--out', tmp_path / 'a.png')
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


def test_a_video_that_cannot_be_written_leaves_nothing(run: TinyRun, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    video = write_video(tmp_path / 'drive.avi')
    monkeypatch.setattr(cv2.VideoWriter, 'isOpened', lambda self: False)
    with pytest.raises(OSError, match=r'cannot write the video .*out\.avi'):
        call(run, video, '--out', tmp_path / 'out.avi')
    assert names(tmp_path) == ['drive.avi']


# mistakes


def test_mistakes_are_said_before_anything_is_predicted(run: TinyRun, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run.data / 'leftImg8bit/val/bonn', tmp_path / 'in'))
    image = folder / names(folder)[0]
    with pytest.raises(DataError, match='absent does not exist'):
        call(run, tmp_path / 'absent')
    with pytest.raises(DataError, match='holds no image and no video: known are .png'):
        call(run, run.folder)
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
