"""How far verdicts can be believed, on searches whose truth is known.

    python -m benchmarks.verdicts --json

`--searches` searches of each synthetic scenario (`pipeline.simulate` has the same ones), of which
only the random arm is drawn. At each of `LOOKS` somebody looks at the verdict, as a person does
who adds trials until it is decided. False is a family that wins although another one is as good or
better. `one_look` are the same searches judged by intervals that are made for one look: the
difference of members and power is what looking often costs.

Intervals: three finalists, trained again with three seeds each and judged on the same images. Each
network answers an image by its variant, the image's difficulty (which all share), what the variant
makes of the image and what the seed does; `SHARES` says how much of each. The truth is a variant's
accuracy over all images and seeds. `seeds_only` leaves the images out, as if they were all.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist

import numpy as np

from archsearch.analysis.intervals import Interval, wilson_interval
from archsearch.analysis.members import Member
from archsearch.analysis.superiority import contest
from archsearch.analysis.winners_curse import corrected_means, probabilities_of_best
from archsearch.simulation.synthetic import SCENARIOS, SyntheticWorld, synthetic_world

LEVEL = 0.95
LOOKS = (5, 6, 8, 10, 12, 16, 20, 25, 32, 40, 50, 60)
"""Members of each family when somebody looks."""


IMAGES = (100, 1_000, 10_000)
SHARES = {"image": 0.6, "variant": 0.15, "seed": 0.25}
"""Of the variance that decides whether an image is answered right; they add up to 1."""


@dataclass(frozen=True)
class Look:
    """What one look at a search tells.

    Attributes:
        members: Of each family, on average.
        winner: The family that wins; None while nobody does.
        covered: Whether every interval holds the truth.
    """

    members: float
    winner: str | None
    covered: bool


@dataclass(frozen=True)
class Rates:
    """Many searches of one scenario, judged by one kind of interval.

    Attributes:
        false_at_any_look: Share of searches in which a wrong family wins at any look.
        false_at_last_look: Share in which it does at the last one.
        covered_at_all_looks: Share in which every interval holds the truth at every look.
        covered_at_last_look: Share in which every one does at the last.
        decided: Share in which the right family has won by the last look; None where none is.
        members_to_decide: Median members of each family at the first look that decides rightly.
    """

    false_at_any_look: float
    false_at_last_look: float
    covered_at_all_looks: float
    covered_at_last_look: float
    decided: float | None
    members_to_decide: float | None


def is_right(world: SyntheticWorld, winner: str) -> bool:
    """Whether a family is better than every other one, in truth."""
    others = (family for family in world.families if family != winner)
    return all(world.superiority(winner, other) > 0.5 for other in others)


def random_arm(world: SyntheticWorld, generator: np.random.Generator) -> dict[str, list[Member]]:
    """Members of each family as the world's equation has them, drawn uniformly."""
    arms = {}
    for name, family in world.families.items():
        octaves = generator.uniform(*family.octaves, LOOKS[-1])
        luck = math.hypot(family.spread, world.noise) * generator.standard_normal(LOOKS[-1])
        lost = generator.random(LOOKS[-1]) < family.diverging
        values = np.where(lost, -math.inf, family.level + world.slope * octaves + luck)
        arms[name] = [
            Member(i, name, float(value), float(2**octave), 1.0)
            for i, (value, octave) in enumerate(zip(values, octaves, strict=True))
        ]
    return arms


def looks_at(world: SyntheticWorld, seed: int) -> Iterator[tuple[Look, Look]]:
    """Every look at one search: by intervals for all looks, and by those for one."""
    arms = random_arm(world, np.random.default_rng(seed))
    for count in LOOKS:
        seen = {name: members[:count] for name, members in arms.items()}
        yield _look(world, seen, one_look=False), _look(world, seen, one_look=True)


def _look(world: SyntheticWorld, arms: Mapping[str, Sequence[Member]], *, one_look: bool) -> Look:
    generator = np.random.default_rng(0)
    found = contest(arms, generator, level=LEVEL, num_resamples=500, one_look=one_look)
    covered = all(
        pair.share is None or pair.share.holds(world.superiority(pair.first, pair.second))
        for pair in found.pairs
    )
    return Look(sum(map(len, arms.values())) / len(arms), found.winner, covered)


