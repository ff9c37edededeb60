"""A worker of the simulation: one partition's lane, and its way to the broker on which everything can go wrong."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Sequence
from contextvars import ContextVar
from random import Random
from typing import Any, Protocol

from agents.decision import Place
from agents.lane import Lane
from agents.log import Lost, Surroundings
from agents.state import PartitionState, StateRecord, placed
from tests.agents.broker import PARTITIONS, PREFIX, Broker
from topics.catalogue import EVENTS
from topics.cloudevents import Record

TOPIC_ID = "sim-commands-1"
RETRY_SECONDS = 30.0
#: The longest that a message of ours can be on its way, and that a process waits for its acknowledgement.
LATEST, PATIENCE = 1200.0, 20.0
#: The build of whoever decides; a rule that looks at it decides differently in another owner's hands.
BUILD: ContextVar[int] = ContextVar("BUILD")


class Failure(Exception):
    """Kafka did not do what it was asked, or did not say so."""


class World(Protocol):
    """What a process knows of the simulation around it."""

    broker: Broker
    chance: Random
    lane_class: type[Lane]
    check_seconds: float
    zombies_commit: bool
    violations: list[str]

    @property
    def now(self) -> float: ...
    def delay(self) -> float: ...
    def happens(self, fault: str) -> bool: ...
    def start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]": ...


class Process:
    """One worker as one partition sees it: its lane, what it fetches, and its way to the broker (`agents.log.Log`)."""

    def __init__(self, world: World, partition: int, state: PartitionState | None = None) -> None:
        self.world, self.broker, self.chance = world, world.broker, world.chance
        self.partition = partition
        self.broker.generation[partition] += 1
        self.generation = self.broker.generation[partition]
        self.state = state or PartitionState(partition)
        self.alive, self.told = True, False
        self.steps, self.dies_at = 0, 0
        self.paused_until = 0.0
        self.ended = asyncio.Event()
        self._more = asyncio.Event()
        self._next_ack = self.broker.group.get(partition, 0)
        self.lane = world.lane_class(
            Place(PREFIX, partition, PARTITIONS),
            self.state,
            self,
            self.decided,
            group_commands=self.chance.choice((1, 2, 5, 500)),
            check_seconds=world.check_seconds,
            failures_before_stop=1000,
            retry_seconds=RETRY_SECONDS,
        )

    def start(self) -> None:
        BUILD.set(self.generation)
        self.broker.watchers[self.partition].append(self._more.set)
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._fetch())]

    def die(self) -> None:
        """No line of this process runs any more; what it sent may still land."""
        self.alive = False
        self.stop()

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._more.set in self.broker.watchers[self.partition]:
            self.broker.watchers[self.partition].remove(self._more.set)
        self.ended.set()

    async def leave(self) -> None:
        """Stop as at a clean rebalance: what was decided is published, for a while."""
        await asyncio.wait([asyncio.ensure_future(self.lane.settle())], timeout=5)
        self.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self) -> None:
        try:
            await self.lane.run()
        except (Failure, Lost):
            self.die()
        except Exception as fault:
            self.world.violations.append(f"the lane of partition {self.partition} ended: {fault!r}")
            self.die()

    async def _fetch(self) -> None:
        """Give the lane what the group has not acknowledged, in portions; sometimes a part of it again."""
        position = self.broker.group.get(self.partition, 0)
        while True:
            await asyncio.sleep(self.world.delay())
            self._more.clear()
            if self.world.happens("rewind"):
                position = self.chance.randint(min(position, self.broker.group.get(self.partition, 0)), position)
            found = self.broker.commands(self.partition)[position : position + self.chance.choice((1, 3, 20))]
            self.lane.inbox.put(found)
            position += len(found)
            if not found:
                await self._more.wait()

    def decided(self, applied: int) -> None:
        """The lane says that all commands up to the offset are decided and published."""
        if not self.alive:
            return
        for offset in range(self._next_ack, applied + 1):
            last = self.broker.answered[self.partition].get(offset)
            if last is None or last > self.broker.journal_end[self.partition]:
                self.world.violations.append(f"command {offset} called decided before its answer was published")
        self._next_ack = max(self._next_ack, applied + 1)
        asyncio.get_running_loop().call_later(self.world.delay(), self._commit_offset, self._next_ack)

    def _commit_offset(self, offset: int) -> None:
        """Kafka takes offsets from members of the present generation alone; one row of faults lets it take any."""
        current = self.generation == self.broker.generation[self.partition]
        if self.alive and (current or self.world.zombies_commit):
            self.broker.group[self.partition] = max(offset, self.broker.group.get(self.partition, 0))

    # -- agents.log.Log ------------------------------------------------------------------------------------------

    async def append(self, partition: int, records: Sequence[StateRecord], expect: int) -> int | None:
        await self._step()
        headers = [placed(expect, index) for index in range(len(records))]
        landed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.world.start(self._land(list(records), headers, landed))
        base = await self._answer(landed)
        return None if self.world.happens("unknown") else base

    async def _land(self, records: list[StateRecord], headers: list[Any], landed: "asyncio.Future[int]") -> None:
        await self._travel()
        if self._lost():
            return
        base = self.broker.append_state(self.partition, records, headers)
        if not landed.done():
            landed.set_result(base)
        if self.world.happens("twice"):
            await self._travel()
            self.broker.append_state(self.partition, records, headers)

    async def publish(self, records: Sequence[Record]) -> None:
        await self._step()
        by_place: dict[tuple[str, int], list[Record]] = defaultdict(list)
        for record in records:
            by_place[record.topic, record.partition].append(record)
        sent = [self.world.start(self._deliver(theirs)) for theirs in by_place.values()]
        await self._answer(asyncio.gather(*sent))

    async def _deliver(self, records: list[Record]) -> None:
        """In portions, in order; of what a dead process sent any first part may arrive."""
        while records:
            await self._travel()
            if self._lost():
                return
            size = self.chance.choice((1, 2, len(records)))
            for _ in range(1 + self.world.happens("twice")):
                for record in records[:size]:
                    self.broker.append(record)
            records = records[size:]

    async def end(self, partition: int) -> int:
        await self._step()
        end = len(self.broker.changelog[partition])
        await self._step()
        return end

    async def read(self, state: PartitionState) -> None:
        """A reader meets the log as it is at each moment, compaction between two fetches included."""
        await self._step()
        end = len(self.broker.changelog[state.partition])
        while state.end < end:
            upto = min(end, state.end + self.chance.choice((1, 10, 1000)))
            for record in self.broker.changelog[state.partition][state.end : upto]:
                if record.kept:
                    state.read(record.offset, record.key, record.value, record.headers)
            state.end = upto
            await self._step()

    async def surroundings(self, partition: int) -> Surroundings:
        await self._step()
        group_offset = self.broker.group.get(partition)
        await self._step()
        events_end = len(self.broker.records(EVENTS.name, partition))
        await self._step()
        return Surroundings(TOPIC_ID, 0, len(self.broker.commands(partition)), group_offset, events_end)

    async def journal(self, partition: int, last: int) -> list[Record]:
        raise NotImplementedError("no state version changes here")

    def check_owned(self, partition: int) -> None:
        if self.told:
            raise Lost("told so")

    # -- what can go wrong ---------------------------------------------------------------------------------------

    async def _step(self) -> None:
        """One await of the lane: time passes, or it is the last."""
        self.steps += 1
        if self.steps == self.dies_at:
            self.die()
        await asyncio.sleep(max(self.world.delay(), self.paused_until - self.world.now))
        if self.world.happens("failure"):
            raise Failure("no answer")

    async def _answer(self, sent: "asyncio.Future[Any]") -> Any:
        """What the broker says, unless it says nothing in time."""
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await asyncio.shield(sent)
        except TimeoutError:
            raise Failure("no acknowledgement in time") from None
        if self.world.happens("lost"):
            raise Failure("the acknowledgement was lost")
        await self._step()
        return answer

    async def _travel(self) -> None:
        await asyncio.sleep(self.chance.uniform(0, LATEST) if self.world.happens("late") else self.world.delay())

    def _lost(self) -> bool:
        return not self.alive and self.chance.random() < 0.5
