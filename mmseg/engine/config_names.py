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

_MASKS_AND_PSEUDO_LABELS = """
    alpha pseudo_threshold pseudo_weight_ignore_top pseudo_weight_ignore_bottom
    blur color_jitter_strength color_jitter_probability
    mask_mode mask_alpha mask_pseudo_threshold mask_lambda mask_generator"""
# Keys of the uda section by type, used where the class (with its own ``config_keys``) is not there.
HOST_KEYS = {
    'DACS': _names(_MASKS_AND_PSEUDO_LABELS + """
        source_only mix mrm entropy_balance instance_bank
        imnet_feature_dist_lambda imnet_feature_dist_classes imnet_feature_dist_scale_min_ratio"""),
    'AdvSeg': _names(_MASKS_AND_PSEUDO_LABELS + ' discriminator_type lr_D lr_D_power lr_D_min lambda_adv_target'),
    'MinEnt': _names(_MASKS_AND_PSEUDO_LABELS + ' lambda_ent'),
}

DATASET_TYPES = _names("""
    CustomDataset CityscapesDataset ACDCDataset DarkZurichDataset GTADataset SynthiaDataset CamVidDataset BDD100KDataset
    MapillaryDataset""")
# Datasets made of datasets, with all their keys.
WRAPPER_KEYS = {
    'UDADataset': _names('type source target rare_class_sampling sync_crop_size'),
    'DGDataset': _names('type source target rare_class_sampling'),
    'ConcatDataset': _names('type datasets'),
    'RepeatDataset': _names('type dataset times'),
}
TRANSFORM_TYPES = _names("""
    LoadImageFromFile LoadAnnotations MultiScaleFlipAug
    Resize RandomCrop RandomFlip RandomRotate SegRescale Pad
    PhotoMetricDistortion CLAHE AdjustGamma RGB2Gray Rerange Normalize
    DefaultFormatBundle Collect ImageToTensor ToTensor Transpose ToDataContainer""")

# Variables that known config files leave at top level (and every name that ends in _pipeline).
LEAKED = _names("""
    dataset_type data_root img_norm_cfg crop_size img_scale norm_cfg backbone_norm_cfg train_cfg test_cfg
    custom_hooks""")
