"""Dead letters as long as their topic keeps them: whose they are, why they are there, and what has become of them.

Whether one was tried again follows from the outcomes: each attempt has an id that follows from the command's.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from operator import ge, lt
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text, and_, case, func, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as UUIDColumn
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.letter import LetterDiscarded, LetterReopened
from domain.model import Id, Instant
from domain.record import Recorded, SetAside, Status
from views.outcomes import table as outcomes
from views.reading import Reader
from views.resource import Filter, ItemModel, LineOfText, Resource, Sort, parse_key
from views.tables import METADATA, key, moment, revision
from views.view import Change, View
from views.writing import inserting, replacing

LONGEST_VALUE = 4000

table = Table(
    "dead_letters",
    METADATA,
    key("company_id"),
    key("letter_id"),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("type", Text),
    Column("command_id", UUIDColumn),
    Column("actor", Text),
    Column("retries", ARRAY(UUIDColumn), nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    moment("recorded_at"),
    Column("value", LargeBinary),
    Column("header_names", ARRAY(Text), nullable=False),
    Column("header_values", ARRAY(LargeBinary), nullable=False),
)
Index("dead_letters_by_age", table.c.company_id, table.c.recorded_at, table.c.letter_id)

discards = Table(
    "discarded_letters",
    METADATA,
    key("company_id"),
    key("letter_id"),
    Column("discard_reason", Text),
    Column("discarded_by", Text),
    moment("discarded_at", optional=True),
    *revision(),
)

dead_letters = View("dead_letters", table)
discarded_letters = View("discarded_letters", discards)

SET_ASIDE = inserting(table)
DISCARDED = replacing(discards, "discard_reason", "discarded_by", "discarded_at")


@dead_letters.on
def set_aside(letter: SetAside, _: SetAside) -> Change:
    return SET_ASIDE.change(letter_id=letter.aggregate_id, **letter._asdict())


@discarded_letters.on
def discarded(event: LetterDiscarded, fact: Recorded) -> Change:
    return DISCARDED(
        fact,
        letter_id=event.letter_id,
        discard_reason=event.reason,
        discarded_by=fact.actor,
        discarded_at=fact.recorded_at,
    )


@discarded_letters.on
def reopened(event: LetterReopened, fact: Recorded) -> Change:
    return DISCARDED(fact, letter_id=event.letter_id)


class LetterState(StrEnum):
    OPEN = "open"
    RETRIED = "retried"
    DISCARDED = "discarded"


class LetterItem(ItemModel):
    """A record that could not be processed."""

    letter_id: Annotated[str, Field(description="Where it came from", examples=["commands-3-17"])]
    state: Annotated[LetterState, Field(description="open until it is tried again or discarded", examples=["open"])]
    reason: Annotated[str, Field(description="Why it is here: failed by our fault, else a code", examples=["failed"])]
    detail: Annotated[str, Field(description="The fault in words, or the stack of ours")]
    type: Annotated[str | None, Field(description="Wire type of the command that it holds")] = None
    command_id: Annotated[UUID | None, Field(description="Id of that command")] = None
    actor: Annotated[str | None, Field(description="Who sent it, as it says", examples=["user:maria-quispe"])] = None
    data: Annotated[Any, Field(description="What it says, where that is JSON")] = None
    value: Annotated[str | None, Field(description=f"Its first {LONGEST_VALUE:,} bytes, as text")] = None
    headers: Annotated[
        tuple[tuple[str, str | None], ...],
        Field(description="Its headers, as text", examples=[[["ce_specversion", "1.0"]]]),
    ] = ()
    recorded_at: Annotated[datetime, Field(description="When it came to its topic")]
    retried_as: Annotated[UUID | None, Field(description="Id of the last attempt that has an outcome")] = None
    retry_status: Annotated[Status | None, Field(description="Outcome of that attempt")] = None
    discard_reason: Annotated[str | None, Field(description="Why it needs no attempt")] = None
    discarded_by: Annotated[str | None, Field(description="Who says so")] = None
    discarded_at: Annotated[datetime | None, Field(description="Since when")] = None
    version: Annotated[int, Field(description="How often it was discarded or counted among the open ones again")]


AGAIN = (
    select(outcomes.c.command_id.label("retried_as"), outcomes.c.status.label("retry_status"))
    .where(outcomes.c.company_id == table.c.company_id, outcomes.c.command_id == func.any(table.c.retries))
    .order_by(outcomes.c.offset.desc())
    .limit(1)
    .lateral()
)
DISCARD = and_(discards.c.company_id == table.c.company_id, discards.c.letter_id == table.c.letter_id)
state = case(
    (discards.c.discarded_at.is_not(None), LetterState.DISCARDED.value),
    (AGAIN.c.retried_as.is_not(None), LetterState.RETRIED.value),
    else_=LetterState.OPEN.value,
)
LETTERS = table.outerjoin(discards, DISCARD).outerjoin(AGAIN, true())


def item(row: RowMapping) -> LetterItem:
    shown: dict[str, Any] = {"data": _data(row["value"]), "value": _text(row["value"])}
    headers = zip(row["header_names"], map(_text, row["header_values"]), strict=True)
    shown |= {"version": row["version"] or 0}
    same = {name: row[name] for name in LetterItem.model_fields if name not in shown and name != "headers"}
    return LetterItem(**same, **shown, headers=tuple(headers))


def _text(value: bytes | None) -> str | None:
    return None if value is None else value[:LONGEST_VALUE].decode("utf-8", "backslashreplace")


def _data(value: bytes | None) -> Any:
    """What the value says as JSON; None where it is none, or too long to be shown."""
    try:
        return json.loads(value or b"") if len(value or b"") <= LONGEST_VALUE else None
    except (ValueError, RecursionError):
        return None


DEAD_LETTERS = Resource(
    name="dead-letters",
    path="dead-letters",
    item_path="dead-letters/{letter_id}",
    group="dead-letters",
    permission="letter.read",
    summary="Records of the company that could not be processed, with what has become of them",
    item=LetterItem,
    rows=select(
        table,
        discards.c.discard_reason,
        discards.c.discarded_by,
        discards.c.discarded_at,
        discards.c.version,
        *AGAIN.c,
        state.label("state"),
    ).select_from(LETTERS),
    company=table.c.company_id,
    keys={"letter_id": Filter(table.c.letter_id, Id, "Id of the letter")},
    make=item,
    filters={
        "state": Filter(state, LetterState, "Letters in this state"),
        "reason": Filter(table.c.reason, LineOfText, "Letters set aside for this reason"),
        "type": Filter(table.c.type, LineOfText, "Letters that hold this wire type of command"),
        "since": Filter(table.c.recorded_at, Instant, "Letters about what came at this time or later", ge),
        "until": Filter(table.c.recorded_at, Instant, "Letters about what came before this time", lt),
    },
    sorts={"recorded_at": Sort(table.c.recorded_at, Instant, "by the time at which the record came")},
    default_sort="-recorded_at",
)


async def letter_of(reader: Reader, letter_id: str) -> RowMapping | None:
    """A letter of the company as it was set aside."""
    conditions = parse_key(DEAD_LETTERS, {"letter_id": letter_id})
    if conditions is None:
        return None
    mine = select(table).where(table.c.company_id == reader.company_id, *conditions)
    return (await reader.connection.execute(mine)).mappings().first()


async def last_of(reader: Reader, command_ids: Sequence[str]) -> UUID | None:
    """Which of these commands was decided last; None where none was."""
    mine = outcomes.c.company_id == reader.company_id
    rows = select(outcomes.c.command_id).where(mine, outcomes.c.command_id.in_(command_ids))
    return (await reader.connection.execute(rows.order_by(outcomes.c.offset.desc()).limit(1))).scalar()


async def is_attempt_for(reader: Reader, command_id: str, actor: str) -> bool:
    """Whether the command is an attempt at one that the actor had sent."""
    theirs = (table.c.company_id == reader.company_id, table.c.actor == actor)
    rows = select(table.c.letter_id).where(*theirs, table.c.retries.contains([command_id])).limit(1)
    return (await reader.connection.execute(rows)).first() is not None


async def open_ids(connection: AsyncConnection) -> frozenset[str]:
    """The ids of all open letters, of all companies and of none."""
    rows = select(table.c.letter_id).select_from(LETTERS).where(state == LetterState.OPEN.value)
    return frozenset((await connection.execute(rows)).scalars())


async def open_letters(connection: AsyncConnection) -> dict[str, int]:
    """How many letters of each reason are open, in all companies and in none."""
    rows = select(table.c.reason, func.count()).select_from(LETTERS).where(state == LetterState.OPEN.value)
    return dict(map(tuple, await connection.execute(rows.group_by(table.c.reason))))
