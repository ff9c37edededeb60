"""Commands, events, outcomes and dead letters, written and read again."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid5

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import EVENTS
from domain.category import CategoryDefined
from domain.decider import Actor
from domain.engine import NO_CHAIN
from domain.record import Outcome, Status
from topics.cloudevents import Malformed, Record, read
from topics.messages import (
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
    salvage,
    unpack,
    write_dead_letter,
)
from tests.topics.samples import (
    DATA,
    NOW,
    as_record,
    command,
    event_record,
    fact,
    outcome,
    outcome_record,
    with_header,
)

IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
COMPANIES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True)
PLAIN = st.from_regex(r"[ -~]{1,200}", fullmatch=True)
ACTORS = st.builds(Actor, st.sampled_from(("user", "key", "system", "operator")), IDS)
TEXT = st.text(st.characters(codec="utf-8"), max_size=50)
INTEGERS = st.integers(-(2**70), 2**70)
SCALARS = st.none() | st.booleans() | INTEGERS | TEXT
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=5)
COMMANDS = st.builds(
    CommandMessage,
    id=st.uuids(),
    type=PLAIN,
    company_id=COMPANIES,
    aggregate=st.from_regex(r"[a-z-]{1,20}", fullmatch=True),
    aggregate_id=IDS,
    actor=ACTORS,
    data=OBJECTS.map(lambda data: _dumps(data)),
    source=PLAIN,
    expected_version=st.none() | st.integers(0, 10**18 - 1),
    correlation_id=st.none() | PLAIN,
    causation_id=st.none() | PLAIN,
    traceparent=st.none() | PLAIN,
)
HEADERS = st.lists(st.tuples(TEXT, st.none() | st.binary(max_size=30)), max_size=6).map(tuple)
RECORDS = st.builds(
    Record,
    topic=st.just("erp.commands"),
    partition=st.integers(0, 499),
    key=st.none() | st.binary(max_size=30),
    value=st.none() | st.binary(max_size=100),
    headers=HEADERS,
    offset=st.integers(0, 2**62),
    timestamp=st.integers(0, 2**42),
)


def _dumps(data: object) -> bytes:
    import json

    return json.dumps(data).encode()


# --- commands -------------------------------------------------------------------------------------------------------


@given(COMMANDS)
def test_a_command_reads_as_it_was_written(sent: CommandMessage) -> None:
    assert read_command(as_record(sent)) == sent


def test_a_command_carries_only_the_attributes_that_it_has() -> None:
    plain = command(expected_version=None, correlation_id=None, causation_id=None, traceparent=None)
    names = {name for name, _ in as_record(plain).headers}
    assert names == {"content-type"} | {
        f"ce_{name}" for name in ("specversion", "id", "source", "type", "subject", "time", "actor")
    }
    assert read_command(as_record(plain)) == plain


def test_header_names_may_be_written_in_any_case_and_in_any_order() -> None:
    record = as_record(command())
    shouted = record._replace(headers=tuple((name.upper(), value) for name, value in reversed(record.headers)))
    assert read_command(shouted) == command()


def test_unknown_attributes_and_foreign_headers_are_ignored() -> None:
    record = as_record(command())
    more = (("ce_partitionkey", b"acme"), ("ce_colour", b"\xc3\xa9"), ("x-request-id", b"\xff"), (REROUTED, None))
    assert read_command(record._replace(headers=record.headers + more)) == command()


# --- fingerprints ---------------------------------------------------------------------------------------------------


@given(OBJECTS, st.randoms())
def test_the_fingerprint_does_not_depend_on_the_order_of_keys_or_on_spaces(data: dict[str, object], order) -> None:  # type: ignore[no-untyped-def]
    import json

    names = list(data)
    order.shuffle(names)
    shuffled = json.dumps({name: data[name] for name in names}, indent=2).encode()
    assert command(data={}, data_=None) if False else True
    assert replace(command(), data=shuffled).fingerprint == replace(command(), data=_dumps(data)).fingerprint
