"""What holds for whatever is sent: nothing but a refusal is raised, and the events alone tell the state."""

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from stdnum.util import get_cc_module

from domain import BY_NAME, DECIDERS, HOMES
from domain.asset import Asset, AssetRecord, AssetState
from domain.category import Category
from domain.charges import Method
from domain.company import Company, CompanyCreated, MaintenancePolicy
from domain.currencies import MINOR_UNITS
from domain.decider import Actor, Rejected, Rule
from domain.depreciation import Account, BookName, BookPolicy
from domain.engine import Book, Request, Versioned, decide, decode_aggregate, encode_aggregate
from domain.equipment import Assignee, Breakdown, Equipment, Job, MeterReading, equipment
from domain.key import Key, key
from domain.letter import Letter
from domain.maintenance import MaintenanceType, Meter
from domain.masks import DEFAULT_MASK
from domain.model import Command, Day, Email, Id, Instant, Money, Name, Role, State, TaxId
from domain.part import Issue, Part, StockLevel, StockReserved, UnitCost
from domain.periods import Pause
from domain.plan import Plan
from domain.platform import Process, platform
from domain.recurrence import Schedule
from domain.role import DefinedRole
from domain.user import User
from tests.domain.acme import (
    ACME,
    EXCAVATOR,
    FILTER,
    FINANCIAL,
    OPERATOR,
    PLANNED,
    TODAY,
    depreciated,
    every,
    plan,
    policy,
    postings,
    received,
    scheduled,
    soles,
    taken,
    terms,
)
from tests.domain.samples import FULL, about, rule, story_for
from tests.domain.scenario import NOW, Answer, Story, given, realm_of

pytestmark = pytest.mark.thorough

