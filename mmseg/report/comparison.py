"""Results of earlier runs: from their reports, or from what their logs say."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmseg.errors import DataError, LogError
from mmseg.report.curves import CLASSES, curves_of
from mmseg.report.files import PAGE
from mmseg.report.logs import read_log
from mmseg.report.result import Result, loaded
from mmseg.utils.commands import called
from mmseg.visualization import default_palette


def load_results(places: Sequence[Path]) -> list[Result]:
    """The results of runs, to be shown side by side.

    Args:
        places: folders of runs, report.html files, or logs. Of a folder the newest report counts, else its logs. Of a
            single place all its networks are returned, of several places the first network of each.

    Raises:
        LogError: if a place holds neither.
        DataError: if the runs have different classes.
    """
    found = [_results_of(place) for place in places]
    if len(found) == 1:
        return found[0]
    results = [_named(results[0], place) for results, place in zip(found, places)]
    for result, place in zip(results, places):
        if result.classes != results[0].classes:
            raise DataError(f'{place} has other classes ({", ".join(result.classes)}) than {places[0]} '
                            f'({", ".join(results[0].classes)}): compare runs of one data set')
    return results


def _results_of(place: Path) -> list[Result]:
    pages = [place] if place.suffix == '.html' else sorted(
        [*place.glob(PAGE), *place.glob(f'*/{PAGE}')], key=lambda path: path.stat().st_mtime)
    if pages:
        try:
            return loaded(pages[-1].read_text(encoding='utf-8'), str(pages[-1]))
        except UnicodeDecodeError as error:
            raise LogError(f'{pages[-1]} is no report: {error}') from error
    return [_from_log(place)]


def _from_log(place: Path) -> Result:
    """What the last evaluation of a log says, with colours of our own."""
    log = read_log(place)
    if not log.val:
        raise LogError(f'{place} holds no evaluation to report: test its checkpoint with {called("test")}, which '
                       'writes a report')
    iteration, values = max(log.val.items())
    classes = [key.removeprefix('IoU.') for key in values if key.startswith('IoU.')]
    curves = curves_of(log)
    if len(log.val) == 1:
        curves.pop(CLASSES, None)
    return Result(log.name, {key: value for key, value in values.items() if not key.startswith('lr')}, classes,
                  default_palette(len(classes)), curves=curves, environment=log.environment,
                  facts={'iteration': str(iteration), 'from': str(place)})


def _named(result: Result, place: Path) -> Result:
    """Several reports of one run get the names of their folders, too."""
    folder = place.parent.name if place.suffix == '.html' else place.name
    told = folder in result.name or result.name in folder
    return result if told else replace(result, name=f'{result.name} ({folder})')
