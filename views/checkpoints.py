"""How far each view group has come in each partition: what a projector moves and a reader waits for."""

from dataclasses import dataclass
from typing import TypeAlias

import asyncpg
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from views.tables import CHECKPOINT

Driver: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

MOVE = """
UPDATE {schema}.view_checkpoint SET position = $4, next_offset = $5
WHERE view_group = $1 AND partition = $2 AND position = $3
"""


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


async def move(driver: Driver, schema: str, group: str, partition: int, old: Checkpoint, new: Checkpoint) -> None:
    """Raises CheckpointMoved where the checkpoint is not `old` any more."""
    moved = await driver.execute(
        MOVE.format(schema=schema), group, partition, old.position, new.position, new.next_offset
    )
    if moved != "UPDATE 1":
        raise CheckpointMoved(f"view group {group}, partition {partition} has left position {old.position}")
