"""What our Faust workers have in common: the app's settings, records of messages, and how a process ends."""

from collections.abc import AsyncIterator, Collection
from typing import Any

import faust
from mode import Service

from agents.transport import Batch, Lease, Transport
from topics.cloudevents import Record
from topics.settings import Settings

#: How a process ends after a fault of infrastructure or of ours: its supervisor starts another.
EXIT_FAULT = 70
EXIT_MISCONFIGURED = 78

#: Keys and values of a topic as bytes, so that nothing is decoded, and skipped where that fails, behind our back.
RAW = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}


class App(faust.App):
    """Faust's app with our transport, a lease, and settings that leave correctness to us."""

    transport_class: type[Transport] = Transport

    #: Topics whose partitions are fetched in batches: given to `take` where they are read, to `recover` where they
    #: are changelogs.
    batched: Collection[str] = ()
    changelogs: Collection[str] = ()

    def __init__(self, settings: Settings, group: str) -> None:
        self.lease = Lease(settings.session_seconds)
        super().__init__(
            group,
            broker=[f"kafka://{server}" for server in settings.kafka.split(",")],
            store="memory://",
            datadir=str(settings.directory / "faust"),
            topic_partitions=settings.partitions,
            topic_allow_declare=False,
            topic_disable_leader=True,
            table_standby_replicas=0,
            web_enabled=False,
            broker_session_timeout=settings.session_seconds,
            broker_heartbeat_interval=settings.session_seconds / 10,
            broker_request_timeout=max(40.0, settings.session_seconds),
            broker_rebalance_timeout=60.0,
            broker_max_poll_interval=1e7,
            broker_max_poll_records=1000,
            broker_commit_interval=1.0,
            broker_commit_every=10_000_000,
            consumer_auto_offset_reset="earliest",
            stream_buffer_maxsize=4096,
            stream_wait_empty=False,
            stream_recovery_delay=0.0,
            producer_request_timeout=15.0,
            worker_redirect_stdouts=False,
        )

    def take(self, batch: Batch) -> None:
        """What was fetched of a batched topic."""

    def recover(self, batch: Batch) -> None:
        """What was fetched of a changelog."""

    def _new_transport(self) -> Transport:
        return self.transport_class(self.conf.broker_consumer, self)

    async def begin(self) -> None:
        """Start as a worker does, without Faust's own worker process around it."""
        self.finalize()
        self.in_worker = True
        await self.start()
        self.lease.watch()


async def pulled(queue: Any) -> AsyncIterator[Batch]:
    """What the transport puts into an agent's channel, until Faust closes it."""
    while True:
        try:
            batch = await queue.get()
        except StopAsyncIteration:  # Faust's word for the end, which a generator may not pass on
            return
        yield batch


async def crash_of(app: Service) -> BaseException:
    """Wait until Faust gives up; the reason."""
    await app._crashed.wait()
    return app.crash_reason or RuntimeError("Faust stopped without a reason")


def record_of(message: Any) -> Record:
    """A Faust message as our record."""
    headers = message.headers or ()
    pairs = headers.items() if isinstance(headers, dict) else headers
    return Record(
        message.topic,
        message.partition,
        message.key,
        message.value,
        tuple(pairs),
        message.offset,
        round(message.timestamp * 1000),
    )
