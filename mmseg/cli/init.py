"""A config for data of one's own: udaseg init --source IMAGES MASKS --target IMAGES [MASKS]"""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmseg.errors import DataError
from mmseg.utils.commands import called


def parse_args(args: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Look at labelled source images and unlabelled target images, write a '
                                     'config for them, say why, and examine it as the doctor does')
    parser.add_argument('--source', nargs=2, required=True, metavar=('IMAGES', 'MASKS'), help='folders of the source')
    parser.add_argument('--target', nargs='+', required=True, metavar='FOLDER',
                        help='folder of target images, and one of masks if some of them have one: these validate')
    parser.add_argument('--val', nargs=2, metavar=('IMAGES', 'MASKS'),
                        help='folders of further target images to validate on, if --target has no masks')
    parser.add_argument('--classes', nargs='+', default=[], metavar='NAME',
                        help='names in the order of the ids; or VALUE=NAME (7=road, #804080=road); or one .txt, .json '
                        'or .yaml file of names, or of names and colours; default: class_<value>')
    parser.add_argument('--unlabelled', nargs='+', default=[], metavar='VALUE',
                        help='ids or colours of pixels about which nothing is known; default: 255 beside other ids')
    parser.add_argument('--out', type=Path, default=Path('configs/mine/init.py'), help='the config to write; default: '
                        'configs/mine/init.py')
    parser.add_argument('--device', help="'cuda', 'cuda:1', 'cpu' or 'auto' (default): a GPU if there is one")
    parsed = parser.parse_args(args)
    if len(parsed.target) > 2 or (parsed.val and len(parsed.target) > 1):
        parser.error('--target takes a folder of images and, without --val, one of masks')
    if parsed.out.suffix != '.py':
        parser.error(f'--out {parsed.out}: the config ends in .py')
    return parsed


def main(args: Sequence[str] | None = None) -> int:
    """Write a config for folders of images; returns 0 if nothing stops a training with it, else 1."""
    parsed = parse_args(args)
    if parsed.out.exists():
        raise DataError(f'{parsed.out} exists: name another file with --out, or remove it')
    from mmseg.doctor import examine
    from mmseg.init.choosing import choose
    from mmseg.init.plan import make_plan
    from mmseg.init.writing import reasons_text, write_text
    from mmseg.utils.device import resolve_device
    device = resolve_device(parsed.device)
    plan = make_plan(parsed.source, parsed.target, parsed.val, parsed.classes, parsed.unlabelled, device)
    named = None if parsed.device in (None, 'auto') else parsed.device
    choice, why = choose(parsed.out, plan, device, named)
    reasons = reasons_text([*plan.reasons, ('network', choice.name, why),
                            ('samples_per_gpu', choice.samples, 'images of each domain, of that network')])
    write_text(parsed.out.with_suffix('.txt'), reasons + '\n')
    print(f'\n{reasons}\n\n{parsed.out} is written, {parsed.out.with_suffix(".txt")} says why')
    problems = examine(parsed.out, device=parsed.device).counts['problem']
    print(f'\nlook at it:  {called("browse", "browse_dataset")} {parsed.out}\n'
          f'train:       {called("train")} {parsed.out} --work-dir work_dirs/{parsed.out.stem}'
          + (', once the problems above are mended' if problems else ''))
    return int(problems > 0)
