"""Recurring maintenance: plans are defined, come due once a day that they name, catch up, pause and end."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from domain.equipment import (
    CancelMaintenance,
    CompleteMaintenance,
    EquipmentRetired,
    MaintenanceCancelled,
    MaintenanceCompleted,
    MaintenanceScheduled,
    MeterReadingRecorded,
)
from domain.maintenance import Meter
from domain.model import Event
from domain.plan import (
    Anchor,
    CatchUp,
    ChangePlan,
    DefinePlan,
    EndPlan,
    MeterInterval,
    Missed,
    NextOccurrencePlanned,
    OccurrenceDue,
    OccurrenceMissed,
    PausePlan,
    PlanChanged,
    PlanDefined,
    PlanEnded,
    PlanPaused,
    PlanResumed,
    PlanTerms,
    RecordOccurrence,
    ResumePlan,
    ReviewPlan,
    occurrence_job,
)
from domain.recurrence import Schedule
from tests.domain.acme import ACME, EXCAVATOR, MAX, OPERATOR, PREVENTIVE, TESS, TODAY, VIC, every, policy, scheduled
from tests.domain.scenario import NOW, Story, given

PLANNER = "system:planner"
DAY = timedelta(days=1)
WEEKLY = Schedule(rule="FREQ=WEEKLY", start=TODAY)
SITE = given(ACME, EXCAVATOR)
RETIRED = EquipmentRetired(equipment_id="ex-7", reason="worn out", retired_by="user:max", retired_date=TODAY)


def terms(**changes: Any) -> PlanTerms:
    """Every week from today on, unless told otherwise."""
    usual = {"maintenance_type": PREVENTIVE, "anchor": Anchor.FIXED, "schedule": WEEKLY, "technician_id": "tess"}
    return PlanTerms(**usual | changes)


METERED = terms(anchor=Anchor.METER, schedule=None, meter=MeterInterval(meter=Meter.HOURS, every="250"))


def define(**changes: Any) -> DefinePlan:
    return DefinePlan(plan_id="weekly", name="Weekly check", equipment_id="ex-7", terms=terms(**changes))


def defined(due: date | None = TODAY, **changes: Any) -> PlanDefined:
    return PlanDefined(**vars(define(**changes)), settled=TODAY - DAY, next_due=due)


def metered(due: date | None = None) -> PlanDefined:
    return PlanDefined(**vars(define()) | {"terms": METERED}, settled=TODAY - DAY, next_due=due)


def record(day: date = TODAY) -> RecordOccurrence:
    return RecordOccurrence(plan_id="weekly", date=day)


def due(day: date = TODAY, then: date | None = TODAY + 7 * DAY, **more: Any) -> list[Event]:
    """The occurrence of the day, with its job."""
    job_id = occurrence_job("acme", "weekly", day)
    return [
        OccurrenceDue(plan_id="weekly", equipment_id="ex-7", date=day, job_id=job_id, next_due=then),
        MaintenanceScheduled(
            equipment_id="ex-7",
            job_id=job_id,
            maintenance_type=PREVENTIVE,
            scheduled_date=day,
            technician_id="tess",
            plan_id="weekly",
            **{"interval_days": 7} | more,
        ),
    ]


def missed(day: date, then: date | None, because: Missed = Missed.DAY_PASSED) -> OccurrenceMissed:
    return OccurrenceMissed(plan_id="weekly", equipment_id="ex-7", date=day, because=because, next_due=then)


def done(day: date, on: datetime) -> MaintenanceCompleted:
    """The job of that day's occurrence done by Tess."""
    return MaintenanceCompleted(
        equipment_id="ex-7",
        job_id=occurrence_job("acme", "weekly", day),
        maintenance_type=PREVENTIVE,
        completed_by="tess",
        performed_at=on,
        completed_date=on.date(),
        effective_at=on,
    )


def hours(reading: str, read_at: datetime, replaced: bool = False) -> MeterReadingRecorded:
    return MeterReadingRecorded(
        equipment_id="ex-7", meter=Meter.HOURS, reading=reading, replaced=replaced, effective_at=read_at
    )


# --- defined --------------------------------------------------------------------------------------------------------


