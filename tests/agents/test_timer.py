"""The timer on real servers: what is due is ordered, and however many timers order it, it happens once."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from pydantic import SecretStr

from agents.timer import ASKED_AGAIN, REVIEWED_AGAIN, occurrence, review
from domain.plan import RecordOccurrence, ReviewPlan, plan
from ops.embedded import Stack
from ops.settings import as_environment
from tests.agents.orders import company_on, create_equipment, opening, order, record_of
from tests.agents.test_project import until
from tests.agents.upstream import Upstream
from tests.domain.acme import ACME, EXCAVATOR, PLANNED
from tests.views.journal import Journal
from topics.catalogue import COMMANDS
from topics.provision import create_topics
from topics.settings import Settings
from views import GROUPS
from views.checkpoints import assigned
from views.due import DuePlan, MovedPlan
from views.migrate import upgrade
from views.projecting import apply
from views.reading import write_engine

FIRM = company_on(0, 3)
NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)
RECORD, REVIEW = plan.rules[RecordOccurrence].type, plan.rules[ReviewPlan].type

# --- what is ordered ------------------------------------------------------------------------------------------------

DUE = DuePlan("acme", "weekly", 3, date(2026, 11, 23))
MOVED = MovedPlan("acme", "weekly", 3, NOW)


def test_what_is_due_is_ordered_by_the_planner() -> None:
    command = occurrence(DUE, NOW)
    assert (command.type, command.company_id, str(command.actor)) == (RECORD, "acme", "system:planner")
    assert (command.aggregate, command.aggregate_id) == ("plan", "weekly")
    assert command.data == b'{"plan_id":"weekly","date":"2026-11-23"}'
    assert (review(MOVED, NOW).type, review(MOVED, NOW).data) == (REVIEW, b'{"plan_id":"weekly"}')


def test_two_timers_give_the_same_occasion_the_same_id() -> None:
    later = NOW + timedelta(minutes=9)
    assert occurrence(DUE, NOW) == occurrence(DUE, later)
    assert review(MOVED, NOW) == review(MOVED, later)
    assert UUID(occurrence(DUE, NOW).id) != UUID(review(MOVED, NOW).id)


@pytest.mark.parametrize(
    "other", [{"company_id": "beta"}, {"plan_id": "daily"}, {"version": 4}, {"day": date(2026, 11, 30)}]
)
def test_another_occasion_has_another_id(other: dict[str, Any]) -> None:
    assert occurrence(DUE, NOW).id != occurrence(DUE._replace(**other), NOW).id


def test_work_and_readings_are_occasions_of_their_own() -> None:
    assert review(MOVED, NOW).id != review(MOVED._replace(since=NOW + timedelta(seconds=1)), NOW).id
    assert review(MOVED, NOW).id != review(MOVED._replace(version=4), NOW).id


def test_a_refusal_does_not_hold_for_ever() -> None:
    assert occurrence(DUE, NOW).id != occurrence(DUE, NOW + ASKED_AGAIN).id
    assert review(MOVED, NOW).id != review(MOVED, NOW + REVIEWED_AGAIN).id


# --- on real servers ------------------------------------------------------------------------------------------------


@dataclass
class House:
    """Workers on the servers of a test, and a foreign system that sends commands."""

    settings: Settings
    folder: Path
    started: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self, module: str) -> "subprocess.Popen[bytes]":
        """One process; its log is told from the others' by its number."""
        words = f"from agents.{module} import main; from topics.settings import Settings; main(Settings())"
        with self.log(len(self.started)).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", words], env=os.environ | as_environment(self.settings), stderr=log
            )
        self.started.append(process)
        return process

    def log(self, number: int) -> Path:
        return self.folder / f"process-{number}.log"

    async def says(self, number: int, words: str, times: int = 1) -> None:
        async def said() -> bool:
            return self.log(number).read_text().count(words) >= times

        await until(said, f"process {number} says {words!r}: {self.log(number).read_text()[-2000:]}")

    async def ask(self, question: str) -> Any:
        database = await asyncpg.connect(self.settings.database.get_secret_value())
        try:
            return await database.fetchval(question)
        finally:
            await database.close()

    async def becomes(self, question: str, answer: object) -> None:
        async def so() -> bool:
            return bool(await self.ask(question) == answer)

        await until(so, f"{question} gives {answer}")

    def stop(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()


@pytest.fixture
async def house(settings: Settings, tmp_path: Path) -> AsyncIterator[House]:
    await upgrade(settings.database.get_secret_value())
    made = House(settings.model_copy(update={"timer_seconds": 0.2, "session_seconds": 3}), tmp_path)
    made.start("decide")
    made.start("project")
    yield made
    made.stop()


@pytest.fixture
def upstream(house: House) -> Iterator[Upstream]:
    made = Upstream(house.settings)
    yield made
    made.close()


def planned(anchor: str) -> list[Any]:
    """A company with a machine and a plan whose first day is today."""
    today = str(datetime.now(UTC).date())
    terms = {
        "maintenance_type": "PREVENTIVE",
        "anchor": anchor,
        "schedule": {"rule": "FREQ=WEEKLY", "start": today},
    }
    define = order(FIRM, "plan.define-plan", "weekly", {"name": "Weekly", "equipment_id": "m-1", "terms": terms})
    return [*opening(FIRM), create_equipment(FIRM, "m-1", 1), define]


def send(upstream: Upstream, commands: list[Any]) -> None:
    upstream.send(upstream.command(record_of(command)) for command in commands)
    assert {upstream.outcome(command.id).status for command in commands} == {"accepted"}


JOBS = "SELECT count(*) FROM erp.maintenance_jobs"
#: As a view looks that lags, or is being rebuilt.
BEHIND = "UPDATE erp.plans SET next_due_on = last_due_on"


@pytest.mark.long
async def test_a_plan_that_comes_due_gets_one_job_whatever_becomes_of_the_timers(
    house: House, upstream: Upstream
) -> None:
    timers = [house.start("timer"), house.start("timer")]
    send(upstream, planned("FIXED"))
    await house.becomes(JOBS, 1)
    await house.ask(BEHIND)
    for number in (2, 3):
        await house.says(number, "ordered")
    for timer in timers:
        timer.kill()
    successor = house.start("timer")
    await house.says(4, "ordered")
    asked = [record for record in upstream.read()[COMMANDS.named(house.settings.prefix), 0] if RECORD in str(record)]
    assert len(asked) >= 3
    await until(lambda: all_answered(upstream, len(asked)), "every order has its outcome")
    found = [outcome for outcomes in upstream.outcomes.values() for outcome in outcomes if outcome.type == RECORD]
    assert {outcome.status for outcome in found} == {"accepted"}
    assert len([outcome for outcome in found if outcome.first and not outcome.repeat]) == 1
    assert await house.ask(JOBS) == 1
    successor.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(successor.wait, 30) == 0


async def all_answered(upstream: Upstream, count: int) -> bool:
    upstream.follow()
    found = [outcome for outcomes in upstream.outcomes.values() for outcome in outcomes if outcome.type == RECORD]
    return len(found) >= count


async def test_a_plan_that_counts_from_work_is_due_again_when_its_job_is_done(house: House, upstream: Upstream) -> None:
    house.start("timer")
    send(upstream, planned("COMPLETION"))
    await house.becomes("SELECT next_due_on IS NULL AND last_job_id IS NOT NULL FROM erp.plans", True)
    done = {"job_id": await house.ask("SELECT last_job_id FROM erp.plans"), "completed_by": "ada"}
    send(upstream, [order(FIRM, "equipment.complete-maintenance", "m-1", done)])
    await house.becomes("SELECT next_due_on - last_due_on FROM erp.plans", 7)
    assert await house.ask(JOBS) == 1


# --- servers that go away -------------------------------------------------------------------------------------------


async def tell(settings: Settings) -> None:
    """A plan that is due comes into the view."""
    journal, group = Journal(0), GROUPS["fleet"]
    entries = journal.tell(*ACME, EXCAVATOR, PLANNED)
    pool = write_engine(settings.database.get_secret_value())
    async with pool.connect() as connection:
        async with connection.begin():
            at = await assigned(connection, group.name, 0)
        await apply(connection, group, 0, entries, at)
    await pool.dispose()


@pytest.mark.long
@pytest.mark.servers
async def test_a_timer_waits_for_kafka_and_postgresql_and_orders_once_they_are_back(tmp_path: Path) -> None:
    with Stack(tmp_path / "stack") as stack:
        settings = Settings(
            kafka=stack.kafka.address,
            database=SecretStr(stack.postgres.dsn),
            directory=tmp_path,
            partitions=1,
            timer_seconds=0.2,
        )
        create_topics(settings)
        await upgrade(stack.postgres.dsn)
        house = House(settings, tmp_path)
        timer = house.start("timer")
        await house.says(0, "worker started")
        stack.kafka.kill()
        await tell(settings)
        await house.says(0, "waits for Kafka")
        stack.kafka.start()
        await house.says(0, "ordered")
        stack.postgres.kill()
        waited = house.log(0).read_text().count("waits for Kafka")
        await house.says(0, "waits for Kafka", waited + 1)
        stack.postgres.start()
        timer.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(timer.wait, 30) == 0
        (sent,) = Upstream(settings).read()[COMMANDS.named(settings.prefix), 0]
        assert sent.value == b'{"plan_id":"weekly","date":"2026-11-23"}'
