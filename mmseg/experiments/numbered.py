"""The experiments of the papers, and suites of configs, by number, one row each.

``udaseg experiments --list`` names them, ``udaseg experiments --exp ID`` runs one. What the settings
mean: mmseg/experiments/runs.py and suites.py.
"""
from __future__ import annotations

from math import inf
from typing import Any

from mmseg.config.in_code import IN_SYNTHIA
from mmseg.experiments.runs import HRDA, SGD, Experiment, balance, each, grid, instances, masks, rebuilds
from mmseg.experiments.suites import Suite

DLV2, SEGFORMER = 'dlv2red@r101v1c', 'segformer@mitb5'
# The UDA method of DAFormer; margins without pseudo labels by crop (DAFormer), by image (HRDA), or none.
NO_MARGINS = dict(uda='dacs_a999_fdthings', rcs=0.01)
DAFORMER, MARGINS = dict(NO_MARGINS, margins=1), dict(NO_MARGINS, margins=2)
SOURCE_DACS_TARGET = each('uda', 'source-only', 'dacs', 'target-only')
GTA = dict(source='gtaHR', target='cityscapesHR', crop=1024)
SYNTHIA = dict(source='synthiaHR', target='cityscapesHR', crop=1024)
ACDC = dict(source='cityscapesHR', target='acdcHR', crop=1024)
DARK_ZURICH = dict(source='cityscapesHR', target='darkzurichHR', crop=1024)
SLIDE = dict(slide=True)
MULTI = dict(hrda=HRDA(), slide=True)  # the final multi-resolution network, tested in windows
MRM = dict(objectives=(rebuilds(), ))


def mic(block: int, mode: str = 'separatetrgaug', **options: Any) -> dict[str, Any]:
    """Settings of a run with MIC alone on top of the host."""
    return dict(objectives=(masks(block, mode, **options), ))


