"""Side-by-side pictures for the demo: image, truth, and the prediction of each method."""
from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from mmseg.apis import inference_segmentor, init_segmentor
from mmseg.datasets import build_dataset
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
    models = {name: init_segmentor(str(config), str(checkpoint), 'cpu') for name, (config, checkpoint) in
              networks.items()}
    first = next(iter(models.values()))
    dataset = build_dataset(first.cfg.data.val, dict(test_mode=True))
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(0, len(dataset), max(1, len(dataset) // count)):
        file = Path(dataset.img_dir) / dataset.img_infos[index]['filename']
        columns = {'image': np.asarray(Image.open(file)), 'truth': colourise(dataset.label(index), dataset.PALETTE)}
        for name, model in models.items():
            columns[TITLES.get(name, name)] = colourise(inference_segmentor(model, file)[0], dataset.PALETTE)
        side_by_side(columns).save(folder / f'{file.stem.removesuffix("_leftImg8bit")}.png')
    return folder


def side_by_side(columns: dict[str, np.ndarray]) -> Image.Image:
    """Pictures uint8 [H, W, 3] of one size in a row, enlarged, with their titles above."""
    height, width = (ZOOM * side for side in next(iter(columns.values())).shape[:2])
    sheet = Image.new('RGB', (len(columns) * width, height + HEADING), 'white')
    pen = ImageDraw.Draw(sheet)
    for position, (title, pixels) in enumerate(columns.items()):
        picture = Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(picture, (position * width, HEADING))
        pen.text((position * width + 4, 3), title, fill='black')
    return sheet
