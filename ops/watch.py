"""What comes by on the topics and in the views while it happens, with the time at which it was seen."""

import time
from bisect import bisect_left
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from domain.platform import OWN_COMPANY
from domain.record import Outcome, Status
from ops.background import Background
from ops.fleet import ACCEPTED, NOTHING, REPEAT, CommandKey
from ops.records import FOLLOWING_HELD_MS, consumer, partitions, record_of
from topics import cloudevents
from topics.catalogue import COMMANDS, DEAD_LETTERS, EVENTS, OUTCOMES
from topics.cloudevents import Malformed, Record
from topics.messages import REROUTED, read_dead_letter, read_outcome
from topics.settings import Settings
from views import GROUPS

Place = tuple[int, int]  # a partition with an offset, or with a position


@dataclass(frozen=True)
class Answer:
    """One outcome: to whom, to the record at which place, and when it was seen."""

    key: CommandKey
    text: str
    command: Place
    last_event: Place | None
    seen: float


class Watch(Background):
    """Reads four topics from their beginning in a thread; what it has found may be read at any time.

    A lane that is taken over publishes its last messages again: they name the same position or origin, and count once.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__("watch")
        self.answers: list[Answer] = []
        self.events: Counter[str] = Counter()
        self.reached: dict[str, dict[int, int]] = {topic.name: defaultdict(int) for topic in (EVENTS, OUTCOMES)}
        self.commands = 0
        self.rerouted: set[bytes] = set()
        self.dead_letters: set[Place] = set()
        self.published: dict[Place, float] = {}
        self.fault: Exception | None = None
        self._settings = settings
        self._takers = {
            COMMANDS.named(settings.prefix): self._command,
            EVENTS.named(settings.prefix): self._event,
            OUTCOMES.named(settings.prefix): self._outcome,
            DEAD_LETTERS.named(settings.prefix): self._dead_letter,
        }

    @property
    def messages(self) -> int:
        """How many have come by."""
        own = self.commands + len(self.answers) + self.events.total()
        return own + len(self.rerouted) + len(self.dead_letters)

    def run(self) -> None:
        try:
            with consumer(self._settings, FOLLOWING_HELD_MS) as reader:
                topics = [(topic, partition) for topic in self._takers for partition in partitions(reader, topic)]
                reader.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for topic, partition in topics])
                while not self.ending.is_set():
                    message = reader.poll(0.1)
                    if message is not None and message.error() is None:
                        self._takers[message.topic() or ""](record_of(message), time.time())
        except Exception as fault:
            self.fault = fault

    def _command(self, record: Record, now: float) -> None:
        if is_own(record):
            return
        origin = dict(record.headers).get(REROUTED)
        if origin is None:
            self.commands += 1
        else:
            self.rerouted.add(origin)
        with suppress(Malformed, KeyError, ValueError):
            sent = datetime.fromisoformat(cloudevents.read(record).attributes["time"])
            self.published[record.partition, record.offset] = sent.timestamp()

    def _event(self, record: Record, now: float) -> None:
        event = cloudevents.read(record).attributes
        if self._is_new(EVENTS.name, record.partition, int(event["sequence"])) and not is_own(record):
            self.events[event["type"].split(".")[-2]] += 1

    def _outcome(self, record: Record, now: float) -> None:
        outcome, sequence = read_outcome(record)
        if self._is_new(OUTCOMES.name, record.partition, sequence) and not is_own(record):
            last = (outcome.partition, outcome.last) if outcome.last is not None else None
            key = (outcome.company_id, outcome.command_id)
            self.answers.append(Answer(key, text_of(outcome), (outcome.partition, outcome.offset), last, now))

    def _dead_letter(self, record: Record, now: float) -> None:
        origin = read_dead_letter(record).origin
        self.dead_letters.add((origin.partition, origin.offset))

    def _is_new(self, topic: str, partition: int, position: int) -> bool:
        new = position > self.reached[topic][partition]
        if new:
            self.reached[topic][partition] = position
        return new


def is_own(record: Record) -> bool:
    """Whether the message is about the platform's own processes."""
    return OWN_COMPANY.fullmatch((record.key or b"").decode("utf-8", "replace")) is not None


def text_of(outcome: Outcome) -> str:
    """The outcome in the words of `ops.fleet`."""
    if outcome.repeat:
        return REPEAT
    if outcome.status is Status.ACCEPTED:
        return ACCEPTED if outcome.last is not None else NOTHING
    return outcome.code or outcome.status


class ViewClock:
    """When each position was first seen to be in the views, found by looking at their checkpoints again and again."""

    def __init__(self, connection: "asyncpg.Connection[Any]") -> None:
        self.changed = 0.0
        self._connection = connection
        self._seen: dict[tuple[str, int], tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))

    async def look(self) -> None:
        found = await self._connection.fetch('SELECT view_group, "partition", "position" FROM erp.view_checkpoint')
        now = time.time()
        for group, partition, position in found:
            positions, times = self._seen[group, partition]
            if not positions or position > positions[-1]:
                positions.append(position)
                times.append(now)
                self.changed = now

    def shown(self, group: str, place: Place) -> float | None:
        """When the position was first seen in the group's views; None where it was not."""
        positions, times = self._seen[group, place[0]]
        index = bisect_left(positions, place[1])
        return times[index] if index < len(times) else None

    def caught_up(self, watch: Watch) -> bool:
        """Whether all views show all that the watch has seen."""
        return all(
            self.shown(group.name, place) is not None
            for group in GROUPS.values()
            for place in watch.reached.get(group.source, {}).copy().items()
        )
