"""Jobs of a machine: scheduled, started, completed, recorded afterwards."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from domain.category import CategoryDefined
from domain.equipment import (
    CancelMaintenance,
    CompleteMaintenance,
    EquipmentCreated,
    EquipmentRetired,
    MaintenanceCancelled,
    MaintenanceCompleted,
    MaintenanceRescheduled,
    MaintenanceScheduled,
    RecordMaintenance,
    RescheduleMaintenance,
    ScheduleMaintenance,
    StartMaintenance,
    following_job,
)
from domain.maintenance import MaintenanceType
from domain.model import Money
from tests.domain.acme import (
    ACME,
    ADA,
    CORRECTIVE,
    EXCAVATOR,
    LENT,
    MAX,
    OPERATOR,
    PREVENTIVE,
    TESS,
    TODAY,
    VIC,
    every,
    policy,
    scheduled,
    started,
)
from tests.domain.scenario import BEFORE, NOW, given

DAY = timedelta(days=1)
RETIRED = EquipmentRetired(equipment_id="ex-7", reason="worn out", retired_by="user:max", retired_date=TODAY)
START = StartMaintenance(equipment_id="ex-7", job_id="oil")


def schedule(job_id: str = "oil", **changes: Any) -> ScheduleMaintenance:
    job = {"maintenance_type": PREVENTIVE, "scheduled_date": date(2026, 12, 1)}
    return ScheduleMaintenance(equipment_id="ex-7", job_id=job_id, **job | changes)


def complete(job_id: str = "oil", **changes: Any) -> CompleteMaintenance:
    return CompleteMaintenance(equipment_id="ex-7", job_id=job_id, **{"completed_by": "tess"} | changes)


def completed(job_id: str = "oil", moment: datetime = NOW, **changes: Any) -> MaintenanceCompleted:
    """The excavator's job done by Tess at that moment."""
    facts = {
        "maintenance_type": PREVENTIVE,
        "completed_by": "tess",
        "performed_at": moment,
        "completed_date": moment.date(),
        "effective_at": moment,
    }
    return MaintenanceCompleted(equipment_id="ex-7", job_id=job_id, **facts | changes)


def record(job_id: str = "old", **changes: Any) -> RecordMaintenance:
    work = {"maintenance_type": CORRECTIVE, "completed_by": "tess", "performed_at": NOW - 400 * DAY}
    return RecordMaintenance(equipment_id="ex-7", job_id=job_id, **work | changes)


# --- scheduled ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actor", [ADA, MAX, TESS])
def test_whoever_works_in_the_company_books_a_machine_for_maintenance(actor: str) -> None:
    given(ACME, EXCAVATOR).when(schedule(), by=actor).then(scheduled())


@pytest.mark.parametrize("actor", [VIC, OPERATOR])
def test_a_viewer_or_an_operator_books_nothing(actor: str) -> None:
    given(ACME, EXCAVATOR).when(schedule(), by=actor).then_rejected("forbidden")


def test_a_job_says_how_much_labour_is_expected() -> None:
    given(ACME, EXCAVATOR).when(schedule(expected_minutes=0)).then(scheduled(expected_minutes=0))
    given(ACME, EXCAVATOR).when(schedule(expected_minutes=90)).then(scheduled(expected_minutes=90)).when(
        schedule(expected_minutes=120)
    ).then_nothing()


def test_booked_twice_is_one_job() -> None:
    given(ACME, EXCAVATOR).when(schedule()).then(scheduled()).when(schedule()).then_nothing()


def test_a_job_that_is_done_or_cancelled_is_not_booked_again_under_its_id() -> None:
    cancelled = MaintenanceCancelled(equipment_id="ex-7", job_id="oil", reason="rain")
    given(ACME, EXCAVATOR, scheduled(), completed()).when(schedule()).then_nothing()
    given(ACME, EXCAVATOR, scheduled(), cancelled).when(schedule()).then_nothing()
    given(ACME, EXCAVATOR, scheduled(), cancelled, RETIRED).when(schedule()).then_nothing()


