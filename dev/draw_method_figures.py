"""Draw the block diagrams of docs/methods.md: python -m dev.draw_method_figures"""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use('Agg')
from matplotlib import pyplot  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.patches import FancyBboxPatch  # noqa: E402

from mmseg.errors import command

ROOT = Path(__file__).resolve().parents[1]
COLOURS = dict(data='#eceff1', student='#cfe2f7', teacher='#fde3c4', added='#d5efd3', loss='#f7cdd0')
LEGEND = dict(data='data', student='student', teacher='teacher, frozen', added='what the method adds', loss='loss')
WIDTH, HEIGHT = 2.1, 0.62  # of a block
COLUMN, ROW = 2.65, 1.05  # distances of the grid on which blocks stand


@dataclass
class Figure:
    """Blocks on a grid and arrows between them.

    Attributes:
        blocks: name: (column, row from the top, text, kind of :data:`COLOURS`).
        arrows: (from, to).
    """
    blocks: dict[str, tuple[float, float, str, str]]
    arrows: list[tuple[str, str]]


DAFORMER = Figure(
    dict(rcs=(0, 1, 'rare class\nsampling', 'added'), source=(1, 1, 'source image', 'data'),
         frozen=(2, 0, 'ImageNet encoder\n(frozen)', 'teacher'), encoder=(2, 1, 'encoder', 'student'),
         decoder=(3, 1, 'decoder', 'student'), fd=(3, 0, 'feature distance\non things', 'added'),
         ce=(4, 1, 'cross-entropy\nwith labels', 'loss'), mix=(1, 2, 'ClassMix,\njitter, blur', 'data'),
         mixed=(2, 2, 'encoder,\ndecoder', 'student'), weighted=(4, 2, 'cross-entropy\ntimes w', 'loss'),
         target=(1, 3, 'target image', 'data'), teacher=(2, 3, 'teacher\n(moving average)', 'teacher'),
         pseudo=(3, 3, 'pseudo label,\nweight w', 'data')),
    [('rcs', 'source'), ('source', 'encoder'), ('source', 'frozen'), ('frozen', 'fd'), ('encoder', 'fd'),
     ('encoder', 'decoder'), ('decoder', 'ce'), ('source', 'mix'), ('target', 'mix'), ('mix', 'mixed'),
     ('mixed', 'weighted'), ('target', 'teacher'), ('teacher', 'pseudo'), ('pseudo', 'weighted')])

HRDA = Figure(
    dict(image=(0, 1, 'image,\nlarge crop', 'data'), half=(1, 0.5, 'context:\nhalf resolution', 'added'),
         crop=(1, 2, 'detail: a part,\nfull resolution', 'added'), context=(2, 0.5, 'encoder', 'student'),
         detail=(2, 2, 'encoder\n(the same)', 'student'), attention=(3, 0, 'scale attention\na', 'added'),
         low=(3, 1, 'decoder: c', 'student'), high=(3, 2, 'decoder\n(the same): d', 'student'),
         fuse=(4, 1, '(1 - a) c + a d', 'added'), ce=(5, 1, '0.9 cross-entropy', 'loss'),
         own=(5, 2, '0.1 cross-entropy\nin the part', 'loss')),
    [('image', 'half'), ('image', 'crop'), ('half', 'context'), ('crop', 'detail'), ('context', 'attention'),
     ('context', 'low'), ('detail', 'high'), ('attention', 'fuse'), ('low', 'fuse'), ('high', 'fuse'), ('fuse', 'ce'),
     ('high', 'own')])

MIC = Figure(
    dict(target=(0, 0.5, 'target image', 'data'), teacher=(2, 0, 'teacher', 'teacher'),
         pseudo=(3, 0, 'pseudo label,\nweight w', 'data'), mask=(1, 1, 'jitter, blur,\nhide 70 % of blocks', 'added'),
         student=(2, 1, 'student', 'student'), ce=(3, 1, 'cross-entropy\ntimes w', 'loss')),
    [('target', 'teacher'), ('teacher', 'pseudo'), ('target', 'mask'), ('mask', 'student'), ('student', 'ce'),
     ('pseudo', 'ce')])

MRM = Figure(
    dict(target=(0, 1, 'target image', 'data'), teacher=(1, 0, 'teacher', 'teacher'),
         pseudo=(4, 0, 'pseudo label,\nweight w', 'data'), encoder=(1, 1, 'encoder:\nmaps f', 'student'),
         rebuilder=(2, 2, 'hide 40 % of cells,\nRebuilder: o', 'added'),
         rebuilt=(2.5, 1, 'kept cells of f,\nhidden ones of o', 'added'), decoder=(3.5, 1, 'decoder', 'student'),
         ce=(4.5, 1, 'cross-entropy\ntimes w', 'loss')),
    [('target', 'teacher'), ('teacher', 'pseudo'), ('target', 'encoder'), ('encoder', 'rebuilder'),
     ('encoder', 'rebuilt'), ('rebuilder', 'rebuilt'), ('rebuilt', 'decoder'), ('decoder', 'ce'), ('pseudo', 'ce')])

