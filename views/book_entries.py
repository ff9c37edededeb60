"""What was entered in the books: openings, postings, revisions, disposals, each with the value that it left."""

import operator
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Column, ColumnElement, Date, Index, Table, Text, and_, column, or_, select, update
from sqlalchemy import table as named_table
from sqlalchemy.engine import RowMapping

from domain.depreciation import BookName, Month
from domain.equipment import DepreciationPosted, DepreciationRevised, DepreciationSet, EquipmentRetired, EquipmentVoided
from domain.model import Day, Id
from domain.periods import first_day, last_day, number_of
from domain.record import Recorded
from views.books import AMOUNT, TOTAL, money
from views.items import Named, Price, Version
from views.resource import Filter, ItemModel, LineOfText, Resource, Sort
from views.tables import METADATA, SCHEMA, id_of, key, revision
from views.view import Change, View
from views.writing import Statement, deleting, given, replacing


class EntryKind(StrEnum):
    OPENING = "OPENING"
    POSTING = "POSTING"
    REVISION = "REVISION"
    DISPOSAL = "DISPOSAL"


table = Table(
    "book_entries",
    METADATA,
    key("company_id"),
    key("equipment_id"),
    key("book"),
    key("entry"),
    Column("kind", Text, nullable=False),
    id_of("period", optional=True),
    Column("entered_on", Date, nullable=False),
    Column("holds_until", Date),
    Column("currency", Text, nullable=False),
    Column("amount", AMOUNT, nullable=False),
    Column("value", AMOUNT, nullable=False),
    Column("units", TOTAL),
    Column("gain", AMOUNT),
    Column("reason", Text),
    *revision(),
)

KEY = (table.c.equipment_id, table.c.book, table.c.entry)
Index("book_entries_by_day", table.c.company_id, table.c.entered_on, *KEY)
Index("book_entries_by_period", table.c.company_id, table.c.period, *KEY)

book_entries = View("book-entries", table)

ENTERED = replacing(
    table, "period", "entered_on", "currency", "amount", "value", "units", "gain", "reason", amount=Decimal(0)
)
VOIDED = deleting(table, "equipment_id")
FOLLOWED = Statement(
    update(table)
    .where(
        *(table.c[name] == given(table.c[name]) for name in ("company_id", "equipment_id", "book")),
        table.c.entry != given(table.c.entry),
        table.c.version < given(table.c.version),
        table.c.holds_until.is_(None),
    )
    .values(holds_until=given(table.c.entered_on)),
    (),
    {},
)


def _entered(fact: Recorded, **entry: Any) -> Iterator[Change]:
    """The entry that held until now ends, and this one holds."""
    yield FOLLOWED(fact, **entry)
    yield ENTERED(fact, **entry)


@book_entries.on
def opened(event: DepreciationSet, fact: Recorded) -> Iterator[Change]:
    """The machine comes with its cost; until the first posting other terms replace these."""
    return _entered(
        fact,
        **_of(event, EntryKind.OPENING),
        entered_on=event.terms.available_on,
        currency=event.terms.cost.currency,
        value=event.terms.cost.decimal,
    )


@book_entries.on
def voided(event: EquipmentVoided, fact: Recorded) -> Change:
    return VOIDED(fact, equipment_id=event.equipment_id)


@book_entries.on
def posted(event: DepreciationPosted, fact: Recorded) -> Iterator[Change]:
    return _entered(
        fact,
        **_of(event, EntryKind.POSTING, event.period),
        entered_on=last_day(number_of(event.period)),
        currency=event.currency,
        amount=Decimal(event.amount),
        value=Decimal(event.value),
        units=Decimal(event.units),
    )


@book_entries.on
def revised(event: DepreciationRevised, fact: Recorded) -> Iterator[Change]:
    return _entered(
        fact,
        **_of(event, EntryKind.REVISION, event.period),
        entered_on=first_day(number_of(event.period) - event.terms.step + 1),
        currency=event.terms.cost.currency,
        value=Decimal(event.value),
        reason=event.reason,
    )


@book_entries.on
def retired(event: EquipmentRetired, fact: Recorded) -> Iterator[Change]:
    """The last charge, up to the day; then the machine has no value."""
    for closed in event.disposals:
        yield from _entered(
            fact,
            equipment_id=event.equipment_id,
            book=closed.book.value,
            entry="disposal",
            kind=EntryKind.DISPOSAL.value,
            entered_on=event.retired_date,
            currency=closed.currency,
            amount=Decimal(closed.depreciation),
            value=Decimal(0),
            gain=Decimal(closed.gain),
            reason=event.reason,
        )


