"""A Faust app that reads one topic from where its followers say: one follower per assigned partition.

Faust gives the group, the assignment and the fetch. Where reading starts and what is done, the followers know.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import structlog
from aiokafka.errors import KafkaError
from faust.types import TP

from agents.faust_app import RAW, App, pulled
from agents.kafka import to_record
from agents.transport import Batch, Consumer, Transport
from topics.cloudevents import Record
from topics.settings import Settings

logger = structlog.get_logger("worker")

SETTLE_SECONDS = 5.0
COMMIT_SECONDS = 1.0
#: Records of a partition that wait when no more are fetched, and when fetching goes on.
INBOX_FULL, INBOX_DRAINED = 4000, 1000


class Follower(Protocol):
    """What is done with one partition. `run` lasts until it is cancelled."""

    def put(self, records: Sequence[Record]) -> int:
        """Take what was fetched, in order of offsets; gives how many records wait now."""

    async def run(self) -> None: ...

    async def settle(self) -> None:
        """Return when nothing is half done."""


class FollowingConsumer(Consumer):
    """Reading starts where a follower says; until then its partition is paused, whatever the group has committed."""

    async def perform_seek(self) -> None:
        self.pause_partitions(self.assignment() - self.app.reading)


class FollowingTransport(Transport):
    Consumer = FollowingConsumer


class FollowingApp(App):
    """To its followers it is the topic that they read."""

    transport_class = FollowingTransport
    gathers = True

    def __init__(self, settings: Settings, group: str, topic: str, agent: str) -> None:
        super().__init__(settings, group)
        self.group_id = group
        self.reading: set[TP] = set()
        self.followers: dict[int, Follower] = {}
        self._topic = topic
        self._tasks: list[asyncio.Task[None]] = []
        self._applied: dict[TP, int] = {}
        self._generation = -1
        self._fetched: asyncio.Queue[Batch] | None = None
        self.batched = {topic}
        self.agent(self.topic(topic, **RAW), name=agent)(self._hand_out)
        self.on_partitions_assigned.connect(self._begin)
        self.on_partitions_revoked.connect(self._end)

    def follower(self, partition: int) -> Follower:
        """Whoever follows a partition that has just been assigned."""
        raise NotImplementedError

    def take(self, batch: Batch) -> None:
        if self._fetched is not None:
            self._fetched.put_nowait(batch)

    async def _hand_out(self, stream: Any) -> Any:
        """The agent: pull what was fetched, without Faust's own acknowledgement, and give it to the followers."""
        queue = self._fetched = stream.channel.queue
        async for batch in pulled(queue):
            self._give(batch)
            if False:  # an agent that pulls must still be an async generator for Faust to leave acknowledging to it
                yield

    def _give(self, batch: Batch) -> None:
        follower = self.followers.get(batch.partition)
        place = self._place(batch.partition)
        if follower is None or place not in self.reading or batch.generation != self._generation:
            return  # fetched for an earlier assignment, or before the follower said where to read
        if follower.put([to_record(message) for message in batch.records]) > INBOX_FULL:
            self.consumer.on_buffer_full(place)

    async def _begin(self, app: Any, assigned: set[TP], **_: Any) -> None:
        await self._end(app)
        self._generation = self.consumer_generation_id
        self.lease.take()
        for partition in sorted(place.partition for place in assigned if place.topic == self._topic):
            follower = self.followers[partition] = self.follower(partition)
            self._tasks.append(asyncio.create_task(follower.run(), name=f"{self.group_id}-{partition}"))

    async def _end(self, *_: Any, **__: Any) -> None:
        """Let what is under way end; what is not done yet, the next owner reads again."""
        followers, tasks = list(self.followers.values()), self._tasks
        self.followers, self._tasks = {}, []
        self.reading.clear()
        settled = [asyncio.ensure_future(follower.settle()) for follower in followers]
        if settled:
            await asyncio.wait(settled, timeout=SETTLE_SECONDS)
        for task in (*settled, *tasks):
            task.cancel()
        await asyncio.gather(*settled, *tasks, return_exceptions=True)
        self.lease.release()

    async def close(self) -> None:
        await self._end()
        await self.commit_offsets()
        await self.stop()

    async def look_after(self) -> None:
        """What is done now and then beside following."""
        while True:
            await self.commit_offsets()
            await asyncio.sleep(COMMIT_SECONDS)

    async def commit_offsets(self) -> None:
        ours = self.consumer.assignment()  # Faust gives up a worker that commits nothing but what it has no more
        applied = {place: offset for place, offset in self._applied.items() if place in ours}
        self._applied = {}
        try:
            if applied:
                await self.consumer._commit(applied)
        except (OSError, TimeoutError, KafkaError) as fault:
            logger.warning("offsets not committed", group=self.group_id, reason=str(fault))

    # -- what followers ask of their topic -----------------------------------------------------------------------

    def _place(self, partition: int) -> TP:
        return TP(self._topic, partition)

    async def bounds(self, partition: int) -> tuple[int, int]:
        """The offsets of the first record that is kept and of the next one to be written."""
        place = self._place(partition)
        first = await self.consumer.earliest_offsets(place)
        end = await self.consumer.highwaters(place)
        return first[place], end[place]

    async def read_from(self, partition: int, offset: int) -> None:
        """Deliver records from here on."""
        place = self._place(partition)
        await self.consumer.seek_wait({place: offset})
        self.reading.add(place)
        self.consumer.resume_partitions({place})

    def pause(self, partition: int) -> None:
        """Deliver nothing until `read_from`."""
        place = self._place(partition)
        self.reading.discard(place)
        self.consumer.on_buffer_drop(place)
        self.consumer.pause_partitions({place})

    def advanced(self, partition: int, next_offset: int, waiting: int) -> int:
        """Records before the offset are done, so many wait; gives how many are not done yet, as far as known."""
        place = self._place(partition)
        self._applied[place] = next_offset
        if waiting < INBOX_DRAINED:
            self.consumer.on_buffer_drop(place)
        return max(0, (self.consumer.highwater(place) or 0) - next_offset)
