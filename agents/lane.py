"""The lane: all that one worker does for one assigned partition, strictly in order. Effectively once.

One commit is a group of consecutive commands: decide on an overlay; write all changed state and the head with its
outbox as one batch by compare-and-append; only then change memory; publish the outbox; say what is decided.
The invariant at each await is stated there. While one commit is being written the next is decided, its outbox
carrying what is not known to be published.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice

import structlog

from agents.decision import REMEMBERED_FOR, Commit, Draft, Place, remembered_at
from agents.log import LaneStopped, Log, RefusesToServe, Surroundings, Void
from agents.refold import outdated, refold
from agents.state import Head, PartitionState, StateRecord, head_key, in_batches
from domain import BUSINESS
from domain.engine import is_command
from topics import metrics
from topics.cloudevents import Record
from topics.messages import unpack

REMEMBERED_AT_MOST = 50_000
FORGOTTEN_AT_ONCE = 200


class Inbox:
    """Commands of the partition that were fetched and not yet taken, in order of their offsets."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque()
        self._wake = asyncio.Event()
        self._fault: BaseException | None = None

    def __len__(self) -> int:
        return len(self._records)

    def put(self, records: Sequence[Record]) -> None:
        self._records.extend(records)
        self._wake.set()

    def put_back(self, records: Sequence[Record]) -> None:
        self._records.extendleft(reversed(records))
        self._wake.set()

    def fail(self, fault: BaseException) -> None:
        """Raise `fault` in whoever waits: a commit in flight has failed."""
        self._fault = fault
        self._wake.set()

    def clear_fault(self) -> None:
        self._fault = None

    def ahead(self, most: int) -> Iterator[Record]:
        """The next records, which stay."""
        return islice(self._records, most)

    def pop(self) -> Record:
        return self._records.popleft()

    async def wait(self, seconds: float) -> bool:
        """True as soon as there are records, False when the time has passed."""
        if not self._records and self._fault is None:
            self._wake.clear()
            with suppress(TimeoutError):  # not wait_for: before Python 3.12 it may swallow a cancellation
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
        if self._fault is not None:
            raise self._fault
        return bool(self._records)


@dataclass(eq=False)
class InFlight:
    """A commit between deciding and acknowledging."""

    commit: Commit
    started: float = field(default_factory=time.perf_counter)
    written: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    published: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    task: "asyncio.Task[None] | None" = None

    @property
    def settled(self) -> bool:
        """Whether all that it sends is known to be published."""
        return self.published.done() and self.published.exception() is None


