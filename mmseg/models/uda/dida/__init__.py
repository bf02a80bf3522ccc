"""DIDA: next to being classified, pixels are compared with a memory bank of labelled source instances.

"Dual-level Interaction for Domain Adaptive Semantic Segmentation" (Yao and Li, ICCV workshops 2023). There are two
objectives, which docs/methods.md compares: :mod:`published` is what the authors' program computes (preset 'dida_code'),
:mod:`cosine` our own version of the idea (preset 'cosine', the default; 'dida' is its older name).

:mod:`base` is what the two share, and chooses one. :mod:`memory_bank` holds the rows, :mod:`prototypes` says what is
stored in them, :mod:`first_pass` fills them before a training begins, :mod:`relation` compares pixels with them.
"""
from mmseg.models.uda.dida.cosine import InstanceBank
from mmseg.models.uda.dida.published import PublishedInstanceBank

__all__ = ['InstanceBank', 'PublishedInstanceBank']
