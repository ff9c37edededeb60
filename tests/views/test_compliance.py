"""Planned maintenance that was done in time, over a window of due days."""

from datetime import UTC, date, datetime
from typing import Any

from domain.category import CategoryDefined
from domain.equipment import MaintenanceCancelled, MaintenanceCompleted
from domain.model import Event
from tests.domain.acme import ACME, CORRECTIVE, EXCAVATOR, PREVENTIVE, scheduled
from tests.views.conftest import World
from views.compliance import CATEGORY_COMPLIANCE, COMPLIANCE, ComplianceItem

JUNE = {"from": "2026-06-01T05:00:00Z", "until": "2026-07-01T05:00:00Z"}  # of Lima
DUE = date(2026, 6, 10)


def done(job_id: str, day: int, **changes: Any) -> MaintenanceCompleted:
    return MaintenanceCompleted(
        equipment_id="ex-7",
        job_id=job_id,
        maintenance_type=PREVENTIVE,
        completed_by="tess",
        performed_at=datetime(2026, 6, day, 12, tzinfo=UTC),
        completed_date=date(2026, 6, day),
    ).model_copy(update=changes)


def job(job_id: str, day: int | None = None, due: date = DUE, **changes: Any) -> tuple[Event, ...]:
    """A quarterly job, done on a day of June or not at all."""
    planned = scheduled(job_id, scheduled_date=due, **{"interval_days": 90} | changes)
    return (planned,) if day is None else (planned, done(job_id, day))


async def figures(world: World, **query: str) -> ComplianceItem:
    (found,) = (await world.list(COMPLIANCE, **JUNE | query)).items
    return found


async def acme(world: World, *events: Event) -> None:
    await world.tell(ACME[0].model_copy(update={"company_id": world.company}), *ACME[1:], EXCAVATOR, *events)


async def test_jobs_of_a_month_are_in_time_within_a_tenth_of_their_interval(world: World) -> None:
    await acme(world, *job("early", 5), *job("in-tolerance", 19), *job("late", 20), *job("never"))
    found = await figures(world)
    assert (found.equipment.name, found.category.name) == ("Excavator 7", "Excavators")
    assert (found.due, found.in_time, str(found.compliance)) == (4, 2, "0.500000")


async def test_work_without_an_interval_is_in_time_on_its_day(world: World) -> None:
    await acme(world, *job("on-its-day", 10, interval_days=None), *job("after", 11, interval_days=None))
    assert (await figures(world)).in_time == 1


async def test_repairs_cancelled_jobs_and_work_that_was_not_planned_are_not_counted(world: World) -> None:
    dropped = MaintenanceCancelled(equipment_id="ex-7", job_id="dropped", reason="rain")
    await acme(world, *job("repair", maintenance_type=CORRECTIVE), *job("dropped"), dropped, done("unplanned", 10))
    found = await figures(world)
    assert (found.due, found.compliance) == (0, None)


async def test_a_job_belongs_to_the_window_of_its_day_in_the_company_s_zone(world: World) -> None:
    await acme(world, *job("first", 1, date(2026, 6, 1)), *job("may", 1, date(2026, 5, 31)))
    await world.tell(*job("last", 30, date(2026, 6, 30)), *job("july", 30, date(2026, 7, 1)))
    assert (await figures(world)).due == 2
    assert (await figures(world, **{"from": "2026-06-01T05:00:01Z"})).due == 1
    (whole,) = (await world.list(COMPLIANCE)).items
    assert whole.due == 4


async def test_machines_of_a_category_keep_their_days_together(world: World) -> None:
    cranes = CategoryDefined(category_id="cranes", name="Cranes")
    other = EXCAVATOR.model_copy(update={"equipment_id": "ex-8", "name": "Excavator 8"})
    late = scheduled("belts", scheduled_date=DUE).model_copy(update={"equipment_id": "ex-8"})
    await acme(world, cranes, other, *job("oil", 10), late)
    none, two = (await world.list(CATEGORY_COMPLIANCE, **JUNE)).items
    assert (none.category.name, none.due, none.compliance) == ("Cranes", 0, None)
    assert (two.category.name, two.due, two.in_time, str(two.compliance)) == ("Excavators", 2, 1, "0.500000")
    first = await world.list(COMPLIANCE, **JUNE, category_id="excavators", limit="1", total="true")
    assert (first.total, [found.equipment.id for found in first.items]) == (2, ["ex-7"])
