"""Faust's Kafka transport with five changes, each pinned by a test in tests/agents/test_faust_facts.py.

1. One event loop: Faust's consumer has a thread with a loop of its own. Both threads then wait for Python's one lock at
   every step of a message, which tripled the time to its answer; and heartbeats from there went on while the loop that
   does the work hung. Ours runs in the app's own loop.
2. Batches: Faust makes an event, two tasks and a queue entry of every message. We put what was fetched of a partition
   into the agent's channel as one `Batch`. It is right for agents that pull from their channel, drop what an earlier
   generation fetched and commit offsets themselves. Changelogs are recovered in batches too.
3. A busy partition is not held up by idle ones: Faust lets Kafka hold a fetch for 1.5 s and waits a second for records.
   When the buffer of the only busy partition was empty, it waited for the fetch of the idle ones, at half its speed.
4. Gathering, for apps that ask for it: while records keep coming, Kafka waits a moment for more before it answers a
   fetch. Kafka and the app then deal with many records at once, and leave the processors to whoever must be quick.
5. A lease: the last successful heartbeat is noted, so that a worker cut off from its coordinator, which Faust and
   aiokafka would let go on for ever, can leave. So does one whose dealings with the group have ended by a fault.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import structlog
from faust.transport.drivers import aiokafka as driver

logger = structlog.get_logger("lease")

#: How a process ends that may no longer act: its supervisor starts another.
EXIT_LEASE_LOST = 71
#: How soon it is looked again whether a partition that has had enough wants more: when all have, and when some have.
ALL_FULL_SECONDS, SOME_FULL_SECONDS = 0.005, 0.02
#: How long Kafka may hold a fetch that finds nothing: always, and when some have had enough. Meanwhile aiokafka fetches
#: nothing else from that broker.
HELD_MS, SOME_FULL_HELD_MS = 500, 50
#: How long Kafka may gather records after a fetch that found some, and how many bytes are enough at once.
GATHERED_MS, ENOUGH_BYTES = 25, 64 * 1024


class Lease:
    """How long ago the group coordinator last answered, by a clock that runs on while the process is paused.

    It is held from an assignment to its end: in between, a rebalance may take longer than the session.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] | None = None) -> None:
        self.seconds = seconds
        self._clock = clock or _boot_time
        self._renewed: float | None = None

    def take(self) -> None:
        """Partitions have been assigned."""
        self._renewed = self._clock()

    def release(self) -> None:
        """Nothing is assigned any more."""
        self._renewed = None

    def renew(self, asked_at: float) -> None:
        """A heartbeat that was sent at `asked_at` has been answered."""
        if self._renewed is not None:
            self._renewed = max(asked_at, self._renewed)

    def now(self) -> float:
        return self._clock()

    @property
    def valid(self) -> bool:
        renewed = self._renewed
        return renewed is None or self._clock() - renewed < self.seconds

    def watch(self) -> None:
        """End the process as soon as the lease has run out; a thread, since the event loop may be what hangs."""
        threading.Thread(target=self._watch, daemon=True, name="lease-watchdog").start()

    def _watch(self) -> None:
        while self.valid:
            time.sleep(min(0.5, self.seconds / 10))
        logger.error("no heartbeat for longer than the session, leaving", seconds=self.seconds)
        os._exit(EXIT_LEASE_LOST)


