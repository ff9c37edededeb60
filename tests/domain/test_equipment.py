"""A machine is registered, renamed, assigned, returned and retired."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from domain.category import CategoryArchived, CategoryDefined
from domain.company import CompanySettingsUpdated
from domain.equipment import (
    Assignee,
    AssignEquipment,
    CreateEquipment,
    Equipment,
    EquipmentAssigned,
    EquipmentCreated,
    EquipmentMoved,
    EquipmentRenamed,
    EquipmentRetired,
    EquipmentReturned,
    EquipmentVoided,
    MaintenanceCancelled,
    MeterReadingRecorded,
    MoveEquipment,
    RenameEquipment,
    RetireEquipment,
    ReturnEquipment,
    Status,
    VoidEquipment,
    evolve,
)
from domain.maintenance import Meter
from domain.model import Event, Money
from tests.domain.acme import ACME, ADA, BROKEN, EXCAVATOR, LENT, MAX, OPERATOR, TESS, TODAY, VIC, scheduled, started
from tests.domain.scenario import NOW, given

MACHINE = {
    "equipment_id": "ex-7",
    "name": "Excavator 7",
    "serial_number": "EQ-2024-EX-000007",
    "category_id": "excavators",
    "in_service_on": date(2024, 3, 1),
}
PAPERS = {
    "manufacturer": "Caterpillar",
    "model": "320 GC",
    "manufacturer_serial": "CAT0320GCXYZ00123",
    "purchased_on": date(2024, 2, 1),
    "purchase_price": Money(amount="412000.00", currency="PEN"),
}
RETIRED = EquipmentRetired(equipment_id="ex-7", reason="worn out", retired_by="user:max", retired_date=TODAY)
RETIRE = RetireEquipment(equipment_id="ex-7", reason="worn out")
YARD = Assignee(kind="place", id="north-yard")
RENAME = RenameEquipment(equipment_id="ex-7", name="Digger")
RETURN = ReturnEquipment(equipment_id="ex-7")


def create(**changes: Any) -> CreateEquipment:
    return CreateEquipment(**MACHINE | changes)


def assign(assignee: Assignee = LENT.assignee, back: date | None = None) -> AssignEquipment:
    return AssignEquipment(equipment_id="ex-7", assignee=assignee, expected_return=back)


# --- registered -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("papers", [{}, PAPERS])
def test_a_manager_registers_a_machine_with_or_without_its_papers(papers: dict[str, Any]) -> None:
    given(ACME).when(create(**papers), by=MAX).then(EquipmentCreated(**MACHINE | papers))


@pytest.mark.parametrize("actor", [TESS, VIC, OPERATOR])
def test_nobody_else_registers_a_machine(actor: str) -> None:
    given(ACME).when(create(), by=actor).then_rejected("forbidden")


def test_registered_twice_is_refused_the_second_time() -> None:
    given(ACME, EXCAVATOR).when(create()).then_rejected("equipment-exists")


def test_a_serial_number_stands_for_one_machine() -> None:
    given(ACME, EXCAVATOR).when(create(equipment_id="ex-8")).then_rejected("serial-number-taken")


def test_a_retired_machine_keeps_its_serial_number() -> None:
    given(ACME, EXCAVATOR, RETIRED).when(create(equipment_id="ex-8")).then_rejected("serial-number-taken")


def test_the_id_of_a_machine_says_nothing_about_that_of_a_category() -> None:
    crane = CategoryDefined(category_id="ex-7", name="Cranes")
    given(ACME, crane).when(create()).then(EXCAVATOR)


def test_the_category_must_be_defined() -> None:
    given(ACME).when(create(category_id="submarines")).then_rejected("category-unknown")


def test_a_machine_enters_service_on_the_day_of_its_purchase_or_later() -> None:
    bought = date(2024, 3, 1)
    given(ACME).when(create(purchased_on=bought)).then(EquipmentCreated(**MACHINE | {"purchased_on": bought}))
    given(ACME).when(create(purchased_on=bought + timedelta(days=1))).then_rejected("service-before-purchase")


@pytest.mark.parametrize("serial", ["EQ-24-EX-000007", "EQ-2024-EX-00007", "EQ-2024-E1-000007", "QE-2024-EX-000007"])
def test_a_serial_number_follows_the_company_s_mask(serial: str) -> None:
    given(ACME).when(create(serial_number=serial)).then_rejected("serial-number-off-mask")


@pytest.mark.parametrize("serial", ["EQ-2024-ex-000007", "EQ-2024-EX-000007 ", "EQ-٢٠٢٤-EX-000007", "", "A" * 41])
def test_a_serial_number_is_written_in_capitals_digits_and_a_few_signs(serial: str) -> None:
    sent = create().model_dump_json().replace(EXCAVATOR.serial_number, serial).encode()
    given(ACME).when_sent(CreateEquipment, sent, about="ex-7").then_rejected("invalid", "serial_number")


def test_a_company_may_write_its_serial_numbers_in_another_way() -> None:
    story = given(ACME, CompanySettingsUpdated(company_id="acme", serial_mask="XC.999"))
    story.when(create(serial_number="XC.007")).then(EquipmentCreated(**MACHINE | {"serial_number": "XC.007"}))
    story.when(create()).then_rejected("serial-number-off-mask")


def test_an_archived_category_takes_no_new_machines() -> None:
    given(ACME, CategoryArchived(category_id="excavators")).when(create()).then_rejected("category-archived")


# --- taken back -----------------------------------------------------------------------------------------------------

VOID = VoidEquipment(equipment_id="ex-7", reason="registered twice")
VOIDED = EquipmentVoided(equipment_id="ex-7", reason="registered twice")


def test_a_machine_that_was_never_used_is_taken_back_and_its_id_and_serial_number_are_free() -> None:
    story = given(ACME, EXCAVATOR).when(VOID, by=MAX).then(VOIDED)
    story.when(create(equipment_id="ex-8")).then(EquipmentCreated(**MACHINE | {"equipment_id": "ex-8"}))
    again = story.when(create(name="Excavator 7b"))
    again.then(EquipmentCreated(**MACHINE | {"name": "Excavator 7b"}))
    assert [fact.version for fact in again.facts] == [3]


def test_a_machine_that_was_taken_back_is_unknown() -> None:
    story = given(ACME, EXCAVATOR, VOIDED)
    story.when(VOID).then_rejected("equipment-unknown")
    story.when(RENAME).then_rejected("equipment-unknown")


def test_taking_a_machine_back_cancels_its_open_jobs() -> None:
    given(ACME, EXCAVATOR, scheduled("oil"), scheduled("belts")).when(VOID).then(
        MaintenanceCancelled(equipment_id="ex-7", job_id="oil", reason="registered twice"),
        MaintenanceCancelled(equipment_id="ex-7", job_id="belts", reason="registered twice"),
        VOIDED,
    )


def test_a_machine_that_was_renamed_moved_or_retired_without_use_can_be_taken_back() -> None:
    named = EquipmentRenamed(equipment_id="ex-7", name="Digger")
    moved = EquipmentMoved(equipment_id="ex-7", place="north-yard")
    given(ACME, EXCAVATOR, named, moved, RETIRED).when(VOID).then(VOIDED)


@pytest.mark.parametrize(
    "past",
    [
        [LENT],
        [LENT, EquipmentReturned(equipment_id="ex-7")],
        [scheduled(), started()],
        [BROKEN],
        [MeterReadingRecorded(equipment_id="ex-7", meter=Meter.HOURS, reading="1")],
    ],
)
def test_a_machine_that_was_used_is_not_taken_back(past: list[Any]) -> None:
    given(ACME, EXCAVATOR, *past).when(VOID).then_rejected("equipment-used")


def test_only_managers_take_a_machine_back() -> None:
    given(ACME, EXCAVATOR).when(VOID, by=TESS).then_rejected("forbidden")


# --- moved ----------------------------------------------------------------------------------------------------------

MOVE = MoveEquipment(equipment_id="ex-7", place="north-yard")


def test_a_machine_is_moved_to_a_place_and_a_repeat_adds_nothing() -> None:
    moved = EquipmentMoved(equipment_id="ex-7", place="north-yard")
    story = given(ACME, EXCAVATOR).when(MOVE, by=TESS).then(moved)
    story.when(MOVE).then_nothing()
    story.when(MOVE.model_copy(update={"place": "pit-2"})).then(
        moved.model_copy(update={"place": "pit-2", "previous": "north-yard"})
    )


def test_only_a_machine_that_is_in_use_is_moved() -> None:
    given(ACME).when(MOVE).then_rejected("equipment-unknown")
    given(ACME, EXCAVATOR, RETIRED).when(MOVE).then_rejected("equipment-retired")
    given(ACME, EXCAVATOR).when(MOVE, by=VIC).then_rejected("forbidden")


# --- renamed --------------------------------------------------------------------------------------------------------


def test_a_machine_gets_another_name_and_a_repeat_adds_nothing() -> None:
    renamed = EquipmentRenamed(equipment_id="ex-7", name="Digger", previous="Excavator 7")
    given(ACME, EXCAVATOR).when(RENAME).then(renamed).when(RENAME).then_nothing()


def test_only_a_machine_that_is_there_and_in_use_gets_another_name() -> None:
    given(ACME).when(RENAME).then_rejected("equipment-unknown")
    given(ACME, EXCAVATOR, RETIRED).when(RENAME).then_rejected("equipment-retired")
    given(ACME, EXCAVATOR).when(RENAME, by=TESS).then_rejected("forbidden")


# --- taken back -----------------------------------------------------------------------------------------------------

LENT_TO_MAX = EquipmentAssigned(equipment_id="ex-7", assignee=Assignee(kind="user", id="max"))
BACK = EquipmentReturned(equipment_id="ex-7")


RENAMED = EquipmentRenamed(equipment_id="ex-7", name="Digger", previous="Excavator 7")
MOVED = EquipmentMoved(equipment_id="ex-7", place="pit", previous="yard")


@pytest.mark.parametrize(
    ("happened", "since", "inverse"),
    [
        (EXCAVATOR, (), EquipmentVoided(equipment_id="ex-7", reason="Undone")),
        (RENAMED, (scheduled(),), EquipmentRenamed(equipment_id="ex-7", name="Excavator 7", previous="Digger")),
        (MOVED, (), EquipmentMoved(equipment_id="ex-7", place="yard", previous="pit")),
        (scheduled(), (), MaintenanceCancelled(equipment_id="ex-7", job_id="oil", reason="Undone")),
        (LENT, (), BACK),
    ],
)
def test_the_inverse_of_an_event_takes_it_back(happened: Event, since: tuple[Event, ...], inverse: Event) -> None:
    before = () if happened is EXCAVATOR else (EXCAVATOR,)
    command = happened.inverse()
    assert command is not None
    given(ACME, *before, happened, *since).when(command).then(inverse)


@pytest.mark.parametrize(
    ("happened", "since"),
    [
        (RENAMED, (EquipmentRenamed(equipment_id="ex-7", name="Bess", previous="Digger"),)),
        (MOVED, (EquipmentMoved(equipment_id="ex-7", place="mine", previous="pit"),)),
        (LENT, (BACK, LENT_TO_MAX)),
    ],
)
def test_what_has_changed_since_is_not_taken_back(happened: Event, since: tuple[Event, ...]) -> None:
    command = happened.inverse()
    assert command is not None
    given(ACME, EXCAVATOR, happened, *since).when(command).then_rejected("changed-since")


def test_what_was_not_known_before_cannot_be_brought_back() -> None:
    assert EquipmentMoved(equipment_id="ex-7", place="pit").inverse() is None
    assert EquipmentRenamed(equipment_id="ex-7", name="Digger").inverse() is None
    assert BACK.inverse() is None


# --- assigned and returned ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("assignee", [LENT.assignee, YARD])
def test_an_active_machine_is_handed_to_a_person_or_a_place(assignee: Assignee) -> None:
    given(ACME, EXCAVATOR).when(assign(assignee), by=MAX).then(
        EquipmentAssigned(equipment_id="ex-7", assignee=assignee)
    ).when(assign(assignee)).then_nothing()


def test_only_managers_assign_and_return() -> None:
    given(ACME, EXCAVATOR).when(assign(), by=TESS).then_rejected("forbidden")
    given(ACME, EXCAVATOR, LENT).when(RETURN, by=TESS).then_rejected("forbidden")


def test_a_machine_has_one_assignment_at_a_time() -> None:
    given(ACME, EXCAVATOR, LENT).when(assign(YARD)).then_rejected("equipment-assigned")
    given(ACME, EXCAVATOR, LENT).when(assign(back=TODAY)).then_rejected("equipment-assigned")


def test_a_machine_may_be_expected_back_today_at_the_earliest() -> None:
    given(ACME, EXCAVATOR).when(assign(back=TODAY)).then(LENT.model_copy(update={"expected_return": TODAY}))
    given(ACME, EXCAVATOR).when(assign(back=TODAY - timedelta(days=1))).then_rejected("expected-return-in-past")


def test_today_is_the_day_in_the_company_s_zone() -> None:
    still_yesterday_in_lima = datetime(2026, 11, 24, 4, 59, tzinfo=UTC)
    given(ACME, EXCAVATOR).when(assign(back=TODAY), at=still_yesterday_in_lima).then(
        LENT.model_copy(update={"expected_return": TODAY})
    )
    given(ACME, EXCAVATOR).when(assign(back=TODAY), at=still_yesterday_in_lima + timedelta(minutes=1)).then_rejected(
        "expected-return-in-past"
    )


@pytest.mark.parametrize(
    ("past", "status"),
    [
        ([scheduled()], Status.MAINTENANCE_SCHEDULED),
        ([scheduled(), started()], Status.IN_MAINTENANCE),
        ([BROKEN], Status.IN_MAINTENANCE),
        ([RETIRED], Status.RETIRED),
    ],
)
def test_only_an_active_machine_is_handed_out(past: list[Any], status: Status) -> None:
    machine = Equipment()
    for event in (EXCAVATOR, *past):
        machine = evolve(machine, event)
    assert machine.status == status
    given(ACME, EXCAVATOR, *past).when(assign()).then_rejected("equipment-not-active")


def test_an_assignee_is_somebody_of_the_company() -> None:
    given(ACME, EXCAVATOR).when(assign(Assignee(kind="user", id="nobody"))).then_rejected("assignee-unknown")


def test_a_returned_machine_can_be_handed_out_again() -> None:
    returned = EquipmentReturned(equipment_id="ex-7", notes="left mirror cracked")
    story = given(ACME, EXCAVATOR, LENT).when(RETURN.model_copy(update={"notes": returned.notes})).then(returned)
    story.when(RETURN).then_rejected("equipment-not-assigned")
    story.when(assign(YARD)).then(EquipmentAssigned(equipment_id="ex-7", assignee=YARD))


# --- retired --------------------------------------------------------------------------------------------------------


def test_retiring_a_machine_cancels_its_open_jobs_in_the_same_commit() -> None:
    answer = given(ACME, EXCAVATOR, scheduled("oil"), scheduled("belts")).when(RETIRE, by=MAX)
    answer.then(
        MaintenanceCancelled(equipment_id="ex-7", job_id="oil", reason="worn out"),
        MaintenanceCancelled(equipment_id="ex-7", job_id="belts", reason="worn out"),
        RETIRED,
    )
    assert [fact.version for fact in answer.facts] == [4, 5, 6]


def test_the_day_of_retirement_is_the_company_s() -> None:
    early = datetime(2026, 11, 24, 3, tzinfo=UTC)
    given(ACME, EXCAVATOR).when(RETIRE, by=MAX, at=early).then(RETIRED)


def test_a_machine_is_retired_once() -> None:
    given(ACME, EXCAVATOR, RETIRED).when(RETIRE).then_rejected("equipment-retired")


def test_a_machine_that_is_lent_or_in_the_workshop_is_not_retired() -> None:
    given(ACME, EXCAVATOR, LENT).when(RETIRE).then_rejected("equipment-assigned")
    given(ACME, EXCAVATOR, scheduled(), started()).when(RETIRE).then_rejected("job-started")


def test_only_managers_retire_a_machine() -> None:
    given(ACME, EXCAVATOR).when(RETIRE, by=TESS).then_rejected("forbidden")
    given(ACME).when(RETIRE, by=ADA).then_rejected("equipment-unknown")


@pytest.mark.parametrize("reason", ["", "   ", "two\\nlines", "x" * 501])
def test_a_reason_is_one_line_that_says_something(reason: str) -> None:
    sent = f'{{"equipment_id": "ex-7", "reason": "{reason}"}}'.encode()
    given(ACME, EXCAVATOR).when_sent(RetireEquipment, sent, about="ex-7").then_rejected("invalid", "reason")


def test_events_take_the_time_of_the_command_where_the_rule_names_no_other() -> None:
    answer = given(ACME, EXCAVATOR).when(RETIRE, at=NOW)
    assert [fact.event.effective_at for fact in answer.facts] == [NOW]
