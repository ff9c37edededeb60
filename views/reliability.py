"""How reliable machines were in a window of time, computed from their downtime and their planned maintenance."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import RowMapping

from domain.equipment import Status
from domain.maintenance import MaintenanceType
from domain.reliability import Reliability, Span, Stop, reliability, together
from domain.zones import zone
from views.categories import table as categories
from views.downtime import BreakdownState
from views.downtime import table as downtime
from views.equipment import table as machines
from views.figures import NOW, job_of_machine, of_categories, of_category, of_machines
from views.items import Named
from views.maintenance import JobState
from views.maintenance import table as jobs
from views.resource import FROM, UNTIL, Filter, ItemModel

Seconds = Annotated[int, Field(ge=0)]

_of_machine = and_(downtime.c.company_id == machines.c.company_id, downtime.c.equipment_id == machines.c.equipment_id)


def _told(*columns: ColumnElement[Any], where: ColumnElement[bool]) -> ColumnElement[Any]:
    """The rows of another table that belong to the machine, as a list of lists."""
    found = func.coalesce(func.jsonb_agg(func.jsonb_build_array(*columns)), func.jsonb_build_array(), type_=JSONB)
    return select(found).where(where).correlate(machines).scalar_subquery()


BREAKDOWNS = _told(
    downtime.c.started_at,
    downtime.c.ended_at,
    downtime.c.labour_minutes,
    downtime.c.state,
    where=and_(_of_machine, downtime.c.started_at < UNTIL, func.coalesce(downtime.c.ended_at, UNTIL) >= FROM),
)
#: Corrective jobs mend what a breakdown has stopped, or what did not stop the machine.
SERVICES = _told(
    jobs.c.started_at,
    jobs.c.performed_at,
    where=and_(
        job_of_machine,
        jobs.c.maintenance_type != MaintenanceType.CORRECTIVE.value,
        jobs.c.state.in_((JobState.STARTED.value, JobState.DONE.value)),
        jobs.c.started_at < UNTIL,
        func.coalesce(jobs.c.performed_at, UNTIL) >= FROM,
    ),
)

#: What is asked of a machine: its first and last day in service, its breakdowns and services.
LIVED = func.jsonb_build_array(machines.c.in_service_on, machines.c.retired_on, BREAKDOWNS, SERVICES, type_=JSONB)


class Figures(ItemModel):
    """What has nothing to be computed from is null, never 0."""

    observed_seconds: Annotated[Seconds, Field(description="Window and service life, up to now")]
    operating_seconds: Annotated[Seconds, Field(description="Observed time in which it did not stand still")]
    downtime_seconds: Annotated[Seconds, Field(description="Unplanned downtime, waiting included")]
    planned_downtime_seconds: Annotated[Seconds, Field(description="Planned maintenance outside of that")]
    failures: Annotated[int, Field(description="Breakdowns that happened", examples=[2])]
    repairs: Annotated[int, Field(description="Breakdowns whose repair ended", examples=[2])]
    mtbf_seconds: Annotated[Seconds | None, Field(description="Operating time per failure")] = None
    mttr_seconds: Annotated[Seconds | None, Field(description="Time of repair per repair")] = None
    mdt_seconds: Annotated[Seconds | None, Field(description="Unplanned downtime per outage, waiting included")] = None
    inherent_availability: Annotated[
        Decimal | None, Field(description="MTBF / (MTBF + MTTR): failures and repairs alone", examples=["0.988889"])
    ] = None
    achieved_availability: Annotated[
        Decimal | None, Field(description="The same with planned maintenance", examples=["0.975000"])
    ] = None
    operational_availability: Annotated[
        Decimal | None, Field(description="Operating time / observed time", examples=["0.975000"])
    ] = None


class ReliabilityItem(Figures):
    """How reliable a machine was. What has nothing to be computed from is null, never 0."""

    equipment: Annotated[Named, Field(description="The machine")]
    category: Annotated[Named, Field(description="Its kind")]


class CategoryReliabilityItem(Figures):
    """How reliable the machines of a category were together: means are over all their failures."""

    category: Annotated[Named, Field(description="Kind of equipment")]
    machines: Annotated[int, Field(description="Machines of the category, whether they were in service or not")]


def machine_item(row: RowMapping) -> ReliabilityItem:
    category = Named(id=row["category_id"], name=row["category_name"])
    machine = Named(id=row["equipment_id"], name=row["name"])
    return ReliabilityItem(equipment=machine, category=category, **_shown(lived_through(row["lived"], row)))


def category_item(row: RowMapping) -> CategoryReliabilityItem:
    found = together(lived_through(lived, row) for lived in row["machines"])
    category = Named(id=row["category_id"], name=row["name"])
    return CategoryReliabilityItem(category=category, machines=len(row["machines"]), **_shown(found))


def _shown(found: Reliability) -> dict[str, Any]:
    """The figures by the names that readers know: lengths of time in whole seconds."""
    names = ("observed", "operating", "downtime", "planned_downtime", "mtbf", "mttr", "mdt")
    lengths = {name: getattr(found, name) for name in names}
    seconds = {
        f"{name}_seconds": None if length is None else length // timedelta(seconds=1)
        for name, length in lengths.items()
    }
    shares = {f"{name}_availability": getattr(found, name) for name in ("inherent", "achieved", "operational")}
    return {**seconds, **shares, "failures": found.failures, "repairs": found.repairs}


def lived_through(lived: list[Any], row: RowMapping) -> Reliability:
    """The figures of a machine from what `LIVED` tells of it, over the row's window."""
    first, last, breakdowns, services = lived
    stops = chain(map(_breakdown, breakdowns), map(_service, services))
    life = _life(date.fromisoformat(first), last and date.fromisoformat(last), row)
    return reliability(stops, Span(row["window_from"], row["window_until"]), life, row["now"])


def _breakdown(told: list[Any]) -> Stop:
    start, end, minutes, state = told
    worked = timedelta(minutes=minutes) if minutes else None
    return Stop(datetime.fromisoformat(start), _moment(end), False, worked, state == BreakdownState.REPAIRED)


def _service(told: list[Any]) -> Stop:
    start, end = told
    return Stop(datetime.fromisoformat(start), _moment(end), planned=True)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _life(first: date, last: date | None, row: RowMapping) -> Span:
    """From the first day in service to the last, in the company's zone."""
    name = row["time_zone"] or "UTC"
    return Span(_midnight(first, name), _midnight(last + timedelta(days=1), name) if last else row["now"])


def _midnight(day: date, name: str) -> datetime:
    return datetime.combine(day, time.min, zone(name)).astimezone(UTC)


WINDOW = (FROM.label("window_from"), UNTIL.label("window_until"), NOW)

RELIABILITY = of_machines(
    "reliability",
    "Failures, repair times and availability of the company's machines",
    ReliabilityItem,
    machine_item,
    LIVED.label("lived"),
    *WINDOW,
    filters={"status": Filter(machines.c.status, Status, "Machines in this status")},
)
CATEGORY_RELIABILITY = of_categories(
    "category-reliability",
    "Failures, repair times and availability by category",
    CategoryReliabilityItem,
    category_item,
    select(func.coalesce(func.jsonb_agg(LIVED), func.jsonb_build_array(), type_=JSONB))
    .select_from(machines)
    .where(of_category)
    .correlate(categories)
    .scalar_subquery()
    .label("machines"),
    *WINDOW,
)
