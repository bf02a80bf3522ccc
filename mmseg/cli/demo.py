"""See an adaptation: two networks learn on the same drawn scenes, one of them adapts to the camera; both are compared.

    udaseg demo

This is suite 204 of udaseg experiments (configs/demo) with one seed. Repeating the command goes on where it stopped.
"""
from __future__ import annotations

import argparse
import os
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status of the trainings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--jobs', type=int, default=min(2, os.cpu_count() or 1), help='trainings at a time')
    args = parser.parse_args(argv)
    from mmseg.cli.demo_run import run
    return run(args.jobs)
