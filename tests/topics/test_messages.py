"""Commands, events, outcomes and dead letters: read as they were written, refused where they are something else."""

import json
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.decider import Actor
from domain.engine import NO_CHAIN
from domain.model import Event
from domain.record import Outcome, Status
from tests.domain.acme import ACME, EXCAVATOR, LENT, scheduled, started
from tests.topics.samples import (
    DATA,
    NAMED,
    NOW,
    TRACE,
    command,
    command_record,
    event_record,
    outcome,
    outcome_record,
    with_header,
)
from topics.cloudevents import Malformed, Record
from topics.messages import (
    OUTCOME_TYPE,
    REROUTED,
    CommandMessage,
    DeadLetter,
    UnknownEvent,
    chain_of,
    event_id,
    moment_of,
    pack,
    read_command,
    read_dead_letter,
    read_event,
    read_outcome,
    rfc3339,
    unpack,
    write_dead_letter,
)

IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
PLAIN = st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), min_size=1, max_size=20)
TEXT = st.text(st.characters(codec="utf-8"), max_size=10)
OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=4)
COMMANDS = st.builds(
    CommandMessage,
    id=st.uuids().map(str),
    type=PLAIN,
    company_id=st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True),
    aggregate=st.from_regex(r"[a-z-]{1,20}", fullmatch=True),
    aggregate_id=IDS,
    actor=st.builds(Actor, st.sampled_from(("user", "key", "system", "operator")), IDS),
    data=OBJECTS.map(lambda data: json.dumps(data).encode()),
    source=PLAIN,
    expected_version=st.none() | st.integers(0, 10**18 - 1),
    correlation_id=st.none() | PLAIN,
    causation_id=st.none() | PLAIN,
    traceparent=st.none() | PLAIN,
    signature=st.none() | PLAIN,
    origin=st.none() | PLAIN,
)
RECORDS = st.builds(
    Record,
    topic=st.just("erp.commands"),
    partition=st.integers(0, 499),
    key=st.none() | st.binary(max_size=30),
    value=st.none() | st.binary(max_size=100),
    headers=st.lists(st.tuples(TEXT, st.none() | st.binary(max_size=30)), max_size=6).map(tuple),
    offset=st.integers(0, 2**62),
    timestamp=st.integers(0, 2**42),
)


# --- commands -------------------------------------------------------------------------------------------------------


@given(COMMANDS)
def test_a_command_reads_as_it_was_written(sent: CommandMessage) -> None:
    assert read_command(command_record(sent)) == sent


def test_a_command_has_no_headers_for_what_it_does_not_carry() -> None:
    bare = command(expected_version=None, correlation_id=None, causation_id=None, traceparent=None)
    record = command_record(bare)
    always = ("specversion", "id", "source", "type", "subject", "time", "actor")
    assert {name for name, _ in record.headers} == {"content-type", *(f"ce_{name}" for name in always)}
    assert read_command(record) == bare


def test_header_names_may_come_in_any_case_and_any_order() -> None:
    record = command_record(command())
    shouted = tuple((name.upper(), value) for name, value in reversed(record.headers))
    assert read_command(record._replace(headers=shouted)) == command()


def test_headers_that_we_do_not_know_are_ignored_whatever_they_hold() -> None:
    record = command_record(command())
    foreign = (("ce_partitionkey", b"acme"), ("ce_colour", "é".encode()), ("x-id", b"\xff"), (REROUTED, None))
    assert read_command(record._replace(headers=record.headers + foreign)) == command()


# --- fingerprints ---------------------------------------------------------------------------------------------------


@given(OBJECTS, st.integers())
def test_the_order_of_keys_and_the_spaces_do_not_change_the_fingerprint(data: dict[str, Any], seed: int) -> None:
    names = list(data)
    Random(seed).shuffle(names)
    written_otherwise = json.dumps({name: data[name] for name in names}, indent=2, ensure_ascii=False).encode()
    assert command(written_otherwise).fingerprint == command(json.dumps(data).encode()).fingerprint


@given(OBJECTS, OBJECTS)
def test_other_data_have_another_fingerprint(data: dict[str, Any], others: dict[str, Any]) -> None:
    one, two = (json.dumps(found, sort_keys=True).encode() for found in (data, others))
    assert (command(one).fingerprint == command(two).fingerprint) == (one == two)


