"""Statistics of the batch norms from images of the target."""
from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mmseg.evaluation import renew_norm_statistics


class Segmentor(nn.Module):

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def logits(self, img: Tensor) -> Tensor:
        return self.layers(img)


def loader(images: Tensor) -> list[dict]:
    return [dict(img=[image[None]]) for image in images]


def test_they_are_the_mean_of_those_of_the_batches_and_nothing_else_changes() -> None:
    torch.manual_seed(0)
    network = Segmentor(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5, momentum=0.3), nn.Dropout(0.5)).train()
    weights = {name: value.clone() for name, value in network.named_parameters()}
    images = torch.randn(10, 3, 8, 6) * 3 + 1
    assert renew_norm_statistics(network, loader(images), 'cpu') == 10
    maps = [network.layers[0](batch).detach() for batch in images.split(4)]
    norm = network.layers[1]
    torch.testing.assert_close(norm.running_mean, torch.stack([m.mean((0, 2, 3)) for m in maps]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([m.var((0, 2, 3)) for m in maps]).mean(0))
    assert all(torch.equal(value, weights[name]) for name, value in network.named_parameters())
    assert norm.momentum == 0.3 and not any(module.training for module in network.modules())


def test_images_of_several_sizes_are_taken() -> None:
    network = Segmentor(nn.BatchNorm2d(3))
    ones = torch.ones(3, 3, 4, 4)
    batches = [*loader(ones), *loader(2 * torch.ones(3, 3, 6, 4)), *loader(6 * ones[:1])]
    assert renew_norm_statistics(network, batches, 'cpu') == 7
    torch.testing.assert_close(network.layers[0].running_mean, torch.full((3, ), 3.))  # of the batches 1, 2 and 6


def test_without_batch_norm_or_images_it_says_so() -> None:
    with pytest.raises(ValueError, match='the network has no batch norm'):
        renew_norm_statistics(Segmentor(nn.Conv2d(3, 5, 3)), [], 'cpu')
    with pytest.raises(ValueError, match='there is no image'):
        renew_norm_statistics(Segmentor(nn.BatchNorm2d(3)), [], 'cpu')
