"""The config schema of mmsegmentation 0.16, translated into an MMEngine runner."""
from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from logging import FileHandler, Logger, LogRecord, StreamHandler
from pathlib import Path
from typing import Any

import torch
from mmengine import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from torch import nn

import mmseg
from mmseg.checkpoint.claim import claim, release
from mmseg.checkpoint.lookup import newest_whole
from mmseg.checkpoint.networks import load_segmentor
from mmseg.datasets import UDADataset, build_dataset, build_eval_loader, build_train_loader
from mmseg.distributed import processes
from mmseg.distributed.synchronise import share_state
from mmseg.engine.compilation import compile_student
from mmseg.engine.console import FILE_ONLY, ProgressHook, use_console
from mmseg.engine.custom_hooks import build_custom_hooks, restore_hooks
from mmseg.engine.env import collect_env
from mmseg.engine.health_hook import HealthHook
from mmseg.engine.hooks import CheckpointHook, EvaluationHook, LogHook, ScheduleHook
from mmseg.engine.interrupt import StopRequest
from mmseg.engine.logging import JsonLog, LogBuffer, claim_timestamp
from mmseg.engine.loops import TrainLoop, ValLoop
from mmseg.engine.meters_hook import MetersHook
from mmseg.engine.optim import StepWrapper, bfloat16_is_slow, build_optim_wrapper
from mmseg.engine.panel_hook import PanelHook
from mmseg.engine.rescue import after_trouble, resume_command, whole_beside
from mmseg.engine.saving import read_for_resume, restore
from mmseg.engine.schedule import LearningRate
from mmseg.engine.seeds import random_seed, seed_everything
from mmseg.engine.trackers import NoTrackers, tracker_backends
from mmseg.errors import CheckpointError, ConfigKeyMissing
from mmseg.evaluation import Picture, class_subsets
from mmseg.models.outline import classifier_entries
from mmseg.models.trainable import Trainable
from mmseg.models.uda.base import KEYS
from mmseg.utils.config_text import format_config
from mmseg.utils.device import resolve_device
from mmseg.utils.streams import let_go
from mmseg.visualization import colourise, default_palette, side_by_side, with_legend

EVALUATION_INTERVAL = 1000  # iterations, where the config says none
NO_PHASES: tuple[Any, ...] = (None, [], [('train', 1)], [['train', 1]])  # what a `workflow` may say: just training


