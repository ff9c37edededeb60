"""`bitcorp import`: machines from another ERP's file, what that would change, and the way back."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

from cyclopts import App, Parameter
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.asset import AssetRecord, UndoAssetImport
from domain.mapping import Mapping as Tables
from domain.mapping import Quarantined, Understood, understand
from domain.model import Money
from domain.record import Outcome, Status
from ops.console import AsJson, out, progress, say, table, write_json
from ops.database import told
from ops.errors import Fault
from ops.import_files import BadLine, read
from ops.records import Bounds, bounds, consumer, last_positions, partitions, read_several
from ops.stack import resolve
from topics.catalogue import DEAD_LETTERS, EVENTS, OUTCOMES
from topics.cloudevents import Record
from topics.imports import Mappings, RawRecord, import_command, raw_of_line, undo_command, write_raw
from topics.messages import read_dead_letter, read_outcome
from topics.settings import Settings
from views.assets import ASSETS
from views.assets import table as assets
from views.reading import write_engine
from views.tables import CHECKPOINT

AT_ONCE = 500
LOOK_SECONDS = 0.3
SHOWN = 200

NEW, CHANGED, UNCHANGED, UNREADABLE, UNANSWERED = "new", "changed", "unchanged", "unreadable", "no answer"
UNDONE, UNDONE_BEFORE = "undone", "undone before"
WELL = {NEW, CHANGED, UNCHANGED, UNDONE, UNDONE_BEFORE}

app = App(name="import", help="Import machines from another ERP's file, and take an import back.")

T = TypeVar("T")


class Row(NamedTuple):
    """What became of one line, or would: `said` is one of the words above or a reason."""

    line: int
    asset: str
    said: str
    detail: str = ""


class Read(NamedTuple):
    """One line of a file that holds a record: as written, and as understood where the mapping understands it."""

    raw: RawRecord
    understood: Understood | None
    fault: Quarantined | None


@app.default
async def bring(
    file: Path,
    /,
    *,
    source: str,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    id: str | None = None,  # noqa: A002
    wait: float = 60,
    json: AsJson = False,
) -> int:
    """Import a file: each record becomes a machine or changes the one that it became before.

    Lines that cannot be read are told and left out; records that the mapping does not understand go to the dead
    letters. The same records again do nothing. Exit code 1 if anything was left out or refused.

    Parameters
    ----------
    file
        .csv, .xlsx (its first sheet) or .jsonl, with the fields that the source's mapping names.
    source
        The other system: its mapping is <source>.toml in BITCORP_MAPPINGS.
    dry_run
        Only say what would change; lanes may yet refuse some of it.
    id
        The id of an import that was interrupted: what was done stays done.
    wait
        Seconds to wait after the last answer.
    json
        One JSON object per line that is new, changed or left out, then one with the counts.
    """
    from uuid_utils.compat import uuid7

    settings = resolve(Settings())
    mapping = _mapping(settings, source)
    import_id = id or str(uuid7())
    reads, rows = _lines(file, mapping, import_id)
    if dry_run:
        with told(settings):
            rows += await _differences(settings, reads)
        return _show(rows, "Would be imported", json)
    rows += await _imported(settings, reads, import_id, wait)
    if not json:
        say(f"Import {import_id}. To take it back: bitcorp import undo {import_id}")
    return _show(rows, f"Import {import_id}", json)


def _mapping(settings: Settings, source: str) -> Tables:
    try:
        return Mappings(settings.mappings).of(source)
    except Quarantined as said:
        raise Fault(f"{said.detail} Mappings are looked for in {settings.mappings.absolute()}.") from said


def _lines(file: Path, mapping: Tables, import_id: str) -> tuple[list[Read], list[Row]]:
    """The file's records, and what is wrong with lines that hold none."""
    reads, bad = [], []
    for line in read(file, mapping):
        if isinstance(line, BadLine):
            bad.append(Row(line.number, "", UNREADABLE, line.reason))
        else:
            reads.append(_understood(mapping, raw_of_line(mapping.source, import_id, line.number, line.data)))
    return reads, bad


