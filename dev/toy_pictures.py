"""Side-by-side pictures for the demo: image, truth, and the prediction of each method."""
from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from mmseg.apis.compare import compare_predictions
from mmseg.visualization import colourise

TITLES = dict(source_only='source only', dacs='UDA (DACS)', daformer='UDA (DAFormer)')
HEADING = 18  # pixels
ZOOM = 2


def write_pictures(networks: dict[str, tuple[Path, Path]], folder: Path, count: int = 8) -> Path:
    """Predict validation images with several networks.

    Args:
        networks: config and checkpoint by method.
        folder: gets one PNG for each image.
        count: number of images, spread over the validation set.

    Returns:
        ``folder``.
    """
    compared = compare_predictions(networks, count, 'cpu')
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(compared.names):
        columns = {'image': compared.images[index], 'truth': colourise(compared.labels[index], compared.palette)}
        for method, predictions in compared.predictions.items():
            columns[TITLES.get(method, method)] = colourise(predictions[index], compared.palette)
        side_by_side(columns).save(folder / f'{name.removesuffix("_leftImg8bit")}.png')
    return folder


def side_by_side(columns: dict[str, np.ndarray]) -> Image.Image:
    """Pictures uint8 [H, W, 3] of one size in a row, enlarged, with their titles above."""
    height, width = (ZOOM * side for side in next(iter(columns.values())).shape[:2])
    sheet = Image.new('RGB', (len(columns) * width, height + HEADING), 'white')
    pen = ImageDraw.Draw(sheet)
    for position, (title, pixels) in enumerate(columns.items()):
        picture = Image.fromarray(np.ascontiguousarray(pixels)).resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(picture, (position * width, HEADING))
        pen.text((position * width + 4, 3), title, fill='black')
    return sheet