class TrainRunner(Runner):
    """MMEngine's runner with our loops, hooks, logs and checkpoints.

    It stays a Runner so that MMEngine's hooks and visualization backends work with it. What it overrides, and why:

    * ``_log_dir``, ``setup_env``, ``build_logger``: logs lie in the work_dir itself, one set of files for each run.
      ``rank`` and ``world_size`` stay those of the start, also when a process is lost.
    * ``set_randomness``: draws are a function of seed, rank and iteration; MMEngine would seed by time.
    * ``build_visualizer``: the trackers of ``log_config``, in process 0.
    * ``wrap_model``: the model is moved, not wrapped; the optimizer wrapper averages the gradients.
    * ``register_default_hooks``: MMEngine's read every value to the host in every iteration.
    * ``dump_config``: the command has written the config before anything was built.
    * ``_log_env``, ``get_hooks_info``: what is logged at the start.
    * ``train``: saves on signals and errors. ``load_or_resume``, ``resume``: restore everything,
      or the student's weights into student and teacher; no batch is read twice.

    Of several processes each has a runner; they start from one state, and process 0 logs and saves.

    Args:
        model: what to train, on ``device``.
        cfg: the whole config.
        work_dir: where logs and checkpoints go.
        optim_wrapper: optimizer and autocast.
        make_loader: ``make_loader(runner, start, stop)`` gives the batches of iterations start .. stop - 1.
        device: where the model is.
        seed: of the run.
        hooks: what happens around an iteration, a CheckpointHook among them.
        meta: what checkpoints say about the run (CLASSES, PALETTE, config, ...).
        timestamp: name of the log files; None takes the time.
    """

    model: Trainable
    optim_wrapper: StepWrapper
    logger: Logger
    train_loop: TrainLoop
    val_loop: ValLoop
    meta: dict[str, Any]
    _timestamp: str

    def __init__(self, model: Trainable, cfg: Config, work_dir: str | Path, *, optim_wrapper: StepWrapper,
                 make_loader: Callable[[TrainRunner, int, int], Iterable[dict]], device: torch.device, seed: int,
                 hooks: list[Hook], meta: dict[str, Any], timestamp: str | None = None) -> None:
        self.device, self.stop = device, StopRequest()
        self._wanted_timestamp = timestamp
        super().__init__(
            model,
            str(work_dir),
            train_dataloader=make_loader,
            train_cfg=dict(max_iters=cfg.runner.max_iters),
            optim_wrapper=optim_wrapper,
            custom_hooks=hooks,
            env_cfg=dict(),
            log_level=cfg.get('log_level', 'INFO'),
            default_scope=None,
            randomness=dict(seed=seed, deterministic=bool(cfg.get('deterministic')),
                            benchmark=bool(cfg.get('cudnn_benchmark'))),
            # MMEngine hands out loggers by name: a name per run, or the second run would log into the first one's file
            experiment_name=f'{Path(cfg.filename or "train").stem}_{uuid.uuid4().hex[:8]}',
            cfg=cfg)
        self.meta = dict(meta, hook_msgs={}, exp_name=Path(cfg.filename or 'train').name, env_info=self.env_info)
        self._train_loop = TrainLoop(self, lambda start, stop: make_loader(self, start, stop), cfg.runner.max_iters)
        self.checkpoints = next(hook for hook in hooks if isinstance(hook, CheckpointHook))
        self.log_buffer = LogBuffer()
        self.json_log = JsonLog(Path(self.work_dir) / f'{self.timestamp}.log.json',
                                rounded=all(hook['type'] != 'PrecisionLoggerHook' for hook in _log_hooks(cfg)))

    def validate_with(self, loop: ValLoop) -> None:
        """Evaluate by this loop whenever the EvaluationHook asks for it."""
        self._val_loop = loop

    # -- what MMEngine's constructor asks for ---------------------------------------------------------------------

    @property
    def _log_dir(self) -> str:
        return self._work_dir

    @_log_dir.setter
    def _log_dir(self, value: str) -> None:
        """MMEngine's folder per run is not wanted: logs lie in the work_dir."""

    def setup_env(self, env_cfg: dict) -> None:
        """Besides, claim the name of this run's log files, the same in all processes."""
        super().setup_env(env_cfg)
        self._rank, self._world_size = processes.rank(), processes.count()
        wanted = self._wanted_timestamp or self._timestamp
        self._timestamp = processes.from_main(lambda: claim_timestamp(Path(self._work_dir), wanted))

    def set_randomness(self, seed: int, deterministic: bool = False, benchmark: bool = False) -> None:
        """Seed all generators with the run's seed."""
        self._seed, self._deterministic = seed, deterministic
        seed_everything(seed, deterministic, benchmark)

    def build_logger(self, log_level: int | str = 'INFO', **kwargs: Any) -> Any:
        """MMEngine's, silent about a log file that cannot be written, and about a terminal that is gone."""
        logger = super().build_logger(log_level, logger_name='mmseg', **kwargs)
        use_console(logger)
        for handler in logger.handlers:
            handler.handleError = partial(_unheard, handler)  # type: ignore[method-assign]  # MMEngine makes the handler
        return logger

    def build_visualizer(self, visualizer: Any = None) -> Visualizer | NoTrackers:
        """One with the trackers of ``log_config``; this process has none if it is not process 0."""
        backends = []
        if processes.is_main():
            backends = tracker_backends(_log_hooks(self.cfg), Path(self.work_dir), self.logger)
        return Visualizer.get_instance(self._experiment_name, vis_backends=backends) if backends else NoTrackers()

    def wrap_model(self, model_wrapper_cfg: Any, model: nn.Module) -> nn.Module:
        """The model as it is: it lies on its device, and the optimizer wrapper averages gradients."""
        return model

    def register_default_hooks(self, hooks: Any = None) -> None:
        """MMEngine's own hooks read every value to the host in every iteration: none of them."""

    def dump_config(self) -> None:
        """tools/train.py writes the config."""

    def _log_env(self, env_cfg: dict) -> None:
        self.env_info = '\n'.join(f'{key}: {value}' for key, value in collect_env().items())
        self.logger.info(f'Environment:\n{self.env_info}\ndevice: {self.device}\nseed: {self.seed}, '
                         f'deterministic: {self.deterministic}', extra=FILE_ONLY)
        if self.cfg.get('amp') and bfloat16_is_slow(self.device.type):
            self.logger.warning('this CPU has no bfloat16 arithmetic: amp makes the training much slower here; '
                                'remove amp from the config to train in float32')
        self.logger.info(f'Config:\n{format_config(self.cfg.to_dict())}', extra=FILE_ONLY)

    def get_hooks_info(self) -> str:
        """Names of the hooks, for the log."""
        return ', '.join(type(hook).__name__ for hook in self.hooks)

    # -- training -------------------------------------------------------------------------------------------------

    def train(self) -> Trainable:
        """Train to the end.

        Returns:
            The model.

        Raises:
            SystemExit: after Ctrl-C (130) or SIGTERM (143), when a checkpoint has been saved.
            CheckpointError: if the folder of the checkpoints belongs to another training.
            Exception: whatever has ended the training, when what is done has been saved, if it can be.
        """
        with StopRequest() as self.stop, ExitStack() as at_end:
            if self.rank == 0:
                claim(self.checkpoints.folder, self.cfg.get('resume_from'))
                at_end.callback(release, self.checkpoints.folder)
            self.call_hook('before_run')
            self.load_or_resume()
            self.model.first_pass(self.train_loop.first_batches(), self.logger.info)
            share_state(self.model)
            compile_student(self.model.networks()['student'], self.cfg.get('compile'), self.logger)
            try:
                self.train_loop.run()
            except Exception as error:
                told = after_trouble(self, error)
                if told is error:
                    raise
                raise told from error
            finally:
                self.call_hook('after_run')
                self.visualizer.close()
                self._close_log()
            if self.stop.agreed():
                path = self.checkpoints.save(self)
                self.logger.warning(f'stopped, saved {path}; go on with: {resume_command(self)}')
                raise SystemExit(self.stop.exit_code)
        return self.model

    def _close_log(self) -> None:
        """Let go of the log file, for processes with many runs; a later message opens it again."""
        for handler in _file_handlers(self.logger):
            with suppress(OSError):
                handler.close()

    def load_or_resume(self) -> None:
        """Follow ``resume_from`` (a file, or 'auto' for the newest whole one of this run's folder) or ``load_from``."""
        resume_from, load_from = self.cfg.get('resume_from'), self.cfg.get('load_from')
        if resume_from == 'auto':
            resume_from, passed_over = newest_whole(self.checkpoints.folder)
            if passed_over:
                self.logger.warning(f'{passed_over}; going on from {resume_from or "the start"}')
        if resume_from:
            self.resume(Path(resume_from))
        elif load_from:
            self._load(load_from)

    def _load(self, file: str) -> None:
        """Start student and teacher from a checkpoint's student, with ``new_classifier`` without its classifier."""
        networks = self.model.networks()
        new = classifier_entries(self.cfg.model) if self.cfg.get('new_classifier') else ()
        load_segmentor(networks['student'], file, new=new)
        if 'teacher' in networks:
            networks['teacher'].load_state_dict(networks['student'].state_dict())
        left_out = f', except for {", ".join(sorted(new))}' if new else ''
        self.logger.info(f'loaded the weights of {file}{left_out}')

    def resume(self, filename: Path) -> None:
        """Continue where the checkpoint was written.

        Raises:
            FileNotFoundError: there is no such file.
            CheckpointError: it is damaged, not one of ours, or of another model.
        """
        try:
            checkpoint = read_for_resume(filename)
        except (CheckpointError, FileNotFoundError) as error:
            raise type(error)(f'{error}{whole_beside(filename)}') from error
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        restore(checkpoint, filename, self.model, self.optim_wrapper.optimizer)
        for warning in restore_hooks(checkpoint.get('hooks', {}), self.hooks):
            self.logger.warning(f'{filename} {warning}')
        meta = checkpoint['meta']
        if meta['max_iters'] != self.max_iters:
            self.logger.warning(f'{filename} belongs to a training of {meta["max_iters"]} iterations, this one has '
                                f'{self.max_iters}: the learning rate follows the new schedule')
        if meta.get('processes', 1) != self.world_size:
            self.logger.warning(f'{filename} was written by {meta.get("processes", 1)} process(es), these are '
                                f'{self.world_size}: an iteration sees another number of images from here on')
        if self.cfg.get('seed') not in (None, meta['seed']):
            self.logger.warning(f'seed {self.cfg.seed} is ignored: the resumed training keeps its seed {meta["seed"]}')
        self._seed = meta['seed']
        self.train_loop.go_to(meta['iter'])
        self.meta['hook_msgs'] = dict(meta.get('hook_msgs') or {})
        self.logger.info(f'resumed from {filename} at iteration {meta["iter"]}')
        if meta['iter'] >= self.max_iters:
            self.logger.warning(f'all {self.max_iters} iterations are done, nothing is left to train')

    def add_scalars(self, mode: str, values: dict[str, float], step: int) -> None:
        """Hand what was logged in ``mode`` 'train', 'val' or 'meters' to trackers, if any, and to the hooks."""
        self.call_hook('after_report', mode=mode, values=values, step=step)
        self.visualizer.add_scalars({f'{mode}/{key}': value for key, value in values.items()}, step)

    @property
    def has_trackers(self) -> bool:
        """Whether this process tells trackers of the training; if anyone, process 0 does."""
        return not isinstance(self.visualizer, NoTrackers)

    def add_pictures(self, mode: str, pictures: Sequence[Picture], step: int) -> None:
        """Hand images with their truth and prediction to the trackers, named by the images."""
        if not self.has_trackers:
            return
        dataset = self.val_loop.dataset
        palette = dataset.PALETTE or default_palette(len(dataset.CLASSES))
        for picture in pictures:
            maps = [colourise(ids, palette) for ids in (picture.truth, picture.prediction)]
            drawn = with_legend(side_by_side([picture.photograph, *maps]), dataset.CLASSES, palette,
                                range(len(dataset.CLASSES)))
            self.visualizer.add_image(f'{mode}/{Path(picture.score.name).with_suffix(".png").as_posix()}', drawn, step)


