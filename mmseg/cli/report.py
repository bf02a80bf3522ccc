"""One page for one or several runs: udaseg report RUN [RUN ...] --out FILE"""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def parse_args(args: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Show the results of one or several runs on one page')
    parser.add_argument('runs', nargs='+', type=Path, metavar='RUN',
                        help='folder of a run, report.html of a test, or .log.json; the first is what the others are '
                        'compared with')
    parser.add_argument('--out', type=Path, default=Path('report.html'), metavar='FILE', help='default: report.html')
    parser.add_argument('--title', help='of the page; default: the names of the runs')
    return parser.parse_args(args)


def main(args: Sequence[str] | None = None) -> None:
    """Write the page."""
    parsed = parse_args(args)
    from mmseg.report.comparison import load_results
    from mmseg.report.files import write_page
    results = load_results(parsed.runs)
    write_page(parsed.out, parsed.title or ' · '.join(result.name for result in results), results)
    print(f'wrote {parsed.out}')
