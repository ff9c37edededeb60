"""What each book says of each machine: its terms, its value as posted, the periods to come, and the end."""

import operator
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Column, Date, FromClause, Index, Numeric, Select, Table, Text, and_, column, func, select
from sqlalchemy import table as named_table
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import RowMapping

from domain.charges import ZERO, Method
from domain.depreciation import Account, BookName, Month, Terms, ahead
from domain.equipment import (
    DepreciationPosted,
    DepreciationRevised,
    DepreciationSet,
    EquipmentHeldForSale,
    EquipmentRetired,
    EquipmentVoided,
    EquipmentWithdrawnFromSale,
)
from domain.model import Id, Instant
from domain.periods import label, last_day
from domain.record import Recorded
from views import past
from views.items import Named, Price, Version, price
from views.resource import Filter, ItemModel, LineOfText, Moments, Resource, Sort
from views.tables import METADATA, SCHEMA, id_of, key, revision
from views.view import Change, View
from views.writing import deleting, given, replacing, updating

AMOUNT = Numeric(19, 4)
TOTAL = Numeric(24, 4)
Amount = Annotated[Decimal, Field(ge=0, max_digits=19, decimal_places=4)]

table = Table(
    "books",
    METADATA,
    key("company_id"),
    key("equipment_id"),
    key("book"),
    Column("method", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("terms", JSONB, nullable=False),
    Column("value", AMOUNT, nullable=False),
    Column("base", AMOUNT, nullable=False),
    Column("opening", TOTAL, nullable=False),
    Column("accumulated", TOTAL, nullable=False),
    Column("used", TOTAL, nullable=False),
    Column("used_since", TOTAL, nullable=False),
    id_of("posted", optional=True),
    id_of("since", optional=True),
    Column("disposed_on", Date),
    Column("disposal_value", AMOUNT),
    Column("proceeds", AMOUNT),
    Column("gain", AMOUNT),
    *revision(),
)

POSTED = func.coalesce(table.c.posted, "")

for name, lead in (("value", table.c.value), ("updated", table.c.updated_at)):
    Index(f"books_by_{name}", table.c.company_id, lead, table.c.equipment_id, table.c.book)

books = View("books", table)

FROM_THE_START = ("method", "currency", "terms", "value", "base", "opening")
SET = replacing(table, *FROM_THE_START, accumulated=ZERO, used=ZERO, used_since=ZERO)
REVISED = updating(
    table,
    "method",
    "terms",
    "base",
    value=given(table.c.value),
    opening=table.c.opening + given(table.c.value) - table.c.value,
    since=table.c.posted,
    used_since=table.c.used,
)
ADVANCED = updating(table, "posted", "accumulated", "value", "opening", used=table.c.used + given(table.c.used))
VOIDED = deleting(table, "equipment_id")
RESCHEDULED = updating(table, "terms")
DISPOSED = updating(table, "disposed_on", "disposal_value", "proceeds", "gain", "value")


@books.on
def set_(event: DepreciationSet, fact: Recorded) -> Change:
    cost = event.terms.cost
    return SET(
        fact,
        **_terms(event),
        currency=cost.currency,
        **dict.fromkeys(("value", "base", "opening"), cost.decimal),
    )


@books.on
def revised(event: DepreciationRevised, fact: Recorded) -> Change:
    return REVISED(fact, **_terms(event), **dict.fromkeys(("value", "base"), Decimal(event.value)))


def _terms(event: DepreciationSet | DepreciationRevised) -> dict[str, Any]:
    return {
        "equipment_id": event.equipment_id,
        "book": event.book.value,
        "method": event.terms.method.value,
        "terms": event.terms.model_dump_json(exclude_none=True),
    }


@books.on
def rescheduled(event: EquipmentHeldForSale | EquipmentWithdrawnFromSale, fact: Recorded) -> Iterator[Change]:
    """The terms with the days on which the machine is, or was, held for sale."""
    for it in event.books:
        terms = it.terms.model_dump_json(exclude_none=True)
        yield RESCHEDULED(fact, equipment_id=event.equipment_id, book=it.book.value, terms=terms)


@books.on
def voided(event: EquipmentVoided, fact: Recorded) -> Change:
    return VOIDED(fact, equipment_id=event.equipment_id)


@books.on
def posted(event: DepreciationPosted, fact: Recorded) -> Change:
    return ADVANCED(
        fact,
        equipment_id=event.equipment_id,
        book=event.book.value,
        posted=event.period,
        accumulated=Decimal(event.accumulated),
        value=Decimal(event.value),
        opening=Decimal(event.opening),
        used=Decimal(event.units),
    )


@books.on
def retired(event: EquipmentRetired, fact: Recorded) -> Iterator[Change]:
    """A machine that is gone has no value in any book."""
    for closed in event.disposals:
        yield DISPOSED(
            fact,
            equipment_id=event.equipment_id,
            book=closed.book.value,
            disposed_on=event.retired_date,
            disposal_value=Decimal(closed.value),
            proceeds=event.proceeds.decimal if event.proceeds else ZERO,
            gain=Decimal(closed.gain),
            value=ZERO,
        )


class DisposalItem(ItemModel):
    """How the machine left the book."""

    on: Annotated[date, Field(description="Day of its retirement")]
    value: Annotated[Price, Field(description="Its value, depreciated to the day")]
    proceeds: Annotated[Price, Field(description="What it brought")]
    gain: Annotated[Price, Field(description="Proceeds less value; a loss where negative")]


class BookItem(ItemModel):
    """A machine in one book."""

    equipment: Annotated[Named, Field(description="The machine")]
    book: Annotated[BookName, Field(description="Which book", examples=["FINANCIAL"])]
    terms: Annotated[Terms, Field(description="How it is depreciated")]
    value: Annotated[Price, Field(description="Its value after the last period posted; zero when it is gone")]
    accumulated: Annotated[Price, Field(description="All that was posted")]
    posted_through: Annotated[str | None, Field(description="Last period posted", examples=["2026-10"])] = None
    disposal: Annotated[DisposalItem | None, Field(description="Null while in service")] = None
    updated_at: Annotated[datetime, Field(description="When this version was recorded")]
    version: Version


def money(amount: Decimal, currency: str) -> Price:
    found = price(amount, currency)
    assert found is not None
    return found


def item(row: RowMapping) -> BookItem:
    return BookItem(
        equipment=Named(id=row["equipment_id"], name=row["equipment_name"]),
        book=BookName(row["book"]),
        terms=terms_of(row),
        value=money(row["value"], row["currency"]),
        accumulated=money(row["accumulated"], row["currency"]),
        posted_through=row["posted"],
        disposal=_disposal(row),
        updated_at=row["updated_at"],
        version=row["version"],
    )


def _disposal(row: RowMapping) -> DisposalItem | None:
    if row["disposed_on"] is None:
        return None
    amounts = {name: money(row[name], row["currency"]) for name in ("proceeds", "gain")}
    return DisposalItem(on=row["disposed_on"], value=money(row["disposal_value"], row["currency"]), **amounts)


def terms_of(row: RowMapping) -> Terms:
    return Terms.model_validate(row["terms"], strict=False)


def account_of(row: RowMapping) -> Account:
    """The account as rules see it, but for what its meter has counted, which no schedule needs."""
    names = ("value", "base", "opening", "accumulated", "used", "used_since", "posted", "since")
    return Account(terms=terms_of(row), **{name: row[name] for name in names})


_machines = named_table("equipment", column("company_id"), column("equipment_id"), column("name"), schema=SCHEMA)


def _named(books: FromClause) -> Select[Any]:
    """Books with the names of their machines, as these are called now."""
    own = books.c
    machine = and_(_machines.c.company_id == own.company_id, _machines.c.equipment_id == own.equipment_id)
    return select(books, _machines.c.name.label("equipment_name")).outerjoin(_machines, machine)


def _at(moments: Moments) -> Resource[BookItem]:
    """The books as they were: the same items, on rows of the past, machine by machine."""
    then = past.books(moments).subquery("then")
    filters = {name: BOOKS.filters[name] for name in ("equipment_id", "book", "method")}
    return replace(
        BOOKS,
        group="history",
        rows=_named(then),
        company=then.c.company_id,
        keys={name: replace(found, column=then.c[name]) for name, found in BOOKS.keys.items()},
        filters={name: replace(found, column=then.c[name]) for name, found in filters.items()},
        sorts={"equipment_id": replace(BOOKS.sorts["equipment_id"], expression=then.c.equipment_id)},
        at=None,
    )


_keys = {
    "equipment_id": Filter(table.c.equipment_id, Id, "Id of the machine"),
    "book": Filter(table.c.book, Id, "The book"),
}

BOOKS = Resource(
    name="books",
    path="books",
    item_path="equipment/{equipment_id}/books/{book}",
    group="fleet",
    permission="equipment.read",
    summary="Values of the company's machines, book by book",
    item=BookItem,
    rows=_named(table),
    company=table.c.company_id,
    keys=_keys,
    make=item,
    filters={
        "equipment_id": Filter(table.c.equipment_id, Id, "Books of this machine"),
        "book": Filter(table.c.book, BookName, "This book of all machines"),
        "method": Filter(table.c.method, Method, "Machines that this method depreciates"),
        "posted_before": Filter(POSTED, Month, "Machines whose last posted period is earlier than this", operator.lt),
    },
    sorts={
        "equipment_id": Sort(table.c.equipment_id, LineOfText, "by machine"),
        "value": Sort(table.c.value, Amount, "by value"),
        "updated_at": Sort(table.c.updated_at, Instant, "by the time of the last change"),
    },
    default_sort="equipment_id",
    at=_at,
)


class PlannedPeriod(ItemModel):
    """A period that is not posted yet."""

    period: Annotated[str, Field(description="The month that it ends with", examples=["2026-10"])]
    ends_on: Annotated[date, Field(description="Its last day")]
    amount: Annotated[Price, Field(description="What it will charge")]
    value: Annotated[Price, Field(description="The value that it will leave")]


class ScheduleItem(ItemModel):
    """What is to come for a machine in one book, as the terms stand."""

    book: Annotated[BookName, Field(description="Which book", examples=["FINANCIAL"])]
    value: Annotated[Price, Field(description="The value now")]
    periods: Annotated[
        tuple[PlannedPeriod, ...],
        Field(description="All that is left of its life; none where it depreciates by units, or is gone"),
    ]
    version: Version


def schedule(row: RowMapping) -> ScheduleItem:
    currency = row["currency"]
    planned = () if row["disposed_on"] else ahead(account_of(row))
    return ScheduleItem(
        book=BookName(row["book"]),
        value=money(row["value"], currency),
        periods=tuple(
            PlannedPeriod(
                period=label(entry.month),
                ends_on=last_day(entry.month),
                amount=money(entry.amount, currency),
                value=money(entry.value, currency),
            )
            for entry in planned
        ),
        version=row["version"],
    )


SCHEDULES = Resource(
    name="depreciation-schedules",
    path="equipment/{equipment_id}/depreciation-schedules",
    item_path=None,
    group="fleet",
    permission="equipment.read",
    summary="What is still to be charged for a machine, book by book",
    item=ScheduleItem,
    rows=select(table),
    company=table.c.company_id,
    keys={"book": _keys["book"]},
    make=schedule,
    within={"equipment_id": Filter(table.c.equipment_id, Id, "Id of the machine")},
    sorts={"book": Sort(table.c.book, LineOfText, "by book")},
    default_sort="book",
)
