"""Certify a GPU: is what it computes right, how fast, within what memory? One page that anyone can send.

    udaseg certify [--minutes 10]

Each check is a process of its own with a time limit: one that fails, crashes or hangs leaves the others alone. The page
is written after each, so that it is there if this program is ended. On a CPU everything runs in miniature.
"""
from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path


def parse_args(args: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Check and measure a GPU, and write a '
                                     'page about it. Exit status 0: nothing failed, 1: something did')
    parser.add_argument('--minutes', type=float, default=10,
                        help='all that it may take; what does not fit is named; default 10')
    parser.add_argument('--only', nargs='+', metavar='NAME', default=[''],
                        help='what the names of wanted checks and measurements begin with, as the page shows them')
    parser.add_argument('--device', help="'cuda', 'cuda:1', 'cpu' or 'auto' (default): a GPU if there is one")
    parser.add_argument('--out', type=Path, default=Path('work_dirs/certify'), help='folder of the page and the logs')
    return parser.parse_args(args)


def main(args: Sequence[str] | None = None) -> int:
    """Certify; returns 1 if something failed."""
    parsed = parse_args(args)
    from mmseg.cli.certify.certification import Certification
    certification = Certification(parsed)
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # ends what it started, too
    try:
        certification.certify()
    except KeyboardInterrupt:
        print('stopped; the page holds what was done')
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    page = certification.page
    print(f'{page.sum()}\n{page.folder / "certificate.md"}')
    return int(bool(page.failed()))
