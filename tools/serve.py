"""A page to try a network on images and videos: mmseg/cli/serve.py by the name that people know."""
from mmseg.cli.serve import *  # noqa: F403
from mmseg.cli.serve import main
from mmseg.errors import command

if __name__ == '__main__':
    command(main)
