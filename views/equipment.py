"""The machines of a company: list and detail."""

import operator
from dataclasses import replace
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Computed,
    Date,
    Index,
    Numeric,
    Select,
    Table,
    Text,
    and_,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.engine import RowMapping
from sqlalchemy.sql.expression import FromClause

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
    MeterReadingRecorded,
    Status,
)
from domain.model import Day, Id, Instant, SerialNumber
from domain.record import Recorded
from views import past
from views.categories import table as categories
from views.companies import table as companies
from views.items import Named, Price, Version, amount_of, currency_of, price
from views.maintenance import IS_OPEN, JobState
from views.maintenance import table as jobs
from views.reading import Reader
from views.resource import Filter, ItemModel, LineOfText, Moments, Resource, Search, Sort
from views.tables import METADATA, id_of, key, moment, revision
from views.users import table as users
from views.view import Change, View
from views.writing import deleting, inserting, updating

#: The one place where a machine's shown status is derived; its order is that of `domain.equipment.Equipment.status`.
STATUS = """CASE
    WHEN retired_on IS NOT NULL THEN 'RETIRED'
    WHEN in_maintenance OR broken_down_since IS NOT NULL THEN 'IN_MAINTENANCE'
    WHEN next_due_on IS NOT NULL THEN 'MAINTENANCE_SCHEDULED'
    ELSE 'ACTIVE'
END"""

table = Table(
    "equipment",
    METADATA,
    key("company_id"),
    key("equipment_id"),
    Column("name", Text, nullable=False),
    Column("serial_number", Text(collation="C"), nullable=False),
    id_of("category_id"),
    Column("manufacturer", Text),
    Column("model", Text),
    Column("manufacturer_serial", Text),
    Column("purchased_on", Date),
    Column("in_service_on", Date, nullable=False),
    Column("purchase_price", Numeric(19, 4)),
    Column("purchase_currency", Text),
    id_of("place", optional=True),
    Column("assignee_kind", Text),
    id_of("assignee_id", optional=True),
    moment("assigned_at", optional=True),
    Column("expected_return_on", Date),
    Column("next_due_on", Date),
    Column("in_maintenance", Boolean, nullable=False),
    moment("broken_down_since", optional=True),
    Column("last_maintained_on", Date),
    Column("for_sale_since", Date),
    Column("retired_on", Date),
    Column("retired_by", Text),
    Column("retirement_reason", Text),
    Column("proceeds", Numeric(19, 4)),
    Column("proceeds_currency", Text),
    Column("status", Text, Computed(STATUS, persisted=True), nullable=False),
    moment("created_at"),
    *revision(),
    info={"searched": True},
)

NO_DATE = literal_column("'infinity'::date", Date)
NEXT_DUE = func.coalesce(table.c.next_due_on, NO_DATE)

for name, *lead in (
    ("name", table.c.name),
    ("serial", table.c.serial_number),
    ("service", table.c.in_service_on),
    ("due", NEXT_DUE),
    ("updated", table.c.updated_at),
    ("status", table.c.status, table.c.name),
    ("category", table.c.category_id, table.c.name),
):
    Index(f"equipment_by_{name}", table.c.company_id, *lead, table.c.equipment_id)
Index(
    "equipment_by_place",
    table.c.company_id,
    table.c.place,
    table.c.name,
    table.c.equipment_id,
    postgresql_where=table.c.place.is_not(None),
)
Index(
    "equipment_by_assignee",
    table.c.company_id,
    table.c.assignee_id,
    table.c.equipment_id,
    postgresql_where=table.c.assignee_id.is_not(None),
)
for name in ("name", "serial_number"):
    Index(f"equipment_like_{name}", table.c[name], postgresql_using="gin", postgresql_ops={name: "gin_trgm_ops"})

equipment = View("equipment", table)

_of_machine = and_(jobs.c.company_id == table.c.company_id, jobs.c.equipment_id == table.c.equipment_id)

