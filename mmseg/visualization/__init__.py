"""Palettes, pictures of predictions, training panels."""
from mmseg.visualization.layout import BLENDED, Style, contours, side_by_side, with_legend
from mmseg.visualization.palettes import Palette, colourise, default_palette
from mmseg.visualization.panels import Panel, draw_panels
from mmseg.visualization.predictions import blend, displayable, heat_map, write_image, write_palette_png

__all__ = [
    'BLENDED', 'Palette', 'Panel', 'Style', 'blend', 'colourise', 'contours', 'default_palette', 'displayable',
    'draw_panels', 'heat_map', 'side_by_side', 'with_legend', 'write_image', 'write_palette_png'
]
