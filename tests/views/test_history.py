"""The timeline: every event of a machine, in order, with all that is known of it."""

from domain.equipment import EquipmentRenamed
from tests.domain.acme import ACME, EXCAVATOR, scheduled
from tests.views.conftest import World
from views.history import EQUIPMENT_HISTORY

PATH = {"equipment_id": "ex-7"}


async def test_each_event_of_a_machine_stands_in_its_history_newest_first(world: World) -> None:
    await world.tell(*ACME, EXCAVATOR, scheduled(), EquipmentRenamed(equipment_id="ex-7", name="Old Bess"))
    found = await world.list(EQUIPMENT_HISTORY, PATH)
    assert [entry.event for entry in found.items] == ["EquipmentRenamed", "MaintenanceScheduled", "EquipmentCreated"]
    assert [entry.version for entry in found.items] == [3, 2, 1]


async def test_an_entry_shows_who_caused_it_and_all_of_the_event(world: World) -> None:
    (entry,) = await world.tell(EXCAVATOR, by="user:max")
    fact = entry.content
    (shown,) = (await world.list(EQUIPMENT_HISTORY, PATH)).items
    assert (shown.actor, str(shown.command_id), str(shown.event_id)) == ("user:max", fact.command_id, fact.id)
    assert (shown.recorded_at, shown.effective_at, shown.position) == (fact.recorded_at, fact.recorded_at, 1)
    assert shown.data == {
        "equipment_id": "ex-7",
        "name": "Excavator 7",
        "serial_number": "EQ-2024-EX-000007",
        "category_id": "excavators",
        "in_service_on": "2024-03-01",
    }


async def test_the_history_of_one_machine_shows_nothing_of_another(world: World) -> None:
    other = EXCAVATOR.model_copy(update={"equipment_id": "ex-8"})
    await world.tell(EXCAVATOR, other)
    assert len((await world.list(EQUIPMENT_HISTORY, PATH)).items) == 1


async def test_history_can_be_narrowed_to_an_event_and_to_a_time(world: World) -> None:
    _, booked, _ = await world.tell(EXCAVATOR, scheduled(), EquipmentRenamed(equipment_id="ex-7", name="Old Bess"))
    named = await world.list(EQUIPMENT_HISTORY, PATH, event="EquipmentRenamed")
    assert [entry.event for entry in named.items] == ["EquipmentRenamed"]
    since = await world.list(EQUIPMENT_HISTORY, PATH, since=booked.content.recorded_at.isoformat(), sort="position")
    assert [entry.event for entry in since.items] == ["MaintenanceScheduled", "EquipmentRenamed"]
