"""The memory bank: shares of the classes, filling, renewing, class means, boundaries, files."""
from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dev.mutations.subject import damaged
from mmseg.checkpoint.contents import check_states
from mmseg.errors import CheckpointError
from mmseg.models.uda.cells import class_counts
from mmseg.models.uda.dida.memory_bank import RAREST_FIRST, MemoryBank, balanced_labels, read_bank, write_bank
from mmseg.models.uda.dida.prototypes import boundary_pixels, class_means

SYNTHIA = [c for c in RAREST_FIRST if c not in (9, 14, 16)]


def empty(size=7, classes=(2, 0, 1), dim=4, num_classes=4):
    return MemoryBank.empty(size, num_classes, dim, classes)


def prototypes(value, num_classes=4, dim=4):
    """A constant prototype per class, different from the others."""
    return torch.full((num_classes, dim), float(value)) + torch.arange(num_classes)[:, None] / 10


def present(*classes, num_classes=4):
    return torch.tensor([c in classes for c in range(num_classes)])


@pytest.mark.parametrize('size,classes', [
    (300, RAREST_FIRST), (300, SYNTHIA), (38, range(19)), (3, range(5)), (7, [4])])
def test_classes_have_equal_shares_and_the_rarest_get_the_rest(size, classes):
    counts = torch.bincount(balanced_labels(size, classes), minlength=19)
    shares = [counts[c].item() for c in classes]
    assert sum(shares) == size == counts.sum()
    assert max(shares) - min(shares) <= 1
    assert shares == sorted(shares, reverse=True)


def test_published_sizes():
    counts = torch.bincount(balanced_labels(300, RAREST_FIRST))
    assert sorted(counts.tolist()) == [15] * 4 + [16] * 15
    counts = torch.bincount(balanced_labels(300, SYNTHIA), minlength=19)
    assert sorted(counts[counts > 0].tolist()) == [18] * 4 + [19] * 12


def test_rows_are_filled_class_by_class_until_the_bank_is_full():
    bank = empty()  # three rows of class 2, two of 0, two of 1
    bank.update(prototypes(1), present(0, 2, 3), renew=False, momentum=0.9)
    assert bank.filled.tolist() == [True, False, False, True, False, False, False]
    bank.update(prototypes(2), present(0, 1, 2), renew=False, momentum=0.9)
    bank.update(prototypes(3), present(0, 1, 2), renew=False, momentum=0.9)
    assert bank.full
    # class 0 was complete after two entries: a third one, without renewal, is ignored
    expected = [1.2, 2.2, 3.2, 1.0, 2.0, 2.1, 3.1]
    torch.testing.assert_close(bank.feature[:, 0], torch.tensor(expected))


@pytest.mark.parametrize('momentum', [0.999, 0.5, 0.])
def test_renewal_by_averaging_has_a_closed_form_and_leaves_absent_classes_alone(momentum):
    start = torch.rand(6, 4)
    bank = MemoryBank(start.clone(), torch.tensor([0, 0, 1, 1, 2, 2]), 4, filled=True)
    for _ in range(5):
        bank.update(prototypes(3), present(1, 2, 3), renew=True, momentum=momentum)
    assert torch.equal(bank.feature[:2], start[:2])
    mean = prototypes(3)[bank.label[2:]]
    torch.testing.assert_close(bank.feature[2:], momentum**5 * start[2:] + (1 - momentum**5) * mean)


def test_renewal_first_in_first_out_replaces_the_oldest_row():
    bank = empty(size=4, classes=(0, 1), dim=1, num_classes=2)
    for value in range(1, 6):
        bank.update(torch.tensor([[value], [10 * value]]).float(), torch.tensor([True, value % 2 == 1]), renew=True,
                   momentum=None)
    assert bank.feature[:2].flatten().tolist() == [5, 4]
    assert bank.feature[2:].flatten().tolist() == [50, 30]


def test_nothing_is_renewed_between_two_renewals():
    bank = MemoryBank(torch.rand(4, 4), torch.tensor([0, 1, 2, 3]), 4, filled=True)
    before = bank.feature.clone()
    for momentum in (0.9, None):
        bank.update(prototypes(9), present(0, 1, 2, 3), renew=False, momentum=momentum)
    assert torch.equal(bank.feature, before)


def test_fewer_rows_than_classes():
    bank = empty(size=2, classes=(3, 1, 0), num_classes=4)
    for _ in range(3):
        bank.update(prototypes(1), present(0, 1, 2, 3), renew=True, momentum=0.9)
    assert bank.full and bank.label.tolist() == [3, 1]
    torch.testing.assert_close(bank.feature[:, 0], torch.tensor([1.3, 1.1]))


def test_class_means_by_one_product_are_those_of_a_loop():
    embedding = torch.randn(2, 6, 8, 12)
    label = torch.randint(0, 5, (2, 32, 48))
    label[:, :9] = 255
    means, pixels = class_means(embedding, class_counts(label, (8, 12), 6)[..., :-1])
    enlarged = F.interpolate(embedding, (32, 48), mode='nearest').permute(0, 2, 3, 1)
    for c in range(6):
        assert pixels[c] == (label == c).sum()
        wanted = enlarged[label == c].mean(dim=0) if (label == c).any() else torch.zeros(6)
        torch.testing.assert_close(means[c], wanted, rtol=1e-4, atol=1e-5)
    turned, _ = class_means(embedding.flip(0), class_counts(label.flip(0), (8, 12), 6)[..., :-1])
    torch.testing.assert_close(turned, means)


def test_class_means_of_a_constant_map_are_the_constant():
    constant = torch.tensor([1., -2., 3.]).view(1, 3, 1, 1).expand(2, 3, 7, 9)
    label = torch.randint(0, 4, (2, 30, 40))
    means, _ = class_means(constant, class_counts(label, (7, 9), 4)[..., :-1])
    torch.testing.assert_close(means, constant[0, :, 0, 0].expand(4, 3))


