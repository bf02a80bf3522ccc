"""Mapillary Vistas, converted to the classes of Cityscapes."""
from mmseg.datasets.cityscapes import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from mmseg.datasets.custom import CustomDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class MapillaryDataset(CustomDataset):
    """``<split>/images/<name>.jpg`` and ``<split>/labels/<name>_labelTrainIds.png``; images differ in size."""
    CLASSES, PALETTE = CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
    IMG_SUFFIX, SEG_MAP_SUFFIX = '.jpg', '_labelTrainIds.png'
