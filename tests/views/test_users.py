"""Users and categories: each event gives its row, and the same event again leaves it as it is."""

from domain.category import CategoryDefined
from domain.model import Role
from domain.user import UserAddedToCompany
from tests.views.conftest import World
from views.categories import CATEGORIES
from views.users import USERS

TESS = UserAddedToCompany(
    user_id="tess", name="Tess Flores", email="tess@acme.example", roles=(Role.TECHNICIAN, Role.VIEWER)
)


async def test_an_added_user_may_act_with_the_roles_given(world: World) -> None:
    await world.tell(TESS)
    person = await world.see(USERS, user_id="tess")
    assert person is not None
    assert (person.name, person.email, person.active) == ("Tess Flores", "tess@acme.example", True)
    assert (person.roles, person.version) == ((Role.TECHNICIAN, Role.VIEWER), 1)


async def test_a_defined_category_has_its_name(world: World) -> None:
    await world.tell(CategoryDefined(category_id="excavators", name="Excavators"))
    kind = await world.see(CATEGORIES, category_id="excavators")
    assert kind is not None
    assert (kind.name, kind.version) == ("Excavators", 1)


async def test_the_same_events_again_leave_the_same_rows(world: World) -> None:
    entries = await world.tell(TESS, CategoryDefined(category_id="excavators", name="Excavators"))
    before = await world.rows()
    await world.again(entries)
    assert await world.rows() == before
