"""What commands say about the config that they read."""
from __future__ import annotations

import argparse

from mmengine.config import DictAction


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Give a command that reads a config the options ``--options`` and ``--trust-config``, as ``load_config`` has."""
    parser.add_argument('--options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override config entries')
    parser.add_argument('--trust-config', action='store_true', help='let a .json or .yaml config run code: inherit '
                        'from a .py file, name custom_imports (a .py config is a program anyway)')
