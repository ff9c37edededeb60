"""What was known and true of each machine, and when: two times for every fact.

A fact is one thing said of a machine: its name, who has it, whether a job is open. It was true from `effective_from`
until `effective_to`, and known so from `recorded_from` until `recorded_to`. A late entry splits what was known of the
time before it; nothing is ever forgotten. So one question has one answer: what held at T, as known at R.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import Any

from pydantic_core import to_json
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Computed,
    Date,
    DateTime,
    Index,
    Numeric,
    Select,
    Table,
    Text,
    and_,
    case,
    cast,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.expression import FromClause
from sqlalchemy.types import TypeEngine

from domain.depreciation import BookName, TermsOfBook
from domain.equipment import (
    BreakdownAbandoned,
    DepreciationPosted,
    DepreciationRevised,
    DepreciationSet,
    EquipmentAssigned,
    EquipmentBrokeDown,
    EquipmentCreated,
    EquipmentHeldForSale,
    EquipmentMoved,
    EquipmentRenamed,
    EquipmentRepaired,
    EquipmentRetired,
    EquipmentReturned,
    EquipmentVoided,
    EquipmentWithdrawnFromSale,
    MaintenanceCancelled,
    MaintenanceCompleted,
    MaintenanceRescheduled,
    MaintenanceScheduled,
    MaintenanceStarted,
    Status,
    equipment,
)
from domain.periods import first_day, last_day, number_of
from domain.record import Recorded
from views.history import table as history
from views.resource import Moments
from views.tables import METADATA, key, moment
from views.view import Change, View

table = Table(
    "equipment_past",
    METADATA,
    key("company_id"),
    key("equipment_id"),
    key("fact"),
    key("about"),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("effective_from", DateTime(timezone=True), primary_key=True),
    moment("effective_to"),
    moment("recorded_from"),
    moment("recorded_to"),
    Column("value", JSONB),
    Column("name", Text, Computed("CASE WHEN fact = 'name' THEN value #>> '{}' END", persisted=True)),
)
Index(
    "equipment_past_by_name",
    table.c.company_id,
    table.c.name,
    table.c.equipment_id,
    postgresql_where=table.c.fact == "name",
)

past = View("past", table)

#: What is true of a machine from its beginning.
FIRST = datetime(1900, 1, 1, tzinfo=UTC)


class Saying:
    """Say a fact from a time on: until the next known fact of its kind begins, or for good. What was known of that time
    until now stays as what was known. The same event again says nothing new."""

    def text(self, schema: str) -> str:
        own = f'"{schema}".equipment_past'
        return f"""
WITH said AS (
    SELECT FROM {own}
    WHERE company_id = $1 AND equipment_id = $2 AND fact = $3 AND about = $4 AND position = $5
), ended AS (
    UPDATE {own} SET recorded_to = $8
    WHERE company_id = $1 AND equipment_id = $2 AND fact = $3 AND about = $4 AND recorded_to = 'infinity'
      AND effective_to > $6 AND (effective_from <= $6 OR $9) AND NOT EXISTS (SELECT FROM said)
    RETURNING effective_from, effective_to, value
), later AS (
    SELECT min(effective_from) AS begins FROM {own}
    WHERE company_id = $1 AND equipment_id = $2 AND fact = $3 AND about = $4 AND recorded_to = 'infinity'
      AND effective_from > $6
)
INSERT INTO {own} (company_id, equipment_id, fact, about, position, effective_from, effective_to,
                   recorded_from, recorded_to, value)
SELECT $1, $2, $3, $4, $5::bigint, effective_from, $6, $8, 'infinity'::timestamptz, value
FROM ended WHERE effective_from < $6
UNION ALL
SELECT $1, $2, $3, $4, $5, $6::timestamptz,
       CASE WHEN $9 THEN 'infinity'
            ELSE coalesce((SELECT max(effective_to) FROM ended), (SELECT begins FROM later), 'infinity') END,
       $8::timestamptz, 'infinity', $7::jsonb
