"""Look at what the network is fed: udaseg browse CONFIG [--out FOLDER or PAGE.html]"""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmseg.checkpoint.names import add_network_option
from mmseg.config.command_line import add_config_options


def parse_args(args: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of browse_dataset."""
    parser = argparse.ArgumentParser(description='Draw the images, labels, mixed and masked images of the first '
                                     'iterations of a training')
    parser.add_argument('config', help='config file (.py, .json, .yaml)')
    parser.add_argument('--out', type=Path, help='folder for a PNG per image, or a single file that ends in .html; '
                        'default: work_dirs/<name of the config>/browse')
    parser.add_argument('--num', type=int, default=8, help='images per domain (default: %(default)s)')
    parser.add_argument('--start', type=int, default=0, metavar='ITERATION', help='0-based iteration to begin with')
    parser.add_argument('--checkpoint', metavar='FILE', help='weights for the pseudo labels; default: random ones')
    add_network_option(parser)
    add_config_options(parser)
    parser.add_argument('--device', default='auto', help="e.g. 'cuda:0' or 'cpu'; default: the GPU if there is one")
    args = parser.parse_args(args)
    if args.num < 1 or args.start < 0:
        parser.error('--num must be at least 1, --start at least 0')
    args.out = args.out or Path('work_dirs') / Path(args.config).stem / 'browse'
    return args


def main(args: Sequence[str] | None = None) -> None:
    """Draw. Errors are left to the caller."""
    args = parse_args(args)
    from mmseg.apis import load_config
    from mmseg.apis.browse import fed_images, write_page, write_pictures
    from mmseg.utils.device import resolve_device
    cfg = load_config(args.config, args.options, trust=args.trust_config)
    images = fed_images(cfg, args.num, start=args.start, checkpoint=args.checkpoint, network=args.network,
                        device=resolve_device(args.device))
    if args.out.suffix == '.html':
        write_page(images, args.out, args.config)
        print(f'written: {args.out}')
    else:
        write_pictures(images, args.out)
