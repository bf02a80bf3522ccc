"""Predictions of several trained networks for the same validation images."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmseg.apis.inference import inference_segmentor, init_segmentor
from mmseg.config.reading import load_config
from mmseg.datasets import CustomDataset, DataError, build_dataset
from mmseg.datasets.files import read_image
from mmseg.visualization import Palette


@dataclass(frozen=True)
class ComparedPredictions:
    """What several networks make of some images.

    Attributes:
        names: stems of the image files.
        images: uint8 [H, W, 3] RGB, one per name.
        labels: uint8 [H, W] class ids, 255 where nothing is known, one per name.
        predictions: class ids [H, W] by network, one per name.
        classes, palette: names and RGB colours of the ids.
    """
    names: list[str]
    images: list[np.ndarray]
    labels: list[np.ndarray]
    predictions: dict[str, list[np.ndarray]]
    classes: tuple[str, ...]
    palette: Palette


def compare_predictions(networks: Mapping[str, tuple[Path, Path]], count: int, device: str | None = None
                        ) -> ComparedPredictions:
    """Predict images, spread over the validation set of the first config, with the student of each checkpoint.

    Args:
        networks: config and checkpoint by name, at least one. Their validation sets hold the same images.
        count: how many images, at most.
        device: None takes the GPU if there is one.

    Raises:
        DataError: if the validation set is made of several, or has no classes.
    """
    config, _ = next(iter(networks.values()))
    dataset = build_dataset(load_config(config).data.val, dict(test_mode=True))
    if not isinstance(dataset, CustomDataset) or dataset.CLASSES is None or dataset.PALETTE is None:
        raise DataError(f'{config}: predictions are compared on a single data set with classes, and data.val is none')
    count = min(count, len(dataset))
    chosen = [len(dataset) * position // count for position in range(count)]
    files = [dataset.image_path(index) for index in chosen]
    return ComparedPredictions(
        [Path(file).stem for file in files], [read_image(file)[..., ::-1] for file in files],
        [dataset.label(index) for index in chosen],
        {name: inference_segmentor(init_segmentor(own, str(checkpoint), device), files)
         for name, (own, checkpoint) in networks.items()},
        dataset.CLASSES, dataset.PALETTE)
