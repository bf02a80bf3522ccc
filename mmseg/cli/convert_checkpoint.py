"""Make a small file of one network: udaseg convert checkpoint CHECKPOINT OUT.pth (or OUT.safetensors)"""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmseg.checkpoint.names import add_network_option


def main(args: Sequence[str] | None = None) -> None:
    """Write the file. Errors are left to the caller."""
    parser = argparse.ArgumentParser(description='Write the weights of one network of a training checkpoint')
    add_arguments(parser)
    write(parser.parse_args(args))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the conversion."""
    parser.add_argument('checkpoint', type=Path, help='of a training, of this program or of one of the originals')
    parser.add_argument('out', type=Path, help='file to write; .pth or .safetensors says the format')
    add_network_option(parser)


def write(args: argparse.Namespace) -> None:
    """Write the file that the arguments name."""
    from mmseg.checkpoint.export import convert
    convert(args.checkpoint, args.out, args.network)
    before, after = (path.stat().st_size / 2**20 for path in (args.checkpoint, args.out))
    print(f'wrote {args.out}: {after:.1f} MB of {before:.1f} MB')
