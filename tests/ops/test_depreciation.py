"""`bitcorp depreciation post`: which commands a month needs, in what order they go, and what their answers mean."""

import json
from datetime import UTC, date, datetime

import pytest

from domain.depreciation import Account
from domain.record import Outcome, Status
from ops.depreciation import Place, answer_of, commands, rounds
from tests.domain.acme import FINANCIAL, TAX, terms
from tests.ops.shell import Shell

FULL = Place("acme", "ex-7", FINANCIAL, Account.of(terms()), ("2024-03", "2024-04", "2024-05"))
SHORT = Place("acme", "ex-8", TAX, Account.of(terms(available_on=date(2024, 5, 1))), ("2024-05",))


def outcome(status: Status, **more: object) -> Outcome:
    about = {"command_id": "4e2b1f4c-6b0b-5a93-9f06-1d7a3a4f9b11", "type": "t", "company_id": "acme"}
    where = {"aggregate": "equipment", "aggregate_id": "ex-7", "partition": 0, "position": 7, "offset": 1}
    said = {"actor": "system:depreciation", "fingerprint": "f", "recorded_at": datetime.now(UTC), "status": status}
    return Outcome.model_validate(about | where | said | more)


def test_each_period_that_a_book_lacks_is_one_command_of_the_agent() -> None:
    found = commands(FULL)
    assert [json.loads(command.data) for command in found] == [
        {"equipment_id": "ex-7", "book": "FINANCIAL", "period": period} for period in FULL.periods
    ]
    assert {str(command.actor) for command in found} == {"system:depreciation"}
    assert {(command.company_id, command.aggregate, command.aggregate_id) for command in found} == {
        ("acme", "equipment", "ex-7")
    }


def test_the_same_call_again_sends_the_same_ids_and_another_attempt_others() -> None:
    first, again, other = ([command.id for command in commands(FULL, attempt)] for attempt in (1, 1, 2))
    assert first == again
    assert set(first).isdisjoint(other)


def test_what_is_sent_at_once_never_holds_two_periods_of_one_book() -> None:
    sent = [
        [(c.aggregate_id, json.loads(c.data)["period"]) for c in group]
        for group in rounds([*map(commands, (FULL, SHORT))])
    ]
    assert sent == [[("ex-7", "2024-03"), ("ex-8", "2024-05")], [("ex-7", "2024-04")], [("ex-7", "2024-05")]]


def test_no_more_are_sent_at_once_than_the_broker_takes_well() -> None:
    many = [commands(FULL._replace(equipment=f"ex-{number}", periods=("2024-03",))) for number in range(1201)]
    assert [len(group) for group in rounds(many)] == [500, 500, 201]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (outcome(Status.ACCEPTED, first=3, last=3), "posted"),
        (outcome(Status.ACCEPTED), "posted before"),
        (outcome(Status.ACCEPTED, first=3, last=3, repeat=True), "posted before"),
        (outcome(Status.REJECTED, code="equipment-retired"), "rejected: equipment-retired"),
        (outcome(Status.FAILED, code="failed"), "failed: failed"),
    ],
)
def test_answers_are_told_by_what_they_mean_for_the_books(said: Outcome, meant: str) -> None:
    assert answer_of(said) == meant


@pytest.mark.parametrize("period", ["2026", "2026-13", "october", "2026-10-31"])
def test_what_is_no_month_is_refused_before_anything_is_asked(bitcorp: Shell, period: str) -> None:
    bitcorp.set(KAFKA="nowhere:1", DATABASE="postgresql://nobody@nowhere:1/none")
    said = bitcorp("depreciation", "post", "--period", period)
    assert said.code == 1
    assert "is no month" in said.text
