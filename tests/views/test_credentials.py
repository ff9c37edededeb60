"""What passwords and codes are compared with."""

from sqlalchemy import text

from domain.credential import TotpRemoved
from domain.model import Event
from tests.domain.credentials import CONFIRMED, ENROLMENT, ENROLMENT_BEGUN, FIRST, HASH, INVITED, PASSWORD, SESSION
from tests.views.conftest import World
from views import GROUPS
from views.credentials import Held, held, table
from views.digest import shown
from views.protection import READER, SIGN_IN, WRITER
from views.reading import reading, sign_in_engine
from views.rebuild import copy_of
from views.users import table as users


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


async def test_where_rows_differ_a_secret_one_is_shown_by_its_key_alone() -> None:
    row = {"company_id": "acme", "user_id": "tess", "password_hash": HASH, "version": 2}
    assert shown(table, row) == {"company_id": "acme", "user_id": "tess"}
    assert shown(users, row) == row


async def test_a_copy_that_is_folded_again_has_the_same_reader(world: World) -> None:
    may = text("SELECT has_table_privilege(:role, :name, 'SELECT')")
    async with copy_of(world.dsn, GROUPS["credentials"]) as copy, copy.owner.connect() as owner:
        name = f"{copy.schema}.credentials"
        found = {role: await owner.scalar(may, {"role": role, "name": name}) for role in (READER, SIGN_IN, WRITER)}
    assert found == {READER: False, SIGN_IN: True, WRITER: True}
