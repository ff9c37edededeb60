"""A broker in memory, in virtual time: what Kafka would hold of two partitions of each topic."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agents.state import StateRecord
from tests.agents.checker import answer_to
from tests.agents.orders import MORNING
from topics.catalogue import COMMANDS, EVENTS
from topics.cloudevents import Record

PREFIX = "sim"
PARTITIONS = 2
LAG = 7200.0
#: Kafka keeps tombstones a day; no reader of ours takes that long.
TOMBSTONES_KEPT = 24 * 3600.0


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop whose clock jumps to the next timer as soon as nothing else is left to do."""

    def __init__(self) -> None:
        super().__init__()
        self._jumped = 0.0
        self._selector = self

    def time(self) -> float:
        return self._jumped

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("every task waits for another: the simulation stands still")
        if timeout:
            self._jumped += (
                timeout + 2 * self._clock_resolution
            )  # past the timer: who looks at the clock sees it passed
        return []

    def _process_events(self, events: list[Any]) -> None: ...
    def _write_to_self(self) -> None: ...


@dataclass
class Stored:
    """One record of the state changelog; compaction marks it as gone."""

    offset: int
    key: str
    value: bytes | None
    headers: list[tuple[str, bytes]]
    at: float
    batch: int
    kept: bool = True


class Broker:
    """All topics, two partitions of each, with what a real broker would hold of them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.topics: dict[tuple[str, int], list[Record]] = defaultdict(list)
        self.changelog: dict[int, list[Stored]] = defaultdict(list)
        self.answered: dict[int, dict[int, int]] = defaultdict(dict)
        self.journal_end: dict[int, int] = defaultdict(int)
        self.group: dict[int, int] = {}
        self.generation: dict[int, int] = defaultdict(int)
        self.watchers: dict[int, list[Callable[[], None]]] = defaultdict(list)
        self._batches = 0

    def records(self, topic: str, partition: int) -> list[Record]:
        return self.topics[f"{PREFIX}.{topic}", partition]

    def commands(self, partition: int) -> list[Record]:
        return self.records(COMMANDS.name, partition)

    def append(self, record: Record) -> None:
        stored = self.topics[record.topic, record.partition]
        at = MORNING + round(self._clock() * 1000)
        stored.append(record._replace(offset=len(stored), timestamp=at))
        if record.topic == EVENTS.named(PREFIX):
            position = int(dict(record.headers)["ce_sequence"])
            self.journal_end[record.partition] += position == self.journal_end[record.partition] + 1
        elif answer := answer_to(record):
            partition, offset, last = answer
            self.answered[partition][offset] = last
        if record.topic == COMMANDS.named(PREFIX):
            for watcher in self.watchers[record.partition]:
                watcher()

    def append_state(self, partition: int, records: Sequence[StateRecord], headers: list[Any]) -> int:
        log, self._batches = self.changelog[partition], self._batches + 1
        base = len(log)
        for offset, ((key, value), given) in enumerate(zip(records, headers, strict=True), base):
            log.append(Stored(offset, key, value, given, self._clock(), self._batches))
        return base

    def compact(self, partition: int) -> None:
        """Of records older than the lag keep the last of each key, and forget tombstones after their time."""
        now = self._clock()
        old = [record for record in self.changelog[partition] if record.kept and record.at <= now - LAG]
        last = {record.key: record for record in old}
        for record in old:
            deleted = record.value is None and record.at <= now - LAG - TOMBSTONES_KEPT
            record.kept = record is last[record.key] and not deleted
