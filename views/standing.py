"""What a person may be and do in the company, as the views have it now, with the position that it is as new as."""

from dataclasses import dataclass

from sqlalchemy import select

from views import checkpoints
from views.checkpoints import Checkpoint
from views.companies import table as COMPANIES
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


async def standing(reader: Reader, user_id: str, partition: int) -> tuple[Standing | None, Checkpoint]:
    """None where there is no such person. The checkpoint of the company's partition is read first, so that all else is
    at least as new."""
    read = await checkpoints.read(reader.connection, USERS.group)
    return await _person(reader, user_id), read.get(partition, UNREAD)


async def _person(reader: Reader, user_id: str) -> Standing | None:
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
