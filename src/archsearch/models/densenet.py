"""DenseNet: Huang et al. 2017, *Densely Connected Convolutional Networks* (arXiv:1608.06993)."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from archsearch.models.plan import DenseBlockPlan, DensePlan, StemKind, StemPlan
from archsearch.models.spec import (
    Architecture,
    ArchitectureError,
    NamePart,
    check_depth,
    check_published_depth,
    integral,
    plain_number,
    read_parts,
)

NUM_CIFAR_BLOCKS = 3
IMAGENET_LAYERS: dict[int, tuple[int, tuple[int, ...]]] = {
    121: (32, (6, 12, 24, 16)),
    161: (48, (6, 12, 36, 24)),
    169: (32, (6, 12, 32, 32)),
    201: (32, (6, 12, 48, 32)),
    264: (32, (6, 12, 64, 48)),
}
"""Depth → growth rate k and layers per block: table 1; 161: the authors' repository."""
_NUMBER = r"(\d+\.?\d*|\.\d+)"
NAME_PARTS = {
    "growth_rate": NamePart(r"\(?k=?(\d+)\)?", int),
    "layers_per_block": NamePart(
        r"\((\d+(?:,\d+)*)\)", lambda t: tuple(int(n) for n in t.split(","))
    ),
    "compression": NamePart(f"theta=?{_NUMBER}", float),
    "stem_channels": NamePart(r"s=?(\d+)", int),
    "dropout": NamePart(f"(?:dropout|drop)=?{_NUMBER}", float),
    "memory_efficient": NamePart("efficient", bool),
    "stem": NamePart("cifar|imagenet", str),
}


def _default_stem(bottleneck: bool, compression: float, growth_rate: int, stem: StemKind) -> int:
    if stem == "imagenet" or (bottleneck and compression < 1):
        return 2 * growth_rate
    return 16


def _default_compression(bottleneck: bool) -> float:
    return 0.5 if bottleneck else 1


