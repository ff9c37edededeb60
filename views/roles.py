"""Roles that a company has defined for itself."""

from datetime import datetime
from typing import Annotated

from pydantic import Field
from sqlalchemy import Column, Table, Text, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import RowMapping

from domain.model import RoleName
from domain.record import Recorded
from domain.role import Permission, RoleChanged, RoleDefined, RoleRemoved
from views.items import Version
from views.resource import Filter, ItemModel, LineOfText, Resource, Sort
from views.tables import METADATA, key, moment, revision
from views.view import Change, View
from views.writing import deleting, inserting, updating

table = Table(
    "roles",
    METADATA,
    key("company_id"),
    key("role"),
    Column("permissions", ARRAY(Text), nullable=False),
    moment("created_at"),
    *revision(),
)

roles = View("roles", table)

DEFINED = inserting(table)
CHANGED = updating(table, "permissions")
REMOVED = deleting(table, "role")


@roles.on
def defined(event: RoleDefined, fact: Recorded) -> Change:
    return DEFINED(fact, role=event.role, permissions=sorted(event.permissions), created_at=fact.recorded_at)


@roles.on
def changed(event: RoleChanged, fact: Recorded) -> Change:
    return CHANGED(fact, role=event.role, permissions=sorted(event.permissions))


@roles.on
def removed(event: RoleRemoved, fact: Recorded) -> Change:
    return REMOVED(fact, role=event.role)


class RoleItem(ItemModel):
    """A role of the company's own."""

    role: Annotated[str, Field(description="Its name", examples=["storekeeper"])]
    permissions: Annotated[
        tuple[str, ...], Field(description="What its holders may do", examples=[["equipment.move", "equipment.read"]])
    ]
    created_at: Annotated[datetime, Field(description="When it was defined")]
    updated_at: Annotated[datetime, Field(description="When this version was recorded")]
    version: Version


def item(row: RowMapping) -> RoleItem:
    return RoleItem(**{name: row[name] for name in RoleItem.model_fields})


ROLES = Resource(
    name="roles",
    path="roles",
    item_path="roles/{role}",
    group="fleet",
    permission="role.read",
    summary="Roles that the company has defined itself",
    item=RoleItem,
    rows=select(table),
    company=table.c.company_id,
    keys={"role": Filter(table.c.role, RoleName, "Name of the role")},
    make=item,
    filters={
        "permission": Filter(
            table.c.permissions,
            Permission,
            "Roles that hold this permission",
            lambda permissions, name: permissions.contains([name]),
        ),
    },
    sorts={"role": Sort(table.c.role, LineOfText, "by name")},
    default_sort="role",
)
