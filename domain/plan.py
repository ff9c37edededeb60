"""Recurring maintenance of a machine: when it is due, and the jobs that follow from it.

An occurrence is a day. A plan looks at them in order and settles each: due, and then a job of the machine is scheduled
in the same commit, or missed. What is settled stays so, whoever asks again.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from typing import Annotated, ClassVar, Self, assert_never
from uuid import NAMESPACE_URL, uuid5

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from domain.company import company
from domain.decider import Context, Decider, Kind, Refusal
from domain.equipment import Equipment, MaintenanceScheduled, equipment, equipment_retired, technician_unknown
from domain.maintenance import MaintenanceType, Meter, Minutes
from domain.model import MANAGERS, UNDONE, Command, Day, Digits, Event, Id, Name, Reason, State, Text, Value
from domain.recurrence import (
    Schedule,
    TimeOfDay,
    moment,
    next_after_completion,
    next_by_meter,
    next_due,
    next_fixed,
    occurrences,
    parse,
)
from domain.user import user

PLANNER = "planner"
DAY = timedelta(days=1)
#: A schedule's first day may lie as far back as this.
EARLIEST_START = timedelta(days=3660)

plan_paused = Refusal("plan-paused", Kind.CONFLICT, "The plan is paused.")
plan_ended = Refusal("plan-ended", Kind.CONFLICT, "The plan has ended.")
plan_never_due = Refusal("plan-never-due", Kind.CONFLICT, "The schedule has no day from today on.")
plan_starts_too_early = Refusal("plan-starts-too-early", Kind.CONFLICT, "The schedule starts more than ten years ago.")
plan_ends_before_start = Refusal(
    "plan-ends-before-start", Kind.INVALID, "The schedule ends before the day that it starts with."
)
plan_never_ends = Refusal(
    "plan-never-ends", Kind.CONFLICT, "Counted from completion a rule starts anew; COUNT would never end it."
)
occurrence_not_due = Refusal("occurrence-not-due", Kind.CONFLICT, "The plan has no occurrence due on this day by now.")


class Anchor(StrEnum):
    """What the next occurrence is counted from: the calendar, the last work done, or what a meter counted then."""

    FIXED = "FIXED"
    COMPLETION = "COMPLETION"
    METER = "METER"


class CatchUp(StrEnum):
    """Which occurrences become jobs although their day has passed."""

    EACH = "EACH"
    LATEST = "LATEST"
    NONE = "NONE"


class Missed(StrEnum):
    """Why an occurrence led to no job."""

    DAY_PASSED = "DAY_PASSED"
    TOO_MANY_OPEN_JOBS = "TOO_MANY_OPEN_JOBS"


Count = Annotated[str, StringConstraints(pattern=r"^-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,4})?$")]


def _positive(digits: str) -> str:
    if not Decimal(digits):
        raise ValueError("must not be zero")
    return digits


class MeterInterval(Value):
    """How much a meter counts from one service to the next, and what it has counted since the last before the plan."""

    meter: Meter
    every: Annotated[Digits, AfterValidator(_positive)]
    since_service: Digits = "0"


class PlanTerms(Value):
    """What is to be done and when. FIXED and COMPLETION need a schedule; with a meter beside it, the earlier counts.

    A job is made `lead_days` before its day, at the time of day in the company's zone. Catching up is for FIXED alone.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "maintenance_type": "PREVENTIVE",
                    "anchor": "FIXED",
                    "schedule": {"rule": "FREQ=MONTHLY;INTERVAL=3", "start": "2026-12-31"},
                    "lead_days": 14,
                }
            ]
        }
    )

    maintenance_type: MaintenanceType
    anchor: Anchor
    schedule: Schedule | None = None
    meter: MeterInterval | None = None
    at: TimeOfDay = "00:00"
    lead_days: Annotated[int, Field(ge=0, le=365)] = 0
    catch_up: CatchUp = CatchUp.LATEST
    technician_id: Id | None = None
    notes: Text | None = None
    expected_minutes: Minutes | None = None

    @model_validator(mode="after")
    def _has_what_its_anchor_needs(self) -> Self:
        if self.anchor is Anchor.METER and (self.meter is None or self.schedule):
            raise ValueError("METER takes a meter and no schedule")
        if self.anchor is not Anchor.METER and self.schedule is None:
            raise ValueError(f"{self.anchor} needs a schedule")
        return self


class PlanDefined(Event):
    """Days up to `settled` are none of the plan's; `next_due` is absent where it is not known yet.

    `counted_from` is what the meter of the plan, if any, had counted at the last service before it.
    """

    plan_id: Id
    name: Name
    equipment_id: Id
    terms: PlanTerms
    settled: Day
    counted_from: Count = "0"
    next_due: Day | None = None

    begins: ClassVar[bool] = True

    def inverse(self) -> Command:
        return EndPlan(plan_id=self.plan_id, reason=UNDONE)


