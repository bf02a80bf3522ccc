"""What a training says on a terminal, and what where its output is piped."""
from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from mmseg.engine.console import wrapped
from mmseg.report.closing import closing
from tests.engine.tiny import tiny_config, train

ROOT = Path(__file__).parents[2]
COLUMNS = 80


def config_of(images: Path, folder: Path) -> Path:
    cfg = tiny_config(images, folder / 'run', 4, uda=dict(type='DACS', alpha=0.9), log_config=dict(interval=2),
                      evaluation=dict(interval=2, metric='mIoU', save_best='mIoU'))
    return Path(cfg.filename)


def on_a_terminal(command: list[str]) -> str:
    """What a program writes to a terminal of :data:`COLUMNS` columns; it has to succeed."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 40, COLUMNS, 0, 0))
    env = {name: value for name, value in os.environ.items() if name not in ('COLUMNS', 'LINES')}
    process = subprocess.Popen(command, cwd=ROOT, env=dict(env, OMP_NUM_THREADS='1'), stdout=theirs, stderr=theirs,
                               stdin=theirs)
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the program has ended
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    text = b''.join(parts).decode()
    assert process.wait() == 0, text
    return text


def test_a_terminal_gets_one_bar_and_short_lines(images: Path, tmp_path: Path) -> None:
    config = config_of(images, tmp_path)
    text = on_a_terminal([sys.executable, '-m', 'tools.train', str(config)])
    shown = [re.sub(r'\x1b\[[0-9;]*[A-Za-z]', '', line) for line in re.split(r'[\r\n]+', text)]
    bars = [line for line in shown if line.startswith('training: ')]
    assert bars[0].startswith('training:   0%') and re.search(r' 4/4 \[\d\d:\d\d<00:00', bars[-1])
    assert re.search(r'loss=[\d.]+', bars[-1]) and re.search(r'mIoU=[\d.]+ %', bars[-1])
    paths = [line for line in shown if str(tmp_path) in line]
    assert all(len(line) <= COLUMNS for line in shown if line not in paths), max(shown, key=len)
    for absent in ('Environment:', 'optimizer', 'Iter [', 'Iter(val)', 'INFO', 'Hooks will'):
        assert absent not in text
    assert 'training data: 4 x 4 samples (source x target) of UDADataset' in text
    last = '\n'.join(shown[-8:])
    assert re.search(r'finished: mIoU \d+\.\d\d %', last) and 'run/latest.pth' in last and 'report.html' in last
    [command] = re.findall(r'next: python (-m tools\.test .*)', last)
    assert str(config.name) in command and not list((tmp_path / 'run').glob('preds'))
    log = next((tmp_path / 'run').glob('*.log')).read_text()
    assert all(wanted in log for wanted in ('Environment:', 'optimizer', 'Iter [2/4]', 'Iter(val) [4]', ' - INFO - '))


def test_a_pipe_gets_plain_lines(images: Path, tmp_path: Path) -> None:
    config = config_of(images, tmp_path)
    done = subprocess.run([sys.executable, '-m', 'tools.train', str(config)], cwd=ROOT, text=True, capture_output=True,
                          env=dict(os.environ, OMP_NUM_THREADS='1'))
    assert done.returncode == 0, done.stderr
    for wanted in ('Iter [2/4]', 'Iter(val) [4]', 'next: python -m tools.test'):
        assert wanted in done.stdout
    assert 'training: ' not in done.stdout + done.stderr and 'Environment:' not in done.stdout


def test_the_last_words_name_the_best_score(images: Path, tmp_path: Path) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 1, evaluation=None)
    train(cfg)
    assert closing(cfg, Path('c.py')).startswith('finished: not evaluated\ncheckpoint: ')
    (tmp_path / 'run' / '20300101_000000.log.json').write_text(
        '{"mode": "val", "step": 2, "iter": 4, "mIoU": 0.5, "teacher.mIoU": 0.1}\n'
        '{"mode": "val", "step": 4, "iter": 4, "mIoU": 0.25, "teacher.mIoU": 0.2}\n')
    assert closing(cfg, Path('c.py')).startswith(
        'finished: mIoU 25.00 % (best 50.00 % at iteration 2), teacher.mIoU 20.00 %\n')


@pytest.mark.parametrize('text, expected', [
    ('short', 'short'), ('two words here', 'two words\n  here'), ('| a wide table |', '| a wide table |'),
    ('see /a/very/long/path', 'see\n  /a/very/long/path')])
def test_long_lines_are_broken_between_words(text: str, expected: str) -> None:
    assert wrapped(text, 12) == expected
