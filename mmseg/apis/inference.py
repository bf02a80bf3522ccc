"""Load a trained network and predict single images, as in mmsegmentation 0.16."""
from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine import Config
from torch import nn

from mmseg.datasets.files import read_image
from mmseg.datasets.pipelines.compose import Compose
from mmseg.engine.checkpoint import load_segmentor
from mmseg.engine.config import load_config
from mmseg.engine.env import resolve_device
from mmseg.models import build_segmentor
from mmseg.registry import DATASETS
from mmseg.visualization import blend, default_palette

Image = str | os.PathLike | np.ndarray


def load_classes(model: nn.Module, meta: Mapping[str, Any], dataset: Any = None) -> None:
    """Set ``model.CLASSES`` and ``model.PALETTE`` from a checkpoint's meta, else from a data set (or its class)."""
    classes, palette = meta.get('CLASSES'), meta.get('PALETTE')
    model.CLASSES = classes or getattr(dataset, 'CLASSES', None) or tuple(map(str, range(model.num_classes)))
    model.PALETTE = palette or getattr(dataset, 'PALETTE', None) or default_palette(model.num_classes)


def init_segmentor(config: str | os.PathLike | Config, checkpoint: str | None = None,
                   device: str | None = None, network: str = 'model') -> nn.Module:
    """Build the segmentor of a config, ready to predict.

    Args:
        config: a config, or the path of one.
        checkpoint: file with the weights; without one they are random.
        device: e.g. 'cuda:0' or 'cpu'; None takes the GPU if there is one.
        network: of a UDA checkpoint, 'model' (the student) or 'ema_model' (the teacher).

    Returns:
        The segmentor in evaluation mode, with CLASSES, PALETTE and ``cfg``.

    Raises:
        TypeError: if ``config`` is neither path nor config.
        ValueError: if there is no such device.
    """
    device = resolve_device(device)
    if isinstance(config, (str, os.PathLike)):
        config = load_config(config)
    elif not isinstance(config, Config):
        raise TypeError(f'config must be a path or a Config, got {type(config).__name__}')
    model_cfg = config.model.copy()
    model_cfg.update(pretrained=None, train_cfg=None)
    model = build_segmentor(model_cfg)
    meta = load_segmentor(model, checkpoint, network) if checkpoint is not None else {}
    test_set = ((config.get('data') or {}).get('test') or {}).get('type')
    load_classes(model, meta, test_set and DATASETS.get(test_set))
    model.cfg = config
    return model.to(device).eval()


class _ImageInMemory:
    """First transform of a pipeline for images that are arrays already."""
    random = False

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        shape = results['img'].shape
        return dict(results, filename=None, ori_filename=None, img_shape=shape, ori_shape=shape, pad_shape=shape,
                    scale_factor=1.0)


def inference_segmentor(model: nn.Module, img: Image | Sequence[Image]) -> list[np.ndarray]:
    """Predict images with the test pipeline of the model's config, one after the other.

    Args:
        model: what :func:`init_segmentor` returned.
        img: path of an image, or uint8 [H, W, 3] in the order blue, green, red; or a list of them.

    Returns:
        One int64 [H, W] map of class ids per image.

    Raises:
        DataError: if a file cannot be read.
    """
    if isinstance(img, (list, tuple)):
        return [ids for one in img for ids in inference_segmentor(model, one)]
    steps = list(model.cfg.data.test.pipeline)
    if isinstance(img, np.ndarray):
        steps[0], results = _ImageInMemory(), dict(img=img)
    else:
        results = dict(img_info=dict(filename=os.fspath(img)), img_prefix=None)
    sample = Compose(steps)(results)
    device = next(model.parameters()).device
    imgs = [version[None].to(device) for version in sample['img']]
    return list(model.predict(imgs, [[meta] for meta in sample['img_metas']]).cpu().numpy())


def draw_result(model: nn.Module, img: Image, result: Sequence[np.ndarray], palette: Sequence | None = None,
                opacity: float = 0.5) -> np.ndarray:
    """Lay a prediction over its image.

    Args:
        model: says the PALETTE, unless one is given.
        img: path, or uint8 [H, W, 3] in the order blue, green, red.
        result: what :func:`inference_segmentor` returned.
        palette: RGB colours 0..255.
        opacity: of the prediction, 0 < opacity <= 1.

    Returns:
        uint8 [H, W, 3] RGB.
    """
    image = img if isinstance(img, np.ndarray) else read_image(os.fspath(img))
    return blend(image[..., ::-1], result[0], model.PALETTE if palette is None else palette, opacity)


def show_result_pyplot(model: nn.Module, img: Image, result: Sequence[np.ndarray], palette: Sequence | None = None,
                       fig_size: tuple[float, float] = (15, 10), opacity: float = 0.5, title: str = '',
                       block: bool = True) -> None:
    """Show a prediction over its image in a matplotlib window (or in a notebook).

    Args:
        model, img, result, palette, opacity: see :func:`draw_result`.
        fig_size: inches.
        title: above the picture.
        block: wait until the window is closed.
    """
    from matplotlib import pyplot
    pyplot.figure(figsize=fig_size)
    pyplot.imshow(draw_result(model, img, result, palette, opacity))
    pyplot.title(title)
    pyplot.axis('off')
    pyplot.tight_layout()
    pyplot.show(block=block)
    pyplot.close()
