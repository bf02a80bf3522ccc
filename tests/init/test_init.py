"""tools/init.py: from folders of images and masks, however they are written, to a config that trains."""
from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmengine import Config
from PIL import Image

from mmseg.apis import load_config
from mmseg.cli import init as command
from mmseg.datasets import build_dataset
from mmseg.errors import DataError
from mmseg.init.networks import BF16, LITE, MIT, first_that_fits, length
from mmseg.toy_scenes import label_ids, render, street_scene
from tools import test, train

SIZE = (96, 64)
# what the drawn scenes hold as ids of the tests: 0 for what is nothing, the others from 1 on
IDS = {7: 1, 8: 2, 11: 3, 21: 4, 23: 5, 24: 6, 26: 7}
NAMES = ['road', 'sidewalk', 'building', 'vegetation', 'sky', 'person', 'car']
COLOURS = [(0, 0, 0), *((30 * i, 255 - 30 * i, 7 * i) for i in range(1, 8))]  # red, green, blue


def as_ids(label: np.ndarray) -> np.ndarray:
    return label


def as_colours(label: np.ndarray) -> np.ndarray:
    return np.array(COLOURS, np.uint8)[label][..., ::-1]


def as_stacked(label: np.ndarray) -> np.ndarray:
    return np.repeat(label[..., None], 3, 2)


def as_indices(label: np.ndarray) -> np.ndarray:
    """Classes from 0 on, and 255."""
    return np.where(label == 0, 255, label - 1).astype(np.uint8)


def as_deep(label: np.ndarray) -> np.ndarray:
    return label.astype(np.uint16) * 100


