"""AdvSeg: predictions on target images that a discriminator takes for source (AdaptSegNet, Tsai et al. 2018)."""
from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from mmseg.models.named_losses import Losses
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.segmentors.results import Decoded, Features
from mmseg.models.uda.base import UDADecorator
from mmseg.models.uda.step_state import Item, StepState, View
from mmseg.models.uda.target_outputs import FACTORS, TargetOutputs, class_probabilities, output_factors
from mmseg.registry import UDA
from mmseg.utils.kinds import POSITIVE, one_of
from mmseg.utils.names import nearest

SOURCE, TARGET = 0., 1.  # what a discriminator should answer
# What the discriminators learn from, by domain: probabilities by output.
JUDGED: dict[float, Item[dict[str, Tensor]]] = {
    domain: Item(f'predictions on {name} images', f'they are kept in the {name} branch')
    for domain, name in ((SOURCE, 'source'), (TARGET, 'target'))}
CRITERIA: dict[str, Callable[[Tensor, Tensor], Tensor]] = dict(
    LS=F.mse_loss, Vanilla=F.binary_cross_entropy_with_logits)


class FCDiscriminator(nn.Module):
    """Tells source from target by class probabilities: five convolutions of stride 2.

    Args:
        num_classes: number of classes C.
        width: channels of the first convolution, doubled by each of the next three.
    """
    min_size = 32
    conv1: nn.Conv2d
    conv2: nn.Conv2d
    conv3: nn.Conv2d
    conv4: nn.Conv2d
    classifier: nn.Conv2d

    def __init__(self, num_classes: int, width: int = 64) -> None:
        super().__init__()
        widths = [num_classes, *(width * factor for factor in (1, 2, 4, 8)), 1]
        for name, before, after in zip(('conv1', 'conv2', 'conv3', 'conv4', 'classifier'), widths, widths[1:]):
            self.add_module(name, nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1))

    def forward(self, probabilities: Tensor) -> Tensor:
        """Scores [B, 1, h, w] in fp32, h = H // 32, of probabilities [B, C, H, W].

        Raises:
            ValueError: if the maps are too small for five convolutions.
        """
        if min(probabilities.shape[-2:]) < self.min_size:
            raise ValueError(f'predictions of {tuple(probabilities.shape[-2:])} pixels are too small for the '
                             f'discriminator, which needs {self.min_size}: enlarge the crops')
        x = probabilities
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = F.leaky_relu(conv(x), 0.2)
        return self.classifier(x).float()


class Discriminators(TargetOutputs):
    """A discriminator for each output of the student, and how well the student deceives them on target images.

    Args:
        student: the segmentor.
        factors: of the student's loss, by output.
        kind: 'LS' (least squares) or 'Vanilla' (cross-entropy).

    Raises:
        ValueError: for another kind.
    """
    name = 'model_D'
    log = 'G_trg'

    def __init__(self, student: BaseSegmentor, factors: dict[str, float], kind: str) -> None:
        super().__init__(factors)
        if kind not in CRITERIA:
            raise ValueError(f'uda.discriminator_type={kind!r}: {nearest(kind, CRITERIA)}')
        self.kind = kind
        for output in student.outputs:
            self.add_module(output, FCDiscriminator(student.num_classes))

    def error(self, output: str, probabilities: Tensor, domain: float) -> Tensor:
        """How far the discriminator of an output is from answering SOURCE or TARGET."""
        scores = self.get_submodule(output)(probabilities)
        return CRITERIA[self.kind](scores, torch.full_like(scores, domain))

    def penalty(self, output: str, logits: Tensor, student: BaseSegmentor) -> Tensor:
        """The discriminator should answer SOURCE; it gets no gradients from this."""
        self.requires_grad_(False)
        error = self.error(output, class_probabilities(logits, student), SOURCE)
        self.requires_grad_(True)
        return error

    def on_source(self, step: StepState, features: Features, decoded: Decoded) -> None:
        """Keep what the discriminators learn from of the source images."""
        step.items[JUDGED[SOURCE]] = self.seen(step.student, decoded)

    def losses(self, step: StepState, view: View, features: Features, decoded: Decoded) -> Losses:
        """The loss of each output; keeps what the discriminators learn from of the target images."""
        losses = super().losses(step, view, features, decoded)
        step.items[JUDGED[TARGET]] = self.seen(step.student, decoded)
        return losses

    @torch.no_grad()
    def seen(self, student: BaseSegmentor, decoded: Decoded) -> dict[str, Tensor]:
        """Probabilities of each output, without a way back to the student."""
        return {name: class_probabilities(logits, student) for name, logits in student.predictions(decoded).items()}


