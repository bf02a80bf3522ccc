"""tools/doctor.py: what can be read and trained on, and still does not mean what was meant."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine import Config
from PIL import Image

from mmseg.datasets.class_stats import save_stats
from mmseg.doctor import data as data_checks
from mmseg.doctor import images as image_checks
from mmseg.doctor.survey import spread
from mmseg.models import build_segmentor
from mmseg.utils.config_text import format_config
from tests.doctor.answer import Answer
from tests.engine.tiny import CLASSES, write_images

Ask = Callable[..., Answer]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images and masks that are large enough to differ by less than 2 %."""
    return write_images(tmp_path / 'own', shape=(64, 96))


@pytest.fixture
def ask(cfg: Config, folder: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """The doctor's answer about ``folder`` as source, target and val, with changes of all three and options."""
    monkeypatch.setattr('mmseg.doctor.check_step', lambda *_: None)  # takes longer than all the rest

    def asked(*options: str, **changes: Any) -> Answer:
        content = cfg.to_dict()
        train = content['data']['train']
        for part in (train['source'], train['target'], content['data']['val']):
            pipeline = part['pipeline']
            part.clear()
            part.update(dict(type='FolderDataset', img_dir=str(folder / 'img'), ann_dir=str(folder / 'ann'),
                             classes=list(CLASSES), pipeline=pipeline), **changes)
        Path(cfg.filename).write_text(format_config(content))
        return Answer(cfg, capsys, *options)

    return asked


def labels(folder: Path, *ids: int) -> None:
    """Replace the masks by columns of ids."""
    for path in sorted((folder / 'ann').iterdir()):
        cv2.imwrite(str(path), np.resize(np.repeat(ids, 8), (64, 96)).astype(np.uint8))


def warned(answer: Answer, text: str, times: int = 3) -> list[str]:
    """The warnings with this text; source, target and val each have one."""
    found = [block for block in answer.blocks('warning') if text in block]
    assert len(found) == times, answer.text
    return found


# images


def turned(path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 3
    Image.open(path).save(path, exif=exif)


def deep(bits: int) -> Callable[[Path], None]:
    def draw(path: Path) -> None:
        image = np.random.RandomState(0).randint(0, 2**bits, (64, 96, 3)).astype(np.uint16)
        cv2.imwrite(str(path), image)
    return draw


def fractions(path: Path) -> None:
    path.unlink()
    cv2.imwrite(str(path.with_suffix('.tiff')), np.random.RandomState(0).rand(64, 96, 3).astype(np.float32))


@pytest.mark.parametrize('draw, pattern', [
    (turned, '2 of 4 images have an EXIF orientation tag other than 1, such as {0} (3)'),
    (deep(12), 'images of 16 bits use 12 of them at most, such as {0} (2 were decoded)'),
])
def test_images_that_are_read_otherwise_than_they_look(draw: Callable[[Path], None], pattern: str, ask: Ask,
                                                       folder: Path) -> None:
    for name in ('1.png', '3.png'):
        draw(folder / 'img' / name)
    answer = ask()
    assert answer.status == 0 and '4 of 4 images looked at, all fit' in answer.text
    found = warned(answer, pattern.format(folder / 'img' / '1.png'))[0]
    assert f'data.train.target: FolderDataset in {Path.cwd()}\n{found}' in answer.text, 'warnings come first'


@pytest.mark.parametrize('bits, told, expected', [(16, None, ''), (8, None, 'as having 16: they are nearly black'),
                                                  (12, 12, ''), (13, 12, 'as having 12: larger values are cut')])
def test_bits_that_the_loader_knows(bits: int, told: int | None, expected: str, ask: Ask, folder: Path) -> None:
    for name in ('1.png', '3.png'):
        deep(bits)(folder / 'img' / name)
    answer = ask(*[f'data.{part}.pipeline.0.bits={told}' for part in ('train.source', 'train.target', 'val')])
    warned(answer, expected or 'of 16 bits', 3 if expected else 0)


def test_damage_is_one_finding_of_a_kind(ask: Ask, folder: Path) -> None:
    for name in ('0.png', '2.png'):
        fractions(folder / 'img' / name)
    content = bytearray((folder / 'img' / '3.png').read_bytes())
    content[len(content) // 2] ^= 1
    (folder / 'img' / '3.png').write_bytes(content)
    answer = ask()
    assert len(answer.blocks('problem')) == 2 * 3, answer.text
    assert '4 of 4 images looked at, 3 not fit' in answer.text
    assert f'1 more of this kind, such as {folder}/img/2.tiff' in answer.text


def test_what_lies_beside_the_images(ask: Ask, folder: Path) -> None:
    for name in ('._0.png', '.cache/0.png', 'notes.txt', 'Thumbs.db'):
        (folder / 'img' / name).parent.mkdir(exist_ok=True)
        (folder / 'img' / name).write_bytes(b'')
    assert '2 other files (Thumbs.db, notes.txt) and 2 hidden (._0.png, .cache/)' in ask().text


# label maps


def test_label_maps_of_other_sizes(ask: Ask, folder: Path) -> None:
    for i, shape in enumerate([(64, 97), (65, 96), (32, 48), (64, 96)]):
        cv2.imwrite(str(folder / 'ann' / f'{i}.png'), np.resize(np.repeat(range(3), 8), shape).astype(np.uint8))
    answer = ask()
    found = warned(answer, '2 of 4 label maps differ', 2)[0]
    assert f'such as {folder}/ann/0.png: 97x64 instead of 96x64' in found
    assert [block.count('48x32') for block in answer.blocks('problem')] == [1, 1]


@pytest.mark.parametrize('ids, changes, problem', [
    ((0, 1, 7), {}, 'holds the ids [7]'),
    ((0, 255), {}, 'hold one class only, road: there is nothing to learn'),
    ((0, 1), dict(ignore_index=0), 'hold one class only, sky'),
    ((255, ), {}, 'nothing but 255'),
    ((3, 4), dict(label_map={3: None, 4: None}), 'nothing but 3, 4'),
])
def test_labels_that_leave_nothing_to_learn(ids: tuple[int, ...], changes: dict[str, Any], problem: str, ask: Ask,
                                            folder: Path) -> None:
    labels(folder, *ids)
    answer = ask(**changes)
    assert answer.status == 1 and problem in answer.blocks('problem')[0]


@pytest.mark.parametrize('ids, changes, expected', [
    ((0, 1, 2, 255), {}, ['ids are class indices\n', '25.0 % of the pixels are left out: 255 (25.0 %)']),
    ((0, 1, 2, 3), dict(ignore_index=3), ['ids are class indices, unlabelled are 3 and 255', 'left out: 3 (25.0 %)']),
    ((0, 1, 2, 3), dict(reduce_zero_label=True), ['reduce_zero_label, 0 is unlabelled', 'left out: 0 (25.0 %)']),
    ((5, 6, 7, 9, 9, 9, 8, 8), dict(label_map={5: 'road', 6: 'sky', 7: 'car', 4: 'car', '*': None}),
     ['label_map of 4 ids and all others', 'warning   62.5 % of the pixels are left out: 9 (37.5 %), 8 (25.0 %)',
      'label_map names what the 4 label maps do not hold: 4']),
    ((0, 1), {}, ['warning   no label map holds car (4 of 4 are counted)']),
])
def test_what_becomes_of_the_ids(ids: tuple[int, ...], changes: dict[str, Any], expected: list[str], ask: Ask,
                                 folder: Path) -> None:
    labels(folder, *ids)
    answer = ask(**changes)
    assert answer.status == 0, answer.text
    assert [part for part in expected if answer.text.count(part) < 2] == [], f'source and val: {answer.text}'


def test_colours_and_chosen_classes(ask: Ask, folder: Path) -> None:
    for path in (folder / 'ann').iterdir():
        Image.fromarray(np.resize([0, 0, 9, 9, 0, 0, 0, 9, 0], (64, 96, 3)).astype(np.uint8)).save(path)
    text = ask(label_map={'#000009': 'road', '#090000': 'sky', '#000900': None}).text
    assert 'label_map of 3 colours' in text and 'left out: #000900 (33.3 %)' in text
    labels(folder, 0, 1, 2)
    text = ask(type='CityscapesDataset', classes=['road', 'sky', 'building'], img_suffix='.png',
               seg_map_suffix='.png').text
    assert '3 of the classes are chosen' in text and 'left out: 1 (33.3 %)' in text


def test_large_data_sets_are_sampled(ask: Ask, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert spread(4, 3) == [0, 2, 3] and spread(2, 3) == [0, 1]
    for module in (data_checks, image_checks):
        monkeypatch.setattr(module, 'MOST', 3)
    monkeypatch.setattr(image_checks, 'DECODED', 1)
    text = ask().text
    for part in ('3 of 4 images looked at', '3 of 4 label maps read', 'classes of 3 of 4 label maps'):
        assert part in text


def test_folders_in_lists_are_all_looked_at(ask: Ask, folder: Path) -> None:
    write_images(folder / 'more', 2)
    answer = ask(**{key: [str(folder / name), str(folder / 'more' / name)]
                    for key, name in (('img_dir', 'img'), ('ann_dir', 'ann'))})
    assert answer.status == 0
    for part in ('4 of 4 label maps read', '2 of 2 label maps read', '2 of 2 images looked at, all fit: 48x32'):
        assert part in answer.text


def test_statistics_of_other_label_maps(ask: Ask, folder: Path) -> None:
    save_stats({str(path): {0: 6144} for path in (folder / 'ann').iterdir()}, folder / 'ann')
    ask('data.train.rare_class_sampling.min_pixels=1').problem('have changed since')


# classes


def test_one_class(ask: Ask, folder: Path) -> None:
    labels(folder, 0, 255)
    answer = ask('model.decode_head.num_classes=1', classes=['disc'])
    assert 'classes=[' in answer.problem('one class leaves nothing to learn')


@pytest.mark.parametrize('options, pattern', [
    (['data.val.classes=[road,sky]'], r'predicts 3 classes, the data set has 2 \(data.val\)'),
    (['model.auxiliary_head.num_classes=4'], 'the auxiliary_head predicts 4 classes, the decode_head 3'),
    (['uda.imnet_feature_dist_classes=[1,3,18]'], 'imnet_feature_dist_classes: names 3, 18'),
])
def test_other_numbers_of_classes(options: list[str], pattern: str, ask: Ask, cfg: Config) -> None:
    head = cfg.model.decode_head.to_dict()
    cfg.model.auxiliary_head = dict(head, type='FCNHead', in_channels=16, in_index=2, num_convs=1, concat_input=False)
    cfg.model.auxiliary_head.pop('decoder_params')
    cfg.uda.update(imnet_feature_dist_lambda=0.005, imnet_feature_dist_scale_min_ratio=0.75)
    ask(*options).problem(pattern)


def test_palettes_of_another_length(cfg: Config, capsys: pytest.CaptureFixture) -> None:
    answer = Answer(cfg, capsys, 'data.val.palette=[[0,0,0],[1,1,1]]')
    answer.problem(r'palette has 2 colours for 3 classes \(data.val\)')


def test_other_names(ask: Ask, cfg: Config, tmp_path: Path) -> None:
    weights = build_segmentor(cfg.model).state_dict()
    torch.save(dict(state_dict=weights, meta=dict(CLASSES=['road', 'car', 'sky'])), tmp_path / 'other.pth')
    answer = ask('data.val.classes=[road,sky,cat]', f'load_from={tmp_path}/other.pth')
    assert '2: cat for car' in warned(answer, 'data.val has other classes', 1)[0]
    assert '1: car for sky, 2: sky for car' in warned(answer, 'other.pth has other classes', 1)[0]
    assert not ask(f'load_from={tmp_path}/other.pth', 'new_classifier=True').problems
