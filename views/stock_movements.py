"""The stock ledger: every movement of every part, with its cost and the balance after it."""

import operator
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import BigInteger, Column, Computed, Index, Numeric, Table, Text, and_, select
from sqlalchemy.engine import RowMapping

from domain.model import Id, Instant
from domain.part import StockAdjusted, StockCounted, StockIssued, StockLevel, StockReceived, StockReturned, UnitCost
from domain.part import digits as plain
from domain.record import Recorded
from views.items import Named, Price, Version, price
from views.parts import table as parts
from views.resource import Filter, ItemModel, Position, Resource, Sort
from views.tables import METADATA, id_of, key, moment
from views.view import Change, View
from views.writing import inserting


class Movement(StrEnum):
    RECEIVED = "RECEIVED"
    ISSUED = "ISSUED"
    RETURNED = "RETURNED"
    COUNTED = "COUNTED"
    ADJUSTED = "ADJUSTED"


#: One row per version of a part that moved its balance: a movement id may come again after long.
table = Table(
    "stock_movements",
    METADATA,
    key("company_id"),
    key("part_id"),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    id_of("movement_id"),
    Column("movement", Text, nullable=False),
    Column("quantity", Numeric(13, 4), nullable=False),
    Column("unit_cost", Numeric(15, 6), nullable=False),
    Column("currency", Text, nullable=False),
    Column("value", Numeric(25, 6), Computed("quantity * unit_cost", persisted=True), nullable=False),
    Column("balance", Numeric(13, 4), nullable=False),
    Column("average_cost", Numeric(15, 6), nullable=False),
    id_of("equipment_id", optional=True),
    id_of("job_id", optional=True),
    id_of("issue_id", optional=True),
    Column("reason", Text),
    Column("actor", Text, nullable=False),
    moment("moved_at"),
)
Index("stock_movements_by_time", table.c.company_id, table.c.moved_at, table.c.part_id, table.c.version)
Index(
    "stock_movements_by_job",
    table.c.company_id,
    table.c.equipment_id,
    table.c.job_id,
    table.c.moved_at,
    table.c.part_id,
    table.c.version,
    postgresql_where=table.c.job_id.is_not(None),
)

stock_movements = View("stock_movements", table)

MOVED = inserting(table)


def _row(
    event: Any, fact: Recorded, movement: Movement, quantity: Decimal, cost: UnitCost, after: StockLevel
) -> Change:
    """What all movements tell, and of the rest what this one does; `quantity` is below zero where parts went."""
    told = {name: getattr(event, name, None) for name in ("equipment_id", "job_id", "issue_id", "reason")}
    return MOVED(
        fact,
        **told,
        part_id=event.part_id,
        movement_id=event.movement_id,
        movement=movement.value,
        quantity=quantity,
        unit_cost=Decimal(cost.amount),
        currency=cost.currency,
        balance=Decimal(after.balance),
        average_cost=Decimal(after.average_cost),
        actor=fact.actor,
        moved_at=event.effective_at or fact.recorded_at,
    )


@stock_movements.on
def received(event: StockReceived, fact: Recorded) -> Change:
    return _row(event, fact, Movement.RECEIVED, Decimal(event.quantity), event.unit_cost, event.after)


@stock_movements.on
def issued(event: StockIssued, fact: Recorded) -> Change:
    return _row(event, fact, Movement.ISSUED, -Decimal(event.quantity), event.unit_cost, event.after)


@stock_movements.on
def returned(event: StockReturned, fact: Recorded) -> Change:
    return _row(event, fact, Movement.RETURNED, Decimal(event.quantity), event.unit_cost, event.after)


@stock_movements.on
def counted(event: StockCounted, fact: Recorded) -> Change:
    return _row(event, fact, Movement.COUNTED, Decimal(event.difference), event.unit_cost, event.after)


@stock_movements.on
def adjusted(event: StockAdjusted, fact: Recorded) -> Change:
    return _row(event, fact, Movement.ADJUSTED, Decimal(event.difference), event.unit_cost, event.after)


class MovementItem(ItemModel):
    """A movement of a part. Quantities are decimal digits in the part's unit."""

    part: Annotated[Named, Field(description="The part")]
    movement_id: Annotated[str, Field(description="Id that its sender gave the movement", examples=["delivery-4711-1"])]
    movement: Annotated[Movement, Field(description="What moved it", examples=["ISSUED"])]
    quantity: Annotated[str, Field(description="How much came, below zero: went", examples=["-2"])]
    unit_cost: Annotated[str, Field(description="Cost of one unit", examples=["2.333333"])]
    currency: Annotated[str, Field(description="ISO 4217 code of the costs", examples=["PEN"])]
    value: Annotated[Price, Field(description="Quantity at that cost; a minus: went")]
    balance: Annotated[str, Field(description="On stock afterwards", examples=["8"])]
    average_cost: Annotated[str, Field(description="Moving average cost afterwards", examples=["2.333333"])]
    equipment_id: Annotated[str | None, Field(description="Machine that the parts were for", examples=["EX-7"])] = None
    job_id: Annotated[str | None, Field(description="Maintenance job that they were for")] = None
    issue_id: Annotated[str | None, Field(description="Movement id of the issue that came back")] = None
    reason: Annotated[str | None, Field(description="Why the balance was adjusted")] = None
    actor: Annotated[str, Field(description="Who moved it", examples=["user:maria-quispe"])]
    moved_at: Annotated[datetime, Field(description="When")]
    version: Version


SHOWN_AS_THEY_ARE = (
    "movement_id",
    "movement",
    "currency",
    "equipment_id",
    "job_id",
    "issue_id",
    "reason",
    "actor",
    "moved_at",
    "version",
)
NUMBERS = ("quantity", "unit_cost", "balance", "average_cost")


def item(row: RowMapping) -> MovementItem:
    value = price(row["value"], row["currency"])
    assert value is not None
    return MovementItem(
        **{name: row[name] for name in SHOWN_AS_THEY_ARE} | {name: plain(row[name]) for name in NUMBERS},
        part=Named(id=row["part_id"], name=row["part_name"]),
        value=value,
    )


_part = and_(parts.c.company_id == table.c.company_id, parts.c.part_id == table.c.part_id)

STOCK_MOVEMENTS = Resource(
    name="stock-movements",
    path="stock-movements",
    item_path=None,
    group="fleet",
    permission="part.read",
    summary="The stock ledger",
    item=MovementItem,
    rows=select(table, parts.c.name.label("part_name")).outerjoin(parts, _part),
    company=table.c.company_id,
    keys={
        "part_id": Filter(table.c.part_id, Id, "Id of the part"),
        "version": Filter(table.c.version, Position, "Version of the part after the movement"),
    },
    make=item,
    filters={
        "part_id": Filter(table.c.part_id, Id, "Movements of this part"),
        "movement": Filter(table.c.movement, Movement, "Movements of this kind"),
        "equipment_id": Filter(table.c.equipment_id, Id, "Parts for this machine"),
        "job_id": Filter(table.c.job_id, Id, "Parts for jobs of this id"),
        "since": Filter(table.c.moved_at, Instant, "Movements at or after this time", operator.ge),
        "until": Filter(table.c.moved_at, Instant, "Movements before this time", operator.lt),
    },
    sorts={"moved_at": Sort(table.c.moved_at, Instant, "by time")},
    default_sort="-moved_at",
)
