"""Write the table of docs/models.md: parameters, GFLOPs and, with --latency, CPU times of every model config.

    python -m dev.model_table --latency
"""
from __future__ import annotations

import argparse
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mmseg.apis import load_config
from mmseg.errors import command
from mmseg.models import MODELS, build_segmentor
from mmseg.utils.speed import flop_counter, measure

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = [*sorted(ROOT.glob('configs/_base_/models/*.py')), ROOT / 'configs/hrda/gtaHR2csHR_hrda.py']
SIZES = (512, 1024)
SECTION = re.compile(r'(<!-- models -->\n).*?(<!-- end of models -->)', re.DOTALL)
HEADER = ['| config | parameters | GFLOPs at 512x512 | GFLOPs at 1024x1024 | CPU, 512x512 | GPU |',
          '|---|---|---|---|---|---|']
ABSENT = 'not measured'


def read_model(config: Path) -> tuple[str, dict[str, Any]]:
    """Name and model section of a config; MiT-B5 stands in where the backbone is left to child configs."""
    model = {**load_config(config).model, 'pretrained': None}
    name = config.relative_to(ROOT / 'configs').with_suffix('').as_posix().removeprefix('_base_/models/')
    if MODELS.get(model['backbone']['type']) is None:
        return f'{name} (MiT-B5)', {**model, 'backbone': dict(type='mit_b5')}
    return name, model


def count(model_cfg: dict[str, Any]) -> tuple[float, list[float]]:
    """Million parameters, and GFLOPs of one image of each of :data:`SIZES`: two for a multiplication and addition."""
    with torch.device('meta'), torch.no_grad():  # no numbers are computed, and no short cuts of the CPU are taken
        model, gflops = build_segmentor(model_cfg).eval(), []
        for size in SIZES:
            with flop_counter() as counter:
                model.encode_decode(torch.empty(1, 3, size, size))
            gflops.append(counter.get_total_flops() / 1e9)
    return sum(p.numel() for p in model.parameters()) / 1e6, gflops


def cpu_latency(model_cfg: dict[str, Any], iters: int = 3) -> str:
    """Median time of one image of 512x512 on the CPU, with a note if the machine did not keep its speed meanwhile."""
    model, img = build_segmentor(model_cfg).eval(), torch.randn(1, 3, 512, 512)
    with torch.no_grad():
        result = measure(lambda: model.encode_decode(img), iters, 1, torch.device('cpu'))
    return f'{result["median_seconds"]:.2f} s' + ('' if result['calibration_ok'] else ' (unsteady)')


def cpu_name() -> str:
    """E.g. 'AMD EPYC 7B13, 2 threads, torch 2.5.0'."""
    info = Path('/proc/cpuinfo')
    found = re.search(r'model name\s*: (.+)', info.read_text()) if info.is_file() else None
    return f'{found[1] if found else platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}'


def main(args: Sequence[str] | None = None) -> None:
    """Write the table. Without --latency the times that the report has are kept."""
    parser = argparse.ArgumentParser(description='Parameters, GFLOPs and latency of every model config, as a table')
    parser.add_argument('--latency', action='store_true', help='measure CPU times, on an otherwise idle machine')
    parser.add_argument('--report', type=Path, default=ROOT / 'docs' / 'models.md', help='Markdown file to update')
    args = parser.parse_args(args)
    text = args.report.read_text() if args.report.is_file() else ''
    section = SECTION.search(text)
    if section is None:
        raise ValueError(f'{args.report} has no lines <!-- models --> and <!-- end of models -->: add them')
    rows = [re.split(r' *\| *', line)[1:-1] for line in section[0].splitlines() if line.startswith('|')]
    times = {} if args.latency else {row[0]: row[4] for row in rows}
    machine = re.search(r'^CPU: .*', section[0], re.MULTILINE)
    note = f'CPU: {cpu_name()}.' if args.latency else machine[0] if machine else f'CPU: {ABSENT}.'
    lines = list(HEADER)
    for config in CONFIGS:
        name, model_cfg = read_model(config)
        parameters, gflops = count(model_cfg)
        time = cpu_latency(model_cfg) if args.latency else times.get(name, ABSENT)
        cells = [name, f'{parameters:.2f} M', *(f'{value:.1f}' for value in gflops), time, ABSENT]
        lines.append(f'| {" | ".join(cells)} |')
        print(lines[-1], flush=True)
    table = '\n'.join([*lines, '', note, ''])
    args.report.write_text(SECTION.sub(lambda marks: f'{marks[1]}{table}{marks[2]}', text))


if __name__ == '__main__':
    command(main)
