"""A person of a company: who may act, and as what."""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, ClassVar, assert_never

from pydantic import AfterValidator, Field, StringConstraints

from domain.decider import Claim, Context, Decider, Kind, Refusal
from domain.model import (
    ADMINS,
    MANAGERS,
    UNDONE,
    Command,
    Email,
    Event,
    Id,
    Name,
    Reason,
    Role,
    RoleName,
    State,
    each_once,
)
from domain.role import Staff, role, staff

email_taken = Refusal("email-taken", Kind.CONFLICT, "Another user of the company has this e-mail address.")
only_admins_add_admins = Refusal(
    "only-admins-add-admins", Kind.FORBIDDEN, "Only an admin of the company may add another admin."
)
only_admins_change_admins = Refusal(
    "only-admins-change-admins", Kind.FORBIDDEN, "Only an admin of the company may change what an admin may do."
)
only_admins_give_roles = Refusal(
    "only-admins-give-roles", Kind.FORBIDDEN, "Only an admin gives the roles that the company has defined itself."
)
identity_taken = Refusal("identity-taken", Kind.CONFLICT, "The identity stands for another user of the company.")
identity_linked = Refusal(
    "identity-linked", Kind.CONFLICT, "The user has another identity already, which must be unlinked first."
)
last_admin = Refusal("last-admin", Kind.CONFLICT, "The company would be left without an admin who may act.")

Roles = Annotated[
    tuple[RoleName, ...], Field(min_length=1, max_length=20, examples=[["technician"]]), AfterValidator(each_once)
]

#: Who said who somebody is, and under which name: identities of OpenID Connect are these two and never an address.
Issuer = Annotated[
    str, StringConstraints(pattern=r"^https?://[!-~]{1,190}$"), Field(examples=["https://login.example.com"])
]
Subject = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,255}$"), Field(examples=["248289761001"])]


class UserAddedToCompany(Event):
    """A person may act in the company from now on."""

    user_id: Id
    name: Name
    email: Email
    roles: Roles

    begins: ClassVar[bool] = True

    def inverse(self) -> Command:
        return DeactivateUser(user_id=self.user_id, reason=UNDONE)


class UserRolesChanged(Event):
    user_id: Id
    roles: Roles


class UserDeactivated(Event):
    user_id: Id
    reason: Reason

    def inverse(self) -> Command:
        return ReactivateUser(user_id=self.user_id)


class UserReactivated(Event):
    user_id: Id

    def inverse(self) -> Command:
        return DeactivateUser(user_id=self.user_id, reason=UNDONE)


class IdentityLinked(Event):
    """Whoever another provider of identities knows under this name is this user."""

    user_id: Id
    issuer: Issuer
    subject: Subject

    def inverse(self) -> Command:
        return UnlinkIdentity(user_id=self.user_id)


class IdentityUnlinked(Event):
    user_id: Id
    issuer: Issuer
    subject: Subject

    def inverse(self) -> Command:
        return LinkIdentity(user_id=self.user_id, issuer=self.issuer, subject=self.subject)


UserEvent = (
    UserAddedToCompany | UserRolesChanged | UserDeactivated | UserReactivated | IdentityLinked | IdentityUnlinked
)


class User(State):
    email: str | None = None
    roles: tuple[str, ...] = ()
    active: bool = False
    issuer: str | None = None
    subject: str | None = None

    @property
    def identity(self) -> str | None:
        return f"{self.issuer} {self.subject}" if self.issuer else None

    @property
    def address(self) -> str | None:
        """E-mail addresses that differ in case alone are one address."""
        return self.email.casefold() if self.email else None

    @property
    def acts_as_admin(self) -> bool:
        return self.active and Role.ADMIN in self.roles


def evolve(person: User, event: UserEvent) -> User:
    match event:
        case UserAddedToCompany(email=email, roles=roles):
            return person.but(email=email, roles=roles, active=True)
        case UserRolesChanged(roles=roles):
            return person.but(roles=roles)
        case UserDeactivated():
            return person.but(active=False)
        case UserReactivated():
            return person.but(active=True)
        case IdentityLinked(issuer=issuer, subject=subject):
            return person.but(issuer=issuer, subject=subject)
        case IdentityUnlinked():
            return person.but(issuer=None, subject=None)
        case _:
            assert_never(event)


