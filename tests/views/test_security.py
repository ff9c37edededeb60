"""Row-level security: the second lock, which holds when every filter above it is forgotten."""

from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import ProgrammingError

from domain.equipment import MeterReadingRecorded
from domain.maintenance import Meter
from tests.domain.acme import (
    ACME,
    BROKEN,
    EXCAVATOR,
    FILTER,
    PLANNED,
    PLANT,
    STOREKEEPER,
    depreciated,
    received,
    scheduled,
)
from tests.domain.credentials import INVITED, PASSWORD
from tests.domain.samples import DISCARDED, LOADER
from tests.views.conftest import World
from views import GROUPS, RESOURCES, VIEWS
from views.credentials import held
from views.equipment import EQUIPMENT
from views.reading import read_engine, reading, sign_in_engine
from views.resource import page, parse
from views.tables import CHECKPOINT, is_secret

#: What the readers of all views see; secret tables have a reader of their own.
OPEN = tuple(view for view in VIEWS if not is_secret(view.table))

READ = MeterReadingRecorded(equipment_id="ex-7", meter=Meter.HOURS, reading="4210.5")


async def settle(world: World) -> None:
    """Something in every table, for this company and for another."""
    for company in (world.company, f"not-{world.company}"):
        firm = ACME[0].model_copy(update={"company_id": company})
        happened = (
            *ACME[1:],
            STOREKEEPER,
            PLANT,
            EXCAVATOR,
            scheduled(),
            BROKEN,
            READ,
            depreciated(),
            LOADER,
            FILTER,
            received(),
            PLANNED,
            DISCARDED,
        )
        await world.tell(firm, *happened, company=company)
        await world.project(GROUPS["outcomes"], [world.answers.give(uuid4(), company)])
        await world.project(GROUPS["audit"], [world.answers.tell(uuid4(), company)])
        await world.project(GROUPS["dead-letters"], [world.letters.add(world.letters.command(company, 0, uuid4()))])


async def test_a_reader_sees_rows_of_the_company_named_and_of_no_other(world: World) -> None:
    await settle(world)
    async with reading(world.readers, world.company) as reader:
        for view in OPEN:
            companies = set((await reader.connection.execute(select(view.table.c.company_id))).scalars())
            assert companies == {world.company}, view.name


async def test_a_reader_who_names_no_company_sees_nothing(world: World) -> None:
    await settle(world)
    async with reading(world.readers, "") as reader, world.readers.connect() as unnamed:
        for view in OPEN:
            everything = select(func.count()).select_from(view.table)
            assert await unnamed.scalar(everything) == 0, view.name
            assert await reader.connection.scalar(everything) == 0, view.name


async def test_a_company_named_in_one_transaction_is_forgotten_in_the_next(world: World) -> None:
    await settle(world)
    one = read_engine(world.dsn, connections=1)
    async with reading(one, world.company) as reader:
        assert await reader.connection.scalar(select(func.count()).select_from(VIEWS[0].table)) == 1
    async with one.connect() as connection:
        assert await connection.scalar(text("SELECT current_setting('erp.company', true)")) == ""
        assert await connection.scalar(select(func.count()).select_from(VIEWS[0].table)) == 0
    await one.dispose()


async def test_without_our_own_filter_the_lists_still_show_one_company(world: World) -> None:
    await settle(world)
    async with reading(world.readers, world.company) as reader:
        for resource in RESOURCES:
            rows = (await reader.connection.execute(resource.rows)).mappings().all()
            assert {row["company_id"] for row in rows} == {world.company}, resource.name


async def test_search_finds_machines_of_the_company_named_and_of_no_other(world: World) -> None:
    await settle(world)
    for company, found in ((world.company, 1), ("nobody", 0), ("", 0)):
        async with reading(world.readers, company) as reader:
            query = parse(EQUIPMENT, [("q", "excavator")])
            assert len((await page(reader, EQUIPMENT, query)).items) == found
            ids = await reader.connection.execute(text("SELECT erp.find_equipment('%', 100)"))
            assert len(ids.all()) == found


async def test_nobody_but_the_sign_in_reads_what_passwords_are_compared_with(world: World) -> None:
    here, there = (world.company, f"not-{world.company}")
    for company in (here, there):
        entries = world.journal.tell(INVITED, PASSWORD, company=company)
        await world.project(GROUPS["credentials"], entries)
    async with reading(world.readers, here) as reader:
        with pytest.raises(ProgrammingError, match="permission denied"):
            await held(reader, "tess")
    pool = sign_in_engine(world.dsn)
    async with reading(pool, here) as reader:
        companies = await reader.connection.execute(text("SELECT company_id FROM erp.credentials"))
        assert set(companies.scalars()) == {here}
        with pytest.raises(ProgrammingError, match="permission denied"):
            await reader.connection.execute(text("SELECT * FROM erp.users"))
    await pool.dispose()


async def test_a_reader_changes_nothing(world: World) -> None:
    async with world.readers.connect() as connection:
        for view in VIEWS:
            for statement in (f"DELETE FROM {view.table}", f"INSERT INTO {view.table} DEFAULT VALUES"):
                with pytest.raises(ProgrammingError, match="permission denied"):
                    await connection.execute(text(statement))
                await connection.rollback()


async def test_a_reader_sees_checkpoints_and_moves_none(world: World) -> None:
    async with world.readers.connect() as connection:
        await connection.execute(select(CHECKPOINT))
        with pytest.raises(ProgrammingError, match="permission denied"):
            await connection.execute(text(f"UPDATE {CHECKPOINT} SET position = 0"))


async def test_no_role_of_ours_is_above_row_level_security(schema: str) -> None:
    connection = await asyncpg.connect(schema)
    roles = await connection.fetch("SELECT * FROM pg_roles WHERE rolname LIKE 'erp\\_%'")
    forced = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'erp'::regnamespace AND relkind = 'r' "
        "AND relrowsecurity AND relforcerowsecurity"
    )
    await connection.close()
    assert {role["rolname"] for role in roles} == {"erp_reader", "erp_writer", "erp_search", "erp_sign_in"}
    assert not any(role["rolsuper"] or role["rolbypassrls"] or role["rolcanlogin"] for role in roles)
    assert {row["relname"] for row in forced} == {view.table.name for view in VIEWS}
