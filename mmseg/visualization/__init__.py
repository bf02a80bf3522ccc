"""Palettes, pictures of predictions, training panels."""
from mmseg.visualization.palettes import Palette, colourise, default_palette
from mmseg.visualization.panels import Panel, draw_panels
from mmseg.visualization.predictions import blend, heat_map, write_image, write_palette_png

__all__ = [
    'Palette', 'Panel', 'blend', 'colourise', 'default_palette', 'draw_panels', 'heat_map',
    'write_image', 'write_palette_png'
]
