"""Print a config with everything that it inherits: udaseg config CONFIG [--options KEY=VALUE ...]"""
from __future__ import annotations

import argparse
from collections.abc import Sequence

from mmseg.config.command_line import add_config_options


def main(args: Sequence[str] | None = None) -> None:
    """Print the config as Python source. Errors are left to the caller."""
    parser = argparse.ArgumentParser(description='Print a config with its bases merged and old spellings translated')
    parser.add_argument('config', help='config file (.py, .json, .yaml)')
    add_config_options(parser)
    args = parser.parse_args(args)
    from mmseg.config.reading import load_config
    from mmseg.utils.config_text import format_config
    print(format_config(load_config(args.config, args.options, trust=args.trust_config).to_dict()), end='')
