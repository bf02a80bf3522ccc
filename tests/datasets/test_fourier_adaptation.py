"""Source images in the style of the target, alone and in pairs."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from mmseg.apis import load_config
from mmseg.datasets import FourierAdaptation, build_dataset, build_train_loader
from mmseg.datasets.sample_cache import cache_dataset
from mmseg.errors import ConfigError, DataError
from mmseg.models import build_train_model
from tests.datasets import scenes
from tests.datasets.test_uda_dataset import RCS, equal
from tests.engine.tiny import tiny_config, train

ROOT = Path(__file__).parents[2]
STYLE = dict(type='FourierAdaptation', beta=0.1)


def image(seed: int, size: tuple[int, int] = (20, 30), low: int = 0, high: int = 256) -> Tensor:
    return torch.from_numpy(np.random.RandomState(seed).randint(low, high, (3, *size)).astype(np.uint8))


def smooth(seed: int, size: tuple[int, int] = (40, 60)) -> Tensor:
    """Far from black and white, so that nothing is cut off."""
    blurred = cv2.GaussianBlur(image(seed, size).permute(1, 2, 0).numpy(), (0, 0), 3)
    return torch.from_numpy(np.ascontiguousarray(blurred.transpose(2, 0, 1)))


def by_definition(source: Tensor, target: Tensor, beta: float) -> Tensor:
    """The paper's mask on the centred spectra of whole images."""
    spectra = [np.fft.fftshift(np.fft.fft2(img.numpy().astype(np.float64)), axes=(-2, -1)) for img in (source, target)]
    height, width = source.shape[-2:]
    b, y, x = int(np.floor(beta * min(height, width))), height // 2, width // 2
    amplitude, phase = np.abs(spectra[0]), np.angle(spectra[0])
    window = slice(None), slice(max(y - b, 0), y + b + 1), slice(max(x - b, 0), x + b + 1)
    amplitude[window] = np.abs(spectra[1])[window]
    mixed = np.fft.ifft2(np.fft.ifftshift(amplitude * np.exp(1j * phase), axes=(-2, -1))).real
    return torch.from_numpy(np.clip(np.round(mixed), 0, 255).astype(np.uint8))


@pytest.mark.parametrize('size', [(20, 30), (30, 20), (21, 21), (16, 16)])
@pytest.mark.parametrize('beta', [0, 0.01, 0.1, 0.3, 0.5])
def test_definition(size, beta) -> None:
    source, target = image(1, size), image(2, size, 40, 120)
    styled = FourierAdaptation(beta)(source, target)
    assert styled.dtype == torch.uint8 and styled.shape == source.shape
    assert (styled.int() - by_definition(source, target, beta).int()).abs().max() <= 1  # rounding
    assert torch.equal(styled, FourierAdaptation(beta)(source, target))


def test_a_wave_takes_the_height_of_the_targets_wave() -> None:
    """Two waves of one period per image, by hand: the source's place, the target's height and mean."""
    x = np.arange(64) / 64 * 2 * np.pi
    source = np.broadcast_to(np.rint(100 + 20 * np.cos(x - 1)), (3, 64, 64))
    target = np.broadcast_to(np.rint(150 + 60 * np.cos(x + 2)), (3, 64, 64))
    wanted = 150 + 60 * np.cos(x - 1)
    styled = FourierAdaptation(1 / 64)(*(torch.from_numpy(img.astype(np.uint8)) for img in (source, target)))
    assert np.abs(styled.numpy() - wanted).max() < 1.5


def test_beta_0_changes_the_mean_alone() -> None:
    source, target = smooth(1), smooth(2)
    shift = target.float().mean((1, 2)) - source.float().mean((1, 2))
    moved = FourierAdaptation(0)(source, target).float() - source.float()
    assert (moved - shift[:, None, None]).abs().max() <= 0.501


def test_equal_images_stay_as_they_are() -> None:
    assert torch.equal(FourierAdaptation(0.3)(image(1), image(1)), image(1))


def test_a_target_of_another_size_is_brought_to_the_sources() -> None:
    source, target = smooth(1), smooth(2)
    larger = torch.nn.functional.interpolate(target[None].float(), scale_factor=2, mode='bilinear')[0].byte()
    styled = FourierAdaptation(0.05)(source, larger)
    assert styled.shape == source.shape
    assert (styled.int() - FourierAdaptation(0.05)(source, target).int()).abs().max() <= 3


