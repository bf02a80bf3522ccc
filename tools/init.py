"""A config for data of one's own: python -m tools.init --source IMAGES MASKS --target IMAGES [MASKS]"""
from __future__ import annotations

from mmseg.errors import command
from mmseg.init import main

if __name__ == '__main__':
    command(main)
