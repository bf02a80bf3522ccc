"""What do the label maps hold: damage, sizes, what ids become, and what is left out."""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmseg.datasets import CustomDataset
from mmseg.datasets.files import read_label_array
from mmseg.datasets.image_header import Header
from mmseg.datasets.label_format import LabelFormat, Meaning, colour_codes, colour_name, count_ids
from mmseg.datasets.pairs import fitted
from mmseg.doctor.known import conversion
from mmseg.doctor.places import Place
from mmseg.doctor.report import Report
from mmseg.doctor.survey import Survey, named, survey
from mmseg.utils.labels import IGNORED

KEEP = ('nothing, if the rest is enough to learn from and to measure; else give these ids a class (label_map, classes, '
        'ignore_index, reduce_zero_label)')


@dataclass(frozen=True)
class Content:
    """What label files hold.

    Attributes:
        pixels: number of them by id or colour, as it stands in the files: '7', '#804000'.
        classes: class index of each of these, 255 for what is left out.
        files: how many they are.
    """
    pixels: Counter[str]
    classes: Mapping[str, int]
    files: int = 1

    @property
    def by_class(self) -> dict[int, int]:
        """Number of pixels by class index."""
        counts: Counter[int] = Counter()
        for name, number in self.pixels.items():
            counts[self.classes[name]] += number
        return {c: counts[c] for c in sorted(counts) if c != IGNORED}

    @property
    def left_out(self) -> Counter[str]:
        """Those of ``pixels`` that belong to no class."""
        return Counter({name: n for name, n in self.pixels.items() if self.classes[name] == IGNORED})


@dataclass(frozen=True)
class Seen:
    """A label file: what it holds, and its size as text where that is not the size of its image."""
    content: Content
    other_size: str = ''


def check_labels(report: Report, place: Place, dataset: CustomDataset, indices: Sequence[int],
                 headers: Mapping[int, Header]) -> Content | None:
    """Report on label maps of a data set; returns what they hold, None if none could be read.

    Args:
        indices: those to read.
        headers: of images, by index; a label map without is not compared with its image.
    """
    seen = survey(lambda idx: _look(dataset, idx, headers.get(idx)), indices, f'{place.key}: label maps')
    seen.tell_errors(report, dataset.label_path, f'get or make the file again: {conversion(place.section)}')
    _tell_resized(report, dataset, seen)
    fit = [look.content for look in seen.found.values()]
    report.ok(f'{seen.size:,} of {len(dataset):,} label maps read, {seen.fit}: {reading_of(dataset)}')
    if not fit:
        return None
    content = Content(sum((part.pixels for part in fit), Counter()),
                      {name: c for part in fit for name, c in part.classes.items()}, len(fit))
    _check_left_out(report, place, content)
    _tell_unused(report, dataset, content)
    return content


def _look(dataset: CustomDataset, idx: int, image: Header | None) -> Seen:
    path, rules = dataset.label_path(idx), dataset.label_format
    array = read_label_array(path, rules.by_colour)
    names, pixels, values = distinct(array)
    classes = rules.read(values, path)
    classes = classes if rules.chosen is None else rules.chosen[classes]
    content = Content(Counter(dict(zip(names, pixels.tolist()))), dict(zip(names, classes.ravel().tolist())))
    if image is None or array.shape[:2] == (image.height, image.width):
        return Seen(content)
    size = (image.height, image.width)
    fitted(np.empty(array.shape[:2], np.uint8), size, path, dataset.image_path(idx))  # refuses what is far
    return Seen(content, f'{array.shape[1]}x{array.shape[0]} instead of {image.width}x{image.height}')


def distinct(array: np.ndarray) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The names of the ids or colours in a label file, their numbers of pixels, and an image of one row of them."""
    if array.ndim == 3:
        codes, pixels = np.unique(colour_codes(array), return_counts=True)
        colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], -1).astype(np.uint8)
        return [colour_name(code) for code in codes], pixels, colours[None]
    if array.dtype == np.uint8:
        pixels = count_ids(array)
        values = np.flatnonzero(pixels).astype(np.uint8)
        return [str(value) for value in values], pixels[values], values[None]
    values, pixels = np.unique(array, return_counts=True)
    return [f'{value:g}' for value in values], pixels, values[None]


def reading_of(dataset: CustomDataset) -> str:
    """How the label files of a data set are read, in a few words."""
    rules = dataset.label_format
    meaning = _label_map(rules)
    if meaning is not None:
        published = dataset.ORIGINAL_LABELS is not None and meaning is dataset.ORIGINAL_LABELS[1]
        text = f'{"published ids, " if published else "label_map of "}{len(meaning.classes)}'
        text += '' if published else ' colours' if rules.by_colour else ' ids'
        text += '' if meaning.other is None else ' and all others'
    elif rules.reduce_zero_label:
        text = 'reduce_zero_label, 0 is unlabelled and 1 the first class'
    else:
        text = 'ids are class indices' + (', colours those of the palette' if rules.colours else '')
    text += '' if rules.ignore_index == IGNORED else f', unlabelled are {rules.ignore_index} and {IGNORED}'
    return text + ('' if rules.chosen is None else f'; {len(dataset.CLASSES)} of the classes are chosen')


def _label_map(rules: LabelFormat) -> Meaning | None:
    return rules.colours if rules.by_colour else rules.label_map


def _tell_resized(report: Report, dataset: CustomDataset, seen: Survey[Seen]) -> None:
    resized = [idx for idx, look in seen.found.items() if look.other_size]
    if resized:
        report.warn(f'{len(resized):,} of {seen.size:,} label maps differ by some pixels from their images and are '
                    f'resized to them, such as {dataset.label_path(resized[0])}: {seen.found[resized[0]].other_size}',
                    'nothing, if it is a few of many (GTA has such pairs); else find out which of both was resized')


def _check_left_out(report: Report, place: Place, content: Content) -> None:
    total, left_out = content.pixels.total(), content.left_out
    if len(left_out) == len(content.pixels):
        report.problem(f'the label maps hold nothing but {named(sorted(left_out))}: no pixel is labelled',
                       f'check ann_dir and what the ids mean; make the labels again: {conversion(place.section)}')
        return
    ids = named([f'{name} ({100 * n / total:.1f} %)' for name, n in left_out.most_common()])
    text = f'{100 * left_out.total() / total:.1f} % of the pixels are left out: {ids}'
    if left_out.total() > total / 2:
        report.warn(text, KEEP)
    elif left_out:
        report.ok(text)


def _tell_unused(report: Report, dataset: CustomDataset, content: Content) -> None:
    """What the config's label_map names in vain."""
    meaning = _label_map(dataset.label_format)
    if meaning is None or dataset.ORIGINAL_LABELS:
        return
    name = colour_name if dataset.label_format.by_colour else str
    unused = [name(code) for code in meaning.classes if name(code) not in content.pixels]
    if unused:
        report.ok(f'label_map names what the {content.files:,} label maps do not hold: {named(unused)}')
