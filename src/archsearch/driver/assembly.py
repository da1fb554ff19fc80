"""Puts the parts that decide together: sampler, draws, stopping rule, confirmation, director."""

from __future__ import annotations

from collections.abc import Sequence

from archsearch.driver.plan import Plan
from archsearch.record.trial import Refusal, TrialRecord, search_trials
from archsearch.record.writer import Writer
from archsearch.search.choices import SAMPLERS, STOPPING_RULES
from archsearch.search.confirmation import Confirmation
from archsearch.search.director import Director
from archsearch.search.draws import Draws
from archsearch.search.events import Listener, Notice
from archsearch.search.memory_limit import MemoryLimit


def make_director(
    plan: Plan,
    writer: Writer,
    trials: Sequence[TrialRecord],
    refusals: Sequence[Refusal],
    listener: Listener,
) -> Director:
    """The director of a search, whose sampler and draws know the record; `restore` it next.

    Args:
        plan: What is to be searched, and how.
        writer: Of the search's record; the lease is held.
        trials: All recorded ones.
        refusals: All recorded ones.
        listener: Told of everything that happens.
    """
    sampler = SAMPLERS[plan.policy.sampler](plan.space, plan.request.seed)
    sampler.restore(trials, refusals)
    draws = Draws(
        space=plan.space,
        sampler=sampler,
        preflight=plan.preflight,
        input_spec=plan.data.input_spec,
        max_epochs=plan.ladder.max_epochs,
        seed=plan.request.seed,
        random_share=plan.policy.random_share,
        control_share=plan.policy.control_share,
        on_refusal=writer.refuse,
        batch_scale=plan.batch_scale,
        memory=MemoryLimit(num_workers=plan.shape.num_workers),
    )
    draws.restore(trials, refusals)
    draws.memory.restore(search_trials(trials), forgive=plan.request.retry_memory)
    if draws.skipped_baselines:
        names = ", ".join(draws.skipped_baselines)
        listener(Notice(f"Baselines above the cap are skipped: {names}."))
    return Director(
        writer=writer,
        paths=plan.paths,
        draws=draws,
        sampler=sampler,
        stopping_rule=STOPPING_RULES[plan.policy.scheduler](plan.ladder, plan.objective),
        data=plan.data,
        num_trials=plan.request.trials,
        shape=plan.shape,
        hang_seconds=plan.request.hang_seconds,
        listener=listener,
        confirmation=Confirmation(plan.request.confirm_spec, plan.request.seed, listener),
        sync_batch_norm=plan.request.sync_batch_norm,
    )
