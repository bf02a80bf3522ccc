"""Test a checkpoint: udaseg test CONFIG CHECKPOINT --eval mIoU --show-dir DIR --opacity 1"""
from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mmseg.checkpoint.names import add_network_option
from mmseg.config.command_line import Options, add_config_options
from mmseg.distributed import LAUNCHERS


def parse_args(args: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of test."""
    parser = argparse.ArgumentParser(description='Evaluate a checkpoint, write or show its predictions')
    parser.add_argument('config', help='config file (.py, .json, .yaml)')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--eval', nargs='+', default=[], metavar='METRIC',
                        help='of mIoU, mDice, mFscore, and cityscapes for the official evaluation on label ids')
    parser.add_argument('--show-dir', metavar='DIR', help='write a picture per image here')
    parser.add_argument('--opacity', type=float, default=0.5,
                        help='of the prediction on the image, in (0, 1]; 1 writes palette PNGs of train ids')
    parser.add_argument('--show', action='store_true', help='show each prediction in a window')
    parser.add_argument('--out', metavar='FILE.pkl', help='pickle the predictions as a list of uint8 arrays')
    parser.add_argument('--format-only', action='store_true',
                        help='write the files for a test server, and FOLDER.zip to upload; needs --eval-options '
                        'imgfile_prefix=FOLDER')
    parser.add_argument('--eval-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE',
                        help='imgfile_prefix=FOLDER, to_label_id=False (train ids, for ACDC and Dark Zurich)')
    parser.add_argument('--report', metavar='DIR',
                        help="with --eval: folder of report.html, metrics.json, images.csv and confusion_matrix.png; "
                        "default: report_<checkpoint> beside the checkpoint; 'none' writes none")
    parser.add_argument('--probabilities', metavar='DIR',
                        help='write the probabilities of all classes here, a file per image')
    parser.add_argument('--probabilities-format', choices=['npz', 'png'], default='npz',
                        help='float16 in an .npz, or 16 bits in a grey PNG with the classes below each other')
    add_network_option(parser)
    parser.add_argument('--aug-test', action='store_true', help='average over six scales and their mirror images')
    parser.add_argument('--inference-mode', choices=['same', 'whole', 'slide'], default='same',
                        help='as the config says, on whole images, or in windows of the crop size')
    parser.add_argument('--target-statistics', metavar='FOLDER',
                        help='let the batch norms take their statistics from the images of this folder before the test '
                        '(AdaBN): of the target, e.g. its training images')
    parser.add_argument('--test-set', action='store_true', help="read the folders 'test' instead of 'val'")
    parser.add_argument('--hrda-out', choices=['', 'LR', 'HR', 'ATT'], default='',
                        help="HRDA's low-resolution or detail prediction, or its scale attention")
    add_config_options(parser)
    parser.add_argument('--device', default='auto', help="e.g. 'cuda:0' or 'cpu'; default: the GPU if there is one")
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none',
                        help='who has started the processes: torchrun (tools/dist_test.sh) or Slurm')
    parser.add_argument('--gpu-collect', action='store_true', help='accepted, has no effect')
    parser.add_argument('--tmpdir', help='accepted, has no effect')
    parser.add_argument('--local_rank', type=int, help='accepted, has no effect: the environment says it')
    parsed = parser.parse_args(args)
    from mmseg.apis.test import TestOutputs
    from mmseg.utils.device import resolve_device
    try:
        parsed.device = resolve_device(parsed.device)
        parsed.outputs = TestOutputs(
            metrics=tuple(parsed.eval), out=parsed.out, show_dir=parsed.show_dir, opacity=parsed.opacity,
            show=parsed.show, format_only=parsed.format_only, probabilities=parsed.probabilities,
            probabilities_format=parsed.probabilities_format, eval_options=parsed.eval_options)
    except ValueError as error:
        parser.error(str(error))
    if parsed.hrda_out == 'ATT' and (parsed.eval or parsed.format_only or parsed.out or parsed.probabilities):
        parser.error('--hrda-out ATT gives attention maps, not classes: use it with --show-dir or --show only')
    if parsed.probabilities and parsed.probabilities_format == 'png' and parsed.probabilities == parsed.show_dir:
        parser.error(f'--show-dir {parsed.show_dir}: --probabilities writes files of the same names there, choose '
                     'another folder')
    if parsed.show and parsed.launcher != 'none':
        parser.error('--show opens windows in one process only: use --show-dir, or --launcher none')
    return parsed


def report_folder(args: argparse.Namespace) -> str | None:
    """Where the report goes: as asked for, else beside the checkpoint if one can write there; None: nowhere.

    Raises:
        ValueError: if it is asked for without scores.
    """
    if args.report not in (None, 'none') and not args.outputs.own_metrics:
        raise ValueError('--report shows scores: add --eval mIoU')
    if not args.outputs.own_metrics or args.report == 'none':
        return None
    if args.report:
        return args.report
    checkpoint = Path(args.checkpoint)
    if not os.access(checkpoint.parent, os.W_OK):
        print(f'no report: {checkpoint.parent} cannot be written to; name a folder with --report', file=sys.stderr)
        return None
    teacher = '' if args.network == 'student' else f'_{args.network}'
    return str(checkpoint.parent / f'report_{checkpoint.stem}{teacher}')


def main(args: Sequence[str] | None = None) -> dict[str, float]:
    """Run the test and return its scores in 0..1."""
    args = parse_args(args)
    from mmseg.apis import load_config
    from mmseg.apis.test import run_test
    from mmseg.distributed.launch import joined
    from mmseg.evaluation import config_changes
    from mmseg.utils.heap import keep_freed_memory
    cfg = load_config(args.config, args.options, trust=args.trust_config)
    if args.aug_test:
        config_changes.use_augmentation(cfg)
    if args.test_set:
        config_changes.use_test_set(cfg)
    config_changes.set_inference_mode(cfg, args.inference_mode)
    config_changes.set_hrda_output(cfg, args.hrda_out)
    args.outputs.report = report_folder(args)
    keep_freed_memory(args.device)
    with joined(args.launcher, str(args.device)) as device:
        return run_test(cfg, args.checkpoint, args.outputs, args.network, device, args.target_statistics)
