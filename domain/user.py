"""A person of a company: who may act, and as what."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field

from domain.decider import Claim, Context, Decider, Kind, Refusal
from domain.model import MANAGERS, Command, Email, Event, Id, Name, Role, State, each_once

email_taken = Refusal("email-taken", Kind.CONFLICT, "Another user of the company has this e-mail address.")
only_admins_add_admins = Refusal(
    "only-admins-add-admins", Kind.FORBIDDEN, "Only an admin of the company may add another admin."
)

Roles = Annotated[tuple[Role, ...], Field(min_length=1, max_length=len(Role)), AfterValidator(each_once)]


class UserAddedToCompany(Event):
    """A person may act in the company from now on."""

    user_id: Id
    name: Name
    email: Email
    roles: Roles


class User(State):
    email: str | None = None
    roles: tuple[Role, ...] = ()
    active: bool = False

    @property
    def address(self) -> str | None:
        """E-mail addresses that differ in case alone are one address."""
        return self.email.casefold() if self.email else None


def evolve(person: User, event: UserAddedToCompany) -> User:
    return person.but(email=event.email, roles=event.roles, active=True)


user = Decider(
    "user",
    key="user_id",
    path="users",
    initial=User(),
    evolve=evolve,
    claims=(Claim("email", lambda person: person.address, email_taken),),
)


class AddUser(Command):
    """Add a person to the company with the roles that say what they may do."""

    user_id: Id
    name: Name
    email: Email
    roles: Roles


@user.creates(MANAGERS)
def add_user(person: User, cmd: AddUser, context: Context) -> Iterator[UserAddedToCompany]:
    if Role.ADMIN in cmd.roles and Role.ADMIN not in context.roles:
        raise only_admins_add_admins()
    yield UserAddedToCompany(**vars(cmd))
