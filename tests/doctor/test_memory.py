"""Counting what a training step keeps."""
from __future__ import annotations

import torch
from torch import nn

from mmseg.doctor.memory import SavedBytes, fixed_bytes


def test_what_is_saved_counts_once_and_until_its_backward() -> None:
    x, model = torch.randn(1000, requires_grad=True), nn.Linear(1000, 1000)
    with SavedBytes(model) as saved:
        for _ in range(3):  # each graph ends before the next one
            y = x * 2
            (y * y * y).sum().backward()  # y, and y * y
            del y
    assert saved.peak == 2 * 4000
    with SavedBytes(model) as saved:
        model(x).sum().backward()  # its input; weights are not counted
    assert saved.peak == 4000


def test_gradients_are_the_same() -> None:
    model, x = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1)), torch.randn(8, 4)
    model(x).sum().backward()
    expected = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    with SavedBytes(model):
        model(x).sum().backward()
    assert all(torch.equal(p.grad, grad) for p, grad in zip(model.parameters(), expected))


def test_weights_gradients_and_the_state_of_adam() -> None:
    model = nn.Linear(100, 1000, bias=False)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(2, 100)).sum().backward()
    assert 4 * 400_000 <= fixed_bytes(model, optimizer) < 4 * 400_000 + 100
