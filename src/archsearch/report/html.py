"""Writes a report as one HTML page that needs nothing else: no file, no network."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from archsearch.redaction import redact, redactor
from archsearch.report.parts import Report

_PACKAGE = "archsearch.report.page"


def report_html(report: Report, *, reload_seconds: int | None = None) -> str:
    """The page.

    Texts are escaped and without secrets, whoever wrote them; a content security policy forbids
    every request.

    Args:
        report: What it says.
        reload_seconds: Reload the page so often; None for a page that stays as it is.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    redact = redactor()

    def safe_text(value: Any) -> Any:
        return redact(value) if type(value) is str else value

    environment = Environment(
        loader=PackageLoader("archsearch.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=safe_text,
        trim_blocks=True,
    )
    page: str = environment.get_template("page.html.j2").render(
        report=report,
        reload_seconds=reload_seconds,
        style=_as_it_is(_shipped("style.css")),
        script=_as_it_is(_shipped("page.js")),
        plotly=_as_it_is(get_plotlyjs()),
        figures=_as_it_is(_figures_json(report)),
    )
    return page


def _shipped(name: str) -> str:
    return (files(_PACKAGE) / name).read_text(encoding="utf-8")


def _figures_json(report: Report) -> str:
    """All figures by name, as JSON that cannot end the element that it stands in."""
    members = (f'"{figure.name}":{figure.plot.to_json()}' for figure in report.figures)
    text = redact("{" + ",".join(members) + "}")
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _as_it_is(trusted: str) -> str:
    """Text that needs no escaping: a file of ours or Plotly's, or figures escaped as they are."""
    from markupsafe import Markup

    return Markup(trusted)  # noqa: S704 -- nothing of a user's comes here unescaped
