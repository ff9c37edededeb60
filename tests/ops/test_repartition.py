"""`bitcorp topics repartition` on real servers: everything is where it was, in more partitions."""

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

import asyncpg
import pytest

from ops.moving import MOVED_TOPICS, Mover
from ops.records import bounds, consumer, read
from ops.running import Platform
from ops.settings import as_environment
from ops.verify import audit, prove
from tests.agents.orders import company_on, create_equipment, opening, rename, schedule
from tests.agents.story import story
from tests.agents.upstream import Upstream, until
from tests.ops.shell import Shell, start
from topics.catalogue import EVENTS, partition_of
from topics.cloudevents import Record
from topics.imports import raw_of_line, write_raw
from topics.messages import CommandMessage, read_event, write_command
from topics.provision import create_topics
from topics.settings import Settings
from views.tables import METADATA

pytestmark = pytest.mark.servers

OLD, NEW = 2, 6
#: One in each of the new partitions.
COMPANIES = [company_on(partition, NEW) for partition in range(NEW)]
PLACES = {"partition", "position", "first", "last", "offset", "sequence"}
KILLED = -signal.SIGKILL


@pytest.fixture
def partitions() -> int:
    return OLD


def work(company: str) -> Iterator[CommandMessage]:
    yield from opening(company)
    for number in range(12):
        yield create_equipment(company, f"ex-{number}", number)
        yield rename(company, f"ex-{number}", f"Excavator {number}")
        yield schedule(company, f"ex-{number}", "oil")
    yield rename(company, "ex-99", "Nobody")


def as_sent(command: CommandMessage) -> Record:
    return Record("", -1, *write_command(command))


def run(settings: Settings) -> Platform:
    return Platform(settings.model_copy(update={"api_port": 0, "session_seconds": 3}), workers=1)


def lived(settings: Settings, shell: Shell) -> Settings:
    """A platform's past: several companies, wrong and repeated commands, an import. It runs no more."""
    with run(settings) as platform:
        upstream = Upstream(platform.settings)
        upstream.send(map(upstream.command, map(as_sent, (c for company in COMPANIES for c in work(company)))))
        upstream.send(story(Random(3), 150, settings.prefix, OLD))
        raw = raw_of_line("nowhere", "import-1", 1, b"{}")
        upstream.send([write_raw(raw, COMPANIES[0], settings.prefix)])
        upstream.until_all_decided()
        upstream.close()
        assert audit(platform.settings, wait=60).clean
        shell.use(platform.settings)
        said = shell("topics", "repartition", str(NEW))
        assert said.code == 1
        assert "Workers still run: 1 in the group" in said.text
        return platform.settings


def digests(settings: Settings) -> Mapping[str, object]:
    """By table its number of rows and a digest of all that they say, but for places in topics; the platform's own
    companies are told anew of its processes at every start."""

    async def ask() -> Mapping[str, object]:
        connection = await asyncpg.connect(settings.database.get_secret_value())
        try:
            return {
                table.name: tuple(await connection.fetchrow(_question(table.name, table.columns.keys())))
                for table in METADATA.sorted_tables
                if "company_id" in table.columns
            }
        finally:
            await connection.close()

    return asyncio.run(ask())


def _question(table: str, columns: list[str]) -> str:
    said = ", ".join(f'"{column}"' for column in columns if column not in PLACES)
    rows = f"SELECT md5(ROW({said})::text) AS row FROM erp.\"{table}\" WHERE company_id NOT LIKE '\\_platform%'"
    return f"SELECT count(*), md5(coalesce(string_agg(row, '' ORDER BY row), '')) FROM ({rows}) AS rows"


def events_of(settings: Settings) -> dict[str, list[tuple[str, str]]]:
    """By company its events in their order: id and chain value."""
    found: dict[str, list[tuple[str, str]]] = {}
    name = EVENTS.named(settings.prefix)
    with consumer(settings) as reader:
        for partition in range(settings.partitions):
            for record in read(reader, name, partition, 0, bounds(reader, name, partition).end):
                event = read_event(record)
                assert partition_of(event.company_id.encode(), settings.partitions) == partition
                found.setdefault(event.company_id, []).append((event.id, event.chain))
    return found


def counts(settings: Settings) -> Counter[str]:
    with consumer(settings) as reader:
        return Counter(
            {
                topic.name: sum(bounds(reader, topic.named(settings.prefix), p).end for p in range(settings.partitions))
                for topic in MOVED_TOPICS
            }
        )


def next_of(settings: Settings) -> Settings:
    return settings.model_copy(update={"prefix": f"{settings.prefix}-g2", "partitions": NEW})


def killed_half_way(old: Settings, log: Path) -> None:
    """The operation in a process of its own, killed as soon as some records are there."""
    variables = {name.removeprefix("BITCORP_"): value for name, value in as_environment(old).items()}
    running = start("topics", "repartition", str(NEW), log=log, **variables)
    with consumer(old) as reader:
        name = EVENTS.named(next_of(old).prefix)

        def some() -> bool:
            there = name in reader.list_topics(timeout=10).topics
            return there and any(bounds(reader, name, partition).end for partition in range(NEW))

        until(some, 120, "some events are moved")
        running.kill()
        assert running.wait() == KILLED, log.read_text()


