"""Train: mmseg/cli/train.py by the name that people know."""
from mmseg.cli.train import *  # noqa: F403
from mmseg.cli.train import main
from mmseg.errors import command

if __name__ == '__main__':
    command(main)
