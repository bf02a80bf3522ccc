"""Procedural street scenes for the built-in benchmark: a *game* domain and a *camera* domain.

The benchmark is only worth something while nobody adjusts it to a method, so the drawing code is frozen: a test
compares the hash of this package with a recorded one. Nothing here knows mmseg.

    view.py    the pinhole camera and the list of painted patches
    styles.py  what differs between the domains: materials, statistics of the street, light
    street.py  sky, ground and what lines the street
    things.py  cars, people, poles, ...
    render.py  patches to pixels, label ids and polygons
"""
from .render import LABEL_IDS, label_ids, polygons, render
from .street import street_scene
from .styles import STYLES, Style
from .view import Patch, Scene

__all__ = ['LABEL_IDS', 'Patch', 'STYLES', 'Scene', 'Style', 'label_ids', 'polygons', 'render', 'street_scene']
