"""Test a checkpoint: mmseg/cli/test.py by the name that people know."""
from mmseg.cli.test import *  # noqa: F403
from mmseg.cli.test import main
from mmseg.errors import command

if __name__ == '__main__':
    command(main)
