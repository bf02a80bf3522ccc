"""create_buffer.py as the users of DIDA know it, and the training that reads its files."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import create_buffer
from mmseg.apis import init_segmentor
from mmseg.datasets import build_dataset, build_train_loader
from mmseg.models.preprocess import prepare
from tests.engine.tiny import tiny_config, train, write_images

BANK = dict(size=6, warmup=0)


@pytest.fixture(scope='module')
def dida(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a short training with DIDA on three classes; its config is beside it."""
    folder = tmp_path_factory.mktemp('dida')
    train(tiny_config(write_images(folder / 'images'), folder / 'run', 4, uda=dict(type='DACS', instance_bank=BANK)))
    return folder / 'run'


def flags(run: Path, mode: str) -> list[str]:
    return ['--mode', mode, '--checkpoint', str(run / 'latest.pth'), '--config',
            str(run.with_name(f'config_{run.name}.py'))]


def write(out: Path, *arguments: str) -> tuple[np.ndarray, np.ndarray]:
    create_buffer.main(['--out', str(out), *arguments])
    feature, older, label = (np.load(out / name)['arr_0'] for name in (
        'f_buffer_s.npz', 'f_buffer.npz', 'l_buffer_s.npz'))
    assert (feature == older).all()
    assert feature.dtype == np.float32 and label.dtype == np.int64 and len(feature) == len(label)
    return feature, label


def test_a_random_bank_has_unit_rows_and_equal_shares(tmp_path: Path) -> None:
    feature, label = write(tmp_path / 'a')
    assert feature.shape == (300, 256)
    np.testing.assert_allclose(np.linalg.norm(feature, axis=1), 1, rtol=1e-5)
    assert (feature >= 0).all()
    assert set(np.bincount(label)) == {15, 16}
    assert (write(tmp_path / 'b')[0] == feature).all()
    assert not (write(tmp_path / 'c', '--seed', '1')[0] == feature).any()
    assert write(tmp_path / 'd', '--size', '20', '--dim', '6')[0].shape == (20, 6)


def test_a_bank_of_source_images_holds_class_means_of_the_network(dida: Path, tmp_path: Path) -> None:
    feature, label = write(tmp_path, *flags(dida, 'source'), '--size', '6')
    assert label.tolist() == [0, 0, 1, 1, 2, 2] and feature.shape == (6, 16)
    segmentor = init_segmentor(flags(dida, 'source')[-1], str(dida / 'latest.pth'))
    source = build_dataset(segmentor.cfg.data.train.source)
    means = {0: [], 1: [], 2: []}
    for batch in build_train_loader(source, 1, 0, seed=0, stop=len(source)):
        batch = prepare(batch, next(segmentor.parameters()).device)
        shown = batch['gt_semantic_seg'][0]
        with torch.no_grad():
            embedding = F.interpolate(segmentor.decode_image(batch['img']).embedding, shown.shape)[0]
        for known in set(shown.unique().tolist()) & {0, 1, 2}:
            means[known].append(embedding[:, shown == known].mean(dim=1).cpu().numpy())
    np.testing.assert_allclose(feature, [means[known][row] for known in means for row in (0, 1)], rtol=1e-4, atol=1e-5)


def test_the_bank_of_a_training_goes_to_the_next_one(dida: Path, tmp_path: Path) -> None:
    feature, label = write(tmp_path / 'bank', *flags(dida, 'checkpoint'))
    state = torch.load(dida / 'latest.pth', weights_only=True)['state_dict']
    assert torch.equal(torch.from_numpy(feature), state['instance_bank.bank.feature'].cpu())
    assert torch.equal(torch.from_numpy(label), state['instance_bank.bank.label'].cpu())
    uda = dict(type='DACS', instance_bank=dict(preset='dida_code', bank=str(tmp_path / 'bank'), interval=100))
    host = train(tiny_config(dida.with_name('images'), tmp_path / 'run', 1, uda=uda))
    torch.testing.assert_close(host.instance_bank.bank.feature.cpu(), torch.from_numpy(feature), rtol=0.01, atol=0.01)


def test_a_random_bank_starts_the_published_program(dida: Path, tmp_path: Path) -> None:
    write(tmp_path / 'bank', '--size', '38', '--dim', '16')
    label = np.arange(38) % 3  # of the three classes there are
    np.savez(tmp_path / 'bank' / 'l_buffer_s.npz', label)
    uda = dict(type='DACS', instance_bank=dict(preset='dida_code', bank=str(tmp_path / 'bank'), calibrate=False))
    host = train(tiny_config(dida.with_name('images'), tmp_path / 'run', 2, uda=uda))  # stops at a loss that is NaN
    assert host.instance_bank.bank.label.tolist() == label.tolist()


@pytest.mark.parametrize('arguments, message', [
    (['--size', '900'], r'4 images do not fill 900 rows, those of the classes \[0, 1, 2\] are missing'),
    (['--mode', 'checkpoint', '--checkpoint', 'absent.pth'], 'absent.pth'),
])
def test_what_cannot_be_made_is_named(dida: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    with pytest.raises((ValueError, OSError), match=message):
        write(tmp_path, *flags(dida, 'source'), *arguments)
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_without_a_full_bank_gives_none(tmp_path: Path) -> None:
    images = write_images(tmp_path / 'images')
    for name, uda, message in (('plain', None, 'has no memory bank'),
                               ('early', dict(type='DACS', instance_bank=BANK), r'3 of 6 rows of its bank are filled')):
        train(tiny_config(images, tmp_path / name, 1, uda=uda))
        with pytest.raises(ValueError, match=message):
            write(tmp_path / 'bank', *flags(tmp_path / name, 'checkpoint'))


def test_a_projected_embedding_has_its_bank_in_checkpoints_only(dida: Path, tmp_path: Path) -> None:
    config = tmp_path / 'projected.py'
    config.write_text(f"_base_ = {flags(dida, 'source')[-1]!r}\nuda = dict(instance_bank=dict(projection=8))")
    with pytest.raises(ValueError, match='--mode checkpoint'):
        write(tmp_path / 'bank', *flags(dida, 'source'), '--config', str(config))


@pytest.mark.parametrize('name', ['f_buffer_s.npz', 'f_buffer.npz', 'l_buffer_s.npz'])
def test_nothing_is_overwritten(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    with pytest.raises(FileExistsError, match=f'{name} exists: remove it, or name another folder with --out'):
        write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize('arguments, message', [
    (['--mode', 'source', '--config', 'a.py'], '--mode source needs --checkpoint'),
    (['--mode', 'checkpoint'], '--mode checkpoint needs --checkpoint'), (['--size', '0'], 'must be at least 1')])
def test_half_an_order_is_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        create_buffer.main(arguments)
    assert message in capsys.readouterr().err
