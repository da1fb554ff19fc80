"""ResNet: He et al. 2015 (arXiv:1512.03385) and, pre-activation, 2016 (arXiv:1603.05027)."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from archsearch.models.plan import Activation, BlockPlan, ResidualPlan, StemKind, StemPlan
from archsearch.models.residual import (
    CONVS_PER_BLOCK,
    EXPANSION,
    IMAGENET_BLOCKS,
    IMAGENET_WIDTHS,
    BlockKind,
    ShortcutOption,
    StageShape,
    choose_shortcut,
    plan_stages,
    preactivate,
    residual_convs,
)
from archsearch.models.spec import (
    Architecture,
    NamePart,
    check_depth,
    check_published_depth,
    read_parts,
)

ResNetStages = tuple[tuple[int, int], ...]

CIFAR_WIDTHS = (16, 32, 64)


def _read_stages(text: str) -> ResNetStages:
    pairs = (pair.split("x") for pair in text.split(","))
    return tuple((int(count), int(width)) for count, width in pairs)


NAME_PARTS = {
    "stages": NamePart(r"\((\d+x\d+(?:,\d+x\d+)*)\)", _read_stages),
    "block": NamePart("basic|bottleneck", str),
    "shortcut": NamePart("[abc]", str.upper),
    "stem": NamePart("cifar|imagenet", str),
}


def published_block(depth: int, stem: StemKind) -> BlockKind:
    """The block that the papers use at a depth.

    On CIFAR 6n + 2 means basic blocks and 9n + 2 bottlenecks; 164 is both, and published with
    bottlenecks (arXiv:1603.05027, table 2).
    """
    if stem == "imagenet":
        return IMAGENET_BLOCKS[depth][0] if depth in IMAGENET_BLOCKS else "basic"
    only_bottleneck = (depth - 2) % 6 != 0 and (depth - 2) % 9 == 0
    return "bottleneck" if only_bottleneck or depth == 164 else "basic"


def published_stages(depth: int, stem: StemKind, block: BlockKind) -> ResNetStages | None:
    """(number of blocks, channels) of each stage by the papers; None if they have no such."""
    if stem == "imagenet":
        known_block, counts = IMAGENET_BLOCKS.get(depth, (None, ()))
        return tuple(zip(counts, IMAGENET_WIDTHS, strict=True)) if known_block == block else None
    n, remainder = divmod(depth - 2, 3 * CONVS_PER_BLOCK[block])
    return tuple((n, width) for width in CIFAR_WIDTHS) if n >= 1 and remainder == 0 else None


def published_shortcut(
    stem: StemKind, block: BlockKind, stages: ResNetStages | None
) -> ShortcutOption:
    """Option A for the paper's basic CIFAR networks (section 4.2), else projections, B."""
    return "A" if (stem, block, stages) == ("cifar", "basic", None) else "B"


def _depth_of(stages: ResNetStages, block: BlockKind) -> int:
    return CONVS_PER_BLOCK[block] * sum(count for count, _ in stages) + 2


def _named_stem(depth: int, *, has_stages: bool) -> StemKind:
    """The stem of a name that does not say one."""
    return "imagenet" if has_stages or depth in IMAGENET_BLOCKS else "cifar"


