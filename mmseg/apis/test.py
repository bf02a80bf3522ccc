"""Test a checkpoint on a data set: scores, prediction pictures, files for test servers."""
from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine import Config
from torch import Tensor, nn

from mmseg.apis.inference import load_classes, picture_reader, show_result_pyplot
from mmseg.checkpoint.networks import load_segmentor
from mmseg.datasets import FolderDataset, build_dataset, build_eval_loader
from mmseg.datasets.sections import walk
from mmseg.distributed import processes
from mmseg.engine.env import collect_env
from mmseg.evaluation import (
    Background,
    ImageResults,
    OnImage,
    PredictionPictures,
    ProbabilityFiles,
    TestServerExport,
    check_metrics,
    class_subsets,
    evaluate_network,
    format_table,
    iou_lines,
    official_scores,
    official_truths,
    predictions,
    renew_norm_statistics,
)
from mmseg.models import build_segmentor
from mmseg.report.curves import curves_of_folder
from mmseg.report.files import write_report
from mmseg.report.result import evaluated
from mmseg.utils.config_text import format_config
from mmseg.utils.names import nearest

OFFICIAL = 'cityscapes'  # the metric that the program of the Cityscapes authors computes
EVAL_OPTIONS = ('imgfile_prefix', 'to_label_id', 'efficient_test')


