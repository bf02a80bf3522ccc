"""Make a small file of one network: python -m tools.convert_checkpoint CHECKPOINT OUT.pth (or OUT.safetensors)"""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmseg.checkpoint.export import convert
from mmseg.checkpoint.networks import add_network_option
from mmseg.errors import command


def main(args: Sequence[str] | None = None) -> None:
    """Write the file. Errors are left to the caller."""
    parser = argparse.ArgumentParser(description='Write the weights of one network of a training checkpoint')
    parser.add_argument('checkpoint', type=Path, help='of a training, of this program or of one of the originals')
    parser.add_argument('out', type=Path, help='file to write; .pth or .safetensors says the format')
    add_network_option(parser)
    args = parser.parse_args(args)
    convert(args.checkpoint, args.out, args.network)
    before, after = (path.stat().st_size / 2**20 for path in (args.checkpoint, args.out))
    print(f'wrote {args.out}: {after:.1f} MB of {before:.1f} MB')


if __name__ == '__main__':
    command(main)
