"""Messages that the tests of this room write and read."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson

from domain.category import CategoryDefined, category
from domain.decider import Actor
from domain.engine import NO_CHAIN, Fact
from domain.model import Event
from domain.record import Outcome, Status
from topics.cloudevents import Headers, Record
from topics.messages import CommandMessage, write_command, write_event, write_outcome

DEFINE = "com.bitcorp.erp.category.define-category.v1"
NOW = datetime(2026, 11, 23, 15, 4, 5, 678000, tzinfo=UTC)
DATA = {"category_id": "excavators", "name": "Excavators"}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def command(data: Any = None, **changes: Any) -> CommandMessage:
    """A whole command: everything set that a command can carry."""
    whole = CommandMessage(
        id=UUID("0192f1c0-0000-7000-8000-000000000001"),
        type=DEFINE,
        company_id="acme",
        aggregate="category",
        aggregate_id="excavators",
        actor=Actor("user", "ada"),
        data=orjson.dumps(DATA if data is None else data),
        source="/upstream/planning",
        expected_version=3,
        correlation_id="order-66",
        causation_id=str(UUID(int=7)),
        traceparent=TRACE,
    )
    return replace(whole, **changes)


def new_command(**changes: Any) -> CommandMessage:
    """The same with an id of its own."""
    return command(id=uuid4(), **changes)


def as_record(sent: CommandMessage, topic: str = "erp.commands", partition: int = 0) -> Record:
    key, value, headers = write_command(sent)
    return Record(topic, partition, key, value, headers, offset=41, timestamp=1_795_449_927_123)


def with_header(record: Record, name: str, *values: bytes | None) -> Record:
    """The record with this header changed, repeated or, without values, left out."""
    others = tuple(header for header in record.headers if header[0] != name)
    return record._replace(headers=others + tuple((name, value) for value in values))


def without_attributes(record: Record) -> Headers:
    return tuple(header for header in record.headers if not header[0].startswith("ce_"))


def fact(event: Event | None = None, version: int = 1) -> Fact:
    told = event or CategoryDefined(category_id="excavators", name="Excavators & co. – größte", effective_at=NOW)
    return Fact(category, "excavators", version, told, told.model_dump_json(exclude_none=True).encode())


def event_record(position: int = 5, chain: bytes = NO_CHAIN, told: Fact | None = None) -> tuple[Record, bytes]:
    return write_event(told or fact(), command(), "erp.events", 2, position, NOW, chain)


def outcome(**changes: Any) -> Outcome:
    whole = Outcome(
        command_id=command().id,
        type=DEFINE,
        company_id="acme",
        aggregate="category",
        aggregate_id="excavators",
        actor="user:ada",
        status=Status.ACCEPTED,
        version=1,
        first=5,
        last=5,
        partition=2,
        position=5,
        fingerprint=command().fingerprint,
        offset=41,
        recorded_at=NOW,
    )
    return whole.model_copy(update=changes)


def outcome_record(told: Outcome, sequence: int = 9) -> Record:
    return write_outcome(told, "erp.outcomes", sequence, "order-66", TRACE)
