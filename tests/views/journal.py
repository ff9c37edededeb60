"""A journal written by hand: events get positions, versions and times as a lane would give them."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from domain.decider import Actor
from domain.engine import NO_CHAIN, Fact, encode_event
from domain.model import Event
from domain.record import Outcome, Recorded, Status
from tests.domain.scenario import HOMES
from topics.audit import audited
from topics.cloudevents import Record
from topics.dead_letters import set_aside
from topics.messages import (
    CommandMessage,
    DeadLetter,
    read_event,
    write_command,
    write_dead_letter,
    write_event,
    write_outcome,
)
from views.projecting import Entry

RETIRE = "com.bitcorp.erp.equipment.retire-equipment.v1"
START = datetime(2026, 11, 23, 15, tzinfo=UTC)


@dataclass
class Journal:
    """One partition. `tell` adds events of a company, each caused by a command of its own."""

    partition: int = 0
    topic: str = "erp.events"
    records: list[Record] = field(default_factory=list)
    versions: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    chains: dict[str, bytes] = field(default_factory=dict)

    def tell(self, *events: Event, company: str = "acme", by: str = "user:ada") -> list[Entry]:
        """The new events in their places."""
        return [self._add(event, company, by) for event in events]

    def _add(self, event: Event, company: str, by: str) -> Entry:
        position = len(self.records) + 1
        now = START + timedelta(seconds=position)
        event = event if event.effective_at else event.model_copy(update={"effective_at": now})
        home = HOMES[type(event)]
        aggregate_id = getattr(event, home.key)
        self.versions[company, home.name, aggregate_id] += 1
        version = self.versions[company, home.name, aggregate_id]
        fact = Fact(home, aggregate_id, version, event, encode_event(event))
        command = CommandMessage(
            command_id(company, position), "test", company, home.name, aggregate_id, Actor.parse(by), b"{}"
        )
        chain = self.chains.get(company, NO_CHAIN)
        record, self.chains[company] = write_event(fact, command, self.topic, self.partition, position, now, chain)
        self.records.append(record)
        return self.entry(position)

    def entry(self, position: int) -> Entry:
        """What is read at a position, as if its record stood at the offset just before."""
        return Entry(position, position - 1, self.read(position))

    def read(self, position: int) -> Recorded:
        return read_event(self.records[position - 1])

    @property
    def entries(self) -> list[Entry]:
        return [self.entry(position + 1) for position in range(len(self.records))]


def command_id(company: str, position: int) -> str:
    return str(uuid5(NAMESPACE_URL, f"test:{company}:{position}"))


@dataclass
class Answers:
    """One partition of outcomes."""

    partition: int = 0
    topic: str = "erp.outcomes"
    records: list[Record] = field(default_factory=list)
    told: int = 0

    def tell(self, about: UUID, company: str = "acme", **changes: Any) -> Entry:
        """The next record of the audit: what became of such a command."""
        self.told += 1
        outcome = self._outcome(self.told, about, company, changes)
        record = write_outcome(outcome, self.topic, self.told, None, None)
        return Entry(self.told, self.told - 1, audited("business", record))

    def give(self, about: UUID, company: str = "acme", **changes: Any) -> Entry:
        """The next outcome: an acceptance of a command for the excavator, unless changed."""
        sequence = len(self.records) + 1
        outcome = self._outcome(sequence, about, company, changes)
        self.records.append(write_outcome(outcome, self.topic, sequence, None, None))
        return Entry(sequence, sequence - 1, outcome)

    def _outcome(self, sequence: int, about: UUID, company: str, changes: dict[str, Any]) -> Outcome:
        shown: dict[str, Any] = {
            "type": RETIRE,
            "aggregate": "equipment",
            "aggregate_id": "ex-7",
            "actor": "user:ada",
            "status": Status.ACCEPTED,
            "version": 2,
            "first": 10,
            "last": 11,
            "position": 11,
            "fingerprint": "f" * 24,
            "offset": sequence,
            "recorded_at": START + timedelta(seconds=sequence),
        }
        return Outcome(command_id=str(about), company_id=company, partition=self.partition, **shown | changes)


@dataclass
class Letters:
    """One partition of dead letters, each about a record of the commands topic."""

    partition: int = 0
    count: int = 0

    def add(self, origin: Record, reason: str = "failed", detail: str = "a stack") -> Entry:
        """The next letter, about this record."""
        topic = origin.topic.replace("commands", "dead-letters")
        written = write_dead_letter(DeadLetter(origin, reason, detail), topic, self.partition)
        offset, self.count = self.count, self.count + 1
        return Entry(offset + 1, offset, set_aside(written._replace(offset=offset)))

    def command(self, company: str, offset: int, id_: UUID, **changes: Any) -> Record:
        """A command to retire a machine, as it came at that offset."""
        command = CommandMessage(
            str(id_), RETIRE, company, "equipment", "ex-7", Actor("user", "ada"), b'{"equipment_id":"ex-7"}'
        )
        key, value, headers = write_command(command._replace(**changes))
        received = int((START + timedelta(seconds=offset)).timestamp() * 1000)
        return Record("erp.commands", self.partition, key, value, headers, offset, received)
