"""The page: one HTML file that needs nothing else, for one result or several side by side."""
from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from html import escape
from importlib.resources import files

import mmseg
from mmseg.report.charts import colour_of, confusion_table, iou_bars, line_chart, percent
from mmseg.report.curves import CLASSES, LOSSES, SCORES
from mmseg.report.result import Result, dumped

# Nothing is fetched, wherever the page is opened and whatever names of images it holds.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def page(title: str, results: Sequence[Result]) -> str:
    """The HTML.

    Args:
        results: at least one. Their classes are those of the first, which is what the others are compared with.
    """
    sections = [
        ('scores', 'Scores', _tiles(results[0]) if len(results) == 1 else _score_table(results)),
        ('classes', 'IoU by class', iou_bars(results)),
        ('confusion', 'Confusion matrix', _confusions(results)),
        ('curves', 'Curves', _charts(results)),
        ('images', 'Images', _images(results)),
        ('config', 'Config and environment', _about(results)),
    ]
    present = [(anchor, heading, body) for anchor, heading, body in sections if body]
    links = ''.join(f'<a href="#{anchor}">{heading}</a>' for anchor, heading, _ in present)
    body = ''.join(f'<section id="{anchor}"><h2>{heading}</h2>{body}</section>' for anchor, heading, body in present)
    return document(title, f'<nav>{links}</nav>', body, dumped(results), POLICY, text_of('mmseg.report', 'page.js'))


def text_of(package: str, name: str) -> str:
    """A file that lies beside the modules of a package."""
    return files(package).joinpath(name).read_text(encoding='utf-8')


def document(title: str, subtitle: str, body: str, data: str, policy: str, script: str, style: str = '') -> str:
    """The HTML of a page in the style of ours, whose script may call what is in ``panels.js``.

    Args:
        subtitle, body: HTML below the title, and of all the rest.
        data: JSON in which no element ends, see :func:`~mmseg.report.result.embeddable`; the element ``data`` holds it.
        policy: what the page may load.
        script, style: JavaScript and CSS of this page alone.
    """
    common, panels = text_of('mmseg.report', 'page.css'), text_of('mmseg.report', 'panels.js')
    return f'''<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{common}{style}</style>
</head>
<body>
<header><h1>{escape(title)}</h1>{subtitle}</header>
<main>{body}</main>
<footer>mmseg {escape(mmseg.__version__)}</footer>
<div id="tip" hidden></div>
<script type="application/json" id="data">{data}</script>
<script>{panels}</script>
<script>{script}</script>
</body>
</html>
'''


def _summary(result: Result) -> dict[str, float | None]:
    """Scores over all classes, those of the official evaluation included, mIoU first."""
    scores = {key: value for key, value in result.scores.items() if '.' not in key or '.mIoU' in key}
    return {key: scores[key] for key in sorted(scores, key=lambda key: (not key.startswith('mIoU'), 'mIoU' not in key))}


def _tiles(result: Result) -> str:
    tiles = ''.join(f'<div class="tile"><b>{percent(value)}</b><span>{escape(key)}, %</span></div>'
                    for key, value in _summary(result).items())
    return f'<div class="tiles">{tiles}</div>{_definitions(result.facts)}'


def _definitions(facts: Mapping[str, str]) -> str:
    entries = ''.join(f'<dt>{escape(key)}</dt><dd>{escape(value)}</dd>' for key, value in facts.items())
    return f'<dl>{entries}</dl>' if entries else ''


def _score_table(results: Sequence[Result]) -> str:
    """A row for each result, with the difference to the first one."""
    keys = list(dict.fromkeys(key for result in results for key in _summary(result)))
    rows = []
    for place, result in enumerate(results):
        cells = ''.join(f'<td class="number">{percent(result.scores.get(key))}'
                        f'{_difference(result.scores.get(key), results[0].scores.get(key)) if place else ""}</td>'
                        for key in keys)
        rows.append(f'<tr><th><span class="chip"><i style="background:{colour_of(place)}"></i>{escape(result.name)}'
                    f'</span></th>{cells}</tr>')
    head = ''.join(f'<th class="number">{escape(key)}, %</th>' for key in keys)
    return (f'<div class="scroll"><table class="plain"><thead><tr><th>run</th>{head}</tr></thead>'
            f'<tbody>{"".join(rows)}</tbody></table></div>')


