"""Draw the built-in benchmark: mmseg/cli/make_toy_data.py by the name that people know."""
from mmseg.cli.make_toy_data import *  # noqa: F403
from mmseg.cli.make_toy_data import main
from mmseg.errors import command

if __name__ == '__main__':
    command(main)
