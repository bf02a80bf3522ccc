"""Names that may stand at the top of a config beside the sections that the program reads."""
from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Variables that known config files leave at top level (and every name that ends in _pipeline).
LEAKED = _names("""
    dataset_type data_root img_norm_cfg crop_size img_scale norm_cfg backbone_norm_cfg train_cfg test_cfg""")