CREATED = inserting(table, in_maintenance=False)
VOIDED = deleting(table, "equipment_id")
SEEN = updating(table)
RENAMED = updating(table, "name")
MOVED = updating(table, "place")
BREAKDOWN = updating(table, "broken_down_since")
ASSIGNED = updating(table, "assignee_kind", "assignee_id", "assigned_at", "expected_return_on")
FOR_SALE = updating(table, "for_sale_since")
RETIRED = updating(table, "retired_on", "retired_by", "retirement_reason", "proceeds", "proceeds_currency")


def _of_its_jobs(aggregate: Any) -> Any:
    """An aggregate over the machine's jobs. Which of them count is said by its FILTER: said by WHERE, PostgreSQL takes
    the index of unfinished jobs and goes through those of the whole company."""
    return select(aggregate).where(_of_machine).scalar_subquery()


JOBS_CHANGED = updating(
    table,
    next_due_on=_of_its_jobs(func.min(jobs.c.scheduled_on).filter(IS_OPEN)),
    in_maintenance=_of_its_jobs(func.count().filter(jobs.c.state == JobState.STARTED.value) > 0),
    last_maintained_on=_of_its_jobs(func.max(jobs.c.completed_on)),
)


@equipment.on
def created(event: EquipmentCreated, fact: Recorded) -> Change:
    bought = {"purchase_price": amount_of(event.purchase_price), "purchase_currency": currency_of(event.purchase_price)}
    return CREATED(fact, **vars(event) | bought, created_at=fact.recorded_at)


@equipment.on
def voided(event: EquipmentVoided, fact: Recorded) -> Change:
    return VOIDED(fact, equipment_id=event.equipment_id)


@equipment.on
def renamed(event: EquipmentRenamed, fact: Recorded) -> Change:
    return RENAMED(fact, equipment_id=event.equipment_id, name=event.name)


@equipment.on
def seen(
    event: MeterReadingRecorded | DepreciationSet | DepreciationRevised | DepreciationPosted, fact: Recorded
) -> Change:
    """Nothing of the row but its version, which senders of commands name as the one that they saw."""
    return SEEN(fact, equipment_id=event.equipment_id)


@equipment.on
def moved(event: EquipmentMoved, fact: Recorded) -> Change:
    return MOVED(fact, equipment_id=event.equipment_id, place=event.place)


@equipment.on
def broke_down(event: EquipmentBrokeDown, fact: Recorded) -> Change:
    since = event.effective_at or fact.recorded_at
    return BREAKDOWN(fact, equipment_id=event.equipment_id, broken_down_since=since)


@equipment.on
def repaired(event: EquipmentRepaired | BreakdownAbandoned, fact: Recorded) -> Change:
    return BREAKDOWN(fact, equipment_id=event.equipment_id)


@equipment.on
def jobs_changed(
    event: MaintenanceScheduled
    | MaintenanceRescheduled
    | MaintenanceStarted
    | MaintenanceCompleted
    | MaintenanceCancelled,
    fact: Recorded,
) -> Change:
    """Look at the machine's jobs again; their own view has already changed."""
    return JOBS_CHANGED(fact, equipment_id=event.equipment_id)


@equipment.on
def assigned(event: EquipmentAssigned, fact: Recorded) -> Change:
    return ASSIGNED(
        fact,
        equipment_id=event.equipment_id,
        assignee_kind=event.assignee.kind,
        assignee_id=event.assignee.id,
        assigned_at=event.effective_at or fact.recorded_at,
        expected_return_on=event.expected_return,
    )


@equipment.on
def returned(event: EquipmentReturned, fact: Recorded) -> Change:
    return ASSIGNED(fact, equipment_id=event.equipment_id)


@equipment.on
def held_for_sale(event: EquipmentHeldForSale, fact: Recorded) -> Change:
    return FOR_SALE(fact, equipment_id=event.equipment_id, for_sale_since=event.held_on)


@equipment.on
def withdrawn_from_sale(event: EquipmentWithdrawnFromSale, fact: Recorded) -> Change:
    return FOR_SALE(fact, equipment_id=event.equipment_id)


