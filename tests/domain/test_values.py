"""Bad values are refused where they enter, naming the field: each poison in each field of each command."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from stdnum.util import get_cc_module

from domain.model import Command, Money, TaxId
from tests.domain.acme import OPERATOR
from tests.domain.samples import EMPTY, FULL, STORY, about, rule, sent, story_for
from tests.domain.scenario import RULES

#: JSON that no field of any command takes.
POISON = [
    r'"a\u0000b"',
    r'"\u001b[31m"',
    '"' + "x" * 1_000_000 + '"',
    "1E+400",
    "9223372036854775808",
    "-9223372036854775809",
    "NaN",
    "-Infinity",
    "0.5",
    "-1",
    "true",
    "[[]]",
    '{"a": 1}',
]
IDS = ['""', '"a b"', '"../etc/passwd"', '"-a"', '"a\\n"', '"' + "a" * 65 + '"', '"naïve"', '"a/b"', "7"]
DATES = [
    "0",
    '"0"',
    '"0001-01-01"',
    '"9999-12-31"',
    '"1899-12-31"',
    '"2201-01-01"',
    '"2026-02-30"',
    '"20261201"',
    '"2026-12-01T00:00:00Z"',
    '"1/12/26"',
]
TIMES = [
    "1763910000",
    '"1763910000"',
    '"2026-11-22T10:00:00"',
    '"2026-11-22"',
    '"0001-01-01T00:00:00Z"',
    '"9999-12-31T23:59:59Z"',
    '"1899-12-31T23:59:59Z"',
    '"2201-01-01T00:00:00Z"',
    '"2026-11-22T10:00Z"',
    '"2026-11-22T24:00:00Z"',
    '"2026-11-22T23:59:60Z"',
    '"2026-11-22 10:00:00Z"',
    '"2026-11-22T10:00:00+25:00"',
]
AMOUNTS = [
    "120.5",
    "120",
    '"1_0"',
    '" 1 "',
    '"1E+400"',
    '"NaN"',
    '"-0"',
    '"-1"',
    '"007"',
    '"1,5"',
    '"٣"',
    '""',
]
CODES = ['"pen"', '"XXX"', '""', '"PEN "', '"Mars/Base"', '"../zones"', '"localtime"']
OF_FIELD = {
    "purchased_on": DATES,
    "in_service_on": DATES,
    "scheduled_date": DATES,
    "expected_return": DATES,
    "performed_at": TIMES,
    "happened_at": TIMES,
    "repaired_at": TIMES,
    "read_at": TIMES,
    "reading": AMOUNTS,
    "meter": ['"hours"', '"YEARS"'],
    "serial_mask": ['"99"', '"eq-99"', '"[0-9]+"', '"' + "9" * 41 + '"'],
    "amount": [*AMOUNTS, '"1.0000005"'],
    "rule": ['""', '"FREQ=HOURLY"', '"FREQ=DAILY;BYHOUR=1"', '"FREQ=DAILY;COUNT=0"', '"FREQ=DAILY;INTERVAL=0"'],
    "start": DATES,
    "extra_days": DATES,
    "excluded_days": DATES,
    "at": ['"24:00"', '"8:00"', '"08:00:00"', '"08:60"', '""'],
    "anchor": ['"fixed"', '"NEVER"'],
    "catch_up": ['"each"', '"ALL"'],
    "every": [*AMOUNTS, '"0"'],
    "since_service": AMOUNTS,
    "date": DATES,
    "quantity": [*AMOUNTS, '"1.00005"', '"0"', '"1000000000"'],
    "minimum": [*AMOUNTS, '"1.00005"'],
    "reorder_quantity": [*AMOUNTS, '"1.00005"', '"0"'],
    "counted": [*AMOUNTS, '"1.00005"'],
    "difference": ['"0"', '"--1"', '"+1"', '"1.00005"', '"NaN"', '"-Infinity"', '"1E+2"'],
    "unit": ['""', '"a b"', '"0"', '"' + "x" * 17 + '"'],
    "currency": CODES,
    "time_zone": CODES,
    "country": CODES,
    "maintenance_type": ['"OIL"', '"preventive"', "1"],
    "kind": ['"robot"', '"User"'],
    "name": ['""', '"   "', '"two\\nlines"', '"' + "x" * 201 + '"'],
}


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if entries is None:
        yield path
        return
    for key, inner in entries:
        yield from leaves(inner, (*path, key))


def is_switch(sample: dict[str, Any], path: tuple[str | int, ...]) -> bool:
    value: Any = sample
    for step in path:
        value = value[step]
    return isinstance(value, bool)


def planted(sample: dict[str, Any], path: tuple[str | int, ...], poison: str) -> bytes:
    """The sample as JSON with the poison in the place of the leaf."""
    copy: Any = json.loads(json.dumps(sample))
    inner = copy
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = "@poison@"
    return json.dumps(copy).replace('"@poison@"', poison).encode()


PLACES = [(permission, path) for permission, sample in FULL.items() for path in leaves(sample)]


def test_every_command_has_a_full_sample() -> None:
    assert set(FULL) == {rule.permission for rule in RULES.values()}
    for permission, sample in FULL.items():
        command = rule(permission).command.model_validate_json(json.dumps(sample))
        assert command.model_fields_set == set(type(command).model_fields)


@pytest.mark.parametrize("permission", sorted(FULL))
def test_the_samples_are_accepted(permission: str) -> None:
    assert sent(permission).facts


@pytest.mark.thorough
@pytest.mark.parametrize(("permission", "path"), PLACES, ids=str)
def test_a_poisonous_value_is_refused_naming_its_field(permission: str, path: tuple[str | int, ...]) -> None:
    story, actor = story_for(permission)
    names = [step for step in path if isinstance(step, str)]
    of_ids = IDS if names[-1].endswith("_id") or names[-1] in ("id", "completed_by", "repaired_by", "place") else []
    for poison in (*POISON, *of_ids, *OF_FIELD.get(names[-1], ())):
        if is_switch(FULL[permission], path) and poison == "true":
            continue
        data = planted(FULL[permission], path, poison)
        answer = story.when_sent(rule(permission).command, data, about=about(permission), by=actor)
        assert answer.code == "invalid", poison[:80]
        field = ".".join(map(str, path))
        named = {error["field"] for error in answer.errors}
        assert field in named, poison[:80]
        assert all(field.startswith(name) for name in named), "nothing but the field and what it is part of"


def bodies() -> list[bytes]:
    return [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"{'a': 1}",
        b'{"name": "\xff"}',
        rb'{"name": "\ud800"}',
        b'{"name": 1' + b"0" * 5000 + b"}",
        b"[" * 10_000 + b"]" * 10_000,
        b'{"name": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001,
        b'\xef\xbb\xbf{"equipment_id": "ex-7", "name": "x"}',
    ]


@pytest.mark.parametrize("body", bodies(), ids=lambda body: repr(body[:20]))
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    command = rule("equipment.rename").command
    answer = STORY.when_sent(command, body, about="ex-7")
    assert answer.code == "invalid"
    assert [error["field"] for error in answer.errors] == ["(body)"]


@pytest.mark.parametrize("permission", sorted(FULL))
def test_unknown_fields_are_refused_at_every_level(permission: str) -> None:
    story, actor = story_for(permission)
    command = rule(permission).command
    for path in [(), *(path for path in objects(FULL[permission]))]:
        copy = json.loads(json.dumps(FULL[permission]))
        inner = copy
        for step in path:
            inner = inner[step]
        inner["surprise"] = 1
        answer = story.when_sent(command, json.dumps(copy).encode(), about=about(permission), by=actor)
        answer.then_rejected("invalid", ".".join(map(str, (*path, "surprise"))))


def objects(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        if isinstance(inner, dict):
            yield (*path, key)
        yield from objects(inner, (*path, key))


# --- what looks odd and is right ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["'\";-- DROP", "=cmd|' /C calc'!A0", "<script>", "‏שלום‎", "Łódź 🚜", '#read("x")', "x" * 200]
)
def test_text_is_text(name: str) -> None:
    command = rule("equipment.rename").command.model_validate({"equipment_id": "ex-7", "name": name})
    (fact,) = STORY.when(command).facts
    assert fact.event.model_dump()["name"] == name


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-22T05:00:00-05:00", "2026-11-22T10:00:00Z"),
        ("2026-11-22T10:00:00.123456789Z", "2026-11-22T10:00:00.123456Z"),
        ("2026-11-22T10:00:00+00:00", "2026-11-22T10:00:00Z"),
    ],
)
def test_a_time_of_any_offset_is_kept_in_utc(written: str, meant: str) -> None:
    sample = FULL["equipment.record-maintenance"] | {"performed_at": written}
    command = rule("equipment.record-maintenance").command.model_validate_json(json.dumps(sample))
    (fact,) = STORY.when(command).facts
    assert f'"performed_at":"{meant}"'.encode() in fact.data


# --- money ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "currency", "fits"),
    [
        ("120", "JPY", True),
        ("120.5", "JPY", False),
        ("120.50", "PEN", True),
        ("120.505", "PEN", False),
        ("0.001", "KWD", True),
        ("999999999999999.9999", "CLF", True),
        ("1000000000000000", "PEN", False),
        ("0", "PEN", True),
    ],
)
def test_an_amount_has_no_more_decimals_than_its_currency(amount: str, currency: str, fits: bool) -> None:
    sample = {**FULL["equipment.create"], "purchase_price": {"amount": amount, "currency": currency}}
    answer = STORY.when_sent(rule("equipment.create").command, json.dumps(sample).encode(), about="ex-8")
    assert answer.code == (None if fits else "invalid")
    if not fits:
        assert answer.errors[0]["field"].startswith("purchase_price")
    else:
        assert str(Money(amount=amount, currency=currency).decimal) == amount


# --- tax numbers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("country", "number", "right"),
    [
        ("PE", "20512333797", True),
        ("PE", "20512333798", False),
        ("DE", "136695976", True),
        ("DE", "136695977", False),
        ("IN", "27AAPFU0939F1ZV", True),
        ("US", "12-3456789", True),  # no check is known for it
        ("ZZ", "anything", True),
    ],
)
def test_a_tax_number_is_checked_where_its_country_has_a_rule(country: str, number: str, right: bool) -> None:
    sample = {**FULL["company.create"], "tax_id": {"country": country, "number": number}}
    answer = EMPTY.when_sent(rule("company.create").command, json.dumps(sample).encode(), about="acme", by=OPERATOR)
    assert answer.code == (None if right else "invalid")


@pytest.mark.parametrize("number", ["0", "x", ".", "-", " ", "/", "A" * 40, "1" * 40, "12.345.678/0001-95", "0" * 11])
def test_no_number_makes_a_country_s_rule_fail_otherwise_than_by_refusing(number: str) -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    countries = [a + b for a in letters for b in letters if get_cc_module((a + b).lower(), "vat")]
    assert "PE" in countries
    for country in countries:
        data = json.dumps({"country": country, "number": number})
        try:
            TaxId.model_validate_json(data)
        except ValueError as refusal:
            assert "tax number" in str(refusal)


def test_commands_and_their_models_are_frozen() -> None:
    command: Command = rule("equipment.return").command.model_validate({"equipment_id": "ex-7"})
    with pytest.raises(ValueError, match="frozen"):
        command.equipment_id = "ex-8"  # type: ignore[attr-defined]
