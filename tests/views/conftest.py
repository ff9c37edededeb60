"""A database with views, and a world: one company's journal, its views, and those who read them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Select, Table, select
from sqlalchemy.ext.asyncio import AsyncEngine

from domain import CREDENTIALS
from domain.model import Event
from domain.record import Audited, Outcome, SetAside
from ops.embedded import Stack
from tests.databases import database_of
from tests.views.journal import Answers, Journal, Letters
from views import GROUPS, VIEWS
from views.checkpoints import Checkpoint, assigned
from views.migrate import upgrade
from views.projecting import Entry, apply
from views.reading import engine, read_engine, reading, write_engine
from views.resource import Item, Page, Resource, one, page, parse
from views.view import Group

NUMBERS = count()


@pytest.fixture(scope="session")
def schema(stack: Stack) -> Iterator[str]:
    """The DSN of a database with the views' schema, for all tests that bring their own companies."""
    with database_of(stack.postgres.dsn) as dsn:
        asyncio.run(upgrade(dsn))
        yield dsn


@dataclass
class World:
    """A company and a partition that no other test has."""

    company: str
    journal: Journal
    answers: Answers
    letters: Letters
    dsn: str
    owner: AsyncEngine
    writers: AsyncEngine
    readers: AsyncEngine

    async def tell(self, *events: Event, company: str | None = None, by: str = "user:ada") -> list[Entry]:
        """The events happen, and all views follow."""
        entries = self.journal.tell(*events, company=company or self.company, by=by)
        for name in ("fleet", "history"):
            await self.project(GROUPS[name], entries)
        return entries

    async def project(self, group: Group, entries: list[Entry]) -> Checkpoint:
        async with self.writers.connect() as connection:
            async with connection.begin():
                at = await assigned(connection, group.name, self.journal.partition)
            return await apply(connection, group, self.journal.partition, entries, at)

    async def again(self, entries: list[Entry]) -> None:
        """The same messages once more, and no checkpoint knows them: as a database that has lost its last seconds."""
        moved = [Entry(place + 1, place, entry.content) for place, entry in enumerate(entries)]
        source = source_of(entries[0])
        async with self.writers.connect() as connection:
            for group in (group for group in GROUPS.values() if group.source == source):
                partition = next(NUMBERS)
                async with connection.begin():
                    at = await assigned(connection, group.name, partition)
                await apply(connection, group, partition, moved, at)

    async def rows(self) -> dict[str, list[Any]]:
        """Everything that the tables hold of the company."""
        async with self.writers.connect() as connection:
            return {view.table.name: list(await connection.execute(self._all_of(view.table))) for view in VIEWS}

    def _all_of(self, table: Table) -> Select[Any]:
        return select(table).where(table.c.company_id == self.company).order_by(*table.primary_key)

    async def see(self, resource: Resource[Item], **key: str) -> Item | None:
        async with reading(self.readers, self.company) as reader:
            return await one(reader, resource, key)

    async def list(self, resource: Resource[Item], path: dict[str, str] | None = None, **query: str) -> Page[Item]:
        async with reading(self.readers, self.company) as reader:
            return await page(reader, resource, parse(resource, query.items(), path))


def source_of(entry: Entry) -> str:
    """The topic, without prefix, that such an entry is read from."""
    if isinstance(entry.content, Outcome):
        return "outcomes"
    if isinstance(entry.content, Audited):
        return "audit"
    if isinstance(entry.content, SetAside):
        return "dead-letters"
    return "credentials.events" if entry.content.aggregate in CREDENTIALS.by_name else "events"


@pytest.fixture
async def world(schema: str) -> AsyncIterator[World]:
    number = next(NUMBERS)
    pools = engine(schema), write_engine(schema), read_engine(schema)
    yield World(f"acme-{number}", Journal(number), Answers(number), Letters(number), schema, *pools)
    for pool in pools:
        await pool.dispose()
