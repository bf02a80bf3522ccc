"""CamVid with the 11 classes of the SegNet tutorial."""
from mmseg.datasets.custom import CustomDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class CamVidDataset(CustomDataset):
    """``images/<split>/<frame>.jpg`` and ``labels/<split>/<frame>.png``."""
    CLASSES = ('Sky', 'Building', 'Pole', 'Road', 'Pavement', 'Tree', 'SignSymbol', 'Fence', 'Car', 'Pedestrian',
               'Bicyclist')
    PALETTE = [[128, 128, 128], [128, 0, 0], [192, 192, 128], [128, 64, 128], [60, 40, 222], [128, 128, 0],
               [192, 128, 128], [64, 64, 128], [64, 0, 128], [64, 64, 0], [0, 128, 192]]
