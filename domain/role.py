"""Roles that a company defines for itself beside the built-in ones: each is a set of permissions."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, assert_never

from pydantic import AfterValidator, Field, StringConstraints

from domain.decider import Context, Decider, Kind, Refusal, Roster
from domain.model import ADMINS, Command, Event, Role, RoleName, State, each_once

role_in_use = Refusal("role-in-use", Kind.CONFLICT, "Somebody of the company holds the role.")
permission_unknown = Refusal(
    "permission-unknown", Kind.INVALID, "There is no such permission, or it may not be given away."
)


def _not_built_in(name: str) -> str:
    if name in set(Role):
        raise ValueError("the roles admin, manager, technician and viewer are built in and stay as they are")
    return name


OwnRole = Annotated[RoleName, AfterValidator(_not_built_in), Field(examples=["storekeeper"])]
Permission = Annotated[
    str,
    StringConstraints(max_length=100, pattern=r"^[a-z][a-z-]*\.[a-z][a-z-]*$"),
    Field(examples=["equipment.move", "equipment.read"]),
]
Permissions = Annotated[tuple[Permission, ...], Field(min_length=1, max_length=300), AfterValidator(each_once)]


class RoleDefined(Event):
    role: OwnRole
    permissions: Permissions

    begins: ClassVar[bool] = True

    def inverse(self) -> Command:
        return RemoveRole(role=self.role)


class RoleChanged(Event):
    role: OwnRole
    permissions: Permissions


class RoleRemoved(Event):
    role: OwnRole


RoleEvent = RoleDefined | RoleChanged | RoleRemoved


class DefinedRole(State):
    permissions: tuple[str, ...] = ()

    @property
    def gone(self) -> bool:
        return not self.permissions


def evolve(defined: DefinedRole, event: RoleEvent) -> DefinedRole:
    match event:
        case RoleDefined(permissions=permissions) | RoleChanged(permissions=permissions):
            return defined.but(permissions=tuple(sorted(permissions)))
        case RoleRemoved():
            return DefinedRole()
        case _:
            assert_never(event)


role = Decider("role", key="role", path="roles", initial=DefinedRole(), evolve=evolve)


class Staff(State):
    """How many people of the company hold each role, whether they may act or not, and how many admins may act."""

    holders: dict[str, int] = Field(default_factory=dict)
    active_admins: int = 0


staff = Roster("staff", initial=Staff())


class DefineRole(Command):
    """Add a role with the commands that its holders may send and what they may read."""

    role: OwnRole
    permissions: Permissions


@role.creates(ADMINS)
def define_role(defined: DefinedRole, cmd: DefineRole, context: Context) -> Iterator[RoleDefined]:
    check_permissions(cmd.permissions, context)
    yield RoleDefined(**vars(cmd))


def check_permissions(permissions: tuple[str, ...], context: Context) -> None:
    """Raises where one of them does not exist, or is not the company's to give."""
    unknown = sorted(set(permissions) - context.permissions)
    if unknown:
        raise permission_unknown(f"Nobody may be given {', '.join(map(repr, unknown[:10]))}.")


class ChangeRole(Command):
    """Give a role other permissions; they hold at once for everybody who has it."""

    role: OwnRole
    permissions: Permissions


@role.decides(ADMINS)
def change_role(defined: DefinedRole, cmd: ChangeRole, context: Context) -> Iterator[RoleChanged]:
    check_permissions(cmd.permissions, context)
    if set(cmd.permissions) != set(defined.permissions):
        yield RoleChanged(**vars(cmd))


class RemoveRole(Command):
    """Remove a role that nobody holds; its name is free again."""

    role: OwnRole


@role.decides(ADMINS)
def remove_role(defined: DefinedRole, cmd: RemoveRole, context: Context) -> Iterator[RoleRemoved]:
    if context.roster(staff).holders.get(cmd.role):
        raise role_in_use()
    yield RoleRemoved(**vars(cmd))
