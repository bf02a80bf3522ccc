"""One page for one or several runs: mmseg/cli/report.py by the name that people know."""
from mmseg.cli.report import *  # noqa: F403
from mmseg.cli.report import main
from mmseg.errors import command

if __name__ == '__main__':
    command(main)
