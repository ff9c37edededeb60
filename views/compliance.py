"""How much of the planned maintenance was done in time, over a window of due days."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import ColumnElement, DateTime, FromClause, and_, cast, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import RowMapping

from domain.maintenance import MaintenanceType
from domain.model import Id
from domain.upkeep import Compliance, PlannedJob, compliance
from domain.zones import day_in
from views.categories import table as categories
from views.companies import table as companies
from views.equipment import table as machines
from views.items import Named
from views.maintenance import JobState
from views.maintenance import table as jobs
from views.resource import FROM, UNTIL, Filter, ItemModel, LineOfText, Resource, Sort

Count = Annotated[int, Field(ge=0)]

ZONE = func.coalesce(companies.c.time_zone, "UTC")
#: The day's beginning in the company's zone.
DUE = func.timezone(ZONE, cast(jobs.c.scheduled_on, DateTime), type_=DateTime(timezone=True))

_job_of_machine = and_(jobs.c.company_id == machines.c.company_id, jobs.c.equipment_id == machines.c.equipment_id)
_of_category = and_(
    categories.c.company_id == machines.c.company_id, categories.c.category_id == machines.c.category_id
)
#: Corrective work is not planned ahead, and what was recorded afterwards had no day.
_planned = and_(
    jobs.c.maintenance_type != MaintenanceType.CORRECTIVE.value,
    jobs.c.state != JobState.CANCELLED.value,
    DUE >= FROM,
    DUE < UNTIL,
)
_told = func.coalesce(
    func.jsonb_agg(func.jsonb_build_array(jobs.c.scheduled_on, jobs.c.completed_on, jobs.c.interval_days)),
    func.jsonb_build_array(),
    type_=JSONB,
)


def _jobs(outside: FromClause, *where: ColumnElement[bool]) -> ColumnElement[Any]:
    """Planned jobs whose day lies in the window, of what is outside, as a list of lists."""
    found = select(_told).where(_job_of_machine, _planned, *where)
    return found.correlate(outside, companies).scalar_subquery().label("jobs")


class ComplianceFigures(ItemModel):
    """Preventive work, inspections and calibrations; a job in tolerance that is not done yet is not counted."""

    due: Annotated[Count, Field(description="Jobs that were due in the window", examples=[12])]
    in_time: Annotated[Count, Field(description="Those done by their day, or a tenth of their interval later")]
    compliance: Annotated[
        Decimal | None, Field(description="Done in time / due; null: nothing was due", examples=["0.916667"])
    ] = None


class ComplianceItem(ComplianceFigures):
    """How much of a machine's planned maintenance was done in time."""

    equipment: Annotated[Named, Field(description="The machine")]
    category: Annotated[Named, Field(description="Its kind")]


class CategoryComplianceItem(ComplianceFigures):
    """How much of the planned maintenance of a category's machines was done in time."""

    category: Annotated[Named, Field(description="Kind of equipment")]


def machine_item(row: RowMapping) -> ComplianceItem:
    category = Named(id=row["category_id"], name=row["category_name"])
    return ComplianceItem(equipment=Named(id=row["equipment_id"], name=row["name"]), category=category, **_figures(row))


def category_item(row: RowMapping) -> CategoryComplianceItem:
    return CategoryComplianceItem(category=Named(id=row["category_id"], name=row["name"]), **_figures(row))


def _figures(row: RowMapping) -> dict[str, Any]:
    found = compliance(map(_job, row["jobs"]), day_in(row["time_zone"] or "UTC", row["now"]))
    return Compliance._asdict(found) | {"compliance": found.share}


def _job(told: list[Any]) -> PlannedJob:
    due, done, interval = told
    return PlannedJob(date.fromisoformat(due), done and date.fromisoformat(done), interval)


COMPLIANCE = Resource(
    name="maintenance-compliance",
    path="maintenance-compliance",
    item_path=None,
    group="fleet",
    permission="equipment.read",
    summary="Planned maintenance of the company's machines that was done in time",
    item=ComplianceItem,
    rows=select(
        machines,
        categories.c.name.label("category_name"),
        companies.c.time_zone,
        _jobs(machines),
        func.now().label("now"),
    )
    .outerjoin(companies, companies.c.company_id == machines.c.company_id)
    .outerjoin(categories, _of_category),
    company=machines.c.company_id,
    keys={"equipment_id": Filter(machines.c.equipment_id, Id, "Id of the machine")},
    make=machine_item,
    filters={
        "equipment_id": Filter(machines.c.equipment_id, Id, "This machine alone"),
        "category_id": Filter(machines.c.category_id, Id, "Machines of this category"),
        "place": Filter(machines.c.place, Id, "Machines that stand at this place"),
    },
    sorts={"name": Sort(machines.c.name, LineOfText, "by name")},
    default_sort="name",
    windowed=True,
)
CATEGORY_COMPLIANCE = Resource(
    name="category-compliance",
    path="category-compliance",
    item_path=None,
    group="fleet",
    permission="equipment.read",
    summary="Planned maintenance that was done in time, by category",
    item=CategoryComplianceItem,
    rows=select(
        categories,
        companies.c.time_zone,
        _jobs(categories, _of_category),
        func.now().label("now"),
    ).outerjoin(companies, companies.c.company_id == categories.c.company_id),
    company=categories.c.company_id,
    keys={"category_id": Filter(categories.c.category_id, Id, "Id of the category")},
    make=category_item,
    filters={"category_id": Filter(categories.c.category_id, Id, "This category alone")},
    sorts={"name": Sort(categories.c.name, LineOfText, "by name")},
    default_sort="name",
    windowed=True,
)