class DenseNetSpec(Architecture):
    """A DenseNet, -B (bottlenecks), -C (compression) or -BC (both).

    `cifar` stem: 3×3 of 16 channels (2k for BC), three dense blocks of equal length; `depth` is
    3n + 4, or 6n + 4 with bottlenecks (section 3, implementation details). `imagenet` stem: 7×7 of
    2k channels and the blocks of table 1. Blocks of any other lengths: `layers_per_block`.
    """

    name_form: ClassVar[str] = (
        "DenseNet[-B|-C|-BC]-DEPTH[-GROWTH_RATE][-(LAYERS,…)][-thetaCOMPRESSION][-sSTEM_CHANNELS]"
        "[-dropoutP][-efficient][-cifar|-imagenet]"
    )

    family: Literal["densenet"] = "densenet"
    depth: int = Field(ge=1, le=10_000)
    """Layers with weights: stem, one (bottleneck: two) a layer, transitions, classifier."""
    growth_rate: int = Field(ge=1, le=1_000)
    """k: channels that each layer adds."""
    bottleneck: bool = True
    """Whether a 1×1 convolution to 4k channels stands before each 3×3 (the B of BC)."""
    compression: Annotated[int | float, BeforeValidator(integral)] = Field(
        default_factory=lambda f: _default_compression(f["bottleneck"]), gt=0, le=1
    )
    """θ: the share of channels that a transition keeps; below 1 it is the C of BC."""
    stem: StemKind = "cifar"
    """`cifar`: 3×3 at full size; `imagenet`: 7×7 of stride 2, then a max-pool of stride 2."""
    layers_per_block: tuple[int, ...] | None = None
    """Length of each dense block where they are not the paper's (`from_layers`), else None."""
    stem_channels: int = Field(
        default_factory=lambda f: _default_stem(
            f["bottleneck"], f["compression"], f["growth_rate"], f["stem"]
        ),
        ge=1,
        le=10_000,
    )
    """Channels of the stem's convolution."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Drop probability after each convolution but the stem's (0.2 in the paper, unaugmented)."""
    memory_efficient: bool = False
    """Recompute a layer's inner values in the backward pass (arXiv:1707.06990): less memory."""

    @property
    def recomputes_activations(self) -> bool:
        """See `Architecture.recomputes_activations`."""
        return self.memory_efficient

    @classmethod
    def from_layers(
        cls,
        layers_per_block: tuple[int, ...],
        growth_rate: int,
        *,
        stem: StemKind = "imagenet",
        **fields: Any,
    ) -> Self:
        """A network by the length of each dense block; `depth` follows.

        Args:
            layers_per_block: One entry a block.
            growth_rate: k.
            stem: As the field.
            **fields: Any other field.
        """
        bottleneck = bool(fields.get("bottleneck", True))
        depth = _depth_of(layers_per_block, bottleneck)
        own = (
            None if layers_per_block == paper_layers(depth, bottleneck, stem) else layers_per_block
        )
        return cls(depth=depth, growth_rate=growth_rate, stem=stem, layers_per_block=own, **fields)

    @model_validator(mode="after")
    def _check(self) -> Self:
        paper = paper_layers(self.depth, self.bottleneck, self.stem)
        if self.layers_per_block is not None:
            self._check_own_layers(self.layers_per_block, paper)
        elif paper is None and self.stem == "imagenet":
            check_published_depth(self.depth, IMAGENET_LAYERS, "an ImageNet DenseNet")
            raise ValueError(
                "`bottleneck = True` must hold for an ImageNet DenseNet without "
                "`layers_per_block`, but got bottleneck=False"
            )
        elif paper is None:
            convs = 2 if self.bottleneck else 1
            what = "a CIFAR DenseNet " + ("with bottlenecks" if convs == 2 else "(not BC)")
            hint = ", or stem='imagenet'" if self.depth in IMAGENET_LAYERS else ""
            check_depth(self.depth, NUM_CIFAR_BLOCKS * convs, 4, what, hint)
        if any(block.transition == 0 for block in self.plan().blocks):
            raise ValueError(
                "`compression` must leave at least one channel, but got "
                f"compression={self.compression}"
            )
        return self

    def _check_own_layers(self, layers: tuple[int, ...], paper: tuple[int, ...] | None) -> None:
        if not layers or min(layers) < 1:
            raise ValueError(f"`layers_per_block` must be numbers >= 1, but got {layers}")
        if self.depth != _depth_of(layers, self.bottleneck):
            raise ValueError(
                f"`depth = {_depth_of(layers, self.bottleneck)}` must hold for layers_per_block="
                f"{layers} and bottleneck={self.bottleneck}, but got depth={self.depth}"
            )
        if layers == paper:
            raise ValueError(
                "`layers_per_block` must be left out where they are the paper's, but got "
                f"{layers} at depth={self.depth}"
            )

    @property
    def name(self) -> str:
        """For example `DenseNet-40-12`, `DenseNet-BC-100-12`, `DenseNet-121`."""
        if self.stem == "imagenet" and self.layers_per_block is None:
            parts = [f"DenseNet-{self.depth}"]
            if self.growth_rate != IMAGENET_LAYERS[self.depth][0]:
                parts.append(f"k{self.growth_rate}")
            unsaid_compressions: tuple[float, ...] = (0.5,)
        else:
            letters = ("B" if self.bottleneck else "") + ("C" if self.compression < 1 else "")
            parts = ["DenseNet", *([letters] if letters else []), str(self.depth)]
            parts.append(str(self.growth_rate))
            unsaid_compressions = (0.5, 1)
        if self.layers_per_block is not None:
            parts.append("(" + ",".join(map(str, self.layers_per_block)) + ")")
        if self.compression not in unsaid_compressions:
            parts.append(f"theta{plain_number(self.compression)}")
        if self.stem_channels != _default_stem(
            self.bottleneck, self.compression, self.growth_rate, self.stem
        ):
            parts.append(f"s{self.stem_channels}")
        if self.dropout:
            parts.append(f"dropout{plain_number(self.dropout)}")
        if self.memory_efficient:
            parts.append("efficient")
        if self.layers_per_block is not None and self.stem == "cifar":
            parts.append("cifar")
        return "-".join(parts)

    @classmethod
    def fields_of_name(cls, text: str) -> dict[str, Any] | None:
        """See `Architecture.fields_of_name`; `DenseNet-BC (L=190, k=40)` is read too.

        A name with a growth rate means a CIFAR form (`DenseNet-121-12`), one without or with
        `-k24` an ImageNet form.
        """
        match = re.fullmatch(
            r"densenet-?(?:(bc|b|c)-?)?\(?(?:l=)?(\d+)(?:[-,](?:k=)?(\d+)\)?)?(-.*|\(.*|)", text
        )
        if match is None:
            return None
        parts = read_parts(match[4], NAME_PARTS, text, cls.name_form)
        if match[3] is not None and "growth_rate" in parts:
            raise ArchitectureError(f"{text!r} says its growth_rate twice")
        letters, depth = match[1] or "", int(match[2])
        fields: dict[str, Any] = {"depth": depth}
        if match[3] is None:
            published = IMAGENET_LAYERS.get(depth, (32, ()))[0]
            fields |= {"growth_rate": published, "stem": "imagenet"}
        else:
            fields |= {"growth_rate": int(match[3]), "bottleneck": "b" in letters}
            fields["compression"] = 0.5 if "c" in letters else 1
            fields["stem"] = "imagenet" if "layers_per_block" in parts else "cifar"
        return fields | parts

    def plan(self) -> DensePlan:
        """Stem, dense blocks and transitions as data."""
        layers = self.layers_per_block or paper_layers(self.depth, self.bottleneck, self.stem)
        if layers is None:
            raise AssertionError(f"a checked spec without layers: {self!r}")
        blocks = []
        channels = self.stem_channels
        for index, count in enumerate(layers):
            grown = channels + count * self.growth_rate
            is_last = index == len(layers) - 1
            # ⌊θm⌋ (section 3); the small term keeps 0.7 · 10 = 6.999… from losing a channel.
            kept = None if is_last else math.floor(self.compression * grown + 1e-9)
            blocks.append(DenseBlockPlan(channels, count, kept))
            channels = kept or grown
        stem = StemPlan(self.stem, self.stem_channels, activated=self.stem == "imagenet")
        return DensePlan(
            stem,
            tuple(blocks),
            self.growth_rate,
            self.bottleneck,
            self.dropout,
            self.memory_efficient,
        )


def _depth_of(layers: tuple[int, ...], bottleneck: bool) -> int:
    """Stem, convolutions of the layers, transitions and classifier."""
    return 1 + (2 if bottleneck else 1) * sum(layers) + (len(layers) - 1) + 1


def paper_layers(depth: int, bottleneck: bool, stem: StemKind) -> tuple[int, ...] | None:
    """Layers of each dense block by the paper; None where it has no such network."""
    if stem == "imagenet":
        return IMAGENET_LAYERS[depth][1] if bottleneck and depth in IMAGENET_LAYERS else None
    n, remainder = divmod(depth - 4, NUM_CIFAR_BLOCKS * (2 if bottleneck else 1))
    return (n,) * NUM_CIFAR_BLOCKS if n >= 1 and remainder == 0 else None
