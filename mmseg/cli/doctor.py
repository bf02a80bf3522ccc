"""What is wrong, before a training starts: udaseg doctor CONFIG"""
from __future__ import annotations

import argparse
from collections.abc import Sequence

from mmseg.config.command_line import add_config_options


def main(args: Sequence[str] | None = None) -> int:
    """Examine a config, its data and this machine; returns 0 if nothing stops a training, else 1."""
    parser = argparse.ArgumentParser(description='Look at config, machine, data and network, and try one iteration; '
                                     'says how to fix what is found. Exit status 0: no problem, 1: problems')
    parser.add_argument('config', help='config file (.py, .json, .yaml)')
    add_config_options(parser)
    parser.add_argument('--device', help="'cuda', 'cuda:1', 'cpu' or 'auto'; default: the config's, else a GPU if any")
    args = parser.parse_args(args)
    from mmseg.doctor import examine
    return int(examine(args.config, args.options, args.device, args.trust_config).counts['problem'] > 0)
