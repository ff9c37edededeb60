"""The whole platform on a Kafka with TLS, users and rights: each process with its own, and no more than it needs."""

import asyncio
import http.client
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from ops.embedded import Stack
from ops.embedded.ports import free_ports
from ops.migrate import bring_up_to_date
from ops.settings import as_environment
from ops.supervisor import Process
from tests.databases import database_of
from tests.ops.guarded import Guarded
from tests.ops.shell import Shell
from topics.cloudevents import Record
from topics.imports import raw_of_line, write_raw
from topics.publisher import ANY_PARTITION, Publisher, Unavailable
from topics.settings import Settings

pytestmark = [pytest.mark.servers, pytest.mark.long]
PREFIX = "site"
PROCESSES = {
    **{kind: ["worker", kind] for kind in ("lanes", "credentials", "views", "audit", "imports", "timer")},
    "api": ["api"],
}


class Site:
    """The processes, each with a user of its own."""

    def __init__(self, broker: Guarded, folder: Path, database: str) -> None:
        self.broker = broker
        self.chosen: dict[str, Any] = {
            "prefix": PREFIX,
            "database": database,
            "directory": folder,
            "api_port": free_ports(1)[0],
            "timer_seconds": 1.0,
        }
        self.processes = [Process(kind, words, folder, self._environment(kind)) for kind, words in PROCESSES.items()]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.chosen['api_port']}/api/v1"

    def of(self, kind: str) -> Settings:
        return self.broker.settings(f"{PREFIX}-{kind}", **self.chosen)

    def _environment(self, kind: str) -> dict[str, str]:
        return os.environ | as_environment(self.of(kind))

    def ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.chosen["api_port"], timeout=2)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/ready")
            return connection.getresponse().status == http.HTTPStatus.OK
        return False

    def words(self) -> str:
        return "\n".join(process.log_path.read_text() for process in self.processes)


@pytest.fixture(scope="module")
def site(stack: Stack, broker: Guarded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with database_of(stack.postgres.dsn) as dsn:
        made = Site(broker, tmp_path_factory.mktemp("site"), dsn)
        bring_up_to_date(broker.opened(PREFIX, database=dsn))
        try:
            for process in made.processes:
                process.start()
            made.processes[-1].wait_until(made.ready, 90)
            yield made
        finally:
            for process in made.processes:
                process.stop()


def until(fact: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.2)


async def publish(settings: Settings, *records: Record) -> None:
    publisher = Publisher(settings)
    await publisher.start()
    try:
        await publisher.send_records(records)
    finally:
        await publisher.stop()


def create_company(settings: Settings) -> Record:
    said = {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/sap",
        "type": "com.bitcorp.erp.company.create-company.v1",
        "subject": "company/acme",
        "actor": "operator:sap",
    }
    value = (
        b'{"company_id": "acme", "name": "Acme", "time_zone": "America/Lima", "currency": "PEN",'
        b' "admin": {"user_id": "ann", "name": "Ann Soto", "email": "ann@acme.example"}}'
    )
    headers = tuple((f"ce_{name}", text.encode()) for name, text in said.items())
    return Record(f"{settings.prefix}.commands", ANY_PARTITION, b"acme", value, headers)


def invited(bitcorp: Shell) -> str:
    """The one-time token of ann, whom the views show in a moment."""
    deadline = time.monotonic() + 60
    while (said := bitcorp("user", "invite", "--company", "acme", "--user", "ann")).code:
        assert time.monotonic() < deadline, said.text
        time.sleep(0.2)
    return said.out.strip()


def realms_audited(site: Site, headers: dict[str, str]) -> set[str]:
    found = requests.get(f"{site.url}/audit", headers=headers, timeout=60)
    return {row["realm"] for row in found.json()["items"]}


def test_a_command_of_another_s_system_becomes_an_outcome_and_a_view(site: Site, bitcorp: Shell) -> None:
    """From upstream to lanes to views to the API; then back by a person who signs in, through credentials."""
    upstream = site.of("upstream")
    asyncio.run(publish(upstream, create_company(upstream)))
    bitcorp.use(site.of("shell"))
    until(lambda: "company-created" in bitcorp("tail", "events", "--from-beginning", "--no-follow").text)

    bitcorp.use(site.broker.operator(**site.chosen))
    token = invited(bitcorp)
    chosen = {"company_id": "acme", "user_id": "ann", "token": token, "new_password": "correct horse battery"}
    reset = requests.post(f"{site.url}/auth/password/reset", json=chosen, timeout=60)
    assert reset.status_code == 204, reset.text
    who = {"company_id": "acme", "email": "ann@acme.example", "password": "correct horse battery"}
    signed_in = requests.post(f"{site.url}/auth/login", json=who, timeout=60)
    assert signed_in.status_code == 200, signed_in.text
    headers = {"Authorization": f"Bearer {signed_in.json()['access_token']}", "Prefer": "wait=20"}
    body = {"category_id": "trucks", "name": "Trucks"}
    made = requests.post(f"{site.url}/categories", json=body, headers=headers, timeout=60)
    assert made.status_code == 201, made.text
    seen = requests.get(
        f"{site.url}/categories/trucks", headers=headers | {"Consistency": made.headers["Consistency"]}, timeout=60
    )
    assert seen.json()["name"] == "Trucks"
    until(lambda: {"business", "credentials"} == realms_audited(site, headers))


def test_records_of_another_s_system_are_read_and_set_aside(site: Site, bitcorp: Shell) -> None:
    upstream = site.of("upstream")
    asyncio.run(publish(upstream, write_raw(raw_of_line("nowhere", "one", 1, b'{"a": "b"}'), "acme", PREFIX)))
    bitcorp.use(site.of("shell"))
    until(lambda: "quarantined" in bitcorp("dead-letters", "list").text)


def test_who_may_not_write_a_topic_is_told_who_may_and_by_which_command(site: Site) -> None:
    upstream = site.of("upstream")
    for topic in ("events", "outcomes", "state-changelog", "credentials.commands"):
        record = create_company(upstream)._replace(topic=f"{PREFIX}.{topic}")
        with pytest.raises(Unavailable) as raised:
            asyncio.run(publish(upstream, record))
        assert "Kafka does not allow site-upstream to do this" in str(raised.value), topic
        assert "bitcorp access apply" in str(raised.value)


def test_no_process_lacks_a_right_or_tells_a_password(site: Site) -> None:
    said = site.words()
    assert "AuthorizationFailed" not in said
    assert "tiger" not in said
    assert all(process.alive() for process in site.processes)
