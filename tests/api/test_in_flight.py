"""More commands than lanes decide are not taken: the API says so, and loses nothing that it took."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from api.in_flight import LONGEST_SECONDS, InFlight
from api.problems import Problem
from domain.decider import Actor
from tests.api.callers import Api, address_of, open_company, run, until
from tests.api.test_commands import records
from tests.api.test_door import problem
from topics.catalogue import COMMANDS, OUTCOMES, partition_of
from topics.messages import CommandMessage
from topics.settings import Settings
from views.migrate import upgrade

MOST = 3
SETTINGS = Settings(most_in_flight=MOST, partitions=6)


def command(company: str = "acme") -> CommandMessage:
    return CommandMessage(str(uuid4()), "sample", company, "equipment", "EX-7", Actor("user", "ann"), b"{}")


def elsewhere(company: str) -> str:
    """A company of another partition."""
    names = (f"company-{number}" for number in range(100))
    here = partition_of(company.encode(), SETTINGS.partitions)
    return next(name for name in names if partition_of(name.encode(), SETTINGS.partitions) != here)


def test_commands_are_taken_until_so_many_of_the_partition_wait_for_their_lane() -> None:
    in_flight, first = InFlight(SETTINGS), command()
    in_flight.enter([first, command(), command()])
    with pytest.raises(Problem) as refused:
        in_flight.enter([command()])
    assert refused.value.type.code == "overloaded"
    assert refused.value.headers["Retry-After"] == "1"
    in_flight.leave(first.id.encode())
    in_flight.enter([command()])


def test_a_lane_that_stands_still_makes_only_its_own_companies_wait() -> None:
    in_flight = InFlight(SETTINGS)
    in_flight.enter([command() for _ in range(MOST)])
    in_flight.enter([command(elsewhere("acme"))])
    with pytest.raises(Problem):
        in_flight.enter([command(elsewhere("acme")), command()])


def test_a_request_with_many_commands_is_taken_whole_or_not_at_all() -> None:
    in_flight = InFlight(SETTINGS)
    many = [command() for _ in range(2 * MOST)]
    in_flight.enter(many)
    for each in many[: MOST + 1]:
        in_flight.leave(each.id.encode())
    in_flight.enter([command()])


def test_the_same_command_sent_again_is_counted_once() -> None:
    in_flight, same = InFlight(SETTINGS), command()
    for _ in range(2 * MOST):
        in_flight.enter([same])


def test_a_command_that_gets_no_outcome_is_forgotten_after_a_minute() -> None:
    now = 0.0
    in_flight = InFlight(SETTINGS, lambda: now)
    in_flight.enter([command() for _ in range(MOST)])
    now = LONGEST_SECONDS + 1
    in_flight.enter([command()])


# --- a real API -----------------------------------------------------------------------------------------------------


@pytest.fixture
def crowded(settings: Settings) -> Iterator[Api]:
    """An API that takes three commands at a time, and no lanes yet."""
    tight = settings.model_copy(update={"api_port": 0, "rate_limits": "", "most_in_flight": MOST})
    asyncio.run(upgrade(tight.database.get_secret_value()))
    processes = {"api": run("api.app", tight)}
    try:
        yield Api(tight, address_of(tight.directory / "api.log", processes["api"]), processes)
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            process.wait(30)


def test_beyond_the_bound_the_api_answers_503_and_what_it_took_is_decided(
    crowded: Api, machine: dict[str, Any]
) -> None:
    crowded.processes["lanes"] = run("agents.decide", crowded.settings)
    open_company(crowded, "acme", "ann")
    crowded.processes["lanes"].terminate()
    crowded.processes["lanes"].wait(30)
    ann = crowded.user("ann")
    answers = [ann.post("equipment", machine | {"equipment_id": f"EX-{number}"}) for number in range(MOST + 2)]
    assert [answer.status_code for answer in answers] == [202] * MOST + [503] * 2
    problem(answers[-1], 503, "overloaded")
    assert answers[-1].headers["Retry-After"] == "1"
    assert "bitcorp_api_in_flight 3.0" in ann.get("/metrics").text
    crowded.processes["lanes"] = run("agents.decide", crowded.settings)
    again = until(lambda: _taken(ann.post("equipment", machine)), "commands are taken again")
    sent = {answer.json()["command_id"] for answer in (*answers[:MOST], again)}
    until(lambda: sent <= _ids(crowded, OUTCOMES.named(crowded.settings.prefix), "ce_causationid"), "all are decided")
    assert sent <= _ids(crowded, COMMANDS.named(crowded.settings.prefix), "ce_id")


def _taken(answer: Any) -> Any:
    assert answer.status_code in (202, 503)
    return answer if answer.status_code == 202 else None


def _ids(api: Api, topic: str, header: str) -> set[str]:
    return {headers[header] for headers, _ in records(api.settings, topic, "acme")}
