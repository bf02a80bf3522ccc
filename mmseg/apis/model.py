"""A trained network as one object, from a checkpoint alone: ``mmseg.load(...)``, then call it."""
from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from mmengine import Config
from PIL import Image as PillowImage
from torch import Tensor, nn

from mmseg.apis.inference import (
    Image,
    Predictor,
    bare_segmentor,
    displayable,
    load_classes,
    registered_test_set,
)
from mmseg.apis.model_card import Scores, model_card
from mmseg.apis.predict import image_suffixes
from mmseg.apis.publish import WEIGHTS, push_folder, write_folder
from mmseg.checkpoint.file import read_checkpoint
from mmseg.checkpoint.hub import fetch
from mmseg.checkpoint.lookup import numbered_checkpoints
from mmseg.checkpoint.networks import load_network
from mmseg.config.reading import load_config
from mmseg.config.stored import prediction_config
from mmseg.datasets import build_dataset, build_eval_loader
from mmseg.datasets.storage import list_files
from mmseg.errors import CheckpointError, ConfigError, DataError
from mmseg.evaluation import evaluate_network
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.utils.config_text import read_config_text
from mmseg.utils.device import resolve_device
from mmseg.visualization import Style, write_image, write_palette_png

HUB = 'hf:'  # begins the names of networks on the Hugging Face Hub


@dataclass(frozen=True)
class Prediction:
    """What a network sees in one image; ``numpy.asarray`` of it gives the ids.

    Attributes:
        ids: int64 [H, W] class ids, at the size of the image.
        image: as it was read: [H, W, 3] in the order blue, green, red, or [H, W].
        classes: the names.
        palette: their RGB colours, 0 to 255.
        path: of the image; None: it came from memory.
    """
    ids: np.ndarray
    image: np.ndarray = field(repr=False)
    classes: tuple[str, ...] = field(repr=False)
    palette: tuple[tuple[int, ...], ...] = field(repr=False)
    path: Path | None = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.ids, dtype=dtype) if copy else np.asarray(self.ids, dtype=dtype)

    @property
    def shares(self) -> dict[str, float]:
        """The share of pixels, 0 to 1, of each class that occurs, the largest first."""
        counts = np.bincount(self.ids.ravel(), minlength=len(self.classes)) / self.ids.size
        return {self.classes[i]: float(counts[i]) for i in np.argsort(-counts) if counts[i]}

    def picture(self, opacity: float = 0.5) -> np.ndarray:
        """The prediction laid over the image: uint8 RGB [H, W, 3]; ``opacity`` of the prediction, in (0, 1]."""
        return Style(opacity).draw(displayable(self.image)[..., ::-1], self.ids, self.classes, self.palette)

    def save(self, path: str | os.PathLike, opacity: float = 0.5) -> None:
        """Write the picture, or with opacity 1 a palette PNG of the ids."""
        if Style(opacity).is_ids:
            write_palette_png(path, self.ids, self.palette)
        else:
            write_image(path, self.picture(opacity))


