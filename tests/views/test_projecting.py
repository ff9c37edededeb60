"""Checkpoints: who changes views moves its checkpoint in the same transaction, from where it is."""

import asyncio

import pytest
from asyncpg.transaction import Transaction

from domain.equipment import EquipmentRenamed
from domain.model import Event
from tests.domain.acme import EXCAVATOR, scheduled
from tests.views.conftest import World
from views import GROUPS
from views.checkpoints import Checkpoint, CheckpointMoved, assigned, read
from views.equipment import EQUIPMENT
from views.history import EQUIPMENT_HISTORY
from views.projecting import PositionGap, apply
from views.reading import write_engine

HISTORY, FLEET = GROUPS["history"], GROUPS["fleet"]
START = Checkpoint(0, 0)


async def checkpoint(world: World, group: str = "history") -> Checkpoint:
    async with world.writers.connect() as connection, connection.begin():
        await assigned(connection, group, world.journal.partition)
        return (await read(connection, group))[world.journal.partition]


def renamed(times: int) -> list[Event]:
    return [EXCAVATOR, *(EquipmentRenamed(equipment_id="ex-7", name=str(n)) for n in range(times))]


async def test_a_new_partition_starts_at_the_beginning(world: World) -> None:
    assert await checkpoint(world) == START


async def test_a_batch_moves_the_checkpoint_to_its_end(world: World) -> None:
    entries = world.journal.tell(EXCAVATOR, scheduled())
    assert await world.project(HISTORY, entries) == await checkpoint(world) == Checkpoint(2, 2)


async def test_of_two_projectors_at_the_same_checkpoint_one_changes_the_views(world: World) -> None:
    entries = world.journal.tell(*renamed(300), company=world.company)
    at = await checkpoint(world)

    async def project() -> Checkpoint:
        async with world.writers.connect() as connection:
            return await apply(connection, HISTORY, world.journal.partition, entries, at)

    ends = await asyncio.gather(*(project() for _ in range(3)), return_exceptions=True)
    assert [end for end in ends if isinstance(end, Checkpoint)] == [Checkpoint(301, 301)]
    assert sum(isinstance(end, CheckpointMoved) for end in ends) == 2
    assert len((await world.list(EQUIPMENT_HISTORY, {"equipment_id": "ex-7"}, limit="200")).items) == 200


async def test_a_stale_projector_changes_nothing(world: World) -> None:
    entries = await world.tell(EXCAVATOR)
    late = world.journal.tell(EquipmentRenamed(equipment_id="ex-7", name="late"), company=world.company)
    async with world.writers.connect() as connection:
        with pytest.raises(CheckpointMoved, match="has left position 0"):
            await apply(connection, FLEET, world.journal.partition, [*entries, *late], START)
    machine = await world.see(EQUIPMENT, equipment_id="ex-7")
    assert machine is not None
    assert machine.name == "Excavator 7"


@pytest.mark.parametrize("step", ["start", "_Transaction__commit", "_Transaction__rollback"])
async def test_a_projector_that_is_cancelled_in_any_step_of_a_transaction_leaves_no_connection_in_it(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """PostgreSQL has done the step, and the task that asked for it is cancelled before it hears of that."""
    entries = await world.tell(EXCAVATOR)
    at = START if step.endswith("rollback") else await checkpoint(world, "fleet")
    late = world.journal.tell(*renamed(3)[1:], company=world.company)
    done = getattr(Transaction, step)

    async def be_cancelled(transaction: Transaction) -> None:
        await done(transaction)
        raise asyncio.CancelledError

    pool = write_engine(world.dsn, connections=1)
    async with pool.connect() as connection:
        with monkeypatch.context() as patched, pytest.raises(asyncio.CancelledError):
            patched.setattr(Transaction, step, be_cancelled)
            await apply(connection, FLEET, world.journal.partition, [*entries, *late], at)
    async with pool.connect() as connection:
        await apply(connection, FLEET, world.journal.partition, late, await checkpoint(world, "fleet"))
    machine = await world.see(EQUIPMENT, equipment_id="ex-7")
    assert machine is not None
    assert machine.name == "2"
    await pool.dispose()


async def test_messages_that_are_applied_already_only_move_the_offset(world: World) -> None:
    entries = await world.tell(EXCAVATOR, scheduled())
    assert await world.project(HISTORY, entries) == Checkpoint(2, 2)


async def test_before_a_gap_all_is_applied_and_nothing_after_it(world: World) -> None:
    entries = world.journal.tell(*renamed(4), company=world.company)
    with pytest.raises(PositionGap, match="position 4 is missing: offset 4 holds position 5"):
        await world.project(HISTORY, [*entries[:3], *entries[4:]])
    assert await checkpoint(world) == Checkpoint(3, 3)
    assert len((await world.list(EQUIPMENT_HISTORY, {"equipment_id": "ex-7"})).items) == 3


async def test_a_whole_life_in_one_batch_ends_as_one_event_at_a_time_does(world: World) -> None:
    entries = world.journal.tell(*renamed(20), scheduled(), company=world.company)
    await world.project(FLEET, entries)
    machine = await world.see(EQUIPMENT, equipment_id="ex-7")
    assert machine is not None
    assert (machine.name, machine.status, machine.version) == ("19", "MAINTENANCE_SCHEDULED", 22)
