"""Downtime and meters: each event gives its row, and the same event again leaves it as it is."""

from datetime import UTC, datetime, timedelta
from typing import Any

from domain.equipment import BreakdownAbandoned, EquipmentBrokeDown, EquipmentRepaired, MeterReadingRecorded
from domain.maintenance import Meter
from domain.model import Money
from tests.domain.acme import ACME, BROKEN, EXCAVATOR
from tests.views.conftest import World
from views.downtime import DOWNTIME, DowntimeItem
from views.equipment import EQUIPMENT
from views.meters import METER_READINGS

MORNING = datetime(2026, 11, 22, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
HERE = {"equipment_id": "ex-7"}


def broken(breakdown_id: str = "hose", after: int = 0, equipment_id: str = "ex-7") -> EquipmentBrokeDown:
    return BROKEN.model_copy(
        update={"breakdown_id": breakdown_id, "effective_at": MORNING + after * HOUR, "equipment_id": equipment_id}
    )


REPAIRED = EquipmentRepaired(
    equipment_id="ex-7",
    breakdown_id="hose",
    repaired_by="tess",
    labour_minutes=90,
    cost=Money(amount="120.5", currency="PEN"),
    cause="Hose chafed through",
    notes="New clamps",
    effective_at=MORNING + 6 * HOUR,
)


async def the_breakdown(world: World) -> DowntimeItem:
    found = await world.see(DOWNTIME, **HERE, breakdown_id="hose")
    assert found is not None
    return found


async def test_a_breakdown_begins_when_it_happened_and_is_open(world: World) -> None:
    await world.tell(EXCAVATOR, broken())
    stop = await the_breakdown(world)
    assert (stop.state, stop.started_at, stop.ended_at) == ("OPEN", MORNING, None)
    assert (stop.description, stop.equipment.name) == ("Oil everywhere", "Excavator 7")


async def test_a_repair_ends_it_and_names_labour_cost_and_cause(world: World) -> None:
    await world.tell(*ACME[1:], EXCAVATOR, broken(), REPAIRED)
    stop = await the_breakdown(world)
    assert (stop.state, stop.ended_at, stop.labour_minutes) == ("REPAIRED", MORNING + 6 * HOUR, 90)
    assert (stop.cause, stop.notes) == ("Hose chafed through", "New clamps")
    assert stop.cost is not None
    assert stop.cost.amount == "120.50"
    assert stop.repaired_by is not None
    assert stop.repaired_by.name == "Tess Flores"


async def test_retirement_ends_it_too(world: World) -> None:
    *_, entry = await world.tell(EXCAVATOR, broken(), BreakdownAbandoned(equipment_id="ex-7", breakdown_id="hose"))
    stop = await the_breakdown(world)
    assert (stop.state, stop.ended_at) == ("ABANDONED", entry.content.recorded_at)


async def ids(world: World, **query: str) -> list[str]:
    return [stop.breakdown_id for stop in (await world.list(DOWNTIME, **query)).items]


async def test_breakdowns_are_listed_by_machine_state_and_time_the_latest_first(world: World) -> None:
    await world.tell(broken(), REPAIRED, broken("pump", 8), broken("belt", 3, "ex-8"))
    assert await ids(world) == ["pump", "belt", "hose"]
    assert await ids(world, equipment_id="ex-7", sort="started_at") == ["hose", "pump"]
    assert await ids(world, state="OPEN") == ["pump", "belt"]
    assert await ids(world, since="2026-11-22T11:00:00Z", until="2026-11-22T16:00:00Z") == ["belt"]


def reading(value: str, after: int, **told: Any) -> MeterReadingRecorded:
    moment = MORNING + after * HOUR
    return MeterReadingRecorded(reading=value, effective_at=moment, **HERE | {"meter": Meter.HOURS} | told)


NEW_METER = reading("0", -1)


async def test_readings_of_a_machine_are_listed_the_latest_first(world: World) -> None:
    await world.tell(EXCAVATOR, reading("4210.5", 0), reading("4300", 1), reading("0", 2, replaced=True))
    await world.tell(reading("12", 1, meter=Meter.CYCLES), reading("1", 0, equipment_id="ex-8"))
    assert [machine.version for machine in (await world.list(EQUIPMENT)).items] == [5]
    found = (await world.list(METER_READINGS, HERE, meter="HOURS")).items
    assert [(shown.reading, shown.replaced) for shown in found] == [("0", True), ("4300", False), ("4210.5", False)]
    assert len((await world.list(METER_READINGS, HERE)).items) == 4
    first = await world.list(METER_READINGS, HERE, limit="3")
    assert first.next is not None
    rest = await world.list(METER_READINGS, HERE, limit="3", cursor=first.next)
    assert [shown.reading for shown in rest.items] == ["4210.5"]
    since = await world.list(METER_READINGS, HERE, since="2026-11-22T09:00:00Z", until="2026-11-22T10:00:00Z")
    assert [(shown.meter, shown.reading) for shown in since.items] == [("HOURS", "4300"), ("CYCLES", "12")]


async def test_the_same_events_again_leave_the_same_rows(world: World) -> None:
    entries = await world.tell(
        EXCAVATOR, NEW_METER, broken(), REPAIRED, broken("pump", 8), reading("1", 0), reading("2", 1)
    )
    before = await world.rows()
    await world.again(entries)
    await world.again(entries[1:2])
    assert await world.rows() == before
