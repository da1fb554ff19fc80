"""Saved views of a space's experiment: what MLflow's list and charts of runs show at first.

MLflow keeps the views of its *Views* menu as tags of the experiment, as JSON that its pages read
(3.17; a page that does not know a key leaves it out, and older servers leave out the menu). Out
of the box the list shows dates and sources, no metric, and cuts names off; hence these.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

_PREFIX = "mlflow.sharedViewState."
# MLflow sorts views by age, the youngest first: fixed, so that sending again changes nothing.
_CREATED_MS = 1_760_000_000_000

TRIALS = "archsearch-trials"
FAMILIES = "archsearch-families"
FAIR = "archsearch-fair"

_NAME_COLUMN = "attributes.`Run Name`"
_COLUMNS = (
    ("metrics", "val_accuracy"),
    ("params", "family"),
    ("tags", "outcome"),
    ("tags", "arm"),
    ("metrics", "num_params"),
    ("metrics", "num_macs"),
    ("tags", "reason"),
)


def view_tags() -> dict[str, str]:
    """The views as tags of an experiment."""
    best_first: dict[str, Any] = {"orderByKey": "metrics.`val_accuracy`", "orderByAsc": False}
    only = "tags.kind = 'trial'"
    views: dict[str, tuple[str, dict[str, Any]]] = {
        TRIALS: ("Trials, best first", best_first),
        FAMILIES: ("Families by epoch", {"searchFilter": only, "groupBy": _BY_FAMILY}),
        FAIR: (
            "Families by epoch, random arm (drawn uniformly, never stopped)",
            {"searchFilter": f"{only} and tags.arm = 'random'", "groupBy": _BY_FAMILY},
        ),
    }
    return {
        _PREFIX + key: json.dumps(
            {
                "name": name,
                "createdAt": _CREATED_MS - place,
                "updatedAt": _CREATED_MS - place,
                "state": json.dumps(_state() | changes),
            }
        )
        for place, (key, (name, changes)) in enumerate(views.items())
    }


def view_path(experiment_id: str, view: str, *, charts: bool = False) -> str:
    """The page of a view, below a server's address."""
    mode = {"compareRunsMode": "CHART"} if charts else {}
    query = {"workflowType": "machine_learning"} | mode | {"viewStateShareKey": view}
    return f"/#/experiments/{experiment_id}/runs?{urlencode(query)}"


_BY_FAMILY = {
    "aggregateFunction": "average",
    "groupByKeys": [{"mode": "param", "groupByData": "family"}],
}


def _state() -> dict[str, Any]:
    """A page's whole state: MLflow does not fill in what a view leaves out."""
    return {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [f"{kind}.`{name}`" for kind, name in _COLUMNS],
        "columnOrder": [_NAME_COLUMN],  # widths of columns that are not in it are not read
        "columnWidths": {_NAME_COLUMN: 320},
        "runsHiddenMode": "FIRST_20_RUNS",
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": False,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "globalLineChartConfig": {
            "xAxisKey": "step",
            "lineSmoothness": 0,
            "selectedXAxisMetricKey": "",
        },
    }