def _unheard(handler: StreamHandler, record: LogRecord) -> None:
    """Go on without a console that is gone, and without a log file on a full disk, which the JSON log tells of, too.

    Any other exception has only come while a line was being written, such as torch's about a data worker that has died.
    """
    error = sys.exc_info()[1]
    if error is not None and not isinstance(error, (OSError, ValueError)):
        raise error
    if not isinstance(handler, FileHandler):
        let_go(handler.stream)


def _file_handlers(logger: Logger) -> list[FileHandler]:
    return [handler for handler in logger.handlers if isinstance(handler, FileHandler)]


def _log_hooks(cfg: Any) -> list[dict[str, Any]]:
    """The entries of ``log_config.hooks``."""
    return list((cfg.get('log_config') or {}).get('hooks') or ())


def _checkpoint_hook(cfg: Any, work_dir: Path) -> CheckpointHook:
    """Follow ``checkpoint_config``; without an interval the one of ``evaluation`` holds; None saves on signals only."""
    saving = cfg.get('checkpoint_config', {})
    if saving is None:
        return CheckpointHook(work_dir, None)
    interval = saving.get('interval') or (cfg.get('evaluation') or {}).get('interval') or cfg.runner.max_iters
    return CheckpointHook(Path(saving.get('out_dir') or work_dir), interval, saving.get('max_keep_ckpts', -1),
                          saving.get('save_optimizer', True))


