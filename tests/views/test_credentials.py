"""What passwords and codes are compared with."""

from domain.credential import TotpRemoved
from domain.model import Event
from tests.domain.credentials import CONFIRMED, ENROLMENT, ENROLMENT_BEGUN, FIRST, HASH, INVITED, PASSWORD, SESSION
from tests.views.conftest import World
from views import GROUPS
from views.credentials import Held, held
from views.reading import reading, sign_in_engine


async def seen(world: World, *events: Event) -> Held:
    """What is held of tess after these events more, each of them told twice."""
    entries = world.journal.tell(*events, company=world.company)
    if entries:
        await world.project(GROUPS["credentials"], entries)
        await world.again(entries)
    pool = sign_in_engine(world.dsn)
    async with reading(pool, world.company) as reader:
        found = await held(reader, "tess")
    await pool.dispose()
    return found


async def test_the_hash_and_its_version_follow_the_events(world: World) -> None:
    assert await seen(world) == Held()
    assert await seen(world, INVITED) == Held(one_time_digest=FIRST)
    known = Held(password_hash=HASH, password_version=1)
    assert await seen(world, PASSWORD) == known
    assert await seen(world, SESSION) == known


async def test_a_second_factor_is_there_until_it_is_removed(world: World) -> None:
    begun = Held(password_hash=HASH, password_version=1, enrolment_id=ENROLMENT, totp_secret=ENROLMENT_BEGUN.secret)
    assert await seen(world, INVITED, PASSWORD, ENROLMENT_BEGUN) == begun
    assert (await seen(world, CONFIRMED)).totp_confirmed
    removed = TotpRemoved(user_id="tess", requested_by="user:ada")
    assert await seen(world, removed) == Held(password_hash=HASH, password_version=1)