text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)
some = st.sampled_from
ids = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,8}\Z")
amounts = st.decimals(allow_nan=False, places=4) | st.decimals() | st.text("0123456789.-+eE_ ", max_size=22)
days = st.dates(date(1900, 1, 1), date(2200, 12, 31))
moments = st.datetimes(datetime(1901, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)

DAILY = Schedule(rule="FREQ=DAILY", start=date(2026, 11, 23))

# --- states are stored and read again -------------------------------------------------------------------------------

jobs = st.builds(
    Job, maintenance_type=some(MaintenanceType), scheduled_at=moments, scheduled_date=days, started=st.booleans()
)
policies = st.builds(
    MaintenancePolicy,
    minimum_notice_days=st.integers(0, 365),
    maximum_open_jobs=st.integers(1, 100),
    types_for_managers=st.lists(some(MaintenanceType), unique=True).map(tuple),
    intervals=some([(), every(90)]),
)
counts = st.decimals(0, 10**15, places=4)
readings = st.builds(MeterReading, reading=some(["0", "12.5"]), read_at=moments, counted=counts)
accounts = st.builds(
    Account,
    terms=some([terms(), terms(method=Method.UNITS_OF_PRODUCTION, total_units="7")]),
    value=st.decimals(0, 10**15, places=2),
    base=st.decimals(0, 10**15, places=2),
    opening=st.decimals(0, 10**15, places=2),
    accumulated=st.decimals(0, 10**15, places=2),
    used=counts,
    posted=some([None, "2026-10"]),
    since=some([None, "2026-09"]),
    used_since=counts,
    metered=counts,
    halted=st.none() | counts,
)
quantities = st.from_regex(r"\A(0|[1-9][0-9]{0,8})(\.[0-9]{1,4})?\Z")
issues = st.builds(Issue, out=quantities, unit_cost=quantities, equipment_id=ids, job_id=ids)
records = st.builds(
    AssetRecord,
    name=some(["Loader", "Big loader"]),
    category_id=ids,
    acquired_on=days,
    state=some(AssetState),
    place=st.none() | ids,
    cost=some([None, soles("412000.00")]),
)
states: dict[str, st.SearchStrategy[State]] = {
    "company": st.builds(
        Company,
        name=text,
        tax_id=st.none() | st.just(TaxId(country="PE", number="20512333797")),
        time_zone=text,
        currency=some(sorted(MINOR_UNITS)),
        serial_mask=text,
        allow_negative_stock=st.booleans(),
        suspended=st.booleans(),
        policy=policies,
        books=some([(), (BookPolicy(book=FINANCIAL, plan=plan()),)]),
    ),
    "user": st.builds(User, email=text, roles=st.lists(some(Role), unique=True).map(tuple), active=st.booleans()),
    "role": st.builds(DefinedRole, permissions=st.lists(text, max_size=4).map(tuple)),
    "category": st.builds(
        Category,
        name=text,
        maintenance_interval_days=st.none() | st.integers(1, 3660),
        life_months=st.none() | st.integers(1, 1200),
        archived=st.booleans(),
    ),
    "equipment": st.builds(
        Equipment,
        name=text,
        place=st.none() | ids,
        serial_number=text,
        category_id=ids,
        in_service_on=days,
        purchase_price=some([None, soles("412000.00")]),
        accounts=st.dictionaries(some(BookName), accounts),
        sales=some([(), (Pause(since=TODAY),), (Pause(since=TODAY, until=TODAY, posted_until=TODAY),)]),
        open_jobs=st.dictionaries(ids, jobs, max_size=4),
        done_jobs=st.lists(text, max_size=4).map(tuple),
        cancelled_jobs=st.lists(text, max_size=4).map(tuple),
        breakdown=st.none() | st.builds(Breakdown, id=ids, since=moments),
        repaired=st.lists(text, max_size=4).map(tuple),
        meters=st.dictionaries(some(Meter), readings),
        assignee=st.none() | st.builds(Assignee, kind=some(["user", "place"]), id=ids),
        expected_return=st.none() | days,
        retired_on=st.none() | days,
        used=st.booleans(),
        voided=st.booleans(),
    ),
    "part": st.builds(
        Part,
        minimum=quantities,
        reorder_quantity=quantities,
        currency=some(sorted(MINOR_UNITS)),
        level=st.builds(StockLevel, balance=quantities, reserved=quantities, average_cost=quantities),
        reservations=st.dictionaries(ids, quantities, max_size=4),
        movements=st.dictionaries(ids, st.none() | issues, max_size=4),
    ),
    "key": st.builds(
        Key,
        name=text,
        public_key=text,
        permissions=st.lists(text, max_size=4).map(tuple),
        expires_at=st.none() | moments,
        revoked=st.booleans(),
        used_at=st.none() | moments,
    ),
    "letter": st.builds(Letter, discarded=st.booleans()),
    "platform": st.builds(Process, public_key=text, vouches=st.lists(text, max_size=4).map(tuple)),
    "plan": st.builds(
        Plan,
        equipment_id=ids,
        terms=some([None, PLANNED.terms]),
        settled=days,
        last_day=st.none() | days,
        last_job=st.none() | ids,
        next_due=st.none() | days,
        paused=st.booleans(),
        ended=st.booleans(),
    ),
    "asset": st.builds(
        Asset,
        import_id=ids,
        serial_number=st.none() | text,
        record=st.none() | records,
        previous=st.none() | records,
        job_id=st.none() | ids,
        undone=ids,
    ),
}


def test_every_aggregate_has_a_strategy() -> None:
    assert states.keys() == BY_NAME.keys()


@pytest.mark.parametrize("name", sorted(states))
@for_all(data=st.data(), version=st.integers(0, 2**40))
def test_a_state_is_read_as_it_was_stored(name: str, data: st.DataObject, version: int) -> None:
    stored = Versioned(version, data.draw(states[name]))
    record = encode_aggregate(BY_NAME[name], stored)
    assert decode_aggregate(BY_NAME[name], record) == stored
    assert encode_aggregate(BY_NAME[name], decode_aggregate(BY_NAME[name], record)) == record


# --- any sequence of commands ---------------------------------------------------------------------------------------

EX8 = EXCAVATOR.model_copy(update={"equipment_id": "ex-8", "serial_number": "EQ-2024-EX-000008"})
KEPT = StockReserved(
    part_id="filter",
    movement_id="keep",
    equipment_id="ex-7",
    job_id="belts",
    quantity="2",
    after=StockLevel(balance="8", reserved="2", average_cost="2.5"),
)
START = given(
    ACME,
    EXCAVATOR,
    EX8,
    scheduled(),
    depreciated(),
    postings(1),
    policy(intervals=every(30), maximum_open_jobs=3),
    FILTER,
    received(),
    taken("2"),
    KEPT,
    PLANNED,
    PLANNED.model_copy(update={"plan_id": "daily", "next_due": None}),
)

#: Commands about machines are the most frequent, suspensions rare; nobody opens a second company.
WEIGHTS = {
    "company.create": 0,
    "company.suspend": 1,
    "company.reactivate": 6,
    "category.archive": 1,
    "equipment.retire": 2,
    "role.define": 8,
    "role.change": 8,
    "role.remove": 8,
    "part.reserve-stock": 12,
    "part.issue-stock": 15,
    "plan.record-occurrence": 12,
    "plan.review": 12,
    "plan.change": 8,
    "plan.pause": 6,
    "plan.resume": 12,
    "equipment.create": 20,
    "plan.end": 1,
    "equipment.void": 5,
    "equipment.assign": 20,
    "equipment.return": 20,
    "asset.import": 10,
    "asset.undo-asset-import": 8,
}
#: Keys and processes, which nothing here needs, have lives of their own: test_key.py, test_platform.py.
APART = (key, platform)
OF_COMPANIES = [decider for decider in DECIDERS if decider not in APART]
KINDS = [
    rule
    for decider in OF_COMPANIES
    for rule in decider.rules.values()
    for _ in range(WEIGHTS.get(rule.permission, 10 if rule.decider is equipment else 3))
]


FAVOURITES = (*OF_COMPANIES, equipment, equipment)


def choices(dice: Random, today: datetime) -> dict[str, Any]:
    """A value for every field there is, of the few that get in each other's way."""
    days = [(today + timedelta(days=days)).date() for days in (-2, 0, 1, 30)]
    options: dict[str, list[Any]] = {
        "company_id": ["acme"],
        "equipment_id": ["ex-7"] * 6 + ["ex-8"] * 3 + ["ex-9"],
        "job_id": ["oil", "belts", "tyres", f"job-{today:%j}"],
        "letter_id": ["commands-0-1", "commands-0-1", "commands-3-17"],
        "category_id": ["excavators", "cranes"],
        "user_id": ["tess", "nina"],
        "maintenance_type": list(MaintenanceType),
        "scheduled_date": days,
        "expected_return": [None, *days],
        "held_on": [None, *days[:2]],
        "withdrawn_on": [None, *days[:2]],
        "in_service_on": [date(2024, 3, 1), date(2026, 1, 1)],
        "purchased_on": [None, date(2025, 1, 1)],
        "breakdown_id": ["pump", "pump", "hose", f"fault-{today:%j}"],
        "place": ["yard", "pit"],
        "meter": list(Meter),
        "reading": ["10", "20.5", str(today.toordinal())],
        "serial_mask": [DEFAULT_MASK, DEFAULT_MASK, "XX-999"],
        "performed_at": [today, today, today - timedelta(days=3), today + timedelta(days=1)],
        "repaired_by": ["ada", "ada", "nobody"],
        "completed_by": ["ada"] * 3 + ["nina", "nobody"],
        "technician_id": [None, "ada", "nina"],
        "assignee": [Assignee(kind="user", id="tess"), Assignee(kind="place", id="yard")],
        "name": ["Excavators", "EXCAVATORS", "Cranes", "Digger"],
        "serial_number": ["EQ-2024-EX-000007", "EQ-2024-EX-000009", "EQ-2024-EX-000011", "XX-009"],
        "email": ["ADA@acme.example", "nina@acme.example"],
        "roles": [(Role.VIEWER,), (Role.ADMIN,), (Role.TECHNICIAN, Role.MANAGER), ("driver",)],
        "issuer": ["https://login.example"],
        "subject": ["1", "2"],
        "role": ["driver", "driver", "clerk"],
        "permissions": [("equipment.move",), ("equipment.move", "role.define"), ("equipment.fly",)],
        "reason": ["worn out"],
        "books": [(BookPolicy(book=FINANCIAL, plan=plan()),), ()],
        "book": [FINANCIAL] * 3 + [BookName.TAX],
        "plan": [None, plan(), plan(life_months=60), plan(life_months=2)],
        "cost": [None, soles("90000")],
        "salvage": [None, soles("1000.00"), soles("95000")],
        "value": [None, soles("80000.00")],
        "purchase_price": [None, soles("120000.00")],
        "period": [f"2024-{month:02d}" for month in (3, 3, 4, 4, 4, 5)],
        "proceeds": [None, soles("500.00")],
        "plan_id": ["weekly"] * 4 + ["daily", "yearly"],
        "date": [TODAY, TODAY + timedelta(days=7), *[(today - timedelta(hours=5)).date()] * 3],
        "terms": [PLANNED.terms, PLANNED.terms.model_copy(update={"schedule": DAILY})],
        "part_id": ["filter"] * 4 + ["belt"],
        "movement_id": [f"move-{dice.randrange(100)}"],
        "issue_id": ["take", "move-1"],
        "unit": ["pc"],
        "minimum": ["4"],
        "reorder_quantity": ["10"],
        "quantity": ["0.5", "1", "6"],
        "unit_cost": [UnitCost(amount="2.25", currency="PEN"), UnitCost(amount="1", currency="USD")],
        "counted": ["0", "5", "7.5"],
        "difference": ["-1", "-8", "2"],
        "asset_id": ["legacy.1", "legacy.2", "legacy.L-3"],
        "import_id": ["spring", "spring", "summer"],
        "source": ["legacy"],
        "number": ["1", "2", "L-3"],
        "record": [
            AssetRecord(name=name, category_id="excavators", acquired_on=date(2024, 3, 1), state=state)
            for name in ("Loader", "Big loader")
            for state in AssetState
        ],
        "policy": [MaintenancePolicy(intervals=every(30)), MaintenancePolicy(maximum_open_jobs=3)],
    }
    return {name: dice.choice(values) for name, values in options.items()}


def wish(dice: Random, now: datetime, kinds: list[Rule[Any]]) -> tuple[Command, str]:
    """A command with its sender, mostly one who may send it."""
    rule = dice.choice(kinds)
    values = choices(dice, now)
    given = {name: field.is_required() or dice.random() < 0.5 for name, field in rule.command.model_fields.items()}
    data = {name: values[name] for name in given if given[name] and values.get(name) is not None}
    may = OPERATOR if rule.operators else "user:ada"
    return rule.command(**data), dice.choice([may] * 30 + ["user:tess", "user:nina", OPERATOR, "system:timer"])


def life(seed: int) -> list[Answer]:
    """Sixty commands to one company, over some months; half of them about one kind of thing."""
    dice, now, story, answers = Random(seed), NOW, START, []
    favourites = [rule for rule in KINDS if rule.decider is FAVOURITES[seed % len(FAVOURITES)]]
    for _ in range(60):
        now += timedelta(days=dice.choice([0, 0, 1, 7]))
        command, actor = wish(dice, now, dice.choice([KINDS, favourites]))
        answers.append(story.when(command, by=actor, at=now, expecting=dice.choice([None] * 15 + [1])))
        story = answers[-1].story
    return answers


LIVES = 140
remembered = cache(life)


@pytest.mark.parametrize("seed", range(LIVES))
def test_whatever_is_asked_is_accepted_or_refused_and_the_events_tell_the_state(seed: int) -> None:
    answers = remembered(seed)  # each step compares its records with those that folding all events anew gives
    assert answers == life(seed), "the same commands lead to the same bytes"


def test_these_lives_have_seen_every_event_and_most_refusals() -> None:
    answers = [answer for seed in range(LIVES) for answer in remembered(seed)]
    happened = {type(fact.event) for answer in answers for fact in answer.facts}
    assert happened == set(HOMES) - {CompanyCreated, *key.events, *platform.events}
    assert len({answer.code for answer in answers}) > 20


# --- any data -------------------------------------------------------------------------------------------------------

STORY = given(ACME, EXCAVATOR)


def decided(story: Story, permission: str, data: bytes) -> str | None:
    """The refusal's code, None where the command is accepted; anything else is a fault and is raised."""
    asked = rule(permission)
    actor = Actor.parse(story_for(permission)[1])
    try:
        decide(
            Request(str(UUID(int=1)), asked.type, "acme", about(permission), actor, data, NOW),
            Book(story.records.get, realm_of(asked.decider)),
        )
    except Rejected as refusal:
        json.dumps(refusal.errors).encode()
        assert "\x00" not in json.dumps(refusal.errors, ensure_ascii=False)
        return refusal.code
    return None


@settings(max_examples=200)
@for_all(some(sorted(FULL)), st.data())
def test_no_json_in_any_field_leads_to_anything_but_an_answer(permission: str, data: st.DataObject) -> None:
    sample = FULL[permission]
    wrong = data.draw(st.dictionaries(some(sorted(sample)) | st.text(max_size=8), json_values, max_size=3))
    decided(STORY, permission, json.dumps(sample | wrong).encode())


@for_all(st.binary(max_size=200), some(sorted(FULL)))
def test_no_bytes_lead_to_anything_but_a_refusal(data: bytes, permission: str) -> None:
    assert decided(STORY, permission, data) == "invalid"


# --- values ---------------------------------------------------------------------------------------------------------


def taken(kind: Any, written: Any) -> Any:
    """The value as a command takes it from JSON, or None where it is refused."""
    try:
        return TypeAdapter(kind).validate_json(json.dumps(written), strict=True)
    except ValidationError:
        return None


@for_all(st.text(max_size=70) | st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,70}\Z"))
def test_an_id_that_is_taken_fits_into_keys_paths_and_headers(written: str) -> None:
    found = taken(Id, written)
    if found is not None:
        assert found == written
        assert found.isascii()
        assert 0 < len(found) <= 64
        assert not set(found) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


@for_all(st.text(max_size=260))
def test_a_name_that_is_taken_is_trimmed_and_can_be_stored(written: str) -> None:
    found = taken(Name, written)
    if found is not None:
        assert 0 < len(found) <= 200
        assert found in written
        assert "\x00" not in found
        found.encode()


@for_all(st.emails() | st.text(max_size=30))
def test_an_address_that_is_taken_is_ascii_with_one_at_sign(written: str) -> None:
    found = taken(Email, written)
    if found is not None:
        assert found.isascii()
        assert found.count("@") == 1


@for_all(
    st.decimals(allow_nan=False, places=4) | st.decimals() | st.text("0123456789.-+eE_ ", max_size=22),
    some(sorted(MINOR_UNITS)),
)
def test_an_amount_that_is_taken_fits_its_currency_and_the_database(written: Decimal | str, currency: str) -> None:
    found: Money | None = taken(Money, {"amount": str(written), "currency": currency})
    if found is not None:
        assert 0 <= found.decimal < Decimal(10) ** 15
        assert found.decimal == round(found.decimal, MINOR_UNITS[currency])
        assert Decimal(str(found.decimal)) == Decimal(str(written))


@for_all(days)
def test_every_day_within_the_years_is_taken_as_written(day: date) -> None:
    assert taken(Day, day.isoformat()) == day


@for_all(moments, st.integers(-23 * 60, 23 * 60))
def test_every_moment_within_the_years_is_taken_whatever_its_offset(moment: datetime, minutes: int) -> None:
    there = moment.astimezone(timezone(timedelta(minutes=minutes)))
    found = taken(Instant, there.isoformat())
    if 1900 < there.year < 2200:
        assert found == moment
        assert found.tzinfo is UTC


@for_all(st.text(max_size=30) | st.integers() | st.floats())
def test_nothing_else_is_taken_for_a_day_or_a_moment(written: Any) -> None:
    assert taken(Day, written) is None
    assert taken(Instant, written) is None


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
COUNTRIES = [a + b for a in LETTERS for b in LETTERS if get_cc_module((a + b).lower(), "vat")]


@settings(max_examples=300)
@for_all(some(COUNTRIES), st.from_regex(r"\A[A-Za-z0-9 ./-]{1,40}\Z") | st.text("0123456789", min_size=1, max_size=20))
def test_a_tax_number_is_taken_or_refused_and_nothing_else(country: str, number: str) -> None:
    taken(TaxId, {"country": country, "number": number})
