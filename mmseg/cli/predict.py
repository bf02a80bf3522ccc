"""Predict an image, a video or a folder of them: udaseg predict INPUT CONFIG CHECKPOINT --out OUT"""
from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mmseg.checkpoint.names import add_network_option
from mmseg.config.command_line import add_config_options


def parse_args(args: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of predict."""
    parser = argparse.ArgumentParser(description='Predict images and videos')
    parser.add_argument('input', type=Path, help='image, video, or folder of them')
    parser.add_argument('config', help='config file (.py, .json, .yaml)')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', type=Path, help='folder or, for one input file, file to write; default: <input>_pred')
    parser.add_argument('--opacity', type=float, default=0.5,
                        help='of the prediction on the image, in (0, 1]; 1 writes palette PNGs of train ids')
    parser.add_argument('--contour', action='store_true', help='draw the borders of the classes instead')
    parser.add_argument('--side-by-side', action='store_true', help='put the image beside it')
    parser.add_argument('--legend', action='store_true', help='put the names of the classes below it')
    parser.add_argument('--ids', type=Path, metavar='DIR', help='write palette PNGs of train ids here, too')
    parser.add_argument('--probabilities', type=Path, metavar='DIR',
                        help='write the probabilities of all classes here, a file per image')
    parser.add_argument('--probabilities-format', choices=['npz', 'png'], default='npz',
                        help='float16 in an .npz, or 16 bits in a grey PNG with the classes below each other')
    add_network_option(parser)
    parser.add_argument('--device', help="e.g. 'cuda:0' or 'cpu'; default: the GPU if there is one")
    parser.add_argument('--bf16', action='store_true', help='compute in bfloat16')
    parser.add_argument('--batch-windows', action='store_true', help='all sliding windows of an image in one batch')
    add_config_options(parser)
    parsed = parser.parse_args(args)
    if not 0 < parsed.opacity <= 1:
        parser.error(f'--opacity {parsed.opacity}: must be above 0 and at most 1')
    from mmseg.visualization import Style
    parsed.style = Style(parsed.opacity, parsed.contour, parsed.side_by_side, parsed.legend)
    return parsed


def main(args: Sequence[str] | None = None) -> int:
    """Predict, and return the exit status: 1 if a file failed. Other errors are left to the caller."""
    args = parse_args(args)
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')  # our message says what is wrong with a video
    from mmseg.apis import init_segmentor, load_config
    from mmseg.apis.predict import find_jobs, image_suffixes, predict_files
    from mmseg.engine.optim import bfloat16_is_slow
    from mmseg.evaluation import config_changes
    from mmseg.utils.heap import keep_freed_memory
    cfg = load_config(args.config, args.options, trust=args.trust_config)
    jobs, left_out = find_jobs(args.input, args.out, args.ids, args.style, image_suffixes(cfg), args.probabilities,
                               f'.{args.probabilities_format}')
    if left_out:
        more = ', ...' if len(left_out) > 5 else ''
        print(f'left out, hidden or neither image nor video: {len(left_out)} ({", ".join(left_out[:5])}{more})',
              file=sys.stderr)
    if args.batch_windows:
        config_changes.batch_windows(cfg)
    model = init_segmentor(cfg, args.checkpoint, args.device, args.network)
    device = next(model.parameters()).device
    keep_freed_memory(device)
    if args.bf16 and bfloat16_is_slow(device.type):
        print('warning: this CPU emulates bfloat16, --bf16 makes it slower', file=sys.stderr)
    failed = predict_files(model, jobs, style=args.style, bf16=args.bf16)
    place = jobs[0].target if len(jobs) == 1 else os.path.commonpath([job.target.parent for job in jobs])
    print(f'predicted {len(jobs) - failed} of {len(jobs)} files to {place}')
    return int(failed > 0)
