from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch.data.raw import LabelledImages, RawData
from archsearch.data.split import split_of, stratified_order
from archsearch.errors import UnfitError


def raw_of(labels: list[int], test_labels: list[int] | None = None) -> RawData:
    def part(values: list[int]) -> LabelledImages:
        return LabelledImages(
            np.zeros((len(values), 1, 2, 2), np.uint8), np.array(values, np.int64)
        )

    return RawData(part(labels), None if test_labels is None else part(test_labels))


label_lists = st.lists(st.integers(0, 4), min_size=5, max_size=200)


@given(labels=label_lists)
def test_without_an_official_test_set_each_image_is_in_exactly_one_split(
    labels: list[int],
) -> None:
    split = split_of(raw_of(labels), name="x")
    everything = np.concatenate([split.train, split.val, split.test])
    assert sorted(everything) == list(range(len(labels)))


@given(labels=label_lists, num_test=st.integers(1, 9))
def test_an_official_test_set_stays_as_it_is(labels: list[int], num_test: int) -> None:
    split = split_of(raw_of(labels, [0] * num_test), name="x")
    assert list(split.test) == list(range(num_test))
    assert sorted(np.concatenate([split.train, split.val])) == list(range(len(labels)))


@given(labels=label_lists)
def test_every_prefix_holds_each_class_in_proportion(labels: list[int]) -> None:
    values = np.array(labels, np.int64)
    order = stratified_order(np.arange(len(values), dtype=np.int64), values)
    for label in np.unique(values):
        share = (values == label).mean()
        counts = np.cumsum(values[order] == label)
        wanted = share * np.arange(1, len(values) + 1)
        # One image of this class, plus the half images by which the others may be ahead or behind.
        assert np.abs(counts - wanted).max() <= 1 + 0.5 * share * len(np.unique(values))


def test_sizes_are_the_documented_shares() -> None:
    labels = [i % 10 for i in range(1000)]
    own = split_of(raw_of(labels), name="x")
    assert (len(own.train), len(own.val), len(own.test)) == (640, 160, 200)
    official = split_of(raw_of(labels, labels[:50]), name="x")
    assert (len(official.train), len(official.val)) == (900, 100)
    assert set(np.bincount(np.array(labels)[official.val])) == {10}


def test_the_split_is_the_same_on_every_machine() -> None:
    split = split_of(raw_of([i % 3 for i in range(30)]), name="x")
    assert split.test.tolist() == [10, 23, 15, 4, 2, 0]
    assert split.val.tolist() == [28, 20, 21, 25, 26]


def test_too_few_images_are_refused() -> None:
    with pytest.raises(UnfitError, match="`x` is too small to be split: 1 images leave 0 to tr"):
        split_of(raw_of([0], [0]), name="x")