class PlanChanged(Event):
    plan_id: Id
    terms: PlanTerms
    settled: Day
    counted_from: Count = "0"
    next_due: Day | None = None


class PlanPaused(Event):
    plan_id: Id
    reason: Reason

    def inverse(self) -> Command:
        return ResumePlan(plan_id=self.plan_id)


class PlanResumed(Event):
    plan_id: Id
    settled: Day
    next_due: Day | None = None

    def inverse(self) -> Command:
        return PausePlan(plan_id=self.plan_id, reason=UNDONE)


class PlanEnded(Event):
    plan_id: Id
    reason: Reason


class OccurrenceDue(Event):
    """The occurrence of that day has a job."""

    plan_id: Id
    equipment_id: Id
    date: Day
    job_id: Id
    next_due: Day | None = None


class OccurrenceMissed(Event):
    plan_id: Id
    equipment_id: Id
    date: Day
    because: Missed
    next_due: Day | None = None


class NextOccurrencePlanned(Event):
    """The machine's work or meters have moved the next occurrence."""

    plan_id: Id
    next_due: Day | None = None


PlanEvent = (
    PlanDefined
    | PlanChanged
    | PlanPaused
    | PlanResumed
    | PlanEnded
    | OccurrenceDue
    | OccurrenceMissed
    | NextOccurrencePlanned
)


class Plan(State):
    equipment_id: str = ""
    terms: PlanTerms | None = None
    settled: date = date.min
    counted_from: str = "0"
    last_day: date | None = None
    last_job: str | None = None
    next_due: date | None = None
    paused: bool = False
    ended: bool = False


def evolve(plan: Plan, event: PlanEvent) -> Plan:
    match event:
        case PlanDefined(equipment_id=machine, terms=terms, settled=day, counted_from=count, next_due=due):
            return plan.but(equipment_id=machine, terms=terms, settled=day, counted_from=count, next_due=due)
        case PlanChanged(terms=terms, settled=day, counted_from=count, next_due=due):
            return plan.but(terms=terms, settled=day, counted_from=count, next_due=due)
        case PlanPaused():
            return plan.but(paused=True)
        case PlanResumed(settled=day, next_due=due):
            return plan.but(paused=False, settled=day, next_due=due)
        case PlanEnded():
            return plan.but(ended=True, next_due=None)
        case OccurrenceDue(date=day, job_id=job_id, next_due=due):
            return plan.but(settled=day, last_day=day, last_job=job_id, next_due=due)
        case OccurrenceMissed(date=day, next_due=due):
            return plan.but(settled=day, next_due=due)
        case NextOccurrencePlanned(next_due=due):
            return plan.but(next_due=due)
        case _:
            assert_never(event)


plan = Decider("plan", key="plan_id", path="plans", initial=Plan(), evolve=evolve)


# --- when it is due -------------------------------------------------------------------------------------------------


def due_day(plan_id: str, plan: Plan, machine: Equipment) -> date | None:
    """The next occurrence that is not settled; None where it waits for work or readings, or none will come."""
    if plan.terms is None:
        return None
    day = next_due([_by_calendar(plan_id, plan, plan.terms, machine), _by_meter(plan_id, plan, plan.terms, machine)])
    return None if day is None else max(day, plan.settled + DAY)


def _by_calendar(plan_id: str, plan: Plan, terms: PlanTerms, machine: Equipment) -> date | None:
    if terms.schedule is None:
        return None
    if terms.anchor is Anchor.FIXED or plan.last_day is None:
        return next_fixed(terms.schedule, plan.settled)
    if plan.last_job in machine.open_jobs:
        return None
    done = machine.services.get(plan_id)
    return next_after_completion(terms.schedule, done.on if done else plan.last_day)


def _by_meter(plan_id: str, plan: Plan, terms: PlanTerms, machine: Equipment) -> date | None:
    if terms.meter is None or plan.last_job in machine.open_jobs:
        return None
    shown, done = machine.meters.get(terms.meter.meter), machine.services.get(plan_id)
    if shown is None:
        return None
    counted = done.counted.get(terms.meter.meter, Decimal(0)) if done else Decimal(plan.counted_from)
    return next_by_meter(shown.latest, counted + Decimal(terms.meter.every))


def occurrence_job(company_id: str, plan_id: str, day: date) -> str:
    """The id of the job of an occurrence: derived from it, so that no replay and no second worker makes two."""
    return str(uuid5(NAMESPACE_URL, f"bitcorp:occurrence:{company_id}/{plan_id}/{day}"))