@pytest.mark.parametrize(
    "change",
    [{"type": "other"}, {"aggregate": "user"}, {"aggregate_id": "cranes"}, {"actor": Actor("user", "max")}],
    ids=lambda change: next(iter(change)),
)
def test_another_type_subject_or_actor_has_another_fingerprint(change: dict[str, Any]) -> None:
    assert command(**change).fingerprint != command().fingerprint


def test_what_a_repetition_may_change_leaves_the_fingerprint_alone() -> None:
    again = command(traceparent=None, correlation_id="another", source="/elsewhere", expected_version=None)
    assert again.fingerprint == command().fingerprint


# --- events ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [*ACME, EXCAVATOR, LENT, scheduled(), started()], ids=lambda e: type(e).__name__)
def test_an_event_reads_as_it_was_written(event: Event) -> None:
    told = event.model_copy(update={"effective_at": NOW})
    record, chain = event_record(told)
    read = read_event(record)
    assert read.event == told
    assert (read.company_id, read.partition, read.position, read.version) == ("acme", 2, 5, 1)
    assert (read.id, read.recorded_at, read.actor) == (event_id("acme", "erp.events", 2, 5), NOW, "user:ada")
    assert (read.command_id, read.correlation_id, read.chain) == (command().id, "order-66", chain.hex())


def test_an_event_of_a_command_without_a_correlation_is_correlated_to_the_command() -> None:
    record, _ = event_record(of=command(correlation_id=None))
    assert read_event(record).correlation_id == str(command().id)


def test_readers_of_events_ignore_fields_that_they_do_not_know() -> None:
    record, _ = event_record()
    newer = json.dumps(json.loads(record.value or b"") | {"colour": "yellow"}).encode()
    assert read_event(record._replace(value=newer)).event == NAMED


@pytest.mark.parametrize("type_", ["com.bitcorp.erp.category.category-defined.v9", "com.bitcorp.erp.crane.bent.v1"])
def test_an_event_of_a_newer_build_stops_the_reader(type_: str) -> None:
    record, _ = event_record()
    with pytest.raises(UnknownEvent, match=f"this build does not know {type_}"):
        read_event(with_header(record, "ce_type", type_.encode()))


@pytest.mark.parametrize(
    "name", ["id", "type", "subject", "time", "sequence", "aggregateversion", "actor", "causationid", "correlationid"]
)
def test_an_event_without_one_of_its_attributes_is_malformed(name: str) -> None:
    record, _ = event_record()
    with pytest.raises(Malformed):
        read_event(with_header(record, f"ce_{name}"))


@pytest.mark.parametrize("value", [None, b"", b"{}", b"[]", b"\xff", b'{"category_id": 3}'])
def test_an_event_with_other_data_is_malformed(value: bytes | None) -> None:
    record, _ = event_record()
    with pytest.raises(Malformed):
        read_event(record._replace(value=value))


# --- the chain of a company's events --------------------------------------------------------------------------------


def chained() -> list[Record]:
    records, chain = [], NO_CHAIN
    for position, event in enumerate([*ACME, EXCAVATOR], start=1):
        record, chain = event_record(event, position, chain)
        records.append(record)
    return records


def test_the_chain_is_recomputed_from_what_the_records_hold() -> None:
    chain = NO_CHAIN
    for record in chained():
        chain = chain_of(record, chain)
        assert read_event(record).chain == chain.hex()


@pytest.mark.parametrize(
    "tampered",
    [
        lambda record: record._replace(value=(record.value or b"").replace(b"Acme", b"Emca")),
        lambda record: with_header(record, "ce_actor", b"user:eve"),
        lambda record: with_header(record, "ce_time", b"2020-01-01T00:00:00Z"),
        lambda record: with_header(record, "ce_traceparent"),
    ],
    ids=["data", "actor", "time", "an attribute taken away"],
)
def test_a_changed_event_breaks_its_link(tampered: Any) -> None:
    record = tampered(chained()[0])
    assert chain_of(record, NO_CHAIN).hex() != read_event(record).chain


def test_an_event_taken_away_breaks_the_link_of_the_next() -> None:
    first, _, third, *_ = chained()
    assert chain_of(third, chain_of(first, NO_CHAIN)).hex() != read_event(third).chain


