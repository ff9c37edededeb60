"""Figures of a company's fleet at a glance: machines by status, category and place, work that is due, open downtime."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Date, and_, case, cast, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import RowMapping
from sqlalchemy.sql.expression import ColumnElement

from domain.equipment import Status
from domain.model import CompanyId, Id
from domain.upkeep import technician_hours
from domain.zones import day_in
from views.categories import table as categories
from views.companies import table as companies
from views.downtime import BreakdownState
from views.downtime import table as downtime
from views.items import Named
from views.machine_counts import table as counts
from views.maintenance import IS_UNFINISHED
from views.maintenance import table as jobs
from views.resource import Filter, ItemModel, LineOfText, Resource, Sort

SOON = timedelta(days=7)
#: No company's day is later than this: zones are at most fourteen hours ahead.
LAST_DAY_ASKED = cast(func.now() + timedelta(hours=14) + SOON, Date)

Count = Annotated[int, Field(ge=0)]


class Machines(ItemModel):
    """Machines by status."""

    machines: Annotated[Count, Field(description="All of them", examples=[120])]
    active: Annotated[Count, Field(description="Those in service with nothing planned", examples=[80])]
    maintenance_scheduled: Annotated[Count, Field(description="Those in service with a job planned", examples=[24])]
    in_maintenance: Annotated[Count, Field(description="Those being serviced, or broken down", examples=[6])]
    retired: Annotated[Count, Field(description="Those out of service for good", examples=[10])]


class DashboardItem(Machines):
    """The company's fleet today."""

    company_id: Annotated[str, Field(description="Id of the company", examples=["acme-mining"])]
    today: Annotated[date, Field(description="Today in the company's time zone; jobs are due and overdue by it")]
    jobs_overdue: Annotated[
        Count, Field(description="Unfinished jobs that were planned for a day before", examples=[3])
    ]
    jobs_due_today: Annotated[Count, Field(description="Unfinished jobs that are planned for today", examples=[1])]
    jobs_due_soon: Annotated[Count, Field(description="Unfinished jobs of the seven days after today", examples=[9])]
    backlog_jobs: Annotated[Count, Field(description="Unfinished jobs, whenever they are planned", examples=[14])]
    backlog_hours: Annotated[
        Decimal, Field(description="Technician-hours that these are expected to take", examples=["31.50"])
    ]
    backlog_not_estimated: Annotated[
        Count, Field(description="Those whose work nobody has estimated, so that their hours are missing", examples=[2])
    ]
    breakdowns_open: Annotated[Count, Field(description="Breakdowns that are not repaired", examples=[2])]
    down_since: Annotated[datetime | None, Field(description="When the oldest of these began; null: there is none")] = (
        None
    )


class CategoryCountsItem(Machines):
    """Machines of a category by status."""

    category: Annotated[Named, Field(description="Kind of equipment")]


class PlaceCountsItem(Machines):
    """Machines at a place by status."""

    place: Annotated[str | None, Field(description="Where they stand; null: not known", examples=["north-pit"])]


def _by_status(found: Iterable[tuple[str, int]]) -> dict[str, int]:
    """The fields of `Machines` from how many there are in each status."""
    known = dict.fromkeys(Status, 0) | dict(found)
    return {"machines": sum(known.values()), **{status.value.lower(): known[status] for status in Status}}


def _due(days: Iterable[tuple[str, int]], today: date) -> dict[str, int]:
    """Jobs overdue, due today and due soon from how many are planned for each day."""
    planned = [(date.fromisoformat(day), number) for day, number in days]
    return {
        "jobs_overdue": sum(number for day, number in planned if day < today),
        "jobs_due_today": sum(number for day, number in planned if day == today),
        "jobs_due_soon": sum(number for day, number in planned if today < day <= today + SOON),
    }


def dashboard_item(row: RowMapping) -> DashboardItem:
    today = day_in(row["time_zone"], row["now"])
    breakdowns, since = row["breakdowns"]
    waiting, minutes, not_estimated = row["backlog"]
    return DashboardItem(
        company_id=row["company_id"],
        today=today,
        backlog_jobs=waiting,
        backlog_hours=technician_hours(minutes),
        backlog_not_estimated=not_estimated,
        breakdowns_open=breakdowns,
        down_since=since and datetime.fromisoformat(since),
        **_by_status(row["by_status"]),
        **_due(row["by_day"], today),
    )