def rates_of(world: SyntheticWorld, searches: list[list[Look]]) -> Rates:
    """What many searches say together."""

    def share(count: int) -> float:
        return count / len(searches)

    def is_false(look: Look) -> bool:
        return look.winner is not None and not is_right(world, look.winner)

    first_right = [
        next((look.members for look in looks if look.winner and not is_false(look)), None)
        for looks in searches
    ]
    decided = [members for members in first_right if members is not None]
    has_right = any(is_right(world, family) for family in world.families)
    return Rates(
        false_at_any_look=share(sum(any(map(is_false, looks)) for looks in searches)),
        false_at_last_look=share(sum(is_false(looks[-1]) for looks in searches)),
        covered_at_all_looks=share(sum(all(k.covered for k in looks) for looks in searches)),
        covered_at_last_look=share(sum(looks[-1].covered for looks in searches)),
        decided=share(len(decided)) if has_right else None,
        members_to_decide=float(np.median(decided)) if has_right and decided else None,
    )


def verdicts(scenario: str, num_searches: int) -> dict[str, object]:
    """The rates of one scenario, by intervals for all looks and for one."""
    all_looks, one_look = [], []
    world = synthetic_world(scenario)
    for seed in range(num_searches):
        looks = list(looks_at(world, seed))
        all_looks.append([look for look, _ in looks])
        one_look.append([look for _, look in looks])
    rates = rates_of(world, all_looks)
    wrong = round(rates.false_at_any_look * num_searches)
    upper = wilson_interval(wrong, num_searches, LEVEL).high
    return {
        "searches": num_searches,
        "members_at_looks": LOOKS,
        "at_every_look": asdict(rates) | {"false_at_any_look_upper_limit": upper},
        "one_look": asdict(rates_of(world, one_look)),
    }


def confirmed_runs(
    generator: np.random.Generator, num_images: int
) -> tuple[list[float], list[list[float]]]:
    """Three variants: the truth of each, and what three runs of it reach on the same images."""
    image = math.sqrt(SHARES["image"]) * generator.standard_normal(num_images)
    truths, groups = [], []
    for level in generator.normal(1.0, 0.1, 3):
        variant = math.sqrt(SHARES["variant"]) * generator.standard_normal(num_images)
        noise = math.sqrt(SHARES["seed"]) * generator.standard_normal((3, num_images))
        right = level + image + variant + noise > 0
        truths.append(NormalDist().cdf(level))
        groups.append(right.mean(axis=1).tolist())
    return truths, groups


def interval_coverage(num_images: int, repeats: int) -> dict[str, object]:
    """How often the intervals hold the truth, and whether probabilities of being best are."""
    generator = np.random.default_rng(num_images)
    held = dict.fromkeys(("seeds_and_images", "seeds_only"), 0)
    widths, told, right = [], 0.0, 0
    for _ in range(repeats):
        truths, groups = confirmed_runs(generator, num_images)
        resolution = 1 / num_images
        for name, images in (("seeds_and_images", num_images), ("seeds_only", None)):
            found = corrected_means(groups, resolution=resolution, num_images=images)
            held[name] += sum(map(Interval.holds, found, truths))
            if images is not None:
                widths += [interval.high - interval.low for interval in found]
        chances = probabilities_of_best(groups, resolution=resolution, num_images=num_images)
        told += max(chances)
        right += truths[int(np.argmax(chances))] == max(truths)
    coverage = {name: count / (3 * repeats) for name, count in held.items()}
    return {
        "repeats": repeats,
        "coverage": coverage,
        "mean_width": float(np.mean(widths)),
        "probability_best_of_the_leader": told / repeats,
        "leader_is_best": right / repeats,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--searches", type=int, default=200)
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), action="append")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    told: dict[str, dict[str, object]] = {}
    for scenario in given.scenario or SCENARIOS:
        told[scenario] = verdicts(scenario, given.searches)
        print(f"{scenario}: done", file=sys.stderr)
    intervals = {str(count): interval_coverage(count, given.searches) for count in IMAGES}
    if given.json:
        print(json.dumps({"verdicts": told, "intervals": intervals}, indent=2))
        return
    for scenario, rates in told.items():
        print(scenario, json.dumps(rates))
    for count, coverage in intervals.items():
        print(f"{count} validation images", json.dumps(coverage))


if __name__ == "__main__":
    main()
