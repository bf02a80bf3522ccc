"""Which card runs what: the peak memory of a training iteration, estimated without a GPU and without computing.

    python -m tools.memory_table --report docs/performance.md
    python -m tools.memory_table CONFIG --size 256 256 --precision fp32 --measure

One whole iteration runs on tensors without content (torch's fake tensors): teacher, all branches with their backward
passes, optimizer step. What every operation allocates is added up while it lives; the largest sum is the peak. It holds
weights, gradients, AdamW's moments, teacher and frozen network. Not in it: the CUDA context, what libraries use inside
of an operation, and gaps between blocks of memory; MARGIN and CONTEXT_GIB stand for them where a card is named.
"""
from __future__ import annotations

import argparse
import time
import warnings
import weakref
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from mmengine.config import DictAction
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmseg.apis import load_config
from mmseg.engine.low_memory import save_memory
from mmseg.engine.optim import build_optim_wrapper
from mmseg.models import build_train_model, preprocess
from mmseg.models.builder import training_crop
from mmseg.models.layers import DepthwiseConv2d
from tools.benchmark import synthetic_batch

GIB = 2**30
CARDS = (8, 11, 16, 24, 32, 40, 48, 80)  # GiB
MARGIN, CONTEXT_GIB = 1.15, 0.75  # assumptions, not measurements
PRECISIONS = ('fp32', 'bf16', 'low')
LATE = 10**4  # an iteration at which every bank is warm
RANDOM_WEIGHTS = {'model.pretrained': None, 'uda.imnet_feature_dist_allow_random': True}
CONFIGS = {
    'DAFormer': 'configs/daformer/gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py',
    'HRDA': 'configs/hrda/gtaHR2csHR_hrda.py',
    'MIC on HRDA': 'configs/mic/gtaHR2csHR_mic_hrda.py',
}
METHODS = {'': {}, ' + MRM': {'uda.mrm': {}}, ' + DIDA': {'uda.instance_bank': {}}}
BEGIN, END = '<!-- memory table: python -m tools.memory_table -->', '<!-- end of the memory table -->'


class LiveMemory(TorchDispatchMode):
    """Adds up the bytes of all tensors that operations inside make, shared memory once, while they live.

    Attributes:
        now, peak: bytes at present, and the most so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._known:
            self._known.add(key)
            weakref.finalize(storage, self._drop, key, storage.nbytes())
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)

    def _drop(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def _norm_in_fp32(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Layer norm as a GPU's autocast has it; that of CPUs, which the estimate runs under, leaves it in bfloat16."""
    return LAYER_NORM(x.float() if torch.is_autocast_enabled('cpu') else x, *args, **kwargs)


LAYER_NORM = F.layer_norm


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """Tensors without content, and what computes in another way on a CPU replaced by what a GPU does."""
    with ExitStack() as stack:
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        stack.enter_context(mock.patch.object(DepthwiseConv2d, 'forward', nn.Conv2d.forward))
        stack.enter_context(mock.patch.object(F, 'layer_norm', _norm_in_fp32))
        # nothing without content may stay in the cache
        stack.enter_context(mock.patch.object(preprocess, '_constants', preprocess._constants.__wrapped__))
        yield


def allocate(model: nn.Module) -> nn.Module:
    """The model from the meta device with memory for parameters and buffers."""
    for module in model.modules():
        for own, wrap in ((module._parameters, nn.Parameter), (module._buffers, lambda x, _: x)):
            own.update({name: wrap(torch.empty(x.shape, dtype=x.dtype), x.requires_grad)
                        for name, x in own.items() if x is not None})
    return model


def iterate(model: nn.Module, cfg: Any, size: tuple[int, int]) -> None:
    """One training iteration, or the first of its parts, with images of ``size`` (height, width) and all state."""
    wrapper = build_optim_wrapper(model.train(), cfg)
    for parameter in model.parameters():
        parameter.grad = torch.empty_like(parameter) if parameter.requires_grad else None
    wrapper.optimizer.step()  # the moments are there from the second iteration on
    model.start(seed=0, rank=0, iteration=LATE, parts=wrapper.accumulate)
    model.train_step(synthetic_batch(cfg.data.samples_per_gpu, size, model.num_classes), wrapper)


def estimated_bytes(cfg: Any, size: tuple[int, int]) -> int:
    """Most bytes that live at one time of a training iteration, without computing it.

    Args:
        cfg: a whole config.
        size: (height, width) of the images.
    """
    with torch.device('meta'):
        model = build_train_model(cfg)
    with as_on_a_gpu(), LiveMemory() as memory:
        iterate(allocate(model), cfg, size)
    return memory.peak


def measured_bytes(cfg: Any, size: tuple[int, int]) -> int:
    """The same, from what torch's allocator reports while this CPU computes the iteration."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        iterate(build_train_model(cfg), cfg, size)
    changes = [(event.start_ns(), event.nbytes()) for event in profiler.profiler.kineto_results.events()
               if event.name() == '[memory]']
    return max(accumulate(change for _, change in sorted(changes)))


def card(peak: int) -> str:
    """The smallest class of card for a peak, margin and context included."""
    needed = peak / GIB * MARGIN + CONTEXT_GIB
    return next((f'{size} GB' for size in CARDS if needed <= size), f'more than {CARDS[-1]} GB')


def config(path: str, options: dict[str, Any], precision: str) -> Any:
    """A config with random weights, in one of PRECISIONS."""
    cfg = load_config(path, {**RANDOM_WEIGHTS, **options})
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
    parser = argparse.ArgumentParser(description='Peak memory of a training iteration, estimated without a GPU')
    parser.add_argument('configs', nargs='*', help='default: DAFormer, HRDA and MIC on HRDA, each with MRM and DIDA')
    parser.add_argument('--size', type=int, nargs=2, metavar=('H', 'W'), help='of the images; default: the crop')
    parser.add_argument('--precision', nargs='+', choices=PRECISIONS, default=list(PRECISIONS),
                        help='low: as with --memory low of tools/train.py')
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
    main()