@pytest.fixture(scope='session')
def drawn() -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Pictures (blue, green, red) and ids of a few scenes of both domains."""
    table = np.zeros(256, np.uint8)
    table[list(IDS)] = list(IDS.values())
    scenes = {domain: [street_scene(domain, 0, i, *SIZE) for i in range(4)] for domain in ('game', 'camera')}
    return {domain: [(render(scene)[..., ::-1], table[label_ids(scene)]) for scene in found]
            for domain, found in scenes.items()}


@pytest.fixture
def folders(drawn: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``write(image, mask, written)``: patterns of file names of the pictures, and how masks are written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))

    def write(image: str = '{}.png', mask: str = '{}.png', written: Callable = as_ids, masked: int = 4,
              depth: int = 8, count: int = 4) -> None:
        for domain, pairs in drawn.items():
            for i, (picture, label) in enumerate(pairs[:count]):
                if depth == 16:
                    picture = picture.astype(np.uint16) * 16  # 12 bits
                save(Path(domain, 'images', image.format(i)), picture)
                if domain == 'game' or i < masked:
                    save(Path(domain, 'masks', mask.format(i)), written(label))

    return write


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def init(*flags: str, target: Sequence[str] = ('camera/images', 'camera/masks'), examined: bool = False) -> Config:
    """The config that init writes; the doctor looks at it only where that is what a test is about."""
    with pytest.MonkeyPatch.context() as patch:
        if not examined:
            patch.setattr('mmseg.doctor.examine', lambda *_, **__: type('Report', (), dict(counts=dict(problem=0))))
            patch.setattr('mmseg.init.choosing.estimated_bytes', lambda *_: 2**30)
        device = () if '--device' in flags else ('--device', 'cpu')
        status = command.main(['--source', 'game/images', 'game/masks', '--target', *target, *device, *flags])
    assert status == 0
    path = Path('configs/mine/init.py')
    assert len(path.read_text().splitlines()) <= 20
    return load_config(path)


def labels(section: Any) -> list[np.ndarray]:
    """What the data set of a config makes of its masks."""
    dataset = build_dataset(section)
    return [dataset.label(i) for i in range(len(dataset))]


def test_from_folders_to_scores(folders, capsys) -> None:
    """What init writes passes the doctor, trains, and is tested by the command that it prints."""
    folders(masked=2)
    init('--classes', *NAMES, examined=True)
    text = capsys.readouterr().out
    assert 'no problems' in text and '0 is unlabelled' in text
    [line] = re.findall(r'udaseg train (.*)', text)
    train.main([*line.split(), '--options', 'runner.max_iters=2', 'evaluation.interval=2',
                'checkpoint_config.interval=2', 'log_config.interval=1'])
    test.main(['configs/mine/init.py', 'work_dirs/init/latest.pth', '--eval', 'mIoU'])
    assert re.search(r'vegetation\W+\d+\.\d', capsys.readouterr().out)


@pytest.mark.parametrize('written', [as_ids, as_colours, as_stacked, as_indices, as_deep])
def test_masks_are_read_as_they_are_written(folders, drawn, written) -> None:
    folders(written=written)
    colours = [f'#{r:02x}{g:02x}{b:02x}={name}' for (r, g, b), name in zip(COLOURS[1:], NAMES)]
    cfg = init('--classes', *(colours if written is as_colours else NAMES))
    assert list(cfg.data.train.source.classes) == NAMES and cfg.model.decode_head.num_classes == 7
    assert ('label_map' in cfg.data.train.source) == (written is not as_indices)
    for label, (_, ids) in zip(labels(cfg.data.train.source), drawn['game'], strict=True):
        assert np.array_equal(label, np.where(ids == 0, 255, ids - 1))


def test_without_names_classes_are_called_by_their_values(folders) -> None:
    folders(written=as_colours)
    assert init('--unlabelled', '#000000').data.train.source.classes[0] == 'class_1ee107'
    Path('configs/mine/init.py').unlink()
    folders(written=as_stacked)
    assert init().data.train.source.classes[:2] == ['class_0', 'class_1']


@pytest.mark.parametrize('name, content', [
    ('names.txt', '\n'.join(NAMES)),
    ('names.json', '["' + '", "'.join(NAMES) + '"]'),
    ('colours.yaml', '\n'.join(f'{name}: {list(colour)}' for name, colour in zip(NAMES, COLOURS[1:])))])
def test_names_in_a_file(folders, tmp_path, name, content) -> None:
    folders(written=as_colours if name == 'colours.yaml' else as_ids)
    Path(name).write_text(content)
    section = init('--classes', name).data.train.source
    assert list(section.classes) == NAMES
    assert name != 'colours.yaml' or [tuple(colour) for colour in section.palette] == COLOURS[1:]


def test_several_values_are_one_class_and_the_others_are_left_out(folders, drawn) -> None:
    folders()
    section = init('--classes', '1=ground', '2=ground', '7=car').data.train.source
    assert section.classes == ['ground', 'car'] and section.label_map['*'] is None
    table = np.full(256, 255)
    table[[1, 2, 7]] = 0, 0, 1
    assert np.array_equal(labels(section)[0], table[drawn['game'][0][1]])


def test_black_and_white_masks_are_two_classes(folders, drawn) -> None:
    folders(written=lambda label: np.where(label == 1, 255, 0).astype(np.uint8))
    section = init('--classes', '0=rest', '255=road').data.train.source
    assert np.array_equal(labels(section)[0], drawn['game'][0][1] == 1)
    Path('configs/mine/init.py').unlink()
    assert init().data.train.source.classes == ['class_0', 'class_255']


@pytest.mark.parametrize('image, mask', [
    ('{}.jpg', '{}.png'), ('{}_rgb.png', '{}_mask.png'), ('north/{}.PNG', 'north/{}.tif'),
    ('city/a_{}_0_image.png', 'city/a_{}_0_labels.png'), ('{}.png', '{}_gt.bmp')])
def test_names_differ_at_the_end(folders, image, mask) -> None:
    folders(image, mask, masked=2)
    cfg = init('--classes', *NAMES)
    train_set, val = build_dataset(cfg.data.train), build_dataset(cfg.data.val)
    assert [len(train_set.source), len(train_set.target), len(val)] == [4, 2, 2]
    assert not {train_set.target.image_path(i) for i in range(2)} & {val.image_path(i) for i in range(2)}
    assert len({*labels(cfg.data.val)[0].ravel()}) > 2


def test_what_does_not_pair_is_named_and_left_out(folders, capsys) -> None:
    folders()
    Path('game/masks/2.png').unlink()
    save(Path('game/masks/lonely.png'), np.zeros((4, 4), np.uint8))
    assert len(build_dataset(init('--classes', *NAMES).data.train.source)) == 3
    text = capsys.readouterr().out
    assert 'game/images/2.png' in text and 'lonely.png' in text


def test_without_target_masks_nothing_is_scored_and_that_is_said(folders, capsys) -> None:
    folders()
    cfg = init('--classes', *NAMES, target=['camera/images'])
    assert cfg.evaluation is None and cfg.data.get('val') is None
    assert 'the last checkpoint is scored by nothing' in capsys.readouterr().out
    assert len(build_dataset(cfg.data.train).target) == 4


def test_where_all_target_images_have_masks_a_part_validates(folders) -> None:
    folders(masked=4)
    cfg = init('--classes', *NAMES)
    assert [len(build_dataset(section)) for section in (cfg.data.train.target, cfg.data.val)] == [3, 1]


def test_images_to_validate_on_in_a_folder_of_their_own(folders) -> None:
    folders()
    Path('camera').rename('other')
    folders()
    cfg = init('--classes', *NAMES, '--val', 'other/images', 'other/masks', target=['camera/images'])
    assert [len(build_dataset(section)) for section in (cfg.data.train.target, cfg.data.val)] == [4, 4]


def test_validation_images_that_are_among_the_target_images_are_not_trained_on(folders) -> None:
    folders(masked=2)
    cfg = init('--classes', *NAMES, '--val', 'camera/images', 'camera/masks', target=['camera/images'])
    assert [len(build_dataset(section)) for section in (cfg.data.train.target, cfg.data.val)] == [2, 2]


def test_masks_of_one_bit(folders, drawn) -> None:
    folders(written=lambda label: (label == 1).astype(np.uint8))
    for path in Path('game/masks').iterdir():
        Image.fromarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 0).save(path)
    section = init('--classes', 'rest', 'road', target=['camera/images']).data.train.source
    assert np.array_equal(labels(section)[0], drawn['game'][0][1] == 1)


def test_one_image_of_each_domain(folders, capsys) -> None:
    folders(count=1)
    cfg = init('--classes', *NAMES)
    assert [len(build_dataset(section)) for section in (cfg.data.train.target, cfg.data.val)] == [1, 1]
    assert 'trained on, too' in capsys.readouterr().out


def test_images_of_twelve_bits_are_not_read_as_black(folders) -> None:
    folders(depth=16)
    pair = build_dataset(init('--classes', *NAMES).data.train).get(0, np.random.RandomState(0))
    assert max(pair['img'].max(), pair['target_img'].max()) > 100


def test_things_come_out_equally_large(tmp_path, monkeypatch) -> None:
    """Discs of the source have twice the radius: it is shown at half the scale."""
    monkeypatch.chdir(tmp_path)
    for domain, radius in (('game', 20), ('camera', 10)):
        for i in range(4):
            mask = np.zeros((120, 160), np.uint8)
            for x in (30, 80, 130):
                cv2.circle(mask, (x, 30 + 20 * i), radius, 1, -1)
            save(Path(domain, 'images', f'{i}.png'), np.repeat(100 * mask[..., None], 3, 2))
            save(Path(domain, 'masks', f'{i}.png'), mask)
    cfg = init('--classes', '0=wall', '1=disc')
    shorts = [cfg.data.train[name].pipeline[2].img_scale[1] for name in ('source', 'target')]
    assert shorts[0] / shorts[1] == pytest.approx(0.5, abs=0.06)
    assert cfg.uda.imnet_feature_dist_classes == [1]
    assert cfg.data.train.source.pipeline[3].crop_size[0] <= min(shorts)


def test_images_of_different_shapes_fill_the_crops(folders) -> None:
    folders()
    save(Path('game/images/0.png'), np.zeros((60, 200, 3), np.uint8))
    save(Path('game/masks/0.png'), np.ones((60, 200), np.uint8))
    dataset = build_dataset(init('--classes', *NAMES).data.train)
    crops = {dataset.source.get(i, np.random.RandomState(i))['img'].shape for i in range(4)}
    assert crops == {(3, 128, 128)}


@pytest.mark.parametrize('flags, message', [
    (['--classes', 'a', 'b', 'c'], r'3 names for 8 values in the masks \(0, 1, 2, 3, 4, 5, 6, 7\).*VALUE=NAME'),
    (['--classes', '1=a', 'b'], "'b' has no value"),
    (['--classes', 'red=a'], "'red' is neither an id"),
    (['--classes', '1=a'], 'one class'),
    (['--unlabelled', '99'], '--unlabelled names 99, the masks hold 0, 1, 2'),
    (['--val', 'camera/none', 'camera/masks'], 'camera/none does not exist'),
    (['--device', 'gpu'], "device 'gpu' is not known")])
def test_mistakes_of_the_command_line_are_named(folders, flags, message) -> None:
    folders()
    with pytest.raises(ValueError, match=message):
        init(*flags, target=['camera/images'])
    assert not Path('configs').exists()


def test_names_do_not_say_which_colour_is_which(folders) -> None:
    folders(written=as_colours)
    with pytest.raises(DataError, match='names alone do not say which is which.*#000000'):
        init('--classes', *NAMES)


def test_unfit_folders_are_named(folders, drawn) -> None:
    folders(mask='{}_ids.png')
    for i, (picture, _) in enumerate(drawn['game']):
        save(Path(f'game/masks/{i}_colours.png'), picture)
    with pytest.raises(DataError, match='several masks of each image .*_colours.png.*_ids.png'):
        init()
    for path in Path('game/masks').glob('*_ids.png'):
        path.unlink()
    with pytest.raises(DataError, match='different values.*no masks of classes'):
        init()
    for path in Path('game/masks').glob('*'):
        path.rename(path.with_name(f'x{path.name}'))
    with pytest.raises(DataError, match='no image in game/images has a mask in game/masks'):
        init()


def test_masks_of_two_kinds_are_refused(folders, drawn) -> None:
    folders()
    save(Path('game/masks/1.png'), as_colours(drawn['game'][1][1]))
    with pytest.raises(DataError, match='some masks hold ids, others colours: game/masks/0.png, game/masks/1.png'):
        init()


def test_the_config_may_be_moved(folders, tmp_path) -> None:
    folders()
    cfg = init()
    moved = tmp_path / 'elsewhere/deeper/mine.py'
    moved.parent.mkdir(parents=True)
    moved.write_text(Path(cfg.filename).read_text())
    assert load_config(moved).to_dict() == cfg.to_dict()


def test_an_earlier_config_is_not_overwritten(folders) -> None:
    folders()
    Path('configs/mine').mkdir(parents=True)
    Path('configs/mine/init.py').write_text('mine = 1')
    with pytest.raises(DataError, match='init.py exists: name another file with --out'):
        init()
    assert Path('configs/mine/init.py').read_text() == 'mine = 1'


def test_the_best_network_that_fits_is_taken() -> None:
    needs = {id(choice): 30 - 6 * i for i, choice in enumerate(MIT)}
    chosen = [first_that_fits(MIT, lambda choice: needs[id(choice)] * 2**30, there * 2**30)[0] for there in (80, 24, 4)]
    assert chosen == [MIT[0], MIT[2], MIT[-1]]
    assert first_that_fits(LITE, lambda choice: choice.samples * 2**30, 4 * 2**30)[0].samples == 2


def test_few_images_are_not_shown_for_weeks() -> None:
    assert [length('cuda', images, 2)[0] for images in (10, 300, 25000)] == [4000, 15000, 40000]


def test_a_gpu_trains_the_published_network(folders, monkeypatch, capsys) -> None:
    import torch
    folders(masked=2)
    monkeypatch.setattr('mmseg.utils.device.resolve_device', lambda _: torch.device('cuda'))
    monkeypatch.setattr('mmseg.init.choosing.total_memory', lambda _: 24 * 2**30)
    cfg = init('--classes', *NAMES)
    assert cfg.model.backbone.type == 'mit_b5' and cfg.runner.max_iters == 4000 and cfg.uda.alpha == 0.999
    assert cfg.uda.imnet_feature_dist_classes == [5, 6] and cfg.data.samples_per_gpu == 2
    assert 'MiT-B5' in capsys.readouterr().out
    assert cfg.model.pretrained == 'mit_b5'
    for choice in MIT[1:]:
        assert choice.settings == BF16
        assert choice.model.get('pretrained') == choice.model.get('backbone', {}).get('type')  # fetched by name
