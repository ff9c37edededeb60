"""Lanes on a broker in memory, in virtual time, with every fault that a seed can bring.

One thread, one event loop whose clock jumps, one source of chance: the same seed gives the same run. Owners of a
partition die at any await, run on as zombies, pause, leave cleanly or fail; what they sent lands late, twice, or never;
acknowledgements are lost; the changelog is compacted. `tests.agents.checker` then judges what the broker holds.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

import agents.lane
from agents.decision import REMEMBERED_FOR, Place
from agents.lane import Lane
from agents.log import Lost, RefusesToServe, Surroundings
from agents.state import PartitionState, StateRecord, placed
from domain import RULES
from domain.equipment import rename_equipment
from tests.agents.checker import Run, answer_to, judge
from tests.agents.orders import (
    MORNING,
    company_on,
    create_equipment,
    define_category,
    opening,
    order,
    record_of,
    rename,
    schedule,
    uuid_of,
)
from topics.catalogue import COMMANDS, EVENTS, partition_of
from topics.cloudevents import Record
from topics.messages import CommandMessage

PREFIX = "sim"
PARTITIONS = 2
TOPIC_ID = "sim-commands-1"
LAG = 7200.0
#: Kafka keeps tombstones a day; no reader of ours takes that long.
TOMBSTONES_KEPT = 24 * 3600.0
CHECK_SECONDS = 900.0
RETRY_SECONDS = 30.0
#: The longest that a message of ours can be on its way.
LATEST = 1200.0
PATIENCE = 20.0
BOOM = "boom"
RENAME = "com.bitcorp.erp.equipment.rename-equipment.v1"


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
            self._jumped += timeout + 2 * self._clock_resolution  # past the timer: who looks at the clock sees it passed
        return []

    def _process_events(self, events: list[Any]) -> None: ...
    def _write_to_self(self) -> None: ...


class Failure(Exception):
    """Kafka did not do what it was asked, or did not say so."""


@dataclass(frozen=True)
class Faults:
    """How likely each thing is to go wrong: at a call, or in the life of an owner."""

    crash: float = 0.0
    zombie: float = 0.0
    pause: float = 0.0
    leave: float = 0.0
    again: float = 0.0
    late: float = 0.0
    lost: float = 0.0
    twice: float = 0.0
    unknown: float = 0.0
    failure: float = 0.0
    rewind: float = 0.0
    compaction: bool = False
    zombies_commit: bool = False
    forgetting: bool = False

    @classmethod
    def of(cls, chance: Random) -> "Faults":
        """Some faults often, some not at all: what a mixture of all would hide, a part of them shows."""
        fates = {name: chance.choice((0, 0, 1, 3)) for name in ("crash", "zombie", "pause", "leave", "again")}
        calls = {name: chance.choice((0, 0.02, 0.1)) for name in ("late", "lost", "twice", "unknown", "failure", "rewind")}
        flags = {name: chance.random() < 0.3 for name in ("compaction", "zombies_commit", "forgetting")}
        return cls(**fates, **calls, **flags)


#: Stands for "draw them from the seed".
NONE = Faults()


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


class Process:
    """One worker as one partition sees it: its lane, what it fetches, and its way to the broker (`agents.log.Log`)."""

    def __init__(self, world: "Simulation", partition: int, state: PartitionState | None = None) -> None:
        self.world, self.broker, self.chance = world, world.broker, world.chance
        self.partition = partition
        self.broker.generation[partition] += 1
        self.generation = self.broker.generation[partition]
        self.state = state or PartitionState(partition)
        self.alive, self.told = True, False
        self.steps, self.dies_at = 0, -1
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
        if self.alive and (current or self.world.faults.zombies_commit):
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
            answer = await asyncio.wait_for(asyncio.shield(sent), PATIENCE)
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


class Silent:
    """A logger that says nothing."""

    def bind(self, **_: Any) -> "Silent":
        return self

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *_, **__: None


@dataclass
class Simulation:
    """One seed's run. `violations` says what went wrong that must not; it stays empty for a right lane."""

    seed: int
    lane_class: type[Lane] = Lane
    process_class: type[Process] = Process
    faults: Faults = NONE
    check_seconds: float = CHECK_SECONDS
    owners: int = 4
    orders: int = 18
    violations: list[str] = field(default_factory=list)

    def run(self) -> list[str]:
        self.chance = Random(self.seed)
        self.faults = self.faults if self.faults is not NONE else Faults.of(self.chance)
        with self._lane_in_the_simulation(), asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(self._live())
        return self.violations

    @contextmanager
    def _lane_in_the_simulation(self) -> Iterator[None]:
        """Virtual time for the lane's clock, a rule that raises, small memories, and refusals noted as violations."""
        clock = SimpleNamespace(monotonic=lambda: self.now, perf_counter=lambda: self.now)
        violations = self.violations

        class Noted(RefusesToServe):
            def __init__(self, text: str) -> None:
                violations.append(f"refused: {text}")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(agents.lane, "time", clock)
            patch.setattr(agents.lane, "structlog", SimpleNamespace(get_logger=lambda _: Silent()))
            patch.setattr(agents.lane, "RefusesToServe", Noted)
            patch.setitem(RULES, RENAME, replace(RULES[RENAME], decide=_rename_or_raise))
            patch.setattr(agents.lane, "REMEMBERED_FOR", self.remembered_for)
            patch.setattr(agents.lane, "REMEMBERED_AT_MOST", self.remembered_at_most)
            yield

    @property
    def remembered_for(self) -> int:
        return 300_000 if self.faults.forgetting else REMEMBERED_FOR

    @property
    def remembered_at_most(self) -> int:
        return 12 if self.faults.forgetting else 50_000

    # -- time and chance -----------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def delay(self) -> float:
        return self.chance.choice((0.0, 0.0, 0.001, 0.02, 0.5)) * self.chance.random()

    def happens(self, fault: str) -> bool:
        return not self.calm and self.chance.random() < getattr(self.faults, fault)

    def start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """What goes on whoever dies: messages on their way, and the broker's own work."""
        task = asyncio.get_running_loop().create_task(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)
        return task

    # -- the course of a run -------------------------------------------------------------------------------------

    async def _live(self) -> None:
        self.broker = Broker(lambda: self.now)
        self.background: set[asyncio.Task[None]] = set()
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # tasks of the dead end unheard
        self.calm = False
        reigns = [asyncio.create_task(self._reign(partition)) for partition in range(PARTITIONS)]
        cleaning = asyncio.create_task(self._clean())
        await self._send_orders()
        await asyncio.sleep(self.chance.uniform(0, 60))
        self.calm = True
        try:
            await asyncio.wait_for(self._all_done(), 4 * 3600)
        except TimeoutError:
            self.violations.append("stuck: not all commands were acknowledged in four hours without faults")
        for task in (cleaning, *reigns):
            task.cancel()
        for partition in range(PARTITIONS):
            self.violations += judge(self._run_of(partition))

    async def _all_done(self) -> None:
        """Everything on its way has landed, is healed, and has been compacted; every command is acknowledged."""
        while self.background:
            await asyncio.wait(self.background)
        while any(self.broker.group.get(p, 0) < len(self.broker.commands(p)) for p in range(PARTITIONS)):
            await asyncio.sleep(1)
        if self.faults.compaction:
            await asyncio.sleep(LAG)
            for partition in range(PARTITIONS):
                self.broker.compact(partition)

    def _run_of(self, partition: int) -> Run:
        return Run(
            Place(PREFIX, partition, PARTITIONS),
            TOPIC_ID,
            self.broker.commands(partition),
            self.broker.changelog[partition],
            self.broker.records,
            self.broker.group.get(partition),
            self.remembered_for,
            self.remembered_at_most,
        )

    async def _send_orders(self) -> None:
        for record in story(self.chance, self.orders):
            gaps = (0.0, 0.0, 0.01, 1.0, 1800.0 if self.faults.compaction or self.faults.forgetting else 30.0)
            await asyncio.sleep(self.chance.choice(gaps) * self.chance.random())
            self.broker.append(record)

    async def _clean(self) -> None:
        while self.faults.compaction:
            await asyncio.sleep(self.chance.uniform(60, LAG))
            self.broker.compact(self.chance.randrange(PARTITIONS))

    # -- owners --------------------------------------------------------------------------------------------------

    async def _reign(self, partition: int) -> None:
        """One owner after the other; the last one without a fault."""
        process = self._take_office(partition)
        for _ in range(self.owners):
            lifetime = self.chance.choice((0.1, 2.0, 60.0, 3000.0)) * self.chance.random()
            await self._wait_for_end(process, lifetime)
            if self.calm:
                break
            process = await self._succeed(process)
        while True:
            await process.ended.wait()
            process = self._take_office(partition)

    async def _wait_for_end(self, process: Process, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(process.ended.wait(), seconds)

    def _take_office(self, partition: int, state: PartitionState | None = None) -> Process:
        process = self.process_class(self, partition, state)
        if self.faults.crash and self.chance.random() < 0.3:
            process.dies_at = self.chance.randint(1, 80)
        process.start()
        return process

    async def _succeed(self, process: Process) -> Process:
        """End the owner's reign in one of the ways that the faults allow, and give the partition to another."""
        fates = {name: getattr(self.faults, name) for name in FATES}
        if not any(fates.values()):
            fates["leave"] = 1
        fate = self.chance.choices(list(fates), list(fates.values()))[0]
        memory = await FATES[fate](self, process)
        return self._take_office(process.partition, memory)

    async def _crash(self, process: Process) -> None:
        process.die()
        await asyncio.sleep(self.chance.choice((0, 6, 300)) * self.chance.random())

    async def _zombie(self, process: Process) -> None:
        """The owner goes on for a time, or for ever, without knowing of the other."""
        if self.chance.random() < 0.7:
            self.start(self._tell(process, self.chance.choice((1, 30, 600)) * self.chance.random()))

    async def _pause(self, process: Process) -> None:
        """The owner stands still in the middle of whatever it did, and goes on behind its successor's back."""
        process.paused_until = self.now + self.chance.choice((1, 30, 600)) * self.chance.random()

    async def _tell(self, process: Process, after: float) -> None:
        await asyncio.sleep(after)
        process.told = True

    async def _leave(self, process: Process) -> None:
        await process.leave()

    async def _again(self, process: Process) -> PartitionState:
        """A rebalance that gives the partition to the same process, which still has it in memory."""
        await process.leave()
        return process.state


FATES: dict[str, Callable[[Simulation, Process], Coroutine[Any, Any, PartitionState | None]]] = {
    "crash": Simulation._crash,
    "zombie": Simulation._zombie,
    "pause": Simulation._pause,
    "leave": Simulation._leave,
    "again": Simulation._again,
}


def _rename_or_raise(machine: Any, command: Any, context: Any) -> Iterator[Any]:
    if command.name == BOOM:
        raise ZeroDivisionError("a rule with a fault")
    return rename_equipment(machine, command, context)


def story(chance: Random, orders: int) -> Iterator[Record]:
    """What upstream systems send: companies, machines, wishes good and bad, repeats, and commands gone astray."""
    companies = [company_on(partition, PARTITIONS) for partition in range(PARTITIONS)]
    sent = [command for company in companies for command in opening(company)]
    yield from (_as_sent(command) for command in sent)
    for number in range(orders):
        command = chance.choice(ORDERS)(chance, chance.choice(companies), number)
        again = chance.choice(sent)
        kind = chance.random()
        if kind < 0.15:
            yield _as_sent(again)
        elif kind < 0.2:
            yield _as_sent(replace(command, id=again.id, company_id=again.company_id))
        elif kind < 0.3:
            yield _as_sent(command, astray=True)
        elif kind < 0.4:
            yield _as_sent(command, **chance.choice(SPOILED))
        else:
            sent.append(command)
            yield _as_sent(command)


def _as_sent(command: CommandMessage, astray: bool = False, **spoiled: Any) -> Record:
    partition = partition_of(command.company_id.encode(), PARTITIONS)
    return record_of(command, prefix=PREFIX, partition=(partition + astray) % PARTITIONS, **spoiled)


SPOILED: tuple[dict[str, Any], ...] = (
    {"value": b"{"},
    {"value": b'{"equipment_id": 7}'},
    {"without": "ce_id"},
    {"without": "ce_type"},
    {"extra": (("ce_expectedversion", b"99"),)},
    {"extra": (("ce_expectedversion", b"none"),)},
)

Order = Callable[[Random, str, int], CommandMessage]
ORDERS: tuple[Order, ...] = (
    lambda chance, company, number: create_equipment(company, f"m-{number}", number),
    lambda chance, company, number: create_equipment(company, _machine(chance), chance.randint(0, 5), command_id=uuid_of(number)),
    lambda chance, company, number: rename(company, _machine(chance), f"Name {number}"),
    lambda chance, company, number: rename(company, _machine(chance), BOOM, command_id=uuid_of(number)),
    lambda chance, company, number: schedule(company, _machine(chance), f"j-{chance.randint(0, 9)}", command_id=uuid_of(number)),
    lambda chance, company, number: define_category(company, f"kind-{chance.randint(0, 3)}", command_id=uuid_of(number)),
    lambda chance, company, number: order(company, "equipment.paint", "m-1", {"colour": "red"}, command_id=uuid_of(number)),
)


def _machine(chance: Random) -> str:
    return f"m-{chance.randint(0, 9)}"
