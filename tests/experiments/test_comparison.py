"""Records of runs, and the tables that are made of them."""
from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from experiments import find_suite
from mmseg.errors import LogError
from mmseg.experiments.comparison import class_table, compare, cost_table, report, score_table, verdict
from mmseg.experiments.pictures import draw_curves
from mmseg.experiments.records import Record, read_records, write_record
from tests.report.test_logs import row

ROOT = Path(__file__).parents[2]
SUITE = find_suite(202)


def record(method: str, seed: int, miou: float, teacher: float | None = None, **changes: Any) -> Record:
    """A run whose student and perhaps teacher have the mIoU after the last iteration, in percent."""
    scores = {network: {5: dict(mIoU=0.05, mAcc=.1, aAcc=.1), 10: dict(mIoU=value / 100, mAcc=.5, aAcc=.6)}
              for network, value in dict(student=miou, teacher=teacher).items() if value is not None}
    values: dict[str, Any] = dict(
        config=f'configs/toy/{method}.py', base_hash=None, git_revision='0123456', iterations=10, scores=scores,
        class_iou={network: dict(road=0.5, sky=points[10]['mIoU']) for network, points in scores.items()},
        seconds_per_iteration=0.5, peak_memory_mb=100, torch='2.9', machine='a CPU', work_dir='')
    return Record(method, seed, **{**values, **changes})


RECORDS = [
    record('oracle', 0, 60), record('oracle', 1, 62), record('source_only', 0, 20), record('source_only', 1, 22),
    record('daformer', 1, 43, 45), record('daformer', 0, 40, 44), record('mic', 0, 41, 47), record('mic', 1, 40, 46),
    record('fda', 0, 40), record('fda', 1, 41), record('photometric', 0, 30), record('mine', 1, 30, 31)]


def test_means_spread_and_differences_seed_by_seed() -> None:
    results = compare(RECORDS)
    assert list(results) == ['source_only', 'photometric', 'fda', 'daformer', 'mic', 'oracle', 'mine']
    daformer = results['daformer']['student']
    assert daformer['mIoU'] == [40, 43] and daformer['mean'] == 41.5 and daformer['sd'] == 2.12
    assert daformer['difference'] == {'source_only': {0: 20, 1: 21}}
    assert results['mic']['student']['difference'] == {'source_only': {0: 21, 1: 18}, 'daformer': {0: 1, 1: -3}}
    assert results['mine']['student']['difference'] == {'source_only': {1: 8}, 'daformer': {1: -13}}
    assert daformer['gap_closed'] == round((41.5 - 21) / (61 - 21), 3)
    assert results['mine']['student']['gap_closed'] == (30 - 22) / (62 - 22)  # of the seed that all three have
    assert results['mine']['student']['sd'] is None


def test_teachers_are_compared_with_teachers() -> None:
    results = compare(RECORDS)
    assert results['mic']['teacher']['difference'] == {'source_only': {0: 27, 1: 24}, 'daformer': {0: 3, 1: 1}}
    assert 'teacher' not in results['source_only']
    assert row(score_table(results, 'teacher'), 'mic') == [
        'mic', '0, 1', '46.50 ± 0.71 (46.00..47.00)', '+25.5 (+27.0, +24.0)', '+2.0 (+3.0, +1.0)', '64 %']
    assert 'source_only |' not in score_table(results, 'teacher').split('\n', 2)[2]


def test_tables() -> None:
    results = compare(RECORDS)
    assert row(score_table(results, 'student'), 'mic') == [
        'mic', '0, 1', '40.50 ± 0.71 (40.00..41.00)', '+19.5 (+21.0, +18.0)', '-1.0 (+1.0, -3.0)', '49 %']
    assert row(score_table(results, 'student'), 'mine')[1:5] == ['1', '30.00', '+8.0 (+8.0)', '-13.0 (-13.0)']
    assert row(class_table(results, 'student'), 'oracle') == ['oracle', '50.0', '61.0']
    assert row(cost_table(results), 'oracle') == ['oracle', '10', '0.50', '100']


