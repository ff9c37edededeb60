"""The past of machines: what was known when is never lost, and a late entry changes what is known of before."""

from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest

from domain.equipment import (
    Assignee,
    EquipmentAssigned,
    EquipmentBrokeDown,
    EquipmentMoved,
    EquipmentRenamed,
    EquipmentRepaired,
    EquipmentReturned,
    EquipmentVoided,
    MaintenanceCompleted,
    MaintenanceRescheduled,
)
from domain.model import Event
from tests.domain.acme import ACME, EXCAVATOR, PREVENTIVE, scheduled, started
from tests.views.conftest import World
from tests.views.journal import START
from tests.views.test_equipment import LIVES
from views.equipment import EQUIPMENT, EquipmentItem
from views.reading import reading
from views.resource import LATEST, BadQuery, Moments, in_time, one, page, parse

KEY = {"equipment_id": "ex-7"}
IN_SERVICE = datetime(2024, 3, 1, tzinfo=UTC)


async def seen(world: World, as_of: datetime = LATEST, valid_at: datetime = LATEST) -> EquipmentItem | None:
    assert EQUIPMENT.at is not None
    async with reading(world.readers, world.company) as reader:
        return await one(reader, EQUIPMENT.at(Moments(as_of, valid_at)), KEY)


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
async def test_what_was_known_at_any_time_is_what_the_live_view_showed_then(
    world: World, life: tuple[Event, ...]
) -> None:
    await world.tell(*ACME)
    shown = []
    for event in life:
        (entry,) = await world.tell(event)
        shown.append((entry.content.recorded_at, await world.see(EQUIPMENT, **KEY)))
    for recorded_at, live in shown:
        assert await seen(world, as_of=recorded_at) == live
    assert await seen(world) == shown[-1][1]


async def test_before_it_was_registered_a_machine_was_not_known(world: World) -> None:
    (entry,) = await world.tell(EXCAVATOR)
    known = entry.content.recorded_at
    assert await seen(world, as_of=known - timedelta(milliseconds=1)) is None
    assert await seen(world, as_of=known) is not None


async def test_a_machine_is_there_from_its_first_day_in_service(world: World) -> None:
    await world.tell(EXCAVATOR)
    assert await seen(world, valid_at=IN_SERVICE) is not None
    assert await seen(world, valid_at=IN_SERVICE - timedelta(seconds=1)) is None


def done(job_id: str, at: datetime) -> MaintenanceCompleted:
    return MaintenanceCompleted(
        equipment_id="ex-7",
        job_id=job_id,
        maintenance_type=PREVENTIVE,
        completed_by="tess",
        performed_at=at,
        completed_date=at.date(),
        effective_at=at,
    )


async def test_a_late_entry_is_true_at_its_time_and_known_from_now(world: World) -> None:
    service = datetime(2025, 6, 1, 15, tzinfo=UTC)
    created, late = await world.tell(EXCAVATOR, done("old", service))
    before, after = await seen(world, created.content.recorded_at, service), await seen(world, valid_at=service)
    assert before is not None
    assert after is not None
    assert (before.last_maintained_on, after.last_maintained_on) == (None, service.date())
    earlier = await seen(world, valid_at=service - timedelta(seconds=1))
    assert earlier is not None
    assert earlier.last_maintained_on is None
    assert late.content.recorded_at > service


async def test_a_job_whose_end_is_reported_for_a_time_before_its_start_is_not_open(world: World) -> None:
    *_, begun = await world.tell(EXCAVATOR, scheduled(), started())
    end = begun.content.recorded_at - timedelta(milliseconds=500)
    await world.tell(done("oil", end))
    assert [(await seen(world, valid_at=at)).status for at in (end - timedelta(milliseconds=1), end, LATEST)] == [  # type: ignore[union-attr]
        "MAINTENANCE_SCHEDULED",
        "ACTIVE",
        "ACTIVE",
    ]


async def test_a_voided_machine_never_was_but_was_once_known(world: World) -> None:
    created, voided = await world.tell(EXCAVATOR, EquipmentVoided(equipment_id="ex-7", reason="twice"))
    assert await seen(world, valid_at=created.content.recorded_at) is None
    assert await seen(world, as_of=created.content.recorded_at) is not None
    assert voided.content.recorded_at > created.content.recorded_at


# -- any order of entries against a fold that paints time ------------------------------------------------------------

HOURS = [START - timedelta(hours=hours) for hours in range(40, 0, -1)]


def some_event(chance: Random, number: int) -> Event:
    """Something about the excavator that was true at some hour before it was recorded."""
    when: dict[str, Any] = {"equipment_id": "ex-7", "effective_at": chance.choice(HOURS)}
    job = f"j-{chance.randint(0, 2)}"
    return chance.choice(
        [
            lambda: EquipmentRenamed(name=f"Name {number}", **when),
            lambda: EquipmentMoved(place=f"yard-{number}", **when),
            lambda: EquipmentAssigned(assignee=Assignee(kind="place", id=f"mine-{number}"), **when),
            lambda: EquipmentReturned(**when),
            lambda: scheduled(job, scheduled_date=date(2027, 1, 1 + number), effective_at=when["effective_at"]),
            lambda: MaintenanceRescheduled(job_id=job, scheduled_date=date(2027, 3, 1 + number), **when),
            lambda: started(job).model_copy(update={"effective_at": when["effective_at"]}),
            lambda: done(job, when["effective_at"]),
            lambda: EquipmentBrokeDown(breakdown_id="hose", **when),
            lambda: EquipmentRepaired(breakdown_id="hose", repaired_by="tess", **when),
        ]
    )()


