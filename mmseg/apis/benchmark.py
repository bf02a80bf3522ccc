"""Speed and memory of a config: training step, inference, prediction of files or data loading."""
from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from mmseg.apis.inference import Predictor, init_segmentor
from mmseg.apis.predict import find_jobs, predict_files
from mmseg.config import load_config
from mmseg.datasets import build_dataset, build_train_loader
from mmseg.datasets.synthetic import synthetic_batch
from mmseg.engine.optim import build_optim_wrapper
from mmseg.models import build_train_model
from mmseg.toy_scenes import render, street_scene
from mmseg.utils.device import resolve_device
from mmseg.utils.heap import keep_freed_memory
from mmseg.utils.speed import flop_counter, measure, peak_memory_mib, synchronize
from mmseg.visualization import write_image

TURNS = 3  # of the network alone and of files


class PhaseTimer:
    """Adds up the seconds that chosen methods of an object take, by phase name."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, defaultdict(float)

    def wrap(self, owner: Any, method: str, phase: str) -> None:
        """Time ``owner.method``."""
        original = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            synchronize(self.device)
            start = time.perf_counter()
            result = original(*args, **kwargs)
            synchronize(self.device)
            self.seconds[phase] += time.perf_counter() - start
            return result

        setattr(owner, method, timed)


def phase_shares(model: Any, optim_wrapper: Any, batches: Any, iters: int, device: torch.device) -> dict[str, float]:
    """Share of each phase of the training step, in percent."""
    timer = PhaseTimer(device)
    timer.wrap(optim_wrapper, 'step', 'optimizer')
    if hasattr(model, 'branches'):
        for name, branch in model.branches.items():
            timer.wrap(branch, 'run', name)
        timer.wrap(model, 'begin', 'transfer')
    if getattr(model, 'teacher', None) is not None:
        timer.wrap(model.teacher, 'update', 'ema')
        timer.wrap(model, 'pseudo_labels', 'teacher')
        timer.wrap(model, 'mixed', 'class mix')
    timer.wrap(model, 'train_step', 'total')
    for _ in range(iters):
        start = time.perf_counter()
        batch = next(batches)
        timer.seconds['data'] += time.perf_counter() - start
        model.train_step(batch, optim_wrapper)
    total = timer.seconds.pop('total') + timer.seconds['data']
    return {name: round(100 * seconds / total, 1) for name, seconds in timer.seconds.items()}


def endless(batch: dict[str, Any]) -> Any:
    """One batch again and again."""
    while True:
        yield batch


def config_batches(cfg: Any, batch: int) -> Any:
    """Training batches of the config's data set, of ``batch`` samples each."""
    dataset = build_dataset(cfg.data.train)
    return iter(build_train_loader(dataset, batch, cfg.data.workers_per_gpu, seed=0, stop=10**9))


def bench_train(cfg: Any, args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """The training step, without and with timers around its phases."""
    batch = args.batch or cfg.data.samples_per_gpu
    torch.manual_seed(0)
    model = build_train_model(cfg)
    model.init_weights()
    model.to(device).train()
    if args.compile:
        for part in (model.networks()['student'].backbone, model.networks()['student'].decode_head):
            part.compile()
    optim_wrapper = build_optim_wrapper(model, cfg)
    source = config_batches(cfg, batch) if args.data == 'config' else endless(
        synthetic_batch(batch, tuple(args.size), model.num_classes))
    result = measure(lambda: model.train_step(next(source), optim_wrapper), args.iters, args.warmup, device)
    result['images_per_second'] = 2 * batch / result['median_seconds']
    if not args.compile:
        with flop_counter() as counter:
            model.train_step(next(source), optim_wrapper)
        result['gflop_per_call'] = counter.get_total_flops() / 1e9
        result['arithmetic_floor_seconds'] = result['gflop_per_call'] / statistics.mean(result['sgemm_gflops'])
    result['phase_percent'] = phase_shares(model, optim_wrapper, source, min(args.iters, 5), device)
    return dict(result, batch=batch)


def bench_infer(cfg: Any, args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Label maps of one image (or batch) as ``test_cfg`` of the config says."""
    batch = args.batch or 1
    torch.manual_seed(0)
    model = build_train_model(cfg).networks()['student'].to(device).eval()
    data = synthetic_batch(batch, tuple(args.size), model.num_classes)
    img = torch.randn(batch, 3, *args.size, device=device)
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, bool(args.amp)):
        result = measure(lambda: model.predict([img], [data['img_metas']]), args.iters, args.warmup, device)
    return dict(result, images_per_second=batch / result['median_seconds'], batch=batch)


def bench_predict(cfg: Any, args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Drawn images from JPEG files to pictures beside them, and the network alone on the same images, by turns."""
    torch.manual_seed(0)
    model = init_segmentor(cfg, device=str(device))
    predictor, seconds = Predictor(model), dict(network=[], files=[])
    with TemporaryDirectory() as folder:
        height, width = args.size
        for index in range(args.iters):
            write_image(Path(folder) / f'images/{index}.jpg', render(street_scene('camera', 0, index, width, height)))
        jobs, _ = find_jobs(Path(folder) / 'images')
        samples = [predictor.prepare(predictor.load(job.source)) for job in jobs]
        runs = dict(network=lambda: [predictor.predict(sample) for sample in samples],
                    files=lambda: predict_files(model, jobs, bf16=bool(args.amp), progress=False))
        with torch.autocast(device.type, torch.bfloat16, bool(args.amp)):  # as predict_files has it with bf16
            for _ in range(TURNS):
                for name, run in runs.items():
                    seconds[name] += measure(run, 1, args.warmup, device)['seconds_each']
    alone, together = (statistics.median(found) for found in seconds.values())
    return dict(seconds=seconds, images=len(jobs), network_images_per_second=len(jobs) / alone,
                images_per_second=len(jobs) / together, share_of_network=alone / together)


def bench_data(cfg: Any, args: argparse.Namespace, _: torch.device) -> dict[str, Any]:
    """Samples per second of the config's training pipeline in this process."""
    cfg.data.workers_per_gpu = 0
    batches = config_batches(cfg, 1)
    result = measure(lambda: next(batches), args.iters, args.warmup, torch.device('cpu'))
    return dict(result, samples_per_second=1 / result['median_seconds'], batch=1)


MODES = dict(train=bench_train, infer=bench_infer, predict=bench_predict, data=bench_data)


def benchmark(args: argparse.Namespace) -> dict[str, Any]:
    """Measure what :func:`mmseg.cli.benchmark.parse_args` has read, print it and return it."""
    imports = peak_memory_mib(torch.device('cpu'))
    cfg = load_config(args.config, args.options, trust=args.trust_config)
    if args.amp:
        cfg.amp = dict(dtype=args.amp)
    device = resolve_device(args.device)
    keep_freed_memory(device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = args.tf32
    result = MODES[args.mode](cfg, args, device)
    result.update(
        rss_after_imports_mib=imports, config=args.config, mode=args.mode,
        size=list(args.size), data=args.data, amp=args.amp, compile=args.compile,
        tf32=args.tf32, options=args.options, device=torch.cuda.get_device_name(device) if device.type == 'cuda' else
        f'{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads', torch=torch.__version__)
    text = json.dumps(result, indent=1, default=str)
    print(text)
    if args.out:
        Path(args.out).parent.mkdir(parents=True, exist_ok=True)
        Path(args.out).write_text(text + '\n')
    return result
