"""Placement groups ask a made-up cluster for room and give it back at once."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from archsearch.engine.autoscaling import (
    GROUP_PREFIX,
    NOTICE_SECONDS,
    UPDATE_SECONDS,
    CapacityRequests,
)
from archsearch.search.slots import TrialShape


@dataclass
class Cluster:
    """Groups by number: whether they have found room; and the bundles that were asked for."""

    groups: dict[int, bool] = field(default_factory=dict)
    asked: list[list[dict[str, float]]] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    now: float = 100.0

    def placement_group(self, bundles: list[dict[str, float]], name: str) -> int:
        assert name.startswith(GROUP_PREFIX)
        number = next(self.numbers)
        self.groups[number] = False
        self.asked.append(bundles)
        return number

    def placement_group_table(self, group: int) -> dict[str, str]:
        return {"state": "CREATED" if self.groups[group] else "PENDING"}

    def remove_placement_group(self, group: int) -> None:
        del self.groups[group]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster()
    for name in ("placement_group", "placement_group_table", "remove_placement_group"):
        monkeypatch.setattr(f"ray.util.{name}", getattr(cluster, name))
    clock = SimpleNamespace(monotonic=lambda: cluster.now)
    monkeypatch.setattr("archsearch.engine.autoscaling.time", clock)
    return cluster


def test_they_double_the_cluster_at_most_and_ask_for_no_more_than_can_be_used(
    cluster: Cluster,
) -> None:
    capacity_requests = CapacityRequests(
        TrialShape(num_cpus=2, num_gpus=0.5), lambda sentence: None
    )
    for num_slots, num_open, wanted in [
        (1, 10, 1),
        (2, 10, 2),
        (4, 10, 4),
        (8, 10, 2),
        (16, 9, 0),
    ]:
        capacity_requests.update(num_slots, num_open, num_waiting=0)
        assert len(cluster.groups) == wanted
    assert all(bundles == [{"CPU": 2.0, "GPU": 0.5}] for bundles in cluster.asked)


def test_one_that_has_found_room_gives_it_back(cluster: Cluster) -> None:
    capacity_requests = CapacityRequests(TrialShape(num_workers=3), lambda sentence: None)
    capacity_requests.update(1, 5, num_waiting=0)
    assert cluster.asked == [[{"CPU": 1.0}] * 3]
    (first,) = cluster.groups
    cluster.groups[first] = True
    capacity_requests.update(2, 5, num_waiting=0)
    assert first not in cluster.groups
    assert len(cluster.groups) == 2


def test_none_is_sent_while_a_trial_waits_and_room_found_is_given_back(cluster: Cluster) -> None:
    capacity_requests = CapacityRequests(TrialShape(), lambda sentence: None)
    capacity_requests.update(1, 5, num_waiting=0)
    (first,) = cluster.groups
    capacity_requests.update(2, 5, num_waiting=1)
    assert list(cluster.groups) == [first]
    cluster.groups[first] = True
    capacity_requests.update(2, 5, num_waiting=1)
    assert not cluster.groups


def test_they_end_with_the_search(cluster: Cluster) -> None:
    capacity_requests = CapacityRequests(TrialShape(), lambda sentence: None)
    capacity_requests.update(3, 9, num_waiting=0)
    capacity_requests.end()
    assert not cluster.groups


def test_a_long_wait_is_told_once_until_there_was_room(cluster: Cluster) -> None:
    told: list[str] = []
    capacity_requests = CapacityRequests(TrialShape(num_gpus=1), told.append)
    for _ in range(3 * int(NOTICE_SECONDS / UPDATE_SECONDS)):
        assert capacity_requests.is_due
        capacity_requests.update(1, 5, num_waiting=1)
        assert not capacity_requests.is_due
        cluster.now += UPDATE_SECONDS
    (sentence,) = told
    assert sentence.startswith("No node has room for a trial of 1 CPU and 1 GPU now")
    capacity_requests.update(1, 5, num_waiting=0)
    for _ in range(int(NOTICE_SECONDS / UPDATE_SECONDS) + 1):
        capacity_requests.update(1, 5, num_waiting=1)
        cluster.now += UPDATE_SECONDS
    assert len(told) == 2
