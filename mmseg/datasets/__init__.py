"""Data sets, their pipelines and loaders."""
from mmseg.datasets.acdc import ACDCDataset
from mmseg.datasets.bdd100k import BDD100KDataset
from mmseg.datasets.builder import DATASETS, PIPELINES, build_dataset, get_palette
from mmseg.datasets.camvid import CamVidDataset
from mmseg.datasets.cityscapes import CityscapesDataset
from mmseg.datasets.custom import CustomDataset
from mmseg.datasets.dark_zurich import DarkZurichDataset
from mmseg.datasets.dataset_wrappers import ConcatDataset, RepeatDataset
from mmseg.datasets.foggy_rain import CityscapesFoggyRainDataset
from mmseg.datasets.folder import FolderDataset
from mmseg.datasets.fourier_adaptation import FourierAdaptation
from mmseg.datasets.gta import GTADataset
from mmseg.datasets.loader import build_eval_loader, build_train_loader
from mmseg.datasets.mapillary import MapillaryDataset
from mmseg.datasets.multi_source import MultiSource
from mmseg.datasets.synthia import SynthiaDataset
from mmseg.datasets.uda_dataset import UDADataset
from mmseg.errors import DataError

__all__ = [
    'ACDCDataset', 'BDD100KDataset', 'CamVidDataset', 'CityscapesDataset', 'CityscapesFoggyRainDataset',
    'ConcatDataset', 'CustomDataset', 'DATASETS', 'DarkZurichDataset', 'DataError', 'FolderDataset',
    'FourierAdaptation', 'GTADataset', 'MapillaryDataset', 'MultiSource', 'PIPELINES', 'RepeatDataset',
    'SynthiaDataset', 'UDADataset', 'build_dataset', 'build_eval_loader', 'build_train_loader', 'get_palette'
]
