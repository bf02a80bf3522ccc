"""Training as in mmsegmentation 0.16: ``set_random_seed`` and ``train_segmentor``."""
from __future__ import annotations

from typing import Any

from mmengine import Config
from torch import nn

from mmseg.distributed import processes
from mmseg.engine.console import FILE_ONLY
from mmseg.engine.runner import build_runner
from mmseg.engine.seeds import seed_everything
from mmseg.report.training import report_training


def set_random_seed(seed: int, deterministic: bool = False) -> None:
    """Seed Python, numpy and torch.

    Args:
        seed: >= 0.
        deterministic: use deterministic kernels where there are any.
    """
    seed_everything(seed, deterministic)


def train_segmentor(model: nn.Module,
                    dataset: Any,
                    cfg: Config,
                    distributed: bool = False,
                    validate: bool = False,
                    timestamp: str | None = None,
                    meta: dict[str, Any] | None = None) -> nn.Module:
    """Train a model from ``build_train_model`` as its config says, into ``cfg.work_dir``.

    Args:
        model: segmentor or UDA method, weights initialised.
        dataset: training data, or a list with nothing else in it.
        cfg: the whole config, from ``load_config``.
        distributed: whether this is one of several processes; see :func:`mmseg.distributed.launch.joined`.
        validate: follow ``evaluation`` on ``data.val``.
        timestamp: name of the log files; None takes the time.
        meta: more for the checkpoints' meta.

    Returns:
        The trained model.

    Raises:
        ValueError: if the config asks for something that does not exist here.
        CheckpointError: if a checkpoint cannot be read or written.
        NonFiniteLoss: if a loss became NaN or infinite.
        SystemExit: after Ctrl-C or SIGTERM, when a checkpoint has been saved.
    """
    if distributed and processes.count() == 1:
        raise ValueError('distributed=True, but this process has not joined others: start with sh tools/dist_train.sh, '
                         'or call train_segmentor within mmseg.distributed.launch.joined')
    datasets = list(dataset) if isinstance(dataset, (list, tuple)) else [dataset]
    if len(datasets) != 1:
        raise ValueError(f'one training data set is needed, got {len(datasets)}: validation data goes to data.val')
    if not cfg.get('work_dir'):
        raise ValueError('cfg.work_dir is not set: name the folder for logs and checkpoints')
    runner = build_runner(cfg, model, datasets[0], cfg.work_dir, validate=validate, timestamp=timestamp, meta=meta)
    trained = runner.train()
    if processes.is_main():
        page = report_training(runner)
        if page is not None:
            runner.logger.info(f'report: {page}', extra=FILE_ONLY)
    return trained
