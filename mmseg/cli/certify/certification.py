"""Running the checks and measurements of a GPU."""
from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from threading import Lock, Thread

from mmseg.cli.certify import plan
from mmseg.cli.certify.jobs import Job, Jobs
from mmseg.cli.certify.page import Page
from mmseg.utils.device import resolve_device


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