def _of(
    event: DepreciationSet | DepreciationPosted | DepreciationRevised, kind: EntryKind, period: str | None = None
) -> dict[str, Any]:
    return {
        "equipment_id": event.equipment_id,
        "book": event.book.value,
        "entry": f"{kind.value.lower()}-{period}" if period else kind.value.lower(),
        "kind": kind.value,
        "period": period,
    }


class BookEntryItem(ItemModel):
    """One entry in a machine's book."""

    equipment: Annotated[Named, Field(description="The machine")]
    book: Annotated[BookName, Field(description="Which book", examples=["FINANCIAL"])]
    kind: Annotated[EntryKind, Field(description="What was entered", examples=["POSTING"])]
    period: Annotated[str | None, Field(description="The month that the period ends with", examples=["2026-10"])] = None
    entered_on: Annotated[date, Field(description="Day from which the value holds")]
    amount: Annotated[Price, Field(description="Depreciation charged")]
    value: Annotated[Price, Field(description="Value that is left")]
    units: Annotated[str | None, Field(description="Units produced in the period", examples=["120.5"])] = None
    gain: Annotated[Price | None, Field(description="Gain of a disposal; a loss where negative")] = None
    reason: Annotated[str | None, Field(description="Why terms were revised, or the machine is gone")] = None
    recorded_at: Annotated[datetime, Field(description="When it was recorded")]
    version: Version


def item(row: RowMapping) -> BookEntryItem:
    currency = row["currency"]
    return BookEntryItem(
        equipment=Named(id=row["equipment_id"], name=row["equipment_name"]),
        book=BookName(row["book"]),
        kind=EntryKind(row["kind"]),
        period=row["period"],
        entered_on=row["entered_on"],
        amount=money(row["amount"], currency),
        value=money(row["value"], currency),
        units=None if row["units"] is None else f"{row['units'].normalize():f}",
        gain=None if row["gain"] is None else money(row["gain"], currency),
        reason=row["reason"],
        recorded_at=row["updated_at"],
        version=row["version"],
    )


def _in_force(entered_on: ColumnElement[date], day: date) -> ColumnElement[bool]:
    """The entry of each machine and book that holds on a day."""
    return and_(entered_on <= day, or_(table.c.holds_until.is_(None), table.c.holds_until > day))


_machines = named_table("equipment", column("company_id"), column("equipment_id"), column("name"), schema=SCHEMA)
_machine = and_(_machines.c.company_id == table.c.company_id, _machines.c.equipment_id == table.c.equipment_id)

BOOK_ENTRIES = Resource(
    name="book-entries",
    path="book-entries",
    item_path="equipment/{equipment_id}/books/{book}/entries/{entry}",
    group="fleet",
    permission="equipment.read",
    summary="What was entered in the machines' books; with `on`, their values on that day",
    item=BookEntryItem,
    rows=select(table, _machines.c.name.label("equipment_name")).outerjoin(_machines, _machine),
    company=table.c.company_id,
    keys={
        "equipment_id": Filter(table.c.equipment_id, Id, "Id of the machine"),
        "book": Filter(table.c.book, Id, "The book"),
        "entry": Filter(table.c.entry, Id, "The entry, such as posting-2026-10"),
    },
    make=item,
    filters={
        "equipment_id": Filter(table.c.equipment_id, Id, "Entries of this machine"),
        "book": Filter(table.c.book, BookName, "Entries of this book"),
        "kind": Filter(table.c.kind, EntryKind, "Entries of this kind"),
        "period": Filter(table.c.period, Month, "Entries of this period"),
        "from": Filter(table.c.entered_on, Day, "Entries on or after this day", operator.ge),
        "until": Filter(table.c.entered_on, Day, "Entries on or before this day", operator.le),
        "on": Filter(table.c.entered_on, Day, "The entry of each machine and book that holds on this day", _in_force),
    },
    sorts={
        "day": Sort(table.c.entered_on, date, "by day"),
        "equipment_id": Sort(table.c.equipment_id, LineOfText, "by machine"),
    },
    default_sort="-day",
)
