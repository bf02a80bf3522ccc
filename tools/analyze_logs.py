"""Curves and tables from the JSON logs of training runs.

    python -m tools.analyze_logs work_dirs/RUN --keys decode.loss_seg mix.decode.loss_seg --out losses.png
    python -m tools.analyze_logs work_dirs/toy/*_s? --table --keys mIoU IoU.car

Reads the ``*.log.json`` files (one JSON object per line) of this project and of the mmcv runner. An argument is such a
file or the folder of a run; the several logs of a folder (a resumed run) are joined.
"""
from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

from mmseg.errors import LogError, command
from mmseg.experiments.logs import Log, read_log, table


def smoothed(values: Sequence[float], window: int) -> list[float]:
    """Mean over the last ``window`` values, fewer at the start."""
    return [statistics.fmean(values[max(0, i + 1 - window):i + 1]) for i in range(len(values))]


def plot(logs: Sequence[Log], args: argparse.Namespace) -> None:
    """Draw one curve for each log and key, into ``args.out`` or onto the screen.

    Raises:
        LogError: if the number of legends is not that of the curves, or a key is unknown.
    """
    curves = [(f'{log.name} {key}', *log.series(key)) for log in logs for key in args.keys]
    legend = args.legend or [name for name, _, _ in curves]
    if len(legend) != len(curves):
        raise LogError(f'--legend has {len(legend)} entries for {len(curves)} curves (logs x keys, keys vary fastest)')
    import matplotlib
    if args.out or args.backend:
        matplotlib.use(args.backend or 'Agg')
    from matplotlib import pyplot as plt
    with plt.style.context(args.style):
        figure, axes = plt.subplots(figsize=(8, 5))
        for label, (_, iterations, values) in zip(legend, curves):
            axes.plot(iterations, smoothed(values, args.smooth), label=label, marker='o' if len(values) < 20 else None)
        axes.set(xlabel='iteration', ylabel=', '.join(args.keys), title=args.title or '')
        axes.grid(alpha=0.3)
        axes.legend()
        if args.out:
            figure.savefig(args.out, bbox_inches='tight', dpi=150)
            print(f'wrote {args.out}')
        else:
            plt.show()
        plt.close(figure)


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
    parser.add_argument('--table', action='store_true', help='print a Markdown table over the seeds instead')
    args = parser.parse_args(argv)
    if args.smooth < 1:
        parser.error('--smooth must be at least 1')
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Draw curves or print a table."""
    args = parse_args(argv)
    logs = [read_log(path) for path in args.logs]
    if args.table:
        print(table(logs, args.keys))
    else:
        plot(logs, args)


if __name__ == '__main__':
    command(main)
