"""Are the images fit: damage, orientation, depth, sizes, and what else lies in their folder."""
from __future__ import annotations

from dataclasses import dataclass

from mmseg.datasets import CustomDataset
from mmseg.datasets.files import read_header, read_image
from mmseg.datasets.image_header import Header
from mmseg.doctor.known import KNOWN
from mmseg.doctor.places import Place
from mmseg.doctor.report import Report
from mmseg.doctor.survey import MOST, Survey, named, spread, survey

DECODED = 100  # PNGs that are decoded; their check sums show damage, too. Of other formats all are that are looked at
DARK = 64  # of 255: what no image of 16 bits exceeds that uses 14 of them or fewer
TURN = 'nothing, if label maps are drawn for the stored pixels; else turn these (mogrify -auto-orient FILES)'


@dataclass(frozen=True)
class Depth:
    """Of a decoded image of 16 bits: how many of them its largest value needs, and what the loader makes of it."""
    bits: int
    brightest: int


@dataclass(frozen=True)
class Seen:
    """What is known of an image; no depth where it was not decoded or has other bits than 16."""
    header: Header
    depth: Depth | None = None


def check_images(report: Report, place: Place, dataset: CustomDataset) -> dict[int, Header]:
    """Report on up to 2,000 images of a data set; returns the headers by index."""
    chosen = spread(len(dataset), MOST)
    decoded = {chosen[i] for i in spread(len(chosen), DECODED)}
    seen = survey(lambda idx: _look(dataset, idx, idx in decoded), chosen, f'{place.key}: images')
    seen.tell_errors(report, dataset.image_path,
                     'get the files again (docs/datasets.md), or name those to use in a split file')
    _check_orientation(report, dataset, seen)
    _check_depth(report, dataset, seen)
    sizes = {(look.header.width, look.header.height) for look in seen.found.values()}
    _check_count(report, place, len(dataset), sizes)
    report.ok(f'{seen.size:,} of {len(dataset):,} images looked at, {seen.fit}: '
              + named([f'{width}x{height}' for width, height in sorted(sizes)] or ['none']))
    _tell_left_out(report, dataset.left_out)
    return {idx: look.header for idx, look in seen.found.items()}


def _look(dataset: CustomDataset, idx: int, decode: bool) -> Seen:
    path = dataset.image_path(idx)
    header = read_header(path)
    if not decode and header.format == 'PNG':
        return Seen(header)
    image = dataset.pipeline.transforms[0](dataset.describe(idx))['img']
    if header.bits != 16:
        return Seen(header)
    return Seen(header, Depth(int(read_image(path, 'unchanged').max()).bit_length(), int(image.max())))


def _check_orientation(report: Report, dataset: CustomDataset, seen: Survey[Seen]) -> None:
    turned = [idx for idx, look in seen.found.items() if look.header.orientation != 1]
    if turned:
        orientation = seen.found[turned[0]].header.orientation
        report.warn(f'{len(turned):,} of {seen.size:,} images have an EXIF orientation tag other than 1, such as '
                    f'{dataset.image_path(turned[0])} ({orientation}): all are read as they are stored', TURN)


def _check_depth(report: Report, dataset: CustomDataset, seen: Survey[Seen]) -> None:
    """Compare the bits that images use with those that the loader takes them to have."""
    deep = {idx: look.depth for idx, look in seen.found.items() if look.depth is not None}
    if not deep:
        return
    brightest = max(deep, key=lambda idx: deep[idx].bits)
    used, stated = deep[brightest].bits, getattr(dataset.pipeline.transforms[0], 'bits', None)
    is_dark, is_cut = max(depth.brightest for depth in deep.values()) < DARK, stated is not None and used > stated
    if is_dark or is_cut:
        report.warn(f'images of 16 bits use {used} of them at most, such as {dataset.image_path(brightest)} '
                    f'({len(deep):,} were decoded), and are read as having {stated or 16}: '
                    + ('they are nearly black' if is_dark else 'larger values are cut'),
                    f"dict(type='LoadImageFromFile', bits={max(used, 9)}) in all pipelines; nothing, if this is meant")


def _check_count(report: Report, place: Place, count: int, sizes: set[tuple[int, int]]) -> None:
    """Compare with the published data set, unless the images have other sizes: then it is other data."""
    known, folder = KNOWN.get(place.section['type']), place.section['img_dir']
    expected = known.count(folder) if known and isinstance(folder, str) and not place.section.get('split') else None
    if known and known.size and sizes and known.size not in sizes:
        text = f'{count:,} images of other sizes than the published {known.size[0]}x{known.size[1]}'
        if count == expected:  # so it is that data set, resized; any other number is other data, the toy for example
            report.warn(text, 'use the published images, which the configs are made for, or scale img_scale as well')
        else:
            report.ok(text)
    elif expected in (None, count):
        report.ok(f'{count:,} images' + (', as published' if expected else ''))
    else:
        report.warn(f'{count:,} images, the published data set has {expected:,} there',
                    'unpack all packages (docs/datasets.md); nothing, if a part is meant')


def _tell_left_out(report: Report, names: list[str]) -> None:
    """What lies beside the images, names that begin with a dot apart."""
    hidden = [name for name in names if any(part.startswith('.') for part in name.split('/'))]
    others = sorted(set(names) - set(hidden))
    found = [f'{len(kind):,} {what} ({named(kind, 3)})' for kind, what in ((others, 'other files'), (hidden, 'hidden'))
             if kind]
    if found:
        report.ok(f'left out, since they are no images of this data set: {" and ".join(found)}')
