"""What foreign hands may write to the commands topic, each with its one answer: refused by name, or passed on to a rule
that refuses it. Nothing may raise anything else, because that would stop a lane for ever."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain import RULES
from tests.topics.samples import DATA, command, command_record, with_header
from topics.cloudevents import Malformed, Record, parse_json
from topics.messages import CommandMessage, read_command, salvage

GOOD = command_record(command())
STRUCTURED = {
    "specversion": "1.0",
    "id": str(command().id),
    "type": command().type,
    "source": "/upstream",
    "subject": "category/excavators",
    "actor": "user:ada",
    "data": DATA,
}


def taken(record: Record) -> CommandMessage:
    """The command as a lane takes it: read, and its data parsed for the fingerprint."""
    found = read_command(record)
    assert len(found.fingerprint) == 24
    return found


def structured(body: Any, content_type: bytes = b"application/cloudevents+json; charset=utf-8") -> Record:
    value = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Record("erp.commands", 0, b"acme", value, (("content-type", content_type),))


def nested(depth: int) -> bytes:
    return b'{"name": ' + b"[" * depth + b"]" * depth + b"}"


# --- headers --------------------------------------------------------------------------------------------------------

TOO_LONG = b"x" * 201

HEADERS: list[tuple[str, tuple[bytes | None, ...], str]] = [
    ("ce_id", (), "ce_id is missing"),
    ("ce_id", (b"",), "ce_id is missing"),
    ("ce_id", (b"42",), "ce_id must be a UUID"),
    ("ce_id", (None,), "ce_id has no value"),
    ("ce_id", (b"\xff\xfe",), "ce_id is not UTF-8"),
    ("ce_id", (b"0192f1c0-0000-7000-8000-00000000000\x00",), "ce_id holds NUL"),
    ("ce_id", (str(command().id).encode(), str(command().id).encode()), "ce_id is repeated"),
    ("CE_ID", (b"0192f1c0-0000-7000-8000-000000000002",), "CE_ID is repeated"),
    ("ce_specversion", (), "ce_specversion must be 1.0"),
    ("ce_specversion", (b"0.3",), "ce_specversion must be 1.0"),
    ("ce_type", (), "ce_type is missing"),
    ("ce_type", (command().type.encode(), b"another"), "ce_type is repeated"),
    ("ce_type", (TOO_LONG,), "ce_type must be at most 200 printable"),
    ("ce_source", (), "ce_source is missing"),
    ("ce_source", (b"/a\n[error] forged",), "ce_source must be at most 200 printable"),
    ("ce_subject", (), "ce_subject is missing"),
    ("ce_subject", (b"excavators",), "ce_subject must be <aggregate>/<id>"),
    ("ce_subject", (b"category/",), "ce_subject must be <aggregate>/<id>"),
    ("ce_subject", (b"category/../../secrets",), "ce_subject must be <aggregate>/<id>"),
    ("ce_subject", (b"category/" + b"x" * 65,), "ce_subject must be <aggregate>/<id>"),
    ("ce_subject", (b"category/" + b"x" * 300,), "ce_subject must be at most 200 printable"),
    ("ce_subject", ("category/größte".encode(),), "ce_subject must be at most 200 printable"),
    ("ce_subject", ("category/\u202eexe".encode(),), "ce_subject must be at most 200 printable"),
    ("ce_actor", (), "ce_actor is missing"),
    ("ce_actor", (b"root",), "ce_actor: an actor is user:<id>"),
    ("ce_actor", (b"user:",), "ce_actor: an actor is user:<id>"),
    ("ce_actor", (b"user:ada'; DROP TABLE",), "ce_actor: an actor is user:<id>"),
    ("ce_actor", (b"user:ada\n",), "ce_actor must be at most 200 printable"),
    ("ce_expectedversion", (b"",), "ce_expectedversion must be a whole number"),
    ("ce_expectedversion", (b"-1",), "ce_expectedversion must be a whole number"),
    ("ce_expectedversion", (b"1.5",), "ce_expectedversion must be a whole number"),
    ("ce_expectedversion", ("٣".encode(),), "ce_expectedversion must be a whole number"),
    ("ce_expectedversion", (b"9" * 19,), "ce_expectedversion must be a whole number"),
    ("ce_correlationid", (b"a\x1b[31mb",), "ce_correlationid must be at most 200 printable"),
    ("ce_traceparent", (TOO_LONG,), "ce_traceparent must be at most 200 printable"),
    ("content-type", (b"text/plain",), "content-type 'text/plain' is not application/json"),
    ("content-type", (b"application/json", b"application/json"), "content-type is repeated"),
    ("content-type", (None,), "content-type has no value"),
]


@pytest.mark.parametrize(("name", "values", "answer"), HEADERS, ids=lambda part: str(part)[:40])
def test_a_bad_header_is_refused_by_its_name(name: str, values: tuple[bytes | None, ...], answer: str) -> None:
    with pytest.raises(Malformed, match=answer):
        taken(with_header(GOOD, name, *values))


def test_a_time_in_the_future_is_not_believed_but_does_no_harm() -> None:
    assert taken(with_header(GOOD, "ce_time", b"2999-01-01T00:00:00Z")) == command()
    assert taken(with_header(GOOD, "ce_time", b"yesterday")) == command()


def test_json_needs_no_content_type_and_may_name_its_characters() -> None:
    for values in [(), (b"application/json; charset=utf-8",), (b"Application/JSON",)]:
        assert taken(with_header(GOOD, "content-type", *values)) == command()


# --- keys -----------------------------------------------------------------------------------------------------------

KEYS = [None, b"", b"\xff", b"Acme", b"-acme", b"acme\x00", b"acme\n", "größte".encode(), b"../acme", b"a" * 65]


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_a_key_that_is_no_company_id_is_refused(key: bytes | None) -> None:
    with pytest.raises(Malformed, match="the key is not a company id"):
        taken(GOOD._replace(key=key))


# --- values ---------------------------------------------------------------------------------------------------------

VALUES: list[tuple[bytes | None, str]] = [
    (None, "not JSON"),
    (b"", "not JSON"),
    (b"name=Excavators", "not JSON"),
    (b'{"name": "Excavators"', "not JSON"),
    (b'{"name": "Excavators"} x', "not JSON"),
    (b"{'name': 'Excavators'}", "not JSON"),
    (b"\xef\xbb\xbf{}", "not JSON"),
    (b'{"name": "a\x00b"}', "not JSON"),
    (b'{"name": "\xff"}', "not UTF-8"),
    ('{"name": "Excavators"}'.encode("utf-16"), "not UTF-8"),
    (b'{"name": NaN}', "NaN is not JSON"),
    (b'{"name": -Infinity}', "-Infinity is not JSON"),
    (b'{"name": "a", "name": "b"}', "a key is repeated"),
    (b'{"name":"a","name":"a"}', "a key is repeated"),
    (b'{"policy": {"days": 1, "days": 2}}', "a key is repeated"),
    (nested(65), "nested deeper than 64"),
    (nested(10_000), "nested too deep"),
    (b'{"name": ' + b"9" * 5000 + b"}", "integer string conversion"),
]


@pytest.mark.parametrize(("value", "answer"), VALUES, ids=lambda part: str(part)[:40])
def test_a_value_that_is_not_one_json_is_refused(value: bytes | None, answer: str) -> None:
    with pytest.raises(Malformed, match=answer):
        taken(GOOD._replace(value=value))


def test_json_may_be_as_deep_as_64_levels() -> None:
    assert taken(GOOD._replace(value=nested(62)))


@pytest.mark.parametrize(
    "name",
    [
        b'"a\\u0000b"',
        b'"\\ud800"',
        b'"two\\nlines"',
        b"1E+400",
        b"9223372036854775808",
        b"1e2",
        b"true",
        b"null",
        b"[]",
        b'{"$ne": ""}',
        b'"' + b"x" * 1_000_000 + b'"',
    ],
    ids=lambda value: value[:24].decode(),
)
def test_json_that_no_command_means_reaches_the_rule_and_is_refused_there(name: bytes) -> None:
    found = taken(GOOD._replace(value=b'{"category_id": "excavators", "name": ' + name + b"}"))
    with pytest.raises(ValidationError):
        RULES[found.type].command.model_validate_json(found.data)


@pytest.mark.parametrize(
    "name",
    ["=cmd|' /C calc'!A0", "../../etc", "'\";--", "<script>alert(1)</script>", '#read("/etc/passwd")', "\u202eab"],
)
def test_text_that_harms_only_where_it_is_shown_is_data(name: str) -> None:
    found = taken(command_record(command(DATA | {"name": name})))
    assert RULES[found.type].command.model_validate_json(found.data).name == name  # type: ignore[attr-defined]


@pytest.mark.parametrize("type_", ["com.bitcorp.erp.category.define-category.v2", "com.bitcorp.erp.crane.bend.v1"])
def test_an_unknown_type_or_version_is_a_command_that_no_rule_takes(type_: str) -> None:
    assert taken(with_header(GOOD, "ce_type", type_.encode())).type not in RULES


# --- structured mode ------------------------------------------------------------------------------------------------


def test_a_structured_command_is_read_like_a_binary_one() -> None:
    found = taken(structured(STRUCTURED | {"expectedversion": 3}))
    assert (found.id, found.company_id, found.expected_version) == (command().id, "acme", 3)
    assert found.fingerprint == command().fingerprint


BODIES: list[tuple[Any, str]] = [
    ([STRUCTURED], "is a JSON object"),
    (b"", "not JSON"),
    (json.dumps(STRUCTURED).encode()[:-1] + b', "id": "x"}', "a key is repeated"),
    ({**STRUCTURED, "specversion": "0.3"}, "specversion must be 1.0"),
    ({**STRUCTURED, "data_base64": "e30="}, "data_base64 is not JSON data"),
    ({**STRUCTURED, "id": None}, "ce_id is missing"),
    ({**STRUCTURED, "id": 7}, "ce_id must be a UUID"),
    ({**STRUCTURED, "actor": "user:a\x00"}, "ce_actor must be at most 200 printable"),
    ({**STRUCTURED, "actor": "user:\ud800"}, "ce_actor must be at most 200 printable"),
    ({**STRUCTURED, "expectedversion": True}, "ce_expectedversion must be a whole number"),
    ({**STRUCTURED, "data": {"name": "\ud800"}}, "not UTF-8"),
    (json.dumps(STRUCTURED).replace('"Excavators"', "1E+400").encode(), "Infinity is not JSON"),
]


@pytest.mark.parametrize(("body", "answer"), BODIES, ids=lambda part: str(part)[:40])
def test_a_bad_structured_command_is_refused(body: Any, answer: str) -> None:
    with pytest.raises(Malformed, match=answer):
        taken(structured(body))


def test_a_header_of_ours_does_not_break_a_structured_command() -> None:
    record = structured(STRUCTURED)
    rerouted = record._replace(headers=(*record.headers, ("bitcorp-rerouted", b"1/2")))
    assert taken(rerouted) == taken(record)


def test_a_batch_of_cloudevents_is_refused() -> None:
    with pytest.raises(Malformed):
        taken(structured([STRUCTURED], b"application/cloudevents-batch+json"))


# --- what is left to say of a malformed command ---------------------------------------------------------------------


def answered(change: Callable[[Record], Record]) -> CommandMessage:
    found = salvage(change(GOOD))
    assert found is not None
    assert (found.id, found.company_id) == (command().id, "acme")
    return found


def test_a_malformed_command_whose_id_can_be_read_gets_an_answer() -> None:
    told = answered(lambda record: record._replace(value=b"{"))
    assert (told.type, told.aggregate, told.aggregate_id) == (command().type, "category", "excavators")
    assert str(answered(lambda record: with_header(record, "ce_actor", b"root")).actor) == "unknown:unknown"
    assert answered(lambda record: with_header(record, "ce_type", b"\x00")).type == ""
    assert answered(lambda record: with_header(record, "ce_subject", None)).aggregate_id == ""


def test_the_same_bytes_twice_are_the_same_malformed_command_and_others_are_another() -> None:
    one, again, other = (answered(lambda record, v=value: record._replace(value=v)) for value in (b"{", b"{", b"["))
    assert one.fingerprint == again.fingerprint != other.fingerprint


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_without_a_company_nobody_can_be_answered(key: bytes | None) -> None:
    assert salvage(GOOD._replace(key=key, value=b"{")) is None


@pytest.mark.parametrize("values", [(), (b"",), (b"42",), (None,), (b"\xff",)], ids=repr)
def test_without_an_id_nobody_can_be_answered(values: tuple[bytes | None, ...]) -> None:
    assert salvage(with_header(GOOD, "ce_id", *values)) is None


def test_a_header_whose_name_is_no_text_makes_it_no_command_and_nobody_is_answered() -> None:
    for name in (r"\xff", r"ce_\xff"):
        record = with_header(GOOD, name, b"x")
        with pytest.raises(Malformed, match="not UTF-8"):
            taken(record)
        assert salvage(record) is None


# --- anything at all ------------------------------------------------------------------------------------------------

NAMES = st.sampled_from([name for name, _ in GOOD.headers]) | st.text(max_size=8)
CONTENTS = st.none() | st.binary(max_size=12) | st.sampled_from([value for _, value in GOOD.headers])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))


def refused_or_taken(record: Record) -> None:
    try:
        taken(record)
    except Malformed:
        found = salvage(record)
        assert found is None or found.fingerprint


@given(st.lists(st.tuples(NAMES, CONTENTS), max_size=12), st.none() | st.binary(max_size=8), st.binary(max_size=30))
def test_any_record_is_taken_or_refused(
    headers: list[tuple[str, bytes | None]], key: bytes | None, value: bytes
) -> None:
    refused_or_taken(Record("erp.commands", 0, key, value, tuple(headers)))


@given(st.sampled_from([name for name, _ in GOOD.headers]), CONTENTS)
def test_a_command_with_any_one_header_changed_is_taken_or_refused(name: str, value: bytes | None) -> None:
    refused_or_taken(with_header(GOOD, name, value))


@given(st.dictionaries(st.sampled_from(list(STRUCTURED)), ANYTHING, max_size=3))
def test_any_structured_command_is_taken_or_refused(changes: dict[str, Any]) -> None:
    refused_or_taken(structured(STRUCTURED | changes))


@given(st.binary(max_size=40) | st.text(alphabet='{}[]",:0123456789.eE+-\\u ntrfalse\x00', max_size=40).map(str.encode))
@example(b'{"a":1,"a":1}')
@example(b"1e999")
def test_any_bytes_are_one_json_or_refused(value: bytes) -> None:
    try:
        parsed = parse_json(value)
    except Malformed:
        return
    assert json.loads(value) == parsed