def test_an_assigned_machine_can_be_booked() -> None:
    given(ACME, EXCAVATOR, LENT).when(schedule()).then(scheduled())


def test_a_retired_or_unknown_machine_takes_no_maintenance() -> None:
    given(ACME, EXCAVATOR, RETIRED).when(schedule()).then_rejected("equipment-retired")
    given(ACME).when(schedule()).then_rejected("equipment-unknown")


def test_today_is_early_enough_and_yesterday_is_not() -> None:
    given(ACME, EXCAVATOR).when(schedule(scheduled_date=TODAY)).then(scheduled(scheduled_date=TODAY))
    given(ACME, EXCAVATOR).when(schedule(scheduled_date=TODAY - DAY)).then_rejected("date-in-past")


def test_today_is_told_by_the_company_s_calendar() -> None:
    midnight_in_lima = datetime(2026, 11, 24, 5, tzinfo=UTC)
    given(ACME, EXCAVATOR).when(schedule(scheduled_date=TODAY), at=midnight_in_lima - DAY / 86400).then(
        scheduled(scheduled_date=TODAY)
    )
    given(ACME, EXCAVATOR).when(schedule(scheduled_date=TODAY), at=midnight_in_lima).then_rejected("date-in-past")


def test_the_policy_asks_for_notice() -> None:
    story = given(ACME, EXCAVATOR, policy(minimum_notice_days=3))
    story.when(schedule(scheduled_date=TODAY + 2 * DAY)).then_rejected("notice-too-short")
    story.when(schedule(scheduled_date=TODAY - DAY)).then_rejected("date-in-past")
    story.when(schedule(scheduled_date=TODAY + 3 * DAY)).then(scheduled(scheduled_date=TODAY + 3 * DAY))


def test_the_policy_limits_the_open_jobs_of_a_machine() -> None:
    story = given(ACME, EXCAVATOR, policy(maximum_open_jobs=2), scheduled("oil"), scheduled("belts"))
    story.when(schedule("tyres")).then_rejected("too-many-open-jobs")
    story.when(schedule("oil")).then_nothing()
    given(ACME, EXCAVATOR, policy(maximum_open_jobs=2), scheduled("oil"), scheduled("belts"), completed("oil")).when(
        schedule("tyres")
    ).then(scheduled("tyres"))


def test_the_policy_leaves_some_types_to_managers() -> None:
    calibration = {"maintenance_type": MaintenanceType.CALIBRATION}
    story = given(ACME, EXCAVATOR, policy(types_for_managers=(MaintenanceType.CALIBRATION,)))
    story.when(schedule(**calibration), by=TESS).then_rejected("type-needs-manager")
    story.when(schedule(**calibration), by=MAX).then(scheduled(**calibration))
    story.when(schedule(), by=TESS).then(scheduled())


def test_the_technician_is_somebody_of_the_company() -> None:
    given(ACME, EXCAVATOR).when(schedule(technician_id="tess")).then(scheduled(technician_id="tess"))
    given(ACME, EXCAVATOR).when(schedule(technician_id="nobody")).then_rejected("technician-unknown")


# --- moved to another day, cancelled --------------------------------------------------------------------------------

LATER = date(2026, 12, 8)
MOVE = RescheduleMaintenance(equipment_id="ex-7", job_id="oil", scheduled_date=LATER)
MOVED = MaintenanceRescheduled(equipment_id="ex-7", job_id="oil", scheduled_date=LATER)
CANCEL = CancelMaintenance(equipment_id="ex-7", job_id="oil", reason="rain")
CANCELLED = MaintenanceCancelled(equipment_id="ex-7", job_id="oil", reason="rain")
FOR_MANAGERS = policy(types_for_managers=(PREVENTIVE,))


def test_a_job_moves_to_another_day_and_a_repeat_adds_nothing() -> None:
    given(ACME, EXCAVATOR, scheduled()).when(MOVE, by=TESS).then(MOVED).when(MOVE, by=TESS).then_nothing()


