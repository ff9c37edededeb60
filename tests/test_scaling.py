"""The tables of docs/scaling.md follow from the files of figures, and the plans from the arithmetic that they show."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.growth import POINTS, RESULTS
from bench.growth_page import PAGE, page
from bench.scaling import ASSUMED, WORKERS, Measured, Plan, results_of, steps
from ops.bench import RESULTS as OTHERS

MEASURED = Measured(commands=2_000, log_bytes=1_500, journal_bytes=700, projected=5_000, posted=500)


def figures(commands: int, value: int) -> dict[str, Any]:
    said = {"p50_ms": 10.0, "p99_ms": 50.0, "resident_mb": 200, "recovery_seconds": 2.5}
    kept = {"log_bytes_per_command": 1_500, "journal_bytes_per_command": 700}
    return {"axis": "companies", "value": value, "commands_per_second": commands, **said, **kept}


GROWTH = {
    "machine": {"processor": "P", "cores": 2, "memory_gb": 8, "system": "S", "python": "3"},
    "at": "2026-11-28T17:00:00+00:00",
    "points": {"companies=1": figures(3_000, 1), "companies=10000": figures(2_000, 10_000)},
}
PROJECTION = {"projection": {"fleet_projected": 10_000, "history_projected": 10_000}}


def test_a_plan_begins_with_the_slowest_figures_that_were_measured() -> None:
    posting = {"posting": {"accepted_per_second_at_100": 100, "accepted_per_second_at_2000": 500}}
    assert Measured.of(GROWTH, {"figures": PROJECTION | posting}) == MEASURED


def test_a_plan_for_a_thousand_workers_is_the_arithmetic_that_it_shows() -> None:
    plan = Plan(1_000, MEASURED)
    assert (plan.commands, plan.platforms, plan.partitions) == (1_000_000, 8, 500)
    assert plan.written_mb == 4_500
    assert (plan.brokers, plan.shards, plan.apis) == (15, 600, 1_200)
    assert plan.cores == 1_000 + 600 + 1_200 + 2 * 15 * 8 + 4 * 600
    assert results_of(plan)[:4] == ("1,000,000", "8", "500", "4,500")


@pytest.mark.parametrize("workers", WORKERS)
def test_every_step_of_a_plan_has_a_result_and_no_platform_more_partitions_than_it_may(workers: int) -> None:
    plan = Plan(workers, MEASURED)
    assert len(list(steps(plan))) == len(results_of(plan))
    assert plan.partitions <= 500
    assert plan.brokers >= ASSUMED["replicas"][0]


def test_the_page_has_what_was_measured_and_is_the_same_when_written_again() -> None:
    others = {"figures": PROJECTION}
    once = page(PAGE.read_text(), GROWTH, others)
    assert "| 10,000 | 2,000 | 10.0 | 50.0 | 200 | 2.5 | 1,500 | 700 |" in once
    assert "| commands a second | 1,000 | 10,000 | 100,000 | 1,000,000 |" in once
    assert page(once, GROWTH, others) == once


def kept(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        yield json.loads(path.read_text())


def test_the_page_in_the_tree_shows_the_figures_in_the_tree() -> None:
    for growth in kept(RESULTS):
        assert growth["points"].keys() == {point.name for point in POINTS}
        assert page(PAGE.read_text(), growth, json.loads(OTHERS.read_text())) == PAGE.read_text()