def test_boundaries_are_pixels_with_two_labels_around_them():
    label = torch.randint(0, 3, (2, 9, 11)).repeat_interleave(2, 1).repeat_interleave(3, 2)
    label[0, :4, :5] = 255
    found = boundary_pixels(label)
    for b, y, x in np.ndindex(*label.shape):
        window = label[b, max(y - 1, 0):y + 2, max(x - 1, 0):x + 2]
        assert found[b, y, x] == (len(window.unique()) >= 2 and label[b, y, x] != 255), (b, y, x)


def test_files_come_back_as_they_were(tmp_path):
    feature, label = torch.rand(6, 3), torch.tensor([0, 0, 1, 1, 4, 4])
    write_bank(tmp_path / 'new' / 'folder', feature, label)
    again = read_bank(tmp_path / 'new' / 'folder', 5, 3)
    assert torch.equal(again[0], feature) and torch.equal(again[1], label)


def test_features_are_found_under_their_older_name_too(tmp_path):
    write_bank(tmp_path, torch.rand(6, 3), torch.arange(6) % 5)
    older, newer = (np.load(tmp_path / name)['arr_0'] for name in ('f_buffer.npz', 'f_buffer_s.npz'))
    assert (older == newer).all()
    np.savez(tmp_path / 'f_buffer.npz', 2 * newer)
    assert (read_bank(tmp_path, 5, 3)[0].numpy() == newer).all()
    (tmp_path / 'f_buffer_s.npz').unlink()
    assert (read_bank(tmp_path, 5, 3)[0].numpy() == 2 * newer).all()


def test_negative_features_are_refused_on_demand(tmp_path):
    feature = torch.rand(6, 3)
    feature[2, 1] = -0.5
    write_bank(tmp_path, feature, torch.arange(6) % 5)
    assert torch.equal(read_bank(tmp_path, 5, 3)[0], feature)
    with pytest.raises(ValueError, match='f_buffer_s.npz has negative features, down to -0.5.*create_buffer.py'):
        read_bank(tmp_path, 5, 3, non_negative=True)


@pytest.mark.parametrize('change,message', [
    (lambda folder: (folder / 'l_buffer_s.npz').unlink(), 'there is no .*l_buffer_s.npz: a bank is a folder with'),
    (lambda folder: [path.unlink() for path in folder.glob('f_*')],
     r'there is no .*f_buffer_s.npz: .*\(or f_buffer.npz\)'),
    (lambda folder: (folder / 'f_buffer_s.npz').write_bytes(b'no zip'), 'no NPZ file'),
    (lambda folder: np.savez(folder / 'f_buffer_s.npz', other=np.zeros(3)), "array 'arr_0'"),
    (lambda folder: np.savez(folder / 'l_buffer_s.npz', np.zeros(5, np.int64)), r'shape \(5,\) are no bank'),
    (lambda folder: np.savez(folder / 'f_buffer_s.npz', np.zeros((6, 2), np.float32)), '2 channels'),
    (lambda folder: np.savez(folder / 'l_buffer_s.npz', np.full(6, 7)), r'labels from 7 to 7 .*below 5'),
    (lambda folder: np.savez(folder / 'l_buffer_s.npz', np.ones(6)), 'labels from 1.0 to 1.0 of type float64'),
    (lambda folder: np.savez(folder / 'f_buffer_s.npz', np.full((6, 3), np.nan)), 'no finite numbers'),
])
def test_bad_files_are_named(tmp_path, change, message):
    write_bank(tmp_path, torch.rand(6, 3), torch.tensor([0, 0, 1, 1, 4, 4]))
    change(tmp_path)
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        read_bank(tmp_path, 5, 3)


@pytest.mark.parametrize('feature', [np.array([['a', 'b', 'c']] * 4), np.array([[{}] * 3] * 4, dtype=object),
                                     np.zeros((4, 3), complex)], ids=['texts', 'objects', 'complex'])
def test_features_that_are_no_numbers_are_refused(tmp_path, feature) -> None:
    write_bank(tmp_path, torch.zeros(4, 3), torch.arange(4))
    np.savez(tmp_path / 'f_buffer_s.npz', feature, allow_pickle=True)
    with pytest.raises(ValueError, match=f'{tmp_path}.*(no bank|no NPZ file)'):
        read_bank(tmp_path, 5, 3)


def test_any_damage_to_a_bank_is_named(tmp_path) -> None:
    write_bank(tmp_path, torch.rand(4, 3), torch.arange(4))
    path, rng = tmp_path / 'f_buffer_s.npz', np.random.RandomState(0)
    whole, expected = path.read_bytes(), read_bank(tmp_path, 5, 3)
    for _ in range(200):
        path.write_bytes(damaged(whole, rng)[1])
        try:
            found = read_bank(tmp_path, 5, 3)
        except ValueError as error:
            assert str(tmp_path) in str(error)
        else:
            assert all(torch.equal(a, b) for a, b in zip(found, expected))


@pytest.mark.parametrize('name, value', [
    ('label', -1), ('label', 4), ('label', 0.5), ('pointer', -1), ('pointer', 0.5)])
def test_a_checkpoint_with_rows_of_no_class_is_refused(name, value) -> None:
    """The numbers are indices, which a GPU does not check."""
    model = nn.ModuleDict(dict(bank=empty()))
    state = model.state_dict()
    check_states(model, state)
    wrong = torch.full(state[f'bank.{name}'].shape, value)
    with pytest.raises(CheckpointError, match=f'its bank.{name} holds'):
        check_states(model, {**state, f'bank.{name}': wrong})
