"""Entropy balancing (EBDA): hold the entropy of what is predicted for mixed images near a moderate constant."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmseg.models.named_losses import Losses
from mmseg.models.segmentors.results import Decoded, Features
from mmseg.models.uda.objective import Objective
from mmseg.models.uda.step_state import StepState, View
from mmseg.registry import OBJECTIVES
from mmseg.utils.kinds import NONE, SHARE, one_of
from mmseg.utils.labels import IGNORED
from mmseg.utils.names import nearest
from mmseg.utils.options import OptionsOf

if TYPE_CHECKING:
    from mmseg.models.uda.base import UDADecorator

TARGET = 0.4  # nats; of 19 classes the most probable one has 0.94 then, if the others share the rest
REGIONS = ('all', 'valid', 'target')
RESOLUTIONS = ('image', 'logit')


class Entropy(torch.autograd.Function):
    """Entropy [B, H, W] of logits z [B, C, H, W], with its gradient -p (ln p + H) = -p (z - sum p z) in closed form.

    Differentiating the sum term by term instead would lose the small gradients of confident and of flat pixels to
    cancellation, and keep more maps.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        """Entropy in nats, from logits shifted by their maximum so that no exponential overflows."""
        shifted = logits - logits.amax(dim=1, keepdim=True)
        exponentials = shifted.exp()
        total = exponentials.sum(dim=1, keepdim=True)
        mean = (exponentials * shifted).sum(dim=1, keepdim=True) / total
        ctx.save_for_backward(shifted, total, mean)
        return (total.log() - mean).squeeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Gradient [B, C, H, W] of the logits."""
        shifted, total, mean = ctx.saved_tensors
        return shifted.exp() * (mean - shifted) * (gradient.unsqueeze(1) / total)


def entropy(logits: Tensor) -> Tensor:
    """Entropy of the predicted distribution in nats, fp32 [B, H, W] in [0, ln C], of logits [B, C, H, W]."""
    return Entropy.apply(logits.float())


def region_mean(values: Tensor, region: Tensor | None) -> Tensor:
    """Mean of a map [B, H, W] over a float mask of the same shape (None: everywhere); 0 if the mask is empty."""
    if region is None:
        return values.mean()
    return (values * region).sum() / region.sum().clamp_min(1)


@OBJECTIVES.register_module()
class EntropyBalance(Objective):
    """Mean squared distance of each pixel's entropy from a target; it uses the logits of the mix branch again.

    It caps how sure the student may be and lifts what is flat. Where pseudo labels weigh little it decides alone, where
    they are trusted it hardly acts.

    Args:
        num_classes: number of classes C.
        weight: factor of the loss. Logged as ``mix.loss_eb``, beside the mean entropy ``mix.entropy``.
        target: entropy that is aimed at, in nats, in [0, ln C]; 0.4 if neither target is given.
        target_normalised: the same as a share of ln C, in [0, 1] (0.136 is 0.4 nats of 19 classes).
        region: 'all' pixels, as published; 'valid' ones, without ignored labels and margins; valid pixels of the
            'target' image, without what was pasted.
        resolution: of the entropy: 'image', as published, or 'logit' (that of the head; 16 times fewer pixels at
            stride 4, with slightly different values).
        second_forward: as published, feed the student the mixed images once more instead of using the logits that are
            there. But for dropout that changes no loss and no gradient; batch norms see the mixed images twice.

    Raises:
        ValueError: if a value cannot be, or both targets are given.
    """
    name = 'entropy_balance'
    joins: str | None = 'mix'
    keys = dict(entropy_balance=None)
    key_kinds = dict(entropy_balance=OptionsOf(lambda: EntropyBalance) | NONE)
    OPTIONS = dict(target_normalised=SHARE | NONE, region=one_of(REGIONS), resolution=one_of(RESOLUTIONS))
    needs_teacher = True

    def __init__(self, num_classes: int, weight: float = 0.1, target: float | None = None,
                 target_normalised: float | None = None, region: str = 'all', resolution: str = 'image',
                 second_forward: bool = False) -> None:
        super().__init__()
        if target is not None and target_normalised is not None:
            raise ValueError('uda.entropy_balance has target (in nats) and target_normalised (a share of ln C): they '
                             'set the same value, keep one of them')
        highest = math.log(num_classes)
        if target_normalised is not None:
            target = target_normalised * highest
        self.target = TARGET if target is None else target
        if not 0 <= self.target <= highest:
            raise ValueError(f'uda.entropy_balance: a target of {self.target:g} nats is impossible, the entropy of '
                             f'{num_classes} classes lies in [0, {highest:.3g}]')
        for name, value, known in (('region', region, REGIONS), ('resolution', resolution, RESOLUTIONS)):
            if value not in known:
                raise ValueError(f'uda.entropy_balance.{name}={value!r}: {nearest(value, known)}')
        self.weight, self.region, self.resolution = weight, region, resolution
        if second_forward:
            self.opens, self.joins = 'balance', None

    @classmethod
    def from_config(cls, uda: dict[str, Any], host: UDADecorator) -> EntropyBalance | None:
        """Active where ``entropy_balance`` is a dict."""
        if uda['entropy_balance'] is None:
            return None
        return cls.from_options('entropy_balance', uda['entropy_balance'], num_classes=host.num_classes)

    def view(self, step: StepState) -> View:
        """The mixed images again, without their labels: the segmentor's own losses stay in the mix branch."""
        return View(step.mix.img)

    def losses(self, step: StepState, view: View, features: Features, decoded: Decoded) -> Losses:
        """``mix.loss_eb``, and the mean entropy in nats as ``mix.entropy``."""
        logits = step.student.upsampled(decoded) if self.resolution == 'image' else decoded.logits
        values, region = entropy(logits), self.mask(step, step.mix, logits.shape[-2:])
        return Losses(trained={'mix.loss_eb': self.weight * region_mean((values - self.target)**2, region)},
                      logged={'mix.entropy': region_mean(values.detach(), region)})

    @torch.no_grad()
    def mask(self, step: StepState, view: View, size: torch.Size) -> Tensor | None:
        """The pixels that count, float [B, *size] of 0 and 1; None for all of them."""
        if self.region == 'all':
            return None
        pasted, target = step.mix_mask.squeeze(1), step.pseudo.valid
        source = torch.zeros_like(target) if self.region == 'target' else (view.required_label != IGNORED).to(target)
        mask = torch.where(pasted, source, target)
        return F.interpolate(mask.unsqueeze(1), size, mode='nearest').squeeze(1)
