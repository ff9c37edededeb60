"""What holds for every command: the order of the checks, actors, versions, claims and sizes."""

import json
from dataclasses import replace
from typing import assert_never
from uuid import UUID

import pytest

from domain import DECIDERS, HOMES, ROSTERS, RULES, engine
from domain.category import CategoryDefined, DefineCategory
from domain.company import CompanySuspended, CreateCompany, ReactivateCompany, UpdateMaintenancePolicy, company
from domain.decider import Actor, Claim, Decider, Kind, Refusal, Rejected
from domain.engine import Book, Request, aggregate_key, decode_aggregate, encode_aggregate, folded_under
from domain.equipment import CreateEquipment, RenameEquipment, RetireEquipment, equipment, serial_number_taken
from domain.model import Event, State
from domain.user import UserAddedToCompany
from tests.domain.acme import (
    ACME,
    ADA,
    EXCAVATOR,
    FILTER,
    LENT,
    OPENED,
    OPERATOR,
    PLANNED,
    PLANT,
    STOREKEEPER,
    TESS,
    scheduled,
)
from tests.domain.samples import ADMITTED, DISCARDED, LOADER
from tests.domain.scenario import NOW, TYPES, Story, given

RENAME = RenameEquipment(equipment_id="ex-7", name="Digger")
SUSPENDED = CompanySuspended(company_id="acme", reason="unpaid")


def request(command: type = RenameEquipment, data: bytes = b"{}", about: str = "ex-7", by: str = ADA) -> Request:
    return Request(str(UUID(int=1)), TYPES[command], "acme", about, Actor.parse(by), data, NOW)


# --- the order of the checks ----------------------------------------------------------------------------------------


def test_fields_come_first_then_company_then_actor_then_aggregate_then_version_then_rule() -> None:
    worse_and_worse = [
        (given(ACME, EXCAVATOR, LENT), RENAME, ADA, None, None),
        (
            given(ACME, EXCAVATOR, LENT),
            RetireEquipment(equipment_id="ex-7", reason="x"),
            ADA,
            None,
            "equipment-assigned",
        ),
        (given(ACME, EXCAVATOR, LENT), RetireEquipment(equipment_id="ex-7", reason="x"), ADA, 7, "version-conflict"),
        (given(ACME), RENAME, ADA, 7, "equipment-unknown"),
        (given(ACME), RENAME, TESS, 7, "forbidden"),
        (given(ACME), RENAME, "user:nobody", 7, "actor-unknown"),
        (given(ACME, SUSPENDED), RENAME, "user:nobody", 7, "company-suspended"),
        (given(), RENAME, "user:nobody", 7, "company-unknown"),
    ]
    for story, command, actor, version, code in worse_and_worse:
        assert story.when(command, by=actor, expecting=version).code == code
    given().when_sent(RenameEquipment, b"{}", about="ex-7", by="user:nobody").then_rejected(
        "invalid", "equipment_id", "name"
    )


def test_an_unknown_type_is_invalid() -> None:
    with pytest.raises(Rejected) as refusal:
        engine.decide(request()._replace(type="com.bitcorp.erp.equipment.explode.v1"), Book({}.get))
    assert (refusal.value.code, refusal.value.refusal.kind) == ("invalid", Kind.INVALID)
    assert refusal.value.errors[0]["field"] == "ce_type"


def test_the_data_names_the_aggregate_that_the_subject_names() -> None:
    data = RENAME.model_dump_json().encode()
    given(ACME, EXCAVATOR).when_sent(RenameEquipment, data, about="ex-8").then_rejected("invalid", "equipment_id")
    given(ACME, EXCAVATOR).ask(request(data=data)._replace(aggregate="user")).then_rejected("invalid", "ce_subject")
    assert given(ACME, EXCAVATOR).ask(request(data=data)._replace(aggregate="equipment")).code is None


# --- actors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.permission)
def test_every_command_says_who_may_send_it(rule) -> None:
    assert bool(rule.roles) != rule.operators


@pytest.mark.parametrize("actor", ["system:importer", "key:tablet"])
def test_systems_and_keys_send_nothing_yet(actor: str) -> None:
    given(ACME, EXCAVATOR).when(RENAME, by=actor).then_rejected("actor-unknown")
    given(ACME, SUSPENDED).when(ReactivateCompany(company_id="acme"), by=actor).then_rejected("actor-unknown")


def test_an_operator_touches_companies_alone() -> None:
    given(ACME, EXCAVATOR).when(RENAME, by=OPERATOR).then_rejected("forbidden")


