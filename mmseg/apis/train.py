"""Training: ``train`` in one call; ``set_random_seed`` and ``train_segmentor`` as in mmsegmentation 0.16."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mmengine import Config
from torch import nn

from mmseg.apis.model import Model
from mmseg.checkpoint.claim import claim, unwritable
from mmseg.checkpoint.lookup import has_checkpoints
from mmseg.config.memory import check_memory
from mmseg.config.reading import dump_config, load_config, require_sections
from mmseg.datasets import build_dataset
from mmseg.distributed import processes
from mmseg.engine.console import FILE_ONLY
from mmseg.engine.env import archive_sources
from mmseg.engine.runner import build_runner
from mmseg.engine.seeds import random_seed, seed_everything
from mmseg.models import build_train_model
from mmseg.models.trainable import Trainable
from mmseg.report.training import report_training
from mmseg.utils.device import resolve_device
from mmseg.utils.heap import keep_freed_memory


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


def train(config: str | os.PathLike, **overrides: Any) -> Model:
    """Train what a config describes in this process, as ``python -m tools.train`` does.

    Args:
        config: path of the config.
        overrides: values that replace those of the file; dicts are merged, and dotted keys go in as ``**{'a.b': 1}``.
            ``work_dir`` is ``work_dirs/<name of the config>`` unless it is given; ``resume_from='auto'`` goes on.

    Returns:
        The trained student, ready to predict; see :func:`mmseg.load`.

    Raises:
        ValueError: if the config asks for something that does not exist here.
        CheckpointError: if the folder belongs to another training, or a checkpoint cannot be read or written.
        NonFiniteLoss: if a loss became NaN or infinite.
        SystemExit: after Ctrl-C or SIGTERM, when a checkpoint has been saved.
    """
    cfg = load_config(os.fspath(config), overrides)
    require_sections(cfg)
    settle(cfg)
    prepare_folder(cfg)
    cfg.device = str(resolve_device(cfg.get('device')))
    student = run_training(cfg).networks()['student']
    student.cfg = cfg
    facts = dict(config=cfg.to_dict(), iter=cfg.runner.max_iters, seed=cfg.get('seed'))
    return Model(student, facts, Path(cfg.work_dir)).eval()


def settle(cfg: Config, work_dir: str | None = None, seed: int | None = None, resume_from: str | None = None) -> None:
    """Write into a config where its training goes and what its draws follow, as far as it does not say so itself.

    Args:
        work_dir: folder of the training; None: that of the config, else ``work_dirs/<name of the config>``.
        seed: of all draws; None: that of the config, else a random one, unless there is a training to go on with, which
            keeps its seed.
        resume_from: the checkpoint to go on from, or 'auto'; None: as the config says.
    """
    cfg.work_dir = work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(cfg.filename).stem)
    if seed is not None:
        cfg.seed = seed
    elif cfg.get('seed') is None and not _goes_on(cfg, resume_from or cfg.get('resume_from')):
        cfg.seed = random_seed()


def _goes_on(cfg: Config, resume_from: str | None) -> bool:
    if resume_from == 'auto':
        return has_checkpoints(_checkpoints(cfg))
    return bool(resume_from)


def _checkpoints(cfg: Config) -> Path:
    """The folder for the checkpoints of a training."""
    return Path((cfg.get('checkpoint_config') or {}).get('out_dir') or cfg.work_dir)


def prepare_folder(cfg: Config, resume_from: str | None = None) -> None:
    """Make ``cfg.work_dir`` for a training, with its config, under the name of its file, and the sources.

    Args:
        resume_from: the checkpoint to go on from, if the config does not say it.

    Raises:
        CheckpointError: if the folder belongs to another training, or cannot be written to.
    """
    work_dir = Path(cfg.work_dir)
    claim(_checkpoints(cfg), resume_from or cfg.get('resume_from'))
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        dump_config(cfg, work_dir / Path(cfg.filename).name)
        archive_sources(work_dir / 'code.tar.gz')
    except OSError as error:
        raise unwritable(work_dir, error) from error


def run_training(cfg: Config) -> Trainable:
    """Build data and model of a whole config, train into ``cfg.work_dir``, and return the model."""
    device = resolve_device(cfg.get('device'))
    keep_freed_memory(device)
    check_memory(cfg, device)
    with processes.main_first():  # it counts the classes of the data set, if nobody has
        dataset = build_dataset(cfg.data.train)  # first, since missing data shows at once
    seed_everything(cfg.get('seed') or 0, bool(cfg.get('deterministic')))  # initial weights
    model = build_train_model(cfg)
    if cfg.get('resume_from') in (None, 'auto'):  # else everything comes from the checkpoint
        model.init_weights()
    train_segmentor(model, dataset, cfg, validate=cfg.get('evaluation') is not None)
    return model
