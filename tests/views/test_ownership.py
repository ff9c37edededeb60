"""What a machine has cost in all, from what its events tell."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from domain.company import MaintenancePolicyUpdated
from domain.equipment import EquipmentBrokeDown, EquipmentRepaired, EquipmentRetired, MaintenanceCompleted
from domain.model import Event, Money
from domain.part import StockLevel, StockReturned, UnitCost
from tests.domain.acme import ACME, EXCAVATOR, FILTER, PREVENTIVE, policy, received, soles, taken
from tests.views.conftest import World
from views.ownership import OWNERSHIP, OwnershipItem

BROKE = datetime(2026, 6, 1, 8, tzinfo=UTC)
BOUGHT = EXCAVATOR.model_copy(update={"purchase_price": soles("120000.00")})
SERVICED = MaintenanceCompleted(
    equipment_id="ex-7",
    job_id="oil",
    maintenance_type=PREVENTIVE,
    completed_by="tess",
    performed_at=BROKE,
    completed_date=BROKE.date(),
    labour_minutes=90,
    cost=soles("800.00"),
)
FAILED = EquipmentBrokeDown(equipment_id="ex-7", breakdown_id="hose", effective_at=BROKE)
REPAIRED = EquipmentRepaired(
    equipment_id="ex-7",
    breakdown_id="hose",
    repaired_by="tess",
    labour_minutes=60,
    cost=soles("1250.50"),
    effective_at=BROKE + timedelta(hours=8),
)
RETURNED = StockReturned(
    part_id="filter",
    movement_id="back",
    issue_id="take",
    equipment_id="ex-7",
    job_id="oil",
    quantity="1",
    unit_cost=UnitCost(amount="2.5", currency="PEN"),
    after=StockLevel(balance="7", average_cost="2.5"),
)
SOLD = EquipmentRetired(
    equipment_id="ex-7",
    reason="sold",
    retired_by="user:max",
    retired_date=date(2026, 11, 20),
    proceeds=soles("15000.00"),
)
RATES = {"labour_rate": soles("45.00"), "downtime_rate": soles("320.00")}
LIFE = (BOUGHT, FILTER, received(), taken("4"), RETURNED, SERVICED, FAILED, REPAIRED, SOLD)
TERMS = ("purchase", "maintenance", "parts", "labour", "downtime", "proceeds", "total")


def rates(world: World, **told: Money) -> MaintenancePolicyUpdated:
    return policy(**told).model_copy(update={"company_id": world.company})


async def acme(world: World, *events: Event) -> None:
    await world.tell(ACME[0].model_copy(update={"company_id": world.company}), *ACME[1:], *events)


async def cost(world: World) -> dict[str, Any]:
    """Each term of the machine's cost as digits; None: unknown."""
    found = await world.see(OWNERSHIP, equipment_id="ex-7")
    assert found is not None
    assert (found,) == (await world.list(OWNERSHIP, category_id="excavators")).items
    return amounts(found)


def amounts(found: OwnershipItem) -> dict[str, Any]:
    terms = {name: getattr(found, name) for name in TERMS}
    assert {term.currency for term in terms.values() if term} <= {found.currency}
    return {name: term and term.amount for name, term in terms.items()}


async def test_a_machine_costs_all_that_it_took_less_what_it_brought(world: World) -> None:
    await acme(world, rates(world, **RATES), *LIFE)
    assert await cost(world) == {
        "purchase": "120000.00",
        "maintenance": "2050.50",
        "parts": "7.50",
        "labour": "112.50",
        "downtime": "2560.00",
        "proceeds": "15000.00",
        "total": "109730.50",
    }


async def test_a_machine_that_has_only_been_bought_cost_its_price(world: World) -> None:
    await acme(world, BOUGHT)
    nothing = dict.fromkeys(("maintenance", "parts", "labour", "downtime", "proceeds"), "0.00")
    assert await cost(world) == nothing | {"purchase": "120000.00", "total": "120000.00"}


async def test_without_rates_or_price_the_terms_that_need_them_are_unknown_and_so_is_the_total(world: World) -> None:
    await acme(world, EXCAVATOR, *LIFE[1:])
    found = await cost(world)
    assert {name for name, amount in found.items() if amount is None} == {"purchase", "labour", "downtime", "total"}
    assert (found["maintenance"], found["proceeds"]) == ("2050.50", "15000.00")


async def test_an_amount_in_another_currency_is_added_to_nothing(world: World) -> None:
    dollars = SERVICED.model_copy(update={"cost": Money(amount="10.00", currency="USD")})
    await acme(world, rates(world, **RATES), BOUGHT, dollars, FAILED, REPAIRED)
    found = await cost(world)
    assert (found["maintenance"], found["labour"], found["total"]) == (None, "112.50", None)


async def test_another_machine_costs_what_it_costs_itself(world: World) -> None:
    other = BOUGHT.model_copy(update={"equipment_id": "ex-8", "name": "Excavator 8"})
    await acme(world, rates(world, **RATES), *LIFE, other)
    first, second = (await world.list(OWNERSHIP, total="true")).items
    assert (amounts(first)["total"], amounts(second)["total"]) == ("109730.50", "120000.00")
    assert [found.equipment.id for found in (await world.list(OWNERSHIP, status="RETIRED")).items] == ["ex-7"]
