"""Certify a GPU: mmseg/cli/certify by the name that people know."""
from mmseg.cli.certify import main
from mmseg.errors import command

if __name__ == '__main__':
    command(main)
