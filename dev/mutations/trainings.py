"""Trainings of two iterations and an evaluation, by a config of which one entry is another."""
from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

from numpy.random import RandomState

from dev.mutations.checkpoints import MODEL
from dev.mutations.configs import CHANGES, change_entry, entries
from dev.mutations.pictures import write_images
from dev.mutations.subject import Outcome, Subject, judged
from mmseg.apis.train import run_training
from mmseg.checkpoint.claim import release
from mmseg.checkpoint.contents import check_finite, weights_of
from mmseg.checkpoint.file import read_checkpoint
from mmseg.config.reading import load_config, require_sections
from mmseg.errors import EXPECTED, ConfigError

ITERATIONS, CROP, SCALE = 2, [32, 32], [64, 40]
VALUES = (*CHANGES, 0, 0.5, 1, 2, 64, True, 1e300, 10**30, '7', '', [], {}, [1, 2])
NORM = dict(mean=[123.7, 116.3, 103.5], std=[58.4, 57.1, 57.4], to_rgb=True)


def _content(images: dict[str, Any]) -> dict[str, Any]:
    """A config with domain adaptation by several methods, for the smallest of networks."""
    load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    training = [*load, dict(type='Resize', img_scale=SCALE),
                dict(type='RandomCrop', crop_size=CROP, cat_max_ratio=0.75), dict(type='RandomFlip', prob=0.5),
                dict(type='Normalize', **NORM), dict(type='Pad', size=CROP, pad_val=0, seg_pad_val=255),
                dict(type='DefaultFormatBundle'), dict(type='Collect', keys=['img', 'gt_semantic_seg'])]
    testing = [load[0], dict(type='MultiScaleFlipAug', img_scale=SCALE, flip=False, transforms=[
        dict(type='Resize', keep_ratio=True), dict(type='RandomFlip'), dict(type='Normalize', **NORM),
        dict(type='ImageToTensor', keys=['img']), dict(type='Collect', keys=['img'])])]
    return dict(
        model=dict(MODEL, test_cfg=dict(mode='slide', crop_size=CROP, stride=[16, 16])),
        uda=dict(type='DACS', alpha=0.99, pseudo_threshold=0.5, pseudo_weight_ignore_top=1,
                 pseudo_weight_ignore_bottom=0, imnet_feature_dist_lambda=0.005, imnet_feature_dist_classes=[1, 2],
                 imnet_feature_dist_scale_min_ratio=0.5, imnet_feature_dist_allow_random=True, blur=True,
                 color_jitter_strength=0.2, color_jitter_probability=0.2, mask_mode='separatetrgaug',
                 mask_alpha='same', mask_pseudo_threshold='same', mask_lambda=1,
                 mask_generator=dict(type='block', mask_ratio=0.5, mask_block_size=8)),
        data=dict(samples_per_gpu=2, workers_per_gpu=0, train=dict(
            type='UDADataset', source=dict(images, pipeline=training), target=dict(images, pipeline=training),
            rare_class_sampling=dict(min_pixels=10, class_temp=0.1, min_crop_ratio=0.5)),
            val=dict(images, pipeline=testing)),
        optimizer=dict(type='AdamW', lr=1e-3, betas=[0.9, 0.999], weight_decay=0.01, paramwise_cfg=dict(
            custom_keys=dict(head=dict(lr_mult=10.0), norm=dict(decay_mult=0.0)))),
        optimizer_config=dict(grad_clip=dict(max_norm=1.0, norm_type=2)),
        lr_config=dict(policy='poly', power=1.0, min_lr=0.0, by_epoch=False, warmup='linear', warmup_iters=1,
                       warmup_ratio=1e-6),
        runner=dict(type='IterBasedRunner', max_iters=ITERATIONS),
        checkpoint_config=dict(by_epoch=False, interval=1, max_keep_ckpts=1),
        evaluation=dict(interval=ITERATIONS, metric='mIoU', save_best='mIoU', model=['student', 'teacher']),
        log_config=dict(interval=1, img_interval=2, hooks=[dict(type='TextLoggerHook', by_epoch=False)]),
        seed=0, device='cpu', log_level='ERROR')


class Trainings(Subject):
    """Configs that are trained with.

    Whether what is accepted means what it says is the affair of the subject 'configs'; here it has to come to its end,
    with an evaluation and weights that are numbers, or to a message that names a file or any key.
    """
    name = 'trainings'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.content = json.loads(json.dumps(_content(write_images(folder / 'data'))))
        keys = {part for path in entries(self.content) for part in path if len(str(part)) > 4}
        self.names = (str(folder), *sorted(keys), 'type', 'CLASSES')

    def case(self, rng: RandomState) -> Outcome:
        """Change an entry, and train."""
        content, path, run = copy.deepcopy(self.content), self.folder / 'a.json', self.folder / 'run'
        place, change = change_entry(content, rng, VALUES)
        path.write_text(json.dumps(content))
        key = '.'.join(map(str, place))
        try:
            return judged(f'{key}: {change!r}', lambda: self._trained(path, run), _is_whole, self.names)
        finally:
            release(run)
            shutil.rmtree(run, ignore_errors=True)

    def _trained(self, path: Path, run: Path) -> Path:
        """The folder of a finished training by a config."""
        try:
            cfg = load_config(path)
            require_sections(cfg)
            cfg.work_dir = str(run)
            run_training(cfg)
        except EXPECTED as error:  # what a command prints as one line
            raise ConfigError(str(error)) from error
        return run


def _is_whole(run: Path) -> bool:
    check_finite(weights_of(read_checkpoint(run / 'latest.pth')))
    return True
