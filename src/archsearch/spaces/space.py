"""A search space: a population of trials, and the define-by-run function that draws from it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from archsearch.errors import UsageError, nearest_names
from archsearch.models import FAMILIES, ArchitectureSpec
from archsearch.objective import DEFAULT, OBJECTIVES
from archsearch.schema import Frozen, InputSpec, digest_of
from archsearch.spaces.baselines import architecture_params
from archsearch.spaces.branches import without_defaults
from archsearch.spaces.catalogue import parse_name
from archsearch.spaces.forms import Parameter, shown, written
from archsearch.spaces.limits import Constraints, Fidelity
from archsearch.spaces.parameters import AnyParameter, Choice, Constant, Scalar
from archsearch.spaces.parts import read_parts
from archsearch.spaces.problems import (
    InvalidSpaceError,
    Problem,
    from_validation_error,
    unknown,
)
from archsearch.spaces.recipe import Recipe
from archsearch.spaces.suggest import Proposal, Suggester, suggest_member
from archsearch.spaces.trial_config import TrialConfig


def _known_objective(metric: str) -> str:
    if metric not in OBJECTIVES:
        expected = " or ".join(map(repr, OBJECTIVES))
        raise PydanticCustomError(
            "literal_error", "Input should be {expected}", {"expected": expected}
        )
    return metric


ObjectiveName = Annotated[
    str,
    AfterValidator(_known_objective),
    Field(json_schema_extra={"enum": list(OBJECTIVES)}),
]


class SearchSpace(Frozen):
    """A population of trials: families as branches, shared training fields, and their limits.

    Parameters have full names: `family`, `wrn/depth`, `training/learning_rate`. The order of keys
    and of choices in a file means nothing: parameters are asked in the order of the fields of what
    they describe, families and choices are sorted. The model is data alone: it pickles, and
    `model_validate(model_dump(mode="json"))` gives an equal one.

    Raises:
        ValidationError: Something is wrong; the context's `error` is an `InvalidSpaceError` with
            all of it.
    """

    name: str = Field(default="space", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    """What people call it (`load_space` takes the file's name); no part of its meaning."""

    description: str = ""
    """The question that it asks; no part of its meaning."""

    families: dict[str, dict[str, Parameter]] = Field(min_length=1)
    """Family → searchable field of its spec → parameter; fields left out keep their defaults."""

    training: dict[str, Parameter] = Field(default_factory=dict)
    """Field of `Recipe` → parameter."""

    fidelity: Fidelity
    constraints: Constraints = Constraints()
    baselines: tuple[str, ...] = ()
    """Published names, members of the space, trained first and in this order."""

    objective: ObjectiveName = DEFAULT.metric
    """What is optimised: the metric of an `objective.Objective`."""

    @model_validator(mode="wrap")
    @classmethod
    def _tell_all_problems(
        cls, raw: Any, handler: ModelWrapValidatorHandler[SearchSpace]
    ) -> SearchSpace:
        """Read every part even where another one is broken, then tell everything together."""
        if isinstance(raw, cls):
            return raw
        if not isinstance(raw, Mapping):
            raise InvalidSpaceError([Problem((), f"a space is a mapping, got {shown(raw)}")])
        parts, problems = read_parts(raw)
        try:
            space = handler({str(key): value for key, value in raw.items()} | parts)
        except ValidationError as error:
            problems = from_validation_error(error, cls) + problems
            raise InvalidSpaceError(problems) from None
        if problems:
            raise InvalidSpaceError(problems)
        return space

    def __hash__(self) -> int:
        return hash(self.digest)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; one with changed fields is checked like a new space.

        Raises:
            ValidationError: The change breaks a rule.
        """
        if not update:
            return super().model_copy(deep=deep)
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_validate(fields | dict(update))

    @cached_property
    def digest(self) -> str:
        """Digest of what the space means: not of its name, description, key order or spelling.

        A constant that equals its field's default means the same as leaving the field out.
        """
        branches = {family: (branch, FAMILIES[family]) for family, branch in self.families.items()}
        meanings = {
            name: {f: p.model_dump(mode="json") for f, p in without_defaults(*pair).items()}
            for name, pair in {**branches, "training": (self.training, Recipe)}.items()
        }
        rest = self.model_dump(mode="json", include=_MEANINGFUL, exclude_defaults=True)
        return digest_of(meanings, rest)

    @property
    def largest_batch_size(self) -> int:
        """The most images in one optimizer step of any member."""
        batch_size = self.training.get("batch_size", Constant(value=Recipe().batch_size))
        return int(batch_size.nearest(2**53))

    def parameters(self, family: str) -> dict[str, AnyParameter]:
        """What a suggester is asked in one family: full name → parameter, `family` first.

        Raises:
            UsageError: The space has no such family.
        """
        branches = {family: self._branch(family), "training": self.training}
        return {"family": Choice(values=tuple(self.families))} | {
            f"{prefix}/{field}": parameter
            for prefix, branch in branches.items()
            for field, parameter in branch.items()
            if parameter.is_searched
        }

    def suggest(self, suggester: Suggester, family: str | None = None) -> Proposal:
        """Draw one member: ask for the family (unless it is given), then for its parameters.

        Raises:
            UsageError: The space has no such family.
        """
        return suggest_member(suggester, self.families, self.parameters, family)

    def config(
        self,
        params: Mapping[str, Scalar],
        input_spec: InputSpec,
        seed: int,
        max_epochs: int | None = None,
    ) -> TrialConfig:
        """The trial that searched values and the space's constants make together.

        Args:
            params: Full name → value, exactly the names of `parameters(family)`.
            input_spec: What the data feeds.
            seed: The trial's own.
            max_epochs: Full fidelity, where it is not the space's.

        Raises:
            UsageError: Names or values are not those of the space.
            ValueError: The combination is not a valid architecture (a space refuses those that
                it tried when it was made, so only a rule on three or more fields gets here).
        """
        family = self.family_of(params)
        reason = self._why_not(params)
        if reason:
            raise UsageError(f"not a member of space {self.name}: {reason}")
        return TrialConfig(
            architecture=FAMILIES[family](**_values(self._branch(family), params, family)),
            recipe=Recipe(**_values(self.training, params, "training")),
            input=input_spec,
            max_epochs=self.fidelity.max_epochs if max_epochs is None else max_epochs,
            seed=seed,
        )

    def family_of(self, params: Mapping[str, Scalar]) -> str:
        """The family that searched values belong to.

        Raises:
            UsageError: The values name no family of the space.
        """
        family = params.get("family")
        if not isinstance(family, str) or family not in self.families:
            raise UsageError(unknown(family, self.families, "family"))
        return family

    def fits(self, params: Mapping[str, Scalar]) -> bool:
        """Whether recorded values are still exactly those of a member of the space."""
        return params.get("family") in self.families and self._why_not(params) is None

    def params_of(self, architecture: ArchitectureSpec, recipe: Recipe) -> dict[str, Scalar]:
        """The searched values of a member that is known by what it describes.

        This is how a trial recorded under an older version of the space (a field that was
        constant then, a family that was alone) is told to a sampler of the current one.

        Raises:
            UsageError: It is not a member; the sentence says which fields lie outside.
        """
        family = architecture.family
        values = architecture_params(architecture, self._branch(family), family)
        trained = architecture_params(recipe, self.training, "training")
        return {"family": family, **values, **trained}

    def params_of_baseline(self, name: str) -> dict[str, Scalar]:
        """The searched values of a published architecture with a recipe near the default one.

        Architecture fields come from the catalogue; each training field is the recipe's default,
        or the value nearest to it that the space allows.

        Raises:
            UsageError: The name is unknown, or the architecture is not a member of the space.
        """
        architecture = parse_name(name)
        default = Recipe()
        near = {
            field: parameter.nearest(getattr(default, field))
            for field, parameter in self.training.items()
        }
        return self.params_of(architecture, Recipe(**near))

    def _branch(self, family: str) -> dict[str, AnyParameter]:
        try:
            return self.families[family]
        except KeyError:
            known = nearest_names(family, self.families)
            raise UsageError(f"space {self.name} has no family {family!r}: {known}") from None

    def _why_not(self, params: Mapping[str, Scalar]) -> str | None:
        asked = self.parameters(self.family_of(params))
        if params.keys() != asked.keys():
            odd = sorted(params.keys() ^ asked.keys())
            return f"its parameters are {', '.join(asked)}; missing or unknown: {', '.join(odd)}"
        for name, parameter in asked.items():
            if not parameter.contains(params[name]):
                return f"{name}={params[name]!r} is outside {written(parameter)}"
        return None


_MEANINGFUL = {"fidelity", "constraints", "baselines", "objective"}


def _values(
    branch: Mapping[str, AnyParameter], params: Mapping[str, Scalar], prefix: str
) -> dict[str, Any]:
    return {
        field: parameter.value if isinstance(parameter, Constant) else params[f"{prefix}/{field}"]
        for field, parameter in branch.items()
    }
