"""Outcomes: the first answer to a command stands, and goes when its topic forgets it."""

from datetime import timedelta
from uuid import uuid4

from domain.record import Status
from tests.views.conftest import World
from tests.views.journal import START
from views import GROUPS
from views.outcomes import OUTCOMES
from views.projecting import Entry
from views.retention import prune

GROUP = GROUPS["outcomes"]


async def test_the_answer_to_a_command_shows_what_became_of_it(world: World) -> None:
    command = uuid4()
    await world.project(GROUP, [world.answers.give(command, world.company)])
    outcome = await world.see(OUTCOMES, command_id=str(command))
    assert outcome is not None
    assert (outcome.status, outcome.version, outcome.first, outcome.last) == (Status.ACCEPTED, 2, 10, 11)
    assert (outcome.aggregate_id, outcome.actor, outcome.code) == ("ex-7", "user:ada", None)


async def test_a_refusal_shows_its_code_and_each_wrong_field(world: World) -> None:
    command = uuid4()
    wrong = ({"field": "name", "code": "missing", "detail": "Field required"},)
    refused = {"status": Status.REJECTED, "code": "invalid", "kind": "invalid", "detail": "Some fields are wrong."}
    await world.project(GROUP, [world.answers.give(command, world.company, errors=wrong, **refused)])
    outcome = await world.see(OUTCOMES, command_id=str(command))
    assert outcome is not None
    assert (outcome.code, outcome.errors) == ("invalid", wrong)


async def test_repeats_and_conflicts_leave_the_first_answer(world: World) -> None:
    command, unseen = uuid4(), uuid4()
    first = world.answers.give(command, world.company)
    repeat = world.answers.give(command, world.company, repeat=True, version=3)
    conflict = world.answers.give(command, world.company, conflict=True, status=Status.REJECTED, code="id-reused")
    alone = world.answers.give(unseen, world.company, repeat=True)
    await world.project(GROUP, [first, repeat, conflict, alone])
    outcome = await world.see(OUTCOMES, command_id=str(command))
    assert outcome is not None
    assert (outcome.status, outcome.version) == (Status.ACCEPTED, 2)
    assert await world.see(OUTCOMES, command_id=str(unseen)) is None


async def test_the_same_outcomes_again_leave_the_same_rows(world: World) -> None:
    entries: list[Entry] = [world.answers.give(uuid4(), world.company) for _ in range(3)]
    await world.project(GROUP, entries)
    before = await world.rows()
    await world.again(entries)
    assert await world.rows() == before


async def test_a_list_of_commands_is_that_of_one_actor_newest_first(world: World) -> None:
    commands = [uuid4() for _ in range(3)]
    entries = [world.answers.give(command, world.company) for command in commands]
    await world.project(GROUP, [*entries, world.answers.give(uuid4(), world.company, actor="user:max")])
    found = await world.list(OUTCOMES, {"actor": "user:ada"})
    assert [outcome.command_id for outcome in found.items] == commands[::-1]


async def test_old_answers_go_and_young_ones_stay(world: World) -> None:
    old, young = uuid4(), uuid4()
    long_ago = START - timedelta(days=40)
    entries = [world.answers.give(old, world.company, recorded_at=long_ago), world.answers.give(young, world.company)]
    await world.project(GROUP, entries)
    assert GROUP.keeps is not None
    async with world.writers.connect() as connection:
        assert await prune(connection, GROUP, START - GROUP.keeps) >= 1
        assert await prune(connection, GROUPS["history"], START) == 0
    assert await world.see(OUTCOMES, command_id=str(old)) is None
    assert await world.see(OUTCOMES, command_id=str(young)) is not None
