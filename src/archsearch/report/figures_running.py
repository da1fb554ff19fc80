"""Figures of how the search ran: who worked when, and where the time went."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from archsearch.analysis.device_time import DeviceTime
from archsearch.analysis.timeline import Span
from archsearch.report.figure_style import (
    BAD,
    GOOD,
    MAX_POINTS,
    NEUTRAL,
    Figure,
    label_of,
    new_plot,
)

_STYLES = {
    "completed": (GOOD, ""),
    "confirm run": ("#8a6de0", "."),
    "stopped early": (NEUTRAL, "/"),
    "broken": (BAD, "x"),
    "attempt lost": ("#cc6d0c", "\\"),
    "in progress": ("#3b7dd8", "-"),
}
_LONGEST_BREAK = 60.0
"""Seconds without any attempt that are drawn in full; a longer break is cut short."""


@dataclass(frozen=True)
class _Bar:
    """What is drawn: a span, or several short ones in a row that would be thinner than a line."""

    lane: str
    kind: str
    begin: float
    end: float
    label: str
    count: int = 1


def timeline_figure(spans: Sequence[Span]) -> Figure | None:
    """Each lane's attempts over the search's running time; breaks are cut short."""
    if not spans:
        return None
    clock = _Clock(spans)
    bars = _merged(
        [
            _Bar(
                span.lane,
                _kind(span),
                clock.at(span.begin_ms),
                clock.at(span.end_ms),
                _label(span),
            )
            for span in spans
        ],
        resolution=clock.length / 700,
    )
    lanes = list(dict.fromkeys(span.lane for span in spans))
    plot = new_plot(x="Minutes of running time", barmode="overlay", bargap=0.25)
    for kind, (colour, pattern) in _STYLES.items():
        group = [bar for bar in bars if bar.kind == kind]
        if group:
            plot.add_bar(
                orientation="h",
                base=[bar.begin / 60 for bar in group],
                x=[(bar.end - bar.begin) / 60 for bar in group],
                y=[html.escape(bar.lane) for bar in group],
                marker={
                    "color": colour,
                    "pattern": {"shape": pattern, "size": 6},
                    "line": {"width": 0.5, "color": "rgba(255,255,255,0.6)"},
                },
                name=kind,
                text=[bar.label for bar in group],
                textposition="none",
                hoverinfo="text",
            )
    for at in clock.breaks:
        plot.add_vline(x=at / 60, line={"color": NEUTRAL, "width": 1.5, "dash": "dot"})
    escaped = [html.escape(lane) for lane in lanes]
    plot.update_yaxes(categoryorder="array", categoryarray=escaped[::-1], type="category")
    plot.update_xaxes(range=[0, max(clock.length / 60, 1e-6)])
    caption = "Each bar is one attempt at a trial, from when it was given out to its end."
    if clock.breaks:
        caption += (
            f" At the {len(clock.breaks)} dotted lines no driver ran: the break is cut short."
        )
    if len(bars) < len(spans):
        caption += (
            f" {len(spans):,} attempts are shown as {len(bars):,} bars: those in a row that end "
            "alike and would be thinner than a line are drawn as one."
        )
    height = 150 + 24 * min(len(lanes), 40)
    return Figure("timeline", "Who worked when", caption, plot, height)


class _Clock:
    """Running time: seconds since the first attempt, long breaks without any taken out."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._begin = min(span.begin_ms for span in spans)
        self._cuts: list[tuple[int, float]] = []
        self.breaks: list[float] = []
        removed, busy_until = 0.0, self._begin
        for span in sorted(spans, key=lambda s: s.begin_ms):
            gap = (span.begin_ms - busy_until) / 1000
            if gap > _LONGEST_BREAK:
                self.breaks.append((busy_until - self._begin) / 1000 - removed)
                removed += gap
                self._cuts.append((span.begin_ms, removed))
            busy_until = max(busy_until, span.end_ms)
        self.length = (busy_until - self._begin) / 1000 - removed

    def at(self, time_ms: int) -> float:
        """Seconds of running time at a moment."""
        removed = max((cut for begin, cut in self._cuts if begin <= time_ms), default=0.0)
        return (time_ms - self._begin) / 1000 - removed


def _kind(span: Span) -> str:
    if span.ended is None:
        return "in progress"
    if span.ended != "finished":
        return "attempt lost"
    match span.trial.outcome:
        case "completed":
            return "confirm run" if span.trial.arm == "confirm" else "completed"
        case "stopped":
            return "stopped early"
        case _:
            return "broken"


def _label(span: Span) -> str:
    attempt = f"<br>attempt {span.attempt}: {html.escape(span.ended or 'runs')}"
    return f"{label_of(span.trial)}{attempt}, {span.epochs} epochs, {span.seconds:,.1f} s"


def _merged(bars: Sequence[_Bar], resolution: float) -> list[_Bar]:
    """Neighbours in a lane that are alike and thinner than the resolution, drawn as one."""
    if len(bars) <= MAX_POINTS // 4:
        return list(bars)
    merged: list[_Bar] = []
    open_bar: dict[str, int] = {}
    for bar in sorted(bars, key=lambda b: (b.begin, b.end)):
        place = open_bar.get(bar.lane)
        if place is not None:
            last = merged[place]
            is_thin = bar.end - last.begin < 4 * resolution
            if is_thin and last.kind == bar.kind and bar.begin - last.end < resolution:
                count = last.count + bar.count
                label = f"{count} attempts: {bar.kind}"
                end = max(last.end, bar.end)
                merged[place] = _Bar(bar.lane, bar.kind, last.begin, end, label, count)
                continue
        open_bar[bar.lane] = len(merged)
        merged.append(bar)
    return merged


_USE_STYLES = {
    "useful": (GOOD, ""),
    "confirming": ("#8a6de0", "."),
    "stopped": ("#3b7dd8", "/"),
    "in progress": ("#12927f", "-"),
    "lost": (BAD, "x"),
    "repeated": ("#cc6d0c", "\\"),
    "overhead": ("#7f8518", "|"),
    "waiting": (NEUTRAL, "+"),
}


def device_time_figure(account: DeviceTime) -> Figure | None:
    """The slots' time as one bar."""
    if not account.capacity:
        return None
    plot = new_plot(x="Share of the slots' time", barmode="stack")
    for share in account.shares:
        colour, pattern = _USE_STYLES[share.use]
        fraction = share.seconds / account.capacity
        told = f"{share.use}: {fraction:.1%}<br>{html.escape(share.explanation)}"
        plot.add_bar(
            orientation="h",
            x=[fraction],
            y=[""],
            marker={"color": colour, "pattern": {"shape": pattern, "size": 6}},
            name=share.use,
            text=told,
            textposition="none",
            hoverinfo="text",
        )
    plot.update_xaxes(tickformat=".0%", range=[0, 1])
    plot.update_layout(margin={"l": 12, "r": 28, "t": 12, "b": 48})
    caption = (
        f"{account.slots} slots (trials at a time) for as long as a driver ran: "
        f"{account.capacity:,.0f} slot-seconds."
    )
    return Figure("device_time", "Shares of the slots' time", caption, plot, height=190)
