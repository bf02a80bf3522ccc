"""Backbones: importing them registers them."""
from mmseg.models.backbones.mix_transformer import MixVisionTransformer, mit_b0, mit_b1, mit_b2, mit_b3, mit_b4, mit_b5
from mmseg.models.backbones.resnest import ResNeSt
from mmseg.models.backbones.resnet import ResNet, ResNetV1c, ResNetV1d
from mmseg.models.backbones.resnext import ResNeXt
from mmseg.models.backbones.timm_backbone import TIMMBackbone

__all__ = [
    'MixVisionTransformer', 'ResNeSt', 'ResNeXt', 'ResNet', 'ResNetV1c', 'ResNetV1d', 'TIMMBackbone', 'mit_b0',
    'mit_b1', 'mit_b2', 'mit_b3', 'mit_b4', 'mit_b5'
]
