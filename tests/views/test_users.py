"""Users, roles and categories: each event gives its row, and the same event again leaves it as it is."""

from domain.category import CategoryArchived, CategoryDefined, CategoryRenamed
from domain.model import Role
from domain.role import RoleChanged, RoleRemoved
from domain.user import (
    IdentityLinked,
    IdentityUnlinked,
    UserAddedToCompany,
    UserDeactivated,
    UserReactivated,
    UserRolesChanged,
)
from tests.domain.acme import ACME, STOREKEEPER
from tests.views.conftest import World
from views.categories import CATEGORIES
from views.roles import ROLES
from views.users import USERS, UserItem

TESS = UserAddedToCompany(
    user_id="tess", name="Tess Flores", email="tess@acme.example", roles=(Role.TECHNICIAN, Role.VIEWER)
)
LEFT = UserDeactivated(user_id="tess", reason="left the company")
RETURNED = UserReactivated(user_id="tess")
KEEPER = UserRolesChanged(user_id="tess", roles=("storekeeper", "viewer"))
EXCAVATORS = CategoryDefined(category_id="excavators", name="Excavators")
CHANGED = RoleChanged(role="storekeeper", permissions=("equipment.move",))
REMOVED = RoleRemoved(role="storekeeper")


async def tess(world: World) -> UserItem:
    found = await world.see(USERS, user_id="tess")
    assert found is not None
    return found


async def test_an_added_user_may_act_with_the_roles_given(world: World) -> None:
    await world.tell(TESS)
    person = await tess(world)
    assert (person.name, person.email, person.active) == ("Tess Flores", "tess@acme.example", True)
    assert (person.roles, person.version) == ((Role.TECHNICIAN, Role.VIEWER), 1)


async def test_a_user_has_the_roles_given_last(world: World) -> None:
    await world.tell(TESS, KEEPER)
    assert (await tess(world)).roles == ("storekeeper", "viewer")


async def test_users_are_found_by_role_and_by_whether_they_may_act(world: World) -> None:
    await world.tell(*ACME[1:4], UserDeactivated(user_id="max", reason="left"))
    assert [person.user_id for person in (await world.list(USERS, role="technician")).items] == ["tess"]
    assert [person.user_id for person in (await world.list(USERS, active="false")).items] == ["max"]


async def test_somebody_who_left_may_not_act_until_back(world: World) -> None:
    *_, entry = await world.tell(TESS, LEFT)
    person = await tess(world)
    assert (person.active, person.deactivation_reason) == (False, "left the company")
    assert person.deactivated_at == entry.content.recorded_at
    await world.tell(RETURNED)
    person = await tess(world)
    assert (person.active, person.deactivated_at, person.deactivation_reason) == (True, None, None)


async def test_a_role_has_the_permissions_given_last(world: World) -> None:
    await world.tell(STOREKEEPER)
    role = await world.see(ROLES, role="storekeeper")
    assert role is not None
    assert (role.permissions, role.version) == (("category.define", "equipment.read"), 1)
    await world.tell(CHANGED)
    role = await world.see(ROLES, role="storekeeper")
    assert role is not None
    assert (role.permissions, role.version) == (("equipment.move",), 2)
    assert [found.role for found in (await world.list(ROLES, permission="equipment.move")).items] == ["storekeeper"]
    assert (await world.list(ROLES, permission="equipment.read")).items == ()


async def test_a_role_that_was_removed_is_gone_until_it_is_defined_again(world: World) -> None:
    await world.tell(STOREKEEPER, REMOVED)
    assert await world.see(ROLES, role="storekeeper") is None
    await world.tell(STOREKEEPER)
    role = await world.see(ROLES, role="storekeeper")
    assert role is not None
    assert role.version == 3


async def test_a_defined_category_has_its_name_and_interval(world: World) -> None:
    await world.tell(EXCAVATORS.model_copy(update={"maintenance_interval_days": 90}))
    kind = await world.see(CATEGORIES, category_id="excavators")
    assert kind is not None
    assert (kind.name, kind.maintenance_interval_days, kind.archived_at, kind.version) == ("Excavators", 90, None, 1)


async def test_a_category_is_renamed_and_archived(world: World) -> None:
    await world.tell(
        EXCAVATORS,
        CategoryRenamed(category_id="excavators", name="Diggers"),
        CategoryArchived(category_id="excavators"),
        CategoryDefined(category_id="cranes", name="Cranes"),
    )
    kind = await world.see(CATEGORIES, category_id="excavators")
    assert kind is not None
    assert (kind.name, kind.version) == ("Diggers", 3)
    archived = await world.list(CATEGORIES, archived="true")
    assert [found.category_id for found in archived.items] == ["excavators"]


async def test_the_same_events_again_leave_the_same_rows(world: World) -> None:
    entries = await world.tell(TESS, EXCAVATORS, STOREKEEPER, CHANGED, KEEPER, LEFT, RETURNED)
    entries += await world.tell(CategoryRenamed(category_id="excavators", name="Diggers"), REMOVED)
    before = await world.rows()
    await world.again(entries)
    assert await world.rows() == before


async def test_an_identity_of_another_provider_is_shown_until_it_is_unlinked(world: World) -> None:
    known = {"user_id": "tess", "issuer": "https://login.example", "subject": "248289761001"}
    entries = await world.tell(TESS, IdentityLinked(**known))
    await world.again(entries)
    person = await tess(world)
    assert (person.identity_issuer, person.identity_subject) == ("https://login.example", "248289761001")
    await world.tell(IdentityUnlinked(**known))
    assert (await tess(world)).identity_issuer is None
