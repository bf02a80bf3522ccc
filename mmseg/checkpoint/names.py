"""What the networks of a checkpoint are called."""
from __future__ import annotations

import argparse
from typing import Any

NETWORKS = {'student': 'model', 'teacher': 'ema_model'}  # and the prefixes of their entries in a state dict


def network_name(name: str) -> str:
    """What a network is called: 'student' for 'model', 'teacher' for 'ema_model'; any other name stays."""
    return next((known for known, prefix in NETWORKS.items() if prefix == name), name)


def add_network_option(parser: argparse.ArgumentParser) -> None:
    """Give a command that reads a checkpoint the option ``--network``, student or teacher.

    ``--model`` and the prefixes in state dicts are accepted as well, and not shown.
    """
    common: dict[str, Any] = dict(type=network_name, choices=list(NETWORKS))
    parser.add_argument('--network', default='student', help='which of a UDA checkpoint: the student (default) or its '
                        'EMA teacher', **common)
    parser.add_argument('--model', dest='network', default=argparse.SUPPRESS, help=argparse.SUPPRESS, **common)