def test_a_manager_plans_recurring_work_and_is_told_when_it_is_due_first() -> None:
    SITE.when(define(), by=MAX).then(defined())
    later = Schedule(rule="FREQ=MONTHLY", start=date(2026, 1, 31))
    SITE.when(define(schedule=later)).then(defined(date(2026, 11, 30), schedule=later))


@pytest.mark.parametrize("actor", [TESS, VIC, OPERATOR])
def test_nobody_else_plans(actor: str) -> None:
    SITE.when(define(), by=actor).then_rejected("forbidden")


def test_the_planner_settles_occurrences_and_defines_nothing() -> None:
    SITE.when(define(), by=PLANNER).then_rejected("actor-unknown")
    SITE.and_then([defined()]).when(record(), by="system:importer").then_rejected("actor-unknown")


def test_defined_twice_is_refused_the_second_time() -> None:
    SITE.when(define()).then(defined()).when(define()).then_rejected("plan-exists")


def test_work_is_planned_for_a_machine_in_service_and_somebody_of_the_company() -> None:
    given(ACME).when(define()).then_rejected("equipment-unknown")
    given(ACME, EXCAVATOR, RETIRED).when(define()).then_rejected("equipment-retired")
    SITE.when(define(technician_id="nobody")).then_rejected("technician-unknown")


def test_a_schedule_has_a_day_to_come() -> None:
    past = Schedule(rule="FREQ=DAILY;UNTIL=20261122", start=date(2026, 1, 1))
    SITE.when(define(schedule=past)).then_rejected("plan-never-due")
    never = Schedule(rule="FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", start=TODAY)
    SITE.when(define(schedule=never)).then_rejected("plan-never-due")


@pytest.mark.parametrize("anchor", [Anchor.FIXED, Anchor.COMPLETION])
def test_a_schedule_ends_on_the_day_that_it_starts_with_or_later(anchor: Anchor) -> None:
    def until(day: date) -> dict[str, Any]:
        rule = f"FREQ=DAILY;UNTIL={day:%Y%m%d}"
        return {"anchor": anchor, "schedule": Schedule(rule=rule, start=TODAY, extra_days=(TODAY + 9 * DAY,))}

    SITE.when(define(**until(TODAY - DAY))).then_rejected("plan-ends-before-start")
    SITE.and_then([defined()]).when(ChangePlan(plan_id="weekly", terms=terms(**until(TODAY - DAY)))).then_rejected(
        "plan-ends-before-start"
    )
    SITE.when(define(**until(TODAY))).then(defined(**until(TODAY)))


def test_a_schedule_starts_within_the_last_ten_years() -> None:
    old = Schedule(rule="FREQ=DAILY;COUNT=1000", start=TODAY - 3661 * DAY)
    SITE.when(define(schedule=old)).then_rejected("plan-starts-too-early")


def test_counted_from_completion_a_rule_ends_by_its_day_and_not_by_a_count() -> None:
    counted = Schedule(rule="FREQ=WEEKLY;COUNT=3", start=TODAY)
    ending = Schedule(rule="FREQ=WEEKLY;UNTIL=20271231", start=TODAY)
    SITE.when(define(schedule=counted, anchor=Anchor.COMPLETION)).then_rejected("plan-never-ends")
    SITE.when(define(schedule=counted)).then(defined(schedule=counted))
    SITE.when(define(schedule=ending, anchor=Anchor.COMPLETION)).then(
        defined(schedule=ending, anchor=Anchor.COMPLETION)
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"anchor": Anchor.METER},
        {"anchor": Anchor.METER, "schedule": None},
        {"schedule": None},
        {"anchor": Anchor.COMPLETION, "schedule": None},
        {"lead_days": 366},
        {"at": "24:00"},
    ],
)
def test_terms_that_contradict_themselves_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"terms|Terms"):
        terms(**wrong)


# --- due ------------------------------------------------------------------------------------------------------------


def test_an_occurrence_that_is_due_schedules_its_job_in_the_same_commit() -> None:
    answer = SITE.and_then([defined()]).when(record(), by=PLANNER)
    answer.then(*due())
    assert [fact.decider.name for fact in answer.facts] == ["plan", "equipment"]


def test_an_occurrence_is_settled_once_whoever_asks_again() -> None:
    story = SITE.and_then([defined()]).when(record()).then(*due())
    story.when(record(), by=PLANNER).then_nothing()
    story.when(record(TODAY - DAY)).then_nothing()