def _next(plan_id: str, plan: Plan, context: Context) -> date | None:
    return due_day(plan_id, plan, context.read(equipment, plan.equipment_id))


# --- commands -------------------------------------------------------------------------------------------------------


class DefinePlan(Command):
    """Plan recurring maintenance of a machine, from today on."""

    plan_id: Id
    name: Name
    equipment_id: Id
    terms: PlanTerms


@plan.creates(MANAGERS)
def define_plan(_: Plan, cmd: DefinePlan, context: Context) -> Iterator[PlanDefined]:
    _check_machine(cmd.equipment_id, context)
    _check_terms(cmd.terms, context)
    settled, count = context.today - DAY, _counted_from(cmd.terms, cmd.equipment_id, context)
    new = Plan(equipment_id=cmd.equipment_id, terms=cmd.terms, settled=settled, counted_from=count)
    due = _next(cmd.plan_id, new, context)
    yield PlanDefined(**vars(cmd), settled=settled, counted_from=count, next_due=due)


def _counted_from(terms: PlanTerms, equipment_id: str, context: Context) -> str:
    """What the meter of the terms had counted at the last service, told from what it counts now."""
    if terms.meter is None:
        return "0"
    counted = context.read(equipment, equipment_id).counted(terms.meter.meter)
    return f"{counted - Decimal(terms.meter.since_service):f}"


def _check_machine(equipment_id: str, context: Context) -> None:
    if not context.exists(equipment, equipment_id):
        raise equipment.unknown()
    if context.read(equipment, equipment_id).retired:
        raise equipment_retired()


def _check_terms(terms: PlanTerms, context: Context) -> None:
    """Raises where no day would ever come, the work of finding one is not bounded, or nobody is there to do it."""
    if terms.technician_id and not context.read(user, terms.technician_id).active:
        raise technician_unknown()
    if terms.schedule is None:
        return
    rule = parse(terms.schedule.rule)
    if terms.anchor is Anchor.COMPLETION and rule.count:
        raise plan_never_ends("Say UNTIL instead of COUNT.")
    if rule.until and rule.until < terms.schedule.start:
        raise plan_ends_before_start()
    if terms.schedule.start < context.today - EARLIEST_START:
        raise plan_starts_too_early()
    if next_fixed(terms.schedule, context.today - DAY) is None:
        raise plan_never_due()


class ChangePlan(Command):
    """Give a plan other terms, from today on; occurrences that are settled stay so."""

    plan_id: Id
    terms: PlanTerms


@plan.decides(MANAGERS)
def change_plan(plan: Plan, cmd: ChangePlan, context: Context) -> Iterator[PlanChanged]:
    if plan.ended:
        raise plan_ended()
    if cmd.terms == plan.terms:
        return  # asked twice, changed once
    _check_terms(cmd.terms, context)
    settled = max(plan.settled, context.today - DAY)
    count = _counted_from(cmd.terms, plan.equipment_id, context)
    due = _next(cmd.plan_id, plan.but(terms=cmd.terms, settled=settled, counted_from=count), context)
    yield PlanChanged(**vars(cmd), settled=settled, counted_from=count, next_due=due)


class PausePlan(Command):
    """Let nothing of a plan become due until it is resumed."""

    plan_id: Id
    reason: Reason


@plan.decides(MANAGERS)
def pause_plan(plan: Plan, cmd: PausePlan, context: Context) -> Iterator[PlanPaused]:
    if plan.ended:
        raise plan_ended()
    if not plan.paused:
        yield PlanPaused(**vars(cmd))


class ResumePlan(Command):
    """Go on with a paused plan, from today on; what fell into the pause is left out."""

    plan_id: Id


@plan.decides(MANAGERS)
def resume_plan(plan: Plan, cmd: ResumePlan, context: Context) -> Iterator[PlanResumed]:
    if plan.ended:
        raise plan_ended()
    if plan.paused:
        settled = max(plan.settled, context.today - DAY)
        due = _next(cmd.plan_id, plan.but(settled=settled), context)
        yield PlanResumed(**vars(cmd), settled=settled, next_due=due)


class EndPlan(Command):
    """End a plan for good; its open jobs stay."""

    plan_id: Id
    reason: Reason


@plan.decides(MANAGERS)
def end_plan(plan: Plan, cmd: EndPlan, context: Context) -> Iterator[PlanEnded]:
    if not plan.ended:
        yield PlanEnded(**vars(cmd))


class RecordOccurrence(Command):
    """Settle the plan's next occurrence: it becomes due, or is missed. The plan of a retired machine ends."""

    plan_id: Id
    date: Day


