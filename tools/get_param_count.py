"""Count parameters: mmseg/cli/get_param_count.py by the name that people know."""
from mmseg.cli.get_param_count import *  # noqa: F403
from mmseg.cli.get_param_count import main
from mmseg.errors import command

if __name__ == '__main__':
    command(main)
