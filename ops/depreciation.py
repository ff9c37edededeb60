"""`bitcorp depreciation`: what a month charges, posted for all machines and books."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice, zip_longest
from typing import Annotated, Any, NamedTuple

from cyclopts import App, Parameter
from pydantic import TypeAdapter, ValidationError
from rich.table import Table
from sqlalchemy import Select, func, select
from sqlalchemy.engine import RowMapping

from domain import RULES
from domain.decider import Actor
from domain.depreciation import Account, BookName, Month, due, posting_id
from domain.equipment import PostDepreciation
from domain.record import Outcome, Status
from domain.zones import day_in
from ops.console import AsJson, out, progress, say, table, write_json
from ops.database import told
from ops.errors import Fault
from ops.records import bounds, consumer, partitions, read_several
from ops.stack import resolve
from topics.catalogue import OUTCOMES
from topics.messages import CommandMessage, read_outcome
from topics.settings import Settings
from views.books import account_of, books
from views.companies import table as companies
from views.reading import write_engine

AGENT = Actor("system", "depreciation")
SOURCE = "/shell/depreciation"
AT_ONCE = 500
LOOK_SECONDS = 0.1
RULE = next(rule for rule in RULES.values() if rule.command is PostDepreciation)

POSTED, POSTED_BEFORE, UNANSWERED = "posted", "posted before", "no answer"

app = App(name="depreciation", help="Post what a month charges.")


class Place(NamedTuple):
    """One machine's book, and the periods that it lacks."""

    company: str
    equipment: str
    book: BookName
    account: Account
    periods: tuple[str, ...]


@app.command
async def post(
    *,
    period: str,
    company: str | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    attempt: int = 1,
    wait: float = 60,
    json: AsJson = False,
) -> int:
    """Post every period that a machine's book lacks up to this one; what is posted already stays as it is.

    One machine's refusal stops no other. The same call again posts nothing twice. Books that depreciate by units which
    no meter counts are left out: name the units with `bitcorp send post-depreciation`. Exit code 1 if anything was
    refused.

    Parameters
    ----------
    period
        The month, such as 2026-10; yearly books are posted by the month that their year ends with.
    company
        Only the machines of this company.
    dry_run
        Only say what would be sent.
    attempt
        Count it up to ask again within a day for what was refused.
    wait
        Seconds to wait after the last outcome.
    json
        A JSON list of answers with their counts.
    """
    settings = resolve(Settings())
    with told(settings):
        places = await lacking(settings, _month(period), company)
    wanted = [commands(place, attempt) for place in places]
    if dry_run:
        show(json, _planned(places), "Would be posted", ("company", "book", "machines", "periods"))
        return 0
    answers = await send(settings, wanted, wait)
    counts = Counter(answers.values())
    show(json, [(answer, count) for answer, count in counts.most_common()], "Depreciation", ("answer", "commands"))
    return int(bool(counts.keys() - {POSTED, POSTED_BEFORE}))


def _month(text: str) -> str:
    try:
        return str(TypeAdapter(Month).validate_python(text))
    except ValidationError as fault:
        raise Fault(f"{text!r} is no month: write it as in 2026-10.") from fault


async def lacking(settings: Settings, period: str, company: str | None = None) -> list[Place]:
    """Books in which a period that is over in the company's zone is not posted."""
    now, found, by_units = datetime.now(UTC), [], 0
    pool = write_engine(settings.database.get_secret_value())
    try:
        async with pool.connect() as connection:
            async for row in (await connection.stream(_books(period, company))).mappings():
                place = _place(row, period, now)
                by_units += place.account.terms.counts_units and place.account.terms.meter is None
                if place.periods:
                    found.append(place)
    finally:
        await pool.dispose()
    if by_units:
        say(
            f"{by_units} books are left out: they depreciate by units that no meter counts.",
            "yellow",
        )
    return found


def _books(period: str, company: str | None) -> Select[Any]:
    wanted = (
        select(books.table, companies.c.time_zone)
        .join(companies, companies.c.company_id == books.table.c.company_id)
        .where(books.table.c.disposed_on.is_(None), func.coalesce(books.table.c.posted, "") < period)
        .order_by(*books.table.primary_key)
    )
    return wanted if company is None else wanted.where(books.table.c.company_id == company)


