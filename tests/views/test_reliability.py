"""Reliability over a window: what machines have gone through, as figures."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from domain.category import CategoryDefined
from domain.equipment import (
    BreakdownAbandoned,
    EquipmentBrokeDown,
    EquipmentRepaired,
    EquipmentRetired,
    MaintenanceCompleted,
)
from domain.maintenance import MaintenanceType
from domain.model import Event
from tests.domain.acme import ACME, CORRECTIVE, EXCAVATOR, PREVENTIVE, scheduled, started
from tests.views.conftest import World
from views.reliability import CATEGORY_RELIABILITY, RELIABILITY, ReliabilityItem
from views.resource import BadQuery, parse

MONTH = {"from": "2026-06-01T00:00:00Z", "until": "2026-07-01T00:00:00Z"}
FIRST = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def failure(name: str, start: int, end: int, labour_minutes: int = 0) -> tuple[Event, Event]:
    return (
        EquipmentBrokeDown(equipment_id="ex-7", breakdown_id=name, effective_at=FIRST + start * HOUR),
        EquipmentRepaired(
            equipment_id="ex-7",
            breakdown_id=name,
            repaired_by="tess",
            labour_minutes=labour_minutes,
            effective_at=FIRST + end * HOUR,
        ),
    )


def work(kind: MaintenanceType, start: int, end: int) -> tuple[Event, ...]:
    done = FIRST + end * HOUR
    return (
        scheduled(maintenance_type=kind),
        started().model_copy(update={"effective_at": FIRST + start * HOUR}),
        MaintenanceCompleted(
            equipment_id="ex-7",
            job_id="oil",
            maintenance_type=kind,
            completed_by="tess",
            performed_at=done,
            completed_date=done.date(),
        ),
    )


async def figures(world: World, **query: str) -> ReliabilityItem:
    (found,) = (await world.list(RELIABILITY, **MONTH | query)).items
    return found


async def test_a_month_with_failures_of_six_and_two_hours(world: World) -> None:
    await world.tell(*ACME[1:], EXCAVATOR, *failure("hose", 100, 106), *failure("pump", 400, 402))
    found = await figures(world)
    assert (found.equipment.name, found.category.name) == ("Excavator 7", "Excavators")
    assert (found.failures, found.repairs, found.observed_seconds) == (2, 2, 720 * 3600)
    assert (found.mtbf_seconds, found.mttr_seconds, found.mdt_seconds) == (356 * 3600, 4 * 3600, 4 * 3600)
    assert found.inherent_availability == found.operational_availability == Decimal("0.988889")


async def test_labour_tells_the_repair_from_the_waiting(world: World) -> None:
    await world.tell(EXCAVATOR, *failure("hose", 100, 106, labour_minutes=90))
    found = await figures(world)
    assert (found.mttr_seconds, found.mdt_seconds) == (5400, 6 * 3600)


@pytest.mark.parametrize(("kind", "planned"), [(PREVENTIVE, 10 * 3600), (CORRECTIVE, 0)])
async def test_planned_work_that_was_begun_is_planned_downtime(
    world: World, kind: MaintenanceType, planned: int
) -> None:
    await world.tell(EXCAVATOR, *work(kind, 200, 210))
    found = await figures(world)
    assert (found.planned_downtime_seconds, found.failures, found.mtbf_seconds) == (planned, 0, None)


async def test_a_machine_without_failures_has_no_mean_but_the_time_survived(world: World) -> None:
    await world.tell(EXCAVATOR)
    found = await figures(world)
    assert (found.mtbf_seconds, found.mttr_seconds, found.inherent_availability) == (None, None, None)
    assert (found.operating_seconds, found.operational_availability) == (720 * 3600, Decimal(1))


async def test_a_machine_is_observed_until_it_is_retired_in_the_company_s_zone(world: World) -> None:
    firm = ACME[0].model_copy(update={"company_id": world.company})
    broke, _ = failure("hose", 20, 21)
    await world.tell(
        firm,
        EXCAVATOR,
        broke,
        BreakdownAbandoned(equipment_id="ex-7", breakdown_id="hose", effective_at=FIRST + 29 * HOUR),
        EquipmentRetired(equipment_id="ex-7", reason="Worn out", retired_by="user:ada", retired_date=date(2026, 6, 1)),
    )
    found = await figures(world)
    assert (found.observed_seconds, found.downtime_seconds) == (29 * 3600, 9 * 3600)
    assert (found.failures, found.repairs) == (1, 0)


async def test_the_window_moves_and_without_one_it_is_the_whole_life(world: World) -> None:
    await world.tell(EXCAVATOR, *failure("hose", 100, 106))
    june = {"from": "2026-06-05T05:00:00Z"}
    assert (await figures(world, **june)).downtime_seconds == 5 * 3600
    (whole,) = (await world.list(RELIABILITY)).items
    assert (whole.failures, whole.downtime_seconds) == (1, 6 * 3600)
    assert whole.observed_seconds > 720 * 3600


async def test_figures_are_listed_by_category_page_by_page_and_counted(world: World) -> None:
    others = [
        EXCAVATOR.model_copy(update={"equipment_id": f"ex-{n}", "name": f"Excavator {n}", "category_id": kind})
        for n, kind in ((8, "excavators"), (9, "cranes"))
    ]
    await world.tell(EXCAVATOR, *others)
    first = await world.list(RELIABILITY, **MONTH, category_id="excavators", limit="1", total="true")
    assert (first.total, first.next is not None) == (2, True)
    assert first.next is not None
    second = await world.list(RELIABILITY, **MONTH, category_id="excavators", limit="1", cursor=first.next)
    assert [found.equipment.id for found in (*first.items, *second.items)] == ["ex-7", "ex-8"]
    with pytest.raises(BadQuery, match="cursor"):
        parse(RELIABILITY, [("category_id", "excavators"), ("limit", "1"), ("cursor", first.next)])


async def test_machines_of_a_category_are_reliable_together(world: World) -> None:
    other = EXCAVATOR.model_copy(update={"equipment_id": "ex-8", "name": "Excavator 8"})
    cranes = CategoryDefined(category_id="cranes", name="Cranes")
    await world.tell(*ACME[1:], cranes, EXCAVATOR, other, *failure("hose", 100, 106), *failure("pump", 400, 402))
    empty, excavators = (await world.list(CATEGORY_RELIABILITY, **MONTH)).items
    assert (empty.category.name, empty.machines, empty.observed_seconds, empty.mtbf_seconds) == ("Cranes", 0, 0, None)
    assert (excavators.category.name, excavators.machines, excavators.failures) == ("Excavators", 2, 2)
    assert (excavators.mtbf_seconds, excavators.mttr_seconds) == (716 * 3600, 4 * 3600)
    assert excavators.operational_availability == Decimal("0.994444")


@pytest.mark.parametrize(
    ("window", "wrong"),
    [
        ({"from": "2026-06-01", "until": "2026-07-01T00:00:00Z"}, ["from"]),
        ({"from": "2026-06-01T00:00:00Z", "until": "2026-06-01T00:00:00Z"}, ["until"]),
        ({"from": "yesterday", "until": "tomorrow"}, ["from", "until"]),
    ],
)
def test_a_window_has_a_beginning_before_its_end(window: dict[str, str], wrong: list[str]) -> None:
    with pytest.raises(BadQuery) as refused:
        parse(RELIABILITY, window.items())
    assert [fault.parameter for fault in refused.value.faults] == wrong
