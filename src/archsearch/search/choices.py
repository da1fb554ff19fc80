"""The samplers and stopping rules that can be chosen: nothing else names one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from archsearch.halving.never_stop import NeverStop
from archsearch.halving.rung_table import RungTable
from archsearch.halving.rungs import Ladder
from archsearch.halving.stopping_rule import StoppingRule
from archsearch.objective import Objective
from archsearch.record.policy import SamplerName, SchedulerName
from archsearch.search.sampler import Sampler
from archsearch.search.tpe_sampler import TpeSampler
from archsearch.search.uniform_sampler import UniformSampler
from archsearch.spaces.population import Population

SAMPLERS: Mapping[SamplerName, Callable[[Population, int], Sampler]] = {
    "tpe": TpeSampler,
    "uniform": UniformSampler,
}
"""How each sampler is made, from a space and the search's seed."""

STOPPING_RULES: Mapping[SchedulerName, Callable[[Ladder, Objective], StoppingRule]] = {
    "stopping": RungTable,
    "none": lambda ladder, objective: NeverStop(objective),
}
"""How each stopping rule is made, from the search's ladder and objective."""