user = Decider(
    "user",
    key="user_id",
    path="users",
    initial=User(),
    evolve=evolve,
    claims=(
        Claim("email", lambda person: person.address, email_taken),
        Claim("identity", lambda person: person.identity, identity_taken),
    ),
    state_version=2,
)


@staff.on
def counted(people: Staff, event: UserEvent, before: User) -> Staff:
    """The roles that the person holds now instead of those held before."""
    after = evolve(before, event)
    holders = Counter(people.holders)
    holders.update(after.roles)
    holders.subtract(before.roles)
    return Staff(
        holders={name: count for name, count in sorted(holders.items()) if count},
        active_admins=people.active_admins + after.acts_as_admin - before.acts_as_admin,
    )


class AddUser(Command):
    """Add a person to the company with the roles that say what they may do."""

    user_id: Id
    name: Name
    email: Email
    roles: Roles


@user.creates(MANAGERS)
def add_user(person: User, cmd: AddUser, context: Context) -> Iterator[UserAddedToCompany]:
    _check_gift(set(cmd.roles), context)
    yield UserAddedToCompany(**vars(cmd))


def _check_gift(roles: set[str], context: Context) -> None:
    """Raises where a role does not exist, or is not the actor's to give."""
    if Role.ADMIN in roles and Role.ADMIN not in context.roles:
        raise only_admins_add_admins()
    for name in sorted(roles - set(Role)):
        if not context.exists(role, name):
            raise role.unknown(f"The company has no role {name!r}.")
        if Role.ADMIN not in context.roles:
            raise only_admins_give_roles()


class ChangeUserRoles(Command):
    """Give a person other roles; they hold at once, also for commands of theirs that are on their way."""

    user_id: Id
    roles: Roles


@user.decides(MANAGERS)
def change_user_roles(person: User, cmd: ChangeUserRoles, context: Context) -> Iterator[UserRolesChanged]:
    if set(cmd.roles) == set(person.roles):
        return  # asked twice, changed once
    _check_touch(person, context)
    _check_gift(set(cmd.roles) - set(person.roles), context)
    if Role.ADMIN not in cmd.roles:
        _check_not_last(person, context)
    yield UserRolesChanged(**vars(cmd))


def _check_touch(person: User, context: Context) -> None:
    if Role.ADMIN in person.roles and Role.ADMIN not in context.roles:
        raise only_admins_change_admins()


def _check_not_last(person: User, context: Context) -> None:
    if person.acts_as_admin and context.roster(staff).active_admins == 1:
        raise last_admin()


class DeactivateUser(Command):
    """Let a person act no more, from this moment on; the e-mail address and the roles stay theirs."""

    user_id: Id
    reason: Reason


@user.decides(MANAGERS)
def deactivate_user(person: User, cmd: DeactivateUser, context: Context) -> Iterator[UserDeactivated]:
    if not person.active:
        return  # asked twice, deactivated once
    _check_touch(person, context)
    _check_not_last(person, context)
    yield UserDeactivated(**vars(cmd))


class ReactivateUser(Command):
    """Let a person act again, with the roles they have."""

    user_id: Id


@user.decides(MANAGERS)
def reactivate_user(person: User, cmd: ReactivateUser, context: Context) -> Iterator[UserReactivated]:
    if person.active:
        return  # asked twice, reactivated once
    _check_touch(person, context)
    yield UserReactivated(**vars(cmd))


class LinkIdentity(Command):
    """Let a person come in with the tokens of another provider of identities, who knows them under this name."""

    user_id: Id
    issuer: Issuer
    subject: Subject


@user.decides(ADMINS)
def link_identity(person: User, cmd: LinkIdentity, context: Context) -> Iterator[IdentityLinked]:
    if (person.issuer, person.subject) == (cmd.issuer, cmd.subject):
        return  # asked twice, linked once
    _check_touch(person, context)
    if person.identity:
        raise identity_linked()
    yield IdentityLinked(**vars(cmd))


class UnlinkIdentity(Command):
    """Let a person come in with the other provider's tokens no more."""

    user_id: Id


@user.decides(ADMINS)
def unlink_identity(person: User, cmd: UnlinkIdentity, context: Context) -> Iterator[IdentityUnlinked]:
    if person.issuer is None or person.subject is None:
        return  # asked twice, unlinked once
    _check_touch(person, context)
    yield IdentityUnlinked(user_id=cmd.user_id, issuer=person.issuer, subject=person.subject)
