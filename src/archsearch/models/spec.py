"""What every architecture spec offers, and the rules and name parts that several share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import ValidationError

from archsearch.errors import UsageError
from archsearch.models.plan import DensePlan, ResidualPlan
from archsearch.schema import Frozen, InputSpec

if TYPE_CHECKING:
    from archsearch.models.network import Network


class NamePart(NamedTuple):
    """A part of a name that says one field."""

    pattern: str
    """Matches the whole part; its first group, or all of it, is read."""
    read: Callable[[str], Any]
    """Text to the field's value."""


class ArchitectureError(UsageError):
    """A network that cannot be built as asked: a name, a field or an input does not fit."""


class Architecture(Frozen):
    """A member of a family: what every family owes a search. `tests/contracts` holds it to that.

    A family is a subclass in the table `FAMILIES`. It defines `family`, `name`, `fields_of_name`,
    and either `plan` or everything here that uses a plan. Nothing else names a family.

    Obligations:
        - Every field shows in the name, so two members never share one:
          `Spec(**Spec.fields_of_name(spec.name)) == spec`.
        - A spec is checked when it is made. What no spec can know, because it depends on the
          images, `check_input` refuses; it is called before `build`.
        - `build` takes its weights from torch's global generator alone: the same seed gives the
          same weights. It works on the meta device, where it takes no memory.
        - The network takes images (N, C, H, W) and answers logits (N, num_classes), without a
          softmax or sigmoid. In evaluation, an answer does not depend on the rest of its batch.
        - Every parameter that is trained gets a gradient.
    """

    name_form: ClassVar[str]
    """How names of the family look, for messages."""
    has_small_form: ClassVar[bool] = True
    """Whether the family has networks for small images beside its ImageNet forms."""
    weight_fields: ClassVar[tuple[str, str] | None] = None
    """The fields that say which pretrained network and weights; None without such weights."""

    @property
    def name(self) -> str:
        """The published-style name, which `archsearch.spaces.catalogue.parse_name` reads back."""
        raise NotImplementedError

    def plan(self) -> ResidualPlan | DensePlan:
        """Stem, stages and head as data; the shape of the network without its weights."""
        raise NotImplementedError

    def build(self, input_spec: InputSpec, *, pretrained: bool = True) -> Network:
        """The network for images that `check_input` has let pass.

        Args:
            input_spec: Channels and size of the images, number of classes.
            pretrained: Whether to load weights that the spec names; without them, or on the meta
                device, weights are random.

        Raises:
            UnfitError: Pretrained weights are missing, damaged or another network's.
        """
        # Specs are read, named and checked without torch; only building needs it.
        from archsearch.models.network import network_of

        return network_of(self.plan(), input_spec.in_channels, input_spec.num_classes)

    @property
    def recomputes_activations(self) -> bool:
        """Whether the backward pass computes inner values again: less memory, more time."""
        return False

    @classmethod
    def fields_of_name(cls, text: str) -> dict[str, object] | None:
        """The fields that a normalised name (see `normalise_name`) stands for.

        Returns:
            None where the name is none of this family's.

        Raises:
            ArchitectureError: the name is this family's, but a part of it is unknown or repeated.
        """
        raise NotImplementedError

    @property
    def is_imagenet(self) -> bool:
        """Whether this is an ImageNet form: 7×7 stem and, published, 1000 classes at 224×224."""
        return self.plan().stem.kind == "imagenet"

    @property
    def total_stride(self) -> int:
        """By how much the network shrinks the image before its global pooling."""
        return self.plan().total_stride

    def check_input(self, input_spec: InputSpec) -> None:
        """Refuse images that the network would shrink to less than one pixel.

        Raises:
            ArchitectureError: with the smallest image size that fits.
        """
        if input_spec.image_size < self.total_stride:
            raise ArchitectureError(
                f"`image_size >= {self.total_stride}` must hold for {self.name}, which shrinks "
                f"images {self.total_stride} times, but got image_size={input_spec.image_size}; "
                "use larger images (--image-size)"
                + (
                    " or a CIFAR form of the family"
                    if self.is_imagenet and self.has_small_form
                    else ""
                )
            )


def check_depth(depth: int, multiple: int, offset: int, what: str, hint: str = "") -> int:
    """The n of `depth = multiple · n + offset`, n ≥ 1.

    Raises:
        ValueError: there is no such n; the sentence names the rule and the nearest depths.
    """
    n, remainder = divmod(depth - offset, multiple)
    if remainder == 0 and n >= 1:
        return n
    below = multiple * max(n, 1) + offset
    near = [below] if depth < below else [below, below + multiple]
    raise ValueError(
        f"`depth = {multiple}n + {offset}` must hold for {what}, but got depth={depth}; "
        f"nearest: {', '.join(map(str, near))}{hint}"
    )


def check_published_depth(depth: int, known: Iterable[int], what: str) -> None:
    """Refuse an ImageNet depth that no paper defines.

    Raises:
        ValueError: `depth` is not in `known`.
    """
    depths = sorted(known)
    if depth not in depths:
        raise ValueError(
            f"`depth` must be one of {', '.join(map(str, depths))} for {what}, "
            f"but got depth={depth}"
        )


def plain_number(value: float) -> str:
    """Shortest text that reads back as `value`, without an exponent: 0.3, 2, 0.00001."""
    text = f"{Decimal(repr(value)):f}"
    return text.removesuffix(".0")


def integral(value: object) -> object:
    """10.0 as 10, so that a factor is written one way; anything else unchanged."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def normalise_name(text: str) -> str:
    """One spelling: lower case, `-` for blanks and `_`, `x` for ×, no blanks in brackets."""
    text = text.strip().lower().replace("×", "x").replace("θ", "theta")
    text = re.sub(r"\([^()]*\)", lambda part: re.sub(r"[\s_-]+", "", part.group()), text)
    text = re.sub(r"[\s_]+|,(?![^()]*\))", "-", text)
    return re.sub(r"-{2,}", "-", text).strip("-")


def read_parts(
    rest: str, forms: Mapping[str, NamePart], name: str, name_form: str
) -> dict[str, Any]:
    """What the trailing parts of a name say: field → value.

    Args:
        rest: What follows the fixed part of a name, each part after a `-`.
        forms: Field → the parts that say it.
        name: The whole name, for messages.
        name_form: How names of the family look, for messages.

    Raises:
        ArchitectureError: a part is unknown or says a second time what another has said.
    """
    found: dict[str, Any] = {}
    for part in filter(None, rest.split("-")):
        matches = ((f, re.fullmatch(form.pattern, part)) for f, form in forms.items())
        field, match = next(((f, m) for f, m in matches if m is not None), (None, None))
        if field is None or match is None:
            raise ArchitectureError(
                f"unknown part {part!r} in {name!r}; names look like {name_form}"
            )
        if field in found:
            raise ArchitectureError(
                f"{name!r} says its {field} twice; names look like {name_form}"
            )
        found[field] = forms[field].read(match.group(match.lastindex or 0))
    return found


def sentences(error: ValidationError) -> str:
    """Every complaint of a refused spec in one line, each with its field where it has one."""
    return "; ".join(
        ".".join(map(str, detail["loc"]))
        + (": " if detail["loc"] else "")
        + str(detail["msg"]).removeprefix("Value error, ")
        for detail in error.errors()
        # The same mistake again: a default that follows from the field that is wrong.
        if detail["type"] != "default_factory_not_called"
    )
