"""Look at what the network is fed: mmseg/cli/browse_dataset.py by the name that people know."""
from mmseg.cli.browse_dataset import *  # noqa: F403
from mmseg.cli.browse_dataset import main
from mmseg.errors import command

if __name__ == '__main__':
    command(main)
