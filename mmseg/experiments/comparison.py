"""The runs of a suite side by side: means and spread over seeds, differences seed by seed, tables in Markdown."""
from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from mmseg.experiments.records import NETWORKS, TARGET_STATISTICS, Record, in_order
from mmseg.report.logs import spread
from mmseg.utils.markdown import table

SOURCE_ONLY, ORACLE = 'source_only', 'oracle'
BASELINES = (SOURCE_ONLY, 'daformer')  # what every method is compared with
CHEAP = ('photometric', 'fda')  # what self-training has to beat
SUPERVISED = (SOURCE_ONLY, *CHEAP, ORACLE)
TITLES = {**{network: network.capitalize() for network in NETWORKS},
          TARGET_STATISTICS: "Student, its batch norms with the target's statistics (AdaBN)"}
Results = dict[str, dict[str, Any]]


def compare(records: Iterable[Record]) -> Results:
    """What results.json holds: per method its seeds, its cost and, per network, scores in percent.

    ``mIoU`` lists the scores after the last iteration in the order of ``seeds``; ``difference`` those to a baseline, by
    seed, as far as both were trained with it. The teacher is compared with the baseline's teacher, if it has one.
    ``gap_closed`` is the share of the way from source only to oracle, of the means over the seeds that all three have.
    """
    methods: dict[str, list[Record]] = {}
    for record in in_order(records):
        methods.setdefault(record.method, []).append(record)
    return {method: dict(
        seeds=[run.seed for run in runs],
        iterations=sorted({run.iterations for run in runs}),
        seconds_per_iteration=round(statistics.fmean(run.seconds_per_iteration for run in runs), 3),
        peak_memory_mb=max(run.peak_memory_mb for run in runs),
        **{network: _network(methods, runs, network) for network in TITLES if all(
            network in run.scores for run in runs)}) for method, runs in methods.items()}


def _network(methods: dict[str, list[Record]], runs: Sequence[Record], network: str) -> dict[str, Any]:
    scores = _scores(runs, network)
    values = list(scores.values())
    of = {name: _scores(methods.get(name, ()), network) for name in (*BASELINES, ORACLE)}
    return dict(
        mIoU=[round(value, 2) for value in values], mean=round(statistics.fmean(values), 2),
        sd=round(statistics.stdev(values), 2) if len(values) > 1 else None,
        difference={name: {seed: round(scores[seed] - of[name][seed], 2) for seed in scores if seed in of[name]}
                    for name in BASELINES if name != runs[0].method and set(scores) & set(of[name])},
        gap_closed=_gap_closed(scores, of[SOURCE_ONLY], of[ORACLE]),
        IoU={name: round(100 * statistics.fmean(run.class_iou[network][name] for run in runs), 1)
             for name in runs[0].class_iou[network]})


def _scores(runs: Iterable[Record], network: str) -> dict[int, float]:
    """By seed; those of the student where there is no such network."""
    return {run.seed: run.final(network if network in run.scores else 'student') for run in runs}


def _gap_closed(scores: dict[int, float], low: dict[int, float], high: dict[int, float]) -> float | None:
    seeds = set(scores) & set(low) & set(high)
    if not seeds:
        return None
    own, start, end = (statistics.fmean(values[seed] for seed in seeds) for values in (scores, low, high))
    return round((own - start) / (end - start), 3) if end > start else None


def score_table(results: Results, network: str) -> str:
    """A row for each method that has this network; '' if none has."""
    having = [method for method in results if network in results[method]]
    names = [name for name in BASELINES if any(name in results[method][network]['difference'] for method in having)]
    rows = []
    for method in having:
        seeds, own = results[method]['seeds'], results[method][network]
        differences = [_difference(own['difference'].get(name, {})) for name in names]
        gap = '' if own['gap_closed'] is None else f'{100 * own["gap_closed"]:.0f} %'
        rows.append([method, _listed(seeds), spread(own['mIoU']), *differences, gap])
    titles = ['method', 'seeds', 'mIoU', *(f'minus {name}' for name in names), 'gap closed']
    return table(titles, rows) if rows else ''