def test_a_job_moves_to_a_day_that_the_policy_allows() -> None:
    given(ACME, EXCAVATOR, scheduled()).when(MOVE, at=NOW + 30 * DAY).then_rejected("date-in-past")
    given(ACME, EXCAVATOR, scheduled(), policy(minimum_notice_days=30)).when(MOVE).then_rejected("notice-too-short")


def test_only_a_job_that_waits_is_moved() -> None:
    given(ACME, EXCAVATOR).when(MOVE).then_rejected("job-unknown")
    given(ACME, EXCAVATOR, scheduled(), started()).when(MOVE).then_rejected("job-started")
    given(ACME, EXCAVATOR, RETIRED).when(MOVE).then_rejected("equipment-retired")
    given(ACME, EXCAVATOR, scheduled()).when(MOVE, by=VIC).then_rejected("forbidden")


@pytest.mark.parametrize("past", [[], [started()]])
def test_a_job_is_cancelled_whether_begun_or_not_and_a_repeat_adds_nothing(past: list[Any]) -> None:
    given(ACME, EXCAVATOR, scheduled(), *past).when(CANCEL, by=TESS).then(CANCELLED).when(CANCEL).then_nothing()


def test_only_an_open_job_is_cancelled() -> None:
    given(ACME, EXCAVATOR).when(CANCEL).then_rejected("job-unknown")
    given(ACME, EXCAVATOR, scheduled(), completed()).when(CANCEL).then_rejected("job-unknown")
    given(ACME, EXCAVATOR, RETIRED).when(CANCEL).then_rejected("equipment-retired")
    given(ACME, EXCAVATOR, scheduled()).when(CANCEL, by=VIC).then_rejected("forbidden")


def test_work_that_managers_plan_is_moved_and_cancelled_by_them() -> None:
    story = given(ACME, EXCAVATOR, FOR_MANAGERS, scheduled())
    story.when(MOVE, by=TESS).then_rejected("type-needs-manager")
    story.when(CANCEL, by=TESS).then_rejected("type-needs-manager")
    story.when(MOVE, by=MAX).then(MOVED).when(CANCEL, by=MAX).then(CANCELLED)


# --- started --------------------------------------------------------------------------------------------------------


def test_a_technician_starts_a_job_and_a_repeat_adds_nothing() -> None:
    given(ACME, EXCAVATOR, scheduled()).when(START, by=TESS).then(started()).when(START, by=TESS).then_nothing()


def test_only_an_open_job_of_a_machine_in_use_is_started() -> None:
    given(ACME, EXCAVATOR).when(START).then_rejected("job-unknown")
    given(ACME, EXCAVATOR, scheduled(), completed()).when(START).then_rejected("job-unknown")
    given(ACME, EXCAVATOR, RETIRED).when(START).then_rejected("equipment-retired")
    given(ACME).when(START).then_rejected("equipment-unknown")
    given(ACME, EXCAVATOR, scheduled()).when(START, by=VIC).then_rejected("forbidden")


# --- completed ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("past", [[], [started()]])
def test_an_open_or_started_job_is_completed_and_a_repeat_adds_nothing(past: list[Any]) -> None:
    given(ACME, EXCAVATOR, scheduled(), *past).when(complete(), by=TESS).then(completed()).when(
        complete(), by=TESS
    ).then_nothing()


def test_a_completion_keeps_work_cost_and_notes() -> None:
    work = {"labour_minutes": 90, "cost": Money(amount="120.50", currency="PEN"), "notes": "Filter\nand oil."}
    given(ACME, EXCAVATOR, scheduled()).when(complete(**work)).then(completed(**work))


def test_a_late_entry_names_when_the_work_was_done() -> None:
    done = datetime(2026, 11, 20, 3, tzinfo=UTC)  # the evening before in Lima
    given(ACME, EXCAVATOR, scheduled()).when(complete(performed_at=done)).then(
        completed(moment=done, completed_date=date(2026, 11, 19))
    )


