"""DIDA: next to being classified, pixels are compared with a memory bank of labelled source instances.

"Dual-level Interaction for Domain Adaptive Semantic Segmentation" (Yao and Li, ICCV workshops 2023). Its equations are
numbered here as in docs/methods.md.

:mod:`paper` has the objective that computes them (preset 'dida', the default), :mod:`published` the one that computes
what the authors' program does instead (preset 'dida_code'). :mod:`base` is what the two share, and chooses one.
:mod:`memory_bank` holds the rows, :mod:`prototypes` says what is stored in them, :mod:`relation` compares pixels with
them.
"""
from mmseg.models.uda.dida.paper import InstanceBank
from mmseg.models.uda.dida.published import PublishedInstanceBank

__all__ = ['InstanceBank', 'PublishedInstanceBank']
