"""`bitcorp views`: how far each view is, and its rebuild from the log."""

import asyncio
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

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
from views.rebuild import schema_of
from views.tables import SCHEMA
from views.view import Group

if TYPE_CHECKING:
    from agents.rebuild import Progress, Rebuilt, Report

REBUILD = "bitcorp views rebuild"
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
        rows, interrupted = asyncio.run(_rows(settings))
    columns = ("view", "group", "rows", "position", "behind", "meaning of the group")
    if json:
        for row in rows:
            write_json(dict(zip(columns, row, strict=True)))
    else:
        out.print(table("Views", columns, rows))
    for name in interrupted:
        say(f"A rebuild of {name} goes on, or was interrupted. To go on with it: {REBUILD} {name}; anew: --afresh")


async def _rows(settings: Settings) -> tuple[list[tuple[Any, ...]], list[str]]:
    """A row for each view, and the groups that have a copy beside them."""
    connection = await asyncpg.connect(settings.database.get_secret_value(), timeout=10)
    try:
        at = await positions(connection)
        counts = {
            view.name: await connection.fetchval(f'SELECT count(*) FROM {SCHEMA}."{view.table.name}"')  # noqa: S608
            for group in GROUPS.values()
            for view in group.views
        }
        schemas = {row["nspname"] for row in await connection.fetch("SELECT nspname FROM pg_namespace")}
    finally:
        await connection.close()
    with consumer(settings) as reader:
        ends = {group.source: last_positions(reader, f"{settings.prefix}.{group.source}") for group in GROUPS.values()}
    rows = [
        (view.name, group.name, counts[view.name], done, sum(ends[group.source].values()) - done, group.meaning)
        for group in GROUPS.values()
        for done in [sum(at.get((group.name, partition), 0) for partition in ends[group.source])]
        for view in group.views
    ]
    return rows, [group.name for group in GROUPS.values() if schema_of(group) in schemas]


async def positions(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[tuple[str, int], int]:
    """(view group, partition) -> the last position that is folded."""
    rows = await connection.fetch(f"SELECT view_group, partition, position FROM {SCHEMA}.view_checkpoint")  # noqa: S608
    return {(row["view_group"], row["partition"]): row["position"] for row in rows}


@app.command
def rebuild(
    name: str, /, *, accept_changes: Annotated[bool, Flag] = False, afresh: Annotated[bool, Flag] = False
) -> int:
    """Fold a view group again beside the live one, compare them, and put the new tables in place. Workers may run on.

    Readers see the old tables until then. A rebuild that was interrupted (Ctrl-C, SIGTERM, a crash) goes on where it
    stopped when it is called again. Exit code 1 if the new tables differ from the old ones; then the old ones stay.

    Parameters
    ----------
    name
        The view, or its group: views of one group move together.
    accept_changes
        Put the new tables in place although they differ, such as after a mended view.
    afresh
        Begin anew, and drop what an interrupted rebuild has left.
    """
    settings, group = resolve(Settings()), group_of(name)
    try:
        with told(settings):
            result = _rebuilt(settings, group, accept_changes, afresh)
    except KeyboardInterrupt:
        say(f"Interrupted; the old tables of {group.name} are live. To go on where this stopped: {REBUILD} {name}")
        raise
    for line in _told(result.differences):
        err.print(plain(line, "red"), soft_wrap=True)
    if result.swapped:
        say(f"{group.name} is rebuilt from {result.messages} messages and live.", "green")
        return 0
    say(f"The old tables of {group.name} stay. To take the new ones: {REBUILD} {name} --accept-changes")
    return 1


def _rebuilt(settings: Settings, group: Group, accept_changes: bool, afresh: bool) -> "Rebuilt":
    with progress(f"Rebuilding {group.name}", 1.0) as advance:
        seen: float | None = None

        def report(now: "Progress") -> None:
            nonlocal seen
            if seen is None and now.done:
                say(f"Going on at message {now.done} of {now.total}, where a rebuild was interrupted.")
            share = now.done / max(1, now.total)
            advance(share - (seen or 0.0))
            seen = share

        return asyncio.run(_until_told(settings, group, accept_changes, afresh, report))


async def _until_told(
    settings: Settings, group: Group, accept_changes: bool, afresh: bool, report: "Report"
) -> "Rebuilt":
    """Told to stop by SIGTERM it ends as by Ctrl-C: cleanly, with its copy kept."""
    from agents.rebuild import rebuild_view

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, signal.raise_signal, signal.SIGINT)
    return await rebuild_view(settings, group.name, accept_changes=accept_changes, afresh=afresh, report=report)


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
