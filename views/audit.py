"""Who did what, when, from where and under which key: one row for every command that was answered, kept for ever."""

import operator
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field
from sqlalchemy import BigInteger, Boolean, Column, DateTime, Index, Integer, Table, Text, select
from sqlalchemy.dialects.postgresql import UUID as UUIDColumn
from sqlalchemy.engine import RowMapping

from domain import AUDIT_READ
from domain.key import KeyId
from domain.model import Id, Instant
from domain.record import Audited, Status
from views.resource import Filter, ItemModel, LineOfText, Position, Resource, Sort
from views.tables import METADATA, id_of, key
from views.view import Change, View
from views.writing import inserting

table = Table(
    "audit",
    METADATA,
    key("company_id"),
    Column("recorded_at", DateTime(timezone=True), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    key("realm"),
    Column("partition", Integer, nullable=False),
    Column("command_id", UUIDColumn, nullable=False),
    Column("type", Text, nullable=False),
    id_of("aggregate"),
    id_of("aggregate_id"),
    id_of("actor"),
    Column("status", Text, nullable=False),
    Column("code", Text),
    Column("repeat", Boolean, nullable=False),
    Column("conflict", Boolean, nullable=False),
    Column("first", BigInteger),
    Column("last", BigInteger),
    Column("fingerprint", Text, nullable=False),
    id_of("key_id", optional=True),
    id_of("process_id", optional=True),
    Column("address", Text),
    Column("user_agent", Text),
    Column("correlation_id", Text, nullable=False),
)
Index("audit_by_actor", table.c.company_id, table.c.actor, table.c.recorded_at)
Index("audit_by_subject", table.c.company_id, table.c.aggregate, table.c.aggregate_id, table.c.recorded_at)

audit = View("audit", table)

RECORDED = inserting(table)


@audit.on
def recorded(told: Audited, _: Audited) -> Change:
    return RECORDED.change(**vars(told))


class AuditItem(ItemModel):
    """What somebody wished, and what became of it. `code` unauthenticated: nobody has proved to have sent it, so actor
    and key are as the message says."""

    recorded_at: Annotated[datetime, Field(description="When it was decided")]
    actor: Annotated[
        str,
        Field(
            description="Who sent it; system:api where nobody was signed in, as when somebody signs in",
            examples=["user:maria-quispe"],
        ),
    ]
    type: Annotated[
        str, Field(description="Wire type of the command", examples=["com.bitcorp.erp.equipment.retire-equipment.v1"])
    ]
    aggregate: Annotated[str, Field(description="What sort of thing it was for", examples=["equipment"])]
    aggregate_id: Annotated[
        str, Field(description="Which one; of a sign-in the user, or stranger-<hash> of an unknown name")
    ]
    status: Annotated[Status, Field(description="accepted, rejected or failed", examples=["accepted"])]
    code: Annotated[str | None, Field(description="Why it was rejected", examples=["sign-in-failed"])] = None
    repeat: Annotated[bool, Field(description="Whether it came again and got its first answer again")]
    conflict: Annotated[
        bool, Field(description="Whether its id was another command's, or nobody proved to have sent it")
    ]
    address: Annotated[
        str | None, Field(description="Network address that the API took it from", examples=["203.0.113.7"])
    ] = None
    user_agent: Annotated[str | None, Field(description="What the sender's program calls itself")] = None
    key_id: Annotated[str | None, Field(description="The company's key that it was sent under")] = None
    process_id: Annotated[str | None, Field(description="The platform's process that vouched for the actor")] = None
    realm: Annotated[str, Field(description="business, or credentials for sign-ins", examples=["business"])]
    command_id: Annotated[UUID, Field(description="Id that the sender chose")]
    correlation_id: Annotated[str, Field(description="Id of the request that it came with")]
    first: Annotated[int | None, Field(description="Position of its first event")] = None
    last: Annotated[int | None, Field(description="Position of its last event")] = None
    fingerprint: Annotated[str, Field(description="Digest of all that the command said")]
    partition: Annotated[int, Field(description="Partition of its company")]
    sequence: Annotated[int, Field(description="Number of its outcome within realm and partition")]


def item(row: RowMapping) -> AuditItem:
    return AuditItem(**{name: row[name] for name in AuditItem.model_fields})


AUDIT = Resource(
    name="audit",
    path="audit",
    item_path=None,
    group="audit",
    permission=AUDIT_READ,
    summary="Who did what, when, from where and under which key",
    item=AuditItem,
    rows=select(table),
    company=table.c.company_id,
    keys={
        "sequence": Filter(table.c.sequence, Position, "Number of its outcome"),
        "realm": Filter(table.c.realm, LineOfText, "business or credentials"),
    },
    make=item,
    filters={
        "actor": Filter(table.c.actor, LineOfText, "Sent by this actor, such as user:ann"),
        "type": Filter(table.c.type, LineOfText, "Commands of this wire type"),
        "aggregate": Filter(table.c.aggregate, Id, "For this sort of thing; credential for sign-ins"),
        "aggregate_id": Filter(table.c.aggregate_id, Id, "For this thing"),
        "status": Filter(table.c.status, Status, "With this outcome"),
        "code": Filter(table.c.code, Id, "Rejected with this code"),
        "key_id": Filter(table.c.key_id, KeyId, "Under this key of the company"),
        "address": Filter(table.c.address, LineOfText, "From this network address"),
        "command_id": Filter(table.c.command_id, UUID, "About this command"),
        "since": Filter(table.c.recorded_at, Instant, "Decided at or after this time", operator.ge),
        "until": Filter(table.c.recorded_at, Instant, "Decided before this time", operator.lt),
    },
    sorts={"recorded_at": Sort(table.c.recorded_at, Instant, "by the time of the decision")},
    default_sort="-recorded_at",
)
