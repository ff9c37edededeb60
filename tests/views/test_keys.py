"""Keys: each event gives its row, and the same event again leaves it as it is."""

from datetime import UTC, datetime

from domain.key import KeyChanged, KeyRevoked, KeyUsed
from tests.domain.acme import ACME, PLANT
from tests.views.conftest import World
from views.keys import KEYS, KeyItem
from views.reading import reading
from views.standing import Opening, opening

LATER = datetime(2027, 11, 23, tzinfo=UTC)
CHANGED = KeyChanged(key_id="plant-4", name="Plant four", permissions=("part.read",), expires_at=LATER)
REVOKED = KeyRevoked(key_id="plant-4", reason="stolen")
USED = KeyUsed(key_id="plant-4")


async def plant(world: World) -> KeyItem:
    found = await world.see(KEYS, key_id="plant-4")
    assert found is not None
    return found


async def opened(world: World) -> Opening:
    async with reading(world.readers, world.company) as reader:
        found = await opening(reader, "plant-4")
    assert found is not None
    return found


async def test_a_key_shows_what_it_permits_and_its_public_half_alone(world: World) -> None:
    await world.tell(PLANT)
    found = await plant(world)
    assert (found.permissions, found.public_key) == (("category.define", "equipment.read"), PLANT.public_key)
    assert (found.expires_at, found.revoked_at, found.last_used_at, found.version) == (None, None, None, 1)


async def test_a_key_is_as_it_was_changed_last(world: World) -> None:
    await world.tell(ACME[0].model_copy(update={"company_id": world.company}), PLANT, CHANGED)
    found = await plant(world)
    assert (found.name, found.permissions, found.expires_at) == ("Plant four", ("part.read",), LATER)
    assert not (await opened(world)).opens_at(LATER)


async def test_a_key_opens_nothing_once_it_is_revoked(world: World) -> None:
    company = ACME[0].model_copy(update={"company_id": world.company})
    await world.tell(company, PLANT)
    assert (await opened(world)).opens_at(LATER)
    await world.tell(REVOKED)
    assert not (await opened(world)).opens_at(LATER)


async def test_a_revoked_key_says_since_when_and_why(world: World) -> None:
    *_, entry = await world.tell(*ACME, PLANT, REVOKED)
    found = await plant(world)
    assert (found.revoked_at, found.revocation_reason) == (entry.content.recorded_at, "stolen")
    assert [one.key_id for one in (await world.list(KEYS, revoked="true")).items] == ["plant-4"]
    assert (await world.list(KEYS, revoked="false")).items == ()


async def test_a_key_tells_when_it_was_last_used(world: World) -> None:
    *_, entry = await world.tell(PLANT, USED)
    assert (await plant(world)).last_used_at == entry.content.recorded_at


async def test_the_same_events_again_leave_the_same_rows(world: World) -> None:
    entries = await world.tell(PLANT, USED, CHANGED, REVOKED)
    before = await world.rows()
    await world.again(entries)
    assert await world.rows() == before
