"""Workers end at any of their awaits, and whoever comes next finishes: nothing is lost, doubled or different.

The points are found in the source (`awaits.py`), so a new await is a new point. A worker runs with its awaits named,
and ends by `os._exit` at the chosen visit of one of them, alone or beside another worker that takes over. A life
without a crash shows which points there are to reach; what it does not reach is explained by name (`explained.py`).
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from random import Random

import pytest

from ops.embedded import Stack
from tests.crash_points import hook
from tests.crash_points.awaits import STEPS, instrumented, points
from tests.crash_points.explained import stale, unexplained
from tests.crash_points.site import WORKING, WORKS, Site, Way, crash, recorded, site_of

#: So many crashes lie between two audits, and so many points of each kind belong to the quick tests.
AT_ONCE, HANDFUL = 15, 1
SEED = 6

Ways = dict[str, dict[str, Way]]

# --- the points themselves --------------------------------------------------------------------------------------------

SAMPLE = '''"""Sample."""

async def work(things, lock, source):
    """A step of each sort."""
    async with lock as held:
        await held.done(await source.more())
    async for thing in things:
        things.append(thing)
    await source.more()
'''


def test_every_await_of_a_function_is_two_points_hidden_ones_included() -> None:
    _, names = instrumented("agents.sample", SAMPLE)
    assert names == [
        "sample.work: with lock enter",
        "sample.work: with lock exit",
        "sample.work: held.done(await source.more())",
        "sample.work: source.more()",
        "sample.work: for things",
        "sample.work: source.more() #2",
    ]


def test_what_is_awaited_is_the_same_with_its_points() -> None:
    async def run() -> tuple[int, list[int]]:
        async with hook.CrashAround("lock", asyncio.Lock()):
            seen = [number async for number in hook.CrashEach("numbers", numbers())]
        return await hook.crash_at("sleep", asyncio.sleep(0, 7)), seen

    async def numbers() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    assert asyncio.run(run()) == (7, [0, 1, 2])
    assert hook.visits["sleep | before"] == hook.visits["sleep | after"]


def test_a_fault_or_a_cancellation_passes_a_point_by() -> None:
    async def fails() -> None:
        raise KeyError("why")

    async def cancelled() -> None:
        waiting = asyncio.create_task(hook.crash_at("forever", asyncio.sleep(1000)))
        await asyncio.sleep(0)
        waiting.cancel()
        await waiting

    with pytest.raises(KeyError):
        asyncio.run(hook.crash_at("fails", fails()))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert "fails | after" not in hook.visits


def test_a_process_ends_at_the_visit_that_is_chosen() -> None:
    code = "import asyncio; from tests.crash_points.hook import crash_at\n"
    code += "async def main():\n  for n in range(5): await crash_at('x', asyncio.sleep(0)); print(n, flush=True)\n"
    chosen = {"CRASH_AT": "x | after", "CRASH_VISIT": "3"}
    ended = subprocess.run([sys.executable, "-c", code + "asyncio.run(main())"], env=chosen, capture_output=True)
    assert (ended.returncode, ended.stdout.split()) == (hook.CRASHED, [b"0", b"1"])


@pytest.mark.parametrize("kind", STEPS)
def test_points_that_are_explained_are_there(kind: str) -> None:
    assert stale(kind, points(kind)) == []


# --- real workers -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ways(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Ways:
    """By kind of worker, the points that a life without a crash reaches."""
    with site_of(stack, tmp_path_factory.mktemp("lives")) as site:
        return {kind: recorded(site, kind) for kind in WORKS}


@pytest.mark.long
@pytest.mark.parametrize("kind", STEPS)
def test_every_point_is_reached_or_explained(ways: Ways, kind: str) -> None:
    there, reached = points(kind), set(ways[kind])
    print(f"{kind}: {len(reached & set(there))} of {len(there)} points reached without a fault")
    assert not (missing := unexplained(kind, there, reached)), "\n".join(missing)


def chosen(ways: dict[str, Way], seed: int, beside: bool) -> Iterator[tuple[str, Way, int]]:
    """The points in an order by the seed. A worker that works alone comes to them several times: one is drawn."""
    chance = Random(seed)
    order = sorted(ways)
    chance.shuffle(order)
    for point in order:
        again = ways[point].when == WORKING and not beside
        yield point, ways[point], chance.randint(1, ways[point].visits) if again else 1


@pytest.fixture
def site(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site_of(stack, tmp_path_factory.mktemp("crashes")) as running:
        yield running


@pytest.mark.long
def test_a_handful_of_crashes_leaves_nothing_behind(site: Site, ways: Ways) -> None:
    for kind in WORKS:
        crash_at(site, kind, ways, beside=kind == "lanes", most=HANDFUL)
    site.finish()


@pytest.mark.slow
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside another"])
@pytest.mark.parametrize("kind", STEPS)
def test_a_crash_at_any_point_leaves_nothing_behind(site: Site, ways: Ways, kind: str, beside: bool) -> None:
    crash_at(site, kind, ways, beside=beside)
    site.finish()


def crash_at(site: Site, kind: str, ways: Ways, *, beside: bool, most: int | None = None) -> None:
    """Crashes at the points, or the first of them; now and then it is looked whether all is well."""
    for number, (point, way, visit) in enumerate(islice(chosen(ways[kind], SEED, beside), most)):
        if number % AT_ONCE == 0:
            if number:
                site.finish()
            for helper in helpers(kind, beside):
                site.start(helper)
        crash(site, kind, point, way, visit, sure=bool(unexplained(kind, [point], set())))


def helpers(kind: str, beside: bool) -> list[str]:
    """Who works on: lanes where the others need something to read, and another of its kind."""
    return (["lanes"] if kind != "lanes" else []) + ([kind] if beside else [])