def test_no_difference_is_no_minus() -> None:
    results = compare([record('source_only', 0, 20), record('fda', 0, 19.97)])
    assert row(score_table(results, 'student'), 'fda')[3] == '+0.0 (+0.0)'


def test_self_training_has_to_beat_the_cheap_baselines_or_it_is_said() -> None:
    assert verdict(compare(RECORDS)) == (
        'The best cheap baseline is fda (40.5). Above it with every seed: none. Above it on the mean alone: daformer. '
        'Not above it: mic, mine (1 of 2 seeds).')
    assert verdict(compare(RECORDS[:6])) == ''


def test_the_best_baseline_is_that_of_the_seeds_which_all_have() -> None:
    runs = [record('photometric', 0, 41), record('fda', 0, 40), record('fda', 1, 50), record('daformer', 1, 45)]
    assert verdict(compare(runs)).startswith('The best cheap baseline is photometric (41.0).')


def test_what_is_missing_leaves_gaps() -> None:
    """One run alone has no spread, no baseline and no gap."""
    results = compare([record('mic', 3, 40)])
    assert row(score_table(results, 'student'), 'mic') == ['mic', '3', '40.00', '']
    assert score_table(results, 'teacher') == '' and '## Student' in report('A title', [record('mic', 3, 40)])


def test_records_come_back_as_they_were_written(tmp_path) -> None:
    for each in RECORDS:
        write_record(each, tmp_path)
    assert (tmp_path / 'records/daformer_s1.json').is_file()
    assert sorted(read_records(SUITE, tmp_path), key=str) == sorted(RECORDS, key=str)
    assert compare(read_records(SUITE, tmp_path)) == compare(RECORDS)


@pytest.mark.parametrize('content', ['', '[]', '{}', '{"scores": {}}', '{"scores": {"student": {"x": 1}}}'])
def test_what_is_no_record_is_named(tmp_path, content) -> None:
    (tmp_path / 'records').mkdir()
    (tmp_path / 'records/a_s0.json').write_text(content)
    with pytest.raises(LogError, match=r'a_s0.json is no record of a run \(.*\): remove it'):
        read_records(SUITE, tmp_path)


def test_a_folder_without_results_is_named(tmp_path) -> None:
    with pytest.raises(LogError, match='holds no results of suite toy: no records/'):
        read_records(SUITE, tmp_path)


def test_the_published_logs_of_the_built_in_benchmark_give_the_published_table(tmp_path) -> None:
    records = read_records(SUITE, ROOT / 'docs/logs/toy')
    assert len(records) == 45
    results = compare(records)
    published = (ROOT / 'docs/results.md').read_text(encoding='utf-8')
    for method in results:
        mean, sd = re.search(rf'^\| {method} \| 0, 1, 2 \| .*?([\d.]+) ± ([\d.]+) ', published, re.MULTILINE).groups()
        assert (results[method]['student']['mean'], results[method]['student']['sd']) == (float(mean), float(sd))
    assert results['mic']['student']['difference']['daformer'].keys() == {0, 1, 2}
    draw_curves(records, tmp_path / 'curves.png')
    assert (tmp_path / 'curves.png').stat().st_size > 10000


def test_a_record_replaces_the_log_of_the_same_run(tmp_path) -> None:
    for seed in (0, 1):
        shutil.copy(ROOT / f'docs/logs/toy/mic_s{seed}.log.json', tmp_path)
    write_record(record('mic', 0, 77), tmp_path)
    found = {each.seed: round(each.final('student')) for each in read_records(SUITE, tmp_path)}
    assert found == {0: 77, 1: 22}


def test_json_holds_no_path_of_this_machine() -> None:
    text = json.dumps(dataclasses.asdict(read_records(SUITE, ROOT / 'docs/logs/toy')[0]))
    assert str(ROOT) not in text and '"configs/toy/' in text
