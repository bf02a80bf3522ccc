"""Curves and tables of logs: mmseg/cli/analyze_logs.py by the name that people know."""
from mmseg.cli.analyze_logs import *  # noqa: F403
from mmseg.cli.analyze_logs import main
from mmseg.errors import command

if __name__ == '__main__':
    command(main)