def test_only_the_next_day_of_the_plan_is_settled_and_not_before_its_time() -> None:
    story = SITE.and_then([defined()])
    story.when(record(TODAY + DAY)).then_rejected("occurrence-not-due")
    story.when(record(TODAY + 7 * DAY)).then_rejected("occurrence-not-due")
    story = story.when(record()).then(*due())
    story.when(record(TODAY + 7 * DAY), by=PLANNER).then_rejected("occurrence-not-due")
    story.when(record(TODAY + 7 * DAY), at=NOW + 7 * DAY).then(*due(TODAY + 7 * DAY, TODAY + 14 * DAY))


def test_a_job_is_made_its_lead_time_ahead_at_the_time_of_day_in_the_company_s_zone() -> None:
    day = TODAY + 10 * DAY
    plan = defined(day, schedule=Schedule(rule="FREQ=WEEKLY", start=day), lead_days=10, at="08:30")
    half_past_eight_in_lima = datetime(2026, 11, 23, 13, 30, tzinfo=UTC)
    story = SITE.and_then([plan])
    story.when(record(day), at=half_past_eight_in_lima - timedelta(seconds=1)).then_rejected("occurrence-not-due")
    story.when(record(day), at=half_past_eight_in_lima).then(*due(day, day + 7 * DAY))


def test_technicians_settle_nothing() -> None:
    SITE.and_then([defined()]).when(record(), by=TESS).then_rejected("forbidden")


# --- missed ---------------------------------------------------------------------------------------------------------

LATE = NOW + 15 * DAY  # two occurrences and a day after the first


@pytest.mark.parametrize(("catch_up", "jobs"), [(CatchUp.EACH, 3), (CatchUp.LATEST, 1), (CatchUp.NONE, 0)])
def test_what_was_missed_is_caught_up_as_the_plan_says(catch_up: CatchUp, jobs: int) -> None:
    story = SITE.and_then([defined(catch_up=catch_up)])
    days = [TODAY, TODAY + 7 * DAY, TODAY + 14 * DAY]
    for number, day in enumerate(days):
        then = day + 7 * DAY
        is_due = number >= len(days) - jobs
        story = story.when(record(day), by=PLANNER, at=LATE).then(*(due(day, then) if is_due else [missed(day, then)]))
    story.when(record(TODAY + 21 * DAY), at=LATE).then_rejected("occurrence-not-due")


def test_a_day_that_has_not_passed_is_never_missed() -> None:
    SITE.and_then([defined(catch_up=CatchUp.NONE)]).when(record()).then(*due())


def test_a_job_of_a_plan_takes_the_labour_that_the_plan_expects() -> None:
    SITE.and_then([defined(expected_minutes=90)]).when(record()).then(*due(expected_minutes=90))


def test_a_machine_with_too_many_open_jobs_gets_no_other() -> None:
    story = SITE.and_then([policy(maximum_open_jobs=1)]).and_then([scheduled()]).and_then([defined()])
    story.when(record()).then(missed(TODAY, TODAY + 7 * DAY, Missed.TOO_MANY_OPEN_JOBS))


# --- other anchors --------------------------------------------------------------------------------------------------

MONTHLY = Schedule(rule="FREQ=MONTHLY", start=TODAY)


def waiting() -> Story:
    """A plan counted from completion, whose first job is open."""
    plan = defined(anchor=Anchor.COMPLETION, schedule=MONTHLY)
    return SITE.and_then([plan]).when(record()).then(*due(then=None, interval_days=30))


def test_counted_from_completion_the_next_waits_for_the_work() -> None:
    story = waiting()
    story.when(record(date(2026, 12, 23)), at=NOW + 40 * DAY).then_rejected("occurrence-not-due")
    story.when(ReviewPlan(plan_id="weekly"), by=PLANNER, at=NOW + 40 * DAY).then_nothing()


def test_counted_from_completion_the_next_follows_the_day_of_the_work() -> None:
    story = waiting().and_then([done(TODAY, NOW + 9 * DAY)])  # on 2 December
    planned = NextOccurrencePlanned(plan_id="weekly", next_due=date(2027, 1, 2))
    story = story.when(ReviewPlan(plan_id="weekly"), by=PLANNER, at=NOW + 9 * DAY).then(planned)
    story.when(ReviewPlan(plan_id="weekly"), by=PLANNER, at=NOW + 9 * DAY).then_nothing()
    story.when(record(date(2027, 1, 2)), at=NOW + 40 * DAY).then(*due(date(2027, 1, 2), None, interval_days=31))


