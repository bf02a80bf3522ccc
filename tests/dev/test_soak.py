"""The memory of long runs: what counts as growth, and the series of a short one."""
from __future__ import annotations

from pathlib import Path

from dev import soak
from tests.engine.tiny import tiny_config, write_images


def series(*memory: float, files: int = 20) -> list[soak.Sample]:
    return [soak.Sample(50 * i, value, files, 3) for i, value in enumerate(memory)]


def test_growth_is_judged_by_the_second_half() -> None:
    assert not soak.growth(series(500, 700, 900, 950, 950, 960, 950, 950, 951, 949))
    assert soak.growth(series(*(900 + 10 * i for i in range(10)))) == ['resident_mib grows from 950 to 990']
    leaking = [sample._replace(files=sample.files + i) for i, sample in enumerate(series(*[900.] * 10))]
    assert [text.split()[0] for text in soak.growth(leaking)] == ['files']


def test_a_short_run_writes_its_series(tmp_path: Path) -> None:
    cfg = tiny_config(write_images(tmp_path / 'images'), tmp_path / 'run', 6)
    soak.main(['--config', cfg.filename, '--iterations', '6', '--interval', '2', '--out', str(tmp_path / 'soak.txt')])
    lines = (tmp_path / 'soak.txt').read_text().splitlines()
    assert lines[0].startswith(f'# {cfg.filename}, 6 iterations') and [line.split()[0] for line in lines[2:]] == [
        '2', '4', '6']
