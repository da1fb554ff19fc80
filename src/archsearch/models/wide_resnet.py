"""Wide residual networks: Zagoruyko & Komodakis 2016 (arXiv:1605.07146)."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from archsearch.models.plan import (
    Activation,
    BlockPlan,
    ConvPlan,
    ResidualPlan,
    Shortcut,
    StemPlan,
)
from archsearch.models.residual import (
    BOTTLENECK_DEPTHS,
    EXPANSION,
    IMAGENET_BLOCKS,
    IMAGENET_WIDTHS,
    StageShape,
    choose_shortcut,
    plan_stages,
    residual_convs,
)
from archsearch.models.spec import (
    Architecture,
    NamePart,
    check_depth,
    check_published_depth,
    integral,
    plain_number,
    read_parts,
)

WideBlock = Literal[
    "B(3,3)", "B(3,1,3)", "B(1,3,1)", "B(1,3)", "B(3,1)", "B(3,1,1)", "basic", "bottleneck"
]
STEM_CHANNELS = 16
CIFAR_WIDTHS = (16, 32, 64)
DEFAULT_DROPOUT = 0.3
"""What `-dropout` without a number means: the paper's CIFAR value (section 3, dropout)."""
NAME_PARTS = {
    "block": NamePart(r"b\(\d(?:,\d)*\)|basic|bottleneck", lambda t: t.replace("b(", "B(")),
    "deepening_factor": NamePart(r"l=?(\d+)", int),
    "dropout": NamePart(
        r"(?:dropout|drop)=?(\d+\.?\d*|\.\d+|)", lambda t: float(t or DEFAULT_DROPOUT)
    ),
}


def _named_block(depth: int) -> WideBlock:
    """The block of a name that does not say one."""
    if depth in BOTTLENECK_DEPTHS:
        return "bottleneck"
    return "basic" if depth == 18 else "B(3,3)"


