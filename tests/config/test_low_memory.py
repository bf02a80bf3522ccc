"""--memory low: one flag for bfloat16, recomputation and accumulation, with as many images per iteration as before."""
from __future__ import annotations

from mmseg.apis import load_config
from mmseg.config.low_memory import save_memory
from mmseg.models import build_train_model
from tests.engine.tiny import tiny_config
from tools import train


def test_a_training_with_it(images, tmp_path) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 2, uda=dict(type='DACS', pseudo_threshold=0.3))
    train.main([cfg.filename, '--memory', 'low'])
    used = load_config(tmp_path / 'run' / 'config_run.py')
    assert used.amp.dtype == 'bfloat16' and used.optimizer_config.accumulate == 2 and used.data.samples_per_gpu == 1
    assert (tmp_path / 'run' / 'iter_2.pth').is_file()


def test_every_part_that_can_recompute_does(images, tmp_path) -> None:
    cfg = tiny_config(images, tmp_path / 'run', optimizer_config=dict(accumulate=3, grad_clip=dict(max_norm=1.)))
    cfg.model.auxiliary_head = [dict(cfg.model.decode_head)]
    save_memory(cfg)
    model = build_train_model(cfg)
    assert all(part.with_cp for part in (model.backbone, model.decode_head, model.auxiliary_head[0]))
    assert cfg.optimizer_config == dict(accumulate=6, grad_clip=dict(max_norm=1.))


def test_hrda_hands_it_to_its_heads_and_timm_is_left_alone() -> None:
    cfg = load_config('configs/hrda/gtaHR2csHR_hrda.py')
    save_memory(cfg)
    assert cfg.model.decode_head.with_cp and cfg.model.backbone.with_cp
    cfg.model.backbone = dict(type='TIMMBackbone', model_name='convnext_tiny')
    save_memory(cfg)
    assert 'with_cp' not in cfg.model.backbone
