"""The dashboard: figures that are what the machines, jobs and breakdowns say, read without reading them all."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from domain.equipment import EquipmentMoved, EquipmentRepaired, EquipmentRetired, EquipmentVoided, MaintenanceCancelled
from domain.model import Event
from domain.zones import day_in
from tests.domain.acme import ACME, BROKEN, EXCAVATOR, scheduled, started
from tests.views.conftest import World
from tests.views.test_reading import FILL
from views.dashboard import CATEGORY_COUNTS, DASHBOARD, PLACE_COUNTS, DashboardItem
from views.machine_counts import table as counts
from views.reading import reading
from views.resource import Resource, _listing, parse

TODAY = day_in("America/Lima", datetime.now(UTC))
REPAIRED = EquipmentRepaired(equipment_id="ex-7", breakdown_id="hose", repaired_by="tess")
CANCELLED = MaintenanceCancelled(equipment_id="ex-7", job_id="oil", reason="Not needed")
RETIRED = EquipmentRetired(
    equipment_id="ex-7", reason="Worn out", retired_by="user:ada", retired_date=date(2026, 11, 23)
)
VOIDED = EquipmentVoided(equipment_id="ex-7", reason="registered twice")


@pytest.fixture
async def acme(world: World) -> AsyncIterator[World]:
    await world.tell(ACME[0].model_copy(update={"company_id": world.company}), *ACME[1:])
    yield world


async def dashboard(world: World) -> DashboardItem:
    found = await world.see(DASHBOARD, company_id=world.company)
    assert found is not None
    assert (await world.list(DASHBOARD)).items == (found,)
    return found


async def counted(world: World) -> dict[tuple[str, str, str], int]:
    """What the counts say, which is what a count of the machines' own rows says."""
    async with world.writers.connect() as connection:
        kept = await connection.execute(select(counts).where(counts.c.company_id == world.company))
        found = {(row.place, row.category_id, row.status): row.machines for row in kept}
        own = text(
            "SELECT coalesce(place, ''), category_id, status, count(*) FROM erp.equipment"
            " WHERE company_id = :company GROUP BY 1, 2, 3"
        )
        rows = await connection.execute(own, {"company": world.company})
    assert found == {(place, category, status): machines for place, category, status, machines in rows}
    return found


def moved(place: str) -> EquipmentMoved:
    return EquipmentMoved(equipment_id="ex-7", place=place)


async def test_a_company_without_machines_has_figures_of_zero(acme: World) -> None:
    found = await dashboard(acme)
    assert (found.company_id, found.today, found.machines, found.retired) == (acme.company, TODAY, 0, 0)
    assert (found.jobs_overdue, found.jobs_due_today, found.jobs_due_soon) == (0, 0, 0)
    assert (found.backlog_jobs, str(found.backlog_hours), found.backlog_not_estimated) == (0, "0.00", 0)
    assert (found.breakdowns_open, found.down_since) == (0, None)


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ((), "active"),
        ((scheduled(),), "maintenance_scheduled"),
        ((scheduled(), started()), "in_maintenance"),
        ((scheduled(), CANCELLED), "active"),
        ((BROKEN,), "in_maintenance"),
        ((BROKEN, REPAIRED), "active"),
        ((RETIRED,), "retired"),
    ],
)
async def test_a_machine_is_counted_in_the_status_that_it_has(
    acme: World, events: tuple[Event, ...], status: str
) -> None:
    await acme.tell(EXCAVATOR, *events)
    found = await dashboard(acme)
    statuses = ("active", "maintenance_scheduled", "in_maintenance", "retired")
    assert {name: getattr(found, name) for name in statuses if getattr(found, name)} == {status: 1}
    assert (found.machines, len(await counted(acme))) == (1, 1)


async def test_a_machine_that_is_voided_is_counted_no_more(acme: World) -> None:
    await acme.tell(EXCAVATOR, moved("north-pit"), VOIDED)
    assert ((await dashboard(acme)).machines, await counted(acme)) == (0, {})


async def test_machines_are_counted_by_category_with_those_that_have_none(acme: World) -> None:
    cranes = ACME[-1].model_copy(update={"category_id": "cranes", "name": "Cranes"})
    other = EXCAVATOR.model_copy(update={"equipment_id": "ex-8"})
    await acme.tell(cranes, EXCAVATOR, other, BROKEN, moved("north-pit"))
    none, two = (await acme.list(CATEGORY_COUNTS)).items
    assert (none.category.name, none.machines) == ("Cranes", 0)
    assert (two.category.name, two.machines, two.active, two.in_maintenance) == ("Excavators", 2, 1, 1)
    assert (await acme.list(CATEGORY_COUNTS, category_id="cranes", total="true")).total == 1


async def test_machines_are_counted_by_place_page_by_page(acme: World) -> None:
    others = [EXCAVATOR.model_copy(update={"equipment_id": f"ex-{n}"}) for n in (8, 9)]
    there = moved("yard").model_copy(update={"equipment_id": "ex-8"})
    await acme.tell(EXCAVATOR, *others, moved("north-pit"), BROKEN, there)
    first = await acme.list(PLACE_COUNTS, limit="2", total="true")
    assert [(found.place, found.machines) for found in first.items] == [(None, 1), ("north-pit", 1)]
    assert (first.items[1].in_maintenance, first.total) == (1, 3)
    assert first.next is not None
    second = await acme.list(PLACE_COUNTS, limit="2", cursor=first.next)
    assert [(found.place, found.machines) for found in second.items] == [("yard", 1)]
    (found,) = (await acme.list(PLACE_COUNTS, place="yard")).items
    assert found.active == 1


