"""Make a file for publication: mmseg/cli/publish_model.py by the name that people know."""
from mmseg.cli.publish_model import *  # noqa: F403
from mmseg.cli.publish_model import main
from mmseg.errors import command

if __name__ == '__main__':
    command(main)
