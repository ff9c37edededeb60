"""Lists: pages, filters, orders, search, totals; and each way of asking wrongly."""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
from sqlalchemy import text

from domain.equipment import EquipmentAssigned, EquipmentCreated
from tests.domain.acme import ACME, EXCAVATOR, LENT, scheduled
from tests.views.conftest import World
from views import cursor
from views.book_entries import BOOK_ENTRIES
from views.downtime import DOWNTIME
from views.equipment import EQUIPMENT, MOST_LISTED
from views.history import EQUIPMENT_HISTORY
from views.maintenance import MAINTENANCE_JOBS
from views.reading import reading
from views.resource import COUNTED_UP_TO, BadQuery, Resource, _listing, parse
from views.stock_movements import STOCK_MOVEMENTS
from views.users import USERS

NAMES = ("Bagger", "Crane", "Dozer", "Bagger", "Crane", "Ábaco", "dozer", "Bagger 100%")


def machine(number: int, name: str, **changes: Any) -> EquipmentCreated:
    own = {"equipment_id": f"m-{number}", "serial_number": f"EQ-2024-EX-{number:06}", "name": name}
    return EXCAVATOR.model_copy(update=own | changes)


@pytest.fixture
async def park(world: World) -> AsyncIterator[World]:
    """Eight machines, some of one name; the third is due, the fourth lent, the fifth of another category."""
    machines = [machine(n, name, in_service_on=date(2024, 1, 1) + timedelta(days=n)) for n, name in enumerate(NAMES)]
    machines[4] = machines[4].model_copy(update={"category_id": "cranes"})
    due = scheduled().model_copy(update={"equipment_id": "m-2"})
    lent = LENT.model_copy(update={"equipment_id": "m-3"})
    await world.tell(*ACME[1:], *machines, due, lent)
    yield world


async def ids(world: World, **query: str) -> list[str]:
    return [found.equipment_id for found in (await world.list(EQUIPMENT, **query)).items]


@pytest.mark.parametrize("sort", ["name", "-name", "next_due_on", "-next_due_on", "updated_at", "-serial_number"])
async def test_pages_together_are_the_whole_list_each_item_once(park: World, sort: str) -> None:
    whole = await ids(park, sort=sort)
    found, after = [], {}
    while True:
        part = await park.list(EQUIPMENT, sort=sort, limit="3", **after)
        found += [item.equipment_id for item in part.items]
        if part.next is None:
            break
        after = {"cursor": part.next}
    assert found == whole
    assert sorted(found) == [f"m-{n}" for n in range(8)]


async def test_pages_stay_whole_while_rows_come_in_between(park: World) -> None:
    first = await park.list(EQUIPMENT, sort="serial_number", limit="4")
    assert first.next is not None
    await park.tell(
        machine(1000, "New"), machine(9, "Before").model_copy(update={"serial_number": "EQ-2023-EX-000000"})
    )
    rest = await park.list(EQUIPMENT, sort="serial_number", cursor=first.next)
    assert [item.equipment_id for item in rest.items] == ["m-4", "m-5", "m-6", "m-7", "m-1000"]


async def test_equal_names_are_ordered_by_id(park: World) -> None:
    assert [i for i in await ids(park, sort="name") if i in ("m-0", "m-3")] == ["m-0", "m-3"]
    assert [i for i in await ids(park, sort="-name") if i in ("m-0", "m-3")] == ["m-3", "m-0"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "MAINTENANCE_SCHEDULED"}, ["m-2"]),
        ({"category_id": "cranes"}, ["m-4"]),
        ({"assignee_id": "tess"}, ["m-3"]),
        ({"assignee_kind": "user"}, ["m-3"]),
        ({"serial_number": "EQ-2024-EX-000006"}, ["m-6"]),
        ({"due_until": "2026-12-01"}, ["m-2"]),
        ({"due_until": "2026-11-30"}, []),
        ({"status": "ACTIVE", "category_id": "cranes"}, ["m-4"]),
        ({"q": "bagger", "sort": "serial_number"}, ["m-0", "m-3", "m-7"]),
        ({"q": "EX-000006"}, ["m-6"]),
        ({"q": "100%"}, ["m-7"]),
        ({"q": "_"}, []),
        ({"q": "\\"}, []),
        ({"q": "ábaco"}, ["m-5"]),
        ({"q": "bagger", "status": "RETIRED"}, []),
    ],
)
async def test_lists_can_be_narrowed(park: World, query: dict[str, str], found: list[str]) -> None:
    assert await ids(park, **query) == found


async def test_a_total_is_counted_on_request_only(park: World) -> None:
    assert (await park.list(EQUIPMENT)).total is None
    counted = await park.list(EQUIPMENT, total="true", limit="2")
    assert (counted.total, counted.total_is_capped, len(counted.items)) == (8, False, 2)
    assert (await park.list(EQUIPMENT, total="true", q="crane")).total == 2


