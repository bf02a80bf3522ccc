"""Make a small file of one network: mmseg/cli/convert_checkpoint.py by the name that people know."""
from mmseg.cli.convert_checkpoint import *  # noqa: F403
from mmseg.cli.convert_checkpoint import main
from mmseg.errors import command

if __name__ == '__main__':
    command(main)