def _hooks(cfg: Any, work_dir: Path, validate: bool) -> list[Hook]:
    """Follow ``lr_config``, ``log_config``, ``evaluation``, ``checkpoint_config`` and ``custom_hooks``."""
    logs, evaluation = cfg.get('log_config') or {}, cfg.get('evaluation') or {}
    schedule, uda = LearningRate(cfg.get('lr_config'), cfg.runner.max_iters), cfg.get('uda') or {}
    hooks = [ScheduleHook(schedule), LogHook(logs.get('interval', 50)), ProgressHook(),
             HealthHook(schedule, uda.get('pseudo_threshold', KEYS['pseudo_threshold']))]
    img_interval = logs.get('img_interval') or uda.get('debug_img_interval')
    if img_interval:
        hooks.append(PanelHook(img_interval))
    if validate:
        hooks.append(EvaluationHook(evaluation.get('interval', EVALUATION_INTERVAL), evaluation.get('start') or 0,
                                    evaluation.get('save_best')))
    return [*hooks, _checkpoint_hook(cfg, work_dir), *build_custom_hooks(cfg.get('custom_hooks'))]


def _val_loop(runner: TrainRunner, cfg: Any) -> ValLoop:
    """The validation that ``evaluation`` asks for, on ``data.val``."""
    if not cfg.data.get('val'):
        raise ConfigKeyMissing('data.val is missing, which evaluation needs: add it, or set evaluation=None', 'val',
                               'data.val')
    evaluation, dataset = cfg.evaluation, build_dataset(cfg.data.val, dict(test_mode=True))
    names, metrics = evaluation.get('model', ['student']), evaluation.get('metric', 'mIoU')
    loader = build_eval_loader(dataset, cfg.data.get('workers_per_gpu', 2), with_label=True, rank=runner.rank,
                               world_size=runner.world_size)
    runner.logger.info(f'validation data: {len(dataset)} images of {type(dataset).__name__}')
    return ValLoop(runner, loader, dataset, [names] if isinstance(names, str) else list(names),
                   [metrics] if isinstance(metrics, str) else list(metrics), class_subsets(cfg, dataset.CLASSES or ()))


