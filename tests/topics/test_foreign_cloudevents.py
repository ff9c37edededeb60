"""The `cloudevents` package of PyPI reads every message that we write, and we read every command that it writes."""

from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1.kafka import KafkaMessage as OldMessage
from cloudevents.v1.kafka import from_binary as old_from_binary

from domain.record import Status
from tests.topics.samples import (
    DATA,
    DEFINED,
    NAMED,
    NOW,
    TRACE,
    command,
    command_record,
    event_record,
    outcome,
    outcome_record,
)
from topics.cloudevents import Record
from topics.messages import OUTCOME_TYPE, read_command

FORMAT = JSONFormat()
WRITERS = [to_binary, to_structured]
MESSAGES = [
    command_record(command()),
    command_record(command(expected_version=None, traceparent=None)),
    event_record()[0],
    outcome_record(outcome()),
    outcome_record(outcome(status=Status.REJECTED, code="invalid", errors=({"field": "name"},))),
]


def theirs(record: Record) -> CloudEvent:
    """A record of ours as the package reads it."""
    headers = {name: value for name, value in record.headers if value is not None}
    found = from_kafka(KafkaMessage(headers, record.key, record.value or b""), FORMAT)
    assert isinstance(found, CloudEvent)
    return found


def ours(event: CloudEvent, write: Any) -> Record:
    """An event as the package writes it, in a record of ours."""
    message = write(event, FORMAT)
    key = message.key.encode() if isinstance(message.key, str) else message.key
    return Record("erp.commands", 0, key, message.value, tuple(message.headers.items()))


def told(**extensions: Any) -> CloudEvent:
    return CloudEvent(
        {
            "id": str(command().id),
            "type": command().type,
            "source": "/upstream/planning",
            "subject": "category/excavators",
            "datacontenttype": "application/json",
            "actor": "user:ada",
            "partitionkey": "acme",
            **extensions,
        },
        dict(DATA),
    )


# --- they read us ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", MESSAGES, ids=lambda record: record.topic)
def test_they_read_every_message_of_ours(record: Record) -> None:
    event = theirs(record)
    attributes = {name.removeprefix("ce_"): value for name, value in record.headers}
    assert event.get_id() == (attributes["id"] or b"").decode()
    assert event.get_type() == (attributes["type"] or b"").decode()
    assert event.get_extension("partitionkey") == "acme"
    assert event.get_datacontenttype() == "application/json"
    assert isinstance(event.get_data(), dict)


def test_they_read_a_command_with_all_that_it_carries() -> None:
    event = theirs(command_record(command()))
    assert (event.get_source(), event.get_subject()) == ("/upstream/planning", "category/excavators")
    assert event.get_data() == DATA
    named = {name: event.get_extension(name) for name in ("actor", "expectedversion", "correlationid", "traceparent")}
    assert named == {"actor": "user:ada", "expectedversion": "3", "correlationid": "order-66", "traceparent": TRACE}


def test_they_read_an_event_with_its_place_and_its_time() -> None:
    event = theirs(event_record()[0])
    assert (event.get_type(), event.get_time(), event.get_subject()) == (DEFINED, NOW, "category/excavators")
    assert (event.get_extension("sequence"), event.get_extension("aggregateversion")) == ("5", "1")
    assert event.get_data()["name"] == NAMED.name  # type: ignore[index, call-overload]


def test_they_read_an_outcome() -> None:
    event = theirs(outcome_record(outcome()))
    assert (event.get_type(), event.get_extension("sequence")) == (OUTCOME_TYPE, "9")
    assert event.get_data()["status"] == "accepted"  # type: ignore[index, call-overload]


@pytest.mark.parametrize("record", MESSAGES, ids=lambda record: record.topic)
def test_the_package_of_before_version_2_reads_us_too(record: Record) -> None:
    headers = {name: value for name, value in record.headers if value is not None}
    event = old_from_binary(OldMessage(headers=headers, key=record.key, value=record.value or b""))
    assert event["type"] == headers["ce_type"].decode()
    assert isinstance(event.data, dict)


# --- we read them ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", WRITERS)
def test_we_read_a_command_of_theirs(write: Any) -> None:
    found = read_command(ours(told(), write))
    assert (found.id, found.type, found.company_id) == (command().id, command().type, "acme")
    assert (found.aggregate, found.aggregate_id, str(found.actor)) == ("category", "excavators", "user:ada")
    assert found.fingerprint == command().fingerprint


@pytest.mark.parametrize("write", WRITERS)
def test_we_read_all_that_a_command_of_theirs_can_carry(write: Any) -> None:
    more = {"correlationid": "order-66", "causationid": "x", "traceparent": TRACE, "time": datetime.now(UTC)}
    found = read_command(ours(told(expectedversion="3", **more), write))
    assert (found.expected_version, found.correlation_id) == (3, "order-66")
    assert (found.causation_id, found.traceparent) == ("x", TRACE)


@pytest.mark.parametrize("write", WRITERS)
def test_the_expected_version_may_be_a_number_of_theirs(write: Any) -> None:
    assert read_command(ours(told(expectedversion=3), write)).expected_version == 3


@pytest.mark.parametrize("write", WRITERS)
def test_a_command_reaches_us_unchanged_through_their_hands(write: Any) -> None:
    sent = command()
    assert read_command(ours(theirs(command_record(sent)), write)).fingerprint == sent.fingerprint