def _difference(by_seed: dict[int, float]) -> str:
    """``+1.2 (+0.9, +1.5)``: the mean, then each seed."""
    if not by_seed:
        return ''
    mean, *each = (f'{round(value, 1) + 0:+.1f}' for value in (statistics.fmean(by_seed.values()), *by_seed.values()))
    return f'{mean} ({", ".join(each)})'


def _listed(values: Iterable[Any]) -> str:
    return ', '.join(map(str, values))


def class_table(results: Results, network: str) -> str:
    """IoU by method and class, mean over the seeds; '' if no method has the network."""
    having = {method: result[network]['IoU'] for method, result in results.items() if network in result}
    names = list(dict.fromkeys(name for ious in having.values() for name in ious))
    return table(['method', *names], [[method, *(f'{ious[name]:.1f}' if name in ious else '' for name in names)]
                                      for method, ious in having.items()]) if having else ''


def cost_table(results: Results) -> str:
    """Time and memory of training by method."""
    return table(['method', 'iterations', 's / iteration', 'peak memory, MB'], [
        [method, _listed(result['iterations']), f'{result["seconds_per_iteration"]:.2f}',
         str(result['peak_memory_mb'])] for method, result in results.items()])


def verdict(results: Results) -> str:
    """Which self-training methods beat the better cheap baseline, the students being compared; '' without one."""
    cheap = [method for method in CHEAP if method in results]
    if not cheap:
        return ''
    scores = {method: dict(zip(result['seeds'], result['student']['mIoU'])) for method, result in results.items()}
    common = set.intersection(*(set(scores[method]) for method in cheap))
    best = max(cheap, key=lambda method: statistics.fmean(
        score for seed, score in scores[method].items() if seed in common or not common))
    bar = scores[best]
    found: dict[str, list[str]] = {'Above it with every seed': [], 'Above it on the mean alone': [], 'Not above it': []}
    for method in [method for method in results if method not in SUPERVISED]:
        gains = [score - bar[seed] for seed, score in scores[method].items() if seed in bar]
        if gains:
            every, some, none = found.values()
            name = method if len(gains) == len(bar) else f'{method} ({len(gains)} of {len(bar)} seeds)'
            (every if min(gains) > 0 else some if statistics.fmean(gains) > 0 else none).append(name)
    parts = '. '.join(f'{words}: {", ".join(methods) or "none"}' for words, methods in found.items())
    return f'The best cheap baseline is {best} ({results[best]["student"]["mean"]:.1f}). {parts}.'


def facts(records: Collection[Record]) -> str:
    """On what and of which sources the runs were made."""
    def distinct(what: Callable[[Record], str]) -> str:
        return '; '.join(sorted({what(record) for record in records if what(record)})) or 'unknown'
    return (f'{len(records)} runs. Machine: {distinct(lambda record: record.machine)}. torch '
            f'{distinct(lambda record: record.torch)}. Revision {distinct(lambda record: record.git_revision)}.')


def report(title: str, records: Collection[Record], notes: Sequence[str] = ()) -> str:
    """results.md: all tables."""
    results = compare(records)
    parts = [f'# {title}', facts(records), *notes, (
        'mIoU on the validation images in percent, after the last iteration: mean ± sample standard deviation '
        '(lowest..highest) over the seeds. Differences: mean (seed by seed). Gap closed: share of the way from source '
        'only to oracle.')]
    for network, title in TITLES.items():
        scores = score_table(results, network)
        if scores:
            parts += [f'## {title}', scores, *filter(None, [verdict(results)] * (network == 'student')),
                      'IoU by class, mean over the seeds:', class_table(results, network)]
    return '\n\n'.join([*parts, '## Cost', cost_table(results)]) + '\n'
