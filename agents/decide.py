"""The command worker: a Faust app whose one agent hands each partition's commands to that partition's lane.

Faust gives the group, the assignment, the fetch and the recovery of the table; the lanes give correctness.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import faust
import structlog
from aiokafka.errors import IllegalStateError
from faust.types import TP

from agents.decision import Place
from agents.faust_app import EXIT_FAULT, RAW, App, pulled, run, say_goodbye, until_told
from agents.kafka import KafkaLog, to_record
from agents.lane import Lane
from agents.log import LaneStopped, Lost
from agents.proof import Proof
from agents.state import PartitionState
from agents.transport import Batch
from domain import BUSINESS
from domain.realm import Realm
from topics import metrics
from topics.catalogue import TOPICS_OF
from topics.garbage import collect_rarely
from topics.provision import topic_id
from topics.settings import Settings

logger = structlog.get_logger("worker")

#: How long lanes may take to publish what they have decided when their partition is taken away.
SETTLE_SECONDS = 5.0
COMMIT_SECONDS = 1.0
#: How long a fetch may be on its way that began before the worker went back.
FETCH_SECONDS = 2.0
#: Fetching of a partition pauses when so many of its commands wait, and goes on when few are left.
INBOX_FULL, INBOX_DRAINED = 1000, 300


def group_of(settings: Settings, realm: Realm = BUSINESS) -> str:
    """The consumer group of the realm's command workers."""
    return f"{settings.prefix}-lanes" if realm is BUSINESS else f"{settings.prefix}-{realm.name}-lanes"


#: Told the partitions that are served from now on, and those that are followed.
Recovered = Callable[[set[int], set[int]], Awaitable[None]]


