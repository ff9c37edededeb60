"""Plans of recurring maintenance: what is done how often, and when it is due next."""

import operator
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field
from sqlalchemy import Column, Computed, Date, Index, Integer, Table, Text, and_, column, func, literal_column, select
from sqlalchemy import table as named_table
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import RowMapping

from domain.maintenance import MaintenanceType
from domain.model import Day, Id, Instant
from domain.plan import (
    Anchor,
    NextOccurrencePlanned,
    OccurrenceDue,
    OccurrenceMissed,
    PlanChanged,
    PlanDefined,
    PlanEnded,
    PlanPaused,
    PlanResumed,
    PlanTerms,
)
from domain.record import Recorded
from domain.recurrence import moves_days
from views.items import Named, Version
from views.resource import Filter, ItemModel, LineOfText, Resource, Sort
from views.tables import METADATA, SCHEMA, id_of, key, moment, revision
from views.view import Change, View
from views.writing import inserting, updating


class PlanState(StrEnum):
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    ENDED = "ENDED"


table = Table(
    "plans",
    METADATA,
    key("company_id"),
    key("plan_id"),
    Column("name", Text, nullable=False),
    id_of("equipment_id"),
    Column("state", Text, nullable=False),
    Column("anchor", Text, nullable=False),
    Column("maintenance_type", Text, nullable=False),
    Column("lead_days", Integer, nullable=False),
    Column("terms", JSONB, nullable=False),
    Column("next_due_on", Date),
    Column("job_from", Date, Computed("next_due_on - lead_days", persisted=True)),
    Column("last_due_on", Date),
    id_of("last_job_id", optional=True),
    Column("last_missed_on", Date),
    Column("reason", Text),
    moment("created_at"),
    *revision(),
)
NO_DATE = literal_column("'infinity'::date", Date)
NEXT_DUE = func.coalesce(table.c.next_due_on, NO_DATE)
IS_ACTIVE = table.c.state == PlanState.ACTIVE.value

Index("plans_by_name", table.c.company_id, table.c.name, table.c.plan_id)
Index("plans_by_next_due", table.c.company_id, NEXT_DUE, table.c.plan_id)
Index("plans_by_updated", table.c.company_id, table.c.updated_at, table.c.plan_id)
Index("plans_of_machine", table.c.company_id, table.c.equipment_id, table.c.plan_id)
Index("plans_to_settle", table.c.job_from, postgresql_where=IS_ACTIVE)

plans = View("plans", table)

OF_TERMS = ("anchor", "maintenance_type", "lead_days", "terms")
DEFINED = inserting(table, state=PlanState.ACTIVE.value)
CHANGED = updating(table, *OF_TERMS, "next_due_on")
STATE = updating(table, "state", "reason", "next_due_on")
DUE = updating(table, "last_due_on", "last_job_id", "next_due_on")
MISSED = updating(table, "last_missed_on", "next_due_on")
PLANNED = updating(table, "next_due_on")


def _of_terms(terms: PlanTerms) -> dict[str, object]:
    return {
        "anchor": terms.anchor.value,
        "maintenance_type": terms.maintenance_type.value,
        "lead_days": terms.lead_days,
        "terms": terms.model_dump_json(exclude_none=True),
    }


@plans.on
def defined(event: PlanDefined, fact: Recorded) -> Change:
    return DEFINED(
        fact,
        **_of_terms(event.terms),
        plan_id=event.plan_id,
        name=event.name,
        equipment_id=event.equipment_id,
        next_due_on=event.next_due,
        created_at=fact.recorded_at,
    )


@plans.on
def changed(event: PlanChanged, fact: Recorded) -> Change:
    return CHANGED(fact, **_of_terms(event.terms), plan_id=event.plan_id, next_due_on=event.next_due)


@plans.on
def paused(event: PlanPaused, fact: Recorded) -> Change:
    return STATE(fact, plan_id=event.plan_id, state=PlanState.PAUSED.value, reason=event.reason)


@plans.on
def resumed(event: PlanResumed, fact: Recorded) -> Change:
    return STATE(fact, plan_id=event.plan_id, state=PlanState.ACTIVE.value, next_due_on=event.next_due)


@plans.on
def ended(event: PlanEnded, fact: Recorded) -> Change:
    return STATE(fact, plan_id=event.plan_id, state=PlanState.ENDED.value, reason=event.reason)