def _samples(dataset: Any) -> str:
    """How many there are; for pairs of source and target how they come about."""
    if isinstance(dataset, UDADataset):
        return f'{len(dataset.source)} x {len(dataset.target)} samples (source x target)'
    return f'{len(dataset)} samples'


def _loader_of(dataset: Any, data: Any, device: torch.device) -> Callable[[TrainRunner, int, int], Iterable[dict]]:
    """``make_loader(runner, start, stop)`` for the ``data`` section."""

    def make_loader(runner: TrainRunner, start: int, stop: int) -> Iterable[dict]:
        return build_train_loader(dataset, data.get('samples_per_gpu', 2), data.get('workers_per_gpu', 2),
                                  seed=runner.seed, rank=runner.rank, world_size=runner.world_size, start=start,
                                  stop=stop, parts=runner.optim_wrapper.accumulate,
                                  pin_memory=data.get('pin_memory', device.type == 'cuda'))

    return make_loader


def build_runner(cfg: Config, model: Trainable, dataset: Any, work_dir: str | Path, *, validate: bool = True,
                 timestamp: str | None = None, meta: dict[str, Any] | None = None) -> TrainRunner:
    """Build everything that a training needs.

    Args:
        cfg: a whole config (docs/reference/config.md has the keys).
        model: what to train, with ``train_step`` and ``networks``.
        dataset: the training data, with CLASSES and PALETTE.
        work_dir: where logs and checkpoints go.
        validate: whether ``evaluation`` is followed.
        timestamp: name of the log files; None takes the time.
        meta: more for the checkpoints' meta.

    Raises:
        ValueError: if the config asks for something that does not exist here.
    """
    if cfg.get('momentum_config') is not None:
        raise ValueError('momentum_config is not supported: remove it, or set it to None')
    if cfg.get('workflow') not in NO_PHASES:
        raise ValueError(f"workflow={cfg.workflow!r}: a training has no other phases than [('train', 1)]; losses are "
                         "not computed on validation images, 'evaluation' says when these are scored")
    device = resolve_device(cfg.get('device'))
    model.to(device)
    for network in model.networks().values():
        network.CLASSES, network.PALETTE = dataset.CLASSES, dataset.PALETTE
    seed = processes.from_main(random_seed) if cfg.get('seed') is None else cfg.seed
    meta = dict(meta or {}, CLASSES=dataset.CLASSES, PALETTE=dataset.PALETTE, config=format_config(cfg.to_dict()),
                mmseg_version=mmseg.__version__)
    validate = validate and cfg.get('evaluation') is not None
    hooks = _hooks(cfg, Path(work_dir), validate)
    if (cfg.get('log_config') or {}).get('meters'):
        hooks.append(MetersHook((cfg.get('evaluation') or {}).get('interval', EVALUATION_INTERVAL), model, dataset))
    runner = TrainRunner(model, cfg, work_dir, optim_wrapper=build_optim_wrapper(model, cfg),
                         make_loader=_loader_of(dataset, cfg.data, device), device=device, seed=seed, hooks=hooks,
                         meta=meta, timestamp=timestamp)
    runner.logger.info(f'training data: {_samples(dataset)} of {type(dataset).__name__}')
    if processes.count() > 1:
        scaled = 'times that number' if cfg.get('auto_scale_lr') else 'as it stands in the config'
        runner.logger.info(f'{processes.count()} processes: gradients are averaged, the learning rate is {scaled}')
    parameters = sum(p.numel() for p in model.networks()['student'].parameters())
    runner.logger.info(f'{type(model).__name__} with {parameters / 1e6:.2f} M parameters in the student')
    if validate:
        runner.validate_with(_val_loop(runner, cfg))
    return runner
