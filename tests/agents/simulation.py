"""Lanes on a broker in memory, in virtual time, with every fault that a seed can bring.

One thread, one event loop whose clock jumps, one source of chance: the same seed gives the same run. Owners of a
partition die at any await, run on as zombies, pause, leave cleanly or fail; what they sent lands late, twice, or never;
acknowledgements are lost; the changelog is compacted. `tests.agents.checker` then judges what the broker holds.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

import agents.lane
from agents.decision import REMEMBERED_FOR, Place
from agents.lane import Lane
from agents.log import RefusesToServe
from agents.state import PartitionState
from domain import RULES
from domain.equipment import equipment_retired, rename_equipment
from tests.agents.broker import LAG, PARTITIONS, PREFIX, Broker, VirtualLoop
from tests.agents.checker import Run, judge
from tests.agents.process import BUILD, TOPIC_ID, Process
from tests.agents.story import BOOM, story

CHECK_SECONDS = 900.0
RENAME = "com.bitcorp.erp.equipment.rename-equipment.v1"


@dataclass(frozen=True)
class Faults:
    """What may go wrong: how owners end, by weight; what befalls a call, by likelihood; what the world does at all."""

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
        calls = {
            name: chance.choice((0, 0.02, 0.1)) for name in ("late", "lost", "twice", "unknown", "failure", "rewind")
        }
        flags = {name: chance.random() < 0.3 for name in ("compaction", "zombies_commit", "forgetting")}
        return cls(**fates, **calls, **flags)


class Silent:
    """A logger that says nothing."""

    def bind(self, **_: Any) -> "Silent":
        return self

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *_, **__: None


def rename_or_raise(machine: Any, command: Any, context: Any) -> Iterator[Any]:
    if command.name == BOOM:
        raise ZeroDivisionError("a rule with a fault")
    return rename_equipment(machine, command, context)


def rename_by_build(machine: Any, command: Any, context: Any) -> Iterator[Any]:
    """What no rule may do: another owner decides the same command differently."""
    build = BUILD.get()
    if build % 3 == 0:
        raise equipment_retired()
    return rename_equipment(machine, command.model_copy(update={"name": f"{command.name} by {build}"}), context)


@dataclass
class Simulation:
    """One seed's run, with faults drawn from the seed unless they are given.

    `violations` says what happened that must not; it stays empty for a right lane.
    """

    seed: int
    given: Faults | None = None
    lane_class: type[Lane] = Lane
    process_class: type[Process] = Process
    check_seconds: float = CHECK_SECONDS
    judge: Callable[[Run], Iterable[str]] = judge
    rename: Callable[..., Iterator[Any]] = rename_or_raise
    first_dies_at: int = 0
    owners: int = 4
    orders: int = 18
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)
        self.faults = self.given or Faults.of(self.chance)
        self.background: set[asyncio.Task[None]] = set()
        self.calm = False

    def run(self) -> list[str]:
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
            patch.setitem(RULES, RENAME, replace(RULES[RENAME], decide=self.rename))
            patch.setattr(agents.lane, "REMEMBERED_FOR", self.remembered_for)
            patch.setattr(agents.lane, "REMEMBERED_AT_MOST", self.remembered_at_most)
            yield

    @property
    def zombies_commit(self) -> bool:
        return self.faults.zombies_commit

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
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # tasks of the dead end unheard
        reigns = [asyncio.create_task(self._reign(partition)) for partition in range(PARTITIONS)]
        cleaning = asyncio.create_task(self._clean())
        await self._send_orders()
        await asyncio.sleep(self.chance.uniform(0, 60))
        self.calm = True
        await self._all_landed()  # a command on its way to another partition counts too
        if not await self._all_acknowledged():
            self.violations.append("stuck: not all commands were acknowledged in an hour without faults")
        await self._all_landed()
        for task in (cleaning, *reigns):
            task.cancel()
        for partition in range(PARTITIONS):
            self.violations += self.judge(self._run_of(partition))

    async def _all_acknowledged(self) -> bool:
        for _ in range(3600):
            if all(self.broker.group.get(p, 0) >= len(self.broker.commands(p)) for p in range(PARTITIONS)):
                return True
            await asyncio.sleep(1)
        return False

    async def _all_landed(self) -> None:
        """What was still on its way has arrived, was healed, and the changelog is compacted once more."""
        while self.background:
            await asyncio.wait(self.background)
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
        process = self._take_office(partition, dies_at=self.first_dies_at)
        self.first = self.first if partition else process
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
            async with asyncio.timeout(seconds):
                await process.ended.wait()

    def _take_office(self, partition: int, state: PartitionState | None = None, dies_at: int = 0) -> Process:
        process = self.process_class(self, partition, state)
        process.dies_at = dies_at
        if self.faults.crash and not self.calm and self.chance.random() < 0.3:
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

    async def _again(self, process: Process) -> PartitionState | None:
        """A rebalance that gives the partition to the same process, which still has it in memory."""
        await process.leave()
        return process.state if process.alive else None


FATES: dict[str, Callable[[Simulation, Process], Coroutine[Any, Any, PartitionState | None]]] = {
    "crash": Simulation._crash,
    "zombie": Simulation._zombie,
    "pause": Simulation._pause,
    "leave": Simulation._leave,
    "again": Simulation._again,
}
