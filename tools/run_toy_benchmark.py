"""Run the built-in benchmark, procedural street scenes, and write its tables into docs/results.md; or its demo.

    python -m tools.run_toy_benchmark           # suite 202: source only, DACS, DAFormer and oracle with three seeds
    python -m tools.run_toy_benchmark --methods hrda mic    # other configs of configs/toy, added to the tables
    python -m tools.run_toy_benchmark --demo    # one seed of source only and DAFormer on the CPU, with pictures

Repeating the command continues where it was stopped: finished runs are not run again while their config stays the same.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import run_experiments  # noqa: E402
from experiments import find_suite  # noqa: E402
from mmseg.apis import load_config  # noqa: E402
from mmseg.errors import command  # noqa: E402
from mmseg.experiments.comparison import class_table, compare, score_table  # noqa: E402
from mmseg.experiments.logs import read_log  # noqa: E402
from mmseg.experiments.records import NETWORKS, RECORDS, read_records  # noqa: E402
from mmseg.experiments.side_by_side import Training, train_side_by_side  # noqa: E402
from tools.make_toy_data import main as draw_data  # noqa: E402

DATA = Path('data', 'toy')
CONFIGS = ROOT / 'configs' / 'toy'
SUITE = 202
RESULTS = ROOT / 'work_dirs' / f'local-exp{SUITE}'  # of the suite
METHODS = ('source_only', 'dacs', 'daformer', 'oracle')
DEMO_METHODS = ('source_only', 'daformer')
SECTION = re.compile(r'(<!-- toy benchmark -->\n).*?(<!-- end of toy benchmark -->)', re.DOTALL)


# -- the benchmark ----------------------------------------------------------------------------------------------------


def benchmark(methods: Sequence[str], seeds: Sequence[int], parallel: int, report: Path) -> int:
    """Train methods of the suite, keep their records below logs/toy beside the report, and make its tables anew.

    Returns:
        The exit status of the suite; unless it is 0, the report stays as it is.

    Raises:
        SystemExit: if the report has no marks between which the tables belong.
    """
    content = report.read_text(encoding='utf-8') if report.is_file() else ''
    if not SECTION.search(content):
        raise SystemExit(f'{report} has no lines <!-- toy benchmark --> and <!-- end of toy benchmark -->: add them')
    status = run_experiments.main(['--exp', str(SUITE), '--resume', '--jobs', str(parallel), '--methods', *methods,
                                   '--seeds', *map(str, seeds)])
    if not status:
        shutil.copytree(RESULTS / RECORDS, report.parent / 'logs' / 'toy' / RECORDS, dirs_exist_ok=True)
        report.write_text(SECTION.sub(lambda marks: f'{marks[1]}\n{tables(report.parent / "logs" / "toy")}\n{marks[2]}',
                                      content), encoding='utf-8')
    return status or 0


def tables(folder: Path) -> str:
    """Scores by network and IoU by class of all records and logs in a folder."""
    suite = find_suite(SUITE)
    assert suite is not None, 'experiments.py has it'
    results = compare(read_records(suite, folder))
    parts = [make(results, network) for network in NETWORKS for make in (score_table, class_table)]
    return '\n\n'.join(filter(None, parts)) + '\n'


# -- the demo ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One training of the demo: a config of configs/toy, a folder, the number of iterations."""
    method: str
    folder: Path
    iterations: int

    @property
    def options(self) -> dict[str, int]:
        """What it changes in its config."""
        keys = ('runner.max_iters', 'checkpoint_config.interval', 'evaluation.interval', 'log_config.img_interval')
        return dict.fromkeys(keys, self.iterations)

    @property
    def config(self) -> Path:
        """The config file of its method."""
        return CONFIGS / f'{self.method}.py'

    @property
    def training(self) -> Training:
        """The process that trains it, on the CPU with seed 0."""
        options = [f'{key}={value}' for key, value in self.options.items()]
        return Training(self.folder.name, [
            sys.executable, '-m', 'tools.train', str(self.config), '--work-dir', str(self.folder), '--seed', '0',
            '--resume-from', 'auto', '--device', 'cpu', '--options', *options], self.folder)

    def fingerprint(self) -> str:
        """Hash of all that decides its result but the code: config and data."""
        content = load_config(self.config, self.options).to_dict()
        facts = [content, json.loads((DATA / 'settings.json').read_text())]
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()

    def scores(self) -> dict[str, float]:
        """The last validation, 0 to 1."""
        evaluations = read_log(self.folder).val
        return evaluations[max(evaluations)]

    def class_scores(self) -> dict[str, float]:
        """IoU by class in the last validation, 0 to 1."""
        return {key.removeprefix('IoU.'): value for key, value in self.scores().items() if key.startswith('IoU.')}

    def finished(self) -> bool:
        """Whether it has reached its last iteration with the present config."""
        state, fingerprint = self.folder / 'benchmark.json', self.fingerprint()
        known = json.loads(state.read_text()) if state.is_file() else {}
        if known.get('fingerprint') != fingerprint:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            state.write_text(json.dumps(dict(fingerprint=fingerprint, finished=False)))
        return known.get('fingerprint') == fingerprint and known['finished']

    def finish(self) -> None:
        """Remember that it has reached its last iteration."""
        state = self.folder / 'benchmark.json'
        state.write_text(json.dumps(dict(json.loads(state.read_text()), finished=True)))

    def checkpoint(self) -> Path:
        """The file with its networks after the last iteration."""
        return self.folder / 'latest.pth'


