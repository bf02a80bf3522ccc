"""The trainings that are certified: one published config per method, whole or in miniature."""
from __future__ import annotations

from typing import Any, NamedTuple

from mmseg.apis import load_config
from mmseg.models.builder import leave_weights_out, training_crop


class Method(NamedTuple):
    """The config of a method, and the side of its crops in miniature."""
    config: str
    small_side: int


METHODS = {
    'DAFormer': Method('configs/daformer/gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py', 64),
    'HRDA': Method('configs/hrda/gtaHR2csHR_hrda.py', 128),
    'MIC': Method('configs/mic/gtaHR2csHR_mic_hrda.py', 128),
    'MRM': Method('configs/mrm/gta2cs_daformer_mrm.py', 64),
    'DIDA': Method('configs/dida/gta2cs_dida_daformer_mitb5.py', 64),
    'EBDA': Method('configs/ebda/cs2acdc_ebda_daformer_mitb5.py', 64),
}
PRECISIONS = ('fp32', 'TF32', 'bf16')


def training(method: str, miniature: bool, precision: str = 'fp32') -> tuple[Any, tuple[int, int]]:
    """Config of a method with random weights, and (height, width) of its crops.

    Args:
        method: a name in METHODS.
        miniature: MiT-B0 and small crops.
        precision: one of PRECISIONS; TF32 is no matter of the config.
    """
    path, side = METHODS[method]
    cfg = load_config(path)
    leave_weights_out(cfg)
    cfg.amp = dict(dtype='bfloat16') if precision == 'bf16' else None
    if miniature:
        _shrink(cfg, side)
    return cfg, tuple(training_crop(cfg))


def _shrink(cfg: Any, side: int) -> None:
    """MiT-B0, crops of ``side`` pixels and all that is measured in pixels with them."""
    cfg.model.backbone.type = 'mit_b0'
    cfg.model.decode_head.in_channels = [32, 64, 160, 256]
    if cfg.model.get('hr_crop_size'):
        cfg.model.hr_crop_size = (side // 2, side // 2)
    cfg.uda.update(pseudo_weight_ignore_top=0, pseudo_weight_ignore_bottom=0)
    if cfg.uda.get('mask_generator'):
        cfg.uda.mask_generator.mask_block_size = side // 8
    for domain in (cfg.data.train.source, cfg.data.train.target):
        for step in domain.pipeline:
            if step['type'] == 'RandomCrop':
                step['crop_size'] = (side, side)
    if cfg.data.train.get('sync_crop_size'):
        cfg.data.train.sync_crop_size = (side, side)
