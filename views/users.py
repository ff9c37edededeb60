"""The people of a company."""

from datetime import datetime
from typing import Annotated

from pydantic import Field
from sqlalchemy import Boolean, Column, Index, Table, Text, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import RowMapping

from domain.model import Email, Id, Role
from domain.record import Recorded
from domain.user import UserAddedToCompany
from views.items import Version
from views.resource import Filter, ItemModel, LineOfText, Resource, Sort
from views.tables import METADATA, key, moment, revision
from views.view import Change, View
from views.writing import inserting

table = Table(
    "users",
    METADATA,
    key("company_id"),
    key("user_id"),
    Column("name", Text, nullable=False),
    Column("email", Text(collation="C"), nullable=False),
    Column("roles", ARRAY(Text), nullable=False),
    Column("active", Boolean, nullable=False),
    moment("created_at"),
    *revision(),
)
Index("users_by_name", table.c.company_id, table.c.name, table.c.user_id)

users = View("users", table)

ADDED = inserting(table, active=True)


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


class UserItem(ItemModel):
    """A person who may act in the company."""

    user_id: Annotated[str, Field(description="Id of the user", examples=["maria-quispe"])]
    name: Annotated[str, Field(description="Name", examples=["Maria Quispe"])]
    email: Annotated[str, Field(description="E-mail address, unique in the company", examples=["maria@acme.example"])]
    roles: Annotated[tuple[Role, ...], Field(description="What the user may do", examples=[["manager"]])]
    active: Annotated[bool, Field(description="False: the user may not act any more")]
    created_at: Annotated[datetime, Field(description="When the user was added")]
    updated_at: Annotated[datetime, Field(description="When this version was recorded")]
    version: Version


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
        "active": Filter(table.c.active, bool, "Users who may, or may not, act"),
    },
    sorts={"name": Sort(table.c.name, LineOfText, "by name"), "user_id": Sort(table.c.user_id, LineOfText, "by id")},
    default_sort="name",
)
