"""run_experiments.py with the number of a suite: what it lists and refuses, trains, keeps and tabulates."""
from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mmseg.cli import run_experiments
from mmseg.config.reading import load_config
from mmseg.errors import ConfigError
from mmseg.experiments import numbered
from mmseg.experiments.numbered import SUITES, find_suite, generate_experiment_cfgs
from mmseg.experiments.suites import METHODS, Suite
from tests.engine.tiny import tiny_config, write_images

ROOT = Path(__file__).parents[1]
TEACHER = dict(interval=2, model=['student', 'teacher'])


def test_suites_name_the_configs_of_their_folders() -> None:
    assert [(suite.number, suite.name) for suite in SUITES] == [
        (200, 'streets'), (201, 'camvid_lite0'), (202, 'toy'), (203, 'camvid'), (204, 'demo')]
    for suite in SUITES:
        files = {path.stem for path in (ROOT / 'configs' / suite.folder).glob('*.py')} - {'common'}
        assert set(suite.known) == files and suite.methods() == [name for name in METHODS if name in files]
    assert find_suite(200).methods() == find_suite(201).methods() == list(METHODS)


def test_runs_are_configs_with_a_seed() -> None:
    runs = generate_experiment_cfgs(200)
    assert len(runs) == 3 * len(METHODS)
    assert [run['name'] for run in runs[:2]] == ['source_only_s0', 'photometric_s0']
    assert [run['seed'] for run in runs[::len(METHODS)]] == [0, 1, 2]


@pytest.mark.parametrize('suite', SUITES, ids=lambda suite: suite.name)
def test_what_trains_a_teacher_scores_it(suite) -> None:
    for method in suite.known:
        cfg = load_config(suite.config(method))
        trains_teacher = bool(cfg.get('uda')) and not cfg.uda.source_only
        assert cfg.evaluation.get('model', 'student') == (
            ['student', 'teacher'] if trains_teacher else 'student'), method


def test_the_list_names_runs(capsys) -> None:
    run_experiments.main(['--exp', '202', '--list', '--methods', 'mic', 'dacs', '--seeds', '3', '0'])
    assert capsys.readouterr().out.split() == ['dacs_s3', 'mic_s3', 'dacs_s0', 'mic_s0']
    run_experiments.main(['--exp', '202', '--list'])
    assert 'with --methods also: dacs_mrm, ' in capsys.readouterr().out
    run_experiments.main(['--exp', '7', '--list'])
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize('arguments, part', [
    (['--exp', '6', '--methods', 'mic'],
     '--methods: goes with --exp and the number of a suite: 200, 201, 202, 203, 204'),
    (['--exp', '6', '--tabulate'], '--tabulate: goes with --exp and the number of a suite'),
    (['--config', 'a.py', '--jobs', '2'], '--jobs: goes with'),
    (['--exp', '200', '--jobs', '0'], '--jobs must be at least 1'),
    (['--exp', '200', '--seeds', '-1'], '--seeds must be at least 0'),
])
def test_wrong_arguments_end_in_one_message(capsys, arguments, part) -> None:
    with pytest.raises(SystemExit):
        run_experiments.main(arguments)
    assert part in capsys.readouterr().err


def test_an_unknown_method_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="--methods: there is no configs/streets/fad.py, did you mean 'fda'"):
        run_experiments.main(['--exp', '200', '--methods', 'fad', '--dry-run'])


@pytest.mark.parametrize('path', sorted(path for suite in ('streets', 'camvid_lite0')
                                        for path in (ROOT / f'docs/logs/{suite}/records').glob('*.json')),
                         ids=lambda path: f'{path.parts[-3]}-{path.stem}')
def test_a_published_record_has_the_log_it_comes_from(path) -> None:
    record = json.loads(path.read_text())
    log = path.parents[1] / f'{path.stem}.log.json'
    last = [line for line in map(json.loads, log.read_text().splitlines()) if line.get('mode') == 'val'][-1]
    assert last['step'] == record['iterations']
    assert last['mIoU'] == record['scores']['student'][str(record['iterations'])]['mIoU']