@pytest.mark.parametrize("text", ["ada", "user:", "user:a b", "root:ada", "user:ada\n", "user:ada:x", "USER:ada", ""])
def test_an_actor_is_a_kind_and_an_id(text: str) -> None:
    with pytest.raises(ValueError, match="an actor is"):
        Actor.parse(text)
    assert str(Actor.parse(OPERATOR)) == OPERATOR


# --- versions -------------------------------------------------------------------------------------------------------


def test_a_command_that_expects_the_version_as_it_is_is_decided() -> None:
    story = given(ACME, EXCAVATOR, scheduled())
    assert story.when(RENAME, expecting=2).code is None
    for other in (0, 1, 3):
        story.when(RENAME, expecting=other).then_rejected("version-conflict")


def test_a_creation_may_expect_that_there_is_nothing_yet() -> None:
    cranes = DefineCategory(category_id="cranes", name="Cranes")
    created = CategoryDefined(category_id="cranes", name="Cranes")
    given(ACME).when(cranes, expecting=0).then(created).when(cranes, expecting=0).then_rejected("version-conflict")


def test_each_event_raises_the_version_of_its_own_aggregate_by_one() -> None:
    admin = {"user_id": "ada", "name": "Ada", "email": "ada@acme.example"}
    command = CreateCompany.model_validate(
        {"company_id": "acme", "name": "Acme", "time_zone": "UTC", "currency": "PEN", "admin": admin}
    )
    facts = given().when(command, by=OPERATOR).facts
    assert [(fact.decider.name, fact.aggregate_id, fact.version) for fact in facts] == [
        ("company", "acme", 1),
        ("user", "ada", 1),
    ]


# --- companies are worlds apart -------------------------------------------------------------------------------------


def test_companies_on_one_partition_share_nothing() -> None:
    other = (OPENED[0].model_copy(update={"company_id": "other"}), OPENED[1])
    both = Story("other", given(ACME, EXCAVATOR).records | given(other, company="other").records)
    book = Book(both.records.get)
    create = CreateEquipment(**EXCAVATOR.model_dump(exclude={"effective_at"}, exclude_none=True))
    data = create.model_dump_json().encode()
    with pytest.raises(Rejected, match="category-unknown"):
        engine.decide(request(CreateEquipment, data)._replace(company_id="other"), book)
    category = CategoryDefined(category_id="excavators", name="Excavators")
    book.fold("other", [category])
    assert [
        fact.event.serial_number
        for fact in engine.decide(request(CreateEquipment, data)._replace(company_id="other"), book)
    ] == [EXCAVATOR.serial_number]


# --- claims, also of two aggregates in one command ------------------------------------------------------------------


class PlateGiven(Event):
    car_id: str
    plate: str | None


class Car(State):
    plate: str | None = None


def _evolve(car: Car, event: PlateGiven) -> Car:
    match event:
        case PlateGiven(plate=plate):
            return car.but(plate=plate)
        case _:
            assert_never(event)


@pytest.fixture
def garage(monkeypatch: pytest.MonkeyPatch) -> Decider[Car]:
    """A decider of the test's own, whose events can be put together at will."""
    monkeypatch.setattr(Refusal, "known", dict(Refusal.known))
    cars = Decider(
        "car", "car_id", "cars", Car(), _evolve, (Claim("plate", lambda car: car.plate, serial_number_taken),)
    )
    monkeypatch.setitem(HOMES, PlateGiven, cars)
    return cars


def plates(book: Book, **given_to: str | None) -> None:
    book.fold("acme", [PlateGiven(car_id=car, plate=plate) for car, plate in given_to.items()])


def test_two_aggregates_of_one_command_cannot_take_one_value(garage: Decider[Car]) -> None:
    book = Book({}.get)
    with pytest.raises(Rejected, match="serial-number-taken"):
        plates(book, a="LIM-1", b="LIM-1")
    assert book.changes == {}


def test_a_value_given_up_and_taken_in_one_command_changes_hands(garage: Decider[Car]) -> None:
    book = Book({}.get)
    plates(book, a="LIM-1")
    plates(book, a=None, b="LIM-1")
    assert book.get("acme/~claim/car.plate/LIM-1") == b"b"
    plates(book, b="LIM-2", a="LIM-1")
    assert (book.get("acme/~claim/car.plate/LIM-1"), book.get("acme/~claim/car.plate/LIM-2")) == (b"a", b"b")


