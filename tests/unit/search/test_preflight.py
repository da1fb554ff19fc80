"""What is above a cap is refused before a worker is asked, with the figures."""

from __future__ import annotations

import pytest

from archsearch.schema import InputSpec
from archsearch.search.preflight import InfeasibleError, Preflight
from archsearch.spaces.catalogue import parse_name
from archsearch.spaces.limits import Constraints
from archsearch.spaces.recipe import Recipe
from archsearch.spaces.trial import TrialConfig
from archsearch.training.footprint import training_memory

INPUT = InputSpec(in_channels=1, image_size=8, num_classes=10)


def config(name: str, batch_size: int = 64) -> TrialConfig:
    return TrialConfig(
        architecture=parse_name(name),
        recipe=Recipe(batch_size=batch_size),
        input=INPUT,
        max_epochs=1,
        seed=0,
    )


def capped(**caps: int) -> Preflight:
    return Preflight(((Constraints(**caps), "the space's `constraints`"),))


def test_memory_is_predicted_at_the_trial_s_batch_where_it_is_capped() -> None:
    told = capped(max_memory_mib=100).check(config("WRN-10-1", batch_size=32))
    memory = training_memory(parse_name("WRN-10-1"), INPUT, 32)
    assert told["memory_mib"] == memory.peak_mib
    assert "memory_mib" not in capped(max_params=10**9).check(config("WRN-10-1"))


def test_a_cap_on_memory_refuses_a_large_batch_and_lets_a_small_one_through() -> None:
    preflight = capped(max_memory_mib=20)
    assert preflight.check(config("WRN-16-2", batch_size=8))["memory_mib"] < 20
    with pytest.raises(InfeasibleError, match=r"WRN-16-2: `memory_mib <= 20` must hold, got \d"):
        preflight.check(config("WRN-16-2", batch_size=256))


def test_bfloat16_fits_where_float32_does_not() -> None:
    wide = config("WRN-10-1", batch_size=256)
    caps = capped(max_memory_mib=8).caps
    with pytest.raises(InfeasibleError):
        Preflight(caps).check(wide)
    Preflight(caps, precision="bfloat16").check(wide)


def test_what_is_cheap_to_know_is_looked_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archsearch.search.preflight.training_memory", None)
    with pytest.raises(InfeasibleError, match="`params <= 10` must hold"):
        capped(max_params=10, max_memory_mib=1).check(config("WRN-10-1"))
