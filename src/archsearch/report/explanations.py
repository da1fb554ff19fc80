"""The sections on why: learning curves, the audit of early stopping, what mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archsearch.analysis.audit import MIN_CONTROL_TRIALS, FamilyAudit
from archsearch.analysis.importance import MIN_TRIALS, Importances
from archsearch.analysis.intervals import Interval
from archsearch.analysis.recorded_search import RecordedSearch
from archsearch.phrases import plural
from archsearch.report.figure_style import title_of
from archsearch.report.figures_outcome import learning_curves_figure
from archsearch.report.figures_parallel import parallel_figure
from archsearch.report.figures_params import (
    importance_figure,
    short_name,
    slice_figures,
)
from archsearch.report.parts import (
    Cell,
    Column,
    Section,
    Table,
    number,
    words,
)


def curves_section(recorded: RecordedSearch) -> Section:
    """Learning curves with rungs."""
    figure = learning_curves_figure(recorded)
    if figure is None:
        return Section("curves", "Learning curves", ("No epoch has been finished.",))
    return Section("curves", "Learning curves", figures=(figure,))


def parameters_section(recorded: RecordedSearch, rated: Sequence[Importances]) -> Section:
    """What mattered, and what the best have in common."""
    sentences, objective = [], recorded.search.objective
    for scope in rated:
        clear = [short_name(p.name) for p in scope.parameters if p.is_above_chance]
        if not scope.parameters:
            sentences.append(
                f"{scope.scope}: {plural(scope.num_trials, 'completed trial')}; importances need "
                f"{MIN_TRIALS} that differ in {objective.short}."
            )
        elif clear:
            sentences.append(f"{scope.scope}: more than chance explains: {', '.join(clear)}.")
        else:
            sentences.append(f"{scope.scope}: no parameter matters more than chance would do.")
    bars = (importance_figure(scope) for scope in rated)
    lines = (parallel_figure(recorded, family) for family in recorded.families)
    return Section(
        "parameters",
        "What mattered",
        tuple(sentences),
        figures=tuple(f for f in (*bars, *lines) if f is not None),
    )


def slices_section(recorded: RecordedSearch) -> Section | None:
    """The objective against each parameter."""
    figures = slice_figures(recorded)
    if not figures:
        return None
    sentences = (
        f"{title_of(recorded.search.objective)} of trials that were trained to the end, against "
        "one parameter at a time. The sampler has proposed most of them: crowds show where it "
        "looked, not what is good.",
    )
    return Section("slices", "One parameter at a time", sentences, small_figures=tuple(figures))


def audit_section(recorded: RecordedSearch, audits: Mapping[str, FamilyAudit]) -> Section:
    """What early stopping did to each family."""
    if not recorded.rungs:
        return Section(
            "audit", "Early stopping, audited", ("This search stopped no trial early.",)
        )
    unfair = [a.unfair.sentence + "." for a in audits.values() if a.unfair is not None]
    saved = sum(a.epochs_saved for a in audits.values())
    trained = sum(a.epochs_trained for a in audits.values())
    control = sum(a.epochs_for_control for a in audits.values())
    cost = (
        f"Early stopping saved {saved:,} epochs where {trained:,} were trained; trials of the "
        f"control arm, which may not be stopped, took {plural(control, 'epoch')} beyond the rung "
        "that would have stopped them."
    )
    few = [a.family for a in audits.values() if not a.is_enough]
    notes = [cost, *(unfair or ["No family is seen to be stopped unfairly."])]
    if few:
        notes.append(
            f"Below {MIN_CONTROL_TRIALS} control trials there are counts, but no rates and no "
            f"correlations: {', '.join(few)}."
        )
    families = Table(
        "What early stopping did, by family",
        (
            Column("Family", "text"),
            Column("Trials"),
            Column("Stopped"),
            Column("Control trials"),
            Column("Would have been stopped"),
            Column("Wrongly"),
            Column("Wrong stops, 95 %", "text"),
            Column("Best ones missed, 95 %", "text"),
            Column("Epochs saved"),
        ),
        tuple(_audit_row(a) for a in audits.values()),
        note="A control trial is wrongly stopped if the rule would have stopped it, although it "
        "ended among the best of its family's control trials.",
    )
    rungs = Table(
        "Does a rung know the end? Kendall's tau with the final order, control trials",
        (Column("Family", "text"), *(Column(f"Rung {rung}") for rung in recorded.rungs)),
        tuple(_rung_row(a, recorded.rungs) for a in audits.values()),
        note="1: the same order; 0: no relation; a dash: not enough control trials, or all equal.",
    )
    return Section("audit", "Early stopping, audited", tuple(notes), (families, rungs))


def _audit_row(audit: FamilyAudit) -> tuple[Cell, ...]:
    return (
        words(audit.family),
        number(audit.num_trials),
        number(audit.num_stopped),
        number(audit.num_control),
        number(audit.num_shadow_stopped),
        number(audit.num_wrongly_stopped),
        _rate(audit.wrong_rate),
        _rate(audit.missed_rate),
        number(audit.epochs_saved),
    )


def _rung_row(audit: FamilyAudit, rungs: Sequence[int]) -> tuple[Cell, ...]:
    taus = {rung.rung_epochs: rung.kendall_tau for rung in audit.rungs}
    return (words(audit.family), *(number(taus.get(rung), ".2f") for rung in rungs))


def _rate(rate: Interval | None) -> Cell:
    if rate is None:
        return Cell("–", None)
    return Cell(f"{rate.estimate:.0%} ({rate.low:.0%} to {rate.high:.0%})", rate.estimate)
