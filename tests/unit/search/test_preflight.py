"""What is above a cap is refused before a worker is asked, with the figures."""

from __future__ import annotations

import pytest

from archsearch.search.preflight import InfeasibleError, Preflight
from archsearch.spaces.catalogue import parse_name
from archsearch.spaces.limits import Constraints
from archsearch.training.footprint import training_memory
from tests.records import DIGITS, config_of


def capped(**caps: int) -> Preflight:
    return Preflight(((Constraints(**caps), "the space's `constraints`"),))


def test_memory_is_predicted_at_the_trial_s_batch_where_it_is_capped() -> None:
    told = capped(max_memory_mib=100).check(config_of("WRN-10-1", batch_size=32))
    memory = training_memory(parse_name("WRN-10-1"), DIGITS, 32)
    assert told.memory_mib == memory.peak_mib
    assert capped(max_params=10**9).check(config_of("WRN-10-1")).memory_mib is None


def test_a_cap_on_memory_refuses_a_large_batch_and_lets_a_small_one_through() -> None:
    preflight = capped(max_memory_mib=20)
    small = preflight.check(config_of("WRN-16-2", batch_size=8))
    assert small.memory_mib is not None
    assert small.memory_mib < 20
    with pytest.raises(InfeasibleError, match=r"WRN-16-2: `memory_mib <= 20` must hold, got \d"):
        preflight.check(config_of("WRN-16-2", batch_size=256))


def test_bfloat16_fits_where_float32_does_not() -> None:
    wide = config_of("WRN-10-1", batch_size=256)
    caps = capped(max_memory_mib=8).caps
    with pytest.raises(InfeasibleError):
        Preflight(caps).check(wide)
    Preflight(caps, precision="bfloat16").check(wide)


def test_what_is_cheap_to_know_is_looked_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archsearch.search.preflight.training_memory", None)
    with pytest.raises(InfeasibleError, match="`params <= 10` must hold"):
        capped(max_params=10, max_memory_mib=1).check(config_of("WRN-10-1"))


def test_a_batch_of_one_image_is_refused_where_batchnorm_is() -> None:
    with pytest.raises(InfeasibleError, match=r"batches of one image cannot be trained with Bat"):
        capped().check(config_of("WRN-10-1", batch_size=1))
    assert capped().check(config_of("WRN-10-1", batch_size=2)).params > 0
