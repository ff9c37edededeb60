"""A real run for the checker: real lanes and views have done what was sent; then defects can be planted."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

from confluent_kafka import Producer

from ops.embedded import Stack
from ops.fire.checker import Finding, Findings, check
from ops.fire.checker.raw import Headers, Raw, read
from ops.settings import as_environment
from tests.agents.orders import company_on, record_of
from tests.agents.story import story
from tests.agents.upstream import Upstream, workers_of
from tests.ops.fire.fleet import lives
from tests.ops.platforms import PARTITIONS, provisioned
from tests.ops.shell import environment
from topics.cloudevents import Record
from topics.settings import Settings

FIRM = company_on(0, PARTITIONS)
ORDERS = 300
VIEWS = "from agents.project import main; from topics.settings import Settings; "
VIEWS += "main(Settings(), ('fleet', 'history', 'outcomes'))"


@dataclass
class Run:
    """What was sent, what the checker says of it, and a hand that can write anything anywhere."""

    settings: Settings
    sent: Path
    findings: Findings = field(default_factory=Findings)

    def look(self, wait: float = 0) -> set[Finding]:
        """What is wrong now that was not when it was looked at last."""
        before = set(self.findings)
        self.findings = check(self.settings, self.sent, wait=wait)
        return set(self.findings) - before

    def records(self, topic: str, partition: int = 0) -> list[Raw]:
        found = read(self.settings, [f"{self.settings.prefix}.{topic}"])
        return [record for record in found if record.partition == partition]

    def furthest(self, topic: str) -> Raw:
        """The record of partition 0 with the highest position."""
        return max(self.records(topic), key=lambda record: record.number("sequence"))

    def write(self, record: Raw, value: bytes | None = None, **attributes: object) -> None:
        """The record once more, with other data or attributes."""
        told = {f"ce_{name}": str(said).encode() for name, said in attributes.items()}
        headers = [(name, told.get(name, said)) for name, said in record.headers]
        self.publish(record.topic, record.partition, record.key, value or record.value, tuple(headers))

    def publish(self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        producer = Producer({"bootstrap.servers": self.settings.kafka})
        producer.produce(topic, value, key, partition, headers=list(headers))
        assert producer.flush(30) == 0

    def write_state(self, key: str, value: bytes | None, beside: int = 0) -> None:
        """A record of the changelog that is valid, or void where it is `beside` its place."""
        topic = f"{self.settings.prefix}.state-changelog"
        end = self.records("state-changelog")[-1].offset + 1
        headers = (("expect", b"%d" % (end + beside)), ("index", b"0"))
        self.publish(topic, 0, key.encode(), value, headers)


@contextmanager
def run_of(stack: Stack, directory: Path) -> Iterator[Run]:
    """Lanes and views on the run's servers have done all that was sent; then they are stopped."""
    with provisioned(stack, directory) as settings:
        run = Run(settings, directory / "sent.jsonl")
        with workers_of(settings, directory) as workers, views_of(settings, directory / "views.log"):
            workers.start()
            load(run)
            run.look(wait=60)
        yield run


def load(run: Run) -> None:
    """A mixture of good and bad commands, and the lives of some machines; return when all is decided."""
    upstream = Upstream(run.settings)
    told = [upstream.command(record_of(command)) for command in lives(FIRM)]
    mixed = list(story(Random(7), ORDERS, run.settings.prefix, PARTITIONS))
    upstream.send([*mixed, *told])
    run.sent.write_text("".join(map(line, [*mixed, *told])))
    upstream.until_all_decided()
    refused = [upstream.outcome(id_of(record)) for record in told]
    assert [outcome for outcome in refused if outcome.status != "accepted"] == []
    upstream.close()


def id_of(record: Record) -> str:
    return (dict(record.headers).get("ce_id") or b"").decode()


def line(record: Record, **more: Any) -> str:
    """The record as the campaign writes down what it has sent."""
    headers = {name: (value or b"").decode() for name, value in record.headers}
    company = (record.key or b"").decode()
    said = {"id": id_of(record) or str(uuid4()), "company": company, "partition_company": company}
    said |= {"type": headers.get("ce_type", ""), "kind": "good" if id_of(record) else "malformed", "via": "kafka"}
    return json.dumps(said | {"at": "2026-01-01T00:00:00Z", "acknowledged": True, "status": None} | more) + "\n"


def lines(path: Path) -> Iterable[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text().splitlines()]


@contextmanager
def views_of(settings: Settings, log: Path) -> Iterator[None]:
    """A view worker as a process of its own."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", VIEWS], env=environment() | as_environment(settings), stdout=file, stderr=file
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()
