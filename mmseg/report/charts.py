"""Charts as HTML and SVG that follow the colours of the page."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from mmseg.report.curves import Curve
from mmseg.report.result import Result, shares

WIDTH, HEIGHT = 560, 280
LEFT, RIGHT, BOTTOM, TOP = 48, 18, 26, 10  # margins
COLOURS = ('#2f6fde', '#e0662b', '#2a9d5c', '#b0449c', '#c9a20a', '#3aa6b9', '#8a63d2', '#d1405e', '#7d8a2e', '#6b7280')
LARGEST_TABLE = 40  # classes; a larger confusion matrix is in its picture only
CONFUSIONS = 12


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers from ``low`` to ``high``, about ``count``."""
    rough = (high - low) / count or 1.
    power = 10. ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def colour_of(number: int) -> str:
    """Of the curve or bar with that number."""
    return COLOURS[number % len(COLOURS)]


def chip(colour: str, label: str) -> str:
    """A coloured square and what it stands for."""
    return f'<span class="chip"><i style="background:{colour}"></i>{escape(label)}</span>'


def line_chart(title: str, curves: Mapping[str, Curve], colours: Mapping[str, str]) -> str:
    """Curves over iterations, with a legend.

    Args:
        colours: by label; the others get some of :data:`COLOURS`.
    """
    colours = {label: colours.get(label, colour_of(number)) for number, label in enumerate(curves)}
    xs = [x for iterations, _ in curves.values() for x in iterations]
    ys = [y for _, values in curves.values() for y in values if math.isfinite(y)]
    if not ys:
        return ''
    right, low, high = max(xs) or 1, min(0., *ys), max(ys) if max(ys) > 0 else 1.

    def at(x: float, y: float) -> tuple[float, float]:
        return (round(LEFT + (WIDTH - LEFT - RIGHT) * x / right, 1),
                round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - (y - low) / ((high - low) or 1)), 1))

    parts = []
    for y in ticks(low, high):
        height = at(0, y)[1]
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height}" y2="{height}"/>'
                     f'<text x="{LEFT - 6}" y="{height + 4}" text-anchor="end">{y:g}</text>')
    for x in ticks(0, right):
        parts.append(f'<text x="{at(x, low)[0]}" y="{HEIGHT - 8}" text-anchor="middle">{x:g}</text>')
    for label, (iterations, values) in curves.items():
        points = [at(x, y) for x, y in zip(iterations, values) if math.isfinite(y)]
        path = ' '.join(f'{x},{y}' for x, y in points)
        parts.append(f'<polyline points="{path}" stroke="{colours[label]}"><title>{escape(label)}</title></polyline>')
        if len(points) < 40:
            parts += [f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colours[label]}"><title>{escape(label)}, iteration '
                      f'{iteration}: {value:g}</title></circle>'
                      for (x, y), iteration, value in zip(points, iterations, values)]
    legend = ''.join(chip(colour, label) for label, colour in colours.items())
    return (f'<figure class="chart"><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'role="img" aria-label="{escape(title)}">{"".join(parts)}</svg><div class="chips">{legend}</div></figure>')


def percent(value: float | None, digits: int = 2) -> str:
    """A score of 0..1; a dash for what does not occur."""
    return '–' if value is None or math.isnan(value) else f'{value * 100:.{digits}f}'


def iou_bars(results: Sequence[Result]) -> str:
    """A row for each class with a bar for each result, and the class's share of the labelled pixels."""
    first = results[0]
    labelled = None if first.confusion is None else np.asarray(first.confusion).sum(1)
    rows = []
    for number, name in enumerate(first.classes):
        square = f'rgb({",".join(map(str, first.palette[number]))})'
        values = [result.scores.get(f'IoU.{name}') for result in results]
        bars = ''.join(
            f'<div class="track"><div class="bar" style="width:{100 * (value or 0):.2f}%;background:'
            f'{colour_of(place) if len(results) > 1 else square}"></div><span>{percent(value)}</span></div>'
            for place, value in enumerate(values))
        share = '' if labelled is None or not labelled.sum() else f'{100 * labelled[number] / labelled.sum():.2f} %'
        rows.append(f'<tr><th>{chip(square, name)}</th><td class="bars">{bars}</td>'
                    f'<td class="number">{share}</td></tr>')
    names = ''.join(chip(colour_of(place), result.name) for place, result in enumerate(results))
    legend = f'<div class="chips">{names}</div>' if len(results) > 1 else ''
    return (f'{legend}<table class="ious"><thead><tr><th>class</th><th>IoU, %</th><th class="number">of the pixels'
            f'</th></tr></thead><tbody>{"".join(rows)}</tbody></table>')


def confusion_table(result: Result) -> str:
    """The matrix in percent of the labelled pixels of each class, and what is taken for what most often."""
    if result.confusion is None:
        return ''
    part, names = shares(result.confusion), result.classes
    parts = []
    if len(names) <= LARGEST_TABLE:
        head = ''.join(f'<th><div>{escape(name)}</div></th>' for name in names)
        body = ''.join(f'<tr><th>{escape(name)}</th>{_cells(part[row], name, names)}</tr>'
                       for row, name in enumerate(names))
        parts.append('<div class="scroll"><table class="matrix"><thead><tr><th class="corner">label ↓ prediction →'
                     f'</th>{head}</tr></thead><tbody>{body}</tbody></table></div>')
    counts = np.asarray(result.confusion).copy()
    np.fill_diagonal(counts, 0)
    order = [divmod(int(cell), len(names)) for cell in np.argsort(-counts, axis=None)[:CONFUSIONS]]
    total = max(1, int(np.asarray(result.confusion).sum()))
    lines = ''.join(
        f'<tr><td>{escape(names[row])}</td><td>{escape(names[column])}</td><td class="number">'
        f'{percent(part[row, column], 1)} %</td><td class="number">{100 * counts[row, column] / total:.2f} %</td></tr>'
        for row, column in order if counts[row, column])
    parts.append('<table class="plain"><caption>What costs most</caption><thead><tr><th>label</th><th>taken for</th>'
                 '<th class="number">of the class</th><th class="number">of all pixels</th></tr></thead>'
                 f'<tbody>{lines}</tbody></table>')
    return f'<div class="side">{"".join(parts)}</div>'


def _cells(values: np.ndarray, label: str, names: Sequence[str]) -> str:
    cells = []
    for name, value in zip(names, values):
        text = '' if math.isnan(value) or value < 0.005 else f'{100 * value:.0f}'
        kind = 'hit' if name == label else 'miss'
        strength = 0. if math.isnan(value) else value
        cells.append(f'<td class="{kind}" style="--p:{strength:.3f}" title="{escape(label)} predicted as '
                     f'{escape(name)}: {percent(value)} %">{text}</td>')
    return ''.join(cells)
