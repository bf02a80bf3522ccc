"""tools/test.py and test.sh as their users call them."""
from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mmseg.apis import load_config
from mmseg.errors import ConfigError, DataError
from mmseg.evaluation.writers import label_ids
from mmseg.models import build_segmentor
from mmseg.report.comparison import load_results
from tests.tiny import CITIES, TinyRun, make_tiny_run
from tools import test as cli

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """A Synthia run with student and teacher."""
    return make_tiny_run(tmp_path_factory.mktemp('tiny'), source='SynthiaDataset', teacher=True)


def main(run: TinyRun, *flags: str) -> dict[str, float]:
    return cli.main([str(run.config), str(run.checkpoint), '--device', 'cpu', *flags])


def ids(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == 'P'
        return np.array(image)


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file())


MIRRORED = [f'{city}/{city}_{number:06d}_leftImg8bit.png' for city in CITIES for number in range(2)]


def test_scores_agree_with_the_written_predictions(run: TinyRun, tmp_path: Path,
                                                   capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / 'predictions.pkl'
    scores = main(run, '--eval', 'mIoU', '--show-dir', str(tmp_path / 'preds'), '--opacity', '1', '--out', str(out))
    assert names(tmp_path / 'preds') == MIRRORED
    preds = [ids(tmp_path / 'preds' / name) for name in MIRRORED]
    for pred, pickled in zip(preds, pickle.loads(out.read_bytes()), strict=True):
        np.testing.assert_array_equal(pred, pickled)
    labels = np.stack([np.array(Image.open(run.label(city, number))) for city in CITIES for number in range(2)])
    preds, valid = np.stack(preds), labels != 255
    assert scores['aAcc'] == pytest.approx((preds == labels)[valid].mean(), abs=1e-4)
    car = ((preds == 13) & (labels == 13)).sum() / (((preds == 13) & valid) | (labels == 13)).sum()
    assert scores['IoU.car'] == pytest.approx(car, abs=1e-4)
    printed = capsys.readouterr().out
    assert 'mIoU16' in printed and 'mIoU13' in printed and "['mIoU', " in printed


def test_the_teacher_is_another_network(run: TinyRun) -> None:
    assert main(run, '--eval', 'mIoU') != main(run, '--eval', 'mIoU', '--network', 'teacher')


def test_augmentation_and_windows_change_the_prediction(run: TinyRun, tmp_path: Path) -> None:
    variants = {'same': [], 'augmented': ['--aug-test'], 'slide': ['--inference-mode', 'slide']}
    for name, flags in variants.items():
        main(run, '--show-dir', str(tmp_path / name), '--opacity', '1', *flags)
    same, augmented, slide = ([ids(tmp_path / name / file) for file in MIRRORED] for name in variants)
    assert any((a != b).any() for a, b in zip(same, augmented))
    assert any((a != b).any() for a, b in zip(same, slide))


def test_options_override_the_config(run: TinyRun) -> None:
    with pytest.raises(DataError, match='elsewhere'):
        main(run, '--eval', 'mIoU', '--options', 'data.test.img_dir=elsewhere')


def test_test_set_for_the_acdc_server(run: TinyRun, tmp_path: Path) -> None:
    main(run, '--test-set', '--format-only', '--eval-option', f'imgfile_prefix={tmp_path / "out"}', 'to_label_id=False')
    main(run, '--test-set', '--show-dir', str(tmp_path / 'preds'), '--opacity', '1')
    assert names(tmp_path / 'out') == [Path(name).name for name in MIRRORED]
    for name in MIRRORED:
        np.testing.assert_array_equal(ids(tmp_path / 'out' / Path(name).name), ids(tmp_path / 'preds' / name))


def test_the_folder_is_packed_for_the_upload(run: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = tmp_path / 'labelTrainIds'
    folder.mkdir()
    (folder / 'of_an_earlier_run.png').touch()
    main(run, '--test-set', '--format-only', '--eval-option', f'imgfile_prefix={folder}/', 'to_label_id=False')
    assert f'to upload: {tmp_path / "labelTrainIds.zip"}' in capsys.readouterr().out
    with ZipFile(tmp_path / 'labelTrainIds.zip') as archive:
        assert sorted(archive.namelist()) == [f'labelTrainIds/{Path(name).name}' for name in MIRRORED]
        for name in archive.namelist():
            assert archive.read(name) == (tmp_path / name).read_bytes()


@pytest.fixture
def labelled(run: TinyRun, tmp_path: Path) -> Path:
    """The data of the run with label ids beside the train ids; ignored pixels are of three ignored ids."""
    data = Path(shutil.copytree(run.data, tmp_path / 'data'))
    table = label_ids()
    for path in data.rglob('*_labelTrainIds.png'):
        label = np.array(Image.open(path))
        of_ignored = np.resize([0, 3, 29], label.shape)
        Image.fromarray(np.where(label == 255, of_ignored, table[label]).astype(np.uint8)).save(
            path.with_name(path.name.replace('labelTrainIds', 'labelIds')))
    return data


def test_the_official_evaluation_agrees_with_ours(run: TinyRun, labelled: Path, tmp_path: Path,
                                                  capsys: pytest.CaptureFixture) -> None:
    place = f'data.test.data_root={labelled}'
    scores = main(run, '--eval', 'mIoU', 'cityscapes', '--eval-options', f'imgfile_prefix={tmp_path / "kept"}',
                  '--options', place)
    official = {name.removeprefix('cityscapes.'): score for name, score in scores.items() if 'cityscapes.' in name}
    ours = {name: score for name, score in scores.items() if name.startswith('IoU.') or name == 'mIoU'}
    assert official.pop('mIoU7') > 0 and len(official) == 20
    assert official == pytest.approx(ours, abs=5.1e-5, nan_ok=True)
    assert 'official evaluation' in capsys.readouterr().out and len(names(tmp_path / 'kept')) == 4
    alone = main(run, '--eval', 'cityscapes', '--options', place)  # without a folder, nothing is kept
    assert alone['cityscapes.mIoU'] == official['mIoU'] and 'mIoU' not in alone


def test_the_official_evaluation_needs_label_ids(run: TinyRun, labelled: Path) -> None:
    with pytest.raises(DataError, match=r'4 files such as .*aachen_000000_gtFine_labelIds.png do not exist'):
        main(run, '--eval', 'cityscapes')
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(
        next(labelled.rglob('bonn_000001_gtFine_labelIds.png')))
    with pytest.raises(DataError, match='stopped'):
        main(run, '--eval', 'cityscapes', '--options', f'data.test.data_root={labelled}')


def test_label_ids_for_the_cityscapes_server(run: TinyRun, tmp_path: Path) -> None:
    main(run, '--format-only', '--eval-options', f'imgfile_prefix={tmp_path / "label"}')
    main(run, '--format-only', '--eval-options', f'imgfile_prefix={tmp_path / "train"}', 'to_label_id=False')
    expected = np.array([7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33])
    for name in names(tmp_path / 'train'):
        np.testing.assert_array_equal(ids(tmp_path / 'label' / name), expected[ids(tmp_path / 'train' / name)])


def test_evaluating_a_split_without_labels_says_so(run: TinyRun) -> None:
    with pytest.raises(DataError, match=r'gtFine/test/aachen/aachen_000000_gtFine_labelTrainIds.png does not exist'):
        main(run, '--test-set', '--eval', 'mIoU')


def test_labels_that_are_not_converted_are_named(run: TinyRun, tmp_path: Path) -> None:
    data = tmp_path / 'data'
    shutil.copytree(run.data, data)
    path = data / run.label('bonn', 1).relative_to(run.data)
    Image.fromarray(np.full((64, 96), 33, np.uint8)).save(path)
    with pytest.raises(DataError, match=r'bonn_000001_gtFine_labelTrainIds.png holds the ids \[33\].*convert'):
        main(run, '--eval', 'mIoU', '--options', f'data.test.data_root={data}')


@pytest.mark.parametrize('flags, message', [
    ([], 'at least one of'),
    (['--eval', 'mIoU', '--format-only', '--eval-options', 'imgfile_prefix=x'], 'exclude each other'),
    (['--out', 'predictions.npy'], '.pkl or .pickle'),
    (['--format-only'], 'imgfile_prefix'),
    (['--format-only', '--eval-options', 'imgfile_prefx=x'], "did you mean 'imgfile_prefix'"),
    (['--eval', 'miou'], "mIoU"),
    (['--eval', 'cityscapes', '--eval-options', 'to_label_id=False'], 'remove to_label_id=False'),
    (['--show-dir', 'x', '--opacity', '0'], 'opacity'),
    (['--eval', 'mIoU', '--hrda-out', 'ATT'], 'attention'),
    (['--eval', 'mIoU', '--launcher', 'mpi'], 'launcher'),
    (['--show', '--launcher', 'pytorch'], '--show-dir'),
])
def test_flags_that_make_no_sense(run: TinyRun, flags: list[str], message: str,
                                  capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as exit_code:
        main(run, *flags)
    assert exit_code.value.code == 2 and message in capsys.readouterr().err


def test_a_test_leaves_a_report_beside_the_checkpoint(run: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture
                                                      ) -> None:
    shutil.copytree(run.folder, tmp_path / 'run_5')
    (tmp_path / 'run_5' / '20300101_000000.log.json').write_text(
        '{"mode": "train", "iter": 1, "decode.loss_seg": 2.0}\n{"mode": "val", "iter": 4, "step": 1, "mIoU": 0.1}\n')
    checkpoint = tmp_path / 'run_5' / 'latest.pth'
    call_main = [str(run.config), str(checkpoint), '--device', 'cpu', '--eval', 'mIoU', '--network', 'teacher']
    scores = cli.main(call_main)
    folder = checkpoint.with_name('report_latest_teacher')
    assert names(folder) == ['confusion_matrix.png', 'images.csv', 'metrics.json', 'report.html']
    assert f'report: {folder}/report.html' in capsys.readouterr().out
    [found] = load_results([folder])
    assert found.scores['mIoU'] == pytest.approx(scores['mIoU'], abs=1e-6) and found.facts['network'] == 'teacher'
    assert found.name == 'run_5, teacher' and set(found.curves) == {'mIoU, %', 'losses'}
    assert [image.name for image in found.images if image.drawn] and len(found.images) == 4
    assert np.sum(found.confusion) == sum((np.array(Image.open(run.label(city, number))) != 255).sum()
                                          for city in CITIES for number in range(2))
    shutil.rmtree(folder)
    assert cli.main([*call_main, '--report', 'none']) == scores and not folder.exists()
    assert cli.main([*call_main, '--report', str(tmp_path / 'elsewhere')]) == scores
    assert not folder.exists() and (tmp_path / 'elsewhere' / 'report.html').exists()


def test_no_report_where_nobody_can_write(run: TinyRun, monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(os, 'access', lambda path, mode: False)
    args = cli.parse_args([str(run.config), 'zoo/latest.pth', '--eval', 'mIoU', '--device', 'cpu'])
    assert cli.report_folder(args) is None and 'zoo cannot be written to' in capsys.readouterr().err
    args = cli.parse_args([str(run.config), 'zoo/latest.pth', '--out', 'a.pkl', '--report', 'r', '--device', 'cpu'])
    with pytest.raises(ValueError, match='add --eval'):
        cli.report_folder(args)


def test_probabilities_agree_with_the_predictions(run: TinyRun, tmp_path: Path) -> None:
    main(run, '--probabilities', str(tmp_path / 'p'), '--show-dir', str(tmp_path / 'preds'), '--opacity', '1')
    assert names(tmp_path / 'p') == [name.replace('.png', '.npz') for name in MIRRORED]
    with np.load(tmp_path / 'p' / MIRRORED[0].replace('.png', '.npz')) as file:
        probabilities, classes = file['probabilities'], file['classes']
    assert probabilities.shape == (19, 64, 96) and probabilities.dtype == np.float16 and classes[0] == 'road'
    np.testing.assert_allclose(probabilities.astype(float).sum(0), 1, atol=0.01)
    agree = probabilities.argmax(0) == ids(tmp_path / 'preds' / MIRRORED[0])
    assert agree.mean() > 0.99  # but for ties of 16 bits


def test_probabilities_as_png(run: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    main(run, '--probabilities', str(tmp_path / 'npz'))
    main(run, '--probabilities', str(tmp_path / 'png'), '--probabilities-format', 'png')
    assert names(tmp_path / 'png') == MIRRORED
    with np.load(tmp_path / 'npz' / MIRRORED[0].replace('.png', '.npz')) as file:
        expected = file['probabilities'].astype(float)
    read = cv2.imread(str(tmp_path / 'png' / MIRRORED[0]), cv2.IMREAD_UNCHANGED).reshape(19, 64, 96) / 65535
    np.testing.assert_allclose(read, expected, rtol=0, atol=2**-12 + 1 / 65535)  # float16 is the coarser one
    with pytest.raises(SystemExit):
        main(run, '--probabilities', 'here', '--show-dir', 'here', '--probabilities-format', 'png')
    assert 'choose another folder' in capsys.readouterr().err


def test_hrda_outputs_of_another_model_are_refused(run: TinyRun) -> None:
    with pytest.raises(ConfigError, match='HRDAEncoderDecoder'):
        main(run, '--hrda-out', 'LR', '--eval', 'mIoU')


def test_hrda_shows_what_its_parts_predict(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = make_tiny_run(tmp_path)
    with run.config.open('a') as file:
        file.write("model.update(type='HRDAEncoderDecoder', scales=[1, 0.5], hr_crop_size=[32, 32], feature_scale=0.5, "
                   "test_cfg=dict(mode='slide', crop_size=[64, 64], stride=[32, 32], batched_slide=True))\n"
                   "model['decode_head'].update(type='HRDAHead', single_scale_head='DAFormerHead')\n")
    torch.save(dict(state_dict=build_segmentor(dict(load_config(run.config).model, pretrained=None)).state_dict()),
               run.checkpoint)
    fused = main(run, '--eval', 'mIoU', '--show-dir', str(tmp_path / 'preds'), '--opacity', '1')
    for part in ('LR', 'HR', 'ATT'):
        folder = tmp_path / f'preds_{part}'
        caplog.clear()
        main(run, '--show-dir', str(folder), '--opacity', '1', '--hrda-out', part)
        assert not [record for record in caplog.records if 'another model' in record.getMessage()]
        assert names(folder) == MIRRORED
        with Image.open(folder / MIRRORED[0]) as image:
            assert image.size == (96, 64) and image.mode == ('RGB' if part == 'ATT' else 'P')
    assert any((ids(tmp_path / 'preds_LR' / name) != ids(tmp_path / 'preds_HR' / name)).any() for name in MIRRORED)
    main(run, '--show-dir', str(tmp_path / 'blend'), '--hrda-out', 'ATT')
    assert fused['mIoU'] == main(run, '--eval', 'mIoU')['mIoU'] and names(tmp_path / 'blend') == MIRRORED


def test_the_flags_of_the_originals_are_accepted() -> None:
    args = cli.parse_args('c.py c.pth --eval mIoU mDice --gpu-collect --tmpdir x --launcher none --local_rank 0 '
                          '--inference-mode whole --test-set --aug-test --opacity 0.3 --show-dir d'.split())
    assert args.outputs.metrics == ('mIoU', 'mDice') and args.outputs.opacity == 0.3


# as programs


def call(*command: str | Path, **kwargs: object) -> subprocess.CompletedProcess:
    env = dict(os.environ, OMP_NUM_THREADS='1', PYTHON=sys.executable)
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, cwd=ROOT, env=env, **kwargs)


@pytest.mark.parametrize('program', [['-m', 'tools.test'], ['tools/test.py']])
def test_errors_are_one_message(run: TinyRun, program: list[str]) -> None:
    done = call(sys.executable, *program, run.config, 'absent.pth', '--eval', 'mIoU', '--device', 'cpu')
    assert done.returncode == 1 and done.stderr.strip().startswith('error: ') and 'absent.pth' in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


SHELLS = [shell for shell in ('dash', 'bash', 'sh') if shutil.which(shell)][:2]


@pytest.fixture
def folder(run: TinyRun, tmp_path: Path) -> Path:
    """A copy of the run's folder, which test.sh writes to."""
    return Path(shutil.copytree(run.folder, tmp_path / 'run 5'))


@pytest.mark.parametrize('shell', SHELLS)
def test_test_sh(shell: str, folder: Path) -> None:
    done = call(shell, 'test.sh', f'{folder}/', '--device', 'cpu')
    assert done.returncode == 0, done.stderr
    assert '| traffic light |' in done.stdout and 'mIoU13' in done.stdout
    assert '| traffic light |' in (folder / 'preds/pre_log.out').read_text()
    assert names(folder / 'preds') == sorted([*MIRRORED, 'pre_log.out'])
    assert ids(folder / 'preds' / MIRRORED[0]).max() < 19


def fake_python(folder: Path, exit_code: int = 0) -> Path:
    """A program that prints its arguments in place of python."""
    path = folder.parent / 'fake_python'
    path.write_text(f'#!/bin/sh\necho "called with: $*"\necho "to stderr" >&2\nexit {exit_code}\n')
    path.chmod(0o755)
    return path


def call_fake(folder: Path, exit_code: int = 0) -> subprocess.CompletedProcess:
    return call('env', f'PYTHON={fake_python(folder, exit_code)}', 'sh', 'test.sh', folder)


def test_test_sh_keeps_the_exit_code_and_logs_both_streams(folder: Path) -> None:
    done = call_fake(folder, exit_code=3)
    assert done.returncode == 3
    log = (folder / 'preds/pre_log.out').read_text()
    assert 'called with: -m tools.test' in log and 'to stderr' in log and log in done.stdout


@pytest.mark.parametrize('files, chosen', [
    (['b_6.json', 'a_5.json', 'c_7.py'], 'a_5.json'),
    (['a_5.py', 'a_5.json'], 'a_5.py'),
    (['other.json'], 'other.json'),
    (['other.py', '20260101_120005.log.json'], 'other.py'),
])
def test_test_sh_takes_the_only_config_or_the_one_with_the_last_character_of_the_folder(
        folder: Path, files: list[str], chosen: str) -> None:
    (folder / 'tiny_5.py').unlink()
    for name in files:
        (folder / name).touch()
    assert f'tools.test {folder / chosen} {folder / "latest.pth"} --eval mIoU' in call_fake(folder).stdout


def test_test_sh_says_what_is_missing(folder: Path) -> None:
    for arguments, message in (([], 'usage'), ([folder / 'absent'], 'no folder')):
        done = call('sh', 'test.sh', *arguments)
        assert done.returncode == 2 and message in done.stderr
    (folder / 'a.json').touch()
    (folder / 'tiny_5.py').rename(folder / 'b.json')
    assert 'none ends in' in call('sh', 'test.sh', folder).stderr
    for name in ('a.json', 'b.json'):
        (folder / name).unlink()
    assert 'no config' in call('sh', 'test.sh', folder).stderr
    (folder / 'latest.pth').unlink()
    assert 'latest.pth' in call('sh', 'test.sh', folder).stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_scores_on_the_gpu_agree_with_the_cpu(run: TinyRun) -> None:
    on_gpu = main(run, '--eval', 'mIoU', '--device', 'cuda')
    assert on_gpu['aAcc'] == pytest.approx(main(run, '--eval', 'mIoU')['aAcc'], abs=0.005)


def test_batch_norms_take_the_statistics_of_a_folder(run: TinyRun, capsys: pytest.CaptureFixture) -> None:
    before = main(run, '--eval', 'mIoU')
    folder = run.data / 'leftImg8bit'
    after = main(run, '--eval', 'mIoU', '--target-statistics', str(folder))
    assert f'images of {folder}' in capsys.readouterr().out
    assert after != before