@dataclass
class TestOutputs:
    """What a test run is to produce.

    Attributes:
        metrics: to compute, of 'mIoU', 'mDice', 'mFscore', and 'cityscapes' for the official evaluation.
        out: pickle file of the predictions, a list of uint8 [h, w] arrays.
        show_dir: folder of prediction pictures.
        opacity: of the predictions in them; 1 writes palette PNGs of train ids.
        show: open a window per image.
        format_only: write files for a test server, and a zip of them; ``eval_options`` says where and how.
        report: folder of a report of the scores (:mod:`mmseg.report`), which only ``metrics`` of ours give.
        probabilities: folder of the probabilities of all classes, see
            :class:`~mmseg.evaluation.writers.ProbabilityFiles`.
        probabilities_format: 'npz' or 'png', of these files.
        eval_options: imgfile_prefix (folder) and to_label_id (True) for ``format_only``; of the official evaluation the
            former keeps the files that it reads.
    """
    __test__ = False  # not a test, whatever pytest makes of the name

    metrics: tuple[str, ...] = ()
    out: str | None = None
    show_dir: str | None = None
    opacity: float = 0.5
    show: bool = False
    format_only: bool = False
    report: str | None = None
    probabilities: str | None = None
    probabilities_format: str = 'npz'
    eval_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what contradicts itself, before anything is loaded.

        Raises:
            ValueError: naming the flag and the remedy.
        """
        if not (self.metrics or self.out or self.show_dir or self.show or self.format_only or self.probabilities):
            raise ValueError('nothing to do: give at least one of --out, --eval, --format-only, --show, --show-dir, '
                             '--probabilities')
        if self.metrics and self.format_only:
            raise ValueError('--eval and --format-only exclude each other: a test set has no labels to compare with')
        if self.out is not None and not self.out.endswith(('.pkl', '.pickle')):
            raise ValueError(f'--out {self.out}: the file must end in .pkl or .pickle')
        if not 0 < self.opacity <= 1:
            raise ValueError(f'--opacity {self.opacity}: must be above 0 and at most 1')
        for key in self.eval_options:
            if key not in EVAL_OPTIONS:
                raise ValueError(f'--eval-options {key}: unknown, {nearest(key, EVAL_OPTIONS)}')
        if self.format_only and not self.eval_options.get('imgfile_prefix'):
            raise ValueError('--format-only needs a folder: add --eval-options imgfile_prefix=FOLDER')
        if self.official and not self.eval_options.get('to_label_id', True):
            raise ValueError('--eval cityscapes compares label ids: remove to_label_id=False')
        check_metrics(self.own_metrics)

    @property
    def official(self) -> bool:
        """Whether the official evaluation is asked for."""
        return OFFICIAL in self.metrics

    @property
    def own_metrics(self) -> tuple[str, ...]:
        """The other metrics."""
        return tuple(metric for metric in self.metrics if metric != OFFICIAL)


def run_test(cfg: Config, checkpoint: str, outputs: TestOutputs, network: str = 'student',
             device: torch.device | str = 'cpu', target_images: str | None = None) -> dict[str, float]:
    """Predict ``cfg.data.test`` with a checkpoint and produce the outputs; tables are printed.

    Several processes share the images; process 0 prints, collects and runs the official evaluation.

    Args:
        cfg: a loaded config.
        checkpoint: file with the weights.
        outputs: what to produce.
        network: 'student' or 'teacher', of a UDA checkpoint.
        device: where to compute.
        target_images: folder of images without labels; the batch norms take their statistics from them first.

    Returns:
        The scores in 0..1, those of the official evaluation as 'cityscapes.mIoU', 'cityscapes.IoU.road' and so on; {}
        without metrics.
    """
    model, dataset, meta = _model_and_images(cfg, checkpoint, network)
    if target_images is not None:
        _take_statistics(model.to(device), target_images, cfg, device)
    if outputs.official:
        official_truths(dataset)  # first, since they are asked for after hours only
    metrics = outputs.own_metrics
    report = Path(outputs.report) if outputs.report and metrics else None
    if report and processes.is_main():
        report.mkdir(parents=True, exist_ok=True)  # that it cannot be made must not turn out after hours
    loader = build_eval_loader(dataset, cfg.data.get('workers_per_gpu', 2), with_label=bool(metrics),
                               rank=processes.rank(), world_size=processes.count())
    with ExitStack() as folders:
        with Background() as background, ExitStack() as files:
            export = _export(outputs, model, dataset, background, folders)
            consumers = [*_consumers(outputs, model, background, files), *filter(None, [export])]
            images = files.enter_context(ImageResults(len(dataset), model.num_classes)) if report else None
            observers: list[OnImage] = [images] if images else []
            if outputs.probabilities:
                observers.append(ProbabilityFiles(outputs.probabilities, dataset.CLASSES, background,
                                                  f'.{outputs.probabilities_format}'))
            scores = evaluate_network(
                model.to(device), loader, device=device, dataset=dataset, metrics=metrics,
                subsets=class_subsets(cfg, dataset.CLASSES), on_prediction=partial(_tell_all, consumers),
                on_image=partial(_tell_all, observers) if observers else None)
        if export is not None:
            export.gather()
        if processes.is_main():
            scores |= _tell_scores(outputs, scores, dataset, export)
    if report and images and processes.is_main():
        facts = _facts(checkpoint, network, meta, cfg, dataset, target_images)
        print(f'report: {_write_report(report, scores, images, model, dataset, facts)}')
    return scores


def _tell_scores(outputs: TestOutputs, scores: Mapping[str, float], dataset: Any, export: TestServerExport | None
                 ) -> dict[str, float]:
    """Print the tables, and where the files for a server are; returns the scores of the official evaluation, if any."""
    if scores:
        print(f'{format_table(scores, dataset.CLASSES)}\n{iou_lines(scores)}')
    if export is not None and outputs.format_only:
        print(f'to upload: {export.archive()}')
    if export is None or not outputs.official:
        return {}
    official = official_scores(export.folder, dataset)
    print(f'official evaluation (cityscapesscripts), {format_table(official, dataset.CLASSES)}')
    return {f'{OFFICIAL}.{name}': value for name, value in official.items()}


def _tell_all(listeners: Sequence[Callable[..., object]], *what: Any) -> None:
    for listener in listeners:
        listener(*what)


def _facts(checkpoint: str, network: str, meta: Mapping[str, Any], cfg: Config, dataset: Any,
           target_images: str | None) -> dict[str, str]:
    """What a report says about the test."""
    facts = {'config': str(cfg.filename), 'checkpoint': checkpoint, 'network': network,
             'iteration': str(meta.get('iter', 'unknown')),
             'data': f'{len(dataset)} images of {type(dataset).__name__}',
             'written': f'{datetime.now():%Y-%m-%d %H:%M}'}
    return facts if target_images is None else {**facts, 'statistics of batch norms': target_images}


def _write_report(folder: Path, scores: dict[str, float], images: ImageResults, model: nn.Module, dataset: Any,
                  facts: dict[str, str]) -> Path:
    """The report of a test, with the curves of the run whose folder the checkpoint lies in."""
    run = Path(facts['checkpoint']).resolve().parent
    name = f'{run.name}, {facts["network"]}'
    result = evaluated(name, scores, images, dataset.CLASSES, model.PALETTE, curves=curves_of_folder(run), facts=facts,
                       environment=collect_env(), config=format_config(model.cfg.to_dict()))
    return write_report(folder, name, [result], images.scores)


def score_with_target_statistics(cfg: Config, checkpoint: str, target_images: str,
                                 device: torch.device | str = 'cpu') -> dict[str, float]:
    """Score the student on ``cfg.data.test``, its batch norms having taken their statistics from ``target_images``.

    Args:
        cfg: a loaded config.
        checkpoint: file with the weights.
        target_images: folder of images without labels.
        device: where to compute.

    Returns:
        The scores in 0..1, as at an evaluation while training.

    Raises:
        ValueError: if the network has no batch norm.
    """
    model, dataset, _ = _model_and_images(cfg, checkpoint, 'student')
    _take_statistics(model.to(device), target_images, cfg, device)
    loader = build_eval_loader(dataset, cfg.data.get('workers_per_gpu', 2))
    return evaluate_network(model, loader, device=device, dataset=dataset, progress=False)


def _model_and_images(cfg: Config, checkpoint: str, network: str) -> tuple[nn.Module, Any, Mapping[str, Any]]:
    """The network, the images to test it on, and the checkpoint's meta."""
    cfg.model.pretrained, cfg.model.train_cfg, cfg.data.test.test_mode = None, None, True
    model = build_segmentor(cfg.model)
    meta = load_segmentor(model, checkpoint, network=network)
    dataset = build_dataset(cfg.data.test)
    load_classes(model, meta, dataset)
    model.cfg = cfg
    return model, dataset, meta


