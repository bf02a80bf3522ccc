"""Load a trained network and predict single images, as in mmsegmentation 0.16."""
from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from mmengine import Config
from torch import Tensor, nn

from mmseg.checkpoint.networks import load_segmentor
from mmseg.config.reading import load_config, require_sections
from mmseg.datasets.pipelines.compose import Compose
from mmseg.datasets.pipelines.loading import LoadImageFromFile, loaded
from mmseg.errors import DataError
from mmseg.models import build_segmentor
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.segmentors.results import ClassScores
from mmseg.registry import DATASETS
from mmseg.utils.device import resolve_device
from mmseg.visualization import blend, default_palette, displayable

Image = str | os.PathLike | np.ndarray
_CONVERSIONS = {  # of arrays to what is read from files: color_type, channels of the array
    ('color', 1): cv2.COLOR_GRAY2BGR, ('color', 4): cv2.COLOR_BGRA2BGR,
    ('grayscale', 3): cv2.COLOR_BGR2GRAY, ('grayscale', 4): cv2.COLOR_BGRA2GRAY,
}


def load_classes(model: nn.Module, meta: Mapping[str, Any], dataset: Any = None) -> None:
    """Set ``model.CLASSES`` and ``model.PALETTE`` from a checkpoint's meta, else from a data set (or its class).

    What is not one entry per class of the network is not used; the last resort are numbers and drawn colours.
    """
    for name, default in (('CLASSES', tuple(map(str, range(model.num_classes)))),
                          ('PALETTE', default_palette(model.num_classes))):
        known = (meta.get(name), getattr(dataset, name, None), default)
        setattr(model, name, next(x for x in known if x is not None and len(x) == model.num_classes))


def init_segmentor(config: str | os.PathLike | Config, checkpoint: str | None = None,
                   device: str | None = None, network: str = 'student') -> nn.Module:
    """Build the segmentor of a config, ready to predict.

    Args:
        config: a config, or the path of one.
        checkpoint: file with the weights; without one they are random.
        device: e.g. 'cuda:0' or 'cpu'; None takes the GPU if there is one.
        network: of a UDA checkpoint, 'student' or 'teacher'.

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
    model = bare_segmentor(config)
    meta = load_segmentor(model, checkpoint, network) if checkpoint is not None else {}
    load_classes(model, meta, registered_test_set(config))
    return model.to(device).eval()


def bare_segmentor(config: Config) -> BaseSegmentor:
    """The segmentor of a config with random weights, and ``cfg``; see :func:`init_segmentor`."""
    require_sections(config, ['model'])
    model_cfg = config.model.copy()
    model_cfg.update(pretrained=None, train_cfg=None)
    model = build_segmentor(model_cfg)
    model.cfg = config
    return model


def registered_test_set(config: Config) -> Any:
    """The class of the config's test data, which may know names and colours of classes; None: there is none."""
    name = ((config.get('data') or {}).get('test') or {}).get('type')
    return name and DATASETS.get(name)


class Predictor:
    """A network and the test pipeline of its config, whose first transform is the loader of images.

    Args:
        model: what :func:`init_segmentor` returned.

    Raises:
        DataError: if the config describes no test pipeline.
    """

    def __init__(self, model: nn.Module) -> None:
        test = (model.cfg.get('data') or {}).get('test') or {}
        if not test.get('pipeline'):
            raise DataError('the config has no data.test.pipeline, which says how images are read')
        loader, *others = test['pipeline']
        self.model = model
        self._load, self._prepare = Compose([loader]), Compose(others)

    def load(self, img: Image) -> dict[str, Any]:
        """What the loader makes of an image, see :func:`inference_segmentor`: ``img``, and what is known of it.

        Raises:
            DataError: if a file cannot be read, or the config's loader would not return such an array.
        """
        [loader] = self._load.transforms
        if isinstance(img, np.ndarray):
            image = _as_read(img, loader) if isinstance(loader, LoadImageFromFile) else img
            return dict(loaded('', '', image.shape), img=image)
        results = _run(self._load, dict(img_info=dict(filename=os.fspath(img)), img_prefix='', seg_fields=[]))
        if 'img' not in results:
            raise DataError(f'data.test.pipeline begins with {type(loader).__name__}, which loads no image')
        return results

    def prepare(self, results: dict[str, Any]) -> dict[str, Any]:
        """What the rest of the pipeline makes of what :meth:`load` returned.

        Raises:
            DataError: if the pipeline fails on it.
        """
        return _run(self._prepare, dict(results))

    def inputs(self, sample: dict[str, Any]) -> tuple[list[Tensor], list[list[dict[str, Any]]]]:
        """Of what :meth:`prepare` returned: images [1, 3, H, W] on the device and their metas, by test-time version."""
        device = next(self.model.parameters()).device
        return [version[None].to(device) for version in sample['img']], [[meta] for meta in sample['img_metas']]

    def predict(self, sample: dict[str, Any]) -> np.ndarray:
        """Predict what :meth:`prepare` returned: int64 [H, W] class ids."""
        return self.model.predict(*self.inputs(sample))[0].cpu().numpy()

    def scores(self, sample: dict[str, Any]) -> ClassScores:
        """What a prediction is decided by, [1, C, H, W] on the device; see :meth:`predict`."""
        return self.model.class_scores(*self.inputs(sample))

    def __call__(self, results: dict[str, Any]) -> np.ndarray:
        """:meth:`prepare` and :meth:`predict`."""
        return self.predict(self.prepare(results))