class LaneTable(faust.Table):
    """The lanes' state as a Faust table: Faust recovers it, lanes read and write it, and only valid records count."""

    def __init__(self, *args: Any, on_recovered: Recovered, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.states: dict[int, PartitionState] = {}
        self._on_recovered = on_recovered

    def state(self, partition: int) -> PartitionState:
        if partition not in self.states:
            self.states[partition] = PartitionState(partition)
        return self.states[partition]

    def forget(self, partitions: Iterable[int]) -> None:
        """Partitions that we neither serve nor follow: what we hold of them goes stale from now on."""
        for partition in partitions:
            self.states.pop(partition, None)

    def persisted_offset(self, tp: Any) -> int | None:
        """Faust replays from behind this offset: only what we have not read or written ourselves."""
        found = self.states.get(tp.partition)
        return found.end - 1 if found is not None and found.end else None

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        self.recover(event.message for event in batch)

    def recover(self, records: Iterable[Any]) -> None:
        """Take records of the changelog, as Kafka's consumer or Faust gives them."""
        for record in records:
            self.state(record.partition).read(record.offset, record.key.decode(), record.value, record.headers or ())

    async def on_recovery_completed(self, active_tps: set[Any], standby_tps: set[Any]) -> None:
        await super().on_recovery_completed(active_tps, standby_tps)
        active, standby = ({tp.partition for tp in places} for places in (active_tps, standby_tps))
        await self._on_recovered(active, standby)


class LaneApp(App):
    """The Faust app of the lanes: commands come in batches to the one agent, the changelog to the table."""

    def __init__(self, settings: Settings, realm: Realm) -> None:
        super().__init__(settings, group_of(settings, realm), standbys=settings.standbys)
        self.batched = {TOPICS_OF[realm.name].commands.named(settings.prefix)}
        self.changelogs = {TOPICS_OF[realm.name].state.named(settings.prefix)}
        self.fetched: asyncio.Queue[Batch] | None = None
        self.table: LaneTable | None = None

    def take(self, batch: Batch) -> None:
        if self.fetched is not None:
            self.fetched.put_nowait(batch)

    def recover(self, batch: Batch) -> None:
        if self.table is not None:
            self.table.recover(batch.records)


class Worker:
    """One process that serves lanes: the Faust app, the lanes of its partitions, and their way to Kafka."""

    def __init__(self, settings: Settings, realm: Realm = BUSINESS) -> None:
        self.settings, self.realm = settings, realm
        self._commands = TOPICS_OF[realm.name].commands.named(settings.prefix)
        self.lanes: dict[int, Lane] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._done: dict[int, int] = {}
        self._left = asyncio.Event()
        self.fault: BaseException | None = None
        self.app = LaneApp(settings, realm)
        self.log = KafkaLog(
            settings,
            group_of(settings, realm),
            topic_id(settings, self._commands),
            self._check_owned,
            realm,
        )
        self._generation = -1
        #: By partition, the offset of the command that its lane needs next, and the way back to it.
        self._needed: dict[int, int] = {}
        self._ways_back: dict[int, asyncio.Task[None]] = {}
        self._build()

    def _build(self) -> None:
        """The table and the one agent, as Faust declares them."""
        app, prefix = self.app, self.settings.prefix
        changelog = app.topic(
            TOPICS_OF[self.realm.name].state.named(prefix), partitions=self.settings.partitions, **RAW
        )
        self.table = app.table = LaneTable(
            app,
            name="state",
            default=None,
            partitions=self.settings.partitions,
            changelog_topic=changelog,
            on_recovered=self._start_lanes,
            key_type=bytes,
            value_type=bytes,
        )
        app.tables.add(self.table)
        app.agent(app.topic(self._commands, **RAW), name="decide")(self._hand_out)
        app.on_partitions_revoked.connect(self._stop_lanes)

    async def _hand_out(self, stream: Any) -> Any:
        """The agent: pull what was fetched, without Faust's own acknowledgement, and give it to the lanes."""
        queue = self.app.fetched = stream.channel.queue
        async for batch in pulled(queue):
            self._give(batch)
            if False:  # an agent that pulls must still be an async generator for Faust to leave acknowledging to it
                yield

    def _give(self, batch: Batch) -> None:
        lane, needed = self.lanes.get(batch.partition), self._needed.get(batch.partition)
        if lane is None or needed is None or batch.generation != self._generation:
            return  # fetched for an earlier assignment, or before the lane serves: then it is fetched again
        if batch.records[0].offset > needed and self._go_back(batch.partition):
            return
        self._ways_back.pop(batch.partition, None)
        self._needed[batch.partition] = max(needed, batch.records[-1].offset + 1)
        lane.inbox.put([to_record(message) for message in batch.records if message.offset >= needed])
        if len(lane.inbox) > INBOX_FULL:
            self.app.consumer.on_buffer_full(self._place(batch.partition))

    def _decided(self, partition: int, applied: int) -> None:
        """Commands up to the offset are published. The group's offset only saves reading them again: what has been
        decided stands in the head, so it is committed now and then."""
        self._done[partition] = applied + 1
        lane = self.lanes.get(partition)
        if lane is not None and len(lane.inbox) < INBOX_DRAINED:
            self.app.consumer.on_buffer_drop(self._place(partition))

    def _serves(self, partition: int, applied: int) -> None:
        """Fetch from behind the head: what came before has been dropped, and Faust leaves a partition without a
        committed offset where that fetch has brought it."""
        self._done[partition] = applied + 1
        if partition not in self._needed:
            self._needed[partition] = applied + 1
            self._go_back(partition)

    def _go_back(self, partition: int) -> bool:
        """Fetch again what the lane needs next. False where that was of no use: then the lane says what is missing."""
        under_way = self._ways_back.get(partition)
        if under_way is not None:
            return not under_way.done()
        self._ways_back[partition] = asyncio.create_task(self._seek(partition, self._needed[partition]))
        return True

    async def _seek(self, partition: int, offset: int) -> None:
        with suppress(IllegalStateError):  # the partition is being taken away
            await self.app.consumer.seek_wait({self._place(partition): offset})
        await asyncio.sleep(FETCH_SECONDS)

    def _place(self, partition: int) -> TP:
        return TP(self._commands, partition)

    async def _commit_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            await self._commit_offsets()
            self._observe()

    async def _commit_offsets(self) -> None:
        done, self._done = self._done, {}
        if done:
            await self.app.consumer._commit({self._place(partition): offset for partition, offset in done.items()})

    def _observe(self) -> None:
        for partition, lane in self.lanes.items():
            end = self.app.consumer.highwater(self._place(partition)) or 0
            metrics.LANE_LAG.labels(partition).set(max(0, end - lane.applied - 1))
            metrics.LANE_STATE_RECORDS.labels(partition).set(len(lane.state.records))
            metrics.LANE_STATE_BYTES.labels(partition).set(lane.state.bytes)

    # -- assignment ----------------------------------------------------------------------------------------------

    async def _start_lanes(self, partitions: set[int], followed: set[int]) -> None:
        """Every assigned partition is taken over afresh; what we still hold of it saves reading it again, as does what
        we hold of those that we follow."""
        await self._stop_lanes()
        self.table.forget(set(self.table.states) - partitions - followed)
        self._generation = self.app.consumer_generation_id
        self.app.lease.take()
        for partition in sorted(partitions):
            lane = Lane(
                Place(
                    self.settings.prefix,
                    partition,
                    self.settings.partitions,
                    self.realm,
                    Proof.of(self.settings),
                ),
                self.table.state(partition),
                self.log,
                partial(self._decided, partition),
                group_commands=self.settings.group_commands,
                check_seconds=self.settings.check_seconds,
                failures_before_stop=self.settings.failures_before_stop,
                serves=partial(self._serves, partition),
            )
            self.lanes[partition] = lane
            self._tasks[partition] = asyncio.create_task(self._run(lane), name=f"lane-{partition}")
        metrics.LANE_PARTITIONS.set(len(self.lanes))

    async def _stop_lanes(self, *_: Any, **__: Any) -> None:
        """Let what was decided be published, for a while; the rest is decided by the next owner."""
        settling = [asyncio.ensure_future(lane.settle()) for lane in self.lanes.values()]
        if settling:
            await asyncio.wait(settling, timeout=SETTLE_SECONDS)
        tasks = [*settling, *self._tasks.values(), *self._ways_back.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.lanes, self._tasks, self._done = {}, {}, {}
        self._needed, self._ways_back = {}, {}
        self.app.lease.release()

    async def _run(self, lane: Lane) -> None:
        try:
            await lane.run()
        except asyncio.CancelledError:
            raise
        except Lost as lost:
            logger.warning("partition lost", partition=lane.partition, reason=str(lost))
        except LaneStopped as stopped:
            self._leave(stopped)
        except Exception as fault:
            self._leave(fault)

    def _check_owned(self, partition: int) -> None:
        if self.app.consumer_generation_id != self._generation:
            raise Lost(f"partition {partition} was assigned in generation {self._generation}, which has ended")
        if not self.app.lease.valid:
            raise Lost("the group coordinator has not answered a heartbeat for longer than the session")

    def _leave(self, fault: BaseException) -> None:
        """A fault inside a commit ends the process: the group takes over in seconds, and nothing is half done."""
        logger.error("worker leaves", reason=f"{type(fault).__name__}: {fault}", exc_info=fault)
        self.fault = fault
        self._left.set()

    # -- life ----------------------------------------------------------------------------------------------------

    async def serve(self) -> int:
        """Run until SIGTERM or SIGINT (exit code 0) or a fault (another)."""
        collect_rarely()
        await self.log.start()
        await self.app.begin()
        logger.info("worker started", group=group_of(self.settings, self.realm))
        committing = asyncio.create_task(self._commit_now_and_then())
        crash = await until_told([self.app], self._left)
        if crash is not None:
            self._leave(crash)
        if self.fault is not None:
            return EXIT_FAULT
        committing.cancel()
        await say_goodbye(self._close())
        return 0

    async def _close(self) -> None:
        await asyncio.gather(*(lane.settle() for lane in self.lanes.values()))
        await self._commit_offsets()
        await self._stop_lanes()
        await self.app.stop()
        await self.log.stop()


def main(settings: Settings, realm: Realm = BUSINESS) -> None:
    """Run one command worker of the realm until it is told to stop; ends the process."""
    process = "lanes" if realm is BUSINESS else realm.name
    run(settings, process, lambda: _serve(settings, realm))


async def _serve(settings: Settings, realm: Realm) -> int:
    return await Worker(settings, realm).serve()
