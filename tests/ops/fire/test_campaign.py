"""Campaigns: which seeds, which faults in which order, and a short one for real."""

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from ops.errors import Fault
from ops.fire.campaign import Plan, Report, dishonest, run
from ops.fire.command import answers, chosen, seeds
from ops.fire.faults import FAULTS, playable
from ops.fire.load import Sent
from tests.ops.shell import Shell
from topics.settings import Settings


def test_seeds_are_one_or_several() -> None:
    assert list(seeds("7")) == [7]
    assert list(seeds("1..3")) == [1, 2, 3]


@pytest.mark.parametrize("text", ["", "x", "1..", "..2", "3..1", "1.5"])
def test_what_is_no_seed_is_refused(text: str) -> None:
    with pytest.raises(Fault):
        seeds(text)


def test_an_unknown_scenario_is_answered_with_those_there_are(bitcorp: Shell) -> None:
    said = bitcorp("fire", "--scenario", "flood")
    assert said.code == 1
    assert "The scenario flood does not exist" in said.text
    assert all(name in said.text for name in playable())
    assert chosen([]) == playable()


def test_every_fault_says_what_it_is_also_on_its_page() -> None:
    page = (Path(__file__).parents[3] / "docs" / "fire.md").read_text()
    for name, fault in FAULTS.items():
        assert fault.meaning.endswith(".")
        assert f"| `{name}` |" in page


def test_a_seed_draws_the_faults_and_all_come_before_one_comes_again() -> None:
    plan = Plan.of(4, 60, list(FAULTS), 40)
    first, again = (list(islice(plan.drawn(Random(4)), 2 * len(FAULTS))) for _ in range(2))
    assert first == again
    assert {fault.name for fault in first[: len(FAULTS)]} == FAULTS.keys()


def sent(command: str, at: float, status: int | None = None) -> Sent:
    return Sent(command, "firm-1", "firm-1", "type", "good", "http", at, True, status)


def test_a_wait_is_of_the_fault_into_whose_time_it_fell_mostly() -> None:
    report = Report([(100.0, "kill"), (110.0, "pause")], [sent("a", 99.0), sent("b", 102.0), sent("c", 109.0)])
    report.answered = {"a": 104.0, "b": 112.0, "c": 113.0}
    assert report.longest_waits() == {"kill": 10.0, "pause": 4.0}
    assert (report.times("kill"), report.times("cut-off")) == (1, 0)


def test_an_api_may_say_that_kafka_is_away_and_nothing_else_that_is_its_own_fault() -> None:
    assert dishonest([sent("a", 0, 202), sent("b", 0, 503), sent("c", 0, None), sent("d", 0, 409)]) == []
    assert len(dishonest([sent("a", 0, 500), sent("b", 0, 401)])) == 2


def test_a_campaign_tells_how_often_who_answered_what() -> None:
    over_kafka = replace(sent("c", 0), via="kafka")
    told = answers([sent("a", 0, 202), sent("b", 0), over_kafka, replace(over_kafka, acknowledged=False)])
    assert told == "Kafka: 1 acknowledged, 1 not; HTTP: 1 202, 1 none"


@pytest.mark.servers
@pytest.mark.slow
def test_a_short_campaign_with_a_kill_is_clean(tmp_path: Path) -> None:
    told: list[str] = []
    report = run(Plan.of(1, 10, ["kill-lanes"], 30), Settings(), tmp_path, told.append)
    assert report.findings == []
    assert report.times("kill-lanes") >= 1
    lines = [json.loads(line) for line in (tmp_path / "sent.jsonl").read_text().splitlines()]
    assert len(lines) == len(report.sent) > 100
    assert set(lines[0]) == set(Sent.__dataclass_fields__)
    assert told[-1] == "verification"