def target_dataset(cfg: Config, folder: str, classes: Sequence[str]) -> FolderDataset:
    """The images of a folder, without labels, as the config shows the network those of ``cfg.data.test``.

    Raises:
        DataError: if there are none.
    """
    pipelines = [place.section['pipeline'] for place in walk(cfg.data.test, 'data.test') if 'pipeline' in place.section]
    return FolderDataset(pipelines[0], folder, classes, test_mode=True)


def _take_statistics(model: nn.Module, folder: str, cfg: Config, device: torch.device | str) -> None:
    images = target_dataset(cfg, folder, model.CLASSES)
    loader = build_eval_loader(images, cfg.data.get('workers_per_gpu', 2), with_label=False)
    count = renew_norm_statistics(model, loader, device)
    if processes.is_main():
        print(f'batch norms: statistics of {count} images of {folder}')


def _export(outputs: TestOutputs, model: nn.Module, dataset: Any, background: Background,
            folders: ExitStack) -> TestServerExport | None:
    """Who writes server files, if they are asked for or read by the official evaluation (then in a passing folder)."""
    if not (outputs.format_only or outputs.official):
        return None
    folder = outputs.eval_options.get('imgfile_prefix') or processes.from_main(
        lambda: folders.enter_context(tempfile.TemporaryDirectory()))
    return TestServerExport(folder, dataset.CLASSES, model.PALETTE, background,
                            outputs.eval_options.get('to_label_id', True))


def _consumers(outputs: TestOutputs, model: nn.Module, background: Background, files: ExitStack) -> list[Any]:
    """Who else wants every prediction. What they hold open is closed with ``files``."""
    consumers = []
    if outputs.show_dir:
        consumers.append(PredictionPictures(outputs.show_dir, model.PALETTE, outputs.opacity, background,
                                            picture_reader(model)))
    if outputs.out:
        consumers.append(files.enter_context(_Pickle(outputs.out)))
    if outputs.show:
        consumers.append(_Window(model, outputs.opacity))
    return consumers


class _Pickle:
    """Keeps the predictions as uint8 and writes those of all processes at the end, if all went well.

    The file is opened first: that it cannot be written must not turn out after hours.
    """

    def __init__(self, path: str) -> None:
        self.path, self.maps = Path(path), []

    def __call__(self, index: int, pred: Tensor, meta: dict[str, Any]) -> None:
        self.maps.append(pred.to(torch.uint8).cpu().numpy())

    def __enter__(self) -> _Pickle:
        if processes.is_main():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = self.path.open('wb')
        return self

    def __exit__(self, kind: type | None, *_: Any) -> None:
        shares = processes.gather(self.maps) if kind is None else []
        if not processes.is_main():
            return
        with self.file:
            if kind is None:  # the processes have taken turns
                pickle.dump([pred for turn in zip_longest(*shares) for pred in turn if pred is not None], self.file)
        if kind is not None:
            self.path.unlink()


class _Window:
    """Shows each prediction in a window and waits until it is closed."""

    def __init__(self, model: nn.Module, opacity: float) -> None:
        from matplotlib import pyplot
        if pyplot.get_backend().lower() == 'agg':
            raise OSError('there is no display to show pictures on: write them with --show-dir')
        self.model, self.opacity = model, opacity

    def __call__(self, index: int, pred: Tensor, meta: dict[str, Any]) -> None:
        show_result_pyplot(self.model, meta['filename'], [pred.cpu().numpy()], opacity=self.opacity,
                           title=meta['ori_filename'])


def single_gpu_test(model: nn.Module, data_loader: Any, show: bool = False, out_dir: str | None = None,
                    opacity: float = 0.5) -> list[np.ndarray]:
    """Predict every image of an evaluation loader, as in mmsegmentation 0.16.

    Args:
        model: what :func:`~mmseg.apis.init_segmentor` returned, on its device.
        data_loader: see :func:`mmseg.datasets.build_eval_loader`.
        show: open a window per image.
        out_dir: folder of prediction pictures.
        opacity: of the predictions in them, 0 < opacity <= 1.

    Returns:
        One int64 [h, w] array per image, at original size.
    """
    results = []
    device = next(model.parameters()).device
    with Background() as background:
        consumers = [PredictionPictures(out_dir, model.PALETTE, opacity, background, picture_reader(model))] \
            if out_dir else []
        consumers += [_Window(model, opacity)] if show else []
        for batch, preds in predictions(model, data_loader, device=device):
            for pred, meta in zip(preds, batch['img_metas'][0]):
                results.append(pred.cpu().numpy())
                for consume in consumers:
                    consume(len(results) - 1, pred, meta)
    return results