def _understood(mapping: Tables, raw: RawRecord) -> Read:
    try:
        return Read(raw, understand(mapping, raw.fields, raw.import_id), None)
    except Quarantined as said:
        return Read(raw, None, said)


# --- what would change ----------------------------------------------------------------------------------------------


async def _differences(settings: Settings, reads: Sequence[Read]) -> list[Row]:
    """What each record would change of what was imported last; of an asset that comes twice, of the record before."""
    rows: list[Row] = []
    known: dict[tuple[str, str], AssetRecord] = {}
    async with _database(settings) as connection:
        for some in _groups(reads, AT_ONCE):
            wanted = [read.understood for read in some if read.understood]
            known = await _known(connection, {_asset_of(found) for found in wanted} - known.keys()) | known
            for read in some:
                rows.append(_difference(read, known))
                if read.understood:
                    known[_asset_of(read.understood)] = read.understood.command.record
    return rows


def _difference(read: Read, known: Mapping[tuple[str, str], AssetRecord]) -> Row:
    if read.understood is None:
        return _set_aside(read)
    asset, record = _asset_of(read.understood), read.understood.command.record
    last = known.get(asset)
    if last is None:
        return Row(read.raw.line, asset[1], NEW, f"{record.name}, {record.state}")
    changes = [
        f"{name}: {_plain(before)} -> {_plain(after)}"
        for name, after in vars(record).items()
        if (before := getattr(last, name)) != after
    ]
    return Row(read.raw.line, asset[1], CHANGED if changes else UNCHANGED, "; ".join(changes))


def _plain(value: Any) -> str:
    if isinstance(value, Money):
        return f"{value.amount} {value.currency}"
    return "(none)" if value is None else str(value)


def _set_aside(read: Read) -> Row:
    assert read.fault is not None
    return Row(read.raw.line, "", f"quarantined: {read.fault.cause}", read.fault.detail)


def _asset_of(understood: Understood) -> tuple[str, str]:
    return understood.company_id, understood.command.asset_id


async def _known(connection: AsyncConnection, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], AssetRecord]:
    """The records imported last, as far as the views have come."""
    ids = {asset_id for _, asset_id in wanted}
    columns = (assets.c.company_id, assets.c.asset_id, assets.c.record)
    companies = {company for company, _ in wanted}
    question = select(*columns).where(assets.c.company_id.in_(companies), assets.c.asset_id.in_(ids))
    found = await connection.execute(question)
    return {(row.company_id, row.asset_id): AssetRecord.model_validate(row.record, strict=False) for row in found}


# --- imported -------------------------------------------------------------------------------------------------------


class Answers:
    """What has been said of an import's records, from the ends of outcomes and dead letters on."""

    def __init__(self, settings: Settings, reader: Any, import_id: str, reads: Sequence[Read]) -> None:
        self._reader = reader
        self._import_id = import_id.encode()
        self._topics = (OUTCOMES.named(settings.prefix), DEAD_LETTERS.named(settings.prefix))
        self._at = {topic: self._bounds(topic) for topic in self._topics}
        self._commands = {import_command(read.raw, read.understood).id: read for read in reads if read.understood}
        self._raws = {read.raw.id: read for read in reads}
        self.rows: dict[str, Row] = {}

    def _bounds(self, topic: str) -> dict[int, Bounds]:
        return {partition: bounds(self._reader, topic, partition) for partition in partitions(self._reader, topic)}

    def look(self) -> int:
        """Take in what has come; gives how many records were answered for the first time."""
        before = len(self.rows)
        for topic in self._topics:
            now = self._bounds(topic)
            parts = {partition: (self._at[topic][partition].end, found.end) for partition, found in now.items()}
            for record in read_several(self._reader, topic, parts):
                self._take(record)
            self._at[topic] = now
        return len(self.rows) - before

    def _take(self, record: Record) -> None:
        said = dict(record.headers)
        if record.topic == self._topics[0]:
            if said.get("ce_correlationid") == self._import_id:
                self._decided(read_outcome(record)[0])
        elif (found := self._raws.get((said.get("ce_id") or b"").decode("utf-8", "replace"))) is not None:
            letter = read_dead_letter(record)
            self.rows.setdefault(found.raw.id, Row(found.raw.line, "", letter.reason, letter.detail))

    def _decided(self, outcome: Outcome) -> None:
        found = self._commands.get(outcome.command_id)
        if found is not None:
            row = Row(found.raw.line, outcome.aggregate_id, _said(outcome), outcome.detail or "")
            self.rows.setdefault(found.raw.id, row)


