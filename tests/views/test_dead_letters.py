"""Dead letters: whose they are, what they hold, and that one is open until it was tried again or discarded."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from domain.letter import LetterDiscarded, LetterReopened
from domain.record import NOBODY, Status
from tests.views.conftest import World
from tests.views.journal import RETIRE, START
from topics.cloudevents import Record
from topics.dead_letters import UNREADABLE, attempt_id, attempts, set_aside
from views import GROUPS
from views.dead_letters import DEAD_LETTERS, LetterState, is_attempt_for, last_of, letter_of, open_letters
from views.projecting import Entry
from views.reading import reading
from views.retention import prune

GROUP = GROUPS["dead-letters"]


async def add(world: World, id_: UUID | None = None, offset: int = 17, **changes: str) -> str:
    """A letter about a command; gives its id."""
    origin = world.letters.command(world.company, offset, id_ or uuid4())
    await world.project(GROUP, [world.letters.add(origin, **changes)])
    return f"commands-{world.letters.partition}-{offset}"


async def answer(world: World, id_: str, **changes: object) -> None:
    await world.project(GROUPS["outcomes"], [world.answers.give(UUID(id_), world.company, **changes)])


async def test_a_letter_shows_its_command_where_it_came_from_and_why_it_is_there(world: World) -> None:
    command = uuid4()
    letter_id = await add(world, command, detail="Traceback\n  ZeroDivisionError")
    found = await world.see(DEAD_LETTERS, letter_id=letter_id)
    assert found is not None
    assert (found.state, found.reason, found.type, found.command_id) == (LetterState.OPEN, "failed", RETIRE, command)
    assert (found.data, found.actor) == ({"equipment_id": "ex-7"}, "user:ada")
    assert found.detail.endswith("ZeroDivisionError")
    assert ("ce_id", str(command)) in found.headers
    assert found.recorded_at == START + timedelta(seconds=17)


async def test_the_same_letter_published_twice_is_one(world: World) -> None:
    origin = world.letters.command(world.company, 17, uuid4())
    entries = [world.letters.add(origin), world.letters.add(origin)]
    await world.project(GROUP, entries)
    before = await world.rows()
    await world.again(entries)
    assert await world.rows() == before
    assert len((await world.list(DEAD_LETTERS)).items) == 1


async def test_a_letter_is_retried_as_soon_as_an_attempt_has_its_outcome(world: World) -> None:
    command = uuid4()
    letter_id = await add(world, command)
    first, second = (attempt_id(str(command), number) for number in (1, 2))
    for attempt, status in ((first, Status.REJECTED), (second, Status.ACCEPTED)):
        await answer(world, attempt, status=status)
        found = await world.see(DEAD_LETTERS, letter_id=letter_id)
        assert found is not None
        assert (found.state, str(found.retried_as), found.retry_status) == (LetterState.RETRIED, attempt, status)
    async with reading(world.readers, world.company) as reader:
        assert str(await last_of(reader, attempts(str(command)))) == second
        assert await is_attempt_for(reader, first, "user:ada")
        assert not await is_attempt_for(reader, first, "user:max")
        assert not await is_attempt_for(reader, str(uuid4()), "user:ada")


async def test_a_letter_is_discarded_with_a_reason_and_opened_again(world: World) -> None:
    letter_id = await add(world)
    discarded = LetterDiscarded(letter_id=letter_id, reason="a typing error")
    entries = await world.tell(discarded)
    await world.again(entries)
    found = await world.see(DEAD_LETTERS, letter_id=letter_id)
    assert found is not None
    assert (found.state, found.discard_reason, found.discarded_by) == ("discarded", "a typing error", "user:ada")
    await world.tell(LetterReopened(letter_id=letter_id))
    found = await world.see(DEAD_LETTERS, letter_id=letter_id)
    assert found is not None
    assert (found.state, found.discard_reason, found.discarded_at, found.version) == ("open", None, None, 2)


async def test_letters_are_found_by_state_reason_type_and_time(world: World) -> None:
    failed, invalid = await add(world, offset=1), await add(world, offset=2, reason="invalid")
    await world.tell(LetterDiscarded(letter_id=failed, reason="old"))
    later = (START + timedelta(seconds=2)).isoformat()
    for query, ids in (
        ({}, [invalid, failed]),
        ({"state": "open"}, [invalid]),
        ({"state": "discarded"}, [failed]),
        ({"reason": "failed"}, [failed]),
        ({"type": RETIRE, "sort": "recorded_at"}, [failed, invalid]),
        ({"type": "another"}, []),
        ({"since": later}, [invalid]),
        ({"until": later}, [failed]),
    ):
        assert [found.letter_id for found in (await world.list(DEAD_LETTERS, **query)).items] == ids, query


async def test_open_letters_are_counted_by_reason(world: World) -> None:
    reason = f"quarantined: {world.company}"
    kept, discarded = await add(world, offset=1, reason=reason), await add(world, offset=2, reason=reason)
    await world.tell(LetterDiscarded(letter_id=discarded, reason="old"))
    async with world.writers.connect() as connection:
        assert (await open_letters(connection))[reason] == 1
    assert kept != discarded


@pytest.mark.parametrize("junk", [b"\x00\xff{", b"[" * 5000, None])
async def test_whatever_bytes_a_letter_holds_it_can_be_kept_and_shown(world: World, junk: bytes | None) -> None:
    origin = world.letters.command(world.company, 17, uuid4())
    headers = (*origin.headers, ("x\x00", b"\x00\xff"), ("none", None))
    await world.project(GROUP, [world.letters.add(origin._replace(value=junk, headers=headers), detail="a\x00b")])
    letter_id = f"commands-{world.letters.partition}-17"
    found = await world.see(DEAD_LETTERS, letter_id=letter_id)
    assert found is not None
    assert (found.data, found.detail) == (None, "a\ufffdb")
    assert ("x\ufffd", "\x00\\xff") in found.headers
    async with reading(world.readers, world.company) as reader:
        row = await letter_of(reader, letter_id)
    assert row is not None
    assert row["value"] == junk


async def test_what_names_no_company_is_kept_and_shown_to_none(world: World) -> None:
    nobody = Record("erp.commands", world.letters.partition, b"\xff", b"{}", offset=5)
    entry = world.letters.add(nobody, "invalid")
    assert entry.content.company_id == NOBODY
    await world.project(GROUP, [entry])
    assert (await world.list(DEAD_LETTERS)).items == ()


async def test_a_letter_without_a_command_is_its_company_s_all_the_same(world: World) -> None:
    nothing = Record("erp.commands", world.letters.partition, world.company.encode(), b"{}", offset=6)
    await world.project(GROUP, [world.letters.add(nothing, "invalid")])
    found = await world.see(DEAD_LETTERS, letter_id=f"commands-{world.letters.partition}-6")
    assert found is not None
    assert (found.type, found.command_id, found.actor, found.data) == (None, None, None, {})


def test_a_record_that_is_no_letter_is_one_that_cannot_be_read() -> None:
    found = set_aside(Record("erp.dead-letters", 1, b"acme", b"x", (("some", b"thing"),), 3, 1000))
    assert (found.company_id, found.reason, found.aggregate_id) == ("acme", UNREADABLE, "dead-letters-1-3")


async def test_letters_go_with_their_topic(world: World) -> None:
    letter_id = await add(world)
    assert GROUP.keeps is not None
    async with world.writers.connect() as connection:
        await prune(connection, GROUP, START - GROUP.keeps)
        assert await world.see(DEAD_LETTERS, letter_id=letter_id) is not None
        await prune(connection, GROUP, START + timedelta(days=1))
    assert await world.see(DEAD_LETTERS, letter_id=letter_id) is None


async def test_an_entry_of_a_letter_counts_by_its_offset(world: World) -> None:
    entry: Entry = world.letters.add(world.letters.command(world.company, 9, uuid4()))
    assert (entry.position, entry.offset) == (1, 0)
