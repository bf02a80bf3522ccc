"""Trainings side by side: real processes that only write logs."""
from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from mmseg.experiments import side_by_side
from mmseg.experiments.side_by_side import Training, train_side_by_side

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def hurry(monkeypatch) -> None:
    monkeypatch.setattr(side_by_side, 'POLL', 0.02)


def training(folder: Path, code: str) -> Training:
    """A process that runs code in which ``log(iteration, mIoU, teacher's mIoU)`` writes an evaluation."""
    head = (
        'import json, os, signal, sys, time\n'
        'def log(step, miou, teacher):\n'
        '    line = {"mode": "val", "iter": 1, "step": step, "mIoU": miou, "teacher.mIoU": teacher}\n'
        f'    print(json.dumps(line), file=open({str(folder / "1.log.json")!r}, "a"))\n')
    return Training(folder.name, [sys.executable, '-c', head + code], folder, iterations=2)


def test_each_run_has_lines_on_the_console_and_a_log(tmp_path, capfd) -> None:
    runs = [training(tmp_path / name, f'print("noise of {name}"); log(5, .2, .25); log(10, .3, .354)') for name in 'ab']
    assert train_side_by_side(runs, 2, ROOT) == ({}, 0)
    lines = capfd.readouterr().out.splitlines()
    own = [line for line in lines if line.startswith('a: ')]
    assert own[0] == f'a: started, see {tmp_path}/a/console.log'
    assert own[1:3] == ['a: mIoU 20.0 (teacher 25.0) at iteration 5', 'a: mIoU 30.0 (teacher 35.4) at iteration 10']
    assert own[3].startswith('a: finished, mIoU 30.0 (teacher 35.4), 0.0 minutes')
    assert len(lines) == 8 and not any('noise' in line for line in lines)
    assert (tmp_path / 'b/console.log').read_text() == 'noise of b\n'


def test_scores_of_before_are_not_told_again(tmp_path, capfd) -> None:
    run = training(tmp_path / 'a', 'log(10, .3, .3)')
    run.folder.mkdir()
    (run.folder / '0.log.json').write_text(json.dumps(dict(mode='val', iter=1, step=5, mIoU=.1)) + '\n')
    train_side_by_side([run], 1, ROOT)
    assert 'at iteration 5' not in capfd.readouterr().out


@pytest.mark.parametrize('wanted', [None, '3'])
@pytest.mark.parametrize('jobs', [1, 2])
def test_so_many_at_a_time_share_the_cores(tmp_path, monkeypatch, jobs, wanted) -> None:
    """Each process keeps a file while it runs, and sees how many there are. Who sets the threads gets these."""
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    if wanted:
        monkeypatch.setenv('OMP_NUM_THREADS', wanted)
    code = (f'place = {str(tmp_path)!r}\n'
            'own = f"{place}/{os.getpid()}.running"; open(own, "w").close(); time.sleep(0.3)\n'
            'print(sum(name.endswith(".running") for name in os.listdir(place)), os.environ["OMP_NUM_THREADS"])\n'
            'time.sleep(0.2); os.remove(own)')
    runs = [training(tmp_path / f'run{i}', code) for i in range(3)]
    assert train_side_by_side(runs, jobs, ROOT) == ({}, 0)
    seen = [run.console.read_text().split() for run in runs]
    assert max(int(count) for count, _ in seen) == jobs
    assert {int(threads) for _, threads in seen} == {int(wanted or max(1, os.cpu_count() // jobs))}


def test_a_failed_or_killed_run_does_not_stop_the_others(tmp_path, capfd) -> None:
    runs = [training(tmp_path / 'bad', 'sys.exit("error: no such image")'),
            training(tmp_path / 'killed', 'os.kill(os.getpid(), signal.SIGKILL)'),
            training(tmp_path / 'good', 'log(10, .3, .3)')]
    assert train_side_by_side(runs, 1, ROOT) == ({'bad': 'exit status 1', 'killed': 'killed by signal 9'}, 1)
    out = capfd.readouterr().out
    assert f'the end of {tmp_path}/bad/console.log says more:\n    error: no such image\n' in out
    assert 'good: finished, mIoU 30.0' in out


def send_when_ready(folder: Path, *numbers: int) -> None:
    """Send signals to this process once two trainings listen; the second one later."""
    def send() -> None:
        while not all((folder / name / 'ready').exists() for name in 'ab'):
            time.sleep(0.02)
        for number in numbers:
            os.kill(os.getpid(), number)
            time.sleep(0.3)
    threading.Thread(target=send, daemon=True).start()


def saving(folder: Path, on_ctrl_c: str = 'save') -> Training:
    """A run that saves when it is asked to, after Ctrl-C only if ``on_ctrl_c`` says so."""
    return training(folder, 'def save(number, frame):\n'
                            '    print("saved"); sys.exit(128 + number)\n'
                            f'signal.signal(signal.SIGINT, {on_ctrl_c}); signal.signal(signal.SIGTERM, save)\n'
                            f'open({str(folder / "ready")!r}, "w").close(); time.sleep(60)')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_handed_on_and_the_trainings_save(tmp_path, capfd, number) -> None:
    send_when_ready(tmp_path, number)
    failed, status = train_side_by_side([saving(tmp_path / name) for name in 'abc'], 2, ROOT)
    assert failed == dict(a='stopped', b='stopped', c='not started') and status == 128 + number
    assert all((tmp_path / name / 'console.log').read_text() == 'saved\n' for name in 'ab')
    assert 'a: stopped after 0.0 minutes, its state is saved' in capfd.readouterr().out


def test_a_second_ctrl_c_ends_those_that_do_not_listen(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(side_by_side, 'PATIENCE', 0.1)
    send_when_ready(tmp_path, signal.SIGINT, signal.SIGINT)
    runs = [saving(tmp_path / name, 'signal.SIG_IGN') for name in 'abc']
    with pytest.raises(KeyboardInterrupt):
        train_side_by_side(runs, 2, ROOT)
    assert [run.process is None or run.process.wait(5) for run in runs] == [-9, -9, True]