class Model(nn.Module):
    """A segmentation network, ready to predict; what it gives depends on what it is called with.

    | called with | gives |
    | -- | -- |
    | path of an image | :class:`Prediction` |
    | PIL image | the same; its colours are made what the network was trained with |
    | array [H, W, 3] or [H, W], uint8 | the same; colours in the order **blue, green, red**, as OpenCV reads |
    | list of these | list of predictions |
    | folder | iterator of predictions of the images below it, in the order of names |
    | tensor [B, 3, H, W], float | logits [B, classes, H, W] with gradients; of images that :meth:`preprocess` made |

    Args:
        network: a segmentor with ``cfg``, ``CLASSES`` and ``PALETTE``.
        facts: what is known of its training: ``config`` (the whole content as a dict), ``iter``, ``seed``.
        run: folder of the training, whose logs have the scores; None: not known.
    """

    def __init__(self, network: BaseSegmentor, facts: Mapping[str, Any] | None = None, run: Path | None = None) -> None:
        super().__init__()
        self.network, self.facts, self.run = network, dict(facts or {}), run

    @property
    def cfg(self) -> Config:
        """The config, or as much of it as predicting needs."""
        return self.network.cfg

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by id."""
        return tuple(self.network.CLASSES)

    @property
    def palette(self) -> tuple[tuple[int, ...], ...]:
        """RGB colours of the classes, 0 to 255."""
        return tuple(tuple(map(int, colour)) for colour in self.network.PALETTE)

    @cached_property
    def _predictor(self) -> Predictor:
        return Predictor(self.network)

    def forward(self, images: Any) -> Any:
        """See the table above.

        Raises:
            DataError: if an image cannot be read or is of another kind.
        """
        if isinstance(images, Tensor):
            return self._logits(images)
        if isinstance(images, (list, tuple)):
            return [self.predict(image) for image in images]
        if isinstance(images, (str, os.PathLike)) and os.path.isdir(images):
            return self._folder(Path(images))
        return self.predict(images)

    def predict(self, image: Image | PillowImage.Image) -> Prediction:
        """Predict one image with the test pipeline of the config.

        Raises:
            DataError: if it cannot be read or is of another kind.
        """
        results = self._predictor.load(as_array(image))
        path = Path(image) if isinstance(image, (str, os.PathLike)) else None
        return Prediction(self._predictor(results), results['img'], self.classes, self.palette, path)

    def preprocess(self, image: Image | PillowImage.Image) -> Tensor:
        """The tensor [1, 3, H, W] that the test pipeline makes of an image, on the network's device.

        It is resized as the config says, so logits of it have another size than the image. Of several versions (test
        time augmentation) it is the first.
        """
        sample = self._predictor.prepare(self._predictor.load(as_array(image)))
        return self._predictor.inputs(sample)[0][0]

    def _logits(self, images: Tensor) -> Tensor:
        if images.ndim != 4 or not images.is_floating_point():
            raise DataError(f'a tensor of images is float [B, 3, H, W] and normalised, not {images.dtype} '
                            f'{list(images.shape)}: model.preprocess(image) makes one, or call the model with an array')
        return self.network.logits(images.to(next(self.network.parameters()).device))

    def _folder(self, folder: Path) -> Iterator[Prediction]:
        suffixes = image_suffixes(self.cfg)
        files = list_files(folder, suffixes).files
        if not files:
            raise DataError(f'{folder} holds no image: known are {", ".join(suffixes)}')
        return (self.predict(folder / name) for name in files)

    def save_pretrained(self, folder: str | os.PathLike, scores: Scores | None = None,
                        licence: str | None = None) -> Path:
        """Write the network and a model card; ``mmseg.load(folder)`` reads it back.

        Args:
            folder: gets ``model.safetensors`` and ``README.md``.
            scores: from :func:`evaluate`, for the card; None: the last ones in the run's logs, if they are known.
            licence: of the weights, as the Hub names it (``apache-2.0``); None: as the encoder's weights want it.

        Returns:
            The folder.
        """
        return write_folder(self, Path(folder), model_card(self, scores, licence))

    def push_to_hub(self, repo: str, scores: Scores | None = None, licence: str | None = None,
                    private: bool = False) -> str:
        """Publish what :meth:`save_pretrained` writes on the Hugging Face Hub; returns the address.

        Args:
            repo: ``owner/name``; made if it does not exist.
            scores: for the card, see :meth:`save_pretrained`.
            licence: of the weights, see there.
            private: whether only you can read a new repository.

        Raises:
            CheckpointError: if the Hub refuses, saying why.
        """
        return push_folder(self, repo, model_card(self, scores, licence, repo), private)


def as_array(image: Any) -> Image:
    """An image as the loaders know it: PIL images become arrays, others stay."""
    if not isinstance(image, PillowImage.Image):
        return image
    if image.mode in ('L', 'I;16'):
        return np.asarray(image)
    return np.ascontiguousarray(np.asarray(image.convert('RGB'))[..., ::-1])


def load(source: str | os.PathLike, device: str | None = None, network: str = 'student',
         config: str | os.PathLike | Config | None = None) -> Model:
    """A trained network from its checkpoint alone; the config that lies in it is read as data and not run.

    Args:
        source: a checkpoint file (.pth, .safetensors), the folder of a run or of :meth:`Model.save_pretrained`, or
            ``hf:owner/name`` (with ``@revision`` if you like) for a network on the Hugging Face Hub.
        device: e.g. 'cuda:0' or 'cpu'; None takes the GPU if there is one.
        network: of a UDA checkpoint, 'student' or 'teacher'.
        config: for files that hold none.

    Raises:
        FileNotFoundError: if there is no such file, or the Hub cannot be reached.
        CheckpointError: if the file cannot be read, is of another model or holds no usable config.
        ValueError: if there is no such device.
    """
    where = resolve_device(device)
    path, run = _checkpoint_of(os.fspath(source))
    checkpoint = read_checkpoint(path)
    meta = checkpoint.get('meta')
    meta = meta if isinstance(meta, Mapping) else {}
    content, cfg = _config_of(path, meta, config)
    segmentor = bare_segmentor(cfg)
    load_classes(segmentor, load_network(segmentor, checkpoint, path, network), registered_test_set(cfg))
    facts = {key: meta[key] for key in ('iter', 'seed') if key in meta}
    run = run if network == 'student' else None  # whose scores the logs have first
    return Model(segmentor.to(where), dict(facts, config=content), run).eval()


def _checkpoint_of(source: str) -> tuple[Path, Path | None]:
    """The file behind a source, and the folder of the run that it belongs to."""
    if source.startswith(HUB):
        repo, _, revision = source.removeprefix(HUB).partition('@')
        try:
            return fetch(repo, [WEIGHTS], revision or 'main'), None
        except FileNotFoundError as error:
            raise FileNotFoundError(f'{source}: cannot get its {WEIGHTS} from the Hugging Face Hub: {error}') from error
    path = Path(source)
    if not path.is_dir():
        return path, path.parent
    if (path / WEIGHTS).is_file():
        return path / WEIGHTS, None
    latest = path / 'latest.pth'
    found = [*numbered_checkpoints(path), *([latest] if latest.exists() else [])]
    if not found:
        raise FileNotFoundError(f'{path} holds no latest.pth, no iter_N.pth and no {WEIGHTS}: name a checkpoint file')
    return found[-1], path


def _config_of(path: Path, meta: Mapping[str, Any], config: str | os.PathLike | Config | None
               ) -> tuple[dict[str, Any], Config]:
    """The whole content of a network's config, unchecked, and the config to predict with."""
    if config is not None:
        cfg = config if isinstance(config, Config) else load_config(os.fspath(config))
        return cfg.to_dict(), cfg
    help_text = 'name the one it was trained with, mmseg.load(..., config=FILE)'
    if not isinstance(meta.get('config'), str):
        raise CheckpointError(f'{path} holds no config: {help_text}')
    try:
        content = read_config_text(meta['config'])
        return content, prediction_config(content)
    except (ConfigError, ValueError) as error:
        raise CheckpointError(f'{path}: its config cannot be used as data ({error}): {help_text}') from error


def evaluate(model: Model, dataset: Mapping[str, Any] | Any = None, workers: int = 2) -> dict[str, float]:
    """Score a network on labelled images.

    Args:
        model: from :func:`load`.
        dataset: what differs from ``data.test`` of the network's config, e.g. ``dict(data_root='data/cityscapes')``; or
            a data set from ``build_dataset``; None: that of the config.
        workers: processes that read images.

    Returns:
        Scores in 0..1: mIoU, mAcc, aAcc, IoU.<class>, Acc.<class>.

    Raises:
        DataError: if the data is missing, or has other classes than the network.
    """
    if dataset is None or isinstance(dataset, Mapping):
        section = {**((model.cfg.get('data') or {}).get('test') or {}), **(dataset or {})}
        if not section.get('type'):
            raise DataError("the network's config has no data.test: name the data set, evaluate(model, dict(type=...))")
        dataset = build_dataset(section, dict(test_mode=True))
    device = next(model.network.parameters()).device
    return evaluate_network(model.network, build_eval_loader(dataset, workers), device=device, dataset=dataset)