@pytest.fixture
def suite(tmp_path, monkeypatch) -> Suite:
    """A suite of two methods, two iterations each, in a folder that is the current one."""
    images = write_images(tmp_path / 'images')
    (tmp_path / 'configs/tiny').mkdir(parents=True)
    for method, uda, evaluation in (('source_only', None, dict(interval=2)),
                                    ('daformer', dict(type='DACS', alpha=0.9), TEACHER)):
        cfg = tiny_config(images, tmp_path / method, 2, uda=uda, evaluation=evaluation)
        (tmp_path / 'configs/tiny' / f'{method}.py').write_text(
            f"{Path(cfg.filename).read_text()}\ndata.update(test=data['val'])\n")
    made = Suite(299, 'tiny', 'rectangles')
    monkeypatch.setattr(numbered, 'SUITES', (*SUITES, made))
    monkeypatch.chdir(tmp_path)
    return made


def test_one_command_trains_keeps_and_tabulates(suite, capsys, monkeypatch) -> None:
    call = ['--exp', '299', '--seeds', '1', '--jobs', '2', '--resume']
    assert run_experiments.main(call) == 0
    out = capsys.readouterr().out
    assert 'daformer_s1: finished, mIoU ' in out and '## Teacher' in out
    folder = Path('work_dirs/local-exp299')
    kept = json.loads((folder / 'records/daformer_s1.json').read_text())
    assert kept['config'] == 'configs/tiny/daformer.py' and kept['seed'] == 1 and kept['iterations'] == 2
    assert set(kept['scores']) == {'student', 'teacher'} and set(kept['class_iou']['teacher']) == {'road', 'sky', 'car'}
    assert kept['seconds_per_iteration'] > 0 and kept['torch'] and kept['machine']
    assert all((folder / name).is_file() for name in ('results.md', 'results.json', 'curves.png', 'predictions.png'))

    monkeypatch.setattr('mmseg.experiments.side_by_side.Training.start', lambda *args: pytest.fail('trained again'))
    assert run_experiments.main(call) == 0
    assert capsys.readouterr().out.count('finished before') == 2

    shutil.copytree(folder / 'records', 'docs/logs/tiny/records')
    shutil.rmtree('work_dirs')
    run_experiments.main(['--exp', '299', '--tabulate', 'docs/logs/tiny'])
    assert {path.name for path in Path('docs/logs/tiny').iterdir()} == {
        'records', 'results.md', 'results.json', 'curves.png'}
    assert Path('docs/logs/tiny/results.md').read_text() in capsys.readouterr().out
    assert 'earlier state' not in Path('docs/logs/tiny/results.md').read_text()

    with open('configs/tiny/daformer.py', 'a') as config:
        config.write('optimizer.update(lr=2e-3)\n')
    run_experiments.main(['--exp', '299', '--tabulate', 'docs/logs/tiny'])
    assert 'Of an earlier state of their configs: daformer_s1.' in capsys.readouterr().out


def test_a_folder_of_ones_own_is_a_suite(suite, capsys) -> None:
    shutil.copytree('configs/tiny', 'configs/mine')
    call = ['--exp', 'configs/mine', '--seeds', '0', '--methods', 'source_only']
    run_experiments.main([*call, '--list'])
    assert 'source_only_s0' in capsys.readouterr().out
    assert run_experiments.main(call) == 0
    assert json.loads(Path('work_dirs/local-mine/records/source_only_s0.json').read_text())['method'] == 'source_only'
    assert 'Suite mine: the configs of configs/mine' in capsys.readouterr().out


@pytest.mark.parametrize('folder', ['configs/tniy', 'configs', 'images', 'configs/tiny/daformer.py'])
def test_what_is_neither_number_nor_folder_of_configs_is_refused(suite, folder) -> None:
    with pytest.raises(ConfigError, match=f'--exp {folder}: neither the number .* nor a folder below configs'):
        run_experiments.main(['--exp', folder])