class ResNetSpec(Architecture):
    """A residual network of basic or bottleneck blocks.

    `cifar` stem: a 3×3 convolution, then three stages of 16, 32, 64 channels (arXiv:1512.03385
    section 4.2); `depth` is 6n + 2 with basic blocks and 9n + 2 with bottlenecks, which put out
    four times the channels. `imagenet` stem: table 1 of that paper.
    """

    name_form: ClassVar[str] = (
        "[preact-]ResNet-DEPTH[-(BLOCKSxCHANNELS,…)][-basic|-bottleneck][-A|-B|-C]"
        "[-cifar|-imagenet]"
    )

    family: Literal["resnet"] = "resnet"
    depth: int = Field(ge=1, le=10_000)
    """Layers with weights: the stem's convolution, those of the branches, the classifier."""
    stem: StemKind = "cifar"
    """`cifar`: 3×3 at full size; `imagenet`: 7×7 of stride 2, then a max-pool of stride 2."""
    stages: ResNetStages | None = None
    """(number of blocks, channels) of each stage if not the paper's (`from_stages`)."""
    block: BlockKind = Field(default_factory=lambda f: published_block(f["depth"], f["stem"]))
    """`basic` (3×3, 3×3) or `bottleneck` (1×1, 3×3, 1×1, four times the channels out)."""
    activation_order: Literal["post", "pre"] = "post"
    """`post`: the original block; `pre`: BatchNorm and ReLU before each convolution."""
    shortcut: ShortcutOption = Field(
        default_factory=lambda f: published_shortcut(f["stem"], f["block"], f["stages"])
    )
    """Where shapes change `A` pads zeros and `B` projects (1×1); `C` projects in every block."""

    @classmethod
    def from_stages(
        cls,
        stages: ResNetStages,
        *,
        block: BlockKind = "basic",
        stem: StemKind = "imagenet",
        activation_order: Literal["post", "pre"] = "post",
    ) -> Self:
        """A network by the (number of blocks, channels) of each stage.

        ((2, 64), (2, 128), (2, 256), (2, 512)) is ResNet-18. The stem has the channels of the
        first stage; shortcuts project where shapes change.
        """
        return cls(
            **_fields_of_stages(stages, block, stem),
            activation_order=activation_order,
            shortcut="B",
        )

    @model_validator(mode="after")
    def _check(self) -> Self:
        published = published_stages(self.depth, self.stem, self.block)
        if self.stages is not None:
            self._check_own_stages(self.stages, published)
        elif published is None and self.stem == "imagenet":
            check_published_depth(
                self.depth, IMAGENET_BLOCKS, "an ImageNet ResNet without `stages`"
            )
            raise ValueError(
                f"`block={IMAGENET_BLOCKS[self.depth][0]!r}` must hold for an ImageNet ResNet of "
                f"depth={self.depth}, but got block={self.block!r}; or give `stages`"
            )
        elif published is None:
            rule = 3 * CONVS_PER_BLOCK[self.block]
            hint = ", or stem='imagenet'" if self.depth in IMAGENET_BLOCKS else ""
            check_depth(self.depth, rule, 2, f"a CIFAR ResNet of {self.block} blocks", hint)
        return self

    def _check_own_stages(self, stages: ResNetStages, published: ResNetStages | None) -> None:
        if not stages or min(min(stage) for stage in stages) < 1:
            raise ValueError(
                "`stages` must be pairs (number of blocks >= 1, channels >= 1), one a stage, "
                f"but got {stages}"
            )
        if self.depth != _depth_of(stages, self.block):
            raise ValueError(
                f"`depth = {_depth_of(stages, self.block)}` must hold for {self.block} blocks in "
                f"stages {stages}, but got depth={self.depth}"
            )
        if stages == published:
            raise ValueError(
                f"`stages` must be left out where they are the paper's, but got {stages} at "
                f"depth={self.depth}"
            )
        widths = [width for _, width in stages]
        if self.shortcut == "A" and widths != sorted(widths):
            raise ValueError(
                f"channels must not shrink under option A, which can only pad, but got {widths}; "
                "use shortcut='B'"
            )

    @property
    def name(self) -> str:
        """For example `ResNet-110`, `preact-ResNet-1001`, `ResNet-20-B`."""
        prefix = "preact-" if self.activation_order == "pre" else ""
        parts = [f"{prefix}ResNet-{self.depth}"]
        if self.stages is not None:
            parts.append("(" + ",".join(f"{count}x{width}" for count, width in self.stages) + ")")
        if self.block != published_block(self.depth, self.stem):
            parts.append(self.block)
        if self.shortcut != published_shortcut(self.stem, self.block, self.stages):
            parts.append(self.shortcut)
        if self.stem != _named_stem(self.depth, has_stages=self.stages is not None):
            parts.append(self.stem)
        return "-".join(parts)

    @classmethod
    def fields_of_name(cls, text: str) -> dict[str, Any] | None:
        """See `Architecture.fields_of_name`; `preactresnet110`, `resnet50` are read too."""
        match = re.fullmatch(r"(pre-?act(?:ivation)?-?|pre-?)?resnet-?(\d+)(-.*|\(.*|)", text)
        if match is None:
            return None
        parts = read_parts(match[3], NAME_PARTS, text, cls.name_form)
        depth = int(match[2])
        parts.setdefault("stem", _named_stem(depth, has_stages="stages" in parts))
        if "stages" in parts:
            block = parts.get("block", published_block(depth, parts["stem"]))
            parts |= _fields_of_stages(parts["stages"], block, parts["stem"])
        return parts | {"depth": depth, "activation_order": "pre" if match[1] else "post"}

    def plan(self) -> ResidualPlan:
        """Stem, stages and head as data."""
        stages = self.stages or published_stages(self.depth, self.stem, self.block)
        if stages is None:
            raise AssertionError(f"a checked spec without stages: {self!r}")
        expansion = EXPANSION[self.block]
        preactivated = self.activation_order == "pre"

        def plan_block(stage: int, in_channels: int, stride: int) -> BlockPlan:
            channels = stages[stage][1]
            shortcut = choose_shortcut(self.shortcut, in_channels, channels * expansion, stride)
            convs = residual_convs(self.block, channels, stride)
            return BlockPlan(in_channels, convs, shortcut, Activation.AFTER_SUM)

        stem = StemPlan(self.stem, stages[0][1], self.stem == "imagenet" or not preactivated)
        shapes = [StageShape(count, width * expansion) for count, width in stages]
        blocks = plan_stages(stem.channels, shapes, plan_block)
        if preactivated:
            blocks = preactivate(blocks, stem_activated=stem.activated)
        return ResidualPlan(stem, blocks, final_activation=preactivated)


def _fields_of_stages(stages: ResNetStages, block: BlockKind, stem: StemKind) -> dict[str, Any]:
    """The fields of `stages`, which are left out where the paper has the same."""
    depth = _depth_of(stages, block)
    own = None if published_stages(depth, stem, block) == stages else stages
    return {"depth": depth, "block": block, "stem": stem, "stages": own}
