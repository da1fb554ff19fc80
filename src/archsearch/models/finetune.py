"""Fine-tuning: torchvision's ImageNet networks, their weights, and a head for new classes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from archsearch.models.backbones import (
    NETWORK_NAMES,
    PUBLISHED_WEIGHTS,
    NetworkName,
    backbone,
    num_features,
)
from archsearch.models.plan import DensePlan, ResidualPlan
from archsearch.models.spec import (
    Architecture,
    ArchitectureError,
    NamePart,
    normalise_name,
    plain_number,
    read_parts,
)
from archsearch.models.weight_files import import_weights, is_path
from archsearch.schema import InputSpec

if TYPE_CHECKING:
    from archsearch.models.network import Network

NUM_STAGES = 4
HIDDEN_FACTOR = 2
"""Hidden units of an `mlp` head for each feature of the backbone, such as 2048 → 4096."""

_FILE_FORM = r"sha256:[0-9a-f]{16}"
_PATH_IN_NAME = re.compile(r"(?i)(?<=-weights=)\S.*\.(?:pth|pt)\s*$")
_NAMED_WEIGHTS = {"default": "pretrained", "IMAGENET1K_V1": "pretrainedV1"}
NAME_PARTS = {
    "weights": NamePart(
        r"pretrained|pretrainedv1|weights=([0-9a-f]{16})",
        lambda text: {"pretrained": "default", "pretrainedv1": "IMAGENET1K_V1"}.get(
            text, f"sha256:{text}"
        ),
    ),
    "frozen_stages": NamePart(r"frozen([1-9]\d*)", int),
    "mlp": NamePart(r"mlp(?:=?([1-9]\d*))?", lambda text: 0 if text == "mlp" else int(text)),
    "dropout": NamePart(r"(?:dropout|drop)=?(\d+\.?\d*|\.\d+)", float),
}


def _resolved(weights: str) -> str:
    """What stands for `weights` in a spec: of a file it is the contents, wherever it lies.

    Raises:
        UnfitError: It is the path of a file that cannot be read or kept.
        ValueError: It is nothing of what is allowed.
    """
    if weights in ("none", *_NAMED_WEIGHTS) or re.fullmatch(_FILE_FORM, weights):
        return weights
    if is_path(weights):
        return import_weights(weights)
    raise ValueError(
        "`weights` must be none, default, IMAGENET1K_V1, the path of a .pth or .pt file, or "
        f"sha256: and 16 hexadecimal digits of a file that was used before; got {weights[:80]!r}"
    )


class TorchvisionSpec(Architecture):
    """A network of torchvision with a new head, trained on from given weights.

    The backbone is this project's own network of the same architecture, which torchvision's
    weights fit one by one (tests compare names, shapes and outputs). Stages are the resolution
    groups: `layer1` to `layer4`, or a dense block and its transition.

    Images come normalised by their own data set's statistics, so to about zero mean and unit
    deviation, which is what ImageNet's statistics did for the images that the weights come from.
    Grey images take the sum of the first convolution's weights over red, green and blue: just
    what the network would answer to the same image in three equal channels.
    """

    name_form: ClassVar[str] = (
        "torchvision-NETWORK[-pretrained|-pretrainedV1|-weights=DIGEST|-weights=PATH]"
        "[-frozenSTAGES][-mlp[HIDDEN_FEATURES]][-dropoutP]"
    )
    has_small_form: ClassVar[bool] = False
    weight_fields: ClassVar[tuple[str, str] | None] = ("network", "weights")

    family: Literal["torchvision"] = "torchvision"
    network: NetworkName
    """Torchvision's name of the network."""
    weights: Annotated[str, AfterValidator(_resolved)] = "none"
    """What training starts from.

    `none`: random weights. `default`: the best that torchvision publishes, see
    `PUBLISHED_WEIGHTS`; `IMAGENET1K_V1`: the older ones where those are others. Or the path of a
    file that holds a `state_dict` of torchvision's network, whatever its classes: the spec keeps
    the digest of the contents (`sha256:…`), torch's cache folder a copy, and the path is
    forgotten, so another file is another configuration and a moved one is not.
    """
    frozen_stages: int = Field(default=0, ge=0, le=NUM_STAGES)
    """0 trains everything. s keeps weights and BatchNorm statistics of the stem and stages 1…s.

    4 trains the new head alone (DenseNet's last BatchNorm is part of its fourth stage).
    """
    head: Literal["linear", "mlp"] = "linear"
    """`linear`, or `mlp`: linear, ReLU, dropout, linear. Logits come out, never a sigmoid."""
    hidden_features: int = Field(
        default_factory=lambda f: _default_hidden(f["network"], f["head"]), ge=0, le=65_536
    )
    """Units between the two layers of an `mlp`, by default two a feature; 0 for `linear`."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Drop probability before the head's last linear layer."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.head == "mlp") != (self.hidden_features > 0):
            rule = "hidden_features >= 1" if self.head == "mlp" else "hidden_features = 0"
            raise ValueError(
                f"`{rule}` must hold for a head of kind {self.head}, but got "
                f"hidden_features={self.hidden_features}"
            )
        if self.weights == "none" and self.frozen_stages:
            raise ValueError(
                "`frozen_stages = 0` must hold without pretrained weights, because random ones "
                f"would never learn, but got frozen_stages={self.frozen_stages}, weights=none"
            )
        if self.weights == PUBLISHED_WEIGHTS[self.network][0]:
            raise ValueError(
                f"`weights = default` is how {self.network}'s weights {self.weights} are written, "
                "because it has no others"
            )
        return self

    @property
    def name(self) -> str:
        """For example `torchvision-resnet50-pretrained-frozen2-mlp-dropout0.5`."""
        parts = [f"torchvision-{self.network}"]
        if self.weights != "none":
            digest = self.weights.removeprefix("sha256:")
            parts.append(_NAMED_WEIGHTS.get(self.weights, f"weights={digest}"))
        if self.frozen_stages:
            parts.append(f"frozen{self.frozen_stages}")
        if self.head == "mlp":
            usual = self.hidden_features == _default_hidden(self.network, self.head)
            parts.append("mlp" if usual else f"mlp{self.hidden_features}")
        if self.dropout:
            parts.append(f"dropout{plain_number(self.dropout)}")
        return "-".join(parts)

    @classmethod
    def fields_of_name(cls, text: str) -> dict[str, Any] | None:
        """See `Architecture.fields_of_name`."""
        match = re.fullmatch(f"torchvision-({'|'.join(_NORMALISED)})(-.*|)", text)
        if match is None:
            if text.startswith("torchvision"):
                raise ArchitectureError(
                    f"{text!r} names no network of torchvision; names look like {cls.name_form}, "
                    f"where NETWORK is one of {', '.join(NETWORK_NAMES)}"
                )
            return None
        parts = read_parts(match[2], NAME_PARTS, text, cls.name_form)
        if "mlp" in parts:
            hidden = parts.pop("mlp")
            parts |= {"head": "mlp"} | ({"hidden_features": hidden} if hidden else {})
        return parts | {"network": _NORMALISED[match[1]]}

    def plan(self) -> ResidualPlan | DensePlan:
        """Stem, stages and head as data; the head's own layers are not in a plan."""
        return backbone(self.network).plan()

    def build(self, input_spec: InputSpec, *, pretrained: bool = True) -> Network:
        """See `Architecture.build`."""
        from archsearch.models.pretrained import build_finetuned

        return build_finetuned(
            self.network,
            input_spec,
            weights=self.weights if pretrained else "none",
            frozen_stages=self.frozen_stages,
            hidden_features=self.hidden_features,
            dropout=self.dropout,
        )

    def check_input(self, input_spec: InputSpec) -> None:
        """Refuse images that are too small, or that have no colours as the weights know them.

        Raises:
            ArchitectureError: with what would fit.
        """
        super().check_input(input_spec)
        if self.weights != "none" and input_spec.in_channels not in (1, 3):
            raise ArchitectureError(
                "images must have 1 or 3 channels for a network with pretrained weights, but got "
                f"in_channels={input_spec.in_channels}; use weights=none"
            )


def with_digest(name: str) -> str:
    """A name whose last part is `weights=PATH`, with the digest of that file for the path.

    Raises:
        UnfitError: The file cannot be read or kept.
    """
    return _PATH_IN_NAME.sub(
        lambda path: import_weights(path.group().strip()).removeprefix("sha256:"), name
    )


def _default_hidden(network: NetworkName, head: str) -> int:
    return HIDDEN_FACTOR * num_features(network) if head == "mlp" else 0


_NORMALISED = {normalise_name(name): name for name in NETWORK_NAMES}
