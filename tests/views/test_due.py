"""Which plans wait for the timer: by the clock of their company, and by what their machine has done since."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.company import CompanyReactivated, CompanySuspended
from domain.equipment import MaintenanceCancelled, MaintenanceCompleted, MeterReadingRecorded
from domain.maintenance import MaintenanceType, Meter
from domain.model import Event
from domain.plan import Anchor, MeterInterval, OccurrenceDue, PlanEnded, PlanPaused, PlanResumed
from tests.domain.acme import ACME, EXCAVATOR, PLANNED, TODAY, scheduled
from tests.views.conftest import World
from views.due import DuePlan, MovedPlan, due_plans, moved_plans
from views.plans import table as plans

WEEK = timedelta(days=7)
#: In Lima, five hours behind UTC, four days before the day of the plan.
BEGINS = datetime(2026, 11, 26, 13, tzinfo=UTC)
AHEAD = PLANNED.model_copy(
    update={"terms": PLANNED.terms.model_copy(update={"lead_days": 4, "at": "08:00"}), "next_due": TODAY + WEEK}
)
COMPLETION = PLANNED.model_copy(
    update={"terms": PLANNED.terms.model_copy(update={"anchor": Anchor.COMPLETION}), "next_due": None}
)
METERED = PLANNED.model_copy(
    update={
        "terms": PLANNED.terms.model_copy(
            update={
                "anchor": Anchor.METER,
                "schedule": None,
                "meter": MeterInterval(meter=Meter.HOURS, every="250"),
            }
        ),
        "next_due": None,
    }
)
DUE = OccurrenceDue(plan_id="weekly", equipment_id="ex-7", date=TODAY, job_id="oil")
CANCELLED = MaintenanceCancelled(equipment_id="ex-7", job_id="oil", reason="rain")
DONE = MaintenanceCompleted(
    equipment_id="ex-7",
    job_id="oil",
    maintenance_type=MaintenanceType.PREVENTIVE,
    completed_by="tess",
    performed_at=BEGINS,
    completed_date=TODAY,
)


def read(meter: Meter) -> MeterReadingRecorded:
    return MeterReadingRecorded(equipment_id="ex-7", meter=meter, reading="260")


async def due_in(world: World, now: datetime) -> list[DuePlan]:
    async with world.writers.connect() as connection:
        return [plan for plan in await due_plans(connection, now) if plan.company_id == world.company]


async def moved_in(world: World) -> list[MovedPlan]:
    async with world.writers.connect() as connection:
        return [plan for plan in await moved_plans(connection) if plan.company_id == world.company]


async def test_a_plan_is_due_from_its_time_of_day_in_the_zone_of_its_company(world: World) -> None:
    await world.tell(*ACME, EXCAVATOR, AHEAD)
    assert await due_in(world, BEGINS - timedelta(seconds=1)) == []
    due = [DuePlan(world.company, "weekly", 1, TODAY + WEEK)]
    assert await due_in(world, BEGINS) == due
    assert await due_in(world, BEGINS + 50 * WEEK) == due


async def test_the_next_occurrence_takes_the_place_of_a_settled_one(world: World) -> None:
    await world.tell(
        *ACME, EXCAVATOR, AHEAD, DUE.model_copy(update={"date": TODAY + WEEK, "next_due": TODAY + 2 * WEEK})
    )
    assert await due_in(world, BEGINS) == []
    assert await due_in(world, BEGINS + WEEK) == [DuePlan(world.company, "weekly", 2, TODAY + 2 * WEEK)]


@pytest.mark.parametrize(
    "stopped",
    [
        PlanPaused(plan_id="weekly", reason="strike"),
        PlanEnded(plan_id="weekly", reason="sold"),
        CompanySuspended(company_id="acme", reason="unpaid"),
    ],
)
async def test_nothing_is_due_where_it_would_be_refused(world: World, stopped: Event) -> None:
    await world.tell(*ACME, EXCAVATOR, AHEAD, METERED.model_copy(update={"plan_id": "metered"}), stopped)
    assert await due_in(world, BEGINS) == []


async def test_what_has_stopped_goes_on(world: World) -> None:
    suspended = CompanySuspended(company_id="acme", reason="unpaid"), CompanyReactivated(company_id="acme")
    resumed = PlanResumed(plan_id="weekly", settled=TODAY, next_due=TODAY + WEEK)
    await world.tell(*ACME, EXCAVATOR, AHEAD, *suspended, PlanPaused(plan_id="weekly", reason="strike"), resumed)
    assert await due_in(world, BEGINS) == [DuePlan(world.company, "weekly", 3, TODAY + WEEK)]


@pytest.mark.parametrize("ended", [DONE, CANCELLED], ids=["done", "cancelled"])
async def test_a_plan_that_counts_from_work_is_looked_at_when_its_job_has_ended(world: World, ended: Event) -> None:
    await world.tell(*ACME, EXCAVATOR, COMPLETION, DUE, scheduled())
    assert await moved_in(world) == []
    (entry,) = await world.tell(ended)
    since = entry.content.recorded_at
    assert await moved_in(world) == [MovedPlan(world.company, "weekly", 2, since)]


async def test_a_plan_that_counts_by_a_meter_is_looked_at_when_that_one_was_read(world: World) -> None:
    await world.tell(*ACME, EXCAVATOR, METERED, read(Meter.KILOMETRES))
    assert await moved_in(world) == []
    (entry,) = await world.tell(read(Meter.HOURS))
    assert await moved_in(world) == [MovedPlan(world.company, "weekly", 1, entry.content.recorded_at)]


async def test_a_plan_that_has_been_told_since_is_left_alone(world: World) -> None:
    await world.tell(*ACME, EXCAVATOR, METERED, read(Meter.HOURS))
    async with world.writers.begin() as connection:
        later = plans.update().values(updated_at=plans.c.updated_at + timedelta(hours=2))
        await connection.execute(later.where(plans.c.company_id == world.company))
    assert await moved_in(world) == []


async def test_the_calendar_alone_is_not_moved_by_work(world: World) -> None:
    await world.tell(*ACME, EXCAVATOR, PLANNED, DUE, scheduled(), DONE, read(Meter.HOURS))
    assert await moved_in(world) == []
