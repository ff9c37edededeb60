"""Applying messages of one partition to the views of one group: each exactly once, in one transaction per batch."""

from bisect import bisect_left
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from views.checkpoints import Checkpoint, CheckpointMoved, Driver, move
from views.tables import SCHEMA
from views.view import Content, Group, Statement

Run = tuple[Statement, list[tuple[Any, ...]]]


class PositionGap(Exception):
    """A position is missing from the log. Going on would leave a hole in the views, so the partition stops here."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message in its place; positions are gap-free within a partition, offsets are where Kafka keeps it."""

    position: int
    offset: int
    content: Content


async def apply(
    connection: AsyncConnection,
    group: Group,
    partition: int,
    entries: Sequence[Entry],
    at: Checkpoint,
    schema: str = SCHEMA,
) -> Checkpoint:
    """Change the views by what lies beyond the checkpoint and move it, all in one transaction; gives the new one.

    Raises PositionGap after applying what lies before it, and CheckpointMoved where another projector was here; then
    nothing is changed.
    """
    fresh, seen, gap = before_gap(entries, at.position)
    new = Checkpoint(at.position + len(fresh), entries[seen - 1].offset + 1) if seen else at
    if seen:
        async with _transaction(connection) as driver:
            await move(driver, schema, group.name, partition, at, new)
            for statement, rows in runs(group, (entry.content for entry in fresh)):
                await driver.executemany(statement.text(schema), rows)
    if gap is not None:
        raise gap
    return new


async def start_at(
    connection: AsyncConnection, group: Group, partition: int, first: Entry, at: Checkpoint
) -> Checkpoint:
    """Move the checkpoint to just before the first entry that the topic still has; gives the new one."""
    new = Checkpoint(max(at.position, first.position - 1), first.offset)
    async with _transaction(connection) as driver:
        await move(driver, SCHEMA, group.name, partition, at, new)
    return new


@asynccontextmanager
async def _transaction(connection: AsyncConnection) -> AsyncIterator[Driver]:
    """The driver's own: the way through SQLAlchemy would be a third of what a batch of one event costs.

    A connection on which one breaks off does not go back to the pool, which knows nothing of it: where a task is
    cancelled in a BEGIN, the driver takes the next transaction for a part of the one begun, and commits neither.
    """
    driver: Any = (await connection.get_raw_connection()).driver_connection
    try:
        async with driver.transaction():
            yield driver
    except CheckpointMoved:
        raise
    except BaseException:
        await connection.invalidate()
        raise


def before_gap(entries: Sequence[Entry], position: int) -> tuple[list[Entry], int, PositionGap | None]:
    """The entries that follow `position`, each once; how many were looked at for them; and the gap that ended that."""
    fresh: list[Entry] = []
    for seen, entry in enumerate(entries):
        if entry.position > position + 1:
            found = f"position {position + 1} is missing: offset {entry.offset} holds position {entry.position}"
            return fresh, seen, PositionGap(found)
        if entry.position == position + 1:
            fresh.append(entry)
            position += 1
    return fresh, len(entries), None


def runs(group: Group, contents: Iterable[Content]) -> list[Run]:
    """Changes gathered by statement, each run one `executemany`, with the changes of each aggregate in their order.

    A change joins the earliest run of its statement that does not lie before the aggregate's last change.
    """
    found: list[Run] = []
    places: dict[Statement, list[int]] = {}
    reached: dict[tuple[str, str, str], int] = {}
    for content in contents:
        aggregate = (content.company_id, content.aggregate, content.aggregate_id)
        for change in group.changes(content):
            own = places.setdefault(change.statement, [])
            nearest = bisect_left(own, reached.get(aggregate, 0))
            if nearest == len(own):
                own.append(len(found))
                found.append((change.statement, []))
            reached[aggregate] = own[nearest]
            found[own[nearest]][1].append(change.values)
    return found
