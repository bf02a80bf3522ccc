"""What commands say about the config that they read."""
from __future__ import annotations

import argparse
from typing import Any


class Options(argparse.Action):
    """``KEY=VALUE ...`` as a dict, read by MMEngine's ``DictAction``, which is loaded (with torch) only then."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any,
                 option_string: str | None = None) -> None:
        """Put the dict into the namespace."""
        from mmengine.config import DictAction
        DictAction(self.option_strings, self.dest)(parser, namespace, values, option_string)


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Give a command that reads a config the options ``--options`` and ``--trust-config``, as ``load_config`` has."""
    parser.add_argument('--options', nargs='+', action=Options, metavar='KEY=VALUE', help='override config entries')
    parser.add_argument('--trust-config', action='store_true', help='let a .json or .yaml config run code: inherit '
                        'from a .py file, name custom_imports (a .py config is a program anyway)')
