"""A verdict in one sentence that a person can quote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from archsearch.analysis.edf import CALIPER
from archsearch.analysis.intervals import Interval
from archsearch.analysis.members import NARROWER, Budget, Population
from archsearch.analysis.plan_more import More
from archsearch.analysis.superiority import MIN_MEMBERS, Contest

BUDGET_NAMES: dict[Budget, str] = {
    "params": "parameters",
    "macs": "MACs",
    "seconds": "training time",
}


def verdict_sentence(
    budget: Budget,
    arms: Mapping[str, Population],
    outcome: Contest,
    leader: str | None,
    winner: str | None,
    more: More | None,
) -> str:
    """The verdict, with what it rests on; without a winner, that the data cannot tell."""
    at = f"At equal {BUDGET_NAMES[budget]}"
    if len(arms) < 2:
        named = f"only {next(iter(arms))} was" if arms else "no family was"
        return f"{at} there is nothing to compare: {named} searched."
    if winner is not None:
        parts = [f"{at}, {winner} wins{_sure(outcome, winner)}: {_shares(outcome, winner)}"]
    else:
        parts = [f"{at} the data cannot tell which family wins"]
        if leader is not None:
            parts[0] += f"; {leader} leads{_sure(outcome, leader)}: {_shares(outcome, leader)}"
    counted = ", ".join(f"{len(arm.members)} {family}" for family, arm in arms.items())
    parts.append(f"random trials: {counted}")
    narrower = {f: arm.left_out[NARROWER] for f, arm in arms.items() if NARROWER in arm.left_out}
    if narrower:
        told = ", ".join(f"{count} {family}" for family, count in narrower.items())
        parts.append(f"without those drawn before the space became wider: {told}")
    parts += _not_compared(arms, outcome)
    if more is not None:
        parts.append(_what_would(more))
    return "; ".join(parts) + "."


def _sure(outcome: Contest, family: str) -> str:
    if family not in outcome.lead:
        return ""
    return f" (probability {shown_probability(outcome.lead[family])})"


def shown_probability(probability: float) -> str:
    """A probability, never rounded to certainty: resamples are too few for that."""
    if probability > 0.999:
        return "above 0.999"
    return f"{probability:.3f}" if probability > 0.99 else f"{probability:.2f}"


def _shares(outcome: Contest, family: str) -> str:
    """How often a random member beats one of the closest rival's that costs the same."""
    rivals = [
        pair if pair.first == family else pair.reversed()
        for pair in outcome.pairs
        if family in (pair.first, pair.second)
    ]
    closest = min(rivals, key=lambda pair: (pair.share is not None, pair.probability))
    rival = closest.second if len(rivals) == 1 else f"{closest.second} (its closest rival)"
    return (
        f"a random {family} beats a random {rival} within a factor of {CALIPER:g} of its cost in "
        f"{shown_share(closest.share)}"
    )


def shown_share(share: Interval | None) -> str:
    """A share of pairs with its interval, in per cent."""
    if share is None:
        return "no pair"
    return (
        f"{100 * share.estimate:.0f} % of pairs ({100 * share.level:.3g} % interval "
        f"{100 * share.low:.0f}–{100 * share.high:.0f} %)"
    )


def _not_compared(arms: Mapping[str, Population], outcome: Contest) -> Iterable[str]:
    few = [family for family, arm in arms.items() if len(arm.members) < MIN_MEMBERS]
    if few:
        yield f"{', '.join(few)} cannot be compared with fewer than {MIN_MEMBERS}"
    for pair in outcome.pairs:
        if pair.share is None:
            yield f"no {pair.first} costs what any {pair.second} does"
    lost = {family: arm.num_lost for family, arm in arms.items() if arm.num_lost}
    if lost:
        told = ", ".join(f"{count} {family}" for family, count in lost.items())
        yield f"of them lost (diverged, out of memory or not buildable) and ranked last: {told}"


def _what_would(more: More) -> str:
    """What would settle it: device-hours where they are known."""
    trials = f"{more.trials:,} more random trials"
    hours = more.device_hours
    told = f"about {trials}" if hours is None else f"about {shown_hours(hours)} more ({trials})"
    if more.is_observed:
        return f"{told} would, if the difference is what it looks like"
    share = round(100 * more.share)
    return f"{told} would tell a difference of {share} : {100 - share}"


def shown_hours(hours: float) -> str:
    """Device-hours with two digits that count; below one in minutes, for people."""
    if hours < 1 / 60:
        return "1 device-minute"
    if hours < 1:
        return f"{hours:.2g} device-hours ({hours * 60:.0f} min)"
    return f"{hours:,.1f} device-hours" if hours < 10 else f"{hours:,.0f} device-hours"