# --- outcomes -------------------------------------------------------------------------------------------------------

REJECTED = outcome(
    status=Status.REJECTED,
    code="invalid",
    kind="invalid",
    detail="Some fields are wrong.",
    errors=({"field": "name", "pointer": "/name", "code": "missing", "detail": "Field required"},),
    first=None,
    last=None,
)


@pytest.mark.parametrize(
    "told",
    [outcome(), REJECTED, outcome(repeat=True), outcome(conflict=True), outcome(status=Status.FAILED, version=None)],
    ids=["accepted", "rejected", "repeat", "conflict", "failed"],
)
def test_an_outcome_reads_as_it_was_written(told: Outcome) -> None:
    assert read_outcome(outcome_record(told, sequence=9)) == (told, 9)


def test_an_outcome_names_its_command_in_its_headers() -> None:
    headers = dict(outcome_record(outcome()).headers)
    assert headers["ce_type"] == OUTCOME_TYPE.encode()
    assert headers["ce_causationid"] == str(command().id).encode()
    assert (headers["ce_correlationid"], headers["ce_traceparent"]) == (b"order-66", TRACE.encode())


@pytest.mark.parametrize("value", [None, b"{}", b"[]", b"nonsense"])
def test_what_is_no_outcome_is_malformed(value: bytes | None) -> None:
    with pytest.raises(Malformed):
        read_outcome(outcome_record(outcome())._replace(value=value))


def test_an_outcome_without_its_position_is_malformed() -> None:
    with pytest.raises(Malformed):
        read_outcome(with_header(outcome_record(outcome()), "ce_sequence"))


# --- dead letters and outboxes --------------------------------------------------------------------------------------


@given(RECORDS, TEXT, TEXT)
def test_a_dead_letter_gives_the_record_back_byte_by_byte(origin: Record, reason: str, detail: str) -> None:
    letter = DeadLetter(origin, reason, detail)
    set_aside = write_dead_letter(letter, "erp.dead-letters", 1)
    assert (set_aside.topic, set_aside.partition) == ("erp.dead-letters", 1)
    assert read_dead_letter(set_aside) == letter


def test_a_dead_letter_may_be_set_aside_once_more() -> None:
    first = write_dead_letter(DeadLetter(command_record(command()), "invalid", "first"), "erp.dead-letters", 1)
    again = DeadLetter(first._replace(offset=7, timestamp=8), "failed", "second")
    assert read_dead_letter(write_dead_letter(again, "erp.dead-letters", 1)) == again


def test_a_long_detail_is_cut_and_a_broken_one_is_mended() -> None:
    letter = DeadLetter(command_record(command()), "invalid", "\ud800" + "x" * 10_000)
    assert read_dead_letter(write_dead_letter(letter, "erp.dead-letters", 1)).detail == "?" + "x" * 7_999


@given(RECORDS)
def test_an_outbox_keeps_any_record(record: Record) -> None:
    assert unpack(pack(record)) == record._replace(offset=-1, timestamp=0)


# --- times and ids --------------------------------------------------------------------------------------------------


@given(st.datetimes(datetime(1901, 1, 1), datetime(2199, 1, 1), timezones=OFFSETS))
def test_a_time_is_written_in_utc_and_read_again(moment: datetime) -> None:
    text = rfc3339(moment)
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == moment


def test_a_records_timestamp_is_a_time_in_utc() -> None:
    assert moment_of(1_795_449_927_123) == datetime(2026, 11, 23, 16, 5, 27, 123000, tzinfo=UTC)


def test_the_id_of_an_event_follows_from_its_place() -> None:
    assert event_id("acme", "erp.events", 2, 5) == event_id("acme", "other.events", 2, 5)
    places = [("acme", 2, 5), ("acme", 5, 2), ("acme", 2, 6), ("acne", 2, 5)]
    assert len({event_id(place[0], "erp.events", *place[1:]) for place in places}) == len(places)


def test_a_command_is_decided_as_it_was_sent() -> None:
    asked = command()._replace(expected_version=None).request(NOW)
    assert (asked.company_id, asked.aggregate_id, asked.now) == ("acme", "excavators", NOW)
    assert json.loads(asked.data) == DATA
