"""What the network is fed: the first batches of a training, as the training step reads, mixes and masks them."""
from __future__ import annotations

import base64
import html
import math
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine import Config
from torch import Tensor

from mmseg.checkpoint.networks import load_segmentor
from mmseg.datasets import build_dataset, build_train_loader
from mmseg.engine.seeds import seed_everything
from mmseg.models import build_train_model
from mmseg.models.builder import leave_weights_out
from mmseg.visualization import Palette, Panel, default_palette, draw_panels

PAGE = '''<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font-family: sans-serif; margin: 1em }} img {{ max-width: 100% }} .key {{ margin-right: 1em }}
.colour {{ display: inline-block; width: 1em; height: 1em; margin-right: 0.3em; vertical-align: text-bottom }}
</style></head><body>
<h1>{title}</h1>
<p>{legend}</p>
{images}
</body></html>
'''


class Bystander:
    """Stands in for the optimizer wrapper of a training step: nothing is learned."""

    def zero_grad(self) -> None:
        """There are no gradients."""

    def backward(self, loss: Tensor) -> None:
        """Leave the loss alone."""

    def step(self) -> None:
        """Leave the weights alone."""

    def optim_context(self, model: Any) -> nullcontext:
        """Full precision."""
        return nullcontext()


@dataclass(frozen=True)
class FedImage:
    """One image of a batch with all that the step made of it.

    Attributes:
        name: iteration, counted from 1, and number of the image in the batch, as in the training panels' file names.
        files: the image file of each domain.
        panels: maps of the whole batch, in host memory.
        index: of this image in them.
        norm: mean and std of the images, in grey levels.
        classes, palette: of the data set.
    """
    name: str
    files: dict[str, str]
    panels: list[Panel]
    index: int
    norm: dict[str, Any]
    classes: tuple[str, ...]
    palette: Palette

    def draw(self, path: Path) -> None:
        """Draw the panels as PNG."""
        draw_panels(self.panels, path, self.palette, self.norm['mean'], self.norm['std'], self.index)


def fed_images(cfg: Config, num: int, *, start: int = 0, checkpoint: str | None = None, network: str = 'student',
               device: torch.device | str = 'cpu') -> Iterator[FedImage]:
    """The images of a training, from 0-based iteration ``start`` on: those that it reads with the config's seed.

    The training step itself runs, without learning. Its pseudo labels come from random weights, or from those of a
    checkpoint.

    Args:
        cfg: a whole config.
        num: how many images per domain.
        checkpoint: file whose weights all networks get.
        network: which of its networks, 'student' or 'teacher'.
        device: where to compute.

    Raises:
        DataError, CheckpointError: if a file cannot be used.
        ValueError: if the config asks for something that cannot be.
    """
    seed = cfg.get('seed') or 0
    leave_weights_out(cfg)
    dataset = build_dataset(cfg.data.train)
    seed_everything(seed)
    model = build_train_model(cfg).to(device).train()
    if checkpoint is not None:
        for part in model.networks().values():
            load_segmentor(part, checkpoint, network)
    batch_size = cfg.data.get('samples_per_gpu', 2)
    stop = start + math.ceil(num / batch_size)
    batches = build_train_loader(dataset, batch_size, 0, seed=seed, start=start, stop=stop)
    model.start(seed, 0, start)
    for iteration, batch in enumerate(batches, start):
        model.capture = True
        with torch.no_grad():
            model.train_step(batch, Bystander())
        panels = [panel.cpu() for panel in model.captured]
        for index in range(min(batch_size, num - (iteration - start) * batch_size)):
            yield FedImage(f'{iteration + 1:06d}_{index}', _files(batch, index), panels, index,
                           batch['img_metas'][0]['img_norm_cfg'], dataset.CLASSES,
                           dataset.PALETTE or default_palette(len(dataset.CLASSES)))


def _files(batch: dict[str, Any], index: int) -> dict[str, str]:
    """Where an image of the batch comes from, by domain."""
    if 'target_img_metas' not in batch:
        return {'image': batch['img_metas'][index]['filename']}
    return {'source': batch['img_metas'][index]['filename'], 'target': batch['target_img_metas'][index]['filename']}


def write_pictures(images: Iterable[FedImage], folder: Path) -> None:
    """Draw each image as ``folder/<name>.png`` and print which files it was made of."""
    for image in images:
        path = folder / f'{image.name}.png'
        image.draw(path)
        print(f'{path}: {_described(image)}', flush=True)


def write_page(images: Iterable[FedImage], file: Path, title: str) -> None:
    """Draw all images into a single HTML file that needs no other, with the colours of the classes."""
    blocks, legend = [], ''
    with tempfile.TemporaryDirectory() as folder:
        for image in images:
            path = Path(folder) / 'image.png'
            image.draw(path)
            content = base64.b64encode(path.read_bytes()).decode()
            blocks.append(f'<h2>{image.name}</h2><p>{html.escape(_described(image))}</p>'
                          f'<img alt="panels" src="data:image/png;base64,{content}">')
            legend = _legend(image.classes, image.palette)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(PAGE.format(title=html.escape(title), legend=legend, images='\n'.join(blocks)), encoding='utf-8')


def _legend(classes: Sequence[str], palette: Palette) -> str:
    colours = [*zip(range(len(classes)), classes, palette), (255, 'ignored', (0, 0, 0))]
    return '\n'.join(f'<span class="key"><span class="colour" style="background: rgb{tuple(colour)}"></span>{index} '
                     f'{html.escape(name)}</span>' for index, name, colour in colours)


def _described(image: FedImage) -> str:
    return ', '.join(f'{domain} {file}' for domain, file in image.files.items())
