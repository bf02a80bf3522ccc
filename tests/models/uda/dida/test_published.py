"""What DIDA keeps in memory, and the published program's path through it."""
from __future__ import annotations

import math
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmseg.models.uda.dida import InstanceBank, PublishedInstanceBank, published
from mmseg.models.uda.dida.memory_bank import balanced_labels, write_bank
from mmseg.models.uda.step_state import View
from tests.models.uda.conftest import make_host

from .test_cosine import LABEL, C, K, decoded, fake_step, run


@pytest.fixture
def folder(tmp_path):
    write_bank(tmp_path, torch.rand(K, 16, generator=torch.Generator().manual_seed(0)) + 0.1, LABEL)
    return str(tmp_path)


def test_an_existing_bank_is_used_from_the_start(folder):
    host, wrapper = make_host(instance_bank=dict(bank=folder, warmup=0))
    (log, ) = run(host, wrapper, 1)
    assert log['instance.bank_filled'] == 1 and log['instance.loss_in'] > 0


def test_the_published_loss_does_not_depend_on_the_strips(folder, monkeypatch):
    steps = {}
    for size in (2**26, 9000):
        monkeypatch.setattr(published, 'STRIP_BYTES', size)
        host, wrapper = make_host(instance_bank=dict(preset='dida_code', bank=folder, calibrate=False))
        (log, ) = run(host, wrapper, 1)
        steps[size] = log['instance.loss_in'], torch.cat([p.grad.flatten() for p in host.model.parameters()])
    (loss, gradient), (other, other_gradient) = steps.values()
    assert loss == pytest.approx(other, rel=1e-6)
    torch.testing.assert_close(gradient, other_gradient, rtol=1e-4, atol=1e-6)


class Made(TorchDispatchMode):
    """Notes shape and bytes of every tensor that an operation makes, views aside."""

    def __init__(self):
        super().__init__()
        self.tensors = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        given = {x.untyped_storage().data_ptr() for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)}
        for x in tree_leaves(result):
            if isinstance(x, torch.Tensor) and x.untyped_storage().data_ptr() not in given:
                self.tensors.append((tuple(x.shape), x.numel() * x.element_size()))
        return result


class Peak:
    """Resident memory in MiB that a block needs beyond what the process had before (Linux)."""

    def __enter__(self):
        Path('/proc/self/clear_refs').write_text('5')  # the peak starts anew
        self.before = self.read('VmRSS')
        return self

    def __exit__(self, *error):
        self.mib = (self.read('VmHWM') - self.before) / 1024

    @staticmethod
    def read(name):
        return int(re.search(rf'{name}:\s+(\d+) kB', Path('/proc/self/status').read_text())[1])


def all_phases(made, watch, cells=16, pixels=64):
    """The phases of one step, the backward included, while ``watch`` looks on."""
    size, channels, classes = (pixels, pixels), made.bank.feature.shape[1], made.bank.num_classes
    rng = torch.Generator().manual_seed(0)
    embedding = [torch.rand(2, channels, cells, cells, generator=rng) for _ in range(3)]
    label = torch.randint(0, classes, (2, *size), generator=rng)
    p = torch.rand(2, classes, *size, generator=rng).softmax(dim=1)
    pasted = torch.arange(pixels).expand(2, 1, *size) < pixels // 2
    step = fake_step(mix_mask=pasted, source=View(p, label),
                     pseudo=SimpleNamespace(valid=torch.ones(2, *size)))
    step.student.upsampled = lambda _: p
    logits = torch.rand(2, classes, cells, cells, generator=rng)
    mixed = embedding[2].requires_grad_()
    with watch:
        with torch.no_grad():
            made.on_source(step, None, decoded(embedding[0], logits, size))
            made.refine(step, p, decoded(embedding[1], logits, size))
        made.losses(step, SimpleNamespace(img=p), None, decoded(mixed, logits, size))['instance.loss_in'].backward()
    assert (mixed.grad != 0).any()
    return watch


def full_bank(num_classes, channels, **options):
    made = InstanceBank(num_classes, channels, 0.9, warmup=0, **options)
    made.bank.feature.copy_(torch.rand(made.bank.feature.shape))
    made.bank.filled.fill_(True)
    return made


@pytest.mark.parametrize('select', ['mean', 'boundary_mean'])
def test_no_tensor_is_larger_than_the_similarities_at_the_embeddings_stride(select):
    tensors = all_phases(full_bank(C, 16, size=40, select=select, smoothing=0.9), Made()).tensors
    refined = (2, C, 64, 64)  # the pseudo-label probabilities themselves, which the host has anyway
    similarities = (2, 40, 16, 16)
    assert similarities in [shape for shape, _ in tensors]
    for shape, _ in tensors:
        assert shape == refined or math.prod(shape) <= math.prod(similarities), shape


def test_the_published_program_works_in_strips(tmp_path, monkeypatch):
    write_bank(tmp_path, torch.rand(40, 16), torch.arange(40) % C)
    made = PublishedInstanceBank(C, 16, str(tmp_path))
    monkeypatch.setattr(published, 'STRIP_BYTES', 2**17)
    biggest = max(bytes_ for _, bytes_ in all_phases(made, Made()).tensors)
    assert 2**16 < biggest < 2**17


@pytest.mark.parametrize('batch,size', [(1, (512, 512)), (2, (512, 512)), (2, (1024, 1024)), (8, (512, 1024))])
def test_strips_of_published_sizes_stay_below_64_mib(batch, size):
    parts = published.strips(batch, 300, size)
    assert [row for part in parts for row in range(size[0])[part]] == list(range(size[0]))
    assert max(batch * 300 * (part.stop - part.start) * size[1] * 4 for part in parts) < 64 * 2**20


def test_enlarging_similarities_is_comparing_enlarged_embeddings():
    embedding, rows = torch.rand(2, 16, 8, 12), torch.rand(K, 16)
    down, across = (published.interpolation(cells, 4 * cells, False, torch.device('cpu')) for cells in (8, 12))
    late = published.interpolate(torch.einsum('bdhw,kd->bkhw', embedding, rows), down, across)
    early = torch.einsum('bdhw,kd->bkhw', F.interpolate(embedding, scale_factor=4, mode='bilinear'), rows)
    torch.testing.assert_close(late, early, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(not Path('/proc/self/clear_refs').exists(), reason='needs Linux')
@pytest.mark.parametrize('preset', ['cosine', 'dida_code'])
def test_memory_at_the_published_size(preset, tmp_path, capsys):
    """Two crops of 512 x 512, 300 rows of 256 channels at stride 4; prints what docs/performance.md reports."""
    if preset == 'cosine':
        made = full_bank(19, 256)
    else:
        write_bank(tmp_path, torch.rand(300, 256), balanced_labels(300, range(19)))
        made = PublishedInstanceBank(19, 256, str(tmp_path))
    largest = max(all_phases(made, Made(), 128, 512).tensors, key=lambda made: made[1])
    peak = all_phases(made, Peak(), 128, 512)
    with capsys.disabled():
        print(f'\n{preset}: largest tensor {largest[0]}, {largest[1] / 2**20:.1f} MiB; peak {peak.mib:.0f} MiB')
    assert largest[1] < 64 * 2**20
