"""What permissions are computed from, and how new it is."""

import asyncio

import pytest
from pydantic import SecretStr

from api.database import Database
from api.permissions import Permissions
from api.problems import Problem
from api.tokens import Principal
from domain.company import CompanySuspended
from domain.decider import Actor
from domain.role import RoleDefined
from domain.user import UserAddedToCompany, UserDeactivated
from tests.domain.acme import ACME
from tests.views.conftest import World
from topics.settings import Settings
from views.reading import reading
from views.standing import Standing, checkpoint, standing

VERA = UserAddedToCompany(user_id="vera", name="Vera", email="vera@example.com", roles=("viewer", "keeper"))
KEEPER = RoleDefined(role="keeper", permissions=("part.read",))
GONE = UserDeactivated(user_id="vera", reason="left")


async def settle(world: World) -> None:
    await world.tell(ACME[0].model_copy(update={"company_id": world.company}), KEEPER, VERA)


async def seen(world: World, user_id: str = "vera") -> tuple[Standing | None, int]:
    async with reading(world.readers, world.company) as reader:
        read = await checkpoint(reader, world.journal.partition)
        return await standing(reader, user_id), read.position


async def test_a_person_s_standing_has_roles_what_they_list_and_how_new_it_is(world: World) -> None:
    await settle(world)
    expected = Standing(active=True, suspended=False, roles=("viewer", "keeper"), listed=frozenset({"part.read"}))
    assert await seen(world) == (expected, 3)
    assert await seen(world, "nobody") == (None, 3)
    await world.tell(GONE, CompanySuspended(company_id=world.company, reason="unpaid"))
    found, position = await seen(world)
    assert found is not None
    assert (found.active, found.suspended, position) == (False, True, 5)


async def test_views_that_are_behind_a_change_are_not_believed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await settle(world)
    settings = Settings(kafka="127.0.0.1:1", database=SecretStr(world.dsn), partitions=1)
    monkeypatch.setattr("api.permissions.partition_of", lambda key, partitions: world.journal.partition)
    database = Database(settings)
    permissions = Permissions(settings, database)
    vera = Principal(Actor("user", "vera"), world.company)
    assert "part.read" in (await permissions.access(vera)).permissions
    permissions.changed(world.company, "user", 4)  # her deactivation, which the views do not show yet
    asking = asyncio.create_task(permissions.access(vera))
    await asyncio.sleep(0)
    assert not asking.done()
    await world.tell(GONE)
    with pytest.raises(Problem) as refused:
        await asking
    assert refused.value.type.code == "actor-unknown"
    await database.stop()


async def test_who_asks_while_the_views_stand_still_is_asked_to_come_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await settle(world)
    settings = Settings(kafka="127.0.0.1:1", database=SecretStr(world.dsn), partitions=1, wait_limit=0.1)
    monkeypatch.setattr("api.permissions.partition_of", lambda key, partitions: world.journal.partition)
    database = Database(settings)
    permissions = Permissions(settings, database)
    permissions.changed(world.company, "role", 99)
    with pytest.raises(Problem) as refused:
        await permissions.check(Principal(Actor("user", "vera"), world.company))
    assert refused.value.type.code == "views-behind"
    await database.stop()