def _boot_time() -> float:
    """Seconds since boot, suspended time included where the system can tell."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def leave_without_coordination(coordination: "asyncio.Task[None]") -> None:
    """End the process where aiokafka's dealings with the group have ended by a fault, such as a broker that had just
    started and knew of none yet: nobody would begin them again, and nothing would ever be assigned."""
    if not coordination.cancelled() and (fault := coordination.exception()) is not None:
        logger.error("the group is lost, leaving", reason=repr(fault))
        os._exit(EXIT_LEASE_LOST)


def gather(consumer: Any, held_ms: Callable[[], int] = lambda: HELD_MS) -> None:
    """Let Kafka gather records for a fetch that follows one which found some. After one that found none, the first
    record to come is sent at once, and Kafka may wait for it as long as `held_ms` says. aiokafka makes the next request
    as soon as a fetch is done and what it found is taken. The consumer has been started."""
    fetcher = consumer._fetcher
    fetch = fetcher._proc_fetch_request

    async def fetch_and_set_the_next(*request: Any) -> bool:
        found: bool = await fetch(*request)
        fetcher._fetch_min_bytes = ENOUGH_BYTES if found else 1
        fetcher._fetch_max_wait_ms = GATHERED_MS if found else held_ms()
        return found

    fetcher._proc_fetch_request = fetch_and_set_the_next


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread without the thread, whose heartbeats renew the app's lease."""

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, thread_loop=options["loop"], **options)

    async def start(self) -> None:
        self._thread_started.set()
        self._thread_running = self.parent_loop.create_future()
        self._serving = asyncio.create_task(self._serve())
        await self._thread_running
        self._thread_running = None

    async def _gather_remaining_tasks(self) -> None:
        """What else runs in the loop is not the consumer's to cancel."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        lease: Lease = self.app.lease
        start = consumer.start

        async def start_with_lease() -> None:
            await start()
            coordinator = consumer._coordinator
            beat = coordinator._do_heartbeat

            async def beat_and_renew() -> bool:
                asked_at = lease.now()
                answered: bool = await beat()
                if answered:
                    lease.renew(asked_at)
                return answered

            coordinator._do_heartbeat = beat_and_renew
            coordinator._coordination_task.add_done_callback(leave_without_coordination)
            if self.app.gathers:
                gather(consumer, self.consumer.held_ms)

        consumer.start = start_with_lease
        return consumer


class Batch(NamedTuple):
    """What was fetched of one partition at once, as aiokafka's records, and in which generation of the group."""

    partition: int
    records: Sequence[Any]
    generation: int


class Consumer(driver.Consumer):
    """Faust's consumer, giving what is fetched of `app.batched` and `app.changelogs` to the app in batches."""

    def _new_consumer_thread(self) -> Any:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def held_ms(self) -> int:
        """How long Kafka may hold a fetch that finds nothing."""
        return SOME_FULL_HELD_MS if self._buffered_partitions else HELD_MS

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:  # noqa: ASYNC109 - the name is Faust's
        """Without the queue that would take the call into another thread."""
        thread = self._thread
        consumer = thread._ensure_consumer()
        if consumer._fetcher._fetch_min_bytes == 1:
            consumer._fetcher._fetch_max_wait_ms = self.held_ms()
        return await thread._fetch_records(consumer, active_partitions, timeout, consumer._max_poll_records)

    async def _drain_messages(self, fetcher: Any) -> None:
        stopped, fetcher_stopped = self._stopped.is_set, fetcher._stopped.is_set
        try:
            while not (stopped() or fetcher_stopped()):
                await self._drain_batch()
                await asyncio.sleep(0)
        except (asyncio.CancelledError, *self.consumer_stopped_errors):
            if not self.transport.app.should_stop:
                raise
        except Exception as fault:
            await self.crash(fault)
            raise

    async def _drain_batch(self) -> None:
        if self._buffered_partitions and not self._get_active_partitions():
            await asyncio.sleep(ALL_FULL_SECONDS)  # all have enough to do; Faust would sleep for a second here
            return
        fetched, active = await self._wait_next_records(SOME_FULL_SECONDS if self._buffered_partitions else 1.0)
        generation = self.app.consumer_generation_id
        for place, records in (fetched or {}).items():
            if self.should_stop or not self.flow_active or generation != self.app.consumer_generation_id:
                return
            if active is not None and place not in active and place not in self._buffered_partitions:
                continue
            batch = Batch(place.partition, records, generation)
            if place.topic in self.app.batched:
                self._read_offset[place] = records[-1].offset
                self.app.take(batch)
            elif place.topic in self.app.changelogs:
                self.app.recover(batch)
                await self._pass_on(place, records[-1:])  # Faust's recovery counts offsets, and needs but the last
            else:
                await self._pass_on(place, records)

    async def _pass_on(self, place: Any, records: Sequence[Any]) -> None:
        """Faust's own way."""
        for record in records:
            read = self._read_offset[place]
            if read is None or record.offset >= read:
                await self.callback(self._to_message(place, record))
                self._read_offset[place] = record.offset


class Transport(driver.Transport):
    Consumer = Consumer
