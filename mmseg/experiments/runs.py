"""From one run of a numbered experiment to its config and its name, in the vocabulary of the original generators.

experiments.py holds the table of the experiments themselves.
"""
from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

Settings = dict[str, Any]

_NO_NORM = dict(decode_head=dict(norm_cfg=None))  # no batch normalisation in the decoder
# Decoder: (base file in configs/_base_/models, changes of the model section). With an encoder behind '@' for it alone.
# The original vocabulary also had 'uper', which no experiment uses: its base file, upernet_r50.py, never existed.
DECODERS: dict[str, tuple[str, Settings]] = {
    'dlv2red': ('deeplabv2red_r50-d8', {}),
    'dlv3p_nodbn': ('deeplabv3plus_r50-d8', _NO_NORM),
    'sfa_dlv3p_nodbn': ('deeplabv3plus_r50-d8', dict(
        neck=dict(type='SegFormerAdapter'), decode_head=dict(norm_cfg=None, c1_in_channels=64, in_channels=512))),
    'da_nodbn': ('danet_r50-d8', _NO_NORM),
    'isa_nodbn': ('isanet_r50-d8', _NO_NORM),
    'segformer': ('segformer_b5', {}),
    'segformer@r101v1c': ('segformer_r101', {}),
    'upernet': ('upernet_mit', {}),
    'upernet_ch256': ('upernet_ch256_mit', {}),
    'daformer_conv1': ('daformer_conv1_mitb5', {}),
    'daformer_isa': ('daformer_isa_mitb5', {}),
    'daformer_sepaspp_bottleneck': ('daformer_sepaspp_bottleneck_mitb5', {}),
    'daformer_aspp': ('daformer_aspp_mitb5', {}),
    'daformer_sepaspp': ('daformer_sepaspp_mitb5', {}),
}
HRDA_HEADS = {'daformer_sepaspp': 'DAFormerHead', 'dlv2red': 'DLV2Head'}
_RESNEST = dict(type='ResNeSt', radix=2, reduction_factor=4, avg_down_stride=True)
# Encoder: (ImageNet weights, backbone section).
ENCODERS: dict[str, tuple[str, Settings]] = {
    'r50v1c': ('open-mmlab://resnet50_v1c', dict(depth=50)),
    'r101v1c': ('open-mmlab://resnet101_v1c', dict(depth=101)),
    'x50-32': ('open-mmlab://resnext50_32x4d', dict(type='ResNeXt', depth=50, groups=32, base_width=4)),
    'x101-32': ('open-mmlab://resnext101_32x4d', dict(type='ResNeXt', depth=101, groups=32, base_width=4)),
    's50': ('open-mmlab://resnest50', dict(_RESNEST, depth=50, stem_channels=64)),
    's101': ('open-mmlab://resnest101', dict(_RESNEST, depth=101, stem_channels=128)),
    's200': ('open-mmlab://resnest200', dict(_RESNEST, depth=200, stem_channels=128)),
    **{f'mitb{size}': (f'pretrained/mit_b{size}.pth', dict(type=f'mit_b{size}')) for size in (3, 4, 5)},
    'mitb5-del': ('pretrained/mit_b5.pth', dict(type='mit_b5', _delete_=True)),  # in the place of a ResNet
}
# Mask modes of MIC and their marks in names.
MASK_MODES = dict(separate='sep', separateaug='spa', separatesrc='sps', separatesrcaug='spsa', separatetrg='spt',
                  separatetrgaug='spta')
SHORT = {'.': '', 'True': 'T', 'False': 'F', 'None': 'N', 'cityscapes': 'cs', 'synthia': 'syn', 'darkzurich': 'dzur'}


class HRDA(NamedTuple):
    """Multi-resolution training.

    Args:
        detail: side of the detail crop in pixels.
        hr_weight: weight of the loss on the detail crop.
        context: scale of the context crop; the detail crop has scale 1.
        fixed: fixed attention of 0.5 instead of a learned one.
        overlapping: whether the detail windows overlap at inference.
        blur: blur the detail crop.
    """
    detail: int = 512
    hr_weight: float = 0.1
    context: float = 0.5
    fixed: bool = False
    overlapping: bool = True
    blur: bool = False

    def __str__(self) -> str:
        context = {0.5: '', 1: '-samescale'}.get(self.context, f'-sc{self.context}')
        marks = ('-fixedatt' * self.fixed, '-nooverlap' * (not self.overlapping), '-blurhr' * self.blur)
        return f'hrda1-{self.detail}-{self.hr_weight:g}{context}{"".join(marks)}_'


