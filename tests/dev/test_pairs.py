"""dev/pairs.py: two commits measured by turns."""
from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from dev import pairs

BENCHMARK = '''
import json, sys
found = dict(seconds_each=[{seconds}] * 2, {more} peak_memory_mib={memory}, config=sys.argv[1])
open(sys.argv[sys.argv.index('--out') + 1], 'w').write(json.dumps(found))
'''


def git(*args: str) -> None:
    subprocess.run(['git', '-c', 'user.name=somebody', '-c', 'user.email=', *args], check=True, capture_output=True)


@pytest.fixture
def commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make a commit of each benchmark text; the current folder is their repository."""
    (tmp_path / 'tools').mkdir()
    (tmp_path / 'tools' / '__init__.py').touch()
    monkeypatch.chdir(tmp_path)
    git('init', '--quiet')

    def make(*texts: str) -> None:
        for text in texts:
            Path('tools/benchmark.py').write_text(text)
            git('add', '.')
            git('commit', '--quiet', '--message', 'a change')
    return make


def test_two_commits_are_compared(commits, capsys) -> None:
    commits(*(BENCHMARK.format(seconds=seconds, memory=memory, more=f'cpu_seconds_each=[{seconds / 2}],')
              for seconds, memory in ((3., 200), (2., 100))))
    result = pairs.main(['HEAD~1', 'HEAD', '--pairs', '2', '--out', 'logs/pairs.json', '--', 'CONFIG', '--iters', '2'])
    assert json.loads(Path('logs/pairs.json').read_text()) == result
    assert result['seconds'] == dict(before=1.5, after=1) and result['factor']['median'] == 1.5
    assert result['peak_memory_mib'] == dict(before=200, after=100)
    assert len(result['pairs']) == 2 and result['benchmark'] == ['CONFIG', '--iters', '2']
    assert 'factor 1.50 (1.50 to 1.50)' in capsys.readouterr().out
    assert subprocess.run(['git', 'worktree', 'list'], capture_output=True, text=True).stdout.count('\n') == 1


def test_a_commit_that_does_not_tell_processor_seconds_is_compared_by_the_clock(commits) -> None:
    commits(BENCHMARK.format(seconds=3., memory=1, more=''),
            BENCHMARK.format(seconds=2., memory=1, more='cpu_seconds_each=[1.],'))
    result = pairs.main(['HEAD~1', 'HEAD', '--pairs', '1', '--', 'CONFIG'])
    assert result['clock'] == 'seconds by the clock' and result['factor']['median'] == 1.5


def test_what_is_no_commit_is_named(commits) -> None:
    commits('pass')
    with pytest.raises(ValueError, match='no_commit'):
        pairs.main(['no_commit', 'HEAD', '--', 'CONFIG'])


def test_a_benchmark_that_fails_is_quoted_and_its_checkout_removed(commits) -> None:
    commits(BENCHMARK.format(seconds=1., memory=1, more=''), "raise SystemExit('no such config')")
    with pytest.raises(ValueError, match='benchmark in after failed:\nno such config'):
        pairs.main(['HEAD~1', 'HEAD', '--', 'CONFIG'])
    assert subprocess.run(['git', 'worktree', 'list'], capture_output=True, text=True).stdout.count('\n') == 1


def test_at_least_one_pair_is_measured(capsys) -> None:
    with pytest.raises(SystemExit):
        pairs.main(['HEAD', 'HEAD', '--pairs', '0', '--', 'CONFIG'])
    assert '--pairs must be at least 1' in capsys.readouterr().err
