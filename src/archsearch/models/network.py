"""Networks from plans: stem → stages → head, with the papers' initialisation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from torch import Tensor, nn

from archsearch.models.blocks import Head, ResidualBlock, Stem
from archsearch.models.dense_blocks import DenseStage
from archsearch.models.plan import DensePlan, ResidualPlan

CLASSIFIER = "head.classifier."
"""How names of the parameters begin that have to be new for other classes."""


class Network(nn.Module):
    """A network of any family.

    Attributes:
        stem: Image to the first stage's input.
        stages: One module a stage; a residual stage is a sequence of blocks.
        head: Last feature maps to logits.
        frozen_stages: How many stages, and with them the stem, training leaves as they are.
    """

    def __init__(self, stem: Stem, stages: list[nn.Module], head: Head) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.Sequential(*stages)
        self.head = head
        self.frozen_stages = 0

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) → logits (N, num_classes)."""
        logits: Tensor = self.head(self.stages(self.stem(x)))
        return logits

    def freeze(self, num_stages: int) -> None:
        """Leave weights and BatchNorm statistics of the stem and the first stages as they are.

        With all stages, everything but the classifier is left as it is.
        """
        self.frozen_stages = num_stages
        for part in self._frozen_parts():
            part.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """As any module's, but for the frozen parts, whose BatchNorm keeps its statistics."""
        super().train(mode)
        for part in self._frozen_parts():
            part.eval()
        return self

    def _frozen_parts(self) -> Iterator[nn.Module]:
        if self.frozen_stages == 0:
            return
        yield self.stem
        yield from self.stages[: self.frozen_stages]
        if self.frozen_stages == len(self.stages):
            yield from (part for name, part in self.head.named_children() if name != "classifier")


def is_frozen(module: nn.Module) -> bool:
    """Whether training leaves the module's own parameters and statistics as they are."""
    own = list(module.parameters(recurse=False))
    return bool(own) and not any(parameter.requires_grad for parameter in own)


def network_of(plan: ResidualPlan | DensePlan, in_channels: int, num_classes: int) -> Network:
    """The network of a plan, initialised by `initialise`."""
    stages: list[nn.Module]
    match plan:
        case DensePlan():
            stages, activated = [DenseStage(plan, block) for block in plan.blocks], True
        case ResidualPlan():
            stages = [nn.Sequential(*map(ResidualBlock, stage)) for stage in plan.stages]
            activated = plan.final_activation
    head = Head(plan.out_channels, num_classes, activated=activated)
    return initialise(Network(Stem(in_channels, plan.stem), stages, head))


def initialise(network: Network) -> Network:
    """Weights as all four papers have them, from torch's global generator.

    Convolutions are normal with variance 2 / fan-out (He et al., arXiv:1502.01852, equation 14);
    BatchNorm starts as the identity; the classifier has torch's default weights and no bias.
    """
    if next(network.parameters()).is_meta:
        return network  # nothing to fill, and going through the motions takes half of building
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
    return network
