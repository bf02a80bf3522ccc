"""Transforms that turn a file name into a sample."""
from mmseg.datasets.pipelines.colour import CLAHE, AdjustGamma, PhotoMetricDistortion, Rerange, RGB2Gray
from mmseg.datasets.pipelines.compose import Compose
from mmseg.datasets.pipelines.formatting import Collect, DefaultFormatBundle, ImageToTensor
from mmseg.datasets.pipelines.loading import LoadAnnotations, LoadImageFromFile
from mmseg.datasets.pipelines.test_time_aug import MultiScaleFlipAug
from mmseg.datasets.pipelines.transforms import Normalize, Pad, RandomCrop, RandomFlip, RandomRotate, Resize, SegRescale

__all__ = [
    'AdjustGamma', 'CLAHE', 'Collect', 'Compose', 'DefaultFormatBundle', 'ImageToTensor', 'LoadAnnotations',
    'LoadImageFromFile', 'MultiScaleFlipAug', 'Normalize', 'Pad', 'PhotoMetricDistortion', 'RGB2Gray', 'RandomCrop',
    'RandomFlip', 'RandomRotate', 'Rerange', 'Resize', 'SegRescale'
]
