"""ACDC: driving in fog, at night, in rain and snow."""
from mmseg.datasets.cityscapes import CityscapesDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class ACDCDataset(CityscapesDataset):
    """ACDC in the flat layout: ``rgb_anon/<split>`` and ``gt/<split>``."""
    IMG_SUFFIX, SEG_MAP_SUFFIX = '_rgb_anon.png', '_gt_labelTrainIds.png'
    VALID_MASK_SIZE = (1080, 1920)
