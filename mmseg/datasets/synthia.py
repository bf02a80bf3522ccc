"""SYNTHIA-RAND-CITYSCAPES, converted to the classes of Cityscapes."""
from mmseg.datasets.gta import GTADataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class SynthiaDataset(GTADataset):
    """Laid out like GTA. The classes terrain, truck and train never occur."""
    ORIGINAL_LABELS = None