async def test_the_same_events_again_are_counted_once(acme: World) -> None:
    story = (EXCAVATOR, scheduled(), moved("north-pit"), BROKEN, REPAIRED, started(), moved("yard"))
    entries = await acme.tell(*story)
    once = await counted(acme)
    await acme.again(entries)
    await acme.again(entries[:4])
    assert await counted(acme) == once == {("yard", "excavators", "IN_MAINTENANCE"): 1}


@pytest.mark.parametrize(
    ("days", "figures"),
    [(-400, (1, 0, 0)), (-1, (1, 0, 0)), (0, (0, 1, 0)), (1, (0, 0, 1)), (7, (0, 0, 1)), (8, (0, 0, 0))],
)
async def test_a_job_is_due_by_the_day_of_the_company_s_zone(
    acme: World, days: int, figures: tuple[int, int, int]
) -> None:
    await acme.tell(EXCAVATOR, scheduled(scheduled_date=TODAY + timedelta(days=days)))
    found = await dashboard(acme)
    assert (found.jobs_overdue, found.jobs_due_today, found.jobs_due_soon) == figures


async def test_a_job_that_is_begun_is_still_due_and_one_that_is_cancelled_is_not(acme: World) -> None:
    await acme.tell(EXCAVATOR, scheduled(scheduled_date=TODAY), started())
    assert (await dashboard(acme)).jobs_due_today == 1
    await acme.tell(CANCELLED)
    assert (await dashboard(acme)).jobs_due_today == 0


async def test_the_backlog_is_what_unfinished_jobs_are_expected_to_take(acme: World) -> None:
    later = scheduled("belts", scheduled_date=TODAY + timedelta(days=400), expected_minutes=100)
    await acme.tell(EXCAVATOR, scheduled(expected_minutes=90), later, scheduled("check"), started())
    found = await dashboard(acme)
    assert (found.backlog_jobs, str(found.backlog_hours), found.backlog_not_estimated) == (3, "3.17", 1)
    await acme.tell(CANCELLED)
    assert str((await dashboard(acme)).backlog_hours) == "1.67"


async def test_open_breakdowns_are_counted_with_the_beginning_of_the_oldest(acme: World) -> None:
    began = datetime(2026, 11, 20, 8, tzinfo=UTC)
    other = {"equipment_id": "ex-8"}
    later = BROKEN.model_copy(update=other | {"effective_at": began + timedelta(days=1)})
    await acme.tell(
        EXCAVATOR, EXCAVATOR.model_copy(update=other), BROKEN.model_copy(update={"effective_at": began}), later
    )
    found = await dashboard(acme)
    assert (found.breakdowns_open, found.down_since) == (2, began)
    await acme.tell(REPAIRED)
    found = await dashboard(acme)
    assert (found.breakdowns_open, found.down_since) == (1, began + timedelta(days=1))


# --- no scan --------------------------------------------------------------------------------------------------------

JOBS = """
INSERT INTO erp.maintenance_jobs (company_id, equipment_id, job_id, maintenance_type, state, scheduled_on, version,
    updated_at)
SELECT :company, 'm-' || n % 1000, 'j-' || n, 'PREVENTIVE', CASE WHEN n % 50 = 0 THEN 'OPEN' ELSE 'DONE' END,
    current_date + 30 - n % 60, 1, now()
FROM generate_series(1, :count) AS n
"""
BREAKDOWNS = """
INSERT INTO erp.downtime (company_id, equipment_id, breakdown_id, state, started_at, version, updated_at)
SELECT :company, 'm-' || n % 1000, 'b-' || n, CASE WHEN n % 500 = 0 THEN 'OPEN' ELSE 'REPAIRED' END,
    now() - n * interval '1 hour', 1, now()
FROM generate_series(1, :count) AS n
"""


@pytest.fixture
async def large(acme: World) -> AsyncIterator[World]:
    """A company with many machines, jobs and breakdowns, which nothing has vacuumed."""
    async with acme.writers.connect() as connection, connection.begin():
        for fill in (FILL, JOBS, BREAKDOWNS):
            await connection.execute(text(fill), {"company": acme.company, "count": 20_000})
    async with acme.owner.connect() as connection:
        for table in ("equipment", "maintenance_jobs", "downtime", "machine_counts"):
            await connection.execute(text(f"ANALYZE erp.{table}"))
        await connection.commit()
    yield acme


async def plan_of(world: World, resource: Resource[Any]) -> str:
    """What PostgreSQL did for a list."""
    listing = _listing(resource, parse(resource, []), [resource.company == world.company])
    compiled = listing.compile(dialect=world.readers.dialect, compile_kwargs={"literal_binds": True})
    async with reading(world.readers, world.company) as reader:
        return "\n".join((await reader.connection.exec_driver_sql(f"EXPLAIN ANALYZE {compiled}")).scalars())


async def test_figures_of_a_large_company_read_no_machine_and_scan_no_table(large: World) -> None:
    plans = [await plan_of(large, resource) for resource in (DASHBOARD, CATEGORY_COUNTS, PLACE_COUNTS)]
    for plan in plans:
        assert "machine_counts" in plan
        for seen in ("on equipment", "Seq Scan on maintenance_jobs", "Seq Scan on downtime"):
            assert seen not in plan, plan
    for index in ("maintenance_jobs_unfinished", "downtime_by_state"):  # of the open ones
        assert index in plans[0], plans[0]


async def test_many_rows_at_once_are_counted_as_they_are(large: World) -> None:
    assert sum((await counted(large)).values()) == (await dashboard(large)).machines == 20_000
