"""Dark Zurich: driving by night."""
from mmseg.datasets.cityscapes import CityscapesDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class DarkZurichDataset(CityscapesDataset):
    """Dark Zurich; the training images have no labels."""
    IMG_SUFFIX, SEG_MAP_SUFFIX = '_rgb_anon.png', '_gt_labelTrainIds.png'
    VALID_MASK_SIZE = (1080, 1920)
