"""Parts on stock: balances, what is reserved, what they are worth, and what should be ordered."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import Field
from sqlalchemy import Boolean, Column, Computed, Index, Numeric, Table, Text, select
from sqlalchemy.engine import RowMapping

from domain.model import Id, Instant
from domain.part import (
    PartDefined,
    StockAdjusted,
    StockCounted,
    StockFellBelowMinimum,
    StockIssued,
    StockReceived,
    StockReleased,
    StockReserved,
    StockReturned,
    digits,
)
from domain.record import Recorded
from views.items import Price, Version, price
from views.resource import Filter, ItemModel, LineOfText, Resource, Sort
from views.tables import METADATA, key, moment, revision
from views.view import Change, View
from views.writing import inserting, updating

#: The smallest multiple of the reorder quantity that brings what is not reserved back to the minimum.
PROPOSAL = """CASE
    WHEN balance - reserved < minimum
    THEN reorder_quantity * ceil((minimum - balance + reserved) / reorder_quantity)
END"""

table = Table(
    "parts",
    METADATA,
    key("company_id"),
    key("part_id"),
    Column("name", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("minimum", Numeric(13, 4), nullable=False),
    Column("reorder_quantity", Numeric(13, 4), nullable=False),
    Column("currency", Text, nullable=False),
    Column("balance", Numeric(13, 4), nullable=False),
    Column("reserved", Numeric(13, 4), nullable=False),
    Column("average_cost", Numeric(15, 6), nullable=False),
    moment("fell_below_at", optional=True),
    Column("value", Numeric(25, 6), Computed("balance * average_cost", persisted=True), nullable=False),
    Column("below_minimum", Boolean, Computed("balance < minimum", persisted=True), nullable=False),
    Column("to_order", Numeric, Computed(PROPOSAL, persisted=True)),
    Column("reorder", Boolean, Computed("balance - reserved < minimum", persisted=True), nullable=False),
    moment("created_at"),
    *revision(),
)
for name in ("name", "value", "updated_at"):
    Index(f"parts_by_{name}", table.c.company_id, table.c[name], table.c.part_id)
Index("parts_to_reorder", table.c.company_id, table.c.name, table.c.part_id, postgresql_where=table.c.reorder)

parts = View("parts", table)

DEFINED = inserting(table, balance=Decimal(0), reserved=Decimal(0), average_cost=Decimal(0))
MOVED = updating(table, "balance", "reserved", "average_cost")
FELL = updating(table, "fell_below_at")


@parts.on
def defined(event: PartDefined, fact: Recorded) -> Change:
    terms = {"minimum": Decimal(event.minimum), "reorder_quantity": Decimal(event.reorder_quantity)}
    return DEFINED(fact, **vars(event) | terms, created_at=fact.recorded_at)


@parts.on
def moved(
    event: StockReceived | StockIssued | StockReturned | StockCounted | StockAdjusted | StockReserved | StockReleased,
    fact: Recorded,
) -> Change:
    return MOVED(
        fact,
        part_id=event.part_id,
        balance=Decimal(event.after.balance),
        reserved=Decimal(event.after.reserved),
        average_cost=Decimal(event.after.average_cost),
    )


@parts.on
def fell(event: StockFellBelowMinimum, fact: Recorded) -> Change:
    return FELL(fact, part_id=event.part_id, fell_below_at=event.effective_at or fact.recorded_at)


Amount = Annotated[str, Field(examples=["12.5"])]
SortedValue = Annotated[Decimal, Field(max_digits=25, decimal_places=6)]


class PartItem(ItemModel):
    """A part as it stands. Quantities are decimal digits in the part's unit."""

    part_id: Annotated[str, Field(description="Id of the part", examples=["oil-filter"])]
    name: Annotated[str, Field(description="Its name", examples=["Oil filter"])]
    unit: Annotated[str, Field(description="What quantities are counted in", examples=["pc"])]
    balance: Annotated[Amount, Field(description="What is on stock")]
    reserved: Annotated[Amount, Field(description="How much of it is kept for maintenance jobs")]
    available: Annotated[Amount, Field(description="Balance less what is reserved")]
    minimum: Annotated[Amount, Field(description="Balance below which the part is to be ordered")]
    below_minimum: Annotated[bool, Field(description="Whether the balance is below the minimum")]
    fell_below_at: Annotated[datetime | None, Field(description="When it last fell below the minimum")] = None
    reorder_quantity: Annotated[Amount, Field(description="Orders are multiples of this")]
    to_order: Annotated[
        Amount | None, Field(description="Proposed order: brings what is available back to the minimum; null: none")
    ] = None
    average_cost: Annotated[str, Field(description="Moving average cost of one unit", examples=["2.333333"])]
    currency: Annotated[str, Field(description="ISO 4217 code of costs and value", examples=["PEN"])]
    value: Annotated[Price, Field(description="Balance at average cost")]
    created_at: Annotated[datetime, Field(description="When the part was defined")]
    updated_at: Annotated[datetime, Field(description="When this version was recorded")]
    version: Version


SHOWN_AS_THEY_ARE = (
    "part_id",
    "name",
    "unit",
    "below_minimum",
    "fell_below_at",
    "currency",
    "created_at",
    "updated_at",
    "version",
)
NUMBERS = ("balance", "reserved", "minimum", "reorder_quantity", "average_cost")


def item(row: RowMapping) -> PartItem:
    value = price(row["value"], row["currency"])
    assert value is not None
    return PartItem(
        **{name: row[name] for name in SHOWN_AS_THEY_ARE} | {name: digits(row[name]) for name in NUMBERS},
        available=digits(row["balance"] - row["reserved"]),
        to_order=None if row["to_order"] is None else digits(row["to_order"]),
        value=value,
    )


PARTS = Resource(
    name="parts",
    path="parts",
    item_path="parts/{part_id}",
    group="fleet",
    permission="part.read",
    summary="Parts on stock with balances, values and proposed orders",
    item=PartItem,
    rows=select(table),
    company=table.c.company_id,
    keys={"part_id": Filter(table.c.part_id, Id, "Id of the part")},
    make=item,
    filters={
        "below_minimum": Filter(table.c.below_minimum, bool, "Parts whose balance is, or is not, below the minimum"),
        "reorder": Filter(table.c.reorder, bool, "Parts that should, or need not, be ordered"),
    },
    sorts={
        "name": Sort(table.c.name, LineOfText, "by name"),
        "value": Sort(table.c.value, SortedValue, "by value on stock, whatever the currency"),
        "updated_at": Sort(table.c.updated_at, Instant, "by the time of the last change"),
    },
    default_sort="name",
)
