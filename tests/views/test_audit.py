"""The audit as a view: one row per command that was answered, whatever comes again."""

from datetime import timedelta
from uuid import uuid4

import pytest

from domain.record import Status, Void
from tests.views.conftest import World
from tests.views.journal import START
from views import GROUPS
from views.audit import AUDIT
from views.projecting import Entry
from views.retention import prune

GROUP = GROUPS["audit"]
REFUSED = {"status": Status.REJECTED, "code": "forbidden", "kind": "forbidden", "detail": "It costs 4,210.50."}
SAID = {"signed_by": "process:api-1", "origin": "203.0.113.7 user:ada curl/8.5.0"}


async def test_a_row_tells_who_what_when_where_and_under_which_key(world: World) -> None:
    command = uuid4()
    await world.project(GROUP, [world.answers.tell(command, world.company, **REFUSED, **SAID)])
    (row,) = (await world.list(AUDIT)).items
    assert (row.actor, row.type.split(".")[-2], row.aggregate_id) == ("user:ada", "retire-equipment", "ex-7")
    assert (row.status, row.code, row.command_id) == ("rejected", "forbidden", command)
    assert row.recorded_at == START + timedelta(seconds=row.sequence)
    assert (row.address, row.user_agent) == ("203.0.113.7", "curl/8.5.0")
    assert (row.process_id, row.key_id) == ("api-1", None)
    assert "4,210.50" not in row.model_dump_json()


async def test_the_same_records_again_and_void_ones_leave_the_same_rows(world: World) -> None:
    entries: list[Entry] = [world.answers.tell(uuid4(), world.company) for _ in range(3)]
    await world.project(GROUP, entries)
    before = await world.rows()
    await world.again(entries)
    await world.project(GROUP, [Entry(4, 3, Void()), Entry(5, 4, entries[0].content)])
    assert await world.rows() == before


async def test_what_was_decided_in_the_same_moment_is_in_the_order_of_deciding_newest_first(world: World) -> None:
    commands = [uuid4() for _ in range(4)]
    await world.project(GROUP, [world.answers.tell(it, world.company, recorded_at=START) for it in commands])
    assert [row.command_id for row in (await world.list(AUDIT)).items] == commands[::-1]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"actor": "key:plant-4"}, [2]),
        ({"key_id": "plant-4"}, [2, 3]),
        ({"code": "forbidden"}, [1]),
        ({"status": "rejected"}, [1]),
        ({"address": "203.0.113.7"}, [1]),
        ({"aggregate": "category", "aggregate_id": "cranes"}, [3]),
        ({"type": "com.bitcorp.erp.equipment.retire-equipment.v1", "status": "accepted"}, [2, 3]),
        ({"since": "2026-11-23T15:00:02Z"}, [2, 3]),
        ({"since": "2026-11-23T15:00:02Z", "until": "2026-11-23T15:00:03Z"}, [2]),
    ],
    ids=str,
)
async def test_each_filter_leaves_what_it_names(world: World, query: dict[str, str], found: list[int]) -> None:
    tell = world.answers.tell
    entries = [
        tell(uuid4(), world.company, **REFUSED, **SAID),
        tell(uuid4(), world.company, actor="key:plant-4", signed_by="key:plant-4", origin="198.51.100.1 - forged"),
        tell(uuid4(), world.company, aggregate="category", aggregate_id="cranes", signed_by="key:plant-4"),
    ]
    await world.project(GROUP, entries)
    assert sorted(row.sequence for row in (await world.list(AUDIT, **query)).items) == found


async def test_it_is_kept_for_ever(world: World) -> None:
    await world.project(GROUP, [world.answers.tell(uuid4(), world.company, recorded_at=START - timedelta(days=9000))])
    async with world.writers.connect() as connection:
        assert await prune(connection, GROUP, START) == 0
    assert len((await world.list(AUDIT)).items) == 1