@plans.on
def due(event: OccurrenceDue, fact: Recorded) -> Change:
    return DUE(
        fact,
        plan_id=event.plan_id,
        last_due_on=event.date,
        last_job_id=event.job_id,
        next_due_on=event.next_due,
    )


@plans.on
def missed(event: OccurrenceMissed, fact: Recorded) -> Change:
    return MISSED(fact, plan_id=event.plan_id, last_missed_on=event.date, next_due_on=event.next_due)


@plans.on
def planned(event: NextOccurrencePlanned, fact: Recorded) -> Change:
    return PLANNED(fact, plan_id=event.plan_id, next_due_on=event.next_due)


class PlanItem(ItemModel):
    """A plan of recurring maintenance."""

    plan_id: Annotated[str, Field(description="Id of the plan", examples=["ex-7-monthly"])]
    name: Annotated[str, Field(description="Its name", examples=["Monthly check"])]
    equipment: Annotated[Named, Field(description="The machine")]
    state: Annotated[PlanState, Field(description="Whether it makes jobs", examples=["ACTIVE"])]
    terms: Annotated[PlanTerms, Field(description="What is to be done and when")]
    next_due_on: Annotated[
        date | None, Field(description="Day of the next occurrence; null: none, or not known before work or readings")
    ] = None
    job_from: Annotated[date | None, Field(description="Day from which its job is made")] = None
    last_due_on: Annotated[date | None, Field(description="Day of the last occurrence that became due")] = None
    last_job_id: Annotated[str | None, Field(description="Its job on the machine")] = None
    last_missed_on: Annotated[date | None, Field(description="Day of the last occurrence without a job")] = None
    reason: Annotated[str | None, Field(description="Why it is paused or has ended")] = None
    takes_last_day: Annotated[
        bool, Field(description="A warning: some months lack its day, and it takes their last one", examples=[False])
    ]
    created_at: Annotated[datetime, Field(description="When it was defined")]
    updated_at: Annotated[datetime, Field(description="When this version was recorded")]
    version: Version


SHOWN_AS_THEY_ARE = (
    "plan_id",
    "name",
    "state",
    "next_due_on",
    "job_from",
    "last_due_on",
    "last_job_id",
    "last_missed_on",
    "reason",
    "created_at",
    "updated_at",
    "version",
)


def item(row: RowMapping) -> PlanItem:
    terms = PlanTerms.model_validate(row["terms"], strict=False)
    return PlanItem(
        **{name: row[name] for name in SHOWN_AS_THEY_ARE},
        equipment=Named(id=row["equipment_id"], name=row["equipment_name"]),
        terms=terms,
        takes_last_day=terms.schedule is not None and moves_days(terms.schedule),
    )


_machines = named_table("equipment", column("company_id"), column("equipment_id"), column("name"), schema=SCHEMA)
_machine = and_(_machines.c.company_id == table.c.company_id, _machines.c.equipment_id == table.c.equipment_id)

PLANS = Resource(
    name="plans",
    path="plans",
    item_path="plans/{plan_id}",
    group="fleet",
    permission="plan.read",
    summary="Plans of recurring maintenance",
    item=PlanItem,
    rows=select(table, _machines.c.name.label("equipment_name")).outerjoin(_machines, _machine),
    company=table.c.company_id,
    keys={"plan_id": Filter(table.c.plan_id, Id, "Id of the plan")},
    make=item,
    filters={
        "equipment_id": Filter(table.c.equipment_id, Id, "Plans of this machine"),
        "state": Filter(table.c.state, PlanState, "Plans in this state"),
        "anchor": Filter(table.c.anchor, Anchor, "Plans counted from this"),
        "maintenance_type": Filter(table.c.maintenance_type, MaintenanceType, "Plans of this kind of work"),
        "due_until": Filter(table.c.next_due_on, Day, "Plans due on or before this day", operator.le),
        "job_from_until": Filter(table.c.job_from, Day, "Plans whose job is made on or before this day", operator.le),
    },
    sorts={
        "name": Sort(table.c.name, LineOfText, "by name"),
        "next_due_on": Sort(NEXT_DUE, date, "by due day, plans without one last"),
        "updated_at": Sort(table.c.updated_at, Instant, "by the time of the last change"),
    },
    default_sort="next_due_on",
)