async def test_another_companys_item_is_not_there(park: World) -> None:
    await park.tell(machine(77, "Secret"), company="elsewhere")
    assert await park.see(EQUIPMENT, equipment_id="m-77") is None


@pytest.mark.parametrize("key", ["", "a b", "x" * 65, "\x00", "\ud800", "../x", "m-99"])
async def test_what_cannot_be_an_id_is_not_there(park: World, key: str) -> None:
    assert await park.see(EQUIPMENT, equipment_id=key) is None


@pytest.mark.parametrize(
    ("query", "parameter", "code"),
    [
        ([("colour", "red")], "colour", "unknown"),
        ([("status", "BROKEN")], "status", "invalid"),
        ([("status", "ACTIVE"), ("status", "RETIRED")], "status", "repeated"),
        ([("limit", "0")], "limit", "invalid"),
        ([("limit", "201")], "limit", "invalid"),
        ([("limit", "many")], "limit", "invalid"),
        ([("total", "perhaps")], "total", "invalid"),
        ([("sort", "colour")], "sort", "invalid"),
        ([("fields", "name,colour")], "fields", "invalid"),
        ([("due_until", "tomorrow")], "due_until", "invalid"),
        ([("due_until", "0")], "due_until", "invalid"),
        ([("due_until", "0001-01-01")], "due_until", "invalid"),
        ([("q", "")], "q", "invalid"),
        ([("q", "x" * 101)], "q", "invalid"),
        ([("q", "a\x00b")], "q", "invalid"),
        ([("q", "\ud800")], "q", "invalid"),
        ([("category_id", "a/b")], "category_id", "invalid"),
        ([("cursor", "x")], "cursor", "cursor-mismatch"),
        ([("cursor", "")], "cursor", "cursor-mismatch"),
        ([("cursor", "é")], "cursor", "cursor-mismatch"),
        ([("cursor", "W" * 5000)], "cursor", "cursor-mismatch"),
    ],
)
def test_a_wrong_parameter_is_named(query: list[tuple[str, str]], parameter: str, code: str) -> None:
    with pytest.raises(BadQuery) as refused:
        parse(EQUIPMENT, query)
    assert [(fault.parameter, fault.code) for fault in refused.value.faults] == [(parameter, code)]


@pytest.mark.parametrize(
    ("resource", "begin", "earlier", "later"),
    [
        (MAINTENANCE_JOBS, "from", "2026-05-31", "2026-06-01"),
        (BOOK_ENTRIES, "from", "2026-05-31", "2026-06-01"),
        (DOWNTIME, "since", "2026-06-01T00:00:00+02:00", "2026-06-01T00:00:00Z"),
        (STOCK_MOVEMENTS, "since", "2026-06-01T00:00:00+02:00", "2026-06-01T00:00:00Z"),
        (EQUIPMENT_HISTORY, "since", "2026-06-01T00:00:00+02:00", "2026-06-01T00:00:00Z"),
    ],
    ids=lambda told: getattr(told, "name", str(told)),
)
def test_a_time_does_not_end_before_it_begins(resource: Resource[Any], begin: str, earlier: str, later: str) -> None:
    path = {"equipment_id": "ex-7"}
    with pytest.raises(BadQuery, match=f"until: must not be earlier than `{begin}`"):
        parse(resource, [(begin, later), ("until", earlier)], path)
    assert parse(resource, [(begin, later), ("until", later)], path).conditions


def test_all_wrong_parameters_are_named_at_once() -> None:
    with pytest.raises(BadQuery) as refused:
        parse(EQUIPMENT, [("colour", "red"), ("limit", "x"), ("status", "x")])
    assert {fault.parameter for fault in refused.value.faults} == {"colour", "limit", "status"}


def test_a_list_without_search_knows_no_q() -> None:
    with pytest.raises(BadQuery, match="there is no such parameter"):
        parse(USERS, [("q", "tess")])


async def test_a_cursor_fits_the_request_only_that_it_came_from(park: World) -> None:
    after = (await park.list(EQUIPMENT, limit="2")).next
    assert after is not None
    for other in ({"sort": "-name"}, {"status": "ACTIVE"}, {"q": "crane"}):
        with pytest.raises(BadQuery, match="another order or other filters"):
            await park.list(EQUIPMENT, cursor=after, **other)
    assert len((await park.list(EQUIPMENT, cursor=after, limit="100")).items) == 6


