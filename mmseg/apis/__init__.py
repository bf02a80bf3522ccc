"""What scripts and notebooks call."""
from mmseg.apis.inference import draw_result, inference_segmentor, init_segmentor, show_result_pyplot
from mmseg.apis.test import single_gpu_test
from mmseg.apis.train import set_random_seed, train_segmentor
from mmseg.config import load_config

__all__ = [
    'draw_result', 'inference_segmentor', 'init_segmentor', 'load_config', 'set_random_seed', 'show_result_pyplot',
    'single_gpu_test', 'train_segmentor'
]
