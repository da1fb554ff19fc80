"""What every data set owes, whatever its source."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from archsearch.data import (
    DATA_SETS,
    DataSpec,
    PreparedData,
    augment,
    load_resident,
    load_test,
    normalise,
    prepare,
)
from tests.unit.data import formats

SIZES = [None, 12]


@pytest.fixture(scope="module", params=[(n, s) for n in DATA_SETS for s in SIZES], ids=str)
def prepared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> PreparedData:
    name, image_size = request.param
    folder = tmp_path_factory.mktemp(name)
    form = next((form for form, (of, _) in formats.FORMS.items() if of == name), None)
    if form is not None:
        formats.write_form(form, folder / "source", num_train=200, num_test=30)
    return prepare(
        DataSpec(name=name, image_size=image_size, train_size=120),
        cache_dir=folder / "cache",
        data_dir=None if form is None else folder / "source",
    )


def test_it_describes_itself_completely(prepared: PreparedData) -> None:
    data_set = DATA_SETS[prepared.name]
    assert prepared.num_classes == len(prepared.class_names) == len(set(data_set.class_names))
    assert prepared.image_size in (data_set.shape[1], 12)
    assert data_set.shape[1] == data_set.shape[2]
    assert len(prepared.mean) == len(prepared.std) == prepared.in_channels == data_set.shape[0]
    assert all(0 <= value <= 1 for value in prepared.mean)
    assert all(1 / 255 <= value <= 0.5 for value in prepared.std)
    assert len(prepared.digest) == len(prepared.split_digest) == 64
    assert Path(prepared.path).is_absolute()


def test_its_tensors_are_what_it_says(prepared: PreparedData) -> None:
    data, test = load_resident(prepared), load_test(prepared)
    expected = {"train": 120, "val": prepared.num_val, "test": prepared.num_test}
    for split, rows in zip((data.train, data.val, test), expected.values(), strict=True):
        shape = (rows, prepared.in_channels, prepared.image_size, prepared.image_size)
        assert split.images.shape == shape
        assert split.images.dtype == torch.uint8
        assert split.labels.min() >= 0
        if prepared.multi_label:
            assert split.labels.shape == (rows, prepared.num_classes)
            assert split.labels.dtype == torch.uint8
            assert split.labels.max() == 1
        else:
            assert split.labels.shape == (rows,)
            assert split.labels.dtype == torch.int64
            assert split.labels.max() < prepared.num_classes


def test_a_batch_goes_all_the_way_to_a_network(prepared: PreparedData) -> None:
    images = load_resident(prepared).train.images[:16]
    generator = torch.Generator().manual_seed(0)
    batch = augment(images, 0.5, generator, flip=prepared.flip, fill=prepared.mean)
    numbers = normalise(batch, prepared.mean, prepared.std, memory_format=torch.channels_last)
    assert numbers.shape == images.shape
    assert numbers.isfinite().all()


def test_preparing_it_again_changes_nothing(prepared: PreparedData) -> None:
    before = Path(prepared.path).stat().st_mtime_ns
    spec = DataSpec(
        name=prepared.name, image_size=prepared.image_size, train_size=prepared.train_size
    )
    source = Path(prepared.path).parent.parent / "source"
    again = prepare(
        spec,
        cache_dir=Path(prepared.path).parent,
        data_dir=source if source.is_dir() else None,
    )
    assert again == prepared
    assert Path(prepared.path).stat().st_mtime_ns == before
