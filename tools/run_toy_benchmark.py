"""Run the built-in benchmark on the CPU: source only, DACS, DAFormer and oracle on procedural street scenes.

    python -m tools.run_toy_benchmark           # three seeds of everything, a Markdown table into docs/results.md
    python -m tools.run_toy_benchmark --demo    # one seed of source only and DAFormer, with pictures
    python -m tools.run_toy_benchmark --methods hrda mic    # other configs of configs/toy, added to the table

Repeating the command continues where it was stopped: finished runs are not run again while their config stays the same.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from mmseg.apis import load_config  # noqa: E402
from mmseg.errors import command  # noqa: E402
from mmseg.experiments.logs import Log, read_log, table  # noqa: E402
from tools.make_toy_data import make_toy_data  # noqa: E402
from tools.make_toy_data import parse_args as toy_data_args  # noqa: E402

DATA = ROOT / 'data' / 'toy'
CONFIGS = ROOT / 'configs' / 'toy'
METHODS = ('source_only', 'dacs', 'daformer', 'oracle')
SUPERVISED = ('source_only', 'oracle')
BY_CLASS = ('source_only', 'dacs', 'daformer', 'hrda', 'mic', 'oracle')  # columns of the table of classes
DEMO_METHODS = ('source_only', 'daformer')
SECTION = re.compile(r'(<!-- toy benchmark -->\n).*?(<!-- end of toy benchmark -->)', re.DOTALL)


@dataclass(frozen=True)
class Run:
    """One training: a config of configs/toy, a seed, a folder, the number of iterations (None: the config's)."""
    method: str
    seed: int
    folder: Path
    iterations: int | None

    @property
    def options(self) -> dict[str, int]:
        """What it changes in its config."""
        if self.iterations is None:
            return {}
        keys = ('runner.max_iters', 'checkpoint_config.interval', 'evaluation.interval', 'log_config.img_interval')
        return dict.fromkeys(keys, self.iterations)

    @property
    def config(self) -> Path:
        """The config file of its method."""
        return CONFIGS / f'{self.method}.py'

    def fingerprint(self) -> str:
        """Hash of all that decides its result but the code: config, seed, data."""
        content = load_config(self.config, self.options).to_dict()
        facts = [content, self.seed, json.loads((DATA / 'settings.json').read_text())]
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()

    def scores(self) -> dict[str, float]:
        """The last validation, 0 to 1."""
        return last_scores(read_log(self.folder))

    def finished(self) -> bool:
        """Whether it has reached its last iteration with the present config."""
        state, fingerprint = self.folder / 'benchmark.json', self.fingerprint()
        known = json.loads(state.read_text()) if state.is_file() else {}
        if known.get('fingerprint') != fingerprint:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            state.write_text(json.dumps(dict(fingerprint=fingerprint, finished=False)))
        return known.get('fingerprint') == fingerprint and known['finished']

    def checkpoint(self) -> Path:
        """The file with its networks after the last iteration."""
        return self.folder / 'latest.pth'

    def train(self, threads: int) -> None:
        """Train in a process of its own, unless that has been done; its output goes to ``<folder>/console.log``.

        Raises:
            SystemExit: if the training fails.
        """
        if self.finished():
            print(f'{self.folder.name}: finished before', flush=True)
            return
        command = [sys.executable, '-m', 'tools.train', str(self.config), '--work-dir', str(self.folder), '--seed',
                   str(self.seed), '--resume-from', 'auto', '--device', 'cpu']
        if self.options:
            command += ['--options', *(f'{key}={value}' for key, value in self.options.items())]
        print(f'{self.folder.name}: training, see {self.folder}/console.log', flush=True)
        start = time.perf_counter()
        with open(self.folder / 'console.log', 'a') as console:
            result = subprocess.run(command, cwd=ROOT, env=dict(os.environ, OMP_NUM_THREADS=str(threads)),
                                    stdout=console, stderr=subprocess.STDOUT)
        if result.returncode:
            raise SystemExit(f'{self.folder.name} failed; the end of {self.folder}/console.log says why')
        state = self.folder / 'benchmark.json'
        state.write_text(json.dumps(dict(json.loads(state.read_text()), finished=True)))
        minutes = (time.perf_counter() - start) / 60
        print(f'{self.folder.name}: mIoU {100 * self.scores()["mIoU"]:.1f} after {minutes:.1f} minutes', flush=True)


def train_all(runs: list[Run], parallel: int) -> None:
    """Train several runs side by side: two processes with a thread each use two cores better than the reverse."""
    threads = max(1, (os.cpu_count() or 1) // parallel)
    with ThreadPoolExecutor(parallel) as pool:
        for _ in pool.map(lambda run: run.train(threads), runs):
            pass


def demo(folder: Path, iterations: int, parallel: int) -> None:
    """Source only and DAFormer, one seed: a table, summary.json and pictures in ``folder``."""
    from dev.toy_pictures import write_pictures
    start = time.perf_counter()
    draw_data()
    # the longer run first
    runs = {method: Run(method, 0, folder / method, iterations) for method in DEMO_METHODS}
    train_all([runs['daformer'], runs['source_only']], parallel)
    summary = {method: dict(mIoU=run.scores()['mIoU'], IoU=class_scores(run.scores())) for method, run in runs.items()}
    pictures = write_pictures({method: (run.config, run.checkpoint()) for method, run in runs.items()},
                              folder / 'pictures')
    summary['seconds'] = round(time.perf_counter() - start, 1)
    (folder / 'summary.json').write_text(json.dumps(summary, indent=2))
    print(demo_table(summary))
    print(f'{summary["seconds"]:.0f} seconds; summary: {folder}/summary.json; pictures: {pictures}/')


def draw_data() -> None:
    """The benchmark's images with their default settings."""
    args = toy_data_args([])
    make_toy_data(DATA, args.seed, tuple(args.num), tuple(args.size), args.nproc)


def last_scores(log: Log) -> dict[str, float]:
    """The last validation of a run, 0 to 1."""
    return log.val[max(log.val)]


def class_scores(scores: dict[str, float]) -> dict[str, float]:
    """IoU by class, 0 to 1, of all scores of a validation."""
    return {key.removeprefix('IoU.'): value for key, value in scores.items() if key.startswith('IoU.')}


def demo_table(summary: dict) -> str:
    """IoU of both methods in percent, by class and on the mean."""
    before, after = (summary[method] for method in DEMO_METHODS)
    rows = [(name, before['IoU'][name], after['IoU'][name]) for name in before['IoU']]
    lines = [f'{"":15}{"source only":>12}{"UDA":>8}{"gain":>8}']
    for name, old, new in [*rows, ('mIoU', before['mIoU'], after['mIoU'])]:
        lines.append(f'{name:15}{100 * old:12.1f}{100 * new:8.1f}{100 * (new - old):+8.1f}')
    return '\n'.join(lines)


def benchmark(folder: Path, methods: list[str], seeds: list[int], iterations: int | None, parallel: int,
              report: Path) -> None:
    """Train the methods with all seeds; their logs go below logs/toy beside the report, whose tables are made anew."""
    draw_data()
    runs = [Run(method, seed, folder / f'{method}_s{seed}', iterations) for seed in seeds for method in methods]
    train_all(sorted(runs, key=lambda run: run.method in SUPERVISED), parallel)  # the longer runs first
    publish(runs, report)


def publish(runs: list[Run], report: Path) -> None:
    """Copy the runs' JSON logs, with relative paths, and tabulate all logs that stand there by now.

    Raises:
        SystemExit: if the report has no marks between which the tables belong.
    """
    content = report.read_text() if report.is_file() else ''
    if not SECTION.search(content):
        raise SystemExit(f'{report} has no lines <!-- toy benchmark --> and <!-- end of toy benchmark -->: add them')
    folder = report.parent / 'logs' / 'toy'
    folder.mkdir(parents=True, exist_ok=True)
    for run in runs:
        records = ''.join(file.read_text() for file in sorted(run.folder.glob('*.log.json')))
        (folder / f'{run.folder.name}.log.json').write_text(records.replace(f'{ROOT}{os.sep}', ''))
    logs = sorted(map(read_log, folder.glob('*.log.json')), key=table_order)
    by_class = [log for log in logs if log.group in BY_CLASS]
    text = f'{table(logs, ["mIoU", "mAcc", "aAcc"])}\n\n{class_table(by_class)}\n'
    print(text)
    report.write_text(SECTION.sub(lambda marks: f'{marks[1]}{text}{marks[2]}', content))


def table_order(log: Log) -> tuple[bool, int, str, str]:
    """Methods of the class table first, in its order, the others by name; then by seed."""
    known = log.group in BY_CLASS
    return not known, BY_CLASS.index(log.group) if known else 0, log.group, log.name


def class_table(logs: list[Log]) -> str:
    """A Markdown table: mean IoU over the seeds, in percent, by class and method."""
    methods = list(dict.fromkeys(log.group for log in logs))
    lines = ['| class | ' + ' | '.join(methods) + ' |', '|---' * (len(methods) + 1) + '|']
    for name in class_scores(last_scores(logs[0])) if logs else ():
        means = [[100 * class_scores(last_scores(log))[name] for log in logs if log.group == method]
                 for method in methods]
        lines.append(f'| {name} | ' + ' | '.join(f'{sum(values) / len(values):.1f}' for values in means) + ' |')
    return '\n'.join(lines)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--demo', action='store_true', help='one seed of source only and DAFormer, with pictures')
    known = sorted(path.stem for path in CONFIGS.glob('*.py') if path.stem != 'common')
    parser.add_argument('--methods', nargs='+', choices=known, default=list(METHODS), metavar='METHOD',
                        help=f'of {", ".join(known)}; default: {", ".join(METHODS)}')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--iterations', type=int, help='instead of the configs\' (demo: 1000)')
    parser.add_argument('--work-dir', type=Path, help='default: work_dirs/toy, work_dirs/demo')
    parser.add_argument('--parallel', type=int, default=min(2, os.cpu_count() or 1), help='runs at a time')
    parser.add_argument('--report', type=Path, default=ROOT / 'docs' / 'results.md', help='Markdown file to update')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    folder = (args.work_dir or ROOT / 'work_dirs' / ('demo' if args.demo else 'toy')).resolve()
    report = args.report.resolve()
    os.chdir(ROOT)  # the configs name data/toy
    if args.demo:
        demo(folder, args.iterations or 1000, args.parallel)
    else:
        benchmark(folder, args.methods, args.seeds, args.iterations, args.parallel, report)


if __name__ == '__main__':
    command(main)
