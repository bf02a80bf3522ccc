"""The first pass: a memory bank is filled from source images before the training begins."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from mmseg.models.preprocess import check_labels, prepare
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.uda.cells import class_counts
from mmseg.models.uda.dida.base import embedding_of
from mmseg.models.uda.dida.memory_bank import MemoryBank
from mmseg.models.uda.dida.prototypes import class_sums

PATIENCE = 5000  # images


@torch.no_grad()
def fill(bank: MemoryBank, network: BaseSegmentor, batches: Iterable[dict[str, Any]]) -> int:
    """Fill all rows of a bank anew: each becomes the mean embedding of one class in one image.

    It ends when all rows are filled, or with the batches. Every process fills its own bank from its own batches.

    Args:
        bank: on the device of the network.
        network: the segmentor that sees the images, in the mode that it is in.
        batches: with source images and labels, see mmseg/datasets/collate.py.

    Returns:
        The number of images that were read.

    Raises:
        ValueError: if 5,000 images in a row show no class whose rows are still empty.
    """
    bank.clear()
    read, useful, missing = 0, 0, missing_classes(bank)
    for batch in batches:
        read += len(batch['img'])
        if not missing.isdisjoint(batch['classes'].tolist()):  # else the network need not see it
            _add(bank, network, batch)
            useful, missing = read, missing_classes(bank)
        if not missing:
            break
        if read - useful >= PATIENCE:
            raise ValueError(f'{PATIENCE} source images in a row show none of the classes {sorted(missing)}, whose '
                             'rows of the memory bank are empty: name those that the source has in '
                             'uda.instance_bank.classes')
    return read


def missing_classes(bank: MemoryBank) -> set[int]:
    """The classes that have an empty row; waits for the device."""
    return set(bank.label[~bank.filled].tolist())


def _add(bank: MemoryBank, network: BaseSegmentor, batch: dict[str, Any]) -> None:
    """Store the class means of each image of a batch, where there are empty rows."""
    check_labels(batch, bank.num_classes)
    source = prepare({key: batch[key] for key in ('img', 'img_metas', 'gt_semantic_seg')}, bank.feature.device)
    embedding = embedding_of(network.decode_image(source['img']))
    counts = class_counts(source['gt_semantic_seg'], embedding.shape[-2:], bank.num_classes)[..., :-1]
    for image in range(len(embedding)):
        sums, pixels = class_sums(embedding[image:image + 1], counts[image:image + 1])
        bank.update(sums / pixels.clamp_min(1)[:, None], pixels > 0, renew=False, momentum=None)