EBDA = Figure(
    dict(mixed=(0, 0, 'mixed image', 'data'), student=(1, 0, 'student', 'student'),
         logits=(2, 0, 'logits', 'data'), ce=(3, 0, 'cross-entropy\ntimes w', 'loss'),
         entropy=(3, 1, 'entropy H\nof each pixel', 'added'), loss=(4, 1, '0.1 mean (H - 0.4)²', 'loss')),
    [('mixed', 'student'), ('student', 'logits'), ('logits', 'ce'), ('logits', 'entropy'), ('entropy', 'loss')])

DIDA = Figure(  # as published
    dict(mixed=(0, 0, 'mixed image', 'data'), second=(1, 0, 'student:\nembedding', 'student'),
         mine=(3, 0, "products s'", 'added'), source=(0, 1, 'source image', 'data'),
         first=(1, 1, 'student:\nembedding', 'student'), means=(2, 1, 'class means', 'added'),
         bank=(3, 1, 'bank: K rows\nwith classes', 'added'), loss=(4, 1, 'relation loss', 'loss'),
         target=(0, 2, 'target image', 'data'), teacher=(1, 2, 'teacher:\nembedding', 'teacher'),
         theirs=(3, 2, 'products s,\nscattered: r', 'added'), again=(0, 3, 'mixed image', 'data'),
         scores=(1, 3, 'student:\nclass scores y', 'student')),
    [('mixed', 'second'), ('second', 'mine'), ('source', 'first'), ('first', 'means'), ('means', 'bank'),
     ('bank', 'mine'), ('bank', 'theirs'), ('mine', 'loss'), ('theirs', 'loss'), ('target', 'teacher'),
     ('teacher', 'theirs'), ('again', 'scores'), ('scores', 'theirs')])

FIGURES = dict(daformer=DAFORMER, hrda=HRDA, mic=MIC, mrm=MRM, ebda=EBDA, dida=DIDA)


def block(axes: Axes, column: float, row: float, text: str, kind: str) -> FancyBboxPatch:
    """Draw a block; returns its outline, which arrows end at."""
    x, y = column * COLUMN, -row * ROW
    outline = FancyBboxPatch((x - WIDTH / 2, y - HEIGHT / 2), WIDTH, HEIGHT, boxstyle='round,pad=0,rounding_size=0.1',
                             facecolor=COLOURS[kind], edgecolor='#455a64', linewidth=0.9)
    axes.add_patch(outline)
    axes.text(x, y, text, ha='center', va='center', fontsize=8.5)
    return outline


def draw(figure: Figure, path: Path) -> None:
    """Write a figure to an SVG file."""
    places = [(column * COLUMN, -row * ROW) for column, row, *_ in figure.blocks.values()]
    left, right = min(x for x, _ in places) - WIDTH * 0.55, max(x for x, _ in places) + WIDTH * 0.55
    bottom, top = min(y for _, y in places) - 0.95, max(y for _, y in places) + HEIGHT * 0.6
    canvas, axes = pyplot.subplots(figsize=((right - left) * 0.78, (top - bottom) * 0.78))
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect='equal')
    axes.axis('off')
    outlines = {name: block(axes, *place) for name, place in figure.blocks.items()}
    centres = dict(zip(figure.blocks, places))
    for start, end in figure.arrows:
        axes.annotate('', centres[end], centres[start], arrowprops=dict(
            arrowstyle='-|>', color='#37474f', linewidth=1.1, shrinkA=1, shrinkB=1, patchA=outlines[start],
            patchB=outlines[end]))
    kinds = dict.fromkeys(kind for *_, kind in figure.blocks.values())
    handles = [FancyBboxPatch((0, 0), 1, 1, facecolor=COLOURS[kind], edgecolor='#455a64') for kind in COLOURS
               if kind in kinds]
    axes.legend(handles, [LEGEND[kind] for kind in COLOURS if kind in kinds], loc='lower left', frameon=False,
                ncols=len(handles), fontsize=8, handlelength=1.2, handleheight=0.9, borderpad=0)
    # without the date (and with ids that are not random): drawing again gives the same file
    canvas.savefig(path, bbox_inches='tight', pad_inches=0.05, metadata={'Date': None})
    pyplot.close(canvas)


def main(args: Sequence[str] | None = None) -> None:
    """Draw all figures."""
    parser = argparse.ArgumentParser(description='Draw the block diagrams of docs/methods.md')
    parser.add_argument('--out', type=Path, default=ROOT / 'docs/images/methods', help='folder')
    args = parser.parse_args(args)
    args.out.mkdir(parents=True, exist_ok=True)
    with pyplot.rc_context({'svg.hashsalt': 'figure', 'font.family': 'DejaVu Sans'}):
        for name, figure in FIGURES.items():
            draw(figure, args.out / f'{name}.svg')


if __name__ == '__main__':
    command(main)