def train_all(runs: Sequence[Run], parallel: int) -> None:
    """Train what is not finished yet, several runs side by side.

    Raises:
        SystemExit: if a training fails or is stopped.
    """
    missing = [run for run in runs if not run.finished()]
    trainings = {run.folder.name: run.training for run in missing}
    failed, status = train_side_by_side(list(trainings.values()), parallel, ROOT)
    for run in missing:
        if run.folder.name not in failed:
            run.finish()
    if status:
        raise SystemExit(f'{", ".join(f"{name}: {why}, see {trainings[name].console}" for name, why in failed.items())}'
                         '. The same command goes on')


def demo(folder: Path, iterations: int, parallel: int) -> None:
    """Source only and DAFormer, one seed: a table, summary.json and pictures in ``folder``."""
    from dev.toy_pictures import write_pictures
    start = time.perf_counter()
    draw_data([])
    # the longer run first
    runs = {method: Run(method, folder / method, iterations) for method in DEMO_METHODS}
    train_all([runs['daformer'], runs['source_only']], parallel)
    summary = {method: dict(mIoU=run.scores()['mIoU'], IoU=run.class_scores()) for method, run in runs.items()}
    pictures = write_pictures({method: (run.config, run.checkpoint()) for method, run in runs.items()},
                              folder / 'pictures')
    summary['seconds'] = round(time.perf_counter() - start, 1)
    (folder / 'summary.json').write_text(json.dumps(summary, indent=2))
    print(demo_table(summary))
    print(f'{summary["seconds"]:.0f} seconds; summary: {folder}/summary.json; pictures: {pictures}/')


def demo_table(summary: dict) -> str:
    """IoU of both methods in percent, by class and on the mean."""
    before, after = (summary[method] for method in DEMO_METHODS)
    rows = [(name, before['IoU'][name], after['IoU'][name]) for name in before['IoU']]
    lines = [f'{"":15}{"source only":>12}{"UDA":>8}{"gain":>8}']
    for name, old, new in [*rows, ('mIoU', before['mIoU'], after['mIoU'])]:
        lines.append(f'{name:15}{100 * old:12.1f}{100 * new:8.1f}{100 * (new - old):+8.1f}')
    return '\n'.join(lines)


# -- the command ------------------------------------------------------------------------------------------------------


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--demo', action='store_true', help='one seed of source only and DAFormer, with pictures')
    known = sorted(path.stem for path in CONFIGS.glob('*.py') if path.stem != 'common')
    parser.add_argument('--methods', nargs='+', choices=known, default=list(METHODS), metavar='METHOD',
                        help=f'of {", ".join(known)}; default: {", ".join(METHODS)}')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--parallel', type=int, default=min(2, os.cpu_count() or 1), help='runs at a time')
    parser.add_argument('--report', type=Path, default=ROOT / 'docs' / 'results.md', help='Markdown file to update')
    parser.add_argument('--iterations', type=int, default=1000, help='of the demo')
    parser.add_argument('--work-dir', type=Path, default=ROOT / 'work_dirs' / 'demo', help='of the demo')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int | None:
    """Run the command."""
    args = parse_args(argv)
    folder, report = args.work_dir.resolve(), args.report.resolve()
    os.chdir(ROOT)  # the configs name data/toy
    if args.demo:
        return demo(folder, args.iterations, args.parallel)
    return benchmark(args.methods, args.seeds, args.parallel, report)


if __name__ == '__main__':
    command(main)