def test_work_is_done_after_it_was_scheduled_and_not_in_the_future() -> None:
    story = given(ACME, EXCAVATOR, scheduled())
    story.when(complete(performed_at=BEFORE)).then(completed(moment=BEFORE))
    story.when(complete(performed_at=BEFORE - DAY)).then_rejected("performed-before-scheduled")
    story.when(complete(performed_at=NOW + DAY / 86400)).then_rejected("performed-in-future")


def test_whoever_did_the_work_is_somebody_of_the_company() -> None:
    given(ACME, EXCAVATOR, scheduled()).when(complete(completed_by="nobody")).then_rejected("technician-unknown")


def test_only_a_job_of_the_machine_is_completed() -> None:
    given(ACME, EXCAVATOR).when(complete()).then_rejected("job-unknown")
    given(ACME).when(complete()).then_rejected("equipment-unknown")
    given(ACME, EXCAVATOR, scheduled()).when(complete(), by=VIC).then_rejected("forbidden")


def test_a_cancelled_job_cannot_be_reported_as_done() -> None:
    cancelled = MaintenanceCancelled(equipment_id="ex-7", job_id="oil", reason="worn out")
    given(ACME, EXCAVATOR, scheduled(), cancelled).when(complete()).then_rejected("job-unknown")
    given(ACME, EXCAVATOR, scheduled(), cancelled, RETIRED).when(complete()).then_rejected("equipment-retired")


def test_a_completion_repeated_after_the_machine_was_retired_adds_nothing() -> None:
    given(ACME, EXCAVATOR, scheduled(), completed(), RETIRED).when(complete()).then_nothing()


# --- what follows a completion --------------------------------------------------------------------------------------

NEXT = following_job("acme", "ex-7", "oil")


def following(interval_days: int, day: date | None = None, job_id: str = NEXT) -> MaintenanceScheduled:
    """The service that follows by an interval, so many days from today unless told otherwise."""
    planned = day or TODAY + interval_days * DAY
    return scheduled(job_id, scheduled_date=planned, interval_days=interval_days)


def test_the_policy_s_interval_books_the_next_service_when_one_is_done() -> None:
    story = given(ACME, EXCAVATOR, policy(intervals=every(90)), scheduled())
    after = story.when(complete()).then(completed(), following(90))
    after.when(complete()).then_nothing()
    after.when(complete(NEXT), at=NOW + 90 * DAY).then(
        completed(NEXT, NOW + 90 * DAY),
        following(90, TODAY + 180 * DAY, following_job("acme", "ex-7", NEXT)),
    )


def test_the_interval_counts_from_the_day_of_the_work_but_never_into_the_past() -> None:
    done = NOW - 20 * DAY
    story = given(ACME, EXCAVATOR, policy(intervals=every(30)), scheduled())
    story.when(complete(performed_at=done)).then(completed(moment=done), following(30, TODAY + 10 * DAY))
    weekly = given(ACME, EXCAVATOR, policy(intervals=every(7)), scheduled())
    weekly.when(complete(performed_at=done)).then(completed(moment=done), following(7, TODAY))


def test_a_repair_is_followed_by_nothing_nor_is_a_category_without_interval() -> None:
    repair = given(ACME, EXCAVATOR, policy(intervals=every(90)), scheduled(maintenance_type=CORRECTIVE))
    repair.when(complete()).then(completed(maintenance_type=CORRECTIVE))
    cranes = given(ACME, EXCAVATOR, policy(intervals=every(90, "cranes")), scheduled())
    cranes.when(complete()).then(completed())


def test_the_category_s_own_interval_holds_where_the_policy_has_none() -> None:
    yearly = CategoryDefined(category_id="pumps", name="Pumps", maintenance_interval_days=365)
    pump = EXCAVATOR.model_copy(update={"category_id": "pumps"})
    given(ACME, yearly, pump, scheduled()).when(complete()).then(completed(), following(365))
    given(ACME, yearly, pump, policy(intervals=every(90, "pumps")), scheduled()).when(complete()).then(
        completed(), following(90)
    )


def test_the_next_service_is_booked_even_where_the_policy_s_limits_were_drawn_tighter() -> None:
    tight = policy(intervals=every(1), maximum_open_jobs=1, minimum_notice_days=30)
    given(ACME, EXCAVATOR, scheduled("oil"), scheduled("belts"), tight).when(complete()).then(completed(), following(1))


