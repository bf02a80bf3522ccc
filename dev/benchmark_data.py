"""Samples per second of a config's training data, without and with cache, on images as large as real ones.

    python -m dev.benchmark_data configs/_base_/datasets/uda_gta_to_cityscapes_512x512.py --out result.json

Images are drawn: smooth shapes with as much noise as makes PNG files of the wanted size. All runs in this process,
and all files are in the system's file cache, so the figures say what a core can do, not what a disk can. Processor time
does not depend on what other programs do at the same time, the clock does.
"""
from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmseg.apis import load_config
from mmseg.datasets import build_dataset
from mmseg.datasets.sample_cache import cache_dataset
from mmseg.errors import command
from mmseg.registry import DATASETS

SIZES = {'source': (1052, 1914), 'target': (1024, 2048)}  # height and width of GTA and of Cityscapes
RARE_CLASS_SAMPLING = dict(min_pixels=3000, class_temp=0.01, min_crop_ratio=0.5)
WARMUP = 3  # samples before the measurement
READ = {'source': ('img_dir', 'ann_dir'), 'target': ('img_dir',)}  # folders from which a training reads
STEPS, BATCH = 10, 2  # a fast training: steps a second, and pairs in each


def parse_args(args: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of dev/benchmark_data.py."""
    parser = argparse.ArgumentParser(description='Samples per second of the training data, without and with cache')
    parser.add_argument('config', help='config with a UDADataset; its own images are not needed')
    parser.add_argument('--mib', type=float, default=2.8, help='size of the PNG files (default: %(default)s)')
    parser.add_argument('--num', type=int, default=8, help='images per domain (default: %(default)s)')
    parser.add_argument('--iters', type=int, default=60, help='measured samples (default: %(default)s)')
    parser.add_argument('--threads', type=int, default=1, help='of OpenCV (default: %(default)s)')
    parser.add_argument('--out', help='write the result as JSON to this file')
    return parser.parse_args(args)


def picture(size: tuple[int, int], noise: float, seed: int) -> np.ndarray:
    """uint8 [H, W, 3]: smooth shapes, and noise of this standard deviation."""
    rng = np.random.RandomState(seed)
    shapes = cv2.resize(rng.randint(40, 216, (9, 16, 3)).astype(np.float32), size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(shapes + noise * rng.standard_normal((*size, 3)), 0, 255).astype(np.uint8)


def encode(image: np.ndarray) -> bytes:
    """The image as PNG."""
    return cv2.imencode('.png', image)[1].tobytes()


def find_noise(size: tuple[int, int], mib: float) -> float:
    """The standard deviation that makes PNG files of about ``mib`` MiB."""
    low, high = 0.0, 60.0
    for _ in range(8):
        middle = (low + high) / 2
        low, high = (middle, high) if len(encode(picture(size, middle, 0))) < mib * 2**20 else (low, middle)
    return middle


def write_domain(section: dict[str, Any], root: Path, size: tuple[int, int], num: int, mib: float) -> float:
    """Images and labels of one domain below ``root``; returns the mean size of an image file in MiB."""
    kind, noise = DATASETS.get(section['type']), find_noise(size, mib)
    section['data_root'] = str(root)
    sizes = []
    for i in range(num):
        ids = np.random.RandomState(i).randint(0, len(kind.CLASSES), (size[0] // 64 + 1, size[1] // 64 + 1))
        label = ids.astype(np.uint8).repeat(64, 0).repeat(64, 1)[:size[0], :size[1]]
        for folder, suffix, content in ((section['img_dir'], kind.IMG_SUFFIX, encode(picture(size, noise, i))),
                                        (section['ann_dir'], kind.SEG_MAP_SUFFIX, encode(label))):
            path = root / folder / f'{i:05d}{suffix}'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            sizes.append(len(content))
    return float(np.mean(sizes[::2])) / 2**20


def rate(get: Callable[[int, np.random.RandomState], Any], iters: int) -> dict[str, Any]:
    """Calls per second, by the clock and by the processor time of this process (of all its threads)."""
    times = []
    for position in range(WARMUP + iters):
        rng = np.random.RandomState(position)
        start = time.perf_counter(), time.process_time()
        get(position, rng)
        times.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    wall, processor = (list(column) for column in zip(*times[WARMUP:]))
    return dict(per_second=1 / statistics.median(wall), per_processor_second=1 / statistics.median(processor),
                seconds_each=wall, processor_seconds_each=processor)


def rates(train: dict[str, Any], iters: int) -> dict[str, Any]:
    """Of source samples, target samples and pairs."""
    dataset = build_dataset(train)
    kinds = {'source': dataset.source.sample, 'target': dataset.target.sample, 'pairs': dataset.sample}
    return {name: rate(get, iters) for name, get in kinds.items()}


def decoding_rate(section: dict[str, Any], folders: Sequence[str], iters: int) -> dict[str, Any]:
    """Samples per second of a domain if a sample were its decoded files and nothing else; the files are in memory."""
    columns = [sorted(Path(section['data_root'], section[folder]).iterdir()) for folder in folders]
    contents = [[np.frombuffer(path.read_bytes(), np.uint8) for path in paths] for paths in zip(*columns)]
    return rate(lambda position, _: [cv2.imdecode(file, cv2.IMREAD_UNCHANGED)
                                     for file in contents[position % len(contents)]], iters)


def checksum_rate(cache: Path, iters: int) -> dict[str, Any]:
    """Checksums per second of cached source samples; each reading of a sample computes one."""
    contents = [path.read_bytes() for path in sorted(cache.glob('source/*.arrays'))]
    return rate(lambda position, _: zlib.crc32(contents[position % len(contents)]), iters)


def main(args: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the program; returns what it writes."""
    options = parse_args(args)
    cv2.setNumThreads(options.threads)
    train = load_config(options.config).data.train.to_dict()
    train['rare_class_sampling'] = RARE_CLASS_SAMPLING
    with tempfile.TemporaryDirectory() as folder:
        mib = {domain: write_domain(train[domain], Path(folder, domain), size, options.num, options.mib)
               for domain, size in SIZES.items()}
        result = dict(plain=rates(train, options.iters), decoding={
            domain: decoding_rate(train[domain], folders, options.iters) for domain, folders in READ.items()})
        cache_dataset(train, f'{folder}/cache', 1)
        result['cached'] = rates({**train, 'cache': f'{folder}/cache'}, options.iters)
        result['checksum'] = checksum_rate(Path(folder, 'cache'), options.iters)
    result = dict(config=options.config, image_sizes=SIZES, png_mib=mib, images=options.num, threads=options.threads,
                  device=platform.processor() or platform.machine(), opencv=cv2.__version__, **result)
    for kind in ('source', 'target', 'pairs'):
        plain, cached = (result[how][kind]['per_processor_second'] for how in ('plain', 'cached'))
        alone = result['decoding'].get(kind)
        decoded = f", decoding alone {alone['per_processor_second']:.1f}" if alone else ''
        print(f'{kind}: {plain:.1f} per second of processor time, with cache {cached:.1f}{decoded}')
    print(f'workers for {STEPS} steps a second of {BATCH} pairs: {STEPS * BATCH / plain:.1f}, with cache '
          f'{STEPS * BATCH / cached:.1f}')
    print(f"checksum of a cached source sample: {1000 / result['checksum']['per_processor_second']:.2f} ms")
    if options.out:
        Path(options.out).write_text(json.dumps(result, indent=1) + '\n')
    return result


if __name__ == '__main__':
    command(main)
