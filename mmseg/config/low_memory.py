"""What ``--memory low`` changes in a config."""
from __future__ import annotations

from typing import Any

from mmseg.datasets.construction import known_arguments
from mmseg.registry import MODELS

PARTS = ('backbone', 'decode_head', 'auxiliary_head')


def save_memory(cfg: Any) -> None:
    """Let a training fit into a small card: bfloat16, recomputation (``with_cp``) and one image at a time.

    The number of images per iteration stays: what was a batch becomes parts whose gradients are accumulated. Parts of
    the model that cannot recompute (timm's) stay as they are.

    Args:
        cfg: a whole config, which is changed.
    """
    cfg.amp = dict(dtype='bfloat16')
    for name in PARTS:
        part = cfg.model.get(name)
        for entry in part if isinstance(part, (list, tuple)) else [part]:
            if entry is not None and _recomputes(entry):
                entry['with_cp'] = True
    step = dict(cfg.get('optimizer_config') or {})
    cfg.optimizer_config = dict(step, accumulate=(step.get('accumulate') or 1) * cfg.data.get('samples_per_gpu', 2))
    cfg.data.samples_per_gpu = 1


def _recomputes(part: dict[str, Any]) -> bool:
    """Whether a part takes ``with_cp``; HRDA's head hands it to its two heads."""
    return 'with_cp' in known_arguments(MODELS.get(part.get('single_scale_head', part['type'])))
