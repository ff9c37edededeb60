"""The views against the fold: machines column by column, others by what a fold of versions and answers tells."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import asyncpg

from ops.fire.checker.answers import Answers
from ops.fire.checker.findings import VIEW_DIFFERS, Findings
from ops.fire.checker.journal import Journal
from topics.settings import Settings

#: The role that sees the rows of all companies.
ROLE = "erp_writer"
#: Table -> the column of its rows' id, for tables with one row for each aggregate that there ever was.
IDS = {"companies": "company_id", "users": "user_id", "categories": "category_id", "parts": "part_id"}
AGGREGATES = {"companies": "company", "users": "user", "categories": "category", "parts": "part"}

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Rows = Mapping[tuple[str, ...], Any]


def compare_rows(
    settings: Settings, journals: Sequence[Journal], answers: Sequence[Answers], findings: Findings
) -> None:
    """All in one snapshot of the database."""
    asyncio.run(_compare(settings, journals, answers, findings))


async def _compare(
    settings: Settings, journals: Sequence[Journal], answers: Sequence[Answers], findings: Findings
) -> None:
    connection = await asyncpg.connect(settings.database.get_secret_value(), timeout=10)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(f"SET LOCAL ROLE {ROLE}")
            differ("equipment", await _machines(connection), _folded_machines(journals), findings)
            for table, column in IDS.items():
                live = await _versions(connection, table, column)
                differ(table, live, _folded_versions(journals, AGGREGATES[table]), findings)
            differ("outcomes", await _outcomes(connection), _first_answers(answers), findings)
            differ("counts", await _counts(connection), _folded_counts(journals), findings)
    finally:
        await connection.close()


def differ(table: str, live: Rows, folded: Rows, findings: Findings) -> None:
    """Name each row that is not as it should be."""
    findings.saw(f"rows of {table}", len(folded))
    for key in sorted(live.keys() | folded.keys()):
        if live.get(key) != folded.get(key):
            detail = f"the view has {_short(live.get(key), folded.get(key))}"
            findings.add(VIEW_DIFFERS, f"{table} {'/'.join(key)}", detail)


def _short(live: Any, folded: Any) -> str:
    """The columns that differ, or all where one side has no row."""
    if isinstance(live, dict) and isinstance(folded, dict):
        names = [name for name in folded if live.get(name) != folded[name]]
        live, folded = ({name: side.get(name) for name in names} for side in (live, folded))
    return f"{live}, folded {folded}"


async def _machines(connection: Connection) -> Rows:
    rows = await connection.fetch("SELECT * FROM erp.equipment")
    return {(row["company_id"], row["equipment_id"]): dict(row) for row in rows}


def _folded_machines(journals: Sequence[Journal]) -> Rows:
    return {key: machine.shown() for journal in journals for key, machine in journal.machines.items()}


async def _versions(connection: Connection, table: str, column: str) -> Rows:
    question = f"SELECT company_id, {column} AS id, version FROM erp.{table}"  # noqa: S608 - names of our own
    return {(row["company_id"], row["id"]): row["version"] for row in await connection.fetch(question)}


def _folded_versions(journals: Sequence[Journal], aggregate: str) -> Rows:
    found = (item for journal in journals for item in journal.versions.items())
    return {(company, id_): version for (company, kind, id_), version in found if kind == aggregate}


async def _outcomes(connection: Connection) -> Rows:
    rows = await connection.fetch("SELECT company_id, command_id::text AS id, status, code FROM erp.outcomes")
    return {(row["company_id"], row["id"]): (row["status"], row["code"]) for row in rows}


def _first_answers(answers: Sequence[Answers]) -> Rows:
    return {key: (first.status, first.code) for part in answers for key, first in part.first.items()}


async def _counts(connection: Connection) -> Rows:
    return {
        ("history",): await connection.fetchval("SELECT count(*) FROM erp.history"),
        ("maintenance_jobs",): await connection.fetchval("SELECT count(*) FROM erp.maintenance_jobs"),
    }


def _folded_counts(journals: Sequence[Journal]) -> Rows:
    machines = (machine for journal in journals for machine in journal.machines.values())
    return {
        ("history",): sum(journal.events for journal in journals),
        ("maintenance_jobs",): sum(len(machine.jobs) for machine in machines),
    }