class Lane:
    """Serves one partition until it is stopped; `run` returns only by raising.

    `decided` is told the offset of the last command each time all up to it are decided and published; `serves` is told
    it when the lane begins to serve, and needs the commands behind it.
    """

    def __init__(
        self,
        place: Place,
        state: PartitionState,
        log: Log,
        decided: Callable[[int], None],
        *,
        group_commands: int = 100,
        check_seconds: float = 900.0,
        failures_before_stop: int = 20,
        retry_seconds: float = 30.0,
        serves: Callable[[int], None] = lambda applied: None,
    ) -> None:
        self.place = place
        self.partition = place.partition
        self.state = state
        self.inbox = Inbox()
        self.serving = False
        self._log = log
        self._decided = decided
        self._group_commands = group_commands
        self._check_seconds = check_seconds
        self._failures_before_stop = failures_before_stop
        self._retry_seconds = retry_seconds
        self._serves = serves
        self._failures = 0
        self._closing = False
        self._head = Head("")
        self._in_flight: deque[InFlight] = deque()
        self._remembered: deque[tuple[int, str]] = deque()
        self._logger = structlog.get_logger("lane").bind(partition=self.partition)

    async def run(self) -> None:
        while True:
            try:
                await self._take_over()
                await self._serve()
            except Void as void:
                self._logger.warning("changelog has another writer, taking over again", detail=str(void))
                metrics.LANE_VOID_BATCHES.inc()
            except RefusesToServe as refusal:
                self._logger.error("partition is not served", reason=str(refusal), retry_seconds=self._retry_seconds)
                metrics.LANE_REFUSING.labels(self.partition).set(1)
                await asyncio.sleep(self._retry_seconds)
            finally:
                self.serving = False
                await self._drop_in_flight()

    @property
    def applied(self) -> int:
        """Offset of the last command whose decision is written."""
        return self._head.applied

    async def settle(self) -> None:
        """Decide nothing more, and wait until all that was decided is published; the inbox keeps the rest."""
        self._closing = True
        while busy := [each.task for each in self._in_flight if each.task and not each.task.done()]:
            await asyncio.wait(busy)

    async def _drop_in_flight(self) -> None:
        """Nothing of these commits counts unless a valid head says so; their commands are decided again."""
        tasks = [each.task for each in self._in_flight if each.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.inbox.put_back([r for each in self._in_flight if not each.settled for r in each.commit.records])
        self._in_flight.clear()
        self.inbox.clear_fault()

    # -- taking over ---------------------------------------------------------------------------------------------

    async def _take_over(self) -> None:
        """Read to the changelog's end, publish the recovered outbox again, heal, then serve.

        A death at any await here leaves the log as it was, or with a repetition that every reader ignores.
        """
        began = time.perf_counter()
        self._log.check_owned(self.partition)
        # In this order: a former owner may still write and publish, and must not seem to be ahead of the head.
        around = await self._log.surroundings(self.partition)
        await self._read_state()
        self._head = self._recovered_head(around)
        self._check_fit(around)
        republished = [unpack(packed) for packed in self._head.outbox]
        await self._log.publish(republished)
        self._head = replace(self._head, outbox=())
        await self._heal()
        await self._refold_outdated()
        self._recall_commands()
        self.serving = True
        self._serves(self._head.applied)
        metrics.LANE_TAKEOVERS.inc()
        metrics.LANE_REFUSING.labels(self.partition).set(0)
        self._logger.info(
            "lane serves",
            position=self._head.events - 1,
            applied=self._head.applied,
            republished=len(republished),
            seconds=round(time.perf_counter() - began, 3),
        )

    async def _read_state(self) -> None:
        """Read what is new. Where it does not add up, what we held before had a hole: a fetch that was given up at a
        rebalance, a deletion that compaction took meanwhile. Then all is read again."""
        held = self.state.end
        await self._log.read(self.state)
        record = self.state.records.get(head_key(self.partition))
        if held and (record is None or Head.decode(record).digest != self.state.digest):
            self._logger.warning("recovered state has a hole, reading all of it", held=held)
            self.state.clear()
            await self._log.read(self.state)

    def _recovered_head(self, around: Surroundings) -> Head:
        record = self.state.records.get(head_key(self.partition))
        if record is not None:
            return Head.decode(record)
        if around.events_end > 0:
            journal = self.place.topic(self.place.topics.events)
            raise RefusesToServe(
                f"{journal} has records in partition {self.partition}, but the state changelog holds no head for it. "
                f"Fold the state again: {self._rebuild}"
            )
        return Head(around.commands_topic_id, applied=around.commands_start - 1)

    @property
    def _rebuild(self) -> str:
        """What mends a partition that is not fit to be served."""
        realm = "" if self.place.realm is BUSINESS else f"--realm {self.place.realm.name} "
        return f"bitcorp state rebuild {realm}--partition {self.partition}"

    def _check_fit(self, around: Surroundings) -> None:
        head, rebuild = self._head, self._rebuild
        if head.commands_topic_id != around.commands_topic_id:
            raise RefusesToServe(
                f"The commands topic was made anew (id {around.commands_topic_id}, the head knows "
                f"{head.commands_topic_id}), so offsets mean other commands. Accept it: {rebuild} --new-commands-topic"
            )
        if around.commands_start > head.applied + 1:
            raise RefusesToServe(
                f"Commands {head.applied + 1} to {around.commands_start - 1} expired before they were read. "
                f"Accept the gap: {rebuild} --accept-gap"
            )
        if around.group_offset is not None and around.group_offset > head.applied + 1:
            raise RefusesToServe(
                f"The group has acknowledged commands up to {around.group_offset - 1}, the head knows only "
                f"{head.applied}: the changelog has lost its end. Fold the state again: {rebuild}"
            )
        if self.state.digest != head.digest:
            raise RefusesToServe(
                f"The recovered records do not add up to the head's hash. Fold the state again: {rebuild}"
            )

    async def _heal(self) -> None:
        """Append once more every key whose last record is void, so that compaction cannot keep the void one."""
        if self.state.voided:
            await self._append_all({key: self.state.records.get(key) for key in self.state.healing()})

    async def _refold_outdated(self) -> None:
        """Fold state of an older state version again from the journal; a newer one means that this build is too old."""
        if outdated(self.state.records, self.place.realm):
            journal = await self._log.journal(self.partition, self._head.events - 1)
            # In a thread: a long journal must not keep the loop from its heartbeats.
            await self._append_all(await asyncio.to_thread(refold, journal, self.state.records, self.place.realm))

    async def _append_all(self, changes: Mapping[str, bytes | None]) -> None:
        """Append in batches that Kafka takes, each with a head that adds up to it, so that each is a state to serve."""
        for part in in_batches(changes):
            self._head = replace(self._head, digest=self.state.digest_with(dict(part)))
            await self._append(part, self._head)

    def _recall_commands(self) -> None:
        found = ((remembered_at(value), key) for key, value in self.state.records.items() if is_command(key))
        self._remembered = deque(sorted(found))

    # -- serving -------------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        check_at = time.monotonic() + self._check_seconds
        while True:
            ready = await self.inbox.wait(max(0.0, check_at - time.monotonic()))
            if self._closing:
                await asyncio.get_running_loop().create_future()  # until the lane is cancelled
            if ready:
                await self._commit_group()
            if time.monotonic() >= check_at:
                await self._check_end()
                check_at = time.monotonic() + self._check_seconds

    async def _check_end(self) -> None:
        """A stale writer's batch that nobody noticed must be healed before compaction can act on it."""
        await self._all_written()
        end = await self._log.end(self.partition)
        if end != self.state.end:
            raise Void(f"the changelog ends at {end}, not at {self.state.end}")

    async def _all_written(self) -> None:
        while self._in_flight and not self._in_flight[-1].written.done():
            await asyncio.shield(self._in_flight[-1].written)

    async def _commit_group(self) -> None:
        """Decide the next group while the last is being written; then start writing it.

        At most one batch of state is unacknowledged, and at most one commit before it unpublished: the outbox of
        each head carries all that may not have been published yet.
        """
        last = self._in_flight[-1] if self._in_flight else None
        commit = self._decide(last)
        try:
            if last is not None:
                await self._wait(last.written)
            while len(self._in_flight) > 1:
                await self._wait(self._in_flight[0].published)
                self._forget_settled()
        except BaseException:
            self.inbox.put_back(commit.records)
            raise
        self._forget_settled()
        previous = self._in_flight[-1] if self._in_flight else None
        started = InFlight(commit)
        self._in_flight.append(started)
        started.task = asyncio.create_task(self._settle(started, previous))

    async def _wait(self, future: "asyncio.Future[None]") -> None:
        """Wait for a commit in flight, or raise what made one fail."""
        if not future.done():
            await asyncio.shield(future)
        future.result()

    def _forget_settled(self) -> None:
        while self._in_flight and self._in_flight[0].settled:
            self._in_flight.popleft()

    def _decide(self, last: InFlight | None) -> Commit:
        head = last.commit.head if last and not last.written.done() else self._head
        draft = Draft(self.place, head, self._stored(last))
        draft.read_ahead(self.inbox.ahead(self._group_commands))
        while len(self.inbox) and len(draft.records) < self._group_commands and not draft.full:
            record = self.inbox.pop()
            self._check_contiguous(record, draft)
            draft.take(record)
        self._forget_old(draft)
        commit = draft.commit()
        self._failures = self._failures + commit.failures if commit.failures else 0
        if self._failures >= self._failures_before_stop:
            raise LaneStopped(f"{self._failures} rules in a row raised: the fault is ours, not the commands'")
        return commit

    def _stored(self, last: InFlight | None) -> Callable[[str], bytes | None]:
        """Memory, under the changes of a commit that is still being written."""
        records = self.state.records
        if last is None or last.written.done():
            return records.get
        changes = last.commit.changes
        return lambda key: changes[key] if key in changes else records.get(key)

    def _check_contiguous(self, record: Record, draft: Draft) -> None:
        if record.offset > draft.applied + 1:
            raise LaneStopped(f"command {draft.applied + 1} is missing: the next one fetched is {record.offset}")

    def _forget_old(self, draft: Draft) -> None:
        """Delete command ids older than a day, and the oldest beyond the cap, some at each commit."""
        self._remembered.extend(draft.remembered)
        for _ in range(FORGOTTEN_AT_ONCE + len(draft.records)):
            if not self._remembered:
                return
            at, key = self._remembered[0]
            if at >= draft.clock - REMEMBERED_FOR and len(self._remembered) <= REMEMBERED_AT_MOST:
                return
            self._remembered.popleft()
            draft.forget(key)

    async def _settle(self, current: InFlight, previous: InFlight | None) -> None:
        try:
            await self._write(current, previous)
            current.written.set_result(None)
            if previous is not None:
                await self._wait(previous.published)
            # A death here loses nothing: the head that was written holds all of this, and whoever takes over
            # publishes it again with the same ids and positions.
            await self._log.publish(current.commit.sends)
            current.published.set_result(None)
            # A death here redelivers the commands; they are skipped by the head's offset.
            self._decided(current.commit.head.applied)
            self._observe(current)
        except BaseException as fault:
            for future in (current.written, current.published):
                if not future.done():
                    future.set_exception(fault)
                    future.exception()  # whoever still waits gets it; nobody has to
            self.inbox.fail(fault)
            raise

    async def _write(self, current: InFlight, previous: InFlight | None) -> None:
        """State, progress and outbox in one batch. A death before it lands: the commands are decided again. After
        it: they are skipped. Memory changes only once the log has acknowledged, so it is never ahead of the log."""
        commit = current.commit
        if commit.head.applied == self._head.applied and not commit.changes:
            return
        carried = previous.commit.packed if previous is not None and not previous.settled else []
        head = replace(commit.head, digest=self.state.digest_with(commit.changes), outbox=(*carried, *commit.packed))
        await self._append([StateRecord(key, value) for key, value in commit.changes.items()], head)
        self._head = replace(head, outbox=())

    async def _append(self, changed: list[StateRecord], head: Head) -> None:
        records = [*changed, StateRecord(head_key(self.partition), head.encode())]
        self._log.check_owned(self.partition)
        expect = self.state.end
        landed = await self._log.append(self.partition, records, expect)
        if landed != expect:
            raise Void(f"a batch expected at {expect} landed at {landed}")
        self.state.wrote(records, expect, head.digest)

    def _observe(self, current: InFlight) -> None:
        metrics.LANE_COMMIT_SECONDS.observe(time.perf_counter() - current.started)
        metrics.LANE_GROUP_COMMANDS.observe(len(current.commit.records))
        for (what, label), count in current.commit.tally.items():
            match what:
                case "decided":
                    metrics.LANE_COMMANDS.labels(label).inc(count)
                case "repeat":
                    metrics.LANE_REPEATS.inc(count)
                case "rerouted":
                    metrics.LANE_REROUTED.inc(count)
                case _:
                    metrics.LANE_DEAD_LETTERS.labels(label).inc(count)
