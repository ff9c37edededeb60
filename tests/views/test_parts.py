"""Parts on stock and their ledger: each event gives its rows, and the same event again leaves them as they are."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from domain.model import Event
from domain.part import (
    StockAdjusted,
    StockCounted,
    StockFellBelowMinimum,
    StockLevel,
    StockReleased,
    StockReturned,
    UnitCost,
)
from tests.domain.acme import FILTER, received, reserved, taken
from tests.views.conftest import World
from views.parts import PARTS, PartItem
from views.stock_movements import STOCK_MOVEMENTS

COST = UnitCost(amount="2.5", currency="PEN")
FOR_OIL = {"part_id": "filter", "equipment_id": "ex-7", "job_id": "oil"}


def level(balance: str, reserved: str = "0") -> StockLevel:
    return StockLevel(balance=balance, reserved=reserved, average_cost="2.5")


RELEASED = StockReleased(**FOR_OIL, movement_id="free", quantity="8", after=level("10"))
RETURNED = StockReturned(**FOR_OIL, movement_id="back", issue_id="take", quantity="1", unit_cost=COST, after=level("3"))
COUNTED = StockCounted(
    part_id="filter", movement_id="count", counted="9", difference="-1", unit_cost=COST, after=level("9")
)
ADJUSTED = StockAdjusted(
    part_id="filter", movement_id="fix", difference="2", reason="Found", unit_cost=COST, after=level("12")
)
FELL = StockFellBelowMinimum(part_id="filter", balance="2", minimum="4", reorder_quantity="10")

LIVES: dict[str, tuple[Event, ...]] = {
    "defined": (FILTER,),
    "received": (FILTER, received()),
    "reserved and released": (FILTER, received(), reserved("8"), RELEASED),
    "issued and returned": (FILTER, received(), taken("8"), FELL, RETURNED),
    "counted": (FILTER, received(), COUNTED),
    "adjusted": (FILTER, received(), ADJUSTED),
}


async def the_part(world: World) -> PartItem:
    found = await world.see(PARTS, part_id="filter")
    assert found is not None
    return found


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
async def test_the_same_events_again_leave_the_same_rows(world: World, life: tuple[Event, ...]) -> None:
    entries = await world.tell(*life)
    before = await world.rows()
    await world.again(entries)
    await world.again(entries[-1:])
    assert await world.rows() == before


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
async def test_the_balance_shown_is_the_sum_of_the_ledger(world: World, life: tuple[Event, ...]) -> None:
    await world.tell(*life)
    ledger = (await world.list(STOCK_MOVEMENTS, part_id="filter")).items
    assert Decimal((await the_part(world)).balance) == sum(Decimal(row.quantity) for row in ledger)


async def test_a_part_shows_what_is_there_what_is_kept_and_what_it_is_worth(world: World) -> None:
    await world.tell(FILTER, received("10", "2.505"), reserved("8"))
    part = await the_part(world)
    assert (part.name, part.unit, part.minimum, part.reorder_quantity) == ("Oil filter", "pc", "4", "10")
    assert (part.balance, part.reserved, part.available) == ("10", "8", "2")
    assert part.average_cost == "2.5"
    assert part.value.model_dump() == {"amount": "25.00", "currency": "PEN"}
    assert (part.below_minimum, part.to_order, part.fell_below_at, part.version) == (False, "10", None, 3)


async def test_a_part_below_its_minimum_is_listed_with_a_proposal_in_whole_lots(world: World) -> None:
    other = FILTER.model_copy(update={"part_id": "belt", "minimum": "0"})
    *_, entry = await world.tell(other, FILTER, received(), taken("8"), FELL)
    part = await the_part(world)
    assert (part.below_minimum, part.to_order, part.fell_below_at) == (True, "10", entry.content.recorded_at)
    for query in ({"below_minimum": "true"}, {"reorder": "true"}):
        assert [found.part_id for found in (await world.list(PARTS, **query)).items] == ["filter"]
    assert [found.part_id for found in (await world.list(PARTS, reorder="false")).items] == ["belt"]


@pytest.mark.parametrize(
    ("minimum", "lot", "proposed"), [("4", "10", "10"), ("12.5", "5", "15"), ("10", "0.3", "10.2"), ("0", "1", None)]
)
async def test_a_proposal_is_the_fewest_lots_that_reach_the_minimum(
    world: World, minimum: str, lot: str, proposed: str | None
) -> None:
    await world.tell(FILTER.model_copy(update={"minimum": minimum, "reorder_quantity": lot}))
    assert (await the_part(world)).to_order == proposed


async def test_the_ledger_tells_each_movement_with_its_cost_and_the_balance_after_it(world: World) -> None:
    await world.tell(FILTER, received(), taken("8"), FELL, RETURNED)
    found = (await world.list(STOCK_MOVEMENTS, sort="moved_at")).items
    assert [(row.movement, row.quantity, row.balance) for row in found] == [
        ("RECEIVED", "10", "10"),
        ("ISSUED", "-8", "2"),
        ("RETURNED", "1", "3"),
    ]
    issued = found[1]
    assert issued.part.model_dump() == {"id": "filter", "name": "Oil filter"}
    assert issued.value.model_dump() == {"amount": "-20.00", "currency": "PEN"}
    assert (issued.unit_cost, issued.equipment_id, issued.job_id, issued.actor) == ("2.5", "ex-7", "oil", "user:ada")
    assert (found[2].issue_id, found[2].reason) == ("take", None)


async def test_the_ledger_is_narrowed_by_job_kind_and_time(world: World) -> None:
    later = ADJUSTED.model_copy(update={"effective_at": datetime(2026, 12, 24, tzinfo=UTC)})
    await world.tell(FILTER, received(), taken("2"), COUNTED, later)
    for query, movements in (
        ({"equipment_id": "ex-7", "job_id": "oil"}, ["take"]),
        ({"movement": "COUNTED"}, ["count"]),
        ({"since": "2026-12-24T00:00:00Z"}, ["fix"]),
        ({"until": "2026-12-24T00:00:00Z"}, ["count", "take", "in"]),
    ):
        assert [row.movement_id for row in (await world.list(STOCK_MOVEMENTS, **query)).items] == movements


async def test_pages_of_parts_follow_each_other_by_value(world: World) -> None:
    for number in range(3):
        own = {"part_id": f"part-{number}"}
        await world.tell(FILTER.model_copy(update=own), received(str(10 - number)).model_copy(update=own))
    first = await world.list(PARTS, sort="-value", limit="2")
    assert first.next is not None
    second = await world.list(PARTS, sort="-value", limit="2", cursor=first.next)
    assert [found.part_id for found in (*first.items, *second.items)] == ["part-0", "part-1", "part-2"]