@equipment.on
def retired(event: EquipmentRetired, fact: Recorded) -> Change:
    return RETIRED(
        fact,
        equipment_id=event.equipment_id,
        retired_on=event.retired_date,
        retired_by=event.retired_by,
        retirement_reason=event.reason,
        proceeds=amount_of(event.proceeds),
        proceeds_currency=currency_of(event.proceeds),
    )


class AssigneeItem(ItemModel):
    """Who or what has the machine."""

    kind: Annotated[Literal["user", "place"], Field(description="A user of the company, or a place by its name")]
    id: Annotated[str, Field(description="Id of the user, or the place", examples=["maria-quispe"])]
    name: Annotated[str | None, Field(description="Name of the user", examples=["Maria Quispe"])] = None
    since: Annotated[datetime, Field(description="When the machine was handed over")]
    expected_return_on: Annotated[date | None, Field(description="Day on which it is expected back")] = None


class Retirement(ItemModel):
    """How the machine left service."""

    on: Annotated[date, Field(description="Day in the company's time zone")]
    by: Annotated[str, Field(description="Actor who retired it", examples=["user:maria-quispe"])]
    reason: Annotated[str, Field(description="Why", examples=["Frame cracked beyond repair"])]


class EquipmentItem(ItemModel):
    """A machine as it stands."""

    equipment_id: Annotated[str, Field(description="Id of the machine", examples=["EX-7"])]
    name: Annotated[str, Field(description="Its name", examples=["Komatsu PC210 No. 7"])]
    serial_number: Annotated[str, Field(description="Asset tag, unique in the company", examples=["EQ-2024-EX-000007"])]
    status: Annotated[Status, Field(description="Derived from retirement, breakdown and jobs", examples=["ACTIVE"])]
    category: Annotated[Named, Field(description="Kind of equipment")]
    company: Annotated[Named, Field(description="Owner")]
    manufacturer: Annotated[str | None, Field(description="Maker", examples=["Komatsu"])] = None
    model: Annotated[str | None, Field(description="The maker's model", examples=["PC210LC-11"])] = None
    manufacturer_serial: Annotated[str | None, Field(description="The maker's own serial number")] = None
    purchased_on: Annotated[date | None, Field(description="Day of purchase", examples=["2024-02-01"])] = None
    in_service_on: Annotated[date, Field(description="First day in service", examples=["2024-02-12"])]
    purchase_price: Annotated[Price | None, Field(description="Price paid")] = None
    place: Annotated[str | None, Field(description="Where it stands", examples=["north-yard"])] = None
    assignee: Annotated[AssigneeItem | None, Field(description="Who or what has it; null: nobody")] = None
    broken_down_since: Annotated[datetime | None, Field(description="Since when it has lost its function")] = None
    next_due_on: Annotated[date | None, Field(description="Day of the earliest open job")] = None
    last_maintained_on: Annotated[date | None, Field(description="Day of the latest work done")] = None
    for_sale_since: Annotated[date | None, Field(description="Since when it is held for sale")] = None
    retirement: Annotated[Retirement | None, Field(description="Null while in service")] = None
    created_at: Annotated[datetime, Field(description="When it was registered")]
    updated_at: Annotated[datetime, Field(description="When this version was recorded")]
    version: Version


SHOWN_AS_THEY_ARE = (
    "equipment_id",
    "name",
    "serial_number",
    "status",
    "manufacturer",
    "model",
    "manufacturer_serial",
    "purchased_on",
    "in_service_on",
    "place",
    "broken_down_since",
    "next_due_on",
    "last_maintained_on",
    "for_sale_since",
    "created_at",
    "updated_at",
    "version",
)


def item(row: RowMapping) -> EquipmentItem:
    return EquipmentItem(
        **{name: row[name] for name in SHOWN_AS_THEY_ARE},
        category=Named(id=row["category_id"], name=row["category_name"]),
        company=Named(id=row["company_id"], name=row["company_name"]),
        purchase_price=price(row["purchase_price"], row["purchase_currency"]),
        assignee=_assignee(row),
        retirement=_retirement(row),
    )


def _assignee(row: RowMapping) -> AssigneeItem | None:
    if row["assignee_id"] is None:
        return None
    return AssigneeItem(
        kind=row["assignee_kind"],
        id=row["assignee_id"],
        name=row["assignee_name"],
        since=row["assigned_at"],
        expected_return_on=row["expected_return_on"],
    )


