"""How much of the planned maintenance was done in time, over a window of due days."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import ColumnElement, DateTime, FromClause, and_, cast, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import RowMapping

from domain.maintenance import MaintenanceType
from domain.upkeep import Compliance, PlannedJob, compliance
from domain.zones import day_in
from views.categories import table as categories
from views.companies import table as companies
from views.equipment import table as machines
from views.figures import NOW, job_of_machine, of_categories, of_category, of_machines
from views.items import Named
from views.maintenance import JobState
from views.maintenance import table as jobs
from views.resource import FROM, UNTIL, ItemModel

Count = Annotated[int, Field(ge=0)]

ZONE = func.coalesce(companies.c.time_zone, "UTC")
#: The day's beginning in the company's zone.
DUE = func.timezone(ZONE, cast(jobs.c.scheduled_on, DateTime), type_=DateTime(timezone=True))

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
    found = select(_told).where(job_of_machine, _planned, *where)
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


COMPLIANCE = of_machines(
    "maintenance-compliance",
    "Planned maintenance of the company's machines that was done in time",
    ComplianceItem,
    machine_item,
    _jobs(machines),
    NOW,
)
CATEGORY_COMPLIANCE = of_categories(
    "category-compliance",
    "Planned maintenance that was done in time, by category",
    CategoryComplianceItem,
    category_item,
    _jobs(categories, of_category),
    NOW,
)
