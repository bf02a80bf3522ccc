"""Curves and tables from the JSON logs of training runs.

    udaseg logs work_dirs/RUN --keys decode.loss_seg mix.decode.loss_seg --out losses.png
    udaseg logs work_dirs/toy/*_s? --table --keys mIoU IoU.car
    udaseg logs work_dirs/RUN --meters --out meters.png

Reads the ``*.log.json`` files (one JSON object per line) of this project and of the mmcv runner. An argument is such a
file or the folder of a run; the several logs of a folder (a resumed run) are joined.
"""
from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmseg.errors import LogError
from mmseg.experiments.meters import GRADIENTS, curves, tables
from mmseg.report.logs import Log, read_log, table


def smoothed(values: Sequence[float], window: int) -> list[float]:
    """Mean over the last ``window`` values, fewer at the start."""
    return [statistics.fmean(values[max(0, i + 1 - window):i + 1]) for i in range(len(values))]


@contextmanager
def canvas(args: argparse.Namespace, columns: int = 1) -> Iterator[list[Any]]:
    """Axes side by side, which afterwards are written to ``args.out`` or shown on the screen."""
    import matplotlib
    if args.out or args.backend:
        matplotlib.use(args.backend or 'Agg')
    from matplotlib import pyplot as plt
    with plt.style.context(args.style):
        figure, grid = plt.subplots(1, columns, figsize=(8 * columns, 5), squeeze=False)
        yield list(grid[0])
        for axes in grid[0]:
            axes.grid(alpha=0.3)
            axes.legend()
        if args.title:
            figure.suptitle(args.title)
        if args.out:
            figure.savefig(args.out, bbox_inches='tight', dpi=150)
            print(f'wrote {args.out}')
        else:
            plt.show()
        plt.close(figure)


def draw(axes: Any, label: str, iterations: Sequence[int], values: Sequence[float], smooth: int) -> None:
    """Add a curve, with points if they are few."""
    axes.plot(iterations, smoothed(values, smooth), label=label, marker='o' if len(values) < 20 else None)


def plot(logs: Sequence[Log], args: argparse.Namespace) -> None:
    """Draw one curve for each log and key.

    Raises:
        LogError: if the number of legends is not that of the curves, or a key is unknown.
    """
    found = [(f'{log.name} {key}', *log.series(key)) for log in logs for key in args.keys]
    legend = args.legend or [name for name, _, _ in found]
    if len(legend) != len(found):
        raise LogError(f'--legend has {len(legend)} entries for {len(found)} curves (logs x keys, keys vary fastest)')
    with canvas(args) as (axes, ):
        for label, (_, iterations, values) in zip(legend, found):
            draw(axes, label, iterations, values, args.smooth)
        axes.set(xlabel='iteration', ylabel=', '.join(args.keys))


def show_meters(logs: Sequence[Log], args: argparse.Namespace) -> None:
    """Print the last meters of each log; with ``args.out`` draw their curves, too.

    Raises:
        LogError: if a log has none.
    """
    print('\n\n'.join(tables(log) for log in logs))
    if not args.out:
        return
    shown = [(log.name, curves(log)) for log in logs]
    titles = list(dict.fromkeys(title for _, found in shown for title in found))
    with canvas(args, len(titles)) as grid:
        for axes, title in zip(grid, titles):
            for name, found in shown:
                for label, iterations, values in found.get(title, ()):
                    draw(axes, label if len(logs) == 1 else f'{name} {label}', iterations, values, args.smooth)
            axes.set(xlabel='iteration', title=title, yscale='log' if title == GRADIENTS else 'linear')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('logs', nargs='+', type=Path, metavar='LOG', help='.log.json files or folders of runs')
    parser.add_argument('--keys', nargs='+', default=['mIoU'], help='what to plot or tabulate (default: mIoU)')
    parser.add_argument('--title', help='title of the plot')
    parser.add_argument('--legend', nargs='+', help='names of the curves')
    parser.add_argument('--backend', help='matplotlib back end (default: Agg with --out, else that of the machine)')
    parser.add_argument('--style', default='default', help='matplotlib style, e.g. ggplot')
    parser.add_argument('--out', help='picture file to write instead of opening a window')
    parser.add_argument('--smooth', type=int, default=1, metavar='N', help='plot the mean of the last N points')
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--table', action='store_true', help='print a Markdown table over the seeds instead')
    what.add_argument('--meters', action='store_true',
                      help='print what the meters of a training with --meters found last; with --out draw their curves')
    args = parser.parse_args(argv)
    if args.smooth < 1:
        parser.error('--smooth must be at least 1')
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Draw curves or print tables."""
    args = parse_args(argv)
    logs = [read_log(path) for path in args.logs]
    if args.table:
        print(table(logs, args.keys))
    elif args.meters:
        show_meters(logs, args)
    else:
        plot(logs, args)
