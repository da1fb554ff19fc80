"""ResNeXt: Xie et al. 2017, *Aggregated Residual Transformations* (arXiv:1611.05431)."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from archsearch.models.plan import (
    Activation,
    BlockPlan,
    ConvPlan,
    ResidualPlan,
    StemKind,
    StemPlan,
)
from archsearch.models.residual import (
    BOTTLENECK_DEPTHS,
    IMAGENET_BLOCKS,
    StageShape,
    choose_shortcut,
    plan_stages,
)
from archsearch.models.spec import (
    Architecture,
    ArchitectureError,
    NamePart,
    check_depth,
    check_published_depth,
    read_parts,
)

STEM_CHANNELS = 64
FIRST_STAGE_CHANNELS = 256
"""Output of the first stage; each further stage doubles it (table 1, section 5.3)."""
NUM_CIFAR_STAGES = 3


class ResNeXtStage(NamedTuple):
    """A stage whose shape is not the paper's."""

    num_blocks: Annotated[int, Field(ge=1)]
    out_channels: Annotated[int, Field(ge=1)]
    cardinality: Annotated[int, Field(ge=1)]
    bottleneck_width: Annotated[int, Field(ge=1)]


def _read_stages(text: str) -> tuple[ResNeXtStage, ...]:
    return tuple(ResNeXtStage(*map(int, re.findall(r"\d+", part))) for part in text.split(","))


def _read_template(text: str) -> list[int]:
    return [int(number) for number in text.split("x")]


NAME_PARTS = {
    "template": NamePart(r"\(?(\d+x\d+)d\)?", _read_template),
    "stages": NamePart(r"\((\d+x\d+:\d+x\d+d(?:,\d+x\d+:\d+x\d+d)*)\)", _read_stages),
    "stem": NamePart("cifar|imagenet", str),
}


def _named_stem(depth: int, *, has_stages: bool) -> StemKind:
    """The stem of a name that does not say one."""
    return "imagenet" if has_stages or depth in BOTTLENECK_DEPTHS else "cifar"


class ResNeXtSpec(Architecture):
    """A residual network of bottlenecks whose 3×3 convolution has `cardinality` groups.

    `cifar` stem: 3×3 of 64 channels, three stages, `depth` = 9n + 2 (section 5.3). `imagenet`
    stem: 7×7 of 64 channels and the block counts of ResNet-50/101/152 (table 1). Stages put out
    256, 512, 1024 (, 2048) channels; the width of a group doubles from stage to stage.
    """

    name_form: ClassVar[str] = (
        "ResNeXt-DEPTH-CARDINALITYxBOTTLENECK_WIDTHd[-cifar|-imagenet] or "
        "ResNeXt-DEPTH-(BLOCKSxCHANNELS:CARDINALITYxBOTTLENECK_WIDTHd,…)[-cifar|-imagenet]"
    )

    family: Literal["resnext"] = "resnext"
    depth: int = Field(ge=1, le=10_000)
    """Layers with weights: the stem's convolution, those of the branches, the classifier."""
    cardinality: int = Field(ge=1, le=4_096)
    """C: groups of the 3×3 convolution (of the first stage)."""
    bottleneck_width: int = Field(ge=1, le=4_096)
    """d: channels of one group in the first stage."""
    stem: StemKind = "cifar"
    """`cifar`: 3×3 at full size; `imagenet`: 7×7 of stride 2, then a max-pool of stride 2."""
    stages: tuple[ResNeXtStage, ...] | None = None
    """Every stage where they are not the paper's (`from_stages`), else None."""

    @classmethod
    def from_stages(
        cls,
        stages: tuple[tuple[int, int], ...],
        *,
        group_width: int,
        bottleneck_ratio: float = 1.0,
        stem: StemKind = "imagenet",
    ) -> Self:
        """A network by (number of blocks, channels) of each stage and a constant group width.

        This is the parametrisation of *Dive into Deep Learning*, section 8.6.5, `ResNeXtBlock(
        num_channels, groups, bot_mul)`: its `groups` is the width of a group, `group_width` here,
        and its `bot_mul` the inner channels over `num_channels`, `bottleneck_ratio` here.

        Raises:
            ValueError: `group_width` does not divide the inner channels of a stage.
        """
        shapes = tuple(
            ResNeXtStage(count, channels, *split_groups(channels, group_width, bottleneck_ratio))
            for count, channels in stages
        )
        return cls(**_fields_of_stages(shapes, stem))

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.stages is not None:
            expected = _fields_of_stages(self.stages, self.stem)
            given = {name: getattr(self, name) for name in expected}
            if expected != given:
                raise ValueError(
                    f"{expected} must hold for stages {self.stages}, but got {given}; "
                    "use ResNeXtSpec.from_stages"
                )
        elif self.stem == "imagenet":
            check_published_depth(self.depth, BOTTLENECK_DEPTHS, "an ImageNet ResNeXt")
        else:
            hint = ", or stem='imagenet'" if self.depth in BOTTLENECK_DEPTHS else ""
            check_depth(self.depth, 9, 2, "a CIFAR ResNeXt", hint)
        return self

    @property
    def name(self) -> str:
        """For example `ResNeXt-29-8x64d`, `ResNeXt-50-32x4d`, `ResNeXt-5-(1x64:4x16d)`."""
        parts = [f"ResNeXt-{self.depth}"]
        if self.stages is None:
            parts.append(f"{self.cardinality}x{self.bottleneck_width}d")
        else:
            parts.append("(" + ",".join("{}x{}:{}x{}d".format(*s) for s in self.stages) + ")")
        if self.stem != _named_stem(self.depth, has_stages=self.stages is not None):
            parts.append(self.stem)
        return "-".join(parts)

    @classmethod
    def fields_of_name(cls, text: str) -> dict[str, Any] | None:
        """See `Architecture.fields_of_name`; `resnext50_32x4d`, `ResNeXt-29, 8×64d` are read."""
        match = re.fullmatch(r"resnext-?(\d+)(-.*|\(.*|)", text)
        if match is None:
            return None
        parts = read_parts(match[2], NAME_PARTS, text, cls.name_form)
        depth = int(match[1])
        parts.setdefault("stem", _named_stem(depth, has_stages="stages" in parts))
        if "stages" in parts:
            parts = _fields_of_stages(parts["stages"], parts["stem"])
        elif "template" in parts:
            parts["cardinality"], parts["bottleneck_width"] = parts.pop("template")
        else:
            raise ArchitectureError(
                f"{text!r} does not say its cardinality and bottleneck width; names look like "
                f"{cls.name_form}"
            )
        return parts | {"depth": depth}

    def plan(self) -> ResidualPlan:
        """Stem, stages and head as data."""
        stages = self.stages or _paper_stages(
            self.depth, self.cardinality, self.bottleneck_width, self.stem
        )
        stem = StemPlan(
            self.stem, STEM_CHANNELS if self.stages is None else stages[0].out_channels, True
        )

        def plan_block(stage: int, in_channels: int, stride: int) -> BlockPlan:
            return resnext_block(in_channels, stages[stage], stride)

        shapes = [StageShape(stage.num_blocks, stage.out_channels) for stage in stages]
        return ResidualPlan(stem, plan_stages(stem.channels, shapes, plan_block), False)