def _said(outcome: Outcome) -> str:
    if outcome.status is not Status.ACCEPTED:
        return f"{outcome.status}: {outcome.code}"
    if outcome.first is None:
        return UNCHANGED
    return NEW if outcome.version == 1 else CHANGED


async def _imported(settings: Settings, reads: Sequence[Read], import_id: str, wait: float) -> list[Row]:
    """Publish the records, and what was said of each within the time."""
    with consumer(settings) as reader:
        answers = Answers(settings, reader, import_id, reads)
        await _publish(settings, reads)
        with progress("Waiting for answers", len(reads)) as done:
            _wait(answers, len(reads), wait, done)
    unanswered = [read for read in reads if read.raw.id not in answers.rows]
    return [*answers.rows.values(), *(Row(read.raw.line, "", UNANSWERED) for read in unanswered)]


async def _publish(settings: Settings, reads: Sequence[Read]) -> None:
    """A record of which nobody knows the company goes by its source."""
    async with _publisher(settings) as publisher:
        with progress("Publishing", len(reads)) as done:
            for some in _groups(reads, AT_ONCE):
                keys = [read.understood.company_id if read.understood else read.raw.source for read in some]
                await publisher.send_records(
                    write_raw(read.raw, key, settings.prefix) for read, key in zip(some, keys, strict=True)
                )
                done(len(some))


def _wait(answers: Answers, wanted: int, wait: float, done: Callable[[float], None]) -> None:
    heard = time.monotonic()
    while len(answers.rows) < wanted and time.monotonic() - heard < wait:
        if came := answers.look():
            heard = time.monotonic()
            done(came)
        time.sleep(LOOK_SECONDS)


@asynccontextmanager
async def _publisher(settings: Settings) -> Any:
    from topics import logs
    from topics.publisher import Publisher

    logs.configure(settings.model_copy(update={"log_level": "error"}), "shell")
    publisher = Publisher(settings)
    await publisher.start()
    try:
        yield publisher
    finally:
        await publisher.stop()


@asynccontextmanager
async def _database(settings: Settings) -> Any:
    pool = write_engine(settings.database.get_secret_value())
    try:
        async with pool.connect() as connection:
            yield connection
    finally:
        await pool.dispose()


# --- taken back -----------------------------------------------------------------------------------------------------


@app.command
async def undo(
    import_id: str,
    /,
    *,
    reason: str = "The import was taken back",
    attempt: int = 1,
    wait: float = 60,
    json: AsJson = False,
) -> int:
    """Take an import back: machines that it brought are gone, others are as before it.

    A machine that has been used since, or that another import has changed, stays and is told with the reason. The same
    call again does nothing twice. Exit code 1 if anything stays.

    Parameters
    ----------
    import_id
        The import, as `bitcorp import list` shows it.
    reason
        Why; it stands in the history of each machine.
    attempt
        Count it up to ask again within a day for what was refused.
    wait
        Seconds to wait for the lanes.
    json
        One JSON object per asset that stays, then one with the counts.
    """
    settings = resolve(Settings())
    rows: dict[tuple[str, str], Row] = {}
    with told(settings):
        async with _database(settings) as connection:
            await _views_caught_up(settings, connection, wait)
            while places := [found for found in await _touched(connection, import_id) if found not in rows]:
                rows |= await _taken_back(settings, places, import_id, reason, attempt, wait)
    return _show(list(rows.values()), f"Undone: import {import_id}", json)


