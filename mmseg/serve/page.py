"""The page: one HTML document that loads nothing but its answers."""
from __future__ import annotations

from dataclasses import asdict
from html import escape

from mmseg.apis.predict import IMAGES, VIDEOS
from mmseg.report.page import document, text_of
from mmseg.report.result import embeddable
from mmseg.serve.viewer import Viewer

POLICY = ("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
          "connect-src 'self'; base-uri 'none'; form-action 'none'")


def page(viewer: Viewer) -> str:
    """The HTML."""
    limits, title = viewer.limits, ' and '.join(viewer.names)
    data = embeddable(dict(names=viewer.names, classes=viewer.classes, palette=viewer.palette, limits=asdict(limits),
                           suffixes=IMAGES + VIDEOS))
    subtitle = (f'<p class="note">What {"these networks see" if len(viewer.names) > 1 else "this network sees"} in an '
                f'image of up to {limits.megapixels} megapixels or a video, of which the first {limits.frames} frames '
                f'are shown; files of up to {limits.megabytes} MB. They are removed as soon as they are answered.</p>')
    body = f'''
<label id="drop"><input type="file" id="file" accept="{escape(','.join(IMAGES + VIDEOS))}">
<b>Drop an image or a video here</b><span>or click to choose one</span></label>
<div id="state" class="note" role="status"></div><div id="error" role="alert" hidden></div>
<div id="controls" hidden><label>opacity <input type="range" id="opacity" min="0" max="100" value="50"></label>
<span id="film" hidden><button id="play">play</button>
<input type="range" id="frame" min="0" max="0" value="0" aria-label="frame"><output id="number"></output></span>
<button id="stop" hidden>stop</button></div>
<div class="chips legend" id="legend"></div><div id="panels"></div><div id="shares"></div>
<noscript>This page needs JavaScript.</noscript>'''
    return document(title, subtitle, body, data, POLICY,
                    text_of('mmseg.serve', 'page.js'), text_of('mmseg.serve', 'page.css'))
