"""Maintenance jobs: planned, under way, done and cancelled."""

import operator
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field
from sqlalchemy import (
    Column,
    Date,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    and_,
    column,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy import table as named_table
from sqlalchemy.engine import RowMapping

from domain.equipment import (
    EquipmentVoided,
    MaintenanceCancelled,
    MaintenanceCompleted,
    MaintenanceRescheduled,
    MaintenanceScheduled,
    MaintenanceStarted,
)
from domain.maintenance import MaintenanceType
from domain.model import Day, Id, Instant
from domain.record import Recorded
from views.items import Named, Price, Version, amount_of, currency_of, named, price
from views.resource import Filter, ItemModel, Resource, Sort
from views.tables import METADATA, SCHEMA, id_of, key, moment, revision
from views.users import table as users
from views.view import Change, View
from views.writing import deleting, inserting, replacing, updating


class JobState(StrEnum):
    OPEN = "OPEN"
    STARTED = "STARTED"
    DONE = "DONE"
    CANCELLED = "CANCELLED"


table = Table(
    "maintenance_jobs",
    METADATA,
    key("company_id"),
    key("equipment_id"),
    key("job_id"),
    Column("maintenance_type", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("scheduled_on", Date),
    id_of("technician_id", optional=True),
    Column("notes", Text),
    moment("started_at", optional=True),
    moment("performed_at", optional=True),
    Column("completed_on", Date),
    id_of("completed_by", optional=True),
    Column("labour_minutes", Integer),
    Column("cost", Numeric(19, 4)),
    Column("cost_currency", Text),
    Column("completion_notes", Text),
    Column("expected_minutes", Integer),
    Column("interval_days", Integer),
    moment("cancelled_at", optional=True),
    Column("cancellation_reason", Text),
    *revision(),
)

IS_OPEN = or_(table.c.state == JobState.OPEN.value, table.c.state == JobState.STARTED.value)

#: Work that was recorded without being scheduled stands on the day it was done.
DAY = func.coalesce(table.c.scheduled_on, table.c.completed_on)

for name, *lead in (
    ("day", DAY),
    ("updated", table.c.updated_at),
    ("state", table.c.state, DAY),
    ("technician", table.c.technician_id, DAY),
):
    Index(f"maintenance_jobs_by_{name}", table.c.company_id, *lead, table.c.equipment_id, table.c.job_id)

#: Said with the words of the index, so that a prepared statement may use it.
IS_UNFINISHED = table.c.state.in_((literal_column("'OPEN'"), literal_column("'STARTED'")))
Index("maintenance_jobs_unfinished", table.c.company_id, table.c.scheduled_on, postgresql_where=IS_UNFINISHED)

maintenance = View("maintenance", table)

COMPLETION = (
    "state",
    "performed_at",
    "completed_on",
    "completed_by",
    "labour_minutes",
    "cost",
    "cost_currency",
    "completion_notes",
)
SCHEDULED = inserting(table, state=JobState.OPEN.value)
RESCHEDULED = updating(table, "scheduled_on")
STARTED = updating(table, "state", "started_at")
COMPLETED = replacing(table, *COMPLETION)
CANCELLED = updating(table, "state", "cancelled_at", "cancellation_reason")
VOIDED = deleting(table, "equipment_id")


@maintenance.on
def scheduled(event: MaintenanceScheduled, fact: Recorded) -> Change:
    return SCHEDULED(
        fact,
        equipment_id=event.equipment_id,
        job_id=event.job_id,
        maintenance_type=event.maintenance_type.value,
        scheduled_on=event.scheduled_date,
        technician_id=event.technician_id,
        notes=event.notes,
        expected_minutes=event.expected_minutes,
        interval_days=event.interval_days,
    )


@maintenance.on
def rescheduled(event: MaintenanceRescheduled, fact: Recorded) -> Change:
    return RESCHEDULED(fact, equipment_id=event.equipment_id, job_id=event.job_id, scheduled_on=event.scheduled_date)


@maintenance.on
def voided(event: EquipmentVoided, fact: Recorded) -> Change:
    """The machine's id may be given to another machine, which has jobs of its own."""
    return VOIDED(fact, equipment_id=event.equipment_id)


@maintenance.on
def started(event: MaintenanceStarted, fact: Recorded) -> Change:
    return STARTED(
        fact,
        equipment_id=event.equipment_id,
        job_id=event.job_id,
        state=JobState.STARTED.value,
        started_at=event.effective_at or fact.recorded_at,
    )


@maintenance.on
def completed(event: MaintenanceCompleted, fact: Recorded) -> Change:
    """Ends the job, or adds one that was recorded without being scheduled."""
    return COMPLETED(
        fact,
        equipment_id=event.equipment_id,
        job_id=event.job_id,
        maintenance_type=event.maintenance_type.value,
        state=JobState.DONE.value,
        performed_at=event.performed_at,
        completed_on=event.completed_date,
        completed_by=event.completed_by,
        labour_minutes=event.labour_minutes,
        cost=amount_of(event.cost),
        cost_currency=currency_of(event.cost),
        completion_notes=event.notes,
    )


@maintenance.on
def cancelled(event: MaintenanceCancelled, fact: Recorded) -> Change:
    return CANCELLED(
        fact,
        equipment_id=event.equipment_id,
        job_id=event.job_id,
        state=JobState.CANCELLED.value,
        cancelled_at=event.effective_at or fact.recorded_at,
        cancellation_reason=event.reason,
    )


class JobItem(ItemModel):
    """A maintenance job of a machine."""

    equipment: Annotated[Named, Field(description="The machine")]
    job_id: Annotated[str, Field(description="Id of the job, unique for its machine", examples=["oil-2026-03"])]
    maintenance_type: Annotated[MaintenanceType, Field(description="Kind of work", examples=["PREVENTIVE"])]
    state: Annotated[JobState, Field(description="How far it is", examples=["OPEN"])]
    scheduled_on: Annotated[date | None, Field(description="Planned day; null: recorded after the fact")] = None
    technician: Annotated[Named | None, Field(description="Who shall do it")] = None
    notes: Annotated[str | None, Field(description="What shall be done", examples=["Change oil and filters"])] = None
    expected_minutes: Annotated[int | None, Field(description="Labour that is expected", examples=[120])] = None
    interval_days: Annotated[int | None, Field(description="Days to the next such service", examples=[90])] = None
    started_at: Annotated[datetime | None, Field(description="When the work began")] = None
    performed_at: Annotated[datetime | None, Field(description="When the work was done")] = None
    completed_on: Annotated[date | None, Field(description="That day in the company's time zone")] = None
    completed_by: Annotated[Named | None, Field(description="Who did it")] = None
    labour_minutes: Annotated[int | None, Field(description="Time it took", examples=[90])] = None
    cost: Annotated[Price | None, Field(description="What it cost")] = None
    completion_notes: Annotated[str | None, Field(description="What was found and done")] = None
    cancelled_at: Annotated[datetime | None, Field(description="When it was cancelled")] = None
    cancellation_reason: Annotated[str | None, Field(description="Why it was cancelled")] = None
    updated_at: Annotated[datetime, Field(description="When this version was recorded")]
    version: Version


SHOWN_AS_THEY_ARE = (
    "job_id",
    "maintenance_type",
    "state",
    "scheduled_on",
    "notes",
    "expected_minutes",
    "interval_days",
    "started_at",
    "performed_at",
    "completed_on",
    "labour_minutes",
    "completion_notes",
    "cancelled_at",
    "cancellation_reason",
    "updated_at",
    "version",
)


def item(row: RowMapping) -> JobItem:
    return JobItem(
        **{name: row[name] for name in SHOWN_AS_THEY_ARE},
        equipment=Named(id=row["equipment_id"], name=row["equipment_name"]),
        technician=named(row["technician_id"], row["technician_name"]),
        completed_by=named(row["completed_by"], row["completed_by_name"]),
        cost=price(row["cost"], row["cost_currency"]),
    )


_machines = named_table("equipment", column("company_id"), column("equipment_id"), column("name"), schema=SCHEMA)
_technicians, _doers = users.alias("technicians"), users.alias("doers")
_machine = and_(_machines.c.company_id == table.c.company_id, _machines.c.equipment_id == table.c.equipment_id)
_technician = and_(_technicians.c.company_id == table.c.company_id, _technicians.c.user_id == table.c.technician_id)
_doer = and_(_doers.c.company_id == table.c.company_id, _doers.c.user_id == table.c.completed_by)

MAINTENANCE_JOBS = Resource(
    name="maintenance-jobs",
    path="maintenance-jobs",
    item_path="equipment/{equipment_id}/maintenance-jobs/{job_id}",
    group="fleet",
    permission="equipment.read",
    summary="Maintenance jobs of the company's machines",
    item=JobItem,
    rows=select(
        table,
        _machines.c.name.label("equipment_name"),
        _technicians.c.name.label("technician_name"),
        _doers.c.name.label("completed_by_name"),
    )
    .outerjoin(_machines, _machine)
    .outerjoin(_technicians, _technician)
    .outerjoin(_doers, _doer),
    company=table.c.company_id,
    keys={
        "equipment_id": Filter(table.c.equipment_id, Id, "Id of the machine"),
        "job_id": Filter(table.c.job_id, Id, "Id of the job"),
    },
    make=item,
    filters={
        "state": Filter(table.c.state, JobState, "Jobs in this state"),
        "open": Filter(IS_OPEN, bool, "Jobs that are, or are not, still to be finished: a technician's work list"),
        "equipment_id": Filter(table.c.equipment_id, Id, "Jobs of this machine"),
        "technician_id": Filter(table.c.technician_id, Id, "Jobs that this user shall do"),
        "maintenance_type": Filter(table.c.maintenance_type, MaintenanceType, "Jobs of this kind"),
        "from": Filter(DAY, Day, "Jobs on or after this day: with `until`, a page of the calendar", operator.ge),
        "until": Filter(DAY, Day, "Jobs on or before this day", operator.le),
    },
    sorts={
        "day": Sort(DAY, date, "by planned day, or the day of work that was not planned"),
        "updated_at": Sort(table.c.updated_at, Instant, "by the time of the last change"),
    },
    default_sort="day",
)
