"""The one place that chooses what a tracking store is spoken to with."""

from __future__ import annotations

from archsearch.record.deliveries import Deliveries
from archsearch.tracking.mlflow_tracker import MlflowTracker
from archsearch.tracking.store import TrackingStore
from archsearch.tracking.tracker import Tracker


def open_tracker(store: TrackingStore, deliveries: Deliveries, timeout_seconds: int) -> Tracker:
    """Open a search's destination: MLflow, which all stores are.

    Args:
        store: Where messages go.
        deliveries: Of the search to that store.
        timeout_seconds: How long one call may take.

    Raises:
        UnfitError: The store cannot be made or used.
        Exception: Whatever a server that fails makes the tracker raise.
    """
    return MlflowTracker.open(store, deliveries, timeout_seconds)