def _retirement(row: RowMapping) -> Retirement | None:
    if row["retired_on"] is None:
        return None
    return Retirement(on=row["retired_on"], by=row["retired_by"], reason=row["retirement_reason"])


#: More matches than this are not listed: so many rows match that walking the list in its order finds a page at once.
MOST_LISTED = 1000


async def _find(reader: Reader, text: str) -> tuple[str, ...] | None:
    """By the database function that may use the trigram indexes, which row-level security denies to plain queries."""
    found = await reader.connection.execute(
        select(func.erp.find_equipment(_pattern(text), MOST_LISTED + 1).column_valued("equipment_id"))
    )
    ids = tuple(found.scalars())
    return None if len(ids) > MOST_LISTED else ids


def _matches(text: str) -> ColumnElement[bool]:
    pattern = _pattern(text)
    return or_(table.c.name.ilike(pattern), table.c.serial_number.ilike(pattern))


def _pattern(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _named(machines: FromClause) -> Select[Any]:
    """Machines with the names of what they refer to, as these are called now."""
    own = machines.c
    category = and_(categories.c.company_id == own.company_id, categories.c.category_id == own.category_id)
    assignee = and_(
        own.assignee_kind == "user", users.c.company_id == own.company_id, users.c.user_id == own.assignee_id
    )
    return (
        select(
            machines,
            categories.c.name.label("category_name"),
            companies.c.name.label("company_name"),
            users.c.name.label("assignee_name"),
        )
        .outerjoin(companies, companies.c.company_id == own.company_id)
        .outerjoin(categories, category)
        .outerjoin(users, assignee)
    )


def _at(moments: Moments) -> Resource[EquipmentItem]:
    """The machines as they were: the same items and filters, on rows of the past, in the order of their names."""
    then = past.machines(moments).subquery("then")
    return replace(
        EQUIPMENT,
        group="history",
        rows=_named(then),
        company=then.c.company_id,
        keys={name: replace(found, column=then.c[found.column.name]) for name, found in EQUIPMENT.keys.items()},
        filters={name: replace(found, column=then.c[found.column.name]) for name, found in EQUIPMENT.filters.items()},
        sorts={"name": replace(EQUIPMENT.sorts["name"], expression=then.c.name)},
        search=None,
        at=None,
    )


EQUIPMENT = Resource(
    name="equipment",
    path="equipment",
    item_path="equipment/{equipment_id}",
    group="fleet",
    permission="equipment.read",
    summary="Machines of the company",
    item=EquipmentItem,
    rows=_named(table),
    company=table.c.company_id,
    keys={"equipment_id": Filter(table.c.equipment_id, Id, "Id of the machine")},
    make=item,
    filters={
        "status": Filter(table.c.status, Status, "Machines in this status"),
        "category_id": Filter(table.c.category_id, Id, "Machines of this category"),
        "place": Filter(table.c.place, Id, "Machines that stand at this place"),
        "assignee_id": Filter(table.c.assignee_id, Id, "Machines that this user or place has"),
        "assignee_kind": Filter(
            table.c.assignee_kind, Literal["user", "place"], "Machines that users, or places, have"
        ),
        "serial_number": Filter(table.c.serial_number, SerialNumber, "The machine with this asset tag"),
        "due_until": Filter(table.c.next_due_on, Day, "Machines with a job due on or before this day", operator.le),
    },
    sorts={
        "name": Sort(table.c.name, LineOfText, "by name"),
        "serial_number": Sort(table.c.serial_number, LineOfText, "by asset tag"),
        "in_service_on": Sort(table.c.in_service_on, date, "by first day in service"),
        "next_due_on": Sort(NEXT_DUE, date, "by due day, machines without one last"),
        "updated_at": Sort(table.c.updated_at, Instant, "by the time of the last change"),
    },
    default_sort="name",
    search=Search("Part of the name or the asset tag", table.c.equipment_id, _find, _matches),
    at=_at,
)
