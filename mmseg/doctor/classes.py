"""How often each class occurs, and which ones do not."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from prettytable import PrettyTable

from mmseg.datasets import CustomDataset
from mmseg.datasets.class_stats import ClassStats, known_stats, match_files
from mmseg.datasets.rare_class_sampling import RareClassSampler, build_sampler
from mmseg.doctor.known import KNOWN, conversion
from mmseg.doctor.labels import Content
from mmseg.doctor.places import Place
from mmseg.doctor.report import Report
from mmseg.doctor.survey import named

STALE = 'delete sample_class_stats*.json and samples_with_class.json of the data set: they are counted again'
SAMPLING = f'where classes are left out, lower rare_class_sampling.min_pixels; where the statistics do not fit, {STALE}'
UNMEASURED = 'nothing, if it is known: mIoU is the mean of the other classes; else add images that show these'


def complete_stats(dataset: CustomDataset) -> ClassStats | None:
    """The statistics of a data set; None unless all of its label maps have been counted."""
    files = list(dict.fromkeys(dataset.label_path(idx) for idx in range(len(dataset))))
    stats = known_stats(dataset.stats_folder)
    matched = match_files(stats.files, files, dataset.stats_folder)
    return stats.of(matched).mapped(dataset.label_format.chosen) if len(set(matched.values())) == len(files) else None


def check_classes(report: Report, place: Place, dataset: CustomDataset, content: Content) -> None:
    """Report on how often the classes occur, in all label maps if these have been counted, else in ``content``."""
    whole = content.files == len(dataset)
    with report.guarded(SAMPLING):
        stats = complete_stats(dataset) if place.sampling is not None or not whole else None
        counted, which = content.by_class, f'{content.files:,} of {len(dataset):,}'
        if stats is not None and not whole:
            counted, which = stats.totals, f'all {len(dataset):,}'
        if place.trains:
            sampler = _sampler(report, place, dataset, stats)
            report.ok(f'classes of {which} label maps:\n{frequency_table(dataset.CLASSES, counted, sampler)}')
        if stats is not None and stats.totals != counted:
            report.problem('the class statistics do not fit the label maps, which have changed since', STALE)
        _check_absent(report, place, dataset.CLASSES, counted, which)


def _sampler(report: Report, place: Place, dataset: CustomDataset, stats: ClassStats | None) -> RareClassSampler | None:
    if place.sampling is None:
        return None
    if stats is None:
        report.warn('the class statistics for rare class sampling are not there: counted when a training starts',
                    conversion(place.section) if place.section['type'] in KNOWN else 'nothing; it happens once')
        return None
    return build_sampler(dataset, **place.sampling)


def _check_absent(report: Report, place: Place, classes: Sequence[str], counted: Mapping[int, int], which: str) -> None:
    there = [name for i, name in enumerate(classes) if counted.get(i)]
    absent = [name for i, name in enumerate(classes) if not counted.get(i)]
    if len(there) == 1 and absent:
        text = f'{which} label maps hold one class only, {there[0]}'
        if place.trains:
            report.problem(f'{text}: there is nothing to learn', 'check what the ids mean (255 is unlabelled, unless '
                           f'label_map names it) and whether the labels show {named(absent)}')
        else:
            report.warn(f'{text}: scores tell nothing', UNMEASURED)
    elif absent:
        report.warn(f'no label map holds {named(absent, 20)} ({which} are counted)', UNMEASURED if not place.trains else
                    'nothing, if the data set does not know them (Synthia: terrain, truck, train); else convert the '
                    f'labels again: {conversion(place.section)}')


def frequency_table(classes: Sequence[str], counts: Mapping[int, int], sampler: RareClassSampler | None) -> str:
    """Share of pixels of each class and, with a sampler, how many images it chooses from and its probability."""
    table = PrettyTable(['class', 'share of pixels'], align='r')
    table.align['class'] = 'l'
    total = sum(counts.values()) or 1
    shares = [f'{100 * counts.get(i, 0) / total:.3f} %' for i in range(len(classes))]
    table.add_rows(list(zip(classes, shares)))
    if sampler is not None:
        drawn = dict(zip(sampler.classes.tolist(), sampler.probabilities.tolist()))
        table.add_column('images to draw', [len(sampler.images.get(i, ())) for i in range(len(classes))], 'r')
        table.add_column('probability', [f'{100 * drawn.get(i, 0):.1f} %' for i in range(len(classes))], 'r')
    return table.get_string()