@pytest.mark.parametrize('flags', [[], ['--target-statistics', 'images/img']])
def test_students_are_scored_with_the_targets_statistics_too(suite, capsys, monkeypatch, flags) -> None:
    call = ['--exp', '299', '--seeds', '1', '--methods', 'source_only', '--resume']
    assert run_experiments.main(call) == 0
    assert 'AdaBN' not in capsys.readouterr().out
    if flags:
        call += flags
    else:
        monkeypatch.setattr(numbered, 'SUITES', (replace(suite, target_images='images/img'), ))
    assert run_experiments.main(call) == 0
    kept = json.loads(Path('work_dirs/local-exp299/records/source_only_s1.json').read_text())
    assert kept['scores']['target_statistics']['2']['mIoU'] != kept['scores']['student']['2']['mIoU']
    assert kept['class_iou']['target_statistics'].keys() == kept['class_iou']['student'].keys()
    assert "## Student, its batch norms with the target's statistics (AdaBN)" in capsys.readouterr().out

    monkeypatch.setattr('mmseg.experiments.suite_runs.score_with_target_statistics', lambda *args: pytest.fail('again'))
    assert run_experiments.main(call) == 0
    assert run_experiments.main(call[:6] + ['--resume']) == 0
    assert 'target_statistics' in Path('work_dirs/local-exp299/records/source_only_s1.json').read_text()

    shutil.copytree('images/img', 'images/others')
    monkeypatch.setattr('mmseg.experiments.suite_runs.score_with_target_statistics', lambda *args: dict(mIoU=.125))
    assert run_experiments.main([*call, '--target-statistics', 'images/others']) == 0
    kept = json.loads(Path('work_dirs/local-exp299/records/source_only_s1.json').read_text())
    assert kept['scores']['target_statistics'] == {'2': {'mIoU': .125}} and kept['target_images'] == 'images/others'


def test_a_folder_of_target_images_that_is_not_there_is_refused_before_anything_is_trained(suite, capsys) -> None:
    with pytest.raises(SystemExit):
        run_experiments.main(['--exp', '299', '--target-statistics', 'images/nowhere'])
    assert '--target-statistics images/nowhere: there is no such folder' in capsys.readouterr().err


def test_so_is_a_folder_without_images(suite, monkeypatch) -> None:
    monkeypatch.setattr('mmseg.experiments.side_by_side.Training.start', lambda *args: pytest.fail('trained'))
    Path('images/empty').mkdir()
    with pytest.raises(ValueError, match='images/empty'):
        run_experiments.main(['--exp', '299', '--target-statistics', 'images/empty'])


def test_the_folder_of_a_numbered_suite_is_that_suite(suite) -> None:
    assert find_suite('configs/tiny') is suite


def test_a_changed_config_makes_another_run(suite, capsys) -> None:
    call = ['--exp', '299', '--seeds', '0', '--methods', 'source_only', '--dry-run', '--resume']
    for _ in range(2):
        run_experiments.main(call)
    assert len(list(Path('configs/generated/local-exp299').iterdir())) == 1
    with open('configs/tiny/source_only.py', 'a') as config:
        config.write('optimizer.update(lr=2e-3)\n')
    run_experiments.main(call)
    assert len(list(Path('configs/generated/local-exp299').iterdir())) == 2


def test_missing_images_show_before_anything_is_trained(suite, monkeypatch) -> None:
    monkeypatch.setattr('mmseg.experiments.side_by_side.Training.start', lambda *args: pytest.fail('trained'))
    shutil.rmtree('images')
    with pytest.raises(ValueError, match='img_dir .* does not exist'):
        run_experiments.main(['--exp', '299'])


def test_failed_runs_are_named_with_how_to_go_on(suite, capsys, monkeypatch) -> None:
    monkeypatch.setattr('mmseg.experiments.suite_runs.TRAIN', (shutil.which('false'), ))
    monkeypatch.setattr('mmseg.experiments.side_by_side.POLL', 0.02)
    assert run_experiments.main(['--exp', '299', '--seeds', '0']) == 1
    out = capsys.readouterr().out
    assert ('2 of 2 runs are not finished: source_only_s0 (exit status 1), daformer_s0 (exit status 1). '
            'The same command with --resume goes on') in out
    assert not Path('work_dirs/local-exp299/results.md').exists()


def test_a_run_whose_last_evaluation_is_missing_goes_on(suite, monkeypatch) -> None:
    """A signal ended it in that evaluation: its last checkpoint is there, its scores are not."""
    call = ['--exp', '299', '--seeds', '0', '--methods', 'daformer', '--resume']
    run_experiments.main([*call, '--dry-run'])
    [config] = Path('configs/generated/local-exp299').iterdir()
    checkpoint = Path('work_dirs/local-exp299', config.stem, 'iter_2.pth')
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    started = []
    monkeypatch.setattr('mmseg.experiments.suite_runs.train_side_by_side',
                        lambda trainings, *others: (started.extend(trainings), ({}, 0))[1])
    run_experiments.main([*call, '--memory', 'low'])
    assert [training.command[4:] for training in started] == [
        [str(config), '--resume-from', 'auto', '--memory', 'low']]