@pytest.mark.long
def test_a_platform_goes_on_in_more_partitions_as_if_it_had_always_had_them(
    settings: Settings, bitcorp: Shell, tmp_path: Path
) -> None:
    old = lived(settings, bitcorp)
    until(lambda: "Workers still run" not in bitcorp("topics", "repartition", "2").text, what="all have left")
    seen, happened, held = digests(old), events_of(old), counts(old)
    said = bitcorp("topics", "repartition", str(NEW), "--dry-run")
    assert f"{old.prefix} " not in said.text
    assert str(held["events"]) in said.text
    killed_half_way(old, tmp_path / "killed.log")
    sealed = bitcorp("topics", "show")
    assert f"set BITCORP_PREFIX={old.prefix}-g2" in sealed.text

    said = bitcorp("topics", "repartition", str(NEW))
    assert said.code == 0, said.text
    assert f"Set BITCORP_PREFIX={old.prefix}-g2 and BITCORP_PARTITIONS={NEW}" in said.text
    new = next_of(old)
    assert counts(new) == held
    assert events_of(new) == happened

    with run(new) as platform:
        found = audit(platform.settings, wait=60)
        assert found.clean, found.samples
        assert digests(new) == seen
        goes_on(platform.settings)
        found = audit(platform.settings, wait=60)
        assert found.clean, found.samples
    assert prove(new).clean
    said = bitcorp("topics", "repartition", str(NEW))
    assert said.code == 1
    assert "has taken commands: all was moved, and the platform runs there" in said.text


def goes_on(settings: Settings) -> None:
    """Repeated commands get their first answers, new ones are decided, and no event has the id of another."""
    upstream = Upstream(settings)
    repeated = [create_equipment(company, "ex-3", 3) for company in COMPANIES]
    fresh = [rename(company, "ex-3", "After the move") for company in COMPANIES]
    upstream.send(map(upstream.command, map(as_sent, [*repeated, *fresh])))
    for command in repeated:
        outcome = upstream.outcome(command.id)
        first = upstream.outcomes[command.id][0]
        assert first.first is not None and outcome == first
        again = until(lambda id_=command.id: [o for o in _followed(upstream, id_) if o.repeat], what="a repeat")[0]
        assert (again.status, again.first, again.last) == (first.status, first.first, first.last)
    assert [upstream.outcome(command.id).status for command in fresh] == ["accepted"] * NEW
    upstream.until_all_decided()
    upstream.close()
    ids = [id_ for events in events_of(settings).values() for id_, _ in events]
    assert len(set(ids)) == len(ids)


def _followed(upstream: Upstream, command_id: str) -> list[object]:
    upstream.follow()
    return list(upstream.outcomes[command_id])


def test_what_is_not_done_is_not_moved_and_the_topics_stay_open(settings: Settings, bitcorp: Shell) -> None:
    bitcorp.use(settings)
    upstream = Upstream(settings)
    upstream.send(map(upstream.command, map(as_sent, opening(COMPANIES[0]))))
    upstream.close()
    said = bitcorp("topics", "repartition", str(NEW))
    assert said.code == 1
    assert "Not all is done. Start the workers until it is" in said.text
    assert "commands 0 to 1 are not decided" in said.text
    assert create_topics(settings) == []
    assert "have 2 partitions already" in bitcorp("topics", "repartition", str(OLD)).text
    assert "Say how many partitions" in bitcorp("topics", "repartition").text


@pytest.mark.slow
def test_moving_goes_on_wherever_it_was_interrupted_and_is_given_up_on_request(
    settings: Settings, bitcorp: Shell
) -> None:
    old = lived(settings, bitcorp)
    new = next_of(old)
    happened, held = events_of(old), counts(old)
    create_topics(new)
    for stop_after in (1, 40, 300, held.total() - 3):
        with consumer(old) as reader, pytest.raises(Interrupted):
            Mover(reader, old, new).move(interrupting(stop_after))
    with consumer(old) as reader:
        Mover(reader, old, new).move(lambda _: None)
    assert counts(new) == held
    assert events_of(new) == happened
    until(lambda: "nothing is being moved" in bitcorp("topics", "repartition", "--give-up").text, what="all have left")
    until(lambda: bitcorp("topics", "repartition", str(NEW)).code == 0, what="all have left")
    said = bitcorp("topics", "repartition", "--give-up")
    assert said.code == 0, said.text
    assert "open again" in said.text
    with run(old) as platform:
        found = audit(platform.settings, wait=60)
        assert found.clean, found.samples


class Interrupted(Exception):
    """What happens in the middle."""


def interrupting(after: int) -> "Counter[str]":
    """Raises at the record of this number."""
    seen = Counter[str]()

    def advance(_: float) -> None:
        seen["records"] += 1
        if seen["records"] > after:
            raise Interrupted

    return advance  # type: ignore[return-value]