WHERE NOT EXISTS (SELECT FROM said)
"""  # noqa: S608 - the schema is ours


SAYING = Saying()


def said(
    machine: str,
    fact: Recorded,
    what: str,
    value: Any,
    *,
    about: str = "",
    since: datetime | None = None,
    for_good: bool = False,
) -> Change:
    """`what` is `value` from `since`, or from when the event was true; None takes it away."""
    begins = since or fact.event.effective_at or fact.recorded_at
    content = None if value is None else to_json(value).decode()
    values = (fact.company_id, machine, what, about, fact.position, begins, content, fact.recorded_at, for_good)
    return Change(SAYING, values)


@past.on
def created(event: EquipmentCreated, fact: Recorded) -> Iterator[Change]:
    """A machine is what it is from its first day in service, whenever it was registered."""
    since = min(_beginning(event.in_service_on), event.effective_at or fact.recorded_at)
    papers = event.model_dump(mode="json", exclude={"equipment_id", "name", "category_id", "effective_at"})
    for what, value in (
        ("name", event.name),
        ("category", event.category_id),
        ("papers", papers | {"created_at": fact.recorded_at}),
    ):
        yield said(event.equipment_id, fact, what, value, since=since, for_good=True)
    yield said(event.equipment_id, fact, "voided", None, since=FIRST, for_good=True)


def _beginning(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


@past.on
def voided(event: EquipmentVoided, fact: Recorded) -> Iterator[Change]:
    """It should never have been there: as known from now on, it never was, and neither were its books."""
    yield said(event.equipment_id, fact, "voided", value=True, since=FIRST, for_good=True)
    for book in BookName:
        yield said(event.equipment_id, fact, "book-value", None, about=book.value, since=FIRST, for_good=True)


@past.on
def renamed(event: EquipmentRenamed, fact: Recorded) -> Change:
    return said(event.equipment_id, fact, "name", event.name)


@past.on
def moved(event: EquipmentMoved, fact: Recorded) -> Change:
    return said(event.equipment_id, fact, "place", event.place)


@past.on
def assigned(event: EquipmentAssigned, fact: Recorded) -> Change:
    has = {
        "kind": event.assignee.kind,
        "id": event.assignee.id,
        "since": event.effective_at or fact.recorded_at,
        "expected_return_on": event.expected_return,
    }
    return said(event.equipment_id, fact, "assignee", has)


@past.on
def returned(event: EquipmentReturned, fact: Recorded) -> Change:
    return said(event.equipment_id, fact, "assignee", None)


@past.on
def scheduled(event: MaintenanceScheduled, fact: Recorded) -> Change:
    return said(event.equipment_id, fact, "due", event.scheduled_date, about=event.job_id)


@past.on
def rescheduled(event: MaintenanceRescheduled, fact: Recorded) -> Change:
    return said(event.equipment_id, fact, "due", event.scheduled_date, about=event.job_id)


@past.on
def started(event: MaintenanceStarted, fact: Recorded) -> Change:
    return said(event.equipment_id, fact, "work", value=True, about=event.job_id)


@past.on
def completed(event: MaintenanceCompleted, fact: Recorded) -> Iterator[Change]:
    yield from _ended(event.equipment_id, event.job_id, fact)
    yield said(event.equipment_id, fact, "done", event.completed_date, about=event.job_id)


@past.on
def cancelled(event: MaintenanceCancelled, fact: Recorded) -> Iterator[Change]:
    yield from _ended(event.equipment_id, event.job_id, fact)


def _ended(machine: str, job_id: str, fact: Recorded) -> Iterator[Change]:
    """From then on the job is not open: also where its start was recorded after the time of its end."""
    for what in ("due", "work"):
        yield said(machine, fact, what, None, about=job_id, for_good=True)


@past.on
def broke_down(event: EquipmentBrokeDown, fact: Recorded) -> Change:
    return said(event.equipment_id, fact, "broken", event.effective_at or fact.recorded_at)


@past.on
def repaired(event: EquipmentRepaired | BreakdownAbandoned, fact: Recorded) -> Change:
    return said(event.equipment_id, fact, "broken", None, for_good=True)


@past.on
def held_for_sale(event: EquipmentHeldForSale, fact: Recorded) -> Iterator[Change]:
    since = _beginning(event.held_on)
    yield said(event.equipment_id, fact, "for-sale", event.held_on, since=since, for_good=True)
    yield from _rescheduled(event.equipment_id, event.books, fact, since)


@past.on
def withdrawn_from_sale(event: EquipmentWithdrawnFromSale, fact: Recorded) -> Iterator[Change]:
    since = _beginning(event.withdrawn_on)
    yield said(event.equipment_id, fact, "for-sale", None, since=since, for_good=True)
    yield from _rescheduled(event.equipment_id, event.books, fact, since)


def _rescheduled(machine: str, books: tuple[TermsOfBook, ...], fact: Recorded, since: datetime) -> Iterator[Change]:
    """Other terms from then on; what the book has the machine at stays, but for its version."""
    for it in books:
        terms = it.terms.model_dump(mode="json", exclude_none=True)
        revision = {"version": fact.version, "recorded_at": fact.recorded_at}
        for what, content in (("terms", terms), ("revision", revision)):
            yield said(machine, fact, f"book-{what}", content, about=it.book.value, since=since, for_good=True)


@past.on
def retired(event: EquipmentRetired, fact: Recorded) -> Iterator[Change]:
    how = {"retired_on": event.retired_date, "retired_by": event.retired_by, "retirement_reason": event.reason}
    yield said(event.equipment_id, fact, "retired", how)
    proceeds = event.proceeds.amount if event.proceeds else "0"
    for closed in event.disposals:
        left = {"on": event.retired_date, "value": closed.value, "proceeds": proceeds, "gain": closed.gain}
        yield from _in_book(event.equipment_id, closed.book, fact, event.retired_date, "0", {"disposal": left})


@past.on
def depreciation_set(event: DepreciationSet, fact: Recorded) -> Iterator[Change]:
    """The book begins, with its cost: whatever other terms said of it before, it never was."""
    nothing_yet = {
        "terms": event.terms.model_dump(mode="json", exclude_none=True),
        "account": {"accumulated": "0", "posted": None},
        "disposal": None,
        "opened": event.terms.available_on,
    }
    yield from _in_book(event.equipment_id, event.book, fact, None, event.terms.cost.amount, nothing_yet)


@past.on
def depreciation_posted(event: DepreciationPosted, fact: Recorded) -> Iterator[Change]:
    day, account = last_day(number_of(event.period)), {"accumulated": event.accumulated, "posted": event.period}
    yield from _in_book(event.equipment_id, event.book, fact, day, event.value, {"account": account})


@past.on
def depreciation_revised(event: DepreciationRevised, fact: Recorded) -> Iterator[Change]:
    day = first_day(number_of(event.period) - event.terms.step + 1)
    terms = event.terms.model_dump(mode="json", exclude_none=True)
    yield from _in_book(event.equipment_id, event.book, fact, day, event.value, {"terms": terms})


def _in_book(
    machine: str, book: BookName, fact: Recorded, day: date | None, value: str, more: dict[str, Any]
) -> Iterator[Change]:
    """From that day on, or from ever, the machine has the value in the book, and what else is said of it."""
    since = FIRST if day is None else _beginning(day)
    known = {"amount": value, "version": fact.version, "recorded_at": fact.recorded_at}
    for what, content in ({"value": known} | more).items():
        yield said(machine, fact, f"book-{what}", content, about=book.value, since=since, for_good=True)


# -- reading -------------------------------------------------------------------------------------------------------


def _hold(facts: FromClause, at: Moments) -> ColumnElement[bool]:
    return and_(
        facts.c.recorded_from <= at.as_of,
        facts.c.recorded_to > at.as_of,
        facts.c.effective_from <= at.valid_at,
        facts.c.effective_to > at.valid_at,
    )


def machines(at: Moments) -> Select[Any]:
    """The machines of all companies as they were, in columns named as those of the equipment view."""
    named = table.alias("named")
    own = _facts(named, at).lateral("own")
    revision = _revision(named, at).lateral("revision")
    papers, assignee, gone = own.c.said["papers"], own.c.said["assignee"], own.c.said["retired"]
    return (
        select(
            named.c.company_id,
            named.c.equipment_id,
            named.c.name,
            own.c.said["category"].astext.label("category_id"),
            own.c.said["place"].astext.label("place"),
            *(papers[name].astext.label(name) for name in ("serial_number", "manufacturer", "model")),
            papers["manufacturer_serial"].astext.label("manufacturer_serial"),
            *(cast(papers[name].astext, Date).label(name) for name in ("purchased_on", "in_service_on")),
            cast(papers["purchase_price"]["amount"].astext, Numeric(19, 4)).label("purchase_price"),
            papers["purchase_price"]["currency"].astext.label("purchase_currency"),
            cast(papers["created_at"].astext, DateTime(timezone=True)).label("created_at"),
            assignee["kind"].astext.label("assignee_kind"),
            assignee["id"].astext.label("assignee_id"),
            cast(assignee["since"].astext, DateTime(timezone=True)).label("assigned_at"),
            cast(assignee["expected_return_on"].astext, Date).label("expected_return_on"),
            cast(own.c.said["for-sale"].astext, Date).label("for_sale_since"),
            cast(gone["retired_on"].astext, Date).label("retired_on"),
            *(gone[name].astext.label(name) for name in ("retired_by", "retirement_reason")),
            cast(own.c.said["broken"].astext, DateTime(timezone=True)).label("broken_down_since"),
            own.c.next_due_on,
            own.c.last_maintained_on,
            _status(own, gone).label("status"),
            revision.c.version,
            revision.c.updated_at,
        )
        .select_from(named)
        .join(own, true())
        .join(revision, true())
        .where(named.c.fact == "name", _hold(named, at), own.c.said["voided"].astext.is_(None))
    )


def _facts(named: FromClause, at: Moments) -> Select[Any]:
    """One row: what is said of the machine itself as an object, and what its jobs come to."""
    facts = table.alias("facts")
    day = cast(facts.c.value[()].astext, Date)
    return select(
        func.jsonb_object_agg(facts.c.fact, facts.c.value).filter(facts.c.about == "").cast(JSONB).label("said"),
        func.min(day).filter(facts.c.fact == "due").label("next_due_on"),
        func.max(day).filter(facts.c.fact == "done").label("last_maintained_on"),
        func.bool_or(facts.c.fact == "work").label("in_maintenance"),
    ).where(
        facts.c.company_id == named.c.company_id,
        facts.c.equipment_id == named.c.equipment_id,
        facts.c.value.is_not(None),
        _hold(facts, at),
    )


def _revision(named: FromClause, at: Moments) -> Select[Any]:
    """Up to which version the machine was known."""
    return select(
        func.max(history.c.version).label("version"), func.max(history.c.recorded_at).label("updated_at")
    ).where(
        history.c.company_id == named.c.company_id,
        history.c.aggregate == equipment.name,
        history.c.aggregate_id == named.c.equipment_id,
        history.c.recorded_at <= at.as_of,
    )


def _status(own: FromClause, gone: ColumnElement[Any]) -> ColumnElement[str]:
    return case(
        (gone.is_not(None), Status.RETIRED.value),
        (or_(own.c.in_maintenance, own.c.said["broken"].is_not(None)), Status.IN_MAINTENANCE.value),
        (own.c.next_due_on.is_not(None), Status.MAINTENANCE_SCHEDULED.value),
        else_=Status.ACTIVE.value,
    )


def books(at: Moments) -> Select[Any]:
    """What the books of all companies said of their machines, in columns named as those of the view of books."""
    held = table.alias("held")
    own = _of_book(held, at).lateral("own")
    terms, account, gone = own.c.said["book-terms"], own.c.said["book-account"], own.c.said["book-disposal"]
    return (
        select(
            held.c.company_id,
            held.c.equipment_id,
            held.c.about.label("book"),
            terms.label("terms"),
            terms["method"].astext.label("method"),
            terms["cost"]["currency"].astext.label("currency"),
            _amount(held.c.value["amount"]).label("value"),
            _amount(account["accumulated"]).label("accumulated"),
            account["posted"].astext.label("posted"),
            cast(gone["on"].astext, Date).label("disposed_on"),
            _amount(gone["value"]).label("disposal_value"),
            *(_amount(gone[name]).label(name) for name in ("proceeds", "gain")),
            _latest("version", BigInteger(), held.c.value, own.c.said["book-revision"]),
            _latest(
                "recorded_at", DateTime(timezone=True), held.c.value, own.c.said["book-revision"], label="updated_at"
            ),
        )
        .select_from(held)
        .join(own, true())
        .where(
            held.c.fact == "book-value",
            held.c.value.is_not(None),
            _hold(held, at),
            cast(own.c.said["book-opened"].astext, Date) <= cast(func.timezone("UTC", at.valid_at), Date),
        )
    )


def _of_book(held: FromClause, at: Moments) -> Select[Any]:
    """One row: what is said of a machine in a book as an object."""
    facts = table.alias("facts")
    return select(func.jsonb_object_agg(facts.c.fact, facts.c.value).cast(JSONB).label("said")).where(
        facts.c.company_id == held.c.company_id,
        facts.c.equipment_id == held.c.equipment_id,
        facts.c.about == held.c.about,
        facts.c.fact.in_(("book-terms", "book-account", "book-disposal", "book-opened", "book-revision")),
        facts.c.value.is_not(None),
        _hold(facts, at),
    )


def _latest(name: str, kind: TypeEngine[Any], *of: ColumnElement[Any], label: str = "") -> ColumnElement[Any]:
    return func.greatest(*(cast(one[name].astext, kind) for one in of)).label(label or name)


def _amount(value: ColumnElement[Any]) -> ColumnElement[Any]:
    return cast(value.astext, Numeric(24, 4))