def test_the_next_service_is_not_booked_over_a_job_that_has_its_id() -> None:
    given(ACME, EXCAVATOR, policy(intervals=every(90)), scheduled("oil"), scheduled(NEXT)).when(complete()).then(
        completed()
    )


# --- recorded afterwards --------------------------------------------------------------------------------------------


def test_work_of_the_past_is_recorded_without_having_been_booked_and_a_repeat_adds_nothing() -> None:
    done = NOW - 400 * DAY
    given(ACME, EXCAVATOR).when(record(), by=TESS).then(completed("old", done, maintenance_type=CORRECTIVE)).when(
        record()
    ).then_nothing()


def test_a_record_books_nothing_and_ends_no_job() -> None:
    story = given(ACME, EXCAVATOR, policy(intervals=every(90)), scheduled(), started())
    after = story.when(record(maintenance_type=PREVENTIVE)).then(completed("old", NOW - 400 * DAY))
    after.when(complete()).then(completed(), following(90))


def test_recorded_work_was_done_in_service_and_not_in_the_future() -> None:
    story = given(ACME, EXCAVATOR)
    first_minute = datetime(2024, 3, 1, 5, tzinfo=UTC)  # midnight in Lima
    story.when(record(performed_at=first_minute)).then(completed("old", first_minute, maintenance_type=CORRECTIVE))
    story.when(record(performed_at=first_minute - DAY / 86400)).then_rejected("performed-before-service")
    story.when(record(performed_at=NOW + DAY / 86400)).then_rejected("performed-in-future")


def test_recorded_work_was_done_by_somebody_of_the_company() -> None:
    given(ACME, EXCAVATOR).when(record(completed_by="nobody")).then_rejected("technician-unknown")
    given(ACME, EXCAVATOR).when(record(), by=VIC).then_rejected("forbidden")
    given(ACME).when(record()).then_rejected("equipment-unknown")


def test_a_scheduled_job_is_completed_not_recorded() -> None:
    cancelled = MaintenanceCancelled(equipment_id="ex-7", job_id="old", reason="rain")
    given(ACME, EXCAVATOR, scheduled("old")).when(record()).then_rejected("job-exists")
    given(ACME, EXCAVATOR, scheduled("old"), cancelled).when(record()).then_rejected("job-exists")


def test_work_on_a_retired_machine_is_recorded_up_to_its_last_day() -> None:
    retired = RETIRED.model_copy(update={"retired_date": date(2026, 11, 10)})
    story = given(ACME, EXCAVATOR, retired)
    last_day = datetime(2026, 11, 11, 4, tzinfo=UTC)  # the evening of the tenth in Lima
    story.when(record(performed_at=last_day)).then(
        completed("old", last_day, completed_date=date(2026, 11, 10), maintenance_type=CORRECTIVE)
    )
    story.when(record(performed_at=last_day + DAY / 24)).then_rejected("equipment-retired")


@pytest.mark.parametrize("minutes", ["-1", "527041", "1.0", "1e2", '"60"', "true", "9223372036854775808", "null"])
def test_labour_is_whole_minutes_of_at_most_a_year(minutes: str) -> None:
    sent = complete().model_dump_json(exclude_unset=True)[:-1] + f', "labour_minutes": {minutes}}}'
    given(ACME, EXCAVATOR, scheduled()).when_sent(CompleteMaintenance, sent.encode(), about="ex-7").then_rejected(
        "invalid", "labour_minutes"
    )


def test_jobs_of_one_machine_are_unknown_to_another() -> None:
    other = EquipmentCreated(
        equipment_id="ex-8",
        name="Excavator 8",
        serial_number="EQ-2024-EX-000008",
        category_id="excavators",
        in_service_on=date(2024, 3, 1),
    )
    given(ACME, EXCAVATOR, other, scheduled()).when(StartMaintenance(equipment_id="ex-8", job_id="oil")).then_rejected(
        "job-unknown"
    )