@pytest.mark.parametrize('rcs', [None, RCS])
def test_only_the_source_image_of_a_pair_changes(game, city, rcs) -> None:
    """No draw is another, whether the style is on or off."""
    cfg = scenes.uda_cfg(game, city, rare_class_sampling=rcs)
    plain, styled = (build_dataset({**cfg, 'source_style': style}).sample(3, np.random.RandomState(5), seed=1)
                     for style in (None, STYLE))
    assert torch.equal(styled['img'], FourierAdaptation(0.1)(plain['img'], plain['target_img']))
    assert not torch.equal(styled['img'], plain['img']) and equal(dict(plain, img=styled['img']), styled)


def test_padding_has_no_part_in_it(game, city) -> None:
    cfg = scenes.uda_cfg(game, city, dict(pipeline=scenes.train_pipeline(crop=(64, 80))),  # higher than the images
                         dict(pipeline=scenes.train_pipeline(crop=(56, 80))))
    plain, styled = (build_dataset({**cfg, 'source_style': style}).get(0, np.random.RandomState(5))
                     for style in (None, STYLE))
    height = plain['img_metas']['img_shape'][0]
    assert height < 64 and torch.equal(styled['img'][:, height:], plain['img'][:, height:])
    shown = FourierAdaptation(0.1)(plain['img'][:, :height], plain['target_img'][:, :height])
    assert torch.equal(styled['img'][:, :height], shown)


def test_the_style_is_that_of_the_last_crop(game, city) -> None:
    cfg = scenes.uda_cfg(game, city, sync_crop_size=(16, 16))
    plain, styled = (build_dataset({**cfg, 'source_style': style}).get(0, np.random.RandomState(5))
                     for style in (None, STYLE))
    assert torch.equal(styled['img'], FourierAdaptation(0.1)(plain['img'], plain['target_img']))


def test_several_sources_caches_and_workers(game, city, tmp_path) -> None:
    """Equal samples from several sources, from a cache, and from worker processes."""
    cfg = dict(scenes.uda_cfg(game, city), source_style=STYLE)
    expected = build_dataset(cfg).sample(2, np.random.RandomState(4), seed=1)
    several = dict(type='MultiSource', sources=[cfg['source']], target=cfg['target'], source_style=STYLE)
    assert equal(build_dataset(several).sample(2, np.random.RandomState(4), seed=1), expected)
    cache_dataset(cfg, tmp_path / 'cache', 0)
    cached = build_dataset(dict(cfg, cache=str(tmp_path / 'cache')))
    assert equal(cached.sample(2, np.random.RandomState(4), seed=1), expected)
    batches = [list(build_train_loader(build_dataset(cfg), 2, workers, seed=1, stop=2)) for workers in (0, 1)]
    assert all(torch.equal(a['img'], b['img']) for a, b in zip(*batches))


def test_normalised_images_are_refused(game, city) -> None:
    pipeline = scenes.train_pipeline()
    pipeline[-3] = dict(pipeline[-3], pad_val=1)  # after Normalize, which so cannot be left to the device
    cfg = scenes.uda_cfg(game, city, dict(pipeline=pipeline), source_style=STYLE)
    with pytest.raises(DataError, match=r'source_style changes uint8 images, but .*00000.png comes as torch.float32: '
                       r'let the pipelines'):
        build_dataset(cfg)[0]


@pytest.mark.parametrize('style, message', [
    (dict(type='FourierAdaptation', beta=0.6), 'data.train.source_style.beta: has to be a number from 0 to 0.5'),
    (dict(type='FourierAdaptation', alpha=0.1), "data.train.source_style.alpha: 'alpha' is not known"),
    (dict(type='FourierAdaption'), "'FourierAdaption' is not known, did you mean 'FourierAdaptation'"),
    (dict(beta=0.1), 'data.train.source_style: type is missing')])
def test_config_check(style, message) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(ROOT / 'configs/streets/fda.py', {'data.train.source_style': dict(style, _delete_=True)})


@pytest.mark.parametrize('uda', [dict(type='DACS', source_only=True), dict(type='DACS', imnet_feature_dist_lambda=0)])
def test_trains_alone_and_below_self_training(images, tmp_path, uda) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 2, uda=uda)
    cfg.data.train.source_style = dict(STYLE)
    train(cfg)
    assert (tmp_path / 'run/iter_2.pth').is_file()


@pytest.mark.parametrize('path', ['streets/fda.py', 'camvid/lite0/fda.py'])
def test_shipped_configs_train_on_the_source_alone(path) -> None:
    cfg = load_config(ROOT / 'configs' / path)
    plain = load_config(ROOT / 'configs' / path.replace('fda', 'source_only'))
    assert cfg.data.train.source.to_dict() == plain.data.train.to_dict() and cfg.data.val == plain.data.val
    cfg.model.pretrained = None
    model = build_train_model(cfg)
    assert not model.uses_target and list(model.networks()) == ['student']
