"""Everything that ever happened to each thing, one row per event, whatever the event."""

import operator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import BigInteger, Column, Index, Table, Text, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import UUID as UUIDColumn
from sqlalchemy.engine import RowMapping

from domain import DECIDERS
from domain.equipment import equipment
from domain.model import Event, Id, Instant
from domain.record import Recorded
from views.items import Version
from views.reading import Reader
from views.resource import Filter, ItemModel, Position, Resource, Sort
from views.tables import METADATA, key, moment
from views.view import Change, View
from views.writing import inserting

table = Table(
    "history",
    METADATA,
    key("company_id"),
    key("aggregate"),
    key("aggregate_id"),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", UUIDColumn, nullable=False),
    Column("event", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    moment("recorded_at"),
    moment("effective_at"),
    Column("command_id", UUIDColumn, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("data", JSONB, nullable=False),
)

Index("history_by_command", table.c.company_id, table.c.command_id)

history = View("history", table)

EVENT_CLASSES: dict[tuple[str, str], type[Event]] = {
    (decider.name, event.__name__): event for decider in DECIDERS for event in decider.events
}

HAPPENED = inserting(table)


@history.on
def happened(event: Event, fact: Recorded) -> Change:
    return HAPPENED(
        fact,
        aggregate=fact.aggregate,
        aggregate_id=fact.aggregate_id,
        position=fact.position,
        event_id=fact.id,
        event=type(event).__name__,
        actor=fact.actor,
        recorded_at=fact.recorded_at,
        effective_at=event.effective_at or fact.recorded_at,
        command_id=fact.command_id,
        correlation_id=fact.correlation_id,
        data=event.model_dump_json(exclude={"effective_at"}, exclude_none=True),
    )


async def caused_by(reader: Reader, command_id: str) -> list[tuple[int, Event]]:
    """Events of the reader's company that the command led to, with their positions, in their order."""
    rows = await reader.connection.execute(
        select(table.c.position, table.c.aggregate, table.c.event, table.c.data, table.c.effective_at)
        .where(table.c.company_id == reader.company_id, table.c.command_id == command_id)
        .order_by(table.c.position)
    )
    return [
        (position, EVENT_CLASSES[aggregate, event].model_validate(data | {"effective_at": effective_at}))
        for position, aggregate, event, data, effective_at in rows
    ]


class HistoryItem(ItemModel):
    """One event in the life of a thing."""

    event_id: Annotated[UUID, Field(description="Id of the event")]
    event: Annotated[str, Field(description="What happened", examples=["MaintenanceScheduled"])]
    actor: Annotated[str, Field(description="Who caused it", examples=["user:maria-quispe"])]
    recorded_at: Annotated[datetime, Field(description="When it was recorded")]
    effective_at: Annotated[datetime, Field(description="When it was true")]
    command_id: Annotated[UUID, Field(description="Command that led to it")]
    correlation_id: Annotated[str, Field(description="Ties it to what else followed from one request")]
    position: Annotated[int, Field(description="Place in the journal of its partition")]
    data: Annotated[dict[str, Any], Field(description="The event itself")]
    version: Version


def item(row: RowMapping) -> HistoryItem:
    return HistoryItem(**{name: row[name] for name in HistoryItem.model_fields})


EQUIPMENT_HISTORY = Resource(
    name="equipment-history",
    path="equipment/{equipment_id}/history",
    item_path=None,
    group="history",
    permission="equipment.read",
    summary="Everything that happened to a machine",
    item=HistoryItem,
    rows=select(table).where(table.c.aggregate == equipment.name),
    company=table.c.company_id,
    keys={"position": Filter(table.c.position, Position, "Place in the journal")},
    make=item,
    within={"equipment_id": Filter(table.c.aggregate_id, Id, "Id of the machine")},
    filters={
        "event": Filter(table.c.event, Id, "Only this event, such as MaintenanceScheduled"),
        "since": Filter(table.c.effective_at, Instant, "Events true at or after this time", operator.ge),
        "until": Filter(table.c.effective_at, Instant, "Events true before this time", operator.lt),
    },
    sorts={"position": Sort(table.c.position, Position, "in the order of recording")},
    default_sort="-position",
)
