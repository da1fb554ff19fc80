"""A distributed architecture and hyperparameter search for convolutional networks.

`open_search` is what a notebook begins with; all else is imported from its module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archsearch.report.opened_search import open_search as open_search

__all__ = ["open_search"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: every command imports this package, and few need analysis.
    if name == "open_search":
        from archsearch.report.opened_search import open_search

        return open_search
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
