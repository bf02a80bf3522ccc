"""What is wrong, before a training starts: mmseg/cli/doctor.py by the name that people know."""
from mmseg.cli.doctor import *  # noqa: F403
from mmseg.cli.doctor import main
from mmseg.errors import command

if __name__ == '__main__':
    command(main)
