"""Keys of a company's own systems; the table holds their public halves, as the journal does."""

from datetime import datetime
from typing import Annotated

from pydantic import Field
from sqlalchemy import Column, Table, Text, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import RowMapping

from domain.key import KeyChanged, KeyCreated, KeyId, KeyRevoked, KeyUsed
from domain.record import Recorded
from domain.role import Permission
from views.items import Version
from views.resource import Filter, ItemModel, LineOfText, Resource, Sort
from views.tables import METADATA, key, moment, revision
from views.view import Change, View
from views.writing import inserting, updating

table = Table(
    "keys",
    METADATA,
    key("company_id"),
    key("key_id"),
    Column("name", Text, nullable=False),
    Column("public_key", Text(collation="C"), nullable=False),
    Column("permissions", ARRAY(Text), nullable=False),
    moment("expires_at", optional=True),
    moment("revoked_at", optional=True),
    Column("revocation_reason", Text),
    moment("last_used_at", optional=True),
    moment("created_at"),
    *revision(),
)

keys = View("keys", table)

CREATED = inserting(table)
CHANGED = updating(table, "name", "permissions", "expires_at")
REVOKED = updating(table, "revoked_at", "revocation_reason")
USED = updating(table, "last_used_at")


@keys.on
def created(event: KeyCreated, fact: Recorded) -> Change:
    return CREATED(
        fact,
        key_id=event.key_id,
        name=event.name,
        public_key=event.public_key,
        permissions=sorted(event.permissions),
        expires_at=event.expires_at,
        created_at=fact.recorded_at,
    )


@keys.on
def changed(event: KeyChanged, fact: Recorded) -> Change:
    return CHANGED(
        fact,
        key_id=event.key_id,
        name=event.name,
        permissions=sorted(event.permissions),
        expires_at=event.expires_at,
    )


@keys.on
def revoked(event: KeyRevoked, fact: Recorded) -> Change:
    return REVOKED(fact, key_id=event.key_id, revoked_at=fact.recorded_at, revocation_reason=event.reason)


@keys.on
def used(event: KeyUsed, fact: Recorded) -> Change:
    return USED(fact, key_id=event.key_id, last_used_at=event.effective_at or fact.recorded_at)


class KeyItem(ItemModel):
    """A key of a system of the company's own. Its secret half is known to nobody but its holder."""

    key_id: Annotated[str, Field(description="Its id, by which it acts as key:<id>", examples=["plant-4"])]
    name: Annotated[str, Field(description="What it is for", examples=["Plant 4"])]
    public_key: Annotated[
        str,
        Field(description="Ed25519 public key, base64url", examples=["11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"]),
    ]
    permissions: Annotated[
        tuple[str, ...], Field(description="What it may send and read", examples=[["equipment.move", "equipment.read"]])
    ]
    expires_at: Annotated[datetime | None, Field(description="From when on it opens nothing")] = None
    revoked_at: Annotated[datetime | None, Field(description="Since when it is revoked")] = None
    revocation_reason: Annotated[str | None, Field(description="Why it is revoked")] = None
    last_used_at: Annotated[datetime | None, Field(description="When it last opened the API, to the hour")] = None
    created_at: Annotated[datetime, Field(description="When it was made")]
    updated_at: Annotated[datetime, Field(description="When this version was recorded")]
    version: Version


def item(row: RowMapping) -> KeyItem:
    return KeyItem(**{name: row[name] for name in KeyItem.model_fields})


KEYS = Resource(
    name="keys",
    path="keys",
    item_path="keys/{key_id}",
    group="fleet",
    permission="key.read",
    summary="Keys of the company's own systems",
    item=KeyItem,
    rows=select(table),
    company=table.c.company_id,
    keys={"key_id": Filter(table.c.key_id, KeyId, "Id of the key")},
    make=item,
    filters={
        "permission": Filter(
            table.c.permissions,
            Permission,
            "Keys that hold this permission",
            lambda permissions, name: permissions.contains([name]),
        ),
        "revoked": Filter(table.c.revoked_at.is_not(None), bool, "Keys that are, or are not, revoked"),
    },
    sorts={"key_id": Sort(table.c.key_id, LineOfText, "by id")},
    default_sort="key_id",
)
