"""Lanes with one fault each. The simulation must find every one of them, else it proves nothing."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

import agents.lane
import agents.state
from agents.decision import Draft
from agents.lane import InFlight, Lane
from agents.state import StateRecord
from tests.agents.process import Process
from tests.agents.simulation import Faults, Simulation
from topics.cloudevents import Record


class NoFence(Lane):
    """Takes every acknowledged batch for valid, wherever it landed."""

    async def _append(self, changed: list[StateRecord], head: Any) -> None:
        log = self._log

        class Trusting:
            check_owned = log.check_owned

            async def append(self, partition: int, records: Sequence[StateRecord], expect: int) -> int | None:
                await log.append(partition, records, expect)
                return expect

        self._log = Trusting()  # type: ignore[assignment]
        try:
            await super()._append(changed, head)
        finally:
            self._log = log


class NoCarry(Lane):
    """Starts the next commit without the outbox that is not known to be published."""

    async def _write(self, current: InFlight, previous: InFlight | None) -> None:
        await super()._write(current, None)


class NoWaitForPublication(Lane):
    """Publishes a commit's outbox before the one before it is known to be published."""

    async def _settle(self, current: InFlight, previous: InFlight | None) -> None:
        self._before = previous
        await super()._settle(current, None)

    async def _write(self, current: InFlight, previous: InFlight | None) -> None:
        await super()._write(current, self._before)


class SaysDecidedEarly(Lane):
    """Calls commands decided once their state is written, before their outbox is published."""

    async def _write(self, current: InFlight, previous: InFlight | None) -> None:
        await super()._write(current, previous)
        self._decided(current.commit.head.applied)


class SaysDecidedAtOnce(Lane):
    """Calls commands decided before anything of them is written."""

    async def _write(self, current: InFlight, previous: InFlight | None) -> None:
        self._decided(current.commit.head.applied)
        await super()._write(current, previous)


class NoHealing(Lane):
    async def _heal(self) -> None: ...


class DecidesAgain(Draft):
    """Does not look at offsets: what was decided before is decided again."""

    def take(self, record: Record) -> None:
        if record.offset <= self.applied:
            self.applied = record.offset - 1
        super().take(record)


class NoRepublication(Process):
    """Publishes nothing at a take-over."""

    async def publish(self, records: Sequence[Record]) -> None:
        if self.lane.serving:
            await super().publish(records)


class UnawaitedRepublication(Process):
    """Sends the recovered outbox at a take-over and does not wait for it."""

    async def publish(self, records: Sequence[Record]) -> None:
        if self.lane.serving:
            await super().publish(records)
        else:
            self.world.start(self._deliver(list(records)))


class HeadInItsOwnBatch(Process):
    """Writes state and head as two batches."""

    async def append(self, partition: int, records: Sequence[StateRecord], expect: int) -> int | None:
        base = expect
        if len(records) > 1:
            await super().append(partition, records[:-1], expect)
            base = expect + len(records) - 1
        landed = await super().append(partition, records[-1:], base)
        return expect if landed == base else None


@contextmanager
def _everything_is_valid() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agents.state, "valid", lambda offset, headers: True)
        yield


@contextmanager
def _offsets_are_ignored() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agents.lane, "Draft", DecidesAgain)
        yield


@contextmanager
def _failures_count_as_publications() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InFlight, "settled", property(lambda self: self.published.done()))
        yield


@contextmanager
def _nothing_is_changed() -> Iterator[None]:
    yield


@dataclass(frozen=True)
class Mutant:
    """A fault, the way to simulate it, and within how many seeds it must be found."""

    name: str
    simulate: Callable[[int], Simulation] = Simulation
    change: Callable[[], Any] = _nothing_is_changed
    seeds: int = 40

    def violations(self, seed: int) -> list[str]:
        with self.change():
            return self.simulate(seed).run()


def _lane(lane: type[Lane], **more: Any) -> Callable[[int], Simulation]:
    return partial(Simulation, lane_class=lane, **more)


def _process(process: type[Process]) -> Callable[[int], Simulation]:
    return partial(Simulation, process_class=process)


COMPACTED = Faults(zombie=3, pause=1, late=0.05, lost=0.05, compaction=True)

MUTANTS = (
    Mutant("the last record wins, valid or not", change=_everything_is_valid),
    Mutant("a void batch counts", _lane(NoFence)),
    Mutant("the next commit does not carry the unconfirmed outbox", _lane(NoCarry)),
    Mutant("a commit is published before the one before it is", _lane(NoWaitForPublication)),
    Mutant("no publication at take-over", _process(NoRepublication)),
    Mutant("publication at take-over is not awaited", _process(UnawaitedRepublication), seeds=200),
    Mutant("a failed publication counts as one", change=_failures_count_as_publications),
    Mutant("the head in a batch of its own", _process(HeadInItsOwnBatch)),
    Mutant("acknowledged before publication", _lane(SaysDecidedEarly)),
    Mutant("acknowledged before the state is written", _lane(SaysDecidedAtOnce)),
    Mutant("offsets are ignored", change=_offsets_are_ignored),
    Mutant("no healing", _lane(NoHealing, given=COMPACTED), seeds=200),
    Mutant("no look at the changelog's end", partial(Simulation, given=COMPACTED, check_seconds=1e12), seeds=200),
)
