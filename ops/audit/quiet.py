"""Whether everything that was sent has come through: only then can topics, state and views be equal."""

import asyncio
import time
from collections.abc import Iterator, Mapping

import asyncpg
from confluent_kafka import Consumer

from agents.state import Head
from ops.audit.state import head_of, live_records
from ops.records import bounds, consumer, last_positions, partitions, tails
from ops.views import positions
from topics.catalogue import AUDIT, TOPICS_OF, RealmTopics
from topics.settings import Settings
from views import GROUPS

LOOK_SECONDS = 0.3
#: Records read from a changelog's end to find its last head; more where void ones lie on it.
TAIL = 4

Positions = Mapping[int, int]


def wait_until_quiet(settings: Settings, seconds: float) -> tuple[list[str], list[str]]:
    """What lanes and what views have still not done when the time has passed; empty where all is done."""
    deadline = time.monotonic() + seconds
    with consumer(settings) as reader:
        while True:
            ends = _last(reader, settings)
            lanes = [text for topics in TOPICS_OF.values() for text in _undecided(reader, settings, topics, ends)]
            folded = asyncio.run(_checkpoints(settings))
            views = list(_unfolded(folded, ends))
            if not (lanes or views) or time.monotonic() > deadline:
                return lanes, views
            time.sleep(LOOK_SECONDS)


def undecided(reader: Consumer, settings: Settings) -> Iterator[str]:
    """What lanes have still not decided or published."""
    ends = _last(reader, settings)
    return (text for topics in TOPICS_OF.values() for text in _undecided(reader, settings, topics, ends))


def _last(reader: Consumer, settings: Settings) -> dict[str, Positions]:
    """By topic the last positions."""
    ends: dict[str, Positions] = {
        topic.name: last_positions(reader, topic.named(settings.prefix))
        for topics in TOPICS_OF.values()
        for topic in (topics.events, topics.outcomes, topics.dead_letters)
    }
    return ends | {AUDIT.name: _ends(reader, AUDIT.named(settings.prefix))}


def _ends(reader: Consumer, topic: str) -> dict[int, int]:
    """Last positions where these are offsets, counted from 1."""
    return {partition: bounds(reader, topic, partition).end for partition in partitions(reader, topic)}


def _undecided(
    reader: Consumer, settings: Settings, topics: RealmTopics, ends: Mapping[str, Positions]
) -> Iterator[str]:
    topic = topics.commands.named(settings.prefix)
    heads = _heads(reader, topics.state.named(settings.prefix))
    events, outcomes = ends[topics.events.name], ends[topics.outcomes.name]
    for partition in partitions(reader, topic):
        kept, head = bounds(reader, topic, partition), heads.get(partition)
        applied = head.applied if head else kept.first - 1
        if applied < kept.end - 1:
            undecided = f"commands {applied + 1} to {kept.end - 1} are not decided"
            yield f"{topic}, partition {partition}: {undecided}; do lane workers run?"
        elif head and not _published(head, events.get(partition, 0), outcomes.get(partition, 0)):
            yield f"{topic}, partition {partition}: the head's last messages are not published; do lane workers run?"


def _published(head: Head, last_event: int, last_outcome: int) -> bool:
    return last_event >= head.events - 1 and last_outcome >= head.outcomes - 1


def _heads(reader: Consumer, topic: str) -> dict[int, Head]:
    count = TAIL
    while True:
        last = tails(reader, topic, count)
        heads = {p: head_of(p, live_records(records)) for p, records in last.items()}
        deeper = any(head is None and len(last[p]) == count for p, head in heads.items())
        if not deeper:
            return {p: head for p, head in heads.items() if head}
        count *= 10


async def _checkpoints(settings: Settings) -> dict[tuple[str, int], int]:
    connection = await asyncpg.connect(settings.database.get_secret_value(), timeout=10)
    try:
        return await positions(connection)
    finally:
        await connection.close()


def _unfolded(folded: Mapping[tuple[str, int], int], ends: Mapping[str, Positions]) -> Iterator[str]:
    for group in GROUPS.values():
        for partition, last in ends[group.source].items():
            at = folded.get((group.name, partition), 0)
            if at < last:
                place = f"view group {group.name}, partition {partition}"
                yield f"{place}: at position {at} of {last}; does a views worker run?"