def category_item(row: RowMapping) -> CategoryCountsItem:
    category = Named(id=row["category_id"], name=row["name"])
    return CategoryCountsItem(category=category, **_by_status(row["by_status"]))


def place_item(row: RowMapping) -> PlaceCountsItem:
    return PlaceCountsItem(place=row["place"] or None, **_by_status((status, row[status]) for status in Status))


def _pairs(of: ColumnElement[Any], number: ColumnElement[Any], *where: ColumnElement[bool]) -> ColumnElement[Any]:
    """A list of [value, number] for each value of `of` among the rows that belong to the row outside."""
    found = select(of.label("value"), number.label("number")).where(*where).group_by(of)
    rows = found.correlate(companies, categories).lateral("found")
    listed = func.jsonb_agg(func.jsonb_build_array(rows.c.value, rows.c.number), type_=JSONB)
    return select(func.coalesce(listed, func.jsonb_build_array(), type_=JSONB)).select_from(rows).scalar_subquery()


MACHINES = func.sum(counts.c.machines).cast(counts.c.machines.type)

BREAKDOWNS = (
    select(func.jsonb_build_array(func.count(), func.min(downtime.c.started_at), type_=JSONB))
    .where(downtime.c.company_id == companies.c.company_id, downtime.c.state == BreakdownState.OPEN.value)
    .correlate(companies)
    .scalar_subquery()
)

BACKLOG = (
    select(
        func.jsonb_build_array(
            func.count(),
            func.coalesce(func.sum(jobs.c.expected_minutes), 0),
            func.count().filter(jobs.c.expected_minutes.is_(None)),
            type_=JSONB,
        )
    )
    .where(jobs.c.company_id == companies.c.company_id, IS_UNFINISHED)
    .correlate(companies)
    .scalar_subquery()
)

DASHBOARD = Resource(
    name="dashboard",
    path="dashboard",
    item_path="companies/{company_id}/dashboard",
    group="fleet",
    permission="equipment.read",
    summary="The caller's fleet at a glance: machines by status, jobs due and overdue, open breakdowns",
    item=DashboardItem,
    rows=select(
        companies,
        func.now().label("now"),
        _pairs(counts.c.status, MACHINES, counts.c.company_id == companies.c.company_id).label("by_status"),
        _pairs(
            jobs.c.scheduled_on,
            func.count(),
            jobs.c.company_id == companies.c.company_id,
            IS_UNFINISHED,
            jobs.c.scheduled_on <= LAST_DAY_ASKED,
        ).label("by_day"),
        BACKLOG.label("backlog"),
        BREAKDOWNS.label("breakdowns"),
    ),
    company=companies.c.company_id,
    keys={"company_id": Filter(companies.c.company_id, CompanyId, "Id of the company")},
    make=dashboard_item,
    sorts={"name": Sort(companies.c.name, LineOfText, "by name")},
    default_sort="name",
)
CATEGORY_COUNTS = Resource(
    name="category-counts",
    path="category-counts",
    item_path=None,
    group="fleet",
    permission="equipment.read",
    summary="How many machines of each category there are, by status",
    item=CategoryCountsItem,
    rows=select(
        categories,
        _pairs(
            counts.c.status,
            MACHINES,
            and_(counts.c.company_id == categories.c.company_id, counts.c.category_id == categories.c.category_id),
        ).label("by_status"),
    ),
    company=categories.c.company_id,
    keys={"category_id": Filter(categories.c.category_id, Id, "Id of the category")},
    make=category_item,
    filters={"category_id": Filter(categories.c.category_id, Id, "This category alone")},
    sorts={"name": Sort(categories.c.name, LineOfText, "by name")},
    default_sort="name",
)
PLACE_COUNTS = Resource(
    name="place-counts",
    path="place-counts",
    item_path=None,
    group="fleet",
    permission="equipment.read",
    summary="How many machines stand at each place, by status",
    item=PlaceCountsItem,
    rows=select(
        counts.c.company_id,
        counts.c.place,
        *(
            func.sum(case((counts.c.status == status.value, counts.c.machines), else_=0))
            .cast(counts.c.machines.type)
            .label(status.value)
            for status in Status
        ),
    ).group_by(counts.c.company_id, counts.c.place),
    company=counts.c.company_id,
    keys={"place": Filter(counts.c.place, LineOfText, "Where the machines stand")},
    make=place_item,
    filters={"place": Filter(counts.c.place, Id, "This place alone")},
    sorts={"place": Sort(counts.c.place, LineOfText, "by place, machines without a known one first")},
    default_sort="place",
)
