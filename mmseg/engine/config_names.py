"""Names that configs may use although nothing of that name is registered: later parts, placeholders, variables."""
from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# IMTRv21_5 is no network: it stands in the abstract base files in the place of a backbone.
MODEL_TYPES = _names("""
    EncoderDecoder HRDAEncoderDecoder
    MixVisionTransformer mit_b0 mit_b1 mit_b2 mit_b3 mit_b4 mit_b5 ResNet ResNetV1c ResNetV1d ResNeXt ResNeSt IMTRv21_5
    SegFormerAdapter
    DAFormerHead HRDAHead DLV2Head SegFormerHead UPerHead PSPHead ASPPHead DepthwiseSeparableASPPHead FCNHead DAHead
    ISAHead
    CrossEntropyLoss""")
# Arguments of both segmentors; other segmentors add those of their own.
MODEL_KEYS = _names("""
    type backbone neck decode_head auxiliary_head train_cfg test_cfg pretrained init_cfg
    scales hr_crop_size hr_slide_inference hr_slide_overlapping crop_coord_divisible blur_hr_crop feature_scale""")

TRANSFORM_TYPES = _names("""
    LoadImageFromFile LoadAnnotations MultiScaleFlipAug
    Resize RandomCrop RandomFlip RandomRotate SegRescale Pad
    PhotoMetricDistortion CLAHE AdjustGamma RGB2Gray Rerange Normalize
    DefaultFormatBundle Collect ImageToTensor ToTensor Transpose ToDataContainer""")

# Variables that known config files leave at top level (and every name that ends in _pipeline).
LEAKED = _names("""
    dataset_type data_root img_norm_cfg crop_size img_scale norm_cfg backbone_norm_cfg train_cfg test_cfg
    custom_hooks""")