class OptimizerChoice(NamedTuple):
    """Optimizer, base learning rate, and whether the head gets ten times that rate."""
    type: str
    lr: float
    faster_head: bool


ADAMW, SGD = OptimizerChoice('adamw', 6e-5, True), OptimizerChoice('sgd', 0.0025, False)


class MethodSettings(NamedTuple):
    """A method on top of the host: its mark in names and its keys of the uda section."""
    mark: str
    keys: Settings


def masks(block: int, mode: str = 'separatetrgaug', ratio: float = 0.7, alpha: Any = 'same',
          threshold: Any = 'same') -> MethodSettings:
    """Masked image consistency (MIC) with blocks of ``block`` pixels, ``ratio`` of them masked."""
    teacher = [f'{letter}{value}-' for letter, value in (('a', alpha), ('p', threshold)) if value != 'same']
    generator = dict(type='block', mask_ratio=ratio, mask_block_size=block, _delete_=True)  # None in the base
    return MethodSettings(f'm{block}-{ratio}-{"".join(teacher)}{MASK_MODES[mode]}', dict(
        mask_mode=mode, mask_alpha=alpha, mask_pseudo_threshold=threshold, mask_lambda=1, mask_generator=generator))


def balance(weight: float = 0.1, target: float = 0.4) -> MethodSettings:
    """Entropy balancing (EBDA) at ``target`` nats."""
    return MethodSettings(f'eb{weight}-{target}', dict(entropy_balance=dict(weight=weight, target=target)))


def rebuilds(ratio: float = 0.4) -> MethodSettings:
    """Masked representation modelling (MRM), ``ratio`` of the cells hidden."""
    return MethodSettings(f'mrm{ratio}', dict(mrm=dict(
        weight=1.0, mask_ratio=ratio, dim=512, grid='auto', depth=2, heads=16, lr=2e-4, view='target',
        aux_bn='frozen')))


def instances(**options: Any) -> MethodSettings:
    """DIDA's published program with a bank from source images; ``options`` go into its settings."""
    bank = dict(preset='dida_code', bank=None, size=300, weight=0.5, smoothing=1.0, **options)
    return MethodSettings('dida', dict(instance_bank=bank))


class Habits(NamedTuple):
    """How the runs of a repository differ, whatever is trained.

    Args:
        workers: processes that load data.
        evaluations: in a training.
        checkpoints: how many are kept; more than one are written with each evaluation.
        keep_best: also the checkpoint with the best mIoU.
        name_gpu: whether configs name the GPU.
        log_interval: iterations between log lines, if not the usual number.
    """
    workers: int
    evaluations: int = 10
    checkpoints: int = 1
    keep_best: bool = False
    name_gpu: bool = False
    log_interval: int | None = None


HABITS = dict(
    DAFormer=Habits(workers=4),
    HRDA=Habits(workers=1, name_gpu=True),
    MIC=Habits(workers=1, name_gpu=True),
    EBDA=Habits(workers=8, evaluations=25, keep_best=True, log_interval=100),
    DIDA=Habits(workers=4, evaluations=25, checkpoints=50),
    MRM=Habits(workers=1))


