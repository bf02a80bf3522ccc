"""Training by iterations and validation, as MMEngine loops."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from mmengine.runner import BaseLoop
from torch import nn

from mmseg.distributed import processes
from mmseg.engine.compilation import eager
from mmseg.evaluation import ConfusionMatrix, ImageResults, check_classes, evaluate_network

if TYPE_CHECKING:
    from mmseg.engine.runner import TrainRunner
    from mmseg.models.segmentors.base import BaseSegmentor


class EvaluationStopped(Exception):
    """A signal asked to stop in the middle of an evaluation."""


class _UntilSignal:
    """A loader that ends early when a signal asks to stop, which may have ended the data workers, too."""

    def __init__(self, loader: Any, stop: Any) -> None:
        self.loader, self.stop = loader, stop

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[dict]:
        try:
            for batch in self.loader:
                yield batch
                if self.stop.signal:
                    return
        except (RuntimeError, OSError, EOFError):  # a worker has ended, or while it handed a batch over
            if not self.stop.signal:
                raise


ENDLESS = 10**9  # iterations, more than any training has


class TrainLoop(BaseLoop):
    """Iterations ``start`` to ``max_iters``; resuming asks the data for iteration ``start``, nothing is read again.

    Args:
        runner: the runner.
        make_loader: ``make_loader(start, stop)`` gives the batches of iterations start .. stop - 1.
        max_iters: length of the training in iterations.

    Attributes:
        iter: 0-based iteration that runs, or comes next.
        finished: number of iterations whose optimizer step is done.
    """

    def __init__(self, runner: TrainRunner, make_loader: Callable[[int, int], Iterable[dict]], max_iters: int) -> None:
        super().__init__(runner, make_loader)
        self.max_iters = max_iters
        self.epoch, self.max_epochs = 0, 1  # MMEngine's hooks ask for them
        self.go_to(0)
        self.iteration_start = self.data_time = 0.

    def go_to(self, iteration: int) -> None:
        """Let 0-based ``iteration`` be the next one."""
        self.iter = self.finished = iteration

    def first_batches(self) -> Iterator[dict]:
        """The batches from iteration 0 on, until nobody asks for more or a signal asks to stop."""
        yield from _UntilSignal(self.dataloader(0, ENDLESS), self.runner.stop)

    def run(self) -> nn.Module:
        """Train until ``max_iters`` or until a signal asks to stop."""
        runner = self.runner
        runner.call_hook('before_train')
        runner.call_hook('before_train_epoch')
        parts = runner.optim_wrapper.accumulate
        runner.model.start(runner.seed, runner.rank, self.iter, parts)
        runner.model.train()
        batches = iter(_UntilSignal(self.dataloader(self.iter, self.max_iters), runner.stop))
        while self.iter < self.max_iters:
            self.iteration_start = time.perf_counter()
            needed: list[Any] = [next(batches, None) for _ in range(parts)]  # an iteration is done whole or not at all
            if runner.stop.agreed():
                break
            self.data_time = time.perf_counter() - self.iteration_start
            self._run_iteration(needed)
        runner.call_hook('after_train_epoch')
        runner.call_hook('after_train')
        return runner.model

    def _run_iteration(self, batches: list[dict]) -> None:
        runner = self.runner
        runner.call_hook('before_train_iter', batch_idx=self.iter, data_batch=batches[0])
        for batch in batches:
            outputs = runner.model.train_step(batch, runner.optim_wrapper)
            runner.log_buffer.add(outputs, self.iter)
        runner.log_buffer.add(runner.optim_wrapper.log_vars, self.iter)
        self.finished = self.iter + 1
        runner.call_hook('after_train_iter', batch_idx=self.iter, data_batch=batch, outputs=outputs)
        self.iter = self.finished


class Evaluated(NamedTuple):
    """What an evaluation has found about a network: scores in 0..1, and what it has kept of single images, if wanted.
    """
    scores: dict[str, float]
    images: ImageResults | None


class ValLoop(BaseLoop):
    """Score the networks of the model on the validation set.

    Args:
        runner: the runner.
        loader: batches of the validation set, with labels.
        dataset: says CLASSES.
        names: which of ``model.networks()`` to score; the first one's scores keep their plain names.
        metrics: of 'mIoU', 'mDice', 'mFscore'.
        subsets: further mean IoUs, by name the classes they run over.

    Attributes:
        found: what the last evaluation has found, by network; {} before the first one. Images are kept of the
            evaluation at the end, and for trackers before.
    """

    def __init__(self, runner: TrainRunner, loader: Iterable[dict], dataset: Any, names: list[str], metrics: list[str],
                 subsets: dict[str, list[str]]) -> None:
        super().__init__(runner, loader)
        self.dataset, self.names, self.metrics, self.subsets = dataset, names, metrics, subsets
        self.found: dict[str, Evaluated] = {}
        networks = runner.model.networks()
        for name in names:
            if name not in networks:
                raise ValueError(f'evaluation.model names {name!r}, but this training has {", ".join(networks)} only')
            check_classes(networks[name], dataset)

    def score_names(self) -> list[str]:
        """What the scores of an evaluation are called, as they are logged."""
        classes = self.dataset.CLASSES
        scores = list(ConfusionMatrix(len(classes)).compute(classes, self.metrics, self.subsets))
        return [*scores, *(f'{network}.{score}' for network in self.names[1:] for score in scores)]

    def run(self) -> dict[str, dict[str, float]]:
        """Scores in 0..1 by network; every module is in the mode it came in afterwards.

        Raises:
            EvaluationStopped: if a signal asks to stop meanwhile.
        """
        networks, wanted = self.runner.model.networks(), self._with_images()
        with eager():
            self.found = {name: self._evaluate(networks[name], name in wanted) for name in self.names}
        return {name: found.scores for name, found in self.found.items()}

    def _with_images(self) -> list[str]:
        """Of which networks single images are wanted: by the report at the end, before by trackers, if there are any.
        """
        runner = self.runner
        if runner.train_loop.finished >= runner.max_iters:
            return self.names
        return self.names[:1] if processes.from_main(lambda: runner.has_trackers) else []

    def _evaluate(self, network: BaseSegmentor, with_images: bool) -> Evaluated:
        stop = self.runner.stop
        with ImageResults(len(self.dataset), network.num_classes) if with_images else nullcontext() as images:
            scores = evaluate_network(network, _UntilSignal(self.dataloader, stop), device=self.runner.device,
                                      dataset=self.dataset, metrics=self.metrics, subsets=self.subsets,
                                      on_image=images)
            if stop.agreed():
                raise EvaluationStopped
        return Evaluated(scores, images)
