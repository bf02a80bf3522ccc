"""The tests that every decode head passes: inherit :class:`HeadTests` and give it a config."""
from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmseg.models import build_head
from mmseg.models.decode_heads import BaseDecodeHead

DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU'))]
CHANNELS = (8, 16, 24, 32)


def features(height: int = 65, width: int = 97, batch: int = 2, device: str = 'cpu') -> list[Tensor]:
    """Maps as a Mix Transformer makes them of a [batch, 3, height, width] image."""
    generator = torch.Generator().manual_seed(0)
    sizes = [(-(-height // stride), -(-width // stride)) for stride in (4, 8, 16, 32)]
    return [torch.randn(batch, c, *size, generator=generator).to(device) for c, size in zip(CHANNELS, sizes)]


def labels(height: int = 65, width: int = 97, batch: int = 2, classes: int = 5, device: str = 'cpu') -> Tensor:
    """Labels [batch, height, width], some of them ignored."""
    label = torch.randint(classes, (batch, height, width), generator=torch.Generator().manual_seed(1))
    label[:, :3] = 255
    return label.to(device)


def without_norm(cfg: Any) -> Any:
    """The config with ``norm_cfg=None`` wherever there is one: the `_nodbn` decoders of the experiments."""
    if not isinstance(cfg, dict):
        return cfg
    return {key: None if key == 'norm_cfg' else without_norm(value) for key, value in cfg.items()}


@lru_cache(maxsize=1)
def why_not_compile() -> str:
    """Why torch.compile does not work here; '' if it does."""
    try:
        torch.compile(lambda x: x + 1)(torch.ones(3))
    except Exception as error:  # whatever a missing compiler raises
        return f'torch.compile does not work here: {str(error).strip().splitlines()[0]}'
    return ''


class HeadTests:
    """Standard tests.

    Attributes:
        cfg: the head, for maps with ``CHANNELS`` channels.
        unused: parameters that only published checkpoints need: they get no gradient.
        losses: log prefixes of the losses.
    """
    cfg: dict[str, Any]
    unused: frozenset[str] = frozenset()
    losses: tuple[str, ...] = ('', )

    @pytest.fixture(autouse=True)
    def seeded(self) -> None:
        torch.manual_seed(0)

    def build(self, cfg: dict[str, Any] | None = None, **changes: Any) -> BaseDecodeHead:
        return build_head({'num_classes': 5, **(cfg or self.cfg), **changes})

    def backward(self, head: BaseDecodeHead, feats: list[Tensor], label: Tensor) -> dict[str, Tensor]:
        """Losses of a training step, whose gradients are checked."""
        feats = [x.requires_grad_() for x in feats]
        losses = head.losses(head(feats), label)
        losses.total().backward()
        expected = {f'{prefix}{name}' for prefix in self.losses for name in ('loss_seg', 'acc_seg')}
        assert set(losses) == expected
        missing = {name for name, p in head.named_parameters() if p.grad is None}
        assert missing == self.unused
        assert all(p.grad.isfinite().all() for name, p in head.named_parameters() if name not in self.unused)
        read = head.in_index if isinstance(head.in_index, (list, tuple)) else [head.in_index]
        assert all(feats[i].grad.abs().sum() > 0 for i in read)
        return losses

    @pytest.mark.parametrize('device', DEVICES)
    @pytest.mark.parametrize('size', [(64, 64), (65, 97), (33, 40)])
    def test_trains_on_every_size(self, size: tuple[int, int], device: str) -> None:
        losses = self.backward(self.build().to(device), features(*size, device=device), labels(*size, device=device))
        assert all(value.isfinite() and value.dtype == torch.float32 for value in losses.values())

    def test_trains_on_one_image_with_two_classes(self) -> None:
        self.backward(self.build(num_classes=2), features(batch=1), labels(batch=1, classes=2))

    def test_one_output_channel(self) -> None:
        """As HRDA's scale attention has it: no cross-entropy, but gradients."""
        head = self.build(num_classes=1)
        logits = head(features()).logits
        logits.sigmoid().sum().backward()
        assert logits.shape[:2] == (2, 1) and any(p.grad.any() for p in head.parameters() if p.grad is not None)

    def test_trains_without_norm(self) -> None:
        head = self.build(without_norm(self.cfg))
        assert not [m for m in head.modules() if isinstance(m, (nn.modules.batchnorm._BatchNorm, nn.GroupNorm))]
        assert all(m.bias is not None for m in head.modules() if isinstance(m, nn.Conv2d))
        self.backward(head, features(), labels())

    def test_embedding_is_what_gets_classified(self) -> None:
        head, feats = self.build().eval(), features()
        output = head(feats)
        assert output.logits.shape == (2, 5, *output.embedding.shape[-2:])
        torch.testing.assert_close(head.cls_seg(head.forward_embedding(feats)), output.logits)
        torch.testing.assert_close(head.cls_seg(output.embedding), output.logits)

    def test_inputs_stay_as_they_are(self) -> None:
        feats = features()
        self.build()(feats)
        assert all(torch.equal(x, before) for x, before in zip(feats, features()))

    @pytest.mark.parametrize('device', DEVICES)
    def test_bf16_autocast(self, device: str) -> None:
        head = self.build().to(device)
        feats, label = features(device=device), labels(device=device)
        with torch.autocast(device, torch.bfloat16):
            losses = self.backward(head, feats, label)
        assert all(value.dtype == torch.float32 for value in losses.values())
        head.eval()
        with torch.no_grad():
            expected = head(feats).logits
            with torch.autocast(device, torch.bfloat16):
                logits = head(feats).logits.float()
        assert (logits - expected).norm() <= 0.03 * expected.norm()

    def test_dropout_and_running_statistics_move_in_training_only(self) -> None:
        head, feats = self.build(), features()
        stochastic = head.dropout is not None
        assert stochastic != torch.equal(head(feats).logits, head(feats).logits)
        head.eval()
        before = {name: value.clone() for name, value in head.named_buffers()}
        assert torch.equal(head(feats).logits, head(feats).logits)
        assert all(torch.equal(value, before[name]) for name, value in head.named_buffers())

    def test_state_dict_round_trip(self) -> None:
        head, feats = self.build(), features()
        head(feats)  # moves the running statistics
        file = io.BytesIO()
        torch.save(head.state_dict(), file)
        file.seek(0)
        other = self.build()
        other.load_state_dict(torch.load(file, weights_only=True))
        assert torch.equal(other.eval()(feats).logits, head.eval()(feats).logits)

    @pytest.mark.slow
    @pytest.mark.parametrize('device', DEVICES)
    def test_compiles_without_graph_breaks(self, device: str) -> None:
        if why_not_compile():
            pytest.skip(why_not_compile())
        head = self.build().to(device).eval()
        feats = [x.requires_grad_() for x in features(device=device)]
        torch._dynamo.reset()
        compiled, expected = torch.compile(head, fullgraph=True)(feats), head(feats)
        torch.testing.assert_close(compiled.logits, expected.logits, rtol=1e-3, atol=1e-4)
        parameters = [p for name, p in head.named_parameters() if name not in self.unused]
        for mine, eager in zip(*(
                torch.autograd.grad(sum(x.square().sum() for x in (output.logits, *output.parts.values())), parameters)
                for output in (compiled, expected))):
            torch.testing.assert_close(mine, eager, rtol=1e-2, atol=1e-3)
