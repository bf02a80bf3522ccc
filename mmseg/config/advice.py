"""What a config may say although it hardly means it: warnings, not errors."""
from __future__ import annotations

import warnings
from typing import Any

from mmseg.utils.config_text import value_at

ADVERSE = ('ACDCDataset', 'DarkZurichDataset')
MARGINS = ('uda.pseudo_weight_ignore_top', 'uda.pseudo_weight_ignore_bottom', 'data.train.target.crop_pseudo_margins')
REMEDY = 'configs/hrda and configs/mic hold configs for this target, docs/how-to/choose_config.md the reasons'


def warn_of_settings_for_other_targets(content: dict[str, Any]) -> None:
    """Warn if a run from Cityscapes to ACDC or Dark Zurich has the mask mode or margins of simulation to Cityscapes."""
    if not (value_at(content, 'data.train.source.type') == 'CityscapesDataset'
            and value_at(content, 'data.train.target.type') in ADVERSE):
        return
    if value_at(content, 'uda.mask_mode') == 'separatetrgaug':
        _warn("uda.mask_mode='separatetrgaug' is for simulated sources; from Cityscapes to ACDC or Dark Zurich MIC was "
              "published with 'separate'")
    margins = [key for key in MARGINS if value_at(content, key)]
    if margins:
        _warn(f'{", ".join(margins)}: margins without pseudo labels are made for Cityscapes as target; for ACDC and '
              'Dark Zurich HRDA and MIC were published without them. Keep them only to repeat the numbers of DAFormer')


def _warn(text: str) -> None:
    warnings.warn(f'{text} ({REMEDY})', UserWarning, stacklevel=2)
