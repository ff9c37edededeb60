"""How reliable each machine was in a window of time, computed from its downtime and its planned maintenance."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import RowMapping

from domain.equipment import Status
from domain.maintenance import MaintenanceType
from domain.model import Id
from domain.reliability import Reliability, Span, Stop, reliability
from domain.zones import zone
from views.categories import table as categories
from views.companies import table as companies
from views.downtime import BreakdownState
from views.downtime import table as downtime
from views.equipment import table as machines
from views.items import Named
from views.maintenance import JobState
from views.maintenance import table as jobs
from views.resource import FROM, UNTIL, Filter, ItemModel, LineOfText, Resource, Sort

Seconds = Annotated[int, Field(ge=0)]

_of_machine = and_(downtime.c.company_id == machines.c.company_id, downtime.c.equipment_id == machines.c.equipment_id)
_job_of_machine = and_(jobs.c.company_id == machines.c.company_id, jobs.c.equipment_id == machines.c.equipment_id)


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
        _job_of_machine,
        jobs.c.maintenance_type != MaintenanceType.CORRECTIVE.value,
        jobs.c.state.in_((JobState.STARTED.value, JobState.DONE.value)),
        jobs.c.started_at < UNTIL,
        func.coalesce(jobs.c.performed_at, UNTIL) >= FROM,
    ),
)


class ReliabilityItem(ItemModel):
    """How reliable a machine was. What has nothing to be computed from is null, never 0."""

    equipment: Annotated[Named, Field(description="The machine")]
    category: Annotated[Named, Field(description="Its kind")]
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


def item(row: RowMapping) -> ReliabilityItem:
    found = reliability(_stops(row), Span(row["window_from"], row["window_until"]), _life(row), row["now"])
    return ReliabilityItem(
        equipment=Named(id=row["equipment_id"], name=row["name"]),
        category=Named(id=row["category_id"], name=row["category_name"]),
        failures=found.failures,
        repairs=found.repairs,
        **_in_seconds(found),
        inherent_availability=found.inherent,
        achieved_availability=found.achieved,
        operational_availability=found.operational,
    )


def _in_seconds(found: Reliability) -> dict[str, Any]:
    """The lengths of time among the figures, in whole seconds."""
    names = ("observed", "operating", "downtime", "planned_downtime", "mtbf", "mttr", "mdt")
    lengths = {name: getattr(found, name) for name in names}
    second = timedelta(seconds=1)
    return {f"{name}_seconds": None if length is None else length // second for name, length in lengths.items()}


def _stops(row: RowMapping) -> Iterator[Stop]:
    for start, end, minutes, state in row["breakdowns"]:
        worked = timedelta(minutes=minutes) if minutes else None
        restored = state == BreakdownState.REPAIRED
        yield Stop(datetime.fromisoformat(start), _moment(end), worked=worked, restored=restored)
    for start, end in row["services"]:
        yield Stop(datetime.fromisoformat(start), _moment(end), planned=True)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _life(row: RowMapping) -> Span:
    """From the first day in service to the last, in the company's zone."""
    name = row["time_zone"] or "UTC"
    after = row["retired_on"] + timedelta(days=1) if row["retired_on"] else None
    return Span(_midnight(row["in_service_on"], name), _midnight(after, name) if after else row["now"])


def _midnight(day: date, name: str) -> datetime:
    return datetime.combine(day, time.min, zone(name)).astimezone(UTC)


RELIABILITY = Resource(
    name="reliability",
    path="reliability",
    item_path=None,
    group="fleet",
    permission="equipment.read",
    summary="Failures, repair times and availability of the company's machines",
    item=ReliabilityItem,
    rows=select(
        machines,
        categories.c.name.label("category_name"),
        companies.c.time_zone,
        BREAKDOWNS.label("breakdowns"),
        SERVICES.label("services"),
        FROM.label("window_from"),
        UNTIL.label("window_until"),
        func.now().label("now"),
    )
    .outerjoin(companies, companies.c.company_id == machines.c.company_id)
    .outerjoin(
        categories,
        and_(categories.c.company_id == machines.c.company_id, categories.c.category_id == machines.c.category_id),
    ),
    company=machines.c.company_id,
    keys={"equipment_id": Filter(machines.c.equipment_id, Id, "Id of the machine")},
    make=item,
    filters={
        "equipment_id": Filter(machines.c.equipment_id, Id, "This machine alone"),
        "category_id": Filter(machines.c.category_id, Id, "Machines of this category"),
        "place": Filter(machines.c.place, Id, "Machines that stand at this place"),
        "status": Filter(machines.c.status, Status, "Machines in this status"),
    },
    sorts={"name": Sort(machines.c.name, LineOfText, "by name")},
    default_sort="name",
    windowed=True,
)
