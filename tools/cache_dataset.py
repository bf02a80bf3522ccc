"""Decode and resize the training images once: mmseg/cli/cache_dataset.py by the name that people know."""
from mmseg.cli.cache_dataset import *  # noqa: F403
from mmseg.cli.cache_dataset import main
from mmseg.errors import command

if __name__ == '__main__':
    command(main)
