"""Certify a GPU: is what it computes right, how fast, within what memory? One page that anyone can send.

    python -m tools.certify [--minutes 10]

Each check is a process of its own with a time limit: one that fails, crashes or hangs leaves the others alone. The page
is written after each, so that it is there if this program is ended. On a CPU everything runs in miniature.
"""
from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Lock, Thread

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from mmseg.errors import command  # noqa: E402
from mmseg.utils.device import resolve_device  # noqa: E402
from tools.certify import plan  # noqa: E402
from tools.certify.jobs import Job, Jobs  # noqa: E402
from tools.certify.page import Page  # noqa: E402


def parse_args(args: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog='python -m tools.certify', description='Check and measure a GPU, and write a '
                                     'page about it. Exit status 0: nothing failed, 1: something did')
    parser.add_argument('--minutes', type=float, default=10, help='all that it may take; what does not fit is named; default 10')
    parser.add_argument('--only', nargs='+', metavar='NAME', default=[''],
                        help='what the names of wanted checks and measurements begin with, as the page shows them')
    parser.add_argument('--device', help="'cuda', 'cuda:1', 'cpu' or 'auto' (default): a GPU if there is one")
    parser.add_argument('--out', type=Path, default=Path('work_dirs/certify'), help='folder of the page and the logs')
    return parser.parse_args(args)


class Certification:
    """Runs jobs and puts their results onto a page.

    Args:
        args: of the command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        device = resolve_device(args.device)
        self.miniature = device.type == 'cpu'
        out = args.out.resolve()
        self.page = Page(out, str(device), self.miniature)
        self.jobs = Jobs(out / 'logs', str(device), self.miniature, time.monotonic() + 60 * args.minutes)
        self.only, self.lock = tuple(args.only), Lock()

    def run(self, jobs: Sequence[Job]) -> None:
        """Run some of the jobs one after the other."""
        for job in jobs:
            for result in self.jobs.run(job):
                with self.lock:
                    self.page.add(result)
                print(f'{result.status:8} {result.name:40} {result.seconds:5.0f} s  {result.detail}', flush=True)

    def wanted(self, jobs: Sequence[Job]) -> list[Job]:
        """Those that the command line asks for."""
        return [job for job in jobs if any(name.startswith(self.only) for name in job.names)]

    def certify(self) -> None:
        """Run everything; memory is estimated on the CPU meanwhile."""
        steps = self.wanted(list(plan.measurements(self.miniature)))
        methods = {job.options.get('method') for job in steps}
        estimates = [job for job in plan.estimates(self.miniature) if job.options['method'] in methods]
        thread = Thread(target=self.run, args=(estimates, ))
        thread.start()
        try:
            self.run(self.wanted(list(plan.checks(self.miniature))) + steps)
            thread.join()
        finally:
            self.jobs.stop()
            thread.join()


def main(args: Sequence[str] | None = None) -> int:
    """Certify; returns 1 if something failed."""
    certification = Certification(parse_args(args))
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # ends what it has started, too
    try:
        certification.certify()
    except KeyboardInterrupt:
        print('stopped; the page holds what was done')
        return 130
    page = certification.page
    print(f'{page.sum()}\n{page.folder / "certificate.md"}')
    return int(bool(page.failed()))


if __name__ == '__main__':
    command(main)