def _as_read(image: np.ndarray, loader: LoadImageFromFile) -> np.ndarray:
    """An array as the loader would have read it from a file."""
    is_float = np.issubdtype(image.dtype, np.floating)
    known = loader.color_type == 'unchanged' or image.dtype == np.uint8 or is_float and loader.to_float32
    if image.ndim not in (2, 3) or not known:
        raise DataError(f'an image is uint8 [H, W, C] or [H, W], 0 to 255, not {image.dtype} {list(image.shape)}: '
                        'scale it, or give the path of its file')
    image = image.astype(np.float32) if is_float else image  # OpenCV converts colours of no other floats
    conversion = _CONVERSIONS.get((loader.color_type, 1 if image.ndim == 2 else image.shape[2]))
    image = image if conversion is None else cv2.cvtColor(image, conversion)
    return image.astype(np.float32) if loader.to_float32 else image


def _run(pipeline: Compose, results: dict[str, Any]) -> dict[str, Any]:
    try:
        return pipeline(results)
    except DataError:
        raise
    except Exception as error:  # anything, since loaders and transforms may be a user's own
        raise DataError(str(error)) from error


def inference_segmentor(model: nn.Module, img: Image | Sequence[Image]) -> list[np.ndarray]:
    """Predict images with the test pipeline of the model's config, one after the other.

    Args:
        model: what :func:`init_segmentor` returned.
        img: path of an image, read by the first transform of the pipeline; or an array as that returns it; or a list
            of them. For LoadImageFromFile arrays are uint8 [H, W, 3] in the order blue, green, red, or grey [H, W], and
            each is made the other where ``color_type`` wants that; with 'unchanged' they have the channels and the
            depth of the files trained with.

    Returns:
        One int64 [H, W] map of class ids per image.

    Raises:
        DataError: if a file cannot be read, an array is none that the loader returns, or the pipeline fails on it.
    """
    predictor = Predictor(model)
    images = img if isinstance(img, (list, tuple)) else [img]
    return [predictor(predictor.load(image)) for image in images]


def picture_reader(model: nn.Module) -> Callable[[str], np.ndarray]:
    """From the path of an image to a picture of what the network sees of it; see :func:`displayable`."""
    predictor = Predictor(model)
    return lambda path: displayable(predictor.load(path)['img'])


def draw_result(model: nn.Module, img: Image, result: Sequence[np.ndarray], palette: Sequence | None = None,
                opacity: float = 0.5) -> np.ndarray:
    """Lay a prediction over its image.

    Args:
        model: says the PALETTE, unless one is given.
        img: path, read as :func:`inference_segmentor` does; or what the loader of the config returned, see
            :func:`displayable`, colours in the order blue, green, red.
        result: what :func:`inference_segmentor` returned.
        palette: RGB colours 0..255.
        opacity: of the prediction, 0 < opacity <= 1.

    Returns:
        uint8 [H, W, 3] RGB.

    Raises:
        DataError: if a file cannot be read.
    """
    image = displayable(img) if isinstance(img, np.ndarray) else picture_reader(model)(img)
    return blend(image[..., ::-1], result[0], model.PALETTE if palette is None else palette, opacity)


def show_result_pyplot(model: nn.Module, img: Image, result: Sequence[np.ndarray], palette: Sequence | None = None,
                       fig_size: tuple[float, float] = (15, 10), opacity: float = 0.5, title: str = '',
                       block: bool = True) -> None:
    """Show a prediction over its image in a matplotlib window (or in a notebook).

    Args:
        model: says the PALETTE, unless one is given.
        img: path or array, see :func:`draw_result`.
        result: what :func:`inference_segmentor` returned.
        palette: RGB colours 0..255.
        opacity: of the prediction, 0 < opacity <= 1.
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
