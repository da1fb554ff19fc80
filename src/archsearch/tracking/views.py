"""Saved views of a space's experiment: what MLflow's list and charts of runs show at first.

MLflow keeps the views of its *Views* menu as tags of the experiment, as JSON that its pages read
(3.17; a page that does not know a key leaves it out, and older servers leave out the menu). Out
of the box the list shows dates and sources, no metric, and cuts names off; hence these.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from archsearch.objective import Objective

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PREFIX = "mlflow.sharedViewState."
# MLflow sorts views by age, the youngest first: fixed, so that sending again changes nothing.
_CREATED_MS = 1_760_000_000_000

TRIALS = "archsearch-trials"
FAMILIES = "archsearch-families"
FAIR = "archsearch-fair"

_NAME_COLUMN = "attributes.`Run Name`"
_COLUMNS = (
    ("params", "family"),
    ("tags", "outcome"),
    ("tags", "arm"),
    ("metrics", "num_params"),
    ("metrics", "num_macs"),
    ("tags", "reason"),
)


def view_tags(objective: Objective) -> dict[str, str]:
    """The views as tags of an experiment."""
    metric = objective.metric
    best_first: dict[str, Any] = {
        "orderByKey": f"metrics.`{metric}`",
        "orderByAsc": objective.direction == "minimize",
    }
    best_first |= _charts(metric, _cost(metric, "num_macs"), _cost(metric, "num_params"))
    by_family = {"groupBy": _BY_FAMILY} | _charts(metric)
    views: dict[str, tuple[str, dict[str, Any]]] = {
        TRIALS: ("Trials, best first", best_first),
        FAMILIES: (
            "Families by epoch",
            by_family | {"searchFilter": "tags.kind = 'trial' and tags.arm != 'confirm'"},
        ),
        FAIR: (
            "Families by epoch, random arm (drawn uniformly, never stopped)",
            by_family | {"searchFilter": "tags.kind = 'trial' and tags.arm = 'random'"},
        ),
    }
    return {
        _PREFIX + key: json.dumps(
            {
                "name": name,
                "createdAt": _CREATED_MS - place,
                "updatedAt": _CREATED_MS - place,
                "state": json.dumps(_state(metric) | changes),
            }
        )
        for place, (key, (name, changes)) in enumerate(views.items())
    }


def view_path(experiment_id: str, view: str, *, charts: bool = False) -> str:
    """The page of a view, below a server's address."""
    mode = {"compareRunsMode": "CHART"} if charts else {}
    query = {"workflowType": "machine_learning"} | mode | {"viewStateShareKey": view}
    return f"/#/experiments/{experiment_id}/runs?{urlencode(query)}"


def view_links(client: MlflowClient, url: str) -> list[str]:
    """Lines that name the views of the spaces searched last, with their addresses.

    Args:
        client: Of the store.
        url: Of a server with MLflow's pages on that store.
    """
    lines: list[str] = []
    for experiment in client.search_experiments(order_by=["last_update_time DESC"]):
        if _PREFIX + TRIALS in experiment.tags and len(lines) < 3 * _MOST_LINKED:
            number = experiment.experiment_id
            lines += [
                f"{experiment.name}",
                f"  trials, best first  {url}{view_path(number, TRIALS)}",
                f"  families by epoch   {url}{view_path(number, FAMILIES, charts=True)}",
            ]
    return lines


_MOST_LINKED = 5

_SECTION = "archsearch-metrics"


def _charts(metric: str, *first: dict[str, Any]) -> dict[str, Any]:
    """What is drawn first; below, MLflow adds the other metrics by name, which is all it does."""
    losses = [_curve(loss) for loss in ("val_loss", "train_loss") if loss != metric]
    drawn = [_curve(metric), *first, *losses]
    # The search's own; a chart of one value beside those of its trials.
    not_drawn = (f"best_{metric}", f"winner_{metric}", "winner_test_accuracy")
    hidden = [_chart("BAR", name, metricKey=name, deleted=True) for name in not_drawn]
    section = {"uuid": _SECTION, "name": "Model metrics", "display": True, "isReordered": True}
    return {"compareRunCharts": drawn + hidden, "compareRunSections": [section]}


def _chart(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    common = {"type": kind, "uuid": f"archsearch-{name}", "metricSectionId": _SECTION}
    return common | {"runsCountToCompare": 100, "deleted": False, "isGenerated": False} | fields


def _curve(metric: str) -> dict[str, Any]:
    """A metric by epoch: a line a run, or a family's mean."""
    return _chart(
        "LINE",
        metric,
        metricKey=metric,
        lineSmoothness=0,
        scaleType="linear",
        xAxisScaleType="linear",
        xAxisKey="step",
        selectedXAxisMetricKey="",
        yAxisKey="metric",
        yAxisExpressions=[],
        range={},
        ignoreOutliers=False,
        useGlobalXaxisKey=True,
        useGlobalLineSmoothing=True,
    )


def _cost(metric: str, cost: str) -> dict[str, Any]:
    """The objective by what a variant costs: a point a run."""
    return _chart(
        "SCATTER",
        f"{metric}-{cost}",
        xaxis={"key": cost, "type": "METRIC"},
        yaxis={"key": metric, "type": "METRIC"},
    )


_BY_FAMILY = {
    "aggregateFunction": "average",
    "groupByKeys": [{"mode": "param", "groupByData": "family"}],
}


def _state(metric: str) -> dict[str, Any]:
    """A page's whole state: MLflow does not fill in what a view leaves out."""
    return {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [f"{kind}.`{name}`" for kind, name in (("metrics", metric), *_COLUMNS)],
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