@dataclass(frozen=True)
class Run:
    """One training of an experiment.

    Args:
        repository: whose conventions hold, one of HABITS.
        source, target, crop: they name the data set file of configs/_base_.
        sync_crop: side of the crops cut out of both, if smaller.
        uda: a file of configs/_base_/uda, 'source-only' or 'target-only' (oracle).
        rcs: temperature of rare class sampling.
        margins: where pseudo labels get no weight: 1, rows of the crop; 2, margins of the whole image.
        objectives: methods on top of ``uda``.
        network: ``<decoder>@<encoder>``.
        slide, batched_slide: test with sliding windows of the crop's size, all at once.
        batch: images of each domain per iteration.
        length: of the training in iterations.
        startup: two iterations, to see whether everything starts.
    """
    repository: str
    seed: int
    source: str = 'gta'
    target: str = 'cityscapes'
    crop: int = 512
    sync_crop: int | None = None
    uda: str = 'dacs'
    rcs: float | None = None
    margins: int | None = None
    objectives: tuple[MethodSettings, ...] = ()
    network: str = 'daformer_sepaspp@mitb5'
    hrda: HRDA | None = None
    slide: bool = False
    batched_slide: bool = True
    schedule: str = 'poly10warm'
    optimizer: OptimizerChoice = ADAMW
    batch: int = 2
    length: int = 40000
    startup: bool = False

    # -- names, as the originals form them --------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Of the run; the other names are what it is made of."""
        kind, lr, faster_head = self.optimizer
        optimizer = '' if self.optimizer is ADAMW else f'_{kind}_{lr}_pm{faster_head}'
        name = f'{self.name_dataset}_{self.name_uda}_{self.name_architecture}_{self.schedule}{optimizer}_s{self.seed}'
        for long, short in SHORT.items():
            name = name.replace(long, short)
        return name

    @property
    def name_dataset(self) -> str:
        """Source and target, as in 'gta2cityscapes', with the crop unless it is 512."""
        return f'{self.source}2{self.target}' + ('' if self.crop == 512 else f'_{_square(self.crop)}')

    @property
    def name_uda(self) -> str:
        """The method with the marks of rare class sampling, crops, margins and objectives."""
        marks = [self.uda]
        if self.rcs is not None:
            marks.append(f'rcs{self.rcs}' + ('' if self.rcs_ratio == 0.5 else f'-{self.rcs_ratio}'))
        if self.sync_crop:
            marks.append(f'sf{_square(self.sync_crop)}')
        if self.margins:
            marks.append({1: 'cpl', 2: 'cpl2'}[self.margins])
        return '_'.join([*marks, *(objective.mark for objective in self.objectives)])

    @property
    def name_decoder(self) -> str:
        """The decode head, with HRDA before it and '_sl' behind it for sliding windows."""
        return f'{self.hrda or ""}{self.decoder}{"_sl" * self.slide}'

    @property
    def name_architecture(self) -> str:
        """Decoder and encoder."""
        return f'{self.name_decoder}_{self.encoder}'

    @property
    def name_opt(self) -> str:
        """Optimizer, schedule, batch and length (in thousands of iterations)."""
        kind, lr, faster_head = self.optimizer
        return f'{kind}_{lr}_pm{faster_head}_{self.schedule}_1x{self.batch}_{self.iterations // 1000}k'

    # -- what follows from the settings -----------------------------------------------------------------------------

    @property
    def decoder(self) -> str:
        """Of ``network``, what stands before the @."""
        return self.network.partition('@')[0]

    @property
    def encoder(self) -> str:
        """Of ``network``, what stands behind the @."""
        return self.network.partition('@')[2]

    @property
    def adapts(self) -> bool:
        """Whether there is a uda section."""
        return self.uda not in ('source-only', 'target-only')

    @property
    def window(self) -> int:
        """Side of the crops that the network sees."""
        return self.sync_crop or self.crop

    @property
    def rcs_ratio(self) -> float:
        """``min_crop_ratio`` of rare class sampling: larger where crops have four times the pixels."""
        return 2.0 if self.crop == 1024 else 0.5

    @property
    def iterations(self) -> int:
        """Length of the training, cut to two for a start-up test."""
        return 2 if self.startup else self.length

    @cached_property
    def uda_keys(self) -> Settings:
        """What margins and objectives set in the uda section."""
        keys = dict(pseudo_weight_ignore_top=15, pseudo_weight_ignore_bottom=120) if self.margins == 1 else {}
        for objective in self.objectives:
            keys.update(objective.keys)
        return keys

    @property
    def gpu_model(self) -> str:
        """The smaller GPU of the originals that it fits on."""
        second_teacher = {self.uda_keys.get(key, 'same') for key in ('mask_alpha', 'mask_pseudo_threshold')} != {'same'}
        large = self.hrda or self.window >= 768 or second_teacher
        return 'NVIDIATITANRTX' if large else 'NVIDIAGeForceRTX2080Ti'

    # -- sections of the config -------------------------------------------------------------------------------------

    def config(self, number: int) -> Settings:
        """The config of this run as an experiment of that number; ``_base_`` is relative to configs."""
        habits, iterations = HABITS[self.repository], self.iterations
        evaluations = iterations // habits.evaluations
        return dict(
            _base_=[f'_base_/{base}.py' for base in self._bases()],
            **(dict(gpu_model=self.gpu_model) if habits.name_gpu else {}),
            n_gpus=1,
            seed=self.seed,
            model=self._model(),
            data=dict(samples_per_gpu=self.batch, workers_per_gpu=habits.workers, train=self._train()),
            **(dict(uda=self.uda_keys) if self.uda_keys else {}),
            **(dict(optimizer_config=None) if self.adapts else {}),
            optimizer=dict(lr=self.optimizer.lr, paramwise_cfg=dict(custom_keys=self._custom_keys())),
            runner=dict(type='IterBasedRunner', max_iters=iterations),
            checkpoint_config=dict(by_epoch=False, interval=iterations if habits.checkpoints == 1 else evaluations,
                                   max_keep_ckpts=habits.checkpoints),
            evaluation=dict(interval=100 if self.startup else evaluations, metric='mIoU',
                            **(dict(save_best='mIoU') if habits.keep_best else {})),
            **(dict(log_config=dict(interval=habits.log_interval)) if habits.log_interval else {}),
            name=self.name,
            exp=number,
            name_dataset=self.name_dataset,
            name_architecture=self.name_architecture,
            name_encoder=self.encoder,
            name_decoder=self.name_decoder,
            name_uda=self.name_uda,
            name_opt=self.name_opt,
            **(dict(log_level=logging.ERROR) if self.startup else {}))

    def _bases(self) -> list[str]:
        """Base files in the order of the original generators."""
        model = (DECODERS.get(self.network) or DECODERS[self.decoder])[0]
        oracle = f'{self.target}_half' if self.repository == 'DAFormer' else self.target
        data = {'source-only': f'{self.source}_to_{self.target}', 'target-only': oracle}.get(
            self.uda, f'uda_{self.source}_to_{self.target}')
        return ['default_runtime', f'models/{model}', f'datasets/{data}_{_square(self.crop)}',
                *([f'uda/{self.uda}'] if self.adapts else []), f'schedules/{self.optimizer.type}',
                f'schedules/{self.schedule}']

    def _model(self) -> Settings:
        pretrained, backbone = ENCODERS[self.encoder]
        changes = DECODERS[self.decoder][1]
        model = dict(changes, pretrained=pretrained, backbone=dict(backbone),
                     decode_head=dict(changes.get('decode_head', {})))
        if self.hrda:
            self._add_hrda(model, self.hrda)
        if self.slide:
            model['test_cfg'] = dict(mode='slide', batched_slide=self.batched_slide, stride=[self.window // 2] * 2,
                                     crop_size=[self.window] * 2)
        return model

    def _add_hrda(self, model: Settings, hrda: HRDA) -> None:
        whole = hrda.detail == self.window  # the detail crop is the whole crop: the context learns from it alike
        model['decode_head'].update(
            type='HRDAHead', single_scale_head=HRDA_HEADS[self.decoder], attention_classwise=True,
            hr_loss_weight=hrda.hr_weight, **(dict(lr_loss_weight=hrda.hr_weight) if whole else {}),
            **(dict(fixed_attention=0.5) if hrda.fixed else {}))
        model.update(
            type='HRDAEncoderDecoder', scales=[1, hrda.context], hr_crop_size=[hrda.detail] * 2,
            feature_scale='all' if whole else hrda.context, crop_coord_divisible=8, hr_slide_inference=True,
            **({} if hrda.overlapping else dict(hr_slide_overlapping=False)),
            **(dict(blur_hr_crop=True) if hrda.blur else {}))

    def _train(self) -> Settings:
        train: Settings = {}
        if self.margins == 2:
            train['target'] = dict(crop_pseudo_margins=[30, 240, 30, 30])
        if self.rcs is not None:
            train['rare_class_sampling'] = dict(min_pixels=3000, class_temp=self.rcs, min_crop_ratio=self.rcs_ratio)
        if self.sync_crop:
            train['sync_crop_size'] = [self.sync_crop] * 2
        return train

    def _custom_keys(self) -> Settings:
        keys: Settings = dict(head=dict(lr_mult=10.0)) if self.optimizer.faster_head else {}
        if 'mit' in self.encoder:
            keys.update(pos_block=dict(decay_mult=0.0), norm=dict(decay_mult=0.0))
        return keys


def _square(side: int) -> str:
    return f'{side}x{side}'


@dataclass(frozen=True)
class Experiment:
    """One row of experiments.py.

    Args:
        number: its id.
        repository: whose conventions hold, one of HABITS.
        about: what it is, with the item of the paper.
        settings: arguments of :class:`Run`, one dict per setting.
        seeds: each setting runs once with each of them.
    """
    number: int
    repository: str
    about: str
    settings: tuple[Settings, ...]
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def runs(self) -> list[Run]:
        """Its runs in the order of the originals, seeds fastest."""
        return [Run(self.repository, seed, **settings) for settings in self.settings for seed in self.seeds]


def each(name: str, *values: Any) -> list[Settings]:
    """One setting per value of one argument."""
    return [{name: value} for value in values]


def grid(*axes: Settings | Iterable[Settings]) -> tuple[Settings, ...]:
    """All combinations of settings, the first axis slowest; a single dict belongs to all of them."""
    lists = [[axis] if isinstance(axis, dict) else list(axis) for axis in axes]
    return tuple({name: value for part in parts for name, value in part.items()} for parts in itertools.product(*lists))