def test_a_value_given_up_is_free_and_its_record_deleted(garage: Decider[Car]) -> None:
    book = Book({}.get)
    plates(book, a="LIM-1")
    plates(book, a="LIM-2")
    assert book.changes["acme/~claim/car.plate/LIM-1"] is None
    plates(book, b="LIM-1")
    with pytest.raises(Rejected, match="serial-number-taken"):
        plates(book, c="LIM-2")


# --- what is stored -------------------------------------------------------------------------------------------------


def test_a_record_names_the_state_s_version_and_the_aggregate_s() -> None:
    story = given(ACME, EXCAVATOR, scheduled())
    record = story.records[aggregate_key("acme", "equipment", "ex-7")]
    assert record.startswith(b"%d 2 {" % equipment.state_version)
    assert engine.state_version_of(record) == equipment.state_version
    assert decode_aggregate(equipment, record).version == 2
    assert encode_aggregate(equipment, decode_aggregate(equipment, record)) == record


def test_a_state_of_a_build_that_knows_more_can_still_be_read() -> None:
    assert decode_aggregate(company, b'1 3 {"time_zone":"UTC","shoe_size":9}').state.time_zone == "UTC"


def test_keys_of_aggregates_are_told_from_all_others() -> None:
    story = given(ACME, STOREKEEPER, PLANT, EXCAVATOR, FILTER, PLANNED, LOADER, ADMITTED, DISCARDED)
    found = {key: folded_under(key) for key in (*story.records, engine.chain_key("acme"), "~head/3")}
    names = {folded.name for folded in found.values() if folded}
    assert names == {decider.name for decider in DECIDERS} | set(ROSTERS)
    assert all("~claim" not in key and "~chain" not in key for key, folded in found.items() if folded)
    assert folded_under(engine.command_key("acme", str(UUID(int=1)))) is None


def test_a_command_whose_records_exceed_a_mebibyte_is_refused() -> None:
    story = given(ACME, EXCAVATOR)
    key = aggregate_key("acme", "equipment", "ex-7")
    done = [f"{number:08}" for number in range(100_000)]
    state = json.loads(story.records[key].split(b" ", 2)[2]) | {"done_jobs": done}
    grown = replace(
        story, records=story.records | {key: b"%d 100001 " % equipment.state_version + json.dumps(state).encode()}
    )
    grown.when(RENAME).then_rejected("too-large")


# --- what a refusal says --------------------------------------------------------------------------------------------


def test_every_wrong_field_is_named_at_once() -> None:
    sent = b'{"equipment_id": "ex 7", "name": "", "serial_number": 7, "colour": "red", "in_service_on": "soon"}'
    answer = (
        given(ACME)
        .when_sent(CreateEquipment, sent, about="ex-7")
        .then_rejected("invalid", "equipment_id", "name", "serial_number", "colour", "in_service_on", "category_id")
    )
    assert answer.groups


def test_an_error_has_a_pointer_a_code_and_a_sentence() -> None:
    sent = b'{"company_id": "acme", "policy": {"intervals": [{"category_id": "a", "days": 0}], "a/b~c": 1}}'
    errors = given(ACME).when_sent(UpdateMaintenancePolicy, sent, about="acme").errors
    assert [(error["pointer"], error["code"]) for error in errors] == [
        ("/policy/intervals/0/days", "greater-than-equal"),
        ("/policy/a~1b~0c", "extra-forbidden"),
    ]
    assert all(error["detail"] for error in errors)


def test_what_a_sender_calls_unknown_fields_cannot_harm_whoever_stores_the_refusal() -> None:
    sent = b'{"equipment_id": "ex-7", "name": "x", "a\\u0000b": 1, "%s": 2}' % (b"y" * 100_000)
    errors = given(ACME).when_sent(RenameEquipment, sent, about="ex-7").errors
    assert [error["field"] for error in errors] == ["a?b", "y" * 64]


def test_a_refusal_names_at_most_fifty_fields() -> None:
    sent = json.dumps({f"field{number}": 1 for number in range(5000)}).encode()
    assert len(given(ACME).when_sent(RenameEquipment, sent, about="ex-7").errors) == engine.ERRORS_NAMED


def test_a_code_is_declared_once() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        Refusal("invalid", Kind.CONFLICT, "Something else.")


def test_an_inactive_person_is_no_actor() -> None:
    story = given(ACME, EXCAVATOR)
    key = aggregate_key("acme", "user", "tess")
    gone = story.records | {key: b'1 2 {"email":"tess@acme.example","roles":["admin"]}'}
    with pytest.raises(Rejected, match="actor-unknown"):
        engine.decide(request(data=RENAME.model_dump_json().encode(), by=TESS), Book(gone.get))
    assert UserAddedToCompany in HOMES
