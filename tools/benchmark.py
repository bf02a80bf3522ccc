"""Speed and memory: mmseg/cli/benchmark.py by the name that people know."""
from mmseg.cli.benchmark import *  # noqa: F403
from mmseg.cli.benchmark import main
from mmseg.errors import command

if __name__ == '__main__':
    command(main)
