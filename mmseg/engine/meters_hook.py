"""``--meters``: what a UDA training measures of itself before each evaluation."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmengine.hooks import Hook

from mmseg.datasets.base import SampledDataset
from mmseg.distributed import processes
from mmseg.engine.compilation import is_wanted
from mmseg.engine.console import NO_TERMINAL
from mmseg.engine.logging import METERS, text
from mmseg.errors import DataError
from mmseg.evaluation.metrics import ConfusionMatrix
from mmseg.models.trainable import Trainable
from mmseg.models.uda.base import UDADecorator
from mmseg.models.uda.meters import Meters, Reading

if TYPE_CHECKING:
    from mmseg.engine.runner import TrainRunner

COUNTED, COMPARED = 100, 10  # iterations before an evaluation: pseudo labels are counted, gradients compared
NO_LABELS = ('meters: the labels of the target training images cannot be read, so that only gradients and the share of '
             'confident pixels are logged: %s')


class MetersHook(Hook):
    """Measures the last iterations before each evaluation and logs the result beside it.

    Args:
        interval: iterations between two evaluations; the last iteration has one, too.
        model: what is trained.
        dataset: the training data, asked for the target's labels.

    Raises:
        ValueError: if the model is no UDA method.
    """
    priority = 'BELOW_NORMAL'  # before the evaluation

    def __init__(self, interval: int, model: Trainable, dataset: SampledDataset) -> None:
        if not isinstance(model, UDADecorator):
            raise ValueError('log_config.meters (--meters) measures pseudo labels and the losses of UDA methods, and '
                             'this config has no uda section: leave it out')
        self.interval, self.dataset = interval, dataset
        student = model.networks()['student']
        self.meters = model.meters = Meters(student.num_classes, student.shared_weight)
        self.left = 0

    def before_run(self, runner: TrainRunner) -> None:
        """Ask for the target's labels; say what cannot be measured."""
        if is_wanted(runner.cfg.get('compile')):
            self.meters.weight = None  # a second backward pass through a compiled graph may find buffers used again
            runner.logger.warning('meters: a student that is compiled cannot be back-propagated for each loss, so no '
                                  'gradients are logged: remove compile to see them')
        if not runner.model.uses_target:
            return
        try:
            self.dataset.deliver_target_labels()
        except DataError as error:
            runner.logger.warning(NO_LABELS, error)

    def before_train_iter(self, runner: TrainRunner, batch_idx: int, data_batch: Any = None) -> None:
        """Say what is measured in this iteration."""
        self.left = min(self.interval - runner.iter % self.interval, runner.max_iters - runner.iter)
        self.meters.counting, self.meters.comparing = self.left <= COUNTED, self.left <= COMPARED

    def after_train_iter(self, runner: TrainRunner, batch_idx: int, data_batch: Any = None,
                         outputs: Any = None) -> None:
        """Log what was measured, if an evaluation follows."""
        if self.left > 1:
            return
        values = of_all_processes(self.meters.read(), self.dataset.CLASSES or ())
        finished, named = runner.train_loop.finished, {f'{METERS}{name}': value for name, value in values.items()}
        runner.json_log.write({'mode': 'meters', 'iter': finished, **named})
        runner.logger.info(f'Iter(meters) [{finished}]\t{", ".join(text(*item) for item in named.items())}',
                           extra=NO_TERMINAL)
        runner.add_scalars('meters', values, finished)


def of_all_processes(reading: Reading, classes: Sequence[str]) -> dict[str, float]:
    """The scores of what all processes have read, which all get; processes may have met other stages or losses."""
    readings = processes.gather(reading)
    return processes.from_main(lambda: scores(readings, classes))


def scores(readings: Sequence[Reading], classes: Sequence[str]) -> dict[str, float]:
    """What the log says of the readings of all processes; what is nowhere to be seen is left out.

    Returns:
        ``<stage>.aAcc``, ``.mIoU``, ``.IoU.<class>`` and ``.confident_aAcc`` if there are labels,
        ``<stage>.confident`` and ``.confident.<class>``, all in 0..1; then ``grad.<loss>``.
    """
    found: dict[str, float] = {}
    for stage in dict.fromkeys(stage for reading in readings for stage in reading.counts):
        counts = sum(reading.counts[stage] for reading in readings if stage in reading.counts)
        found |= {f'{stage}.{name}': value for name, value in _of_stage(np.asarray(counts), classes).items()}
    for loss in dict.fromkeys(loss for reading in readings for loss in reading.norms):
        total, number = np.sum([reading.norms[loss] for reading in readings if loss in reading.norms], axis=0)
        found[f'grad.{loss}'] = float(total / number)
    return {name: value for name, value in found.items() if not np.isnan(value)}


def _of_stage(counts: np.ndarray, classes: Sequence[str]) -> Mapping[str, float]:
    """Scores of a stage, from its counts [2, C + 1, C] (see :class:`~mmseg.models.uda.meters.Reading`)."""
    known, values = counts[:, :-1], {}
    if len(classes) != counts.shape[-1]:  # a data set need not name its classes
        classes = [str(i) for i in range(counts.shape[-1])]
    if known.any():
        matrix = ConfusionMatrix(len(classes))
        matrix.counts.copy_(torch.from_numpy(known.sum(axis=0)))
        values = {name: value for name, value in matrix.compute(classes).items() if 'Acc' not in name or name == 'aAcc'}
    pixels, confident = counts.sum(axis=(0, 1)), counts[1].sum(axis=0)
    with np.errstate(invalid='ignore'):
        shares = confident / pixels
        values |= dict(confident_aAcc=known[1].trace() / known[1].sum(), confident=confident.sum() / pixels.sum())
    values |= {f'confident.{name}': share for name, share in zip(classes, shares)}
    return {name: float(value) for name, value in values.items()}
