"""The tests that every backbone passes: inherit :class:`BackboneTests` and give it a config."""
from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmseg.models import build_backbone
from tests.models.base_head import DEVICES, why_not_compile


def images(height: int = 65, width: int = 97, batch: int = 2, device: str = 'cpu') -> Tensor:
    """Normalised images [batch, 3, height, width]."""
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(0)).to(device)


def weighted_sum(maps: list[Tensor]) -> Tensor:
    """A number that depends on every element of every map, and on no symmetric sum that a norm would hold constant."""
    generator = torch.Generator().manual_seed(1)
    return sum((m.float() * torch.rand(m.shape, generator=generator).to(m.device)).mean() for m in maps)


class BackboneTests:
    """Standard tests.

    Attributes:
        cfg: the backbone, without randomness such as drop path.
        channels, strides: of its maps.
        small: changes of the config that make it quick to compile.
    """
    cfg: dict[str, Any]
    channels: tuple[int, ...]
    strides: tuple[int, ...] = (4, 8, 16, 32)
    small: dict[str, Any] = {}

    @pytest.fixture(autouse=True)
    def seeded(self) -> None:
        torch.manual_seed(0)

    def build(self, **changes: Any) -> nn.Module:
        return build_backbone({**self.cfg, **changes})

    def backward(self, backbone: nn.Module, img: Tensor) -> list[Tensor]:
        """Maps of a training step, whose gradients are checked."""
        maps = backbone(img)
        weighted_sum(maps).backward()
        learning = {name: p.grad for name, p in backbone.named_parameters() if p.requires_grad}
        assert not [name for name, grad in learning.items() if grad is None or not grad.isfinite().all()]
        assert any(grad.any() for grad in learning.values())
        return maps

    @pytest.mark.parametrize('device', DEVICES)
    @pytest.mark.parametrize('size', [(64, 64), (65, 97), (40, 33)])
    def test_trains_on_every_size(self, size: tuple[int, int], device: str) -> None:
        maps = self.backward(self.build().to(device), images(*size, device=device))
        expected = [(2, c, *(-(-n // s) for n in size)) for c, s in zip(self.channels, self.strides)]
        assert [tuple(m.shape) for m in maps] == expected

    @pytest.mark.parametrize('device', DEVICES)
    def test_bf16_autocast(self, device: str) -> None:
        backbone, img = self.build().to(device), images(device=device)
        with torch.autocast(device, torch.bfloat16):
            self.backward(backbone, img)
        backbone.eval()
        with torch.no_grad():
            expected = backbone(img)
            with torch.autocast(device, torch.bfloat16):
                actual = backbone(img)
        assert all((a - e).norm() <= 0.05 * e.norm() for a, e in zip(actual, expected))

    def test_running_statistics_move_in_training_only(self) -> None:
        backbone, img = self.build(), images()
        before = {name: value.clone() for name, value in backbone.named_buffers()}
        first, second = backbone.eval()(img), backbone(img)
        assert all(torch.equal(a, b) for a, b in zip(first, second))
        assert all(torch.equal(value, before[name]) for name, value in backbone.named_buffers())
        backbone.train()(img)
        moved = [not torch.equal(v, before[name]) for name, v in backbone.named_buffers() if 'running_' in name]
        assert all(moved)

    def test_images_of_a_batch_do_not_see_each_other_in_evaluation(self) -> None:
        backbone, img = self.build().eval(), images()
        with torch.no_grad():
            for both, alone in zip(backbone(img), backbone(img[1:])):
                torch.testing.assert_close(both[1:], alone, rtol=1e-3, atol=1e-4 * float(both.abs().max()))

    def test_input_stays_as_it_is(self) -> None:
        img = images()
        self.build()(img)
        assert torch.equal(img, images())

    def test_state_dict_round_trip(self) -> None:
        backbone, img = self.build(), images()
        backbone(img)  # moves running statistics
        file = io.BytesIO()
        torch.save(backbone.state_dict(), file)
        file.seek(0)
        other = self.build()
        other.load_state_dict(torch.load(file, weights_only=True))
        assert all(torch.equal(a, b) for a, b in zip(other.eval()(img), backbone.eval()(img)))

    def test_is_built_on_the_meta_device(self) -> None:
        with torch.device('meta'):
            names = self.build().state_dict().keys()
        assert names == self.build().state_dict().keys()

    @pytest.mark.slow
    @pytest.mark.parametrize('device', DEVICES)
    def test_compiles_without_graph_breaks(self, device: str) -> None:
        if why_not_compile():
            pytest.skip(why_not_compile())
        backbone, img = self.build(**self.small).to(device).eval(), images(64, 96, device=device)
        torch._dynamo.reset()
        compiled, expected = torch.compile(backbone, fullgraph=True)(img), backbone(img)
        for mine, eager in zip(compiled, expected):
            torch.testing.assert_close(mine, eager, rtol=1e-3, atol=1e-4 * float(eager.detach().abs().max()))
        parameters = [p for p in backbone.parameters() if p.requires_grad]
        gradients = [torch.autograd.grad(weighted_sum(maps), parameters) for maps in (compiled, expected)]
        for mine, eager in zip(*gradients):
            torch.testing.assert_close(mine, eager, rtol=1e-2, atol=1e-3 * float(eager.abs().max()) + 1e-7)
