"""Make a file for publication: udaseg publish CHECKPOINT OUT.pth writes OUT-<hash>.pth"""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmseg.checkpoint.names import add_network_option


def main(args: Sequence[str] | None = None) -> Path:
    """Write the file and return its path. Errors are left to the caller."""
    parser = argparse.ArgumentParser(description='Write one network of a training checkpoint, named after its content')
    parser.add_argument('in_file', type=Path, help='checkpoint of a training')
    parser.add_argument('out_file', type=Path, help='.pth or .safetensors; the start of its SHA-256 sum is added')
    add_network_option(parser)
    args = parser.parse_args(args)
    from mmseg.checkpoint.export import publish
    path = publish(args.in_file, args.out_file, args.network)
    print(f'wrote {path}')
    return path
