"""What a person may do in the company and who they are elsewhere, as the views have it now, and how new that is."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from views import checkpoints
from views.checkpoints import Checkpoint
from views.companies import table as COMPANIES
from views.keys import table as KEYS
from views.reading import Reader
from views.roles import table as ROLES
from views.users import USERS
from views.users import table as PEOPLE

UNREAD = Checkpoint(0, 0)


@dataclass(frozen=True)
class Standing:
    """`roles` are those of the person, `listed` the permissions of the company's own roles among them."""

    active: bool
    suspended: bool
    roles: tuple[str, ...]
    listed: frozenset[str]


@dataclass(frozen=True)
class Opening:
    """What a key of the company's systems opens, by its public half, and until when."""

    public_key: str
    permissions: frozenset[str]
    expires_at: datetime | None
    revoked: bool
    suspended: bool
    last_used_at: datetime | None

    def opens_at(self, now: datetime) -> bool:
        """Whether it opens anything at that time."""
        return not self.revoked and (self.expires_at is None or now < self.expires_at)


async def checkpoint(reader: Reader, partition: int) -> Checkpoint:
    """How far the tables read here have come; read before them, they are at least as new."""
    return (await checkpoints.read(reader.connection, USERS.group)).get(partition, UNREAD)


async def standing(reader: Reader, user_id: str) -> Standing | None:
    """None where there is no such person."""
    company_id, connection = reader.company_id, reader.connection
    columns = select(PEOPLE.c.active, PEOPLE.c.roles, COMPANIES.c.suspended_at)
    ours = PEOPLE.c.company_id == COMPANIES.c.company_id
    wanted = (PEOPLE.c.company_id == company_id, PEOPLE.c.user_id == user_id)
    found = (await connection.execute(columns.join_from(PEOPLE, COMPANIES, ours).where(*wanted))).one_or_none()
    if found is None:
        return None
    held = select(ROLES.c.permissions).where(ROLES.c.company_id == company_id, ROLES.c.role.in_(found.roles))
    listed = {name for permissions in (await connection.execute(held)).scalars() for name in permissions}
    return Standing(found.active, found.suspended_at is not None, tuple(found.roles), frozenset(listed))


async def holder(reader: Reader, issuer: str, subject: str) -> str | None:
    """The user of the company for whom the identity stands."""
    same = (PEOPLE.c.identity_issuer == issuer, PEOPLE.c.identity_subject == subject)
    wanted = select(PEOPLE.c.user_id).where(PEOPLE.c.company_id == reader.company_id, *same)
    return (await reader.connection.execute(wanted)).scalar_one_or_none()


async def opening(reader: Reader, key_id: str) -> Opening | None:
    """None where the company has no such key."""
    columns = select(
        KEYS.c.public_key,
        KEYS.c.permissions,
        KEYS.c.expires_at,
        KEYS.c.revoked_at,
        KEYS.c.last_used_at,
        COMPANIES.c.suspended_at,
    ).join_from(KEYS, COMPANIES, KEYS.c.company_id == COMPANIES.c.company_id)
    wanted = (KEYS.c.company_id == reader.company_id, KEYS.c.key_id == key_id)
    found = (await reader.connection.execute(columns.where(*wanted))).one_or_none()
    if found is None:
        return None
    return Opening(
        found.public_key,
        frozenset(found.permissions),
        found.expires_at,
        found.revoked_at is not None,
        found.suspended_at is not None,
        found.last_used_at,
    )
