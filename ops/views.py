"""`bitcorp views`: how far each view is, and its rebuild from the log."""

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any

import asyncpg
from cyclopts import App, Parameter

from ops.console import AsJson, err, out, plain, progress, say, table, write_json
from ops.database import told
from ops.errors import Fault
from ops.records import consumer, last_positions
from ops.stack import resolve
from topics.settings import Settings
from views import GROUPS
from views.digest import Difference
from views.tables import SCHEMA
from views.view import Group

app = App(name="views", help="List the views, or rebuild some from the journal.")

Flag = Parameter(negative="")


@app.command(name="list")
def list_(*, json: AsJson = False) -> None:
    """Each view with its group, its rows, and how many records it is behind.

    Parameters
    ----------
    json
        One JSON object per view.
    """
    settings = resolve(Settings())
    with told(settings):
        rows = asyncio.run(_rows(settings))
    columns = ("view", "group", "rows", "position", "behind", "meaning of the group")
    if json:
        for row in rows:
            write_json(dict(zip(columns, row, strict=True)))
    else:
        out.print(table("Views", columns, rows))


async def _rows(settings: Settings) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(settings.database.get_secret_value(), timeout=10)
    try:
        at = await positions(connection)
        counts = {
            view.name: await connection.fetchval(f'SELECT count(*) FROM {SCHEMA}."{view.table.name}"')  # noqa: S608
            for group in GROUPS.values()
            for view in group.views
        }
    finally:
        await connection.close()
    with consumer(settings) as reader:
        ends = {group.source: last_positions(reader, f"{settings.prefix}.{group.source}") for group in GROUPS.values()}
    return [
        (view.name, group.name, counts[view.name], done, sum(ends[group.source].values()) - done, group.meaning)
        for group in GROUPS.values()
        for done in [sum(at.get((group.name, partition), 0) for partition in ends[group.source])]
        for view in group.views
    ]


async def positions(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[tuple[str, int], int]:
    """(view group, partition) -> the last position that is folded."""
    rows = await connection.fetch(f"SELECT view_group, partition, position FROM {SCHEMA}.view_checkpoint")  # noqa: S608
    return {(row["view_group"], row["partition"]): row["position"] for row in rows}


@app.command
def rebuild(name: str, /, *, accept_changes: Annotated[bool, Flag] = False) -> int:
    """Fold a view group again beside the live one, compare them, and put the new tables in place. Workers may run on.

    Exit code 1 if the new tables differ from the old ones; then the old ones stay.

    Parameters
    ----------
    name
        The view, or its group: views of one group move together.
    accept_changes
        Put the new tables in place although they differ, such as after a mended view.
    """
    from agents.rebuild import Progress, rebuild_view

    settings, group = resolve(Settings()), group_of(name)
    with told(settings), progress(f"Rebuilding {group.name}", 1.0) as advance:
        seen = 0.0

        def report(now: Progress) -> None:
            nonlocal seen
            share = now.done / max(1, now.total)
            advance(share - seen)
            seen = share

        result = asyncio.run(rebuild_view(settings, group.name, accept_changes=accept_changes, report=report))
    for line in _told(result.differences):
        err.print(plain(line, "red"), soft_wrap=True)
    if result.swapped:
        say(f"{group.name} is rebuilt from {result.messages} messages and live.", "green")
        return 0
    say(f"The old tables of {group.name} stay. To take the new ones: bitcorp views rebuild {name} --accept-changes")
    return 1


def group_of(name: str) -> Group:
    """The group of this name, or with a view of this name. Raises Fault."""
    for group in GROUPS.values():
        if name == group.name or name in (view.name for view in group.views):
            return group
    known = [view.name for group in GROUPS.values() for view in group.views]
    raise Fault(f"There is no view {name!r}. There are: {', '.join(known)}, in the groups {', '.join(GROUPS)}.")


def _told(differences: tuple[Difference, ...]) -> Iterator[str]:
    for difference in differences:
        yield f"{difference.table}: {difference.live.rows} rows live, {difference.copy.rows} in the new copy"
        yield from (f"  only live: {dict(row)}" for row in difference.only_live)
        yield from (f"  only new:  {dict(row)}" for row in difference.only_copy)
