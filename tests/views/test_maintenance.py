"""Maintenance jobs: each event gives its row. That it does so once is tested with the machines."""

from datetime import UTC, date, datetime

from domain.equipment import (
    MaintenanceCancelled,
    MaintenanceCompleted,
    MaintenanceRescheduled,
    MaintenanceScheduled,
)
from domain.model import Money
from tests.domain.acme import ACME, EXCAVATOR, PREVENTIVE, scheduled, started
from tests.views.conftest import World
from views.maintenance import MAINTENANCE_JOBS, JobItem

DONE = MaintenanceCompleted(
    equipment_id="ex-7",
    job_id="oil",
    maintenance_type=PREVENTIVE,
    completed_by="tess",
    performed_at=datetime(2026, 12, 2, 3, tzinfo=UTC),
    completed_date=date(2026, 12, 1),
    labour_minutes=90,
    cost=Money(amount="120.5", currency="PEN"),
    notes="Filter was torn",
)
EXPECTED = {"expected_minutes": 120, "interval_days": 90}


async def the_job(world: World) -> JobItem:
    found = await world.see(MAINTENANCE_JOBS, equipment_id="ex-7", job_id="oil")
    assert found is not None
    return found


async def test_a_scheduled_job_is_open_and_names_machine_and_technician(world: World) -> None:
    await world.tell(*ACME[1:], EXCAVATOR, scheduled(technician_id="tess", notes="Change oil", **EXPECTED))
    job = await the_job(world)
    assert (job.state, job.scheduled_on, job.notes) == ("OPEN", date(2026, 12, 1), "Change oil")
    assert (job.expected_minutes, job.interval_days) == (120, 90)
    assert job.equipment.model_dump() == {"id": "ex-7", "name": "Excavator 7"}
    assert job.technician is not None
    assert job.technician.model_dump() == {"id": "tess", "name": "Tess Flores"}


async def test_a_job_that_was_moved_stands_on_its_new_day(world: World) -> None:
    moved = MaintenanceRescheduled(equipment_id="ex-7", job_id="oil", scheduled_date=date(2026, 12, 8))
    await world.tell(EXCAVATOR, scheduled(), moved)
    assert (await the_job(world)).scheduled_on == date(2026, 12, 8)


async def test_a_technician_s_work_list_has_what_is_to_be_done_in_the_order_of_days(world: World) -> None:
    def hers(job_id: str, day: int) -> MaintenanceScheduled:
        return scheduled(job_id, technician_id="tess", scheduled_date=date(2026, 12, day))

    done = DONE.model_copy(update={"job_id": "filters"})
    await world.tell(
        EXCAVATOR, hers("tyres", 9), hers("oil", 1), hers("belts", 5), hers("filters", 2), started("belts"), done
    )
    await world.tell(scheduled("of-somebody-else", technician_id="max"))
    found = await world.list(MAINTENANCE_JOBS, technician_id="tess", open="true")
    assert [job.job_id for job in found.items] == ["oil", "belts", "tyres"]
    past = await world.list(MAINTENANCE_JOBS, technician_id="tess", open="false")
    assert [job.job_id for job in past.items] == ["filters"]


async def test_a_started_job_says_since_when(world: World) -> None:
    *_, entry = await world.tell(EXCAVATOR, scheduled(), started())
    job = await the_job(world)
    assert (job.state, job.started_at) == ("STARTED", entry.content.recorded_at)


async def test_a_completed_job_shows_who_did_it_how_long_it_took_and_what_it_cost(world: World) -> None:
    await world.tell(*ACME[1:], EXCAVATOR, scheduled(notes="Change oil"), started(), DONE)
    job = await the_job(world)
    assert (job.state, job.completed_on, job.performed_at) == ("DONE", date(2026, 12, 1), DONE.performed_at)
    assert (job.notes, job.completion_notes, job.labour_minutes) == ("Change oil", "Filter was torn", 90)
    assert job.cost is not None
    assert job.cost.model_dump() == {"amount": "120.50", "currency": "PEN"}
    assert job.completed_by is not None
    assert job.completed_by.name == "Tess Flores"


async def test_work_recorded_without_being_scheduled_is_a_job_that_is_done(world: World) -> None:
    await world.tell(EXCAVATOR, DONE)
    job = await the_job(world)
    assert (job.state, job.scheduled_on, job.completed_on) == ("DONE", None, date(2026, 12, 1))


async def test_a_cancelled_job_says_when_and_why(world: World) -> None:
    *_, entry = await world.tell(
        EXCAVATOR, scheduled(), MaintenanceCancelled(equipment_id="ex-7", job_id="oil", reason="Not needed")
    )
    job = await the_job(world)
    assert (job.state, job.cancellation_reason) == ("CANCELLED", "Not needed")
    assert job.cancelled_at == entry.content.recorded_at


async def test_jobs_of_the_same_id_on_two_machines_are_two_jobs(world: World) -> None:
    other = EXCAVATOR.model_copy(update={"equipment_id": "ex-8", "serial_number": "EQ-2024-EX-000008"})
    await world.tell(EXCAVATOR, other, scheduled(), scheduled().model_copy(update={"equipment_id": "ex-8"}), started())
    states = {job.equipment.id: job.state for job in (await world.list(MAINTENANCE_JOBS)).items}
    assert states == {"ex-7": "STARTED", "ex-8": "OPEN"}


async def test_a_list_of_jobs_goes_by_the_day_planned_or_done(world: World) -> None:
    past = DONE.model_copy(update={"job_id": "past", "completed_date": date(2025, 5, 5)})
    await world.tell(EXCAVATOR, scheduled("late", scheduled_date=date(2026, 12, 24)), scheduled(), past)
    assert [job.job_id for job in (await world.list(MAINTENANCE_JOBS)).items] == ["past", "oil", "late"]
    soon = await world.list(MAINTENANCE_JOBS, **{"from": "2026-11-01", "until": "2026-12-23"})
    assert [job.job_id for job in soon.items] == ["oil"]
