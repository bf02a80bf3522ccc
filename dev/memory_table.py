"""Which card runs what: the peak memory of a training iteration, estimated without a GPU and without computing.

    python -m dev.memory_table --report docs/performance.md
    python -m dev.memory_table CONFIG --size 256 256 --precision fp32 --measure

How it is estimated: mmseg/doctor/memory.py.
"""
from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import DictAction

from mmseg.apis import load_config
from mmseg.config.low_memory import save_memory
from mmseg.doctor.memory import GIB, card, estimated_bytes, measured_bytes
from mmseg.errors import command
from mmseg.models.builder import leave_weights_out, training_crop

PRECISIONS = ('fp32', 'bf16', 'low')
CONFIGS = {
    'DAFormer': 'configs/daformer/gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py',
    'HRDA': 'configs/hrda/gtaHR2csHR_hrda.py',
    'MIC on HRDA': 'configs/mic/gtaHR2csHR_mic_hrda.py',
}
METHODS = {'': {}, ' + MRM': {'uda.mrm': {}}, ' + DIDA': {'uda.instance_bank': {}}}
BEGIN, END = '<!-- memory table: python -m dev.memory_table -->', '<!-- end of the memory table -->'


def config(path: str, options: dict[str, Any], precision: str) -> Any:
    """A config with random weights, in one of PRECISIONS."""
    cfg = load_config(path, options)
    leave_weights_out(cfg)
    cfg.amp = dict(dtype='bfloat16') if precision == 'bf16' else None
    if precision == 'low':
        save_memory(cfg)
    return cfg


def row(name: str, path: str, options: dict[str, Any], args: argparse.Namespace) -> str:
    """A line of the table: for each precision the peak and the card."""
    cells = []
    for precision in args.precision:
        cfg = config(path, options, precision)
        size = tuple(args.size or training_crop(cfg))
        start = time.perf_counter()
        peak = estimated_bytes(cfg, size)
        cells.append(f'{peak / GIB:.1f} GiB, {card(peak)}')
        if args.measure:
            cells[-1] += f' (measured {measured_bytes(cfg, size) / GIB:.2f}, estimated {peak / GIB:.2f})'
        print(f'{name}, {precision}: {cells[-1]} ({time.perf_counter() - start:.0f} s)', flush=True)
    return f'| {name} | {size[0]} x {size[1]} | ' + ' | '.join(cells) + ' |'


def parse_args(args: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Peak memory of a training iteration, estimated without a GPU')
    parser.add_argument('configs', nargs='*', help='default: DAFormer, HRDA and MIC on HRDA, each with MRM and DIDA')
    parser.add_argument('--size', type=int, nargs=2, metavar=('H', 'W'), help='of the images; default: the crop')
    parser.add_argument('--precision', nargs='+', choices=PRECISIONS, default=list(PRECISIONS),
                        help='low: as with --memory low of python -m tools.train')
    parser.add_argument('--options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override config entries')
    parser.add_argument('--measure', action='store_true', help='compute the iteration on this CPU as well, to compare')
    parser.add_argument('--report', type=Path, help='Markdown file whose table is replaced')
    return parser.parse_args(args)


def main(args: Sequence[str] | None = None) -> str:
    """Print the table, and put it into the report."""
    args = parse_args(args)
    warnings.filterwarnings('ignore')  # about hardware that is not there
    wanted = [(Path(path).stem, path, {}) for path in args.configs] or [
        (name + method, path, options) for name, path in CONFIGS.items() for method, options in METHODS.items()]
    lines = ['| training | images | ' + ' | '.join(args.precision) + ' |', '|---' * (len(args.precision) + 2) + '|']
    lines += [row(name, path, {**options, **(args.options or {})}, args) for name, path, options in wanted]
    table = '\n'.join(lines)
    print(table)
    if args.report:
        before, _, rest = args.report.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        args.report.write_text(f'{before}{BEGIN}\n\n{table}\n\n{END}{after}')
    return table


if __name__ == '__main__':
    command(main)
