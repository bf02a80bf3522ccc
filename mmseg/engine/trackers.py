"""Where numbers go besides the logs: TensorBoard, Weights & Biases, MLflow, each only if the config names it."""
from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import VISBACKENDS
from mmengine.visualization import WandbVisBackend

from mmseg.errors import PackageMissing
from mmseg.extras import install_command

# By name in log_config.hooks: package, MMEngine's back end, its folder in the work_dir, what it takes of the hook.
TRACKERS: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    'TensorboardLoggerHook': ('tensorboard', 'TensorboardVisBackend', 'tf_logs', ()),
    'WandbLoggerHook': ('wandb', 'IterationWandb', '', ('init_kwargs', 'define_metric_cfg')),
    'MlflowLoggerHook': ('mlflow', 'MLflowVisBackend', 'mlruns',
                         ('exp_name', 'run_name', 'tags', 'params', 'tracking_uri')),
}


@VISBACKENDS.register_module()
class IterationWandb(WandbVisBackend):
    """MMEngine's back end, with the training iteration beside each value, and without an upload of source code."""

    def add_scalars(self, scalar_dict: dict[str, float], step: int = 0, file_path: str | None = None,
                    **kwargs: Any) -> None:
        """Record values of training iteration ``step``."""
        self.experiment.log({**scalar_dict, 'iter': step})

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Record uint8 [H, W, 3] RGB of training iteration ``step``."""
        self.experiment.log({name: self._wandb.Image(image), 'iter': step})

    def add_config(self, config: Config, **kwargs: Any) -> None:
        """Record the config."""
        self.experiment.config.update(config.to_dict())


class NoTrackers:
    """Stands where MMEngine has its visualizer, which imports matplotlib, and hands on to nobody."""

    def add_scalars(self, *_: Any, **__: Any) -> None:
        """Take what is to be tracked."""

    add_config = add_graph = add_image = add_scalar = close = add_scalars


def tracker_backends(hooks: list[dict[str, Any]], work_dir: Path, logger: Any) -> list[dict[str, Any]]:
    """MMEngine's visualizer back ends for ``log_config.hooks``.

    Args:
        hooks: the dicts there; those that are no trackers are left out.
        work_dir: where the back ends write files.
        logger: warned if TensorBoard, which many configs name, is not installed; nothing else happens then.

    Raises:
        PackageMissing: if W&B or MLflow is asked for and not installed.
    """
    backends = []
    for hook in hooks:
        if hook['type'] not in TRACKERS:
            continue
        package, backend, folder, arguments = TRACKERS[hook['type']]
        if find_spec(package) is None:
            install = 'pip install mlflow' if package == 'mlflow' else install_command('trackers')
            if package != 'tensorboard':
                raise PackageMissing(f'log_config.hooks names {hook["type"]}, but {package} is not installed: '
                                     f'{install}, or remove the entry')
            logger.warning(f'TensorboardLoggerHook writes nothing, since TensorBoard is not installed: {install}')
            continue
        given = {name: hook[name] for name in arguments if hook.get(name) is not None}
        if package == 'mlflow':
            given['tracked_config_keys'] = {}  # the config goes there as a file; as parameters it is too long
        backends.append(dict(type=backend, save_dir=str(work_dir / folder), **given))
    return backends