@pytest.mark.parametrize("value", ["a\x00b", "\ud800", None, ["x"]])
@pytest.mark.parametrize("sort", ["name", "next_due_on", "updated_at"])
def test_a_forged_cursor_is_refused(sort: str, value: Any) -> None:
    query = parse(EQUIPMENT, [("sort", sort)])
    forged = cursor.write(query.fingerprint, (Any, str), (value, "m-1"))
    with pytest.raises(BadQuery, match="the cursor is damaged"):
        parse(EQUIPMENT, [("sort", sort), ("cursor", forged)])


def test_a_cursor_with_other_values_than_the_order_wants_is_refused() -> None:
    forged = cursor.write("abc", (str, str), ("x", "m-1"))
    assert cursor.read(forged, "abc", (str, str)) == ("x", "m-1")
    for types in ((date, str), (str,), (str, str, str)):
        with pytest.raises(cursor.CursorRefused):
            cursor.read(forged, "abc", types)


def test_fields_are_those_that_were_asked_for() -> None:
    assert parse(EQUIPMENT, [("fields", "name,status")]).fields == {"name", "status"}
    assert parse(EQUIPMENT, []).fields is None


FILL = """
INSERT INTO erp.equipment (company_id, equipment_id, name, serial_number, category_id, in_service_on, in_maintenance,
    next_due_on, created_at, version, updated_at)
SELECT :company, 'm-' || n, 'Machine ' || md5(n::text), 'EQ-2024-EX-' || lpad(n::text, 6, '0'), 'c-' || n % 20,
    date '2024-01-01' + n % 700, false, CASE WHEN n % 10 = 0 THEN date '2027-01-01' + n % 90 END, now(), 1,
    now() + n * interval '1 ms'
FROM generate_series(1, :count) AS n
"""


@pytest.fixture
async def large(world: World) -> AsyncIterator[World]:
    """A company with many machines, beside another as large."""
    async with world.writers.connect() as connection:
        for company in (world.company, f"{world.company}-b"):
            async with connection.begin():
                await connection.execute(text(FILL), {"company": company, "count": 20_000})
    async with world.owner.connect() as connection:
        await connection.execute(text("ANALYZE erp.equipment"))
        await connection.commit()
    yield world


WALKS = {
    "": "equipment_by_name",
    "sort=-name": "equipment_by_name",
    "sort=serial_number": "equipment_by_serial",
    "sort=in_service_on": "equipment_by_service",
    "sort=next_due_on": "equipment_by_due",
    "sort=-updated_at": "equipment_by_updated",
    "status=RETIRED": "equipment_by_status",
    "category_id=c-7": "equipment_by_category",
    "assignee_id=tess": "equipment_by_assignee",
}


async def test_lists_of_a_large_company_walk_an_index(large: World) -> None:
    for asked, index in WALKS.items():
        plan = await plan_of(large, parse_qsl(asked))
        assert index in plan, asked
        assert "Seq Scan on equipment" not in plan, asked


async def plan_of(world: World, asked: list[tuple[str, str]]) -> str:
    checked = parse(EQUIPMENT, asked)
    listing = _listing(EQUIPMENT, checked, [EQUIPMENT.company == world.company, *checked.conditions])
    compiled = listing.compile(dialect=world.readers.dialect, compile_kwargs={"literal_binds": True})
    async with reading(world.readers, world.company) as reader:
        return "\n".join((await reader.connection.exec_driver_sql(f"EXPLAIN {compiled}")).scalars())


async def test_search_uses_the_trigram_index_in_spite_of_row_level_security(large: World) -> None:
    assert await ids(large, q="EX-012345") == ["m-12345"]
    inner = "SELECT equipment_id FROM erp.equipment WHERE company_id = :company AND serial_number ILIKE '%EX-012345%'"
    async with large.owner.connect() as connection:
        await connection.execute(text("SET LOCAL ROLE erp_search"))
        plan = (await connection.execute(text(f"EXPLAIN {inner}"), {"company": large.company})).scalars()
        assert "equipment_like_serial_number" in "\n".join(plan)


async def test_a_search_that_half_the_machines_match_still_gives_pages_in_order(large: World) -> None:
    first = await large.list(EQUIPMENT, q="machine", total="true")
    assert first.next is not None
    assert (first.total, first.total_is_capped) == (COUNTED_UP_TO, True)
    second = await large.list(EQUIPMENT, q="machine", cursor=first.next)
    names = [item.name for item in (*first.items, *second.items)]
    assert names == sorted(names)
    assert len(set(names)) == 100
    assert MOST_LISTED < 20_000


async def test_a_lent_machine_is_found_by_its_place(park: World) -> None:
    yard = EquipmentAssigned(equipment_id="m-5", assignee={"kind": "place", "id": "yard-2"})  # type: ignore[arg-type]
    await park.tell(yard)
    assert await ids(park, assignee_id="yard-2", assignee_kind="place") == ["m-5"]