async def _views_caught_up(settings: Settings, connection: AsyncConnection, wait: float) -> None:
    """Return when the views show all that had happened. Raises Fault where they do not come that far in time."""
    with consumer(settings) as reader:
        wanted = last_positions(reader, EVENTS.named(settings.prefix))
    reached = select(CHECKPOINT.c.partition, CHECKPOINT.c.position).where(CHECKPOINT.c.view_group == ASSETS.group)
    deadline = time.monotonic() + wait
    while True:
        at = {row.partition: row.position for row in await connection.execute(reached)}
        if all(at.get(partition, 0) >= position for partition, position in wanted.items()):
            return
        if time.monotonic() > deadline:
            raise Fault(f"The views lag behind by more than {wait:g} s. Does a view worker run? Call again later.")
        await asyncio.sleep(LOOK_SECONDS)


async def _touched(connection: AsyncConnection, import_id: str) -> list[tuple[str, str]]:
    """Company and id of the assets that this import changed last."""
    question = select(assets.c.company_id, assets.c.asset_id).where(assets.c.import_id == import_id)
    found = await connection.execute(question.order_by(*assets.primary_key))
    return [(row.company_id, row.asset_id) for row in found]


async def _taken_back(
    settings: Settings, places: Sequence[tuple[str, str]], import_id: str, reason: str, attempt: int, wait: float
) -> dict[tuple[str, str], Row]:
    from topics.pacing import HANDFUL, Pacer

    rows: dict[tuple[str, str], Row] = {}
    async with _publisher(settings) as publisher:
        pacer = Pacer(settings, publisher)
        await pacer.start()
        try:
            with progress("Undoing", len(places)) as done:
                for some in _groups(places, HANDFUL):
                    orders = [
                        undo_command(
                            company, UndoAssetImport(asset_id=asset, import_id=import_id, reason=reason), attempt
                        )
                        for company, asset in some
                    ]
                    outcomes = await asyncio.wait_for(pacer.decided(orders), wait)
                    rows |= {place: _undone(outcome) for place, outcome in zip(some, outcomes, strict=True)}
                    done(len(some))
        except TimeoutError as fault:
            raise Fault(f"No lane answered within {wait:g} s. Look with: bitcorp doctor, and call again.") from fault
        finally:
            await pacer.stop()
    return rows


def _undone(outcome: Outcome) -> Row:
    if outcome.status is Status.ACCEPTED:
        return Row(0, outcome.aggregate_id, UNDONE if outcome.first is not None else UNDONE_BEFORE)
    return Row(0, outcome.aggregate_id, f"{outcome.status}: {outcome.code}", outcome.detail or "")


@app.command(name="list")
async def list_(*, json: AsJson = False) -> None:
    """Imports that have changed assets last, the newest first.

    Parameters
    ----------
    json
        A JSON list.
    """
    settings = resolve(Settings())
    last = func.max(assets.c.imported_at).label("last")
    question = (
        select(assets.c.import_id, assets.c.source, assets.c.company_id, func.count().label("assets"), last)
        .where(assets.c.import_id.is_not(None))
        .group_by(assets.c.import_id, assets.c.source, assets.c.company_id)
        .order_by(last.desc())
    )
    with told(settings):
        async with _database(settings) as connection:
            rows = [dict(row) for row in (await connection.execute(question)).mappings()]
    columns = ("import_id", "source", "company_id", "assets", "last")
    if json:
        write_json(rows)
    elif rows:
        out.print(table("Imports", columns, [[row[name] for name in columns] for row in rows]))
    else:
        say("Nothing was imported yet.")


# --- shown ----------------------------------------------------------------------------------------------------------


def _groups(things: Sequence[T], size: int) -> Iterator[list[T]]:
    left = iter(things)
    while group := list(islice(left, size)):
        yield group


def _show(rows: list[Row], title: str, as_json: bool) -> int:
    """Counts, and each row that is not as usual. Gives the exit code."""
    counts = Counter(row.said for row in rows)
    told = sorted(row for row in rows if row.said not in WELL or (row.detail and row.said in (NEW, CHANGED)))
    if as_json:
        for row in told:
            write_json(row._asdict())
        write_json(dict(counts))
        return int(bool(counts.keys() - WELL))
    if told:
        out.print(table("Lines", ("line", "asset", "answer", "detail"), told[:SHOWN]))
    if len(told) > SHOWN:
        say(f"... and {len(told) - SHOWN} more; --json shows all.")
    out.print(table(title, ("answer", "records"), counts.most_common()))
    return int(bool(counts.keys() - WELL))
