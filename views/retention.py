"""Rows that are kept for a time only, as long as the topic that they come from keeps its records."""

from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from views.view import Group


async def prune(connection: AsyncConnection, group: Group, before: datetime) -> int:
    """Delete the group's rows recorded before a moment; gives their number. Groups that keep for ever lose nothing."""
    if group.keeps is None:
        return 0
    async with connection.begin():
        gone = [await connection.execute(delete(t).where(t.c.recorded_at < before)) for t in group.tables]
    return sum(result.rowcount for result in gone)