def _difference(value: float | None, first: float | None) -> str:
    if value is None or first is None:
        return ''
    difference = 100 * (value - first)
    return f' <small class="{"up" if difference >= 0 else "down"}">{difference:+.2f}</small>'


def _confusions(results: Sequence[Result]) -> str:
    """Of each result that has one; with several they open on request."""
    having = [result for result in results if result.confusion is not None]
    note = '<p class="note">Each row: what the pixels of a class are taken for, in percent.</p>' if having else ''
    if len(results) == 1:
        return note + ''.join(map(confusion_table, having))
    return note + ''.join(f'<details><summary>{escape(result.name)}</summary>{confusion_table(result)}</details>'
                          for result in having)


def _charts(results: Sequence[Result]) -> str:
    # results of one run, its networks, have the same curves
    if len({str(result.curves) for result in results if result.curves}) > 1:
        found = [_compared(results, SCORES, lambda result: 'mIoU'), _compared(results, LOSSES, _main_loss)]
    else:
        curves = next((result.curves for result in results if result.curves), {})
        found = [line_chart(title, curves[title], _class_colours(results[0]) if title == CLASSES else {})
                 for title in (SCORES, CLASSES, LOSSES) if title in curves]
    return f'<div class="charts">{"".join(found)}</div>' if found else ''


def _compared(results: Sequence[Result], title: str, label: Callable[[Result], str]) -> str:
    """A chart with one curve of each result."""
    having = {result.name: (colour_of(number), result.curves[title][label(result)])
              for number, result in enumerate(results) if label(result) in result.curves.get(title, {})}
    return line_chart(title, {name: curve for name, (_, curve) in having.items()},
                      {name: colour for name, (colour, _) in having.items()})


def _main_loss(result: Result) -> str:
    """The loss that runs are compared by: that of the source, the first one."""
    return next(iter(result.curves.get(LOSSES, {})), '')


def _class_colours(result: Result) -> dict[str, str]:
    return {name: f'rgb({",".join(map(str, colour))})' for name, colour in zip(result.classes, result.palette)}


def _images(results: Sequence[Result]) -> str:
    """Where the script puts them."""
    if not any(result.images for result in results):
        return ''
    return ('<p class="note">Move over an image to read the class of a pixel; click a class to see it alone. In '
            '<em>errors</em> red pixels are wrong; <em>confidence</em> is the probability of the predicted class, '
            'from dark (0) to bright (1). Pixels without a label are black in the truth and do not count.</p>'
            '<div class="chips legend" id="legend"></div><div id="worst"></div><div id="drawn"></div>'
            '<noscript>The images need JavaScript.</noscript>')


def _about(results: Sequence[Result]) -> str:
    parts = []
    configs = [result for result in results if result.config]
    for result in configs[1:]:
        difference = _changes(configs[0], result)
        if difference:
            parts.append(f'<details open><summary>{escape(configs[0].name)} → {escape(result.name)}: what differs in '
                         f'the configs</summary><pre>{escape(difference)}</pre></details>')
    for result in results:
        for heading, content in (('facts', _definitions(result.facts) if len(results) > 1 else ''),
                                 ('environment', _definitions(result.environment)),
                                 ('config', f'<pre>{escape(result.config)}</pre>' if result.config else '')):
            if content:
                name = heading if len(results) == 1 else f'{result.name}: {heading}'
                parts.append(f'<details><summary>{escape(name)}</summary>{content}</details>')
    return ''.join(parts)


def _changes(first: Result, second: Result) -> str:
    """Lines of the configs that differ."""
    lines = difflib.unified_diff(first.config.splitlines(), second.config.splitlines(), lineterm='', n=0)
    return '\n'.join(line for line in list(lines)[2:] if not line.startswith('@@'))
