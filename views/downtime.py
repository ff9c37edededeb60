"""Unplanned downtime: from each breakdown of a machine to its repair, or to the end of its service."""

import operator
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field
from sqlalchemy import Column, Index, Integer, Numeric, Table, Text, and_, column, select
from sqlalchemy import table as named_table
from sqlalchemy.engine import RowMapping

from domain.equipment import BreakdownAbandoned, EquipmentBrokeDown, EquipmentRepaired
from domain.model import Id, Instant
from domain.record import Recorded
from views.items import Named, Price, Version, amount_of, currency_of, named, price
from views.resource import Filter, ItemModel, Resource, Sort
from views.tables import METADATA, SCHEMA, id_of, key, moment, revision
from views.users import table as users
from views.view import Change, View
from views.writing import inserting, updating


class BreakdownState(StrEnum):
    OPEN = "OPEN"
    REPAIRED = "REPAIRED"
    ABANDONED = "ABANDONED"


table = Table(
    "downtime",
    METADATA,
    key("company_id"),
    key("equipment_id"),
    key("breakdown_id"),
    Column("state", Text, nullable=False),
    moment("started_at"),
    moment("ended_at", optional=True),
    Column("description", Text),
    id_of("repaired_by", optional=True),
    Column("labour_minutes", Integer),
    Column("cost", Numeric(19, 4)),
    Column("cost_currency", Text),
    Column("cause", Text),
    Column("notes", Text),
    *revision(),
)
for name, *columns in (
    ("start", table.c.started_at, table.c.equipment_id),
    ("state", table.c.state, table.c.started_at, table.c.equipment_id),
    ("machine", table.c.equipment_id, table.c.started_at),
):
    Index(f"downtime_by_{name}", table.c.company_id, *columns, table.c.breakdown_id)

downtime = View("downtime", table)

BEGUN = inserting(table, state=BreakdownState.OPEN.value)
REPAIRED = updating(
    table, "state", "ended_at", "repaired_by", "labour_minutes", "cost", "cost_currency", "cause", "notes"
)
ABANDONED = updating(table, "state", "ended_at")


@downtime.on
def begun(event: EquipmentBrokeDown, fact: Recorded) -> Change:
    return BEGUN(
        fact,
        equipment_id=event.equipment_id,
        breakdown_id=event.breakdown_id,
        started_at=event.effective_at or fact.recorded_at,
        description=event.description,
    )


@downtime.on
def repaired(event: EquipmentRepaired, fact: Recorded) -> Change:
    cost = {"cost": amount_of(event.cost), "cost_currency": currency_of(event.cost)}
    ended_at = event.effective_at or fact.recorded_at
    return REPAIRED(fact, **vars(event) | cost, state=BreakdownState.REPAIRED.value, ended_at=ended_at)


@downtime.on
def abandoned(event: BreakdownAbandoned, fact: Recorded) -> Change:
    return ABANDONED(
        fact,
        equipment_id=event.equipment_id,
        breakdown_id=event.breakdown_id,
        state=BreakdownState.ABANDONED.value,
        ended_at=event.effective_at or fact.recorded_at,
    )


class DowntimeItem(ItemModel):
    """One breakdown of a machine."""

    equipment: Annotated[Named, Field(description="The machine")]
    breakdown_id: Annotated[str, Field(description="Id of the breakdown, unique on its machine", examples=["hose"])]
    state: Annotated[BreakdownState, Field(description="Open, repaired, or ended by the machine's retirement")]
    started_at: Annotated[datetime, Field(description="When the machine lost its function")]
    ended_at: Annotated[datetime | None, Field(description="When its downtime ended")] = None
    description: Annotated[str | None, Field(description="What was seen", examples=["Oil everywhere"])] = None
    repaired_by: Annotated[Named | None, Field(description="Who repaired it")] = None
    labour_minutes: Annotated[int | None, Field(description="Time the repair took", examples=[90])] = None
    cost: Annotated[Price | None, Field(description="What the repair cost")] = None
    cause: Annotated[str | None, Field(description="Why it broke down", examples=["Hose chafed through"])] = None
    notes: Annotated[str | None, Field(description="What was found and done")] = None
    updated_at: Annotated[datetime, Field(description="When this version was recorded")]
    version: Version


SHOWN_AS_THEY_ARE = (
    "breakdown_id",
    "state",
    "started_at",
    "ended_at",
    "description",
    "labour_minutes",
    "cause",
    "notes",
    "updated_at",
    "version",
)


def item(row: RowMapping) -> DowntimeItem:
    return DowntimeItem(
        **{name: row[name] for name in SHOWN_AS_THEY_ARE},
        equipment=Named(id=row["equipment_id"], name=row["equipment_name"]),
        repaired_by=named(row["repaired_by"], row["repaired_by_name"]),
        cost=price(row["cost"], row["cost_currency"]),
    )


_machines = named_table("equipment", column("company_id"), column("equipment_id"), column("name"), schema=SCHEMA)
_machine = and_(_machines.c.company_id == table.c.company_id, _machines.c.equipment_id == table.c.equipment_id)
_repairer = and_(users.c.company_id == table.c.company_id, users.c.user_id == table.c.repaired_by)

DOWNTIME = Resource(
    name="downtime",
    path="downtime",
    item_path="equipment/{equipment_id}/downtime/{breakdown_id}",
    group="fleet",
    permission="equipment.read",
    summary="Breakdowns of the company's machines",
    item=DowntimeItem,
    rows=select(table, _machines.c.name.label("equipment_name"), users.c.name.label("repaired_by_name"))
    .outerjoin(_machines, _machine)
    .outerjoin(users, _repairer),
    company=table.c.company_id,
    keys={
        "equipment_id": Filter(table.c.equipment_id, Id, "Id of the machine"),
        "breakdown_id": Filter(table.c.breakdown_id, Id, "Id of the breakdown"),
    },
    make=item,
    filters={
        "equipment_id": Filter(table.c.equipment_id, Id, "Breakdowns of this machine"),
        "state": Filter(table.c.state, BreakdownState, "Breakdowns in this state"),
        "since": Filter(table.c.started_at, Instant, "Breakdowns at or after this time", operator.ge),
        "until": Filter(table.c.started_at, Instant, "Breakdowns before this time", operator.lt),
    },
    sorts={"started_at": Sort(table.c.started_at, Instant, "by their beginning")},
    default_sort="-started_at",
)
