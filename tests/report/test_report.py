"""The page and the files beside it."""
from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg.cli.report import main
from mmseg.errors import DataError, LogError
from mmseg.report.charts import ticks
from mmseg.report.comparison import load_results
from mmseg.report.files import write_report
from mmseg.report.page import page
from tests.report.results import CLASSES, images, result

LOG = ('{"env_info": "torch: 2.4"}\n'
       '{"mode": "train", "iter": 10, "decode.loss_seg": 2.0, "lr": 0.1}\n'
       '{"mode": "val", "iter": 4, "step": 10, "lr": 0.1, "mIoU": 0.25, "aAcc": 0.5, "IoU.road": 0.5, '
       '"IoU.sky <b>": 0, "IoU.car": 0.25}\n')


class Parser(HTMLParser):
    """Every opened element is closed, and none loads anything."""
    VOID = ('meta', 'line', 'circle', 'polyline')

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.text = ''
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ('meta', ):
            self.open.append(tag)
        self.addresses += [value or '' for name, value in attrs if name in ('src', 'href', 'action')]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ('script', 'style'):
            self.text += data + '\n'


def test_the_page_is_one_file_that_loads_nothing() -> None:
    found = Parser(page('My run', [result()]))
    assert all(address.startswith('#') for address in found.addresses) and found.addresses
    assert not re.search(r'(?:https?:)?//[a-z]', page('My run', [result()]).split('id="data"')[0])


def test_it_names_scores_classes_and_config() -> None:
    text = Parser(page('My run', [result()])).text
    for wanted in ('My run', '50.00', 'mIoU, %', 'sky <b>', '25.00', 'lr = 1', 'torch', '2 images'):
        assert wanted in text
    assert '–' in text  # the class that does not occur


def test_names_cannot_leave_their_place() -> None:
    text = page('</title><script>x()</script>', [result('</script><script>y()</script>')])
    assert '<script>x' not in text and '<script>y' not in text and '<b>' not in re.sub('<b>[0-9.–]+</b>', '', text)


def test_files(tmp_path: Path) -> None:
    target = write_report(tmp_path / 'new' / 'report', 'run_a', [result()], images().scores)
    assert sorted(path.name for path in target.parent.iterdir()) == [
        'confusion_matrix.png', 'images.csv', 'metrics.json', 'report.html']
    metrics = json.loads((target.parent / 'metrics.json').read_text(), parse_constant=pytest.fail)
    assert metrics['scores']['mIoU'] == 0.5 and metrics['scores']['IoU.car'] is None
    assert metrics['confusion_matrix'] == [[512, 512, 0], [0, 960, 0], [0, 0, 0]] and metrics['data'] == '2 images'
    with (target.parent / 'images.csv').open(newline='') as file:
        first, second = csv.DictReader(file)
    assert first['image'] == 'bonn/a.png' and first['labelled_pixels'] == '1984'
    assert float(first['IoU.road']) == 0.5 and first['IoU.car'] == '' and second['image'] == 'bonn/<i>.png'
    assert float(first['mIoU']) == pytest.approx((0.5 + 960 / 1472) / 2, abs=1e-4)
    with Image.open(target.parent / 'confusion_matrix.png') as picture:
        assert min(picture.size) > 300


def test_a_page_can_be_read_again(tmp_path: Path) -> None:
    target = write_report(tmp_path / 'run', 'run_a', [result()], images().scores)
    assert load_results([tmp_path]) == load_results([target]) == [result()]


def test_many_classes_have_a_picture_and_no_endless_table() -> None:
    many = result()
    names = [str(number) for number in range(60)]
    large = type(many)('x', {'mIoU': 0.5}, names, [[0, 0, 0]] * 60, np.eye(60, dtype=int).tolist())
    assert 'class="matrix"' not in page('x', [large]) and 'class="matrix"' in page('x', [many])


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """A run with a report, another one, and one with a log only."""
    folders = [tmp_path / name for name in ('run_a', 'run_b', 'old')]
    for folder, config in zip(folders[:2], ('lr = 1\nseed = 0', 'lr = 2\nseed = 0')):
        one = result(f'{folder.name}, student', config=config)
        write_report(folder / 'report', folder.name, [one, result(f'{folder.name}, teacher')], images().scores)
    folders[2].mkdir()
    (folders[2] / '20300101_000000.log.json').write_text(LOG)
    return folders


def test_runs_side_by_side(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / 'compared' / 'all.html'
    main([*map(str, runs), '--out', str(out)])
    assert str(out) in capsys.readouterr().out
    text = Parser(out.read_text(encoding='utf-8')).text
    assert 'run_a, student' in text and 'run_b, student' in text and 'old' in text and 'teacher' not in text
    assert '-25.00' in text  # mIoU of the log beside that of the first run
    assert re.search(r'^\+lr = 2$', text, re.MULTILINE) and '+seed' not in text


def test_one_run_shows_all_its_networks(runs: list[Path]) -> None:
    assert [found.name for found in load_results(runs[:1])] == ['run_a, student', 'run_a, teacher']


def test_a_log_alone_gives_scores_and_curves(runs: list[Path]) -> None:
    [found] = load_results(runs[2:])
    assert found.classes == list(CLASSES) and found.scores['mIoU'] == 0.25 and found.environment == {'torch': '2.4'}
    assert found.curves['losses'] == {'decode.loss_seg': ([10], [2.])} and 'lr' not in found.scores
    Parser(page('old', [found]))


def test_what_cannot_be_compared_is_named(runs: list[Path], tmp_path: Path) -> None:
    (runs[2] / '20300101_000000.log.json').write_text(LOG.replace('car', 'bus'))
    with pytest.raises(DataError, match=r'old has other classes .*bus.*run_a'):
        load_results(runs)
    with pytest.raises(LogError, match='absent'):
        load_results([tmp_path / 'absent'])
    (tmp_path / 'other.html').write_text('<html></html>')
    with pytest.raises(LogError, match=r'other\.html is no report'):
        load_results([tmp_path / 'other.html'])
    (runs[2] / '20300101_000000.log.json').write_text(LOG.splitlines()[1])
    with pytest.raises(LogError, match='no evaluation.*tools.test'):
        load_results(runs[2:])


@pytest.mark.parametrize('low, high', [(0, 1), (0, 0.037), (-2, 40000), (0, 24.3), (5, 5)])
def test_ticks_are_few_round_numbers_within_the_range(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 1 <= len(found) <= 8 and all(low <= tick <= high for tick in found)
