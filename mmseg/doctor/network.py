"""Is the network fit: classes, pretrained weights, one training step and its memory."""
from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmengine import Config
from torch import nn

from mmseg.checkpoint.pretrained import FOLDER, to_download
from mmseg.config.memory import GIB, total_memory
from mmseg.datasets import CustomDataset, build_dataset, build_train_loader
from mmseg.datasets.base import SampledDataset
from mmseg.datasets.sections import Place, walk
from mmseg.datasets.synthetic import synthetic_batch
from mmseg.doctor.agreement import check_agreement
from mmseg.doctor.classes import complete_stats
from mmseg.doctor.memory import card, estimated_bytes
from mmseg.doctor.report import Report
from mmseg.engine.optim import build_optim_wrapper
from mmseg.engine.seeds import seed_everything
from mmseg.models import build_segmentor, build_train_model
from mmseg.models.builder import training_crop
from mmseg.utils.commands import called

SMALL = 128  # shorter side in pixels of the crops of a small step
FETCH = 'sh tools/download_checkpoints.sh mit, or docs/model_zoo.md and docs/how-to/encoders.md'
SMALLER = ("a smaller data.samples_per_gpu, amp=dict(dtype='bfloat16'), smaller crops, a smaller encoder, or a GPU "
           'with more memory')
MODEL = 'correct the sections model and uda (docs/reference/config.md)'


def check_network(report: Report, cfg: Config, datasets: Mapping[str, SampledDataset]) -> bool:
    """Report on the network and its weights, and on whether it has the classes of the data.

    Args:
        datasets: those of the config that could be built, by key.

    Returns:
        Whether there is a network that can be built.
    """
    report.section('network')
    if not cfg.get('model'):
        report.problem('there is no model section', 'inherit from a file in configs/_base_/models')
        return False
    segmentor = None
    with report.guarded(MODEL):
        segmentor = build_segmentor(cfg.model)
        parameters = sum(p.numel() for p in segmentor.parameters())
        report.ok(f'{type(segmentor).__name__} with {type(segmentor.backbone).__name__}: {parameters / 1e6:.1f} M '
                  f'parameters, {segmentor.num_classes} classes')
        _check_pretrained(report, segmentor.backbone)
        check_agreement(report, cfg, segmentor, datasets)
    return segmentor is not None


def _check_pretrained(report: Report, backbone: nn.Module) -> None:
    source = getattr(backbone, 'pretrained', None)
    if source is None:
        report.warn('the encoder starts from random weights', f'model.pretrained, the published runs use ImageNet '
                    f'weights: {FETCH}')
        return
    with report.guarded(f'{FETCH}; model.pretrained=None starts from random weights, with far lower scores'):
        if source is True:
            report.warn('timm downloads the weights of the encoder when a training starts', 'start one while online')
        elif url := to_download(source, type(backbone).__name__):
            report.warn(f'{source} is downloaded to {FOLDER} when a training starts', f'fetch {url} now')
        else:
            backbone.init_weights()
            report.ok(f'{source} holds the weights of the encoder')


def check_step(report: Report, cfg: Config, device: torch.device, readable: bool) -> None:
    """Try a training iteration with the config's data: of small crops, on a GPU then of the full size.

    Args:
        readable: whether the data is fit; else the images are synthetic.
    """
    report.section('one training iteration')
    crop = training_crop(cfg)
    small = _at_size(cfg, crop)
    batch = full = _batch(report, cfg, crop, readable)
    with report.guarded(f'{MODEL}; out of memory: {SMALLER}'):
        seed_everything(0)
        model = build_train_model(small).to(device).train()
        wrapper = build_optim_wrapper(model, small)
        if small is not cfg:
            batch = _batch(Report(quiet=True), small, training_crop(small), readable)
        start = time.perf_counter()
        logs = model.train_step(batch, wrapper)
        losses = {name: float(value) for name, value in logs.trained.items()}
        seconds, size = time.perf_counter() - start, batch['img'].shape[-2:]
        report.ok(f'{len(batch["img"])} crops of {size[0]}x{size[1]} on {device} in {seconds:.1f} s: '
                  + ', '.join(f'{name} {value:.3g}' for name, value in losses.items()))
        wrong = [name for name, value in losses.items() if not math.isfinite(value)]
        if wrong:
            report.problem(f'not a finite number: {", ".join(wrong)}', 'look at images and labels '
                           f'({called("browse", "browse_dataset")} CONFIG); lower optimizer.lr; leave amp out')
        del model, wrapper
        if device.type == 'cuda':
            _measure_memory(report, cfg, full, device)
        else:
            _estimate_memory(report, cfg, crop or tuple(full['img'].shape[-2:]), device)