def resnext_block(in_channels: int, stage: ResNeXtStage, stride: int) -> BlockPlan:
    """The block of figure 3(c): 1×1, grouped 3×3 that strides, 1×1; projection by option B."""
    inner = stage.cardinality * stage.bottleneck_width
    convs = (
        ConvPlan(1, inner),
        ConvPlan(3, inner, stride, stage.cardinality),
        ConvPlan(1, stage.out_channels),
    )
    shortcut = choose_shortcut("B", in_channels, stage.out_channels, stride)
    return BlockPlan(in_channels, convs, shortcut, Activation.AFTER_SUM)


def split_groups(
    channels: int, group_width: int, bottleneck_ratio: float = 1.0
) -> tuple[int, int]:
    """(cardinality, bottleneck width) of a block with round(channels · ratio) inner channels.

    Raises:
        ValueError: `group_width` does not divide the inner channels.
    """
    inner = round(channels * bottleneck_ratio)
    if group_width < 1 or inner < 1 or inner % group_width:
        raise ValueError(
            "`group_width` must divide the inner channels round(channels · bottleneck_ratio), but "
            f"got group_width={group_width}, round({channels} · {bottleneck_ratio}) = {inner}"
        )
    return inner // group_width, group_width


def _paper_stages(
    depth: int, cardinality: int, bottleneck_width: int, stem: StemKind
) -> tuple[ResNeXtStage, ...]:
    if stem == "imagenet":
        counts = IMAGENET_BLOCKS[depth][1]
    else:
        counts = ((depth - 2) // 9,) * NUM_CIFAR_STAGES
    return tuple(
        ResNeXtStage(count, FIRST_STAGE_CHANNELS << i, cardinality, bottleneck_width << i)
        for i, count in enumerate(counts)
    )


def _fields_of_stages(stages: tuple[ResNeXtStage, ...], stem: StemKind) -> dict[str, Any]:
    """The fields of a network of `stages`, which has at least one."""
    if not stages:
        raise ValueError("`stages` must name at least one stage, but got none")
    return {
        "depth": 3 * sum(stage.num_blocks for stage in stages) + 2,
        "cardinality": stages[0].cardinality,
        "bottleneck_width": stages[0].bottleneck_width,
        "stem": stem,
        "stages": stages,
    }