def _place(row: RowMapping, period: str, now: datetime) -> Place:
    account = account_of(row)
    periods = due(account, period, day_in(row["time_zone"], now))
    return Place(row["company_id"], row["equipment_id"], BookName(row["book"]), account, periods)


def commands(place: Place, attempt: int = 1) -> list[CommandMessage]:
    """One command for each period that the book lacks."""
    return [
        CommandMessage(
            id=str(posting_id(place.company, place.equipment, place.book, period, attempt)),
            type=RULE.type,
            company_id=place.company,
            aggregate=RULE.decider.name,
            aggregate_id=place.equipment,
            actor=AGENT,
            data=PostDepreciation(equipment_id=place.equipment, book=place.book, period=period)
            .model_dump_json(exclude_unset=True)
            .encode(),
            source=SOURCE,
        )
        for period in place.periods
    ]


def rounds(wanted: list[list[CommandMessage]]) -> Iterator[list[CommandMessage]]:
    """Groups that may be sent at once: no two of one book, and each book's commands in their order."""
    for together in zip_longest(*wanted):
        left = (command for command in together if command is not None)
        while group := list(islice(left, AT_ONCE)):
            yield group


async def send(settings: Settings, wanted: list[list[CommandMessage]], wait: float) -> dict[str, str]:
    """The answer to each command, by its id."""
    from topics import logs
    from topics.publisher import Publisher

    logs.configure(settings.model_copy(update={"log_level": "error"}), "shell")
    answers = {command.id: UNANSWERED for several in wanted for command in several}
    topic = OUTCOMES.named(settings.prefix)
    with consumer(settings) as reader:
        at = {partition: bounds(reader, topic, partition).end for partition in partitions(reader, topic)}
        publisher = Publisher(settings)
        await publisher.start()
        try:
            with progress("Sending", len(answers)) as done:
                for group in rounds(wanted):
                    await asyncio.gather(*map(publisher.send, group))
                    done(len(group))
        finally:
            await publisher.stop()
        with progress("Waiting for outcomes", len(answers)) as done:
            _wait(reader, topic, at, answers, wait, done)
    return answers


def _wait(
    reader: Any, topic: str, at: dict[int, int], answers: dict[str, str], wait: float, done: Callable[[float], None]
) -> None:
    """Note the outcomes as they come, until all are there or none came for so long."""
    left, heard = len(answers), time.monotonic()
    while left and time.monotonic() - heard < wait:
        ends = {partition: bounds(reader, topic, partition).end for partition in at}
        for record in read_several(reader, topic, {partition: (at[partition], ends[partition]) for partition in at}):
            outcome, _ = read_outcome(record)
            if answers.get(outcome.command_id) == UNANSWERED:
                answers[outcome.command_id] = answer_of(outcome)
                left, heard = left - 1, time.monotonic()
                done(1)
        at = ends
        time.sleep(LOOK_SECONDS)


def answer_of(outcome: Outcome) -> str:
    """`posted`, `posted before`, or why not."""
    if outcome.status is not Status.ACCEPTED:
        return f"{outcome.status}: {outcome.code}"
    return POSTED if outcome.first and not outcome.repeat else POSTED_BEFORE


def _planned(places: list[Place]) -> list[tuple[object, ...]]:
    machines, periods = Counter[tuple[str, BookName]](), Counter[tuple[str, BookName]]()
    for place in places:
        machines[place.company, place.book] += 1
        periods[place.company, place.book] += len(place.periods)
    return [(company, book.value, machines[company, book], periods[company, book]) for company, book in machines]


def show(as_json: bool, rows: list[tuple[Any, ...]], title: str, columns: tuple[str, ...]) -> None:
    """The rows as a table, or as one JSON list of objects."""
    if as_json:
        write_json([dict(zip(columns, row, strict=True)) for row in rows])
    elif rows:
        made: Table = table(title, columns, rows)
        out.print(made)
    else:
        say("There is nothing to post.")
