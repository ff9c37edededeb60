"""Pages of a list with a million machines: over HTTP beside the same statement asked of PostgreSQL as it is."""

import time
from collections.abc import Awaitable, Iterator, Mapping
from itertools import cycle, islice
from typing import Any, NamedTuple
from urllib.parse import urlencode

import aiohttp
import asyncpg
from sqlalchemy import text

from bench.running import Running, running
from bench.workers import percentile
from domain.model import Id
from topics.settings import Settings
from views import cursor
from views.equipment import EQUIPMENT
from views.equipment import table as machines
from views.protection import READER
from views.reading import engine
from views.resource import DEFAULT_LIMIT, LineOfText, parse

COMPANY, PLACES, DEPTHS = "bench-0", 1000, 97

#: Machines as a projection would have left them: with all columns that the list shows, spread over places.
FILL = """
INSERT INTO erp.equipment (company_id, equipment_id, name, serial_number, category_id, manufacturer, model,
    in_service_on, purchase_price, purchase_currency, place, in_maintenance, created_at, version, updated_at)
SELECT :company, 'M-' || n, 'Excavator ' || lpad(n::text, 9, '0'), 'EQ-2026-BX-' || lpad(n::text, 9, '0'), 'rig',
    'Komatsu', 'PC210LC-11', '2026-01-01', 125000, 'EUR', 'yard-' || n % :places, false, now(), 1, now()
FROM generate_series(1, :machines) AS n
"""

BARE = """
SELECT machine.*, category.name AS category_name, company.name AS company_name, person.name AS assignee_name
FROM erp.equipment AS machine
LEFT JOIN erp.companies AS company ON company.company_id = machine.company_id
LEFT JOIN erp.categories AS category
    ON category.company_id = machine.company_id AND category.category_id = machine.category_id
LEFT JOIN erp.users AS person
    ON machine.assignee_kind = 'user' AND person.company_id = machine.company_id
    AND person.user_id = machine.assignee_id
WHERE machine.company_id = $1 AND {condition}
ORDER BY machine.name, machine.equipment_id LIMIT {limit}
"""


class Page(NamedTuple):
    """One page, as the API is asked and as PostgreSQL is."""

    query: Mapping[str, str]
    condition: str
    values: tuple[str, ...]

    @property
    def statement(self) -> str:
        return BARE.format(condition=self.condition, limit=DEFAULT_LIMIT + 1)


async def run(settings: Settings, machines: int = 1_000_000, reads: int = 1000) -> dict[str, float]:
    """p50 and p99 of both in milliseconds, one read after the other, and the ratio of the two p99."""
    async with running(settings, "listing") as system:
        dsn = system.settings.database.get_secret_value()
        await fill(dsn, machines)
        bare = await asyncpg.connect(dsn, server_settings={"role": READER, "erp.company": COMPANY})
        async with system.client() as session:
            asked, plain = await _measure(session, system, bare, machines, reads)
        await bare.close()
    return {
        "machines": machines,
        "http_p50_ms": percentile(asked, 0.5),
        "http_p99_ms": percentile(asked, 0.99),
        "sql_p50_ms": percentile(plain, 0.5),
        "sql_p99_ms": percentile(plain, 0.99),
        "ratio": round(percentile(asked, 0.99) / percentile(plain, 0.99), 2),
    }


async def fill(dsn: str, count: int) -> None:
    """Put so many machines of one company into the view; its indexes are made afterwards, and nothing is counted."""
    pool = engine(dsn, statement_seconds=0, maintenance_work_mem="512MB")
    async with pool.begin() as connection:
        await connection.execute(text("ALTER TABLE erp.equipment DISABLE TRIGGER USER"))
        for index in machines.indexes:
            await connection.run_sync(index.drop)
        await connection.execute(text(FILL), {"company": COMPANY, "places": PLACES, "machines": count})
        for index in machines.indexes:
            await connection.run_sync(index.create)
        await connection.execute(text("ALTER TABLE erp.equipment ENABLE TRIGGER USER"))
        await connection.execute(text("ANALYZE erp.equipment"))
    await pool.dispose()


async def _measure(
    session: aiohttp.ClientSession, system: Running, bare: Any, count: int, reads: int
) -> tuple[list[float], list[float]]:
    bearer = system.bearer(COMPANY)
    asked: list[float] = []
    plain: list[float] = []
    for page in islice(cycle(_pages(count)), reads + DEPTHS):
        asked.append(await _timed(_ask(session, page, bearer)))
        plain.append(await _timed(_fetch(bare, page)))
    return asked[DEPTHS:], plain[DEPTHS:]


def _pages(count: int) -> Iterator[Page]:
    """The first page, pages of places, and pages that begin anywhere in the list."""
    for depth in range(DEPTHS):
        here = depth * count // DEPTHS + 1
        name, equipment_id, place = f"Excavator {here:09}", f"M-{here}", f"yard-{here % PLACES}"
        yield Page({}, "true", ())
        yield Page({"place": place}, "machine.place = $2", (place,))
        after = cursor.write(parse(EQUIPMENT, {}.items()).fingerprint, (LineOfText, Id), (name, equipment_id))
        yield Page({"cursor": after}, "(machine.name, machine.equipment_id) > ($2, $3)", (name, equipment_id))


async def _timed(work: Awaitable[int]) -> float:
    began = time.perf_counter()
    found = await work
    assert found
    return time.perf_counter() - began


async def _ask(session: aiohttp.ClientSession, page: Page, bearer: Mapping[str, str]) -> int:
    async with session.get(f"/api/v1/equipment?{urlencode(page.query)}", headers=bearer) as answer:
        assert answer.status == 200, await answer.text()
        return len(await answer.read())


async def _fetch(bare: Any, page: Page) -> int:
    return len(await bare.fetch(page.statement, COMPANY, *page.values))
