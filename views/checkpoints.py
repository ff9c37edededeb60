"""How far each view group has come in each partition: what a projector moves and a reader waits for."""

from dataclasses import dataclass

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from views.tables import CHECKPOINT


class CheckpointMoved(Exception):
    """Another projector has moved the checkpoint: nothing of this batch is kept, and the checkpoint is read again."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`position` is that of the last message applied, `next_offset` where reading goes on."""

    position: int
    next_offset: int


async def assigned(connection: AsyncConnection, group: str, partition: int) -> Checkpoint:
    """The checkpoint of a partition that a projector takes over; it starts at the beginning of the topic."""
    row = {"view_group": group, "partition": partition, "position": 0, "next_offset": 0}
    await connection.execute(insert(CHECKPOINT).values(row).on_conflict_do_nothing())
    return (await read(connection, group))[partition]


async def read(connection: AsyncConnection, group: str, *, lock: bool = False) -> dict[int, Checkpoint]:
    """Partition -> checkpoint of a group. With `lock` no projector moves them until the transaction ends."""
    rows = select(CHECKPOINT).where(CHECKPOINT.c.view_group == group).order_by(CHECKPOINT.c.partition)
    found = await connection.execute(rows.with_for_update() if lock else rows)
    return {row.partition: Checkpoint(row.position, row.next_offset) for row in found}


#: Made once: to make it anew was a third of what a batch of one event costs.
MOVE = (
    update(CHECKPOINT)
    .where(
        CHECKPOINT.c.view_group == bindparam("group"),
        CHECKPOINT.c.partition == bindparam("of"),
        CHECKPOINT.c.position == bindparam("left"),
    )
    .values(position=bindparam("reached"), next_offset=bindparam("next"))
)


async def move(connection: AsyncConnection, group: str, partition: int, old: Checkpoint, new: Checkpoint) -> None:
    """Raises CheckpointMoved where the checkpoint is not `old` any more."""
    values = {"group": group, "of": partition, "left": old.position, "reached": new.position, "next": new.next_offset}
    moved = await connection.execute(MOVE, values)
    if moved.rowcount != 1:
        raise CheckpointMoved(f"view group {group}, partition {partition} has left position {old.position}")
