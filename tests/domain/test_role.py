"""A company defines roles of its own; whoever holds one may do what it permits, at once and no longer."""

import pytest

from domain import PERMISSIONS, RULES
from domain.category import CategoryDefined, DefineCategory
from domain.model import Role
from domain.role import ChangeRole, DefineRole, RemoveRole, RoleChanged, RoleRemoved, Staff, staff
from domain.user import UserAddedToCompany, UserDeactivated, UserRolesChanged, user
from tests.domain.acme import ACME, MAX, OPENED, OPERATOR, STOREKEEPER, TESS
from tests.domain.scenario import Story, given

DEFINE = DefineRole(role="storekeeper", permissions=STOREKEEPER.permissions)
REMOVE = RemoveRole(role="storekeeper")
REMOVED = RoleRemoved(role="storekeeper")
HELD = UserRolesChanged(user_id="tess", roles=("storekeeper",))
CRANES = DefineCategory(category_id="cranes", name="Cranes")


def change(*permissions: str) -> ChangeRole:
    return ChangeRole(role="storekeeper", permissions=permissions)


# --- defined, changed, removed --------------------------------------------------------------------------------------


def test_an_admin_defines_a_role_once() -> None:
    given(ACME).when(DEFINE).then(STOREKEEPER).when(DEFINE).then_rejected("role-exists")


def test_an_admin_gives_a_role_other_permissions_and_a_repeat_adds_nothing() -> None:
    story = given(ACME, STOREKEEPER).when(change("equipment.move", "equipment.read"))
    after = story.then(RoleChanged(role="storekeeper", permissions=("equipment.move", "equipment.read")))
    after.when(change("equipment.read", "equipment.move")).then_nothing()


def test_a_role_is_removed_and_its_name_is_free() -> None:
    story = given(ACME, STOREKEEPER).when(REMOVE).then(REMOVED)
    story.when(REMOVE).then_rejected("role-unknown")
    story.when(change("equipment.read")).then_rejected("role-unknown")
    again = story.when(DEFINE)
    again.then(STOREKEEPER)
    assert [fact.version for fact in again.facts] == [3]


def test_a_role_that_somebody_holds_stays_whether_they_may_act_or_not() -> None:
    given(ACME, STOREKEEPER, HELD).when(REMOVE).then_rejected("role-in-use")
    left = UserDeactivated(user_id="tess", reason="left")
    given(ACME, STOREKEEPER, HELD, left).when(REMOVE).then_rejected("role-in-use")
    given(ACME, STOREKEEPER, HELD, UserRolesChanged(user_id="tess", roles=("viewer",))).when(REMOVE).then(REMOVED)


@pytest.mark.parametrize("actor", [MAX, TESS, OPERATOR])
def test_nobody_else_defines_roles(actor: str) -> None:
    for command in (DEFINE, change("equipment.read"), REMOVE):
        given(ACME, STOREKEEPER).when(command, by=actor).then_rejected("forbidden")


@pytest.mark.parametrize("name", [*Role, "Storekeeper", "store keeper", "", "x" * 65])
def test_a_role_has_a_plain_name_that_is_not_built_in(name: str) -> None:
    sent = f'{{"role": "{name}", "permissions": ["equipment.read"]}}'.encode()
    for command in (DefineRole, ChangeRole):
        given(ACME).when_sent(command, sent, about=name).then_rejected("invalid", "role")
    given(ACME).when_sent(RemoveRole, f'{{"role": "{name}"}}'.encode(), about=name).then_rejected("invalid", "role")


@pytest.mark.parametrize("permission", ["equipment.fly", "submarine.read", "company.suspend", "company.create"])
def test_a_role_permits_commands_that_a_company_s_people_can_send(permission: str) -> None:
    given(ACME).when(DefineRole(role="driver", permissions=(permission,))).then_rejected("permission-unknown")
    given(ACME, STOREKEEPER).when(change(permission)).then_rejected("permission-unknown")


def test_every_command_of_a_company_s_people_can_be_permitted() -> None:
    assert {rule.permission for rule in RULES.values() if not rule.operators} < PERMISSIONS


# --- what a role permits --------------------------------------------------------------------------------------------


def test_whoever_holds_a_role_does_what_it_permits_and_nothing_else() -> None:
    story = given(ACME, STOREKEEPER, HELD)
    story.when(CRANES, by=TESS).then(CategoryDefined(category_id="cranes", name="Cranes"))
    story.when(DEFINE, by=TESS).then_rejected("forbidden")


def test_what_a_role_permits_ends_with_the_permission_or_the_role() -> None:
    narrower = RoleChanged(role="storekeeper", permissions=("equipment.read",))
    given(ACME, STOREKEEPER, HELD, narrower).when(CRANES, by=TESS).then_rejected("forbidden")
    given(ACME, STOREKEEPER, HELD, UserDeactivated(user_id="tess", reason="left")).when(CRANES, by=TESS).then_rejected(
        "actor-unknown"
    )


def test_roles_add_up() -> None:
    both = UserRolesChanged(user_id="tess", roles=("viewer", "storekeeper"))
    assert given(ACME, STOREKEEPER, both).when(CRANES, by=TESS).code is None


# --- the roster -----------------------------------------------------------------------------------------------------


def people(*events: object) -> Staff:
    """The roster as folded from events about different people."""
    found, states = staff.initial, dict.fromkeys(("ada", "max", "tess"), user.initial)
    for event in events:
        assert isinstance(event, UserAddedToCompany | UserRolesChanged | UserDeactivated)
        found = staff.evolve(found, event, states[event.user_id])
        states[event.user_id] = user.evolve(states[event.user_id], event)
    return found


def test_the_roster_counts_who_holds_a_role_and_which_admins_may_act() -> None:
    ada, max_, tess = ACME[1:4]
    left = UserDeactivated(user_id="ada", reason="left")
    assert people(ada, max_) == Staff(holders={"admin": 1, "manager": 1}, active_admins=1)
    assert people(ada, max_, left) == Staff(holders={"admin": 1, "manager": 1}, active_admins=0)
    assert people(ada, tess, HELD) == Staff(holders={"admin": 1, "storekeeper": 1}, active_admins=1)


def roster(story: Story) -> bytes:
    return story.records["acme/~roster/staff"]


def test_a_company_has_one_record_of_its_staff_from_its_first_admin_on() -> None:
    assert roster(given(OPENED)) == b'1 1 {"holders":{"admin":1},"active_admins":1}'
    assert roster(given(ACME, HELD)).startswith(b"1 5 ")
