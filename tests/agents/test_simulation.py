"""Lanes under every fault that a seed can bring: each command is decided once, and every reader sees one history.

A failing seed is named with the command that repeats it: BITCORP_SEED=<n> pytest tests/agents/test_simulation.py
"""

import os
from collections.abc import Iterator

import pytest

from tests.agents.checker import judge_one_history
from tests.agents.mutants import MUTANTS, Mutant
from tests.agents.simulation import Faults, Simulation, rename_by_build

BLOCK = 50
GIVEN = os.environ.get("BITCORP_SEED")


def blocks(first: int, last: int) -> list[range]:
    if GIVEN is not None:
        return [range(int(GIVEN), int(GIVEN) + 1)]
    return [range(start, min(start + BLOCK, last)) for start in range(first, last, BLOCK)]


def named(seeds: range) -> str:
    return f"seeds {seeds.start}-{seeds.stop - 1}"


def hold(seeds: range) -> None:
    for seed in seeds:
        run = Simulation(seed)
        violations = "\n  ".join(run.run())
        assert not violations, (
            f"seed {seed} ({run.faults}):\n  {violations}\nAgain: BITCORP_SEED={seed} pytest {__file__}"
        )


@pytest.mark.thorough
@pytest.mark.parametrize("seeds", blocks(0, 50), ids=named)
def test_whatever_goes_wrong_the_history_is_that_of_one_owner_without_faults(seeds: range) -> None:
    hold(seeds)


@pytest.mark.long
@pytest.mark.parametrize("seeds", blocks(50, 300), ids=named)
def test_the_same_for_more_seeds(seeds: range) -> None:
    hold(seeds)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", blocks(300, 5000), ids=named)
def test_the_same_for_thousands_of_seeds(seeds: range) -> None:
    hold(seeds)


def deaths(seed: int, **faults: float) -> Iterator[Simulation]:
    """The same run again and again; its first owner dies at its first await, then at its second, and so on."""
    step = 0
    while True:
        step += 1
        run = Simulation(seed, given=Faults(**faults), orders=14, owners=0, first_dies_at=step)
        run.run()
        yield run
        if run.first.steps < step:
            return


@pytest.mark.thorough
@pytest.mark.parametrize("seed", [1, 2])
def test_an_owner_may_die_at_any_await(seed: int) -> None:
    runs = list(deaths(seed))
    assert len(runs) > 20
    assert [(run.first.steps, run.violations) for run in runs if run.violations] == []


@pytest.mark.thorough
def test_a_message_of_the_dead_may_arrive_late_or_twice() -> None:
    runs = list(deaths(3, late=0.3, twice=0.3))
    assert [(run.first.steps, run.violations) for run in runs if run.violations] == []


@pytest.mark.thorough
@pytest.mark.parametrize("seeds", blocks(0, 60), ids=named)
def test_owners_that_decide_differently_still_make_one_history(seeds: range) -> None:
    for seed in seeds:
        run = Simulation(seed, judge=judge_one_history, rename=rename_by_build)
        assert run.run() == [], f"seed {seed}"


@pytest.mark.thorough
def test_the_same_seed_gives_the_same_run() -> None:
    first, second = Simulation(11), Simulation(11)
    first.run(), second.run()
    assert first.broker.topics == second.broker.topics
    assert first.broker.changelog == second.broker.changelog


@pytest.mark.thorough
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_lane_with_a_fault_is_found_out(mutant: Mutant) -> None:
    assert any(mutant.violations(seed) for seed in range(mutant.seeds)), "the simulation would prove nothing"
