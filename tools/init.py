"""A config for data of one's own: mmseg/cli/init.py by the name that people know."""
from mmseg.cli.init import *  # noqa: F403
from mmseg.cli.init import main
from mmseg.errors import command

if __name__ == '__main__':
    command(main)
