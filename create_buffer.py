"""Write a memory bank (DIDA): mmseg/cli/create_buffer.py by the name that people know."""
from mmseg.cli.create_buffer import *  # noqa: F403
from mmseg.cli.create_buffer import main
from mmseg.errors import command

if __name__ == '__main__':
    command(main)
