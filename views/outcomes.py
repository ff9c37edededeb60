"""The first answer to each command, for as long as the outcomes topic keeps it."""

import json
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import UUID as UUIDColumn
from sqlalchemy.engine import RowMapping

from domain.model import Id, Instant
from domain.record import Outcome, Status
from views.resource import Filter, ItemModel, LineOfText, Resource, Sort
from views.tables import METADATA, key, moment
from views.view import Change, View
from views.writing import inserting

table = Table(
    "outcomes",
    METADATA,
    key("company_id"),
    Column("command_id", UUIDColumn, primary_key=True),
    Column("type", Text, nullable=False),
    Column("aggregate", Text, nullable=False),
    Column("aggregate_id", Text(collation="C"), nullable=False),
    Column("actor", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("code", Text),
    Column("kind", Text),
    Column("detail", Text),
    Column("errors", JSONB, nullable=False),
    Column("version", BigInteger),
    Column("first", BigInteger),
    Column("last", BigInteger),
    Column("partition", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("offset", BigInteger, nullable=False),
    moment("recorded_at"),
)
Index("outcomes_by_actor", table.c.company_id, table.c.actor, table.c.recorded_at, table.c.command_id)
Index("outcomes_by_age", table.c.recorded_at)

outcomes = View("outcomes", table)

FIRST = inserting(table)


@outcomes.on
def decided(outcome: Outcome, _: Outcome) -> tuple[Change, ...]:
    """Repeats and conflicts answer a command that has its outcome already."""
    if outcome.repeat or outcome.conflict:
        return ()
    return (FIRST.change(**vars(outcome) | {"errors": json.dumps(outcome.errors)}),)


class OutcomeItem(ItemModel):
    """The first answer to a command."""

    command_id: Annotated[UUID, Field(description="Id that the sender chose")]
    type: Annotated[str, Field(description="Wire type of the command")]
    aggregate: Annotated[str, Field(description="What sort of thing it was for", examples=["equipment"])]
    aggregate_id: Annotated[str, Field(description="Which one", examples=["EX-7"])]
    actor: Annotated[str, Field(description="Who sent it", examples=["user:maria-quispe"])]
    status: Annotated[Status, Field(description="accepted, rejected or failed", examples=["accepted"])]
    code: Annotated[str | None, Field(description="Why it was rejected", examples=["serial-number-taken"])] = None
    kind: Annotated[str | None, Field(description="Sort of refusal: invalid, forbidden, missing, conflict, stale")] = (
        None
    )
    detail: Annotated[str | None, Field(description="The refusal in words")] = None
    errors: Annotated[tuple[dict[str, Any], ...], Field(description="Each wrong field")] = ()
    version: Annotated[int | None, Field(description="Version of the aggregate after it", examples=[3])] = None
    first: Annotated[int | None, Field(description="Position of its first event")] = None
    last: Annotated[int | None, Field(description="Position of its last event")] = None
    partition: Annotated[int, Field(description="Partition of its company")]
    position: Annotated[int, Field(description="Last position of the partition then: what a reader waits for")]
    fingerprint: Annotated[str, Field(description="Tells the command from another with the same id")]
    recorded_at: Annotated[datetime, Field(description="When it was decided")]


def item(row: RowMapping) -> OutcomeItem:
    return OutcomeItem(**{name: row[name] for name in OutcomeItem.model_fields})


OUTCOMES = Resource(
    name="commands",
    path="commands",
    item_path="commands/{command_id}",
    group="outcomes",
    permission="command.read",
    summary="The caller's commands with their outcomes",
    item=OutcomeItem,
    rows=select(table),
    company=table.c.company_id,
    keys={"command_id": Filter(table.c.command_id, UUID, "Id of the command")},
    make=item,
    within={"actor": Filter(table.c.actor, LineOfText, "Who sent them; the reader's token says it, not the path")},
    filters={
        "status": Filter(table.c.status, Status, "Commands with this outcome"),
        "code": Filter(table.c.code, Id, "Commands refused with this code"),
        "aggregate": Filter(table.c.aggregate, Id, "Commands for this sort of thing"),
        "aggregate_id": Filter(table.c.aggregate_id, Id, "Commands for this thing"),
    },
    sorts={"recorded_at": Sort(table.c.recorded_at, Instant, "by the time of the decision")},
    default_sort="-recorded_at",
)
