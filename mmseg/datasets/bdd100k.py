"""BDD100K: driving in the United States, with the classes of Cityscapes."""
from mmseg.datasets.cityscapes import CityscapesDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class BDD100KDataset(CityscapesDataset):
    """``images/10k/<split>/<name>.jpg`` and ``labels/sem_seg/masks/<split>/<name>.png``, which hold train ids."""
    IMG_SUFFIX, SEG_MAP_SUFFIX = '.jpg', '.png'
    VALID_MASK_SIZE = (720, 1280)
