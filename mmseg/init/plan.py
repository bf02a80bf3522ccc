"""From two folders to the settings of a training, with a reason for each."""
from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mmseg.datasets.files import read_header, read_image
from mmseg.doctor.survey import MOST, named, spread, survey
from mmseg.errors import DataError
from mmseg.init.classes import Classes, find_classes
from mmseg.init.masks import Masks, look_at_masks
from mmseg.init.networks import Choice, Training, length, training_on
from mmseg.init.pairing import Folder, find_pairs
from mmseg.init.sizes import FULL, Scales, choose_scales, find_things, rare_pixels, size_ratio
from mmseg.utils.labels import IGNORED

DECODED = 20  # images of 16 bits whose values are looked at
VALIDATION = 5  # one of so many labelled target images validates, where all have masks
NOT_SCORED = ('no target masks: nothing is validated, so nothing says whether adaptation helps, and the last '
              'checkpoint is scored by nothing. Look at predictions, or draw masks for 20 to 50 target images and call '
              'init again')


@dataclass(frozen=True)
class Images:
    """The images of one domain.

    Attributes:
        names: those to use, None for all of the folder.
        sizes: heights and widths.
        bits: used ones of images of 16 bits, if they are fewer.
    """
    folder: Folder
    names: Sequence[str] | None
    sizes: Sequence[tuple[int, int]]
    bits: int | None = None

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.folder.images if self.names is None else self.names)


@dataclass(frozen=True)
class Plan:
    """All that the config says but for the network, which the memory decides.

    Attributes:
        val: folder and names of the images to validate on, None for all of it; None: there are none.
        reasons: what was chosen, and why.
    """
    source: Images
    target: Images
    val: tuple[Folder, Sequence[str] | None] | None
    classes: Classes
    things: Sequence[int]
    scales: Scales
    is_varied: bool
    sampling: Mapping[str, float]
    training: Training
    iterations: int
    reasons: list[tuple[str, Any, str]]


def make_plan(source: Sequence[str], target: Sequence[str], val: Sequence[str] | None, given: Sequence[str],
              unlabelled: Sequence[str], device: torch.device) -> Plan:
    """Look at the folders and decide.

    Args:
        source: folders of images and masks.
        target: a folder of images, and perhaps one of masks.
        val: folders of further target images and their masks.
        given, unlabelled: see :func:`~mmseg.init.classes.find_classes`.

    Raises:
        DataError: for what cannot be used.
    """
    if val and os.path.realpath(val[0]) == os.path.realpath(target[0]):
        target, val = val, None  # what validates is not trained on
    reasons: list[tuple[str, Any, str]] = []
    source_folder = find_pairs(*source)
    source_names = _with_masks(source_folder, reasons)
    target_folder, masked = find_pairs(*target[:1]), find_pairs(*(val or target))
    target_names, val_names = _split(target_folder, masked, bool(val), reasons)
    source_masks = look_at_masks(source_folder, source_folder.paired)
    target_masks = look_at_masks(masked, masked.paired) if masked.paired else Masks([], 0)
    if len({value[0] == '#' for masks in (source_masks, target_masks) for value in masks.pixels}) > 1:
        raise DataError(f'the masks of one domain hold ids ({named(source_masks.values)}), those of the other colours '
                        f'({named(target_masks.values)}): write both in the same way')
    classes = find_classes(source_masks.values, target_masks.values, given, unlabelled)
    _tell_classes(source_masks, classes, reasons)
    training = training_on(device.type)
    images = [_images(source_folder, source_names), _images(target_folder, target_names)]
    ratio, compared = size_ratio(source_masks, target_masks, classes) if target_masks.looked else (None, '')
    scales = choose_scales(images[0].sizes, images[1].sizes, ratio, compared, training.side)
    reasons += [('img_scale', f'source {scales.source}, target {scales.target}', scales.why),
                ('crop_size', (scales.crop, scales.crop), f'{training.why_side}; at most the resized image')]
    things, is_varied, sampling = _balance(source_masks, classes, scales.source_factor, reasons)
    iterations, why = length(device.type, max(image.count for image in images), training.choices[0].samples)
    reasons += [('max_iters', iterations, why), ('alpha', training.alpha, training.why_alpha)]
    used = None if val_names is None else (masked, val_names or None)
    return Plan(images[0], images[1], used, classes, things, scales, is_varied, sampling, training, iterations, reasons)


def _balance(masks: Masks, classes: Classes, factor: float, reasons: list[tuple[str, Any, str]]
             ) -> tuple[list[int], bool, dict[str, float]]:
    """What depends on how much of which class there is: things, whether crops are varied, rare class sampling."""
    things = find_things(masks, classes)
    why = 'things, as ImageNet shows them: by their names, or since they come as compact pieces'
    if not things:
        why = 'no class is a thing, by its name or in compact pieces: the feature distance is off'
    reasons.append(('imnet_feature_dist_classes', [classes.names[c] for c in things] or None, why))
    shares = [sum(masks.pixels[value] for value in classes.values(c)) for c in range(len(classes.names))]
    is_varied = max(shares) < FULL * sum(shares)
    why = 'crops that one class fills are drawn again' if is_varied else 'off: one class nearly always fills the image'
    pixels, why_pixels = rare_pixels(masks, classes)
    sampling = dict(min_pixels=pixels, class_temp=0.1, min_crop_ratio=float(f'{factor**2:.2g}'))
    reasons += [('cat_max_ratio', FULL if is_varied else None, why), ('min_pixels', pixels, why_pixels),
                ('min_crop_ratio', sampling['min_crop_ratio'], 'resizing leaves that share of the pixels'),
                ('class_temp', 0.1, "milder than DAFormer's 0.01, with which few classes are drawn but the rarest")]
    return things, is_varied, sampling


