"""Print a config: mmseg/cli/print_config.py by the name that people know."""
from mmseg.cli.print_config import *  # noqa: F403
from mmseg.cli.print_config import main
from mmseg.errors import command

if __name__ == '__main__':
    command(main)
