"""Convert Cityscapes: mmseg/cli/convert.py by the name that people know."""
import sys

from mmseg.cli.convert import main
from mmseg.errors import command

if __name__ == '__main__':
    command(lambda: main(['cityscapes', *sys.argv[1:]]))