def test_counted_from_completion_a_cancelled_job_counts_from_its_day() -> None:
    job_id = occurrence_job("acme", "weekly", TODAY)
    story = waiting().and_then([MaintenanceCancelled(equipment_id="ex-7", job_id=job_id, reason="rain")])
    story.when(record(date(2026, 12, 23)), at=NOW + 30 * DAY).then(*due(date(2026, 12, 23), None, interval_days=31))


def test_a_job_of_a_plan_is_followed_by_its_plan_and_not_by_the_policy() -> None:
    work = {"equipment_id": "ex-7", "job_id": occurrence_job("acme", "weekly", TODAY), "completed_by": "tess"}
    answer = waiting().and_then([policy(intervals=every(90))]).when(CompleteMaintenance(**work), at=NOW + DAY)
    assert [type(fact.event) for fact in answer.facts] == [MaintenanceCompleted]


def test_the_job_of_an_occurrence_follows_from_company_plan_and_day() -> None:
    assert occurrence_job("acme", "weekly", TODAY) == occurrence_job("acme", "weekly", TODAY)
    others = [("acme", "weekly", TODAY + DAY), ("other", "weekly", TODAY), ("acme", "monthly", TODAY)]
    assert occurrence_job("acme", "weekly", TODAY) not in {occurrence_job(*other) for other in others}


def test_by_meter_the_next_is_forecast_from_use() -> None:
    story = SITE.and_then([hours("1000", NOW - 20 * DAY)]).and_then([hours("1100", NOW - 10 * DAY)])
    told = {"meter": MeterInterval(meter=Meter.HOURS, every="250", since_service="100"), "schedule": None}
    command = define(anchor=Anchor.METER, **told)
    ahead = date(2026, 11, 28)  # 150 hours more at 10 a day, from 13 November on
    plan = PlanDefined(**vars(command), settled=TODAY - DAY, counted_from="0.0000", next_due=ahead)
    story = story.when(command).then(plan)
    story.when(record(ahead)).then_rejected("occurrence-not-due")
    story = story.when(record(ahead), at=NOW + 5 * DAY).then(*due(ahead, None, interval_days=None))
    story = story.and_then([hours("1300", NOW + 6 * DAY)]).and_then([done(ahead, NOW + 6 * DAY)])
    story = story.and_then([hours("0", NOW + 7 * DAY, replaced=True)]).and_then([hours("249", NOW + 13 * DAY)])
    assert story.when(ReviewPlan(plan_id="weekly"), by=PLANNER, at=NOW + 13 * DAY).facts
    story.and_then([hours("250", NOW + 14 * DAY)]).when(record(TODAY + 14 * DAY), at=NOW + 14 * DAY).then(
        *due(TODAY + 14 * DAY, None, interval_days=None)
    )


def test_by_meter_nothing_is_due_without_readings() -> None:
    story = SITE.when(DefinePlan(**vars(define()) | {"terms": METERED})).then(metered())
    story.when(record(), by=PLANNER).then_rejected("occurrence-not-due")


def test_of_calendar_and_meter_the_earlier_counts() -> None:
    both = terms(schedule=MONTHLY, meter=MeterInterval(meter=Meter.HOURS, every="250", since_service="200"))
    used = SITE.and_then([hours("0", NOW - 20 * DAY)]).and_then([hours("200", NOW)])
    command = DefinePlan(**vars(define()) | {"terms": both})
    used.when(command).then(PlanDefined(**vars(command), settled=TODAY - DAY, counted_from="0.0000", next_due=TODAY))
    later = MONTHLY.model_copy(update={"start": TODAY + 20 * DAY})
    command = DefinePlan(**vars(define()) | {"terms": both.model_copy(update={"schedule": later})})
    used.when(command).then(
        PlanDefined(**vars(command), settled=TODAY - DAY, counted_from="0.0000", next_due=TODAY + 5 * DAY)
    )


# --- changed, paused, ended -----------------------------------------------------------------------------------------