@plan.decides(MANAGERS, systems=(PLANNER,))
def record_occurrence(
    plan: Plan, cmd: RecordOccurrence, context: Context
) -> Iterator[OccurrenceDue | OccurrenceMissed | MaintenanceScheduled | PlanEnded]:
    if cmd.date <= plan.settled:
        return  # asked twice, settled once
    if plan.ended or plan.terms is None:
        raise plan_ended()
    if plan.paused:
        raise plan_paused()
    machine = context.read(equipment, plan.equipment_id)
    if machine.retired or machine.gone:
        yield PlanEnded(plan_id=cmd.plan_id, reason="The machine is not in service any more")
        return
    _check_due(cmd, plan, plan.terms, machine, context)
    missed = _missed(cmd.date, plan.terms, machine, context)
    if missed:
        yield _as_missed(cmd, plan, missed, machine)
    else:
        yield from _as_due(cmd, plan, plan.terms, machine, context)


def _check_due(cmd: RecordOccurrence, plan: Plan, terms: PlanTerms, machine: Equipment, context: Context) -> None:
    """Raises unless the day is the plan's next, and close enough for its job to be made."""
    expected = due_day(cmd.plan_id, plan, machine)
    if cmd.date != expected:
        raise occurrence_not_due(f"The next occurrence is {expected or 'not known yet'}.")
    zone = context.read(company, context.company_id).time_zone
    begins = moment(cmd.date - timedelta(days=terms.lead_days), terms.at, zone)
    if context.now < begins:
        raise occurrence_not_due(f"The job is made from {begins.isoformat()} on.")


def _missed(day: date, terms: PlanTerms, machine: Equipment, context: Context) -> Missed | None:
    """Why the occurrence leads to no job; None where it does."""
    passed = terms.anchor is Anchor.FIXED and day < context.today
    if passed and (terms.catch_up is CatchUp.NONE or _has_later(day, terms, context)):
        return Missed.DAY_PASSED
    most = context.read(company, context.company_id).policy.maximum_open_jobs
    return Missed.TOO_MANY_OPEN_JOBS if len(machine.open_jobs) >= most else None


def _has_later(day: date, terms: PlanTerms, context: Context) -> bool:
    """Whether only the latest counts, and another occurrence has come since."""
    if terms.catch_up is not CatchUp.LATEST or terms.schedule is None:
        return False
    return any(islice(occurrences(terms.schedule, day, context.today), 1))


def _as_missed(cmd: RecordOccurrence, plan: Plan, because: Missed, machine: Equipment) -> OccurrenceMissed:
    due = due_day(cmd.plan_id, plan.but(settled=cmd.date), machine)
    return OccurrenceMissed(**vars(cmd), equipment_id=plan.equipment_id, because=because, next_due=due)


def _as_due(
    cmd: RecordOccurrence, plan: Plan, terms: PlanTerms, machine: Equipment, context: Context
) -> Iterator[OccurrenceDue | MaintenanceScheduled]:
    job_id = occurrence_job(context.company_id, cmd.plan_id, cmd.date)
    scheduled = MaintenanceScheduled(
        equipment_id=plan.equipment_id,
        job_id=job_id,
        maintenance_type=terms.maintenance_type,
        scheduled_date=cmd.date,
        technician_id=terms.technician_id,
        notes=terms.notes,
        plan_id=cmd.plan_id,
        expected_minutes=terms.expected_minutes,
        interval_days=_interval(terms, cmd.date),
        effective_at=context.now,
    )
    after = plan.but(settled=cmd.date, last_day=cmd.date, last_job=job_id)
    due = due_day(cmd.plan_id, after, equipment.evolve(machine, scheduled))
    yield OccurrenceDue(**vars(cmd), equipment_id=plan.equipment_id, job_id=job_id, next_due=due)
    yield scheduled


def _interval(terms: PlanTerms, day: date) -> int | None:
    """Days from an occurrence to the next by the calendar; None where the plan has none, or has no more."""
    if terms.schedule is None:
        return None
    follows = next_fixed if terms.anchor is Anchor.FIXED else next_after_completion
    after = follows(terms.schedule, day)
    return None if after is None else (after - day).days


class ReviewPlan(Command):
    """Look again when a plan is due, after work on its machine or readings of its meters."""

    plan_id: Id


@plan.decides(MANAGERS, systems=(PLANNER,))
def review_plan(plan: Plan, cmd: ReviewPlan, context: Context) -> Iterator[NextOccurrencePlanned]:
    if plan.ended or plan.paused:
        return
    due = _next(cmd.plan_id, plan, context)
    if due != plan.next_due:
        yield NextOccurrencePlanned(plan_id=cmd.plan_id, next_due=due)