class WideResNetSpec(Architecture):
    """WRN-d-k, or an ImageNet ResNet with widened blocks.

    Blocks B(M) make the CIFAR network of the paper's table 1: pre-activation, a 3×3 stem of 16
    channels, three stages of 16k, 32k, 64k channels. A stage has (depth − 4)/6 blocks whatever the
    number of convolutions in B(M); only so do the paper's counts come out (table 2). With
    deepening factor l, B(3,3) becomes l 3×3 convolutions and a stage has (depth − 4)/(3l) blocks
    (table 3).

    `basic` and `bottleneck` make the paper's ImageNet networks: ResNet-18/34 with all channels of
    the blocks widened, and ResNet-50/101/… with only the inner ones (`wide_resnet50_2`).
    """

    name_form: ClassVar[str] = (
        "WRN-DEPTH-WIDEN_FACTOR[-B(3,3)|-B(3,1,3)|-B(1,3,1)|-B(1,3)|-B(3,1)|-B(3,1,1)|-basic"
        "|-bottleneck][-l=CONVOLUTIONS][-dropoutP], or wide_resnetDEPTH_WIDEN_FACTOR"
    )

    family: Literal["wrn"] = "wrn"
    depth: int = Field(ge=1, le=10_000)
    """Convolutional layers d of WRN-d-k (those of projections included), for B(3,3) and l = 2."""
    widen_factor: Annotated[int | float, BeforeValidator(integral)] = Field(gt=0, le=1_000)
    """k: a factor on the channels of all blocks, or of a bottleneck's inner ones."""
    block: WideBlock = "B(3,3)"
    """Kernel sizes of the convolutions in a block; `basic` or `bottleneck` on ImageNet."""
    deepening_factor: int = Field(default=2, ge=1, le=100)
    """l: how many 3×3 convolutions stand in a block of the B(3,3) type."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Drop probability between the convolutions of a block (section 2.4)."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.block in ("basic", "bottleneck"):
            self._check_imagenet()
        elif self.deepening_factor != 2 and self.block != "B(3,3)":
            raise ValueError(
                "`block = B(3,3)` must hold for a deepening_factor other than 2, but got "
                f"block={self.block}, deepening_factor={self.deepening_factor}"
            )
        else:
            convs = self.deepening_factor
            what = f"WRN with blocks {self.block}" + (f" and l={convs}" if convs != 2 else "")
            hint = ", or block='bottleneck'" if self.depth in BOTTLENECK_DEPTHS else ""
            check_depth(self.depth, 3 * convs, 4, what, hint)
        if self.dropout and len(self.plan().stages[0][0].convs) < 2:
            raise ValueError(
                "`dropout = 0` must hold for blocks of one convolution, between none of which it "
                f"can stand, but got dropout={self.dropout}"
            )
        widths = [width * self.widen_factor for width in CIFAR_WIDTHS]
        if any(width != int(width) for width in widths):
            raise ValueError(
                "`16 · widen_factor` must be a whole number, but got "
                f"widen_factor={self.widen_factor}"
            )
        return self

    def _check_imagenet(self) -> None:
        known = [d for d, (block, _) in IMAGENET_BLOCKS.items() if block == self.block]
        check_published_depth(self.depth, known, f"an ImageNet WRN of {self.block} blocks")
        if self.deepening_factor != 2 or self.dropout:
            raise ValueError(
                "`deepening_factor = 2` and `dropout = 0` must hold for ImageNet blocks, but got "
                f"deepening_factor={self.deepening_factor}, dropout={self.dropout}"
            )

    @property
    def name(self) -> str:
        """For example `WRN-28-10`, `WRN-40-2-B(1,3,1)`, `WRN-16-4-dropout0.3`."""
        parts = [f"WRN-{self.depth}-{plain_number(self.widen_factor)}"]
        if self.block != "B(3,3)":
            parts.append(self.block)
        if self.deepening_factor != 2:
            parts.append(f"l={self.deepening_factor}")
        if self.dropout:
            parts.append(f"dropout{plain_number(self.dropout)}")
        return "-".join(parts)

    @classmethod
    def fields_of_name(cls, text: str) -> dict[str, Any] | None:
        """See `Architecture.fields_of_name`; `wide_resnet50_2` is always an ImageNet form."""
        match = re.fullmatch(
            r"(wrn-?|wide-?resnet-|wide-?resnet)(\d+)[-x](\d+(?:\.\d+)?)(-.*|)", text
        )
        if match is None:
            return None
        parts = read_parts(match[4], NAME_PARTS, text, cls.name_form)
        depth = int(match[2])
        if match[1].endswith("resnet") and "block" not in parts:
            parts["block"] = IMAGENET_BLOCKS.get(depth, ("bottleneck", ()))[0]
        block = parts.setdefault("block", _named_block(depth))
        if re.fullmatch(r"B\(3(,3)*\)", block) and block != "B(3,3)":
            # B(3), B(3,3,3), … are another spelling of the deepening factor (table 3).
            parts |= {"block": "B(3,3)", "deepening_factor": block.count("3")}
        return parts | {"depth": depth, "widen_factor": float(match[3])}

    def plan(self) -> ResidualPlan:
        """Stem, stages and head as data."""
        return (
            self._plan_imagenet() if self.block in ("basic", "bottleneck") else self._plan_cifar()
        )

    def _plan_cifar(self) -> ResidualPlan:
        kernels = tuple(map(int, re.findall(r"\d", self.block)))
        if self.deepening_factor != 2:
            kernels = (3,) * self.deepening_factor
        num_blocks = (self.depth - 4) // (3 * self.deepening_factor)
        widths = [int(width * self.widen_factor) for width in CIFAR_WIDTHS]

        def plan_block(stage: int, in_channels: int, stride: int) -> BlockPlan:
            strides = (stride, *[1] * (len(kernels) - 1))  # the first convolution strides
            convs = tuple(
                ConvPlan(k, widths[stage], s) for k, s in zip(kernels, strides, strict=True)
            )
            # As in the authors' code a block that projects activates before it splits.
            shortcut = choose_shortcut("B", in_channels, widths[stage], stride)
            projects = shortcut is Shortcut.PROJECTION
            activation = Activation.BEFORE_SPLIT if projects else Activation.IN_BRANCH
            return BlockPlan(in_channels, convs, shortcut, activation, self.dropout)

        stem = StemPlan("cifar", STEM_CHANNELS, activated=False)
        shapes = [StageShape(num_blocks, width) for width in widths]
        return ResidualPlan(stem, plan_stages(stem.channels, shapes, plan_block), True)

    def _plan_imagenet(self) -> ResidualPlan:
        block, counts = IMAGENET_BLOCKS[self.depth]
        inner = [int(width * self.widen_factor) for width in IMAGENET_WIDTHS]
        channels = inner if block == "basic" else list(IMAGENET_WIDTHS)

        def plan_block(stage: int, in_channels: int, stride: int) -> BlockPlan:
            out_channels = channels[stage] * EXPANSION[block]
            convs = residual_convs(block, channels[stage], stride, inner[stage])
            shortcut = choose_shortcut("B", in_channels, out_channels, stride)
            return BlockPlan(in_channels, convs, shortcut, Activation.AFTER_SUM)

        stem = StemPlan("imagenet", IMAGENET_WIDTHS[0], activated=True)
        shapes = [
            StageShape(count, width * EXPANSION[block])
            for count, width in zip(counts, channels, strict=True)
        ]
        return ResidualPlan(stem, plan_stages(stem.channels, shapes, plan_block), False)
