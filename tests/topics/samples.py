"""Messages that the tests of this room write and read."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson

from domain import HOMES
from domain.category import CategoryDefined
from domain.decider import Actor
from domain.engine import NO_CHAIN, Fact, encode_event
from domain.model import Event
from domain.record import Outcome, Status
from topics.cloudevents import Record
from topics.messages import CommandMessage, write_command, write_event, write_outcome

DEFINE = "com.bitcorp.erp.category.define-category.v1"
DEFINED = "com.bitcorp.erp.category.category-defined.v1"
NOW = datetime(2026, 11, 23, 15, 4, 5, 678000, tzinfo=UTC)
DATA = {"category_id": "excavators", "name": "Excavators"}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NAMED = CategoryDefined(category_id="excavators", name="Excavators & más – größte", effective_at=NOW)


def command(data: Any = DATA, **changes: Any) -> CommandMessage:
    """A command with everything that a command can carry; `data` is its JSON, as bytes or as plain values."""
    whole = CommandMessage(
        id="0192f1c0-0000-7000-8000-000000000001",
        type=DEFINE,
        company_id="acme",
        aggregate="category",
        aggregate_id="excavators",
        actor=Actor("user", "ada"),
        data=data if isinstance(data, bytes) else orjson.dumps(data),
        source="/upstream/planning",
        expected_version=3,
        correlation_id="order-66",
        causation_id=str(UUID(int=7)),
        traceparent=TRACE,
    )
    return whole._replace(**changes)


def new_command(**changes: Any) -> CommandMessage:
    """The same with an id of its own."""
    return command(id=str(uuid4()), **changes)


def command_record(sent: CommandMessage, topic: str = "erp.commands", partition: int = 0) -> Record:
    key, value, headers = write_command(sent)
    return Record(topic, partition, key, value, headers, offset=41, timestamp=1_795_449_927_123)


def with_header(record: Record, name: str, *values: bytes | None) -> Record:
    """The record with this header changed, repeated or, without a value, left out."""
    others = tuple(header for header in record.headers if header[0] != name)
    return record._replace(headers=others + tuple((name, value) for value in values))


def event_record(
    event: Event = NAMED, position: int = 5, chain: bytes = NO_CHAIN, of: CommandMessage | None = None
) -> tuple[Record, bytes]:
    """The event's record and the company's chain value after it."""
    decider = HOMES[type(event)]
    fact = Fact(decider, getattr(event, decider.key), 1, event, encode_event(event))
    return write_event(fact, of or command(), "erp.events", 2, position, NOW, chain)


def outcome(**changes: Any) -> Outcome:
    told = Outcome(
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
    return told.model_copy(update=changes)


def outcome_record(told: Outcome, sequence: int = 9) -> Record:
    return write_outcome(told, "erp.outcomes", sequence, "order-66", TRACE)