@UDA.register_module()
class AdvSeg(UDADecorator):
    """Adversarial training in the output space, the baseline of HRDA and MIC; MIC may join, with its own teacher.

    Each discriminator has an Adam optimizer of its own. As published, the outer optimizer holds all parameters, so it
    updates the discriminators, too, from the same gradients; ``optimizer.paramwise_cfg`` with
    ``custom_keys=dict(model_D=dict(lr_mult=0.0))`` leaves them to Adam alone.

    Args:
        model: config of the segmentor.
        max_iters: length of the training in iterations.
        **uda: the keys of this host, of all hosts and of MIC.

    Keys:
        discriminator_type: loss of the discriminators: least squares, or cross-entropy ('Vanilla'). Logged as
            ``D_src.loss.main``, ``D_trg.loss.main``.
        lr_D: Adam's learning rate of the discriminators.
        lr_D_power: power of its polynomial decay.
        lr_D_min: where that ends.
        lambda_adv_target: factor of the loss that makes target predictions look like source to the discriminator.
            Logged as ``G_trg.loss.main``.

    Raises:
        TypeError: for an unknown key.
        ValueError: for a value that cannot be.
    """
    keys = dict(
        alpha=0.999,
        discriminator_type='LS',
        lr_D=1e-4,
        lr_D_power=0.9,
        lr_D_min=0,
        lambda_adv_target=dict(main=0.001, aux=0.0002))
    key_kinds = dict(discriminator_type=one_of(CRITERIA), lr_D=POSITIVE, lambda_adv_target=FACTORS)
    model_D: Discriminators

    def __init__(self, model: dict[str, Any], max_iters: int, **uda: Any) -> None:
        super().__init__(model, max_iters, **uda)
        settings = self.settings
        factors = output_factors(self.model, settings['lambda_adv_target'], 'lambda_adv_target')
        self.add_objective(Discriminators(self.model, factors, settings['discriminator_type']))
        self.add_objectives()
        self.open_branches(source=('', attrgetter('source')))
        self.optimizers: dict[str, Optimizer] = {
            output: Adam(self.model_D.get_submodule(output).parameters(), settings['lr_D'], (0.9, 0.99))
            for output in self.model.outputs}

    def own_optimizers(self) -> dict[str, Optimizer]:
        """Those of the discriminators."""
        return self.optimizers

    def train_step(self, batch: dict[str, Any], optim_wrapper: Any) -> Losses:
        """One iteration: source branch, target branch, further branches, discriminators, optimizer steps."""
        step = self.begin(batch, optim_wrapper)
        self.run_source(step, optim_wrapper)
        self.run_others(step, optim_wrapper)
        self.teach_discriminators(step, optim_wrapper)
        optim_wrapper.step()
        if self.part == self.parts - 1:
            for optimizer in self.optimizers.values():
                optimizer.step()
        return self.end(step)

    def teach_discriminators(self, step: StepState, optim_wrapper: Any) -> None:
        """Gradients of the discriminators, for the learning rate of this iteration."""
        settings, left = self.settings, 1 - self.iteration / self.max_iters
        rate = settings['lr_D_min'] + (settings['lr_D'] - settings['lr_D_min']) * left**settings['lr_D_power']
        for output, optimizer in self.optimizers.items():
            optimizer.param_groups[0]['lr'] = rate
            if self.part == 0:
                optimizer.zero_grad()
            for log, domain in (('D_src', SOURCE), ('D_trg', TARGET)):
                with step.autocast():
                    loss = self.model_D.error(output, step.items[JUDGED[domain]][output], domain) / 2
                optim_wrapper.backward(loss)
                step.logs |= Losses(trained={f'{log}.loss.{output}': loss.detach()})
