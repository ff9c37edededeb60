"""Machines: each event gives its row, and the same event again leaves it as it is."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from domain.equipment import (
    Assignee,
    BreakdownAbandoned,
    EquipmentAssigned,
    EquipmentCreated,
    EquipmentMoved,
    EquipmentRenamed,
    EquipmentRepaired,
    EquipmentRetired,
    EquipmentReturned,
    EquipmentVoided,
    MaintenanceCancelled,
    MaintenanceCompleted,
    MaintenanceRescheduled,
    MaintenanceStarted,
    equipment,
)
from domain.model import Event, Money
from domain.record import Recorded
from tests.domain.acme import ACME, BROKEN, EXCAVATOR, LENT, PREVENTIVE, scheduled, started
from tests.views.conftest import World
from views.equipment import EQUIPMENT, EquipmentItem
from views.maintenance import MAINTENANCE_JOBS

BOUGHT = EquipmentCreated(
    **dict(EXCAVATOR)
    | {
        "manufacturer": "Komatsu",
        "model": "PC210LC-11",
        "manufacturer_serial": "K12345",
        "purchased_on": date(2024, 2, 1),
        "purchase_price": Money(amount="182000.5", currency="USD"),
    }
)
RETURNED = EquipmentReturned(equipment_id="ex-7")
RETIRED = EquipmentRetired(
    equipment_id="ex-7", reason="Frame cracked", retired_by="user:max", retired_date=date(2026, 11, 23)
)


REPAIRED = EquipmentRepaired(equipment_id="ex-7", breakdown_id="hose", repaired_by="tess")
ABANDONED = BreakdownAbandoned(equipment_id="ex-7", breakdown_id="hose")
RESCHEDULED = MaintenanceRescheduled(equipment_id="ex-7", job_id="oil", scheduled_date=date(2026, 12, 8))
VOIDED = EquipmentVoided(equipment_id="ex-7", reason="registered twice")


def completed(job_id: str = "oil", day: date = date(2026, 12, 2)) -> MaintenanceCompleted:
    return MaintenanceCompleted(
        equipment_id="ex-7",
        job_id=job_id,
        maintenance_type=PREVENTIVE,
        completed_by="tess",
        performed_at=datetime(day.year, day.month, day.day, 15, tzinfo=UTC),
        completed_date=day,
    )


def cancelled(job_id: str = "oil") -> MaintenanceCancelled:
    return MaintenanceCancelled(equipment_id="ex-7", job_id=job_id, reason="Not needed")


async def the_machine(world: World) -> EquipmentItem:
    found = await world.see(EQUIPMENT, equipment_id="ex-7")
    assert found is not None
    return found


LIVES: dict[str, tuple[Event, ...]] = {
    "created": (EXCAVATOR,),
    "created with all that can be told": (BOUGHT,),
    "renamed": (EXCAVATOR, EquipmentRenamed(equipment_id="ex-7", name="Old Bess")),
    "scheduled": (EXCAVATOR, scheduled()),
    "scheduled twice": (EXCAVATOR, scheduled(), scheduled("belt", scheduled_date=date(2026, 11, 30))),
    "started": (EXCAVATOR, scheduled(), started()),
    "one of two jobs started": (EXCAVATOR, scheduled(), scheduled("belt"), started("belt")),
    "completed": (EXCAVATOR, scheduled(), started(), completed()),
    "recorded": (EXCAVATOR, completed("old")),
    "cancelled": (EXCAVATOR, scheduled(), cancelled()),
    "assigned": (EXCAVATOR, LENT),
    "returned": (EXCAVATOR, LENT, RETURNED),
    "retired": (EXCAVATOR, RETIRED),
    "moved": (EXCAVATOR, EquipmentMoved(equipment_id="ex-7", place="north-yard")),
    "moved to another day": (EXCAVATOR, scheduled(), RESCHEDULED),
    "broken down": (EXCAVATOR, scheduled(), BROKEN),
    "repaired": (EXCAVATOR, BROKEN, REPAIRED),
    "broken down, then retired": (EXCAVATOR, BROKEN, ABANDONED, RETIRED),
    "registered again": (EXCAVATOR, scheduled(), cancelled(), VOIDED, EXCAVATOR, scheduled()),
    "retired with an open job": (EXCAVATOR, scheduled(), cancelled(), RETIRED),
}


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
async def test_the_shown_status_is_the_one_that_rules_see(world: World, life: tuple[Event, ...]) -> None:
    state = equipment.initial
    for entry in await world.tell(*life):
        assert isinstance(entry.content, Recorded)
        state = equipment.evolve(state, entry.content.event)
        assert (await the_machine(world)).version >= entry.content.version
    assert (await the_machine(world)).status == state.status


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
async def test_the_same_events_again_leave_the_same_rows(world: World, life: tuple[Event, ...]) -> None:
    entries = await world.tell(*ACME[1:], *life)
    before = await world.rows()
    await world.again(entries)
    await world.again(entries[-1:])
    assert await world.rows() == before


async def test_a_new_machine_shows_all_that_was_told_of_it(world: World) -> None:
    (entry,) = await world.tell(BOUGHT)
    machine = await the_machine(world)
    assert (machine.name, machine.serial_number, machine.status) == ("Excavator 7", "EQ-2024-EX-000007", "ACTIVE")
    assert (machine.manufacturer, machine.model, machine.manufacturer_serial) == ("Komatsu", "PC210LC-11", "K12345")
    assert (machine.purchased_on, machine.in_service_on) == (date(2024, 2, 1), date(2024, 3, 1))
    assert machine.purchase_price is not None
    assert machine.purchase_price.model_dump() == {"amount": "182000.50", "currency": "USD"}
    assert machine.version == 1
    assert machine.created_at == machine.updated_at == entry.content.recorded_at


async def test_names_of_company_category_and_assignee_are_shown(world: World) -> None:
    firm = ACME[0].model_copy(update={"company_id": world.company})
    await world.tell(firm, *ACME[1:], EXCAVATOR, LENT)
    machine = await the_machine(world)
    assert machine.company.model_dump() == {"id": world.company, "name": "Acme Mining"}
    assert machine.category.model_dump() == {"id": "excavators", "name": "Excavators"}
    assert machine.assignee is not None
    assert (machine.assignee.kind, machine.assignee.id, machine.assignee.name) == ("user", "tess", "Tess Flores")


async def test_names_that_nobody_has_told_are_absent(world: World) -> None:
    await world.tell(EXCAVATOR)
    machine = await the_machine(world)
    assert (machine.company.name, machine.category.name) == (None, None)


async def test_a_place_has_no_other_name_than_its_own(world: World) -> None:
    yard = EquipmentAssigned(equipment_id="ex-7", assignee=Assignee(kind="place", id="tess"), expected_return=None)
    await world.tell(*ACME[1:], EXCAVATOR, yard)
    machine = await the_machine(world)
    assert machine.assignee is not None
    assert (machine.assignee.kind, machine.assignee.id, machine.assignee.name) == ("place", "tess", None)


async def test_a_renamed_machine_has_its_new_name(world: World) -> None:
    await world.tell(EXCAVATOR, EquipmentRenamed(equipment_id="ex-7", name="Old Bess"))
    machine = await the_machine(world)
    assert (machine.name, machine.version) == ("Old Bess", 2)


async def test_an_earlier_event_does_not_undo_a_later_one(world: World) -> None:
    entries = await world.tell(*(EquipmentRenamed(equipment_id="ex-7", name=name) for name in "ab"))
    entries = await world.tell(EXCAVATOR, *(EquipmentRenamed(equipment_id="ex-7", name=name) for name in ("c", "d")))
    await world.again(entries[1:2])
    assert (await the_machine(world)).name == "d"


async def test_the_next_due_day_is_that_of_the_earliest_open_job(world: World) -> None:
    await world.tell(EXCAVATOR, scheduled("belt", scheduled_date=date(2026, 12, 20)), scheduled("oil"))
    assert (await the_machine(world)).next_due_on == date(2026, 12, 1)
    await world.tell(cancelled("oil"))
    assert (await the_machine(world)).next_due_on == date(2026, 12, 20)
    await world.tell(completed("belt"))
    assert (await the_machine(world)).next_due_on is None


async def test_a_job_that_moves_moves_the_next_due_day(world: World) -> None:
    await world.tell(EXCAVATOR, scheduled(), RESCHEDULED)
    assert (await the_machine(world)).next_due_on == date(2026, 12, 8)


async def test_a_machine_stands_where_it_was_moved(world: World) -> None:
    other = EXCAVATOR.model_copy(update={"equipment_id": "ex-8", "serial_number": "EQ-2024-EX-000008"})
    await world.tell(EXCAVATOR, other, EquipmentMoved(equipment_id="ex-7", place="north-yard"))
    assert (await the_machine(world)).place == "north-yard"
    found = await world.list(EQUIPMENT, place="north-yard")
    assert [machine.equipment_id for machine in found.items] == ["ex-7"]


async def test_a_broken_machine_is_in_maintenance_until_it_is_repaired(world: World) -> None:
    since = datetime(2026, 11, 22, 10, tzinfo=UTC)
    await world.tell(EXCAVATOR, BROKEN.model_copy(update={"effective_at": since}))
    machine = await the_machine(world)
    assert (machine.status, machine.broken_down_since) == ("IN_MAINTENANCE", since)
    await world.tell(REPAIRED)
    machine = await the_machine(world)
    assert (machine.status, machine.broken_down_since) == ("ACTIVE", None)


async def test_a_machine_that_was_taken_back_is_not_there_and_leaves_nothing_to_its_successor(world: World) -> None:
    await world.tell(EXCAVATOR, scheduled(), cancelled(), VOIDED)
    assert await world.see(EQUIPMENT, equipment_id="ex-7") is None
    assert (await world.list(EQUIPMENT)).items == (await world.list(MAINTENANCE_JOBS)).items == ()
    await world.tell(EXCAVATOR.model_copy(update={"name": "Another"}), scheduled())
    machine = await the_machine(world)
    assert (machine.name, machine.version, machine.status) == ("Another", 6, "MAINTENANCE_SCHEDULED")


async def test_the_last_maintenance_day_is_the_latest_one_performed(world: World) -> None:
    await world.tell(EXCAVATOR, completed("new", date(2026, 10, 1)), completed("old", date(2025, 1, 1)))
    assert (await the_machine(world)).last_maintained_on == date(2026, 10, 1)


async def test_a_job_under_way_keeps_the_machine_in_maintenance_until_it_ends(world: World) -> None:
    await world.tell(EXCAVATOR, scheduled(), MaintenanceStarted(equipment_id="ex-7", job_id="oil"))
    assert (await the_machine(world)).status == "IN_MAINTENANCE"
    await world.tell(completed())
    assert (await the_machine(world)).status == "ACTIVE"


async def test_a_returned_machine_belongs_to_nobody(world: World) -> None:
    await world.tell(EXCAVATOR, LENT, RETURNED)
    assert (await the_machine(world)).assignee is None


async def test_a_retired_machine_says_when_by_whom_and_why(world: World) -> None:
    await world.tell(EXCAVATOR, RETIRED)
    retirement = (await the_machine(world)).retirement
    assert retirement is not None
    assert retirement.model_dump() == {"on": date(2026, 11, 23), "by": "user:max", "reason": "Frame cracked"}


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("7", "JPY", "7"),
        ("7", "USD", "7.00"),
        ("7.125", "BHD", "7.125"),
        ("999999999999999", "USD", "999999999999999.00"),
    ],
)
async def test_prices_have_the_places_of_their_currency(world: World, amount: str, currency: str, shown: str) -> None:
    price: Any = Money(amount=amount, currency=currency)
    await world.tell(BOUGHT.model_copy(update={"purchase_price": price}))
    machine = await the_machine(world)
    assert machine.purchase_price is not None
    assert machine.purchase_price.amount == shown
