"""Kafka or PostgreSQL away: what can go on goes on, what cannot is refused whole, and /ready says which."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from domain.user import UserAddedToCompany
from ops.embedded import Stack
from tests.api.callers import Api, address_of, run, until
from tests.api.test_commands import records
from tests.api.test_door import problem
from tests.domain.acme import ACME
from tests.views.journal import Journal
from topics.provision import create_topics
from topics.settings import Settings
from views import GROUPS
from views.checkpoints import assigned
from views.migrate import upgrade
from views.projecting import apply
from views.reading import write_engine

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def outages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Api]]:
    """Servers of our own, since they will be killed, and an API."""
    directory = tmp_path_factory.mktemp("outages")
    with Stack(directory / "stack") as stack:
        dsn = stack.postgres.dsn
        settings = Settings(kafka=stack.kafka.address, database=dsn, directory=directory, partitions=1, api_port=0)
        create_topics(settings)
        asyncio.run(prepare(dsn))
        process = run("api.app", settings)
        try:
            yield stack, Api(settings, address_of(directory / "api.log", process), {"api": process})
        finally:
            process.terminate()
            process.wait(60)


async def prepare(dsn: str) -> None:
    """Views in which ann is a user of acme: nobody decides or projects here."""
    await upgrade(dsn)
    ann = UserAddedToCompany(user_id="ann", name="Ann", email="ann@example.com", roles=("admin",))
    pool = write_engine(dsn)
    async with pool.connect() as connection:
        async with connection.begin():
            at = await assigned(connection, "fleet", 0)
        await apply(connection, GROUPS["fleet"], 0, Journal().tell(ACME[0], ann), at)
    await pool.dispose()


def readiness(api: Api) -> dict[str, Any]:
    answer = api.nobody().get("/ready")
    body: dict[str, Any] = answer.json()
    assert answer.status_code == (200 if body["status"] == "ready" else 503)
    return body


def test_without_kafka_commands_are_refused_and_views_are_read(
    outages: tuple[Stack, Api], machine: dict[str, Any]
) -> None:
    stack, api = outages
    ann = api.user("ann")
    until(lambda: readiness(api)["status"] == "ready", "both servers are there")
    stack.kafka.kill()
    try:
        refused = ann.post("equipment", machine, {"Prefer": "wait=5"})
        body = problem(refused, 503, "kafka-away")
        assert refused.headers["Retry-After"].isdigit()
        until(lambda: readiness(api)["kafka"] == "away", "/ready says that Kafka is away")
        assert readiness(api)["postgres"] == "ready"
        assert api.nobody().get("/health").status_code == 200
        assert ann.get("equipment").json()["items"] == []
    finally:
        stack.kafka.start()
    repeated = {"Idempotency-Key": body["command_id"]}
    taken = until(lambda: _taken(ann.post("equipment", machine, repeated)), "Kafka takes commands again")
    assert taken.json()["command_id"] == body["command_id"]
    until(lambda: readiness(api)["status"] == "ready", "/ready says that Kafka is back")
    sent = [headers["ce_id"] for headers, _ in records(api.settings, f"{api.settings.prefix}.commands", "acme")]
    assert sent == [body["command_id"]]


def _taken(answer: Any) -> Any:
    assert answer.status_code in (202, 503)
    return answer if answer.status_code == 202 else None


def test_without_postgres_views_are_refused_and_commands_are_taken(
    outages: tuple[Stack, Api], machine: dict[str, Any]
) -> None:
    stack, api = outages
    ann = api.user("ann")
    assert ann.get("equipment").status_code == 200
    stack.postgres.kill()
    try:
        for path in ("equipment", "equipment/EX-7", "equipment/EX-7/history", "commands"):
            refused = ann.get(path)
            problem(refused, 503, "database-away")
            assert refused.headers["Retry-After"].isdigit()
        assert readiness(api)["postgres"] == "away"
        assert readiness(api)["kafka"] == "ready"
        assert api.nobody().get("/health").status_code == 200
        assert ann.post("equipment", machine).status_code == 202
    finally:
        stack.postgres.start()
    until(lambda: ann.get("equipment").status_code == 200, "views are read again")
    assert readiness(api)["status"] == "ready"