class Painted:
    """The same facts on a line of hours, told in the order of recording: an entry holds until the next one of its kind
    that is known to begin later; an end holds for good."""

    def __init__(self) -> None:
        self.lines: dict[tuple[str, str], list[tuple[int, Any]]] = {}

    def say(self, what: str, about: str, hour: int, value: Any, *, for_good: bool = False) -> None:
        line = [(begun, said) for begun, said in self.lines.get((what, about), []) if begun != hour]
        line = [(begun, said) for begun, said in line if not for_good or begun < hour]
        self.lines[what, about] = sorted([*line, (hour, value)], key=lambda entry: entry[0])

    def tell(self, event: Event) -> None:
        hour = HOURS.index(event.effective_at) if event.effective_at in HOURS else 0
        match event:
            case EquipmentRenamed(name=name):
                self.say("name", "", hour, name)
            case EquipmentMoved(place=place):
                self.say("place", "", hour, place)
            case EquipmentAssigned(assignee=assignee):
                self.say("assignee", "", hour, assignee.id)
            case EquipmentReturned():
                self.say("assignee", "", hour, None)
            case MaintenanceCompleted(job_id=job, completed_date=day):
                self.say("due", job, hour, None, for_good=True)
                self.say("work", job, hour, None, for_good=True)
                self.say("done", job, hour, day)
            case EquipmentBrokeDown():
                self.say("broken", "", hour, True)
            case EquipmentRepaired():
                self.say("broken", "", hour, None, for_good=True)
            case _ if hasattr(event, "scheduled_date"):
                self.say("due", event.job_id, hour, event.scheduled_date)
            case _:
                self.say("work", event.job_id, hour, True)

    def at(self, what: str, hour: int) -> list[Any]:
        """What held at the hour, of everything it can be about."""
        held = []
        for (kind, _), line in self.lines.items():
            begun = [value for start, value in line if start <= hour]
            if kind == what and begun and begun[-1] is not None:
                held.append(begun[-1])
        return held

    def shown(self, hour: int) -> tuple[Any, ...]:
        names, due, done = self.at("name", hour), self.at("due", hour), self.at("done", hour)
        busy = bool(self.at("work", hour) or self.at("broken", hour))
        status = "IN_MAINTENANCE" if busy else "MAINTENANCE_SCHEDULED" if due else "ACTIVE"
        place, assignee = self.at("place", hour), self.at("assignee", hour)
        return (
            names[0] if names else EXCAVATOR.name,
            place[0] if place else None,
            assignee[0] if assignee else None,
            min(due, default=None),
            max(done, default=None),
            status,
        )


def told(machine: EquipmentItem | None) -> tuple[Any, ...]:
    assert machine is not None
    assignee = machine.assignee.id if machine.assignee else None
    return (
        machine.name,
        machine.place,
        assignee,
        machine.next_due_on,
        machine.last_maintained_on,
        machine.status,
    )


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_is_recorded_late_the_past_is_the_fold_of_what_was_known(world: World, seed: int) -> None:
    chance = Random(seed)
    events = [some_event(chance, number) for number in range(20)]
    entries = await world.tell(EXCAVATOR, *events)
    painted = Painted()
    for entry, event in zip(entries, [EXCAVATOR, *events], strict=True):
        if event is not EXCAVATOR:
            painted.tell(event)
        for hour in chance.sample(range(len(HOURS)), 5):
            found = await seen(world, entry.content.recorded_at, HOURS[hour])
            assert told(found) == painted.shown(hour), (seed, entry.position, hour)


# -- lists and requests ----------------------------------------------------------------------------------------------


async def test_lists_of_the_past_are_filtered_and_paged_in_the_order_of_names_of_that_time(world: World) -> None:
    fleet = [EXCAVATOR.model_copy(update={"equipment_id": f"m-{n}", "name": f"Old {9 - n}"}) for n in range(5)]
    *_, last = await world.tell(*fleet)
    await world.tell(*(EquipmentRenamed(equipment_id=f"m-{n}", name=f"New {n}") for n in range(5)))
    then = [("as_of", last.content.recorded_at.isoformat()), ("limit", "2")]

    async def names(*more: tuple[str, str]) -> tuple[list[str], str | None]:
        resource, others = in_time(EQUIPMENT, [*then, *more])
        async with reading(world.readers, world.company) as reader:
            found = await page(reader, resource, parse(resource, others))
        return [machine.name for machine in found.items], found.next

    first, following = await names()
    assert first == ["Old 5", "Old 6"]
    assert (await names(("cursor", following or "")))[0] == ["Old 7", "Old 8"]
    assert (await names(("status", "RETIRED")))[0] == []


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-03-31", "2026-03-31T00:00", "1-1-1T00:00Z", "2026-03-31T00:00Z\x00"]
)
def test_a_moment_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadQuery, match="as_of"):
        in_time(EQUIPMENT, [("as_of", text)])


def test_seconds_of_a_moment_may_be_left_out() -> None:
    resource, others = in_time(EQUIPMENT, [("valid_at", "2026-03-31T00:00Z"), ("q", "x")])
    assert resource is not EQUIPMENT
    assert others == [("q", "x")]