def _estimate_memory(report: Report, cfg: Config, size: tuple[int, int], device: torch.device) -> None:
    try:
        needed, there = estimated_bytes(cfg, size), total_memory(device)
    except Exception as error:  # the step itself has just worked
        report.warn(f'the memory could not be estimated: {error}', 'part of the step asks for values of tensors, which '
                    'have none in the estimate; a training is not concerned')
        return
    text = (f'memory of an iteration with images of {size[0]}x{size[1]}, estimated: {needed / GIB:.2f} GiB; the '
            f'smallest GPU for it: {card(needed)}')
    if needed > there:
        report.problem(f'{text}; {device} has {there / GIB:.1f} GiB', SMALLER)
    else:
        report.ok(text)


def _measure_memory(report: Report, cfg: Config, batch: dict[str, Any], device: torch.device) -> None:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    model = build_train_model(cfg).to(device).train()
    model.train_step(batch, build_optim_wrapper(model, cfg))
    torch.cuda.synchronize(device)
    report.ok(f'an iteration of the full size used {torch.cuda.max_memory_allocated(device) / GIB:.1f} GiB')


def _batch(report: Report, cfg: Config, crop: tuple[int, int] | None, readable: bool) -> dict[str, Any]:
    """The first batch of a training, without counting classes for hours; a synthetic one if the data cannot be read."""
    samples = cfg.data.get('samples_per_gpu', 2)
    if readable:
        with report.guarded('correct the training pipelines (docs/reference/config.md, data)'):
            train = copy.deepcopy(cfg.data.train)
            for place in walk(train, 'data.train'):
                if place.section.get('rare_class_sampling') and not all(map(_is_counted, _sampled(place))):
                    place.section['rare_class_sampling'] = None
            start = time.perf_counter()
            batch = next(iter(build_train_loader(build_dataset(train), samples, 0, seed=cfg.get('seed') or 0, stop=1)))
            report.ok(f'a batch is loaded in {time.perf_counter() - start:.1f} s in one process')
            return batch
    report.ok('with synthetic images, since there are problems with the data')
    return synthetic_batch(samples, crop or (SMALL, SMALL), cfg.model.decode_head.num_classes)


def _sampled(place: Place) -> Iterator[Any]:
    """The sections that the rare class sampling of a wrapper draws from."""
    for name, inner in place.inner.items():
        if inner.sampled:
            yield from place.section[name] if inner.several else [place.section[name]]


def _is_counted(source: Any) -> bool:
    """Whether rare class sampling has all statistics; it refuses what is no single data set on disk."""
    dataset = build_dataset(source)
    return not isinstance(dataset, CustomDataset) or complete_stats(dataset) is not None


def _at_size(cfg: Config, crop: tuple[int, int] | None) -> Config:
    """The config with all crops shrunk so that the shorter side has about SMALL pixels; itself if it is that small."""
    if crop is None or min(crop) <= SMALL:
        return cfg
    factor = SMALL / min(crop)
    small = copy.deepcopy(cfg)
    for owner, key in _crops(small):
        owner[key] = tuple(max(32, round(side * factor / 32) * 32) for side in owner[key])
    return small


def _crops(cfg: Config) -> Iterator[tuple[Any, str]]:
    """Where the config says the size of what networks see while training."""
    if cfg.model.get('hr_crop_size'):
        yield cfg.model, 'hr_crop_size'
    for place in walk(cfg.data.train, 'data.train'):
        if place.section.get('sync_crop_size'):
            yield place.section, 'sync_crop_size'
        for step in place.section.get('pipeline') or ():
            for kind, key in (('RandomCrop', 'crop_size'), ('Pad', 'size')):
                if step['type'] == kind and step.get(key):
                    yield step, key