DAILY = terms(schedule=Schedule(rule="FREQ=DAILY", start=TODAY))
CHANGE = ChangePlan(plan_id="weekly", terms=DAILY)
PAUSE = PausePlan(plan_id="weekly", reason="strike")
PAUSED = PlanPaused(plan_id="weekly", reason="strike")
RESUME = ResumePlan(plan_id="weekly")
END = EndPlan(plan_id="weekly", reason="sold")
ENDED = PlanEnded(plan_id="weekly", reason="sold")


def test_other_terms_hold_from_today_on_and_a_repeat_adds_nothing() -> None:
    story = SITE.and_then([defined()]).and_then(due())
    changed = PlanChanged(**vars(CHANGE), settled=TODAY, next_due=TODAY + DAY)
    story.when(CHANGE, by=MAX).then(changed).when(CHANGE).then_nothing()
    late = PlanChanged(**vars(CHANGE), settled=TODAY + 2 * DAY, next_due=TODAY + 3 * DAY)
    story.when(CHANGE, at=NOW + 3 * DAY).then(late)


def test_new_terms_are_checked_like_the_first() -> None:
    story = SITE.and_then([defined()])
    over = DAILY.model_copy(update={"schedule": Schedule(rule="FREQ=DAILY;COUNT=1", start=date(2026, 1, 1))})
    story.when(ChangePlan(plan_id="weekly", terms=over)).then_rejected("plan-never-due")
    story.when(CHANGE, by=TESS).then_rejected("forbidden")
    SITE.when(CHANGE).then_rejected("plan-unknown")


def test_a_paused_plan_makes_no_jobs_and_leaves_out_what_falls_into_the_pause() -> None:
    story = SITE.and_then([defined()]).when(PAUSE).then(PAUSED)
    story.when(PAUSE).then_nothing()
    story.when(record()).then_rejected("plan-paused")
    story.when(ReviewPlan(plan_id="weekly")).then_nothing()
    resumed = PlanResumed(plan_id="weekly", settled=TODAY + 14 * DAY, next_due=TODAY + 21 * DAY)
    story = story.when(RESUME, at=NOW + 15 * DAY).then(resumed)
    story.when(RESUME).then_nothing()
    story.when(record(TODAY + 7 * DAY), at=NOW + 15 * DAY).then_nothing()


def test_an_ended_plan_is_over() -> None:
    story = SITE.and_then([defined()]).when(END).then(ENDED)
    story.when(END).then_nothing()
    story.when(ReviewPlan(plan_id="weekly")).then_nothing()
    for command in (CHANGE, PAUSE, RESUME, record()):
        story.when(command).then_rejected("plan-ended")


def test_the_plan_of_a_retired_machine_ends_when_it_would_be_due() -> None:
    story = SITE.and_then([defined()]).and_then([RETIRED])
    over = PlanEnded(plan_id="weekly", reason="The machine is not in service any more")
    story.when(record(), by=PLANNER).then(over)


def test_a_rule_that_has_ended_makes_no_more_jobs() -> None:
    once = Schedule(rule="FREQ=DAILY;COUNT=1", start=TODAY)
    story = SITE.and_then([defined(schedule=once)]).when(record()).then(*due(then=None, interval_days=None))
    story.when(record(TODAY + DAY), at=NOW + DAY).then_rejected("occurrence-not-due")


# --- taken back -----------------------------------------------------------------------------------------------------

RESUMED = PlanResumed(plan_id="weekly", settled=TODAY - DAY, next_due=TODAY)


@pytest.mark.parametrize(
    ("happened", "inverse"),
    [
        ((defined(),), PlanEnded(plan_id="weekly", reason="Undone")),
        ((defined(), PAUSED), RESUMED),
        ((defined(), PAUSED, RESUMED), PlanPaused(plan_id="weekly", reason="Undone")),
    ],
)
def test_definition_pause_and_resumption_of_a_plan_are_taken_back(happened: tuple[Event, ...], inverse: Event) -> None:
    command = happened[-1].inverse()
    assert command is not None
    SITE.and_then(happened).when(command, by=MAX).then(inverse).when(command, by=MAX).then_nothing()


def test_jobs_of_a_plan_are_cancelled_rather_than_taken_back_with_it() -> None:
    occurrence, job = due()
    assert occurrence.inverse() is None
    assert isinstance(job.inverse(), CancelMaintenance)