def _with_masks(folder: Folder, reasons: list[tuple[str, Any, str]]) -> list[str] | None:
    """Names of the source images that have a mask, None if all do."""
    paired, unpaired = folder.paired, folder.unpaired
    ends = f' ({folder.img_suffix} belongs to {folder.seg_map_suffix})' if folder.img_suffix else ''
    reasons.append(('source', f'{len(paired):,} images with masks{ends}', _left(folder)))
    if not paired:
        raise DataError(f'no image in {folder.img_dir} has a mask in {folder.ann_dir}, such as '
                        f'{folder.image(unpaired[0])}')
    return paired if unpaired else None


def _left(folder: Folder) -> str:
    texts = []
    if folder.unpaired:
        files = named([folder.image(name) for name in folder.unpaired], 3)
        texts.append(f'{len(folder.unpaired):,} without a mask are left out: {files}')
    alone = sorted(folder.masks.keys() - folder.images.keys())
    if alone:
        texts.append(f'{len(alone):,} masks have no image: {named([folder.masks[name] for name in alone], 3)}')
    return '; '.join(texts) or 'all have the same path up to the end of the name'


def _split(folder: Folder, masked: Folder, apart: bool, reasons: list[tuple[str, Any, str]]
           ) -> tuple[list[str] | None, list[str] | None]:
    """Names of target images to train on and to validate on; of the former None for all, of the latter for none."""
    count, paired = len(folder.images), masked.paired
    train: list[str] | None = None
    if apart:
        if not paired:
            raise DataError(f'no image in {masked.img_dir} has a mask in {masked.ann_dir}')
        why = 'images of their own'
    elif not paired:
        reasons.append(('target', f'{count:,} images', NOT_SCORED))
        return None, None
    else:
        if len(paired) > count / 2 and count > 1:
            paired, why = paired[::VALIDATION], f'every {VALIDATION}th labelled image; no other target label is used'
        else:
            why = 'those with masks; the network does not train on them'
        train = sorted(folder.images.keys() - {_stem(masked.images[name]) for name in paired}) or None
        why = why if train else 'it is the only one, and trained on, too: scores say little'
    trained = count if train is None else len(train)
    reasons.append(('target', f'{trained:,} images to train on, {len(paired):,} to validate', why))
    return train, [] if apart and not masked.unpaired else paired


def _stem(file: str) -> str:
    return file.rpartition('.')[0]


def _images(folder: Folder, names: Sequence[str] | None) -> Images:
    used = sorted(folder.images) if names is None else names
    chosen = spread(len(used), MOST)
    seen = survey(lambda idx: read_header(folder.image(used[idx])), chosen, f'{folder.img_dir}: images')
    for error in seen.errors.values():
        raise error
    deep = [used[idx] for idx, header in seen.found.items() if header.bits == 16]
    bits = max((int(read_image(folder.image(deep[i]), 'unchanged').max()).bit_length()
                for i in spread(len(deep), DECODED)), default=16) if deep else 16
    sizes = [(header.height, header.width) for header in seen.found.values()]
    return Images(folder, names, sizes, max(bits, 8) if bits < 14 else None)


def _tell_classes(masks: Masks, classes: Classes, reasons: list[tuple[str, Any, str]]) -> None:
    total = masks.pixels.total()
    looked = '' if len(masks.looked) == masks.total else f'; {len(masks.looked):,} of {masks.total:,} masks looked at'
    reasons.append(('classes', len(classes.names), '; '.join(classes.why) + looked))
    for index, name in enumerate(classes.names):
        values = classes.values(index)
        share = 100 * sum(masks.pixels[value] for value in values) / total
        reasons.append((f'  {name}', ', '.join(values), f'{share:.2f} % of the source'))
    for value in (value for value, c in classes.of.items() if c == IGNORED and masks.pixels[value]):
        reasons.append(('  (left out)', value, f'{100 * masks.pixels[value] / total:.2f} % of the source'))


def choice_settings(plan: Plan, choice: Choice) -> dict[str, Any]:
    """The top-level entries of the config that are no data."""
    uda: dict[str, Any] = dict(alpha=plan.training.alpha)
    if plan.things:
        uda.update(imnet_feature_dist_lambda=0.005, imnet_feature_dist_classes=list(plan.things),
                   imnet_feature_dist_scale_min_ratio=0.75)
    else:
        uda.update(imnet_feature_dist_lambda=0)
    head = dict(decode_head=dict(num_classes=len(plan.classes.names)))
    every = plan.iterations // (4 if plan.iterations < 8000 else 10)
    return dict(
        model=dict(choice.model, **head), uda=uda, **choice.settings, runner=dict(max_iters=plan.iterations),
        checkpoint_config=dict(interval=every),
        evaluation=None if plan.val is None else dict(interval=every, model=['student', 'teacher']))