EXPERIMENTS = (
    Experiment(1, 'DAFormer', 'architectures: source only, DACS, oracle (table 1)', grid(
        each('network', DLV2, 'da_nodbn@r101v1c', 'isa_nodbn@r101v1c', 'dlv3p_nodbn@r101v1c', SEGFORMER),
        SOURCE_DACS_TARGET)),
    Experiment(2, 'DAFormer', 'encoder and decoder apart (table 2)', grid(
        each('network', 'sfa_dlv3p_nodbn@mitb5-del', 'segformer@r101v1c'), each('uda', 'dacs', 'target-only'))),
    Experiment(3, 'DAFormer', 'encoders (table 3)', grid(
        each('network', 'dlv2red@r50v1c', 'dlv2red@s50', 'dlv2red@s101', 'dlv2red@s200', 'segformer@mitb3',
             'segformer@mitb4'), SOURCE_DACS_TARGET), seeds=(0, )),
    Experiment(4, 'DAFormer', 'no warm-up of the learning rate (table 4)', grid(
        each('network', DLV2, SEGFORMER), each('uda', 'dacs', 'target-only'), dict(schedule='poly10')), seeds=(0, )),
    Experiment(5, 'DAFormer', 'rare class sampling, feature distance, both (table 5)', (
        *grid(dict(network=SEGFORMER), [dict(rcs=inf), dict(rcs=0.01), dict(uda='dacs_fd'), dict(uda='dacs_fdthings'),
                                        dict(uda='dacs_fdthings', rcs=0.01), DAFORMER]),
        dict(DAFORMER, network=DLV2))),
    Experiment(6, 'DAFormer', 'decoders; the last one is DAFormer on GTA (table 7)', grid(
        each('network', 'daformer_conv1@mitb5', 'upernet@mitb5', 'upernet_ch256@mitb5', 'daformer_isa@mitb5',
             'daformer_sepaspp_bottleneck@mitb5', 'daformer_aspp@mitb5', 'daformer_sepaspp@mitb5'),
        [DAFORMER, dict(uda='target-only')])),
    Experiment(7, 'DAFormer', 'DAFormer on Synthia (table 6)', grid(DAFORMER, dict(source='synthia'))),
    Experiment(8, 'DAFormer', 'DAFormer on ACDC and Dark Zurich, with margins as published', grid(
        dict(DAFORMER, source='cityscapes'), each('target', 'acdc', 'darkzurich'))),
    Experiment(40, 'HRDA', 'HRDA on GTA and Synthia (table 1)', grid([GTA, SYNTHIA], MARGINS, MULTI)),
    Experiment(41, 'HRDA', 'HRDA with other UDA methods, DeepLabV2 (table 2)', (
        *grid(dict(network=DLV2, optimizer=SGD), each('uda', 'advseg', 'minent'),
              [dict(source='gtaCAug'), dict(GTA, source='gtaCAugHR', hrda=HRDA())]),
        *grid(dict(network=DLV2), [dict(uda='dacs'), MARGINS], [{}, dict(GTA, hrda=HRDA())]))),
    Experiment(42, 'HRDA', 'crop sizes, DAFormer (figure 4 left)', grid(dict(MARGINS, **SLIDE), [
        dict(sync_crop=128), dict(sync_crop=256), dict(sync_crop=384), dict(),
        dict(GTA, sync_crop=256, batched_slide=False), dict(GTA, sync_crop=512), dict(GTA, sync_crop=768)])),
    Experiment(43, 'HRDA', 'crop sizes, oracle (figure 4 right)', (
        *grid(dict(SLIDE, uda='target-only', source=''), each('crop', 128, 256, 384, 512)),
        *grid(dict(SLIDE, uda='target-only', source='', target='cityscapesHR'), each('crop', 256, 512, 768)))),
    Experiment(44, 'HRDA', 'crops, scales, attention, loss weights (tables 3 to 7, S1)', (
        *grid(dict(MARGINS, **SLIDE), GTA, [
            dict(sync_crop=512, hrda=HRDA()), dict(sync_crop=768, hrda=HRDA()), dict(hrda=HRDA(256)),
            dict(hrda=HRDA(384)), dict(sync_crop=768, hrda=HRDA(384))]),
        dict(MARGINS, **SLIDE, hrda=HRDA(256, context=1)),
        *grid(dict(MARGINS, **SLIDE), GTA, [
            dict(hrda=HRDA(blur=True)), dict(hrda=HRDA(hr_weight=0, fixed=True, overlapping=False)),
            dict(hrda=HRDA(hr_weight=0, overlapping=False)),
            *(dict(hrda=HRDA(hr_weight=weight)) for weight in (0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)),
            dict(sync_crop=512, hrda=HRDA(context=0.25)), dict(sync_crop=512, hrda=HRDA(context=0.75))]))),
    Experiment(49, 'HRDA', 'HRDA on ACDC and Dark Zurich', grid([ACDC, DARK_ZURICH], NO_MARGINS, MULTI)),
    Experiment(60, 'EBDA', 'entropy balancing on ACDC and on Cityscapes in fog and rain, batches of 1', grid(
        dict(DAFORMER, source='cityscapes', objectives=(balance(), ), batch=1, length=50000),
        each('target', 'acdc', 'foggyrain'))),
    Experiment(70, 'DIDA', 'DIDA on GTA (number 7 of its own program)', grid(
        dict(DAFORMER, objectives=(instances(), ))), seeds=(0, )),
    Experiment(71, 'DIDA', 'DIDA on Synthia (number 8 of its own program)', grid(
        dict(DAFORMER, source='synthia', objectives=(instances(classes=IN_SYNTHIA), ))), seeds=(2, )),
    Experiment(80, 'MIC', 'MIC(HRDA) on GTA, Synthia, ACDC, Dark Zurich (table 2)', (
        *grid([GTA, SYNTHIA], MARGINS, MULTI, mic(64)),
        *grid([ACDC, DARK_ZURICH], NO_MARGINS, MULTI, mic(64, 'separate')))),
    Experiment(81, 'MIC', 'MIC with other methods and networks (table 1)', (
        *grid(dict(network=DLV2, **mic(32)), [dict(uda='advseg', optimizer=SGD), dict(uda='minent', optimizer=SGD),
                                             dict(uda='dacs'), DAFORMER]),
        dict(GTA, **MARGINS, **MULTI, **mic(64), network=DLV2),
        dict(DAFORMER, **mic(32)))),
    Experiment(82, 'MIC', 'domains that are masked (table 6)', (
        *grid(GTA, MARGINS, MULTI, [mic(64, 'separatesrcaug'), mic(64, 'separateaug')]),
        *grid(ACDC, NO_MARGINS, MULTI, [mic(64, 'separatesrc'), mic(64, 'separatetrg')]))),
    Experiment(83, 'MIC', 'parts of MIC(DAFormer) left out (table 7)', grid(DAFORMER, [
        mic(32, 'separatetrg'), mic(32, ratio=0), mic(32, alpha=0), mic(32, threshold=None)])),
    Experiment(84, 'MIC', 'block sizes and mask ratios (table 8)', grid(DAFORMER, [
        mic(block, ratio=ratio) for block in (16, 32, 64, 128) for ratio in (0.3, 0.5, 0.7, 0.9)
        if (block, ratio) != (32, 0.7)])),  # that one is in 81
    Experiment(85, 'MIC', 'supervised on Cityscapes with masks', grid(
        dict(source='cityscapes', uda='dacs_srconly', **mic(32, 'separatesrc')))),
    Experiment(90, 'MRM', 'MRM with DACS and DeepLabV2 on GTA and Synthia', grid(
        each('source', 'gta', 'synthia'), MRM, dict(network=DLV2))),
    Experiment(91, 'MRM', 'MRM(DAFormer) on GTA and Synthia', grid(each('source', 'gta', 'synthia'), DAFORMER, MRM)),
    Experiment(92, 'MRM', 'MRM(HRDA) on GTA and Synthia', grid([GTA, SYNTHIA], MARGINS, MULTI, MRM)),
    Experiment(93, 'MRM', 'MRM(MIC(HRDA)) on GTA and Synthia', grid(
        [GTA, SYNTHIA], MARGINS, MULTI, dict(objectives=(masks(64), rebuilds())))),
    Experiment(100, 'DAFormer', 'start-up test of the architectures, two iterations each', grid(
        dict(uda='target-only', startup=True),
        each('network', DLV2, 'dlv3p_nodbn@r101v1c', 'da_nodbn@r101v1c', SEGFORMER, 'isa_nodbn@r101v1c',
             'dlv2red@r50v1c', 'dlv2red@s50', 'dlv2red@s101', 'dlv2red@s200', 'dlv2red@x50-32', 'dlv2red@x101-32',
             'segformer@mitb4', 'segformer@mitb3', 'sfa_dlv3p_nodbn@mitb5-del', 'segformer@r101v1c',
             'daformer_conv1@mitb5', 'daformer_isa@mitb5', 'daformer_sepaspp_bottleneck@mitb5', 'daformer_aspp@mitb5',
             'daformer_sepaspp@mitb5', 'upernet@mitb5', 'upernet_ch256@mitb5')), seeds=(0, )),
    Experiment(101, 'DAFormer', 'start-up test of the UDA settings, two iterations each', grid(
        dict(network=SEGFORMER, startup=True),
        [dict(uda='source-only'), dict(uda='target-only'), dict(uda='dacs'), dict(rcs=inf), dict(rcs=0.01),
         dict(uda='dacs_fd'), dict(uda='dacs_fdthings'), dict(uda='dacs_fdthings', rcs=0.01), DAFORMER]), seeds=(0, )),
)

