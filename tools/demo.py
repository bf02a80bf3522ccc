"""See an adaptation: mmseg/cli/demo.py by the name that people know."""
from mmseg.cli.demo import *  # noqa: F403
from mmseg.cli.demo import main
from mmseg.errors import command

if __name__ == '__main__':
    command(main)
