"""The people of a company."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field
from sqlalchemy import Boolean, Column, Index, Table, Text, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import RowMapping

from domain.model import Email, Id, RoleName
from domain.record import Recorded
from domain.user import (
    IdentityLinked,
    IdentityUnlinked,
    UserAddedToCompany,
    UserDeactivated,
    UserReactivated,
    UserRolesChanged,
)
from views.companies import table as companies
from views.items import Version
from views.reading import Reader
from views.resource import Filter, ItemModel, LineOfText, Resource, Sort
from views.tables import METADATA, key, moment, revision
from views.view import Change, View
from views.writing import inserting, updating

table = Table(
    "users",
    METADATA,
    key("company_id"),
    key("user_id"),
    Column("name", Text, nullable=False),
    Column("email", Text(collation="C"), nullable=False),
    Column("roles", ARRAY(Text), nullable=False),
    Column("active", Boolean, nullable=False),
    moment("deactivated_at", optional=True),
    Column("deactivation_reason", Text),
    Column("identity_issuer", Text),
    Column("identity_subject", Text),
    moment("created_at"),
    *revision(),
)
Index("users_by_name", table.c.company_id, table.c.name, table.c.user_id)
Index("users_by_email", table.c.company_id, func.lower(table.c.email))

users = View("users", table)

ADDED = inserting(table, active=True)
ROLES_CHANGED = updating(table, "roles")
ACTIVITY = updating(table, "active", "deactivated_at", "deactivation_reason")
IDENTITY = updating(table, "identity_issuer", "identity_subject")


@users.on
def added(event: UserAddedToCompany, fact: Recorded) -> Change:
    return ADDED(
        fact,
        user_id=event.user_id,
        name=event.name,
        email=event.email,
        roles=[str(role) for role in event.roles],
        created_at=fact.recorded_at,
    )


@users.on
def roles_changed(event: UserRolesChanged, fact: Recorded) -> Change:
    return ROLES_CHANGED(fact, user_id=event.user_id, roles=[str(role) for role in event.roles])


@users.on
def deactivated(event: UserDeactivated, fact: Recorded) -> Change:
    return ACTIVITY(
        fact,
        user_id=event.user_id,
        active=False,
        deactivated_at=event.effective_at or fact.recorded_at,
        deactivation_reason=event.reason,
    )


@users.on
def reactivated(event: UserReactivated, fact: Recorded) -> Change:
    return ACTIVITY(fact, user_id=event.user_id, active=True)


@users.on
def linked(event: IdentityLinked, fact: Recorded) -> Change:
    return IDENTITY(fact, user_id=event.user_id, identity_issuer=event.issuer, identity_subject=event.subject)


@users.on
def unlinked(event: IdentityUnlinked, fact: Recorded) -> Change:
    return IDENTITY(fact, user_id=event.user_id)


class UserItem(ItemModel):
    """A person who may act in the company."""

    user_id: Annotated[str, Field(description="Id of the user", examples=["maria-quispe"])]
    name: Annotated[str, Field(description="Name", examples=["Maria Quispe"])]
    email: Annotated[str, Field(description="E-mail address, unique in the company", examples=["maria@acme.example"])]
    roles: Annotated[
        tuple[str, ...],
        Field(description="What the user may do: built-in roles, and the company's own", examples=[["manager"]]),
    ]
    active: Annotated[bool, Field(description="False: the user may not act any more")]
    deactivated_at: Annotated[datetime | None, Field(description="Since when the user may not act")] = None
    deactivation_reason: Annotated[str | None, Field(description="Why the user may not act")] = None
    identity_issuer: Annotated[
        str | None,
        Field(description="Another provider of identities that knows the user", examples=["https://login.example.com"]),
    ] = None
    identity_subject: Annotated[
        str | None, Field(description="Under which name that provider knows the user", examples=["248289761001"])
    ] = None
    created_at: Annotated[datetime, Field(description="When the user was added")]
    updated_at: Annotated[datetime, Field(description="When this version was recorded")]
    version: Version


@dataclass(frozen=True)
class Person:
    """What must be known of somebody who wants to come in."""

    user_id: str
    name: str
    email: str
    roles: tuple[str, ...]
    active: bool
    suspended: bool
    """Whether the whole company is."""


async def person(reader: Reader, *, user_id: str | None = None, email: str | None = None) -> Person | None:
    """Somebody of the reader's company, by id or by address; addresses that differ in case alone are one."""
    wanted = table.c.user_id == user_id if email is None else func.lower(table.c.email) == email.lower()
    columns = (table.c.user_id, table.c.name, table.c.email, table.c.roles, table.c.active, companies.c.suspended_at)
    named = select(*columns).outerjoin_from(table, companies, table.c.company_id == companies.c.company_id)
    row = (await reader.connection.execute(named.where(table.c.company_id == reader.company_id, wanted))).one_or_none()
    if row is None:
        return None
    return Person(row.user_id, row.name, row.email, tuple(row.roles), row.active, row.suspended_at is not None)


def item(row: RowMapping) -> UserItem:
    return UserItem(**{name: row[name] for name in UserItem.model_fields})


USERS = Resource(
    name="users",
    path="users",
    item_path="users/{user_id}",
    group="fleet",
    permission="user.read",
    summary="People of the company",
    item=UserItem,
    rows=select(table),
    company=table.c.company_id,
    keys={"user_id": Filter(table.c.user_id, Id, "Id of the user")},
    make=item,
    filters={
        "email": Filter(table.c.email, Email, "The user with this address"),
        "role": Filter(table.c.roles, RoleName, "Users who hold this role", lambda roles, name: roles.contains([name])),
        "active": Filter(table.c.active, bool, "Users who may, or may not, act"),
    },
    sorts={"name": Sort(table.c.name, LineOfText, "by name"), "user_id": Sort(table.c.user_id, LineOfText, "by id")},
    default_sort="name",
)
