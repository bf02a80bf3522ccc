"""Segment one image: python -m demo.image_demo IMG CONFIG CHECKPOINT"""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmseg.errors import command


def main(args: Sequence[str] | None = None) -> Path:
    """Write the picture with the prediction laid over it and return its path."""
    parser = argparse.ArgumentParser(description='Segment an image and write it with the prediction laid over it')
    parser.add_argument('img', type=Path, help='image file')
    parser.add_argument('config', help='config file (.py, .json, .yaml)')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--device', help="e.g. 'cuda:0' or 'cpu'; default: the GPU if there is one")
    parser.add_argument('--palette', help="a data set's, e.g. 'cityscapes'; default: the checkpoint's")
    parser.add_argument('--opacity', type=float, default=0.5, help='of the prediction, in (0, 1]')
    parser.add_argument('--out', type=Path, help='file to write; default: <name of the image>_pred beside the image')
    args = parser.parse_args(args)
    from mmseg.apis import draw_result, inference_segmentor, init_segmentor
    from mmseg.apis.predict import IMAGES
    from mmseg.datasets import get_palette
    from mmseg.visualization import write_image
    palette = args.palette and get_palette(args.palette)
    model = init_segmentor(args.config, args.checkpoint, args.device)
    suffix = args.img.suffix if args.img.suffix.lower() in IMAGES else '.png'  # of a loader of the user's own
    out = args.out or args.img.with_name(f'{args.img.stem}_pred{suffix}')
    write_image(out, draw_result(model, args.img, inference_segmentor(model, args.img), palette, args.opacity))
    print(f'wrote {out}')
    return out


if __name__ == '__main__':
    command(main)