SUITES = (
    Suite(200, 'streets', 'from CamVid to Cityscapes, from ImageNet weights',
          target_images='data/streets/images/target_train'),
    Suite(201, 'camvid/lite0', 'CamVid from day to dusk, from ImageNet weights',
          target_images='data/camvid/images/dusk_train'),
    Suite(202, 'toy', 'the built-in benchmark, from random weights', drawn=True),
    Suite(203, 'camvid', 'CamVid from day to dusk, from random weights'),
    Suite(204, 'demo', 'the scenes of the built-in benchmark, from ImageNet weights: make demo', drawn=True),
)


def find_suite(number: int | str | None) -> Suite | None:
    """The suite of a number, if it is one, or of a folder, which may be that of a numbered one.

    Raises:
        ConfigError: if there is no such folder.
    """
    if isinstance(number, str):
        own = Suite.of_folder(number)
        return next((suite for suite in SUITES if suite.folder == own.folder), own)
    return next((suite for suite in SUITES if suite.number == number), None)


def generate_experiment_cfgs(number: int | str) -> list[dict[str, Any]]:
    """The configs of an experiment or suite, one dict per run; ``_base_`` entries are relative to configs.

    Raises:
        ValueError: if there is no experiment of this number.
    """
    suite = find_suite(number)
    if suite is not None:
        return suite.runs()
    for experiment in EXPERIMENTS:
        if experiment.number == number:
            return [run.config(number) for run in experiment.runs]
    known = ', '.join(str(row.number) for row in (*EXPERIMENTS, *SUITES))
    raise ValueError(f'there is no experiment {number}, only {known}; --list says what they are')
