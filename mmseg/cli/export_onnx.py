"""Export a network to ONNX: udaseg export CONFIG CHECKPOINT OUT.onnx --size 512 1024"""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmseg.checkpoint.names import add_network_option
from mmseg.config.command_line import add_config_options


def main(args: Sequence[str] | None = None) -> float:
    """Write the file and return how far its logits are from torch's. Errors are left to the caller."""
    parser = argparse.ArgumentParser(description='Write a network that sees whole images of one size as ONNX')
    parser.add_argument('config', help='config file (.py, .json, .yaml)')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('out', type=Path, help='file to write')
    parser.add_argument('--size', type=int, nargs=2, default=(512, 1024), metavar=('H', 'W'),
                        help='height and width of the images; default: 512 1024')
    add_network_option(parser)
    add_config_options(parser)
    args = parser.parse_args(args)
    from mmseg.apis import init_segmentor, load_config
    from mmseg.apis.onnx_export import export_onnx
    cfg = load_config(args.config, args.options, trust=args.trust_config)
    model = init_segmentor(cfg, args.checkpoint, 'cpu', args.network)
    difference = export_onnx(model, args.out, tuple(args.size))
    print(f'wrote {args.out}; its logits and those of torch differ by {difference:.1e} at most')
    return difference
