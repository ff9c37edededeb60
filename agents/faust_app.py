"""What our Faust workers have in common: the app's settings, records of messages, and how a process ends."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from typing import Any, NoReturn

import faust
import structlog
from mode import Service

from agents.transport import Batch, Lease, Transport
from topics import logs, metrics
from topics.access import for_aiokafka
from topics.provision import require
from topics.settings import Settings

logger = structlog.get_logger("worker")

#: How a process ends after a fault of infrastructure or of ours: its supervisor starts another.
EXIT_FAULT = 70
EXIT_MISCONFIGURED = 78
GOODBYE_SECONDS = 12.0

#: Keys and values of a topic as bytes, so that nothing is decoded, and skipped where that fails, behind our back.
RAW = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}


class App(faust.App):
    """Faust's app with our transport, a lease, and settings that leave correctness to us."""

    transport_class: type[Transport] = Transport

    #: Topics whose partitions are fetched in batches: given to `take` where they are read, to `recover` where they
    #: are changelogs.
    batched: Collection[str] = ()
    changelogs: Collection[str] = ()
    #: Whether nobody waits for what this app does with a record so urgently that Kafka may not gather some.
    gathers = False

    def __init__(self, settings: Settings, group: str, *, standbys: int = 0) -> None:
        """`standbys` is how many workers beside its owner follow the changelog of a partition."""
        self.lease = Lease(settings.session_seconds)
        datadir = settings.directory / "faust"
        datadir.parent.mkdir(parents=True, exist_ok=True)  # Faust makes the last folder alone
        super().__init__(
            group,
            broker_credentials=credentials(settings),
            broker=[f"kafka://{server}" for server in settings.kafka.split(",")],
            store="memory://",
            datadir=str(datadir),
            topic_partitions=settings.partitions,
            topic_allow_declare=False,
            topic_disable_leader=True,
            table_standby_replicas=standbys,
            web_enabled=False,
            broker_session_timeout=settings.session_seconds,
            broker_heartbeat_interval=settings.session_seconds / 10,
            broker_request_timeout=max(40.0, settings.session_seconds),
            broker_rebalance_timeout=60.0,
            broker_max_poll_interval=1e7,
            broker_max_poll_records=500,
            consumer_max_fetch_size=1024 * 1024,
            broker_commit_interval=1.0,
            broker_commit_every=10_000_000,
            consumer_auto_offset_reset="earliest",
            # A group whose leader asks a broker that has just started, and knows no topic yet, assigns nothing until
            # the leader asks again.
            consumer_metadata_max_age_ms=5_000,
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


def credentials(settings: Settings) -> faust.SASLCredentials | faust.SSLCredentials | None:
    """How Faust's own clients come in: as all others do."""
    given = for_aiokafka(settings)
    if settings.kafka_protocol == "SSL":
        return faust.SSLCredentials(given["ssl_context"])
    if settings.kafka_protocol == "PLAINTEXT":
        return None
    return faust.SASLCredentials(
        mechanism=given["sasl_mechanism"],
        username=given["sasl_plain_username"],
        password=given["sasl_plain_password"],
        ssl_context=given["ssl_context"],
    )


async def pulled(queue: Any) -> AsyncIterator[Batch]:
    """What the transport puts into an agent's channel, until Faust closes it."""
    while True:
        try:
            batch = await queue.get()
        except StopAsyncIteration:  # Faust's word for the end, which a generator may not pass on
            return
        yield batch


async def until_told(apps: Sequence[App], left: asyncio.Event) -> BaseException | None:
    """Wait for SIGTERM, SIGINT or `left`, or for Faust to give up: then its reason."""
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, left.set)
    crashes = [asyncio.create_task(_crash_of(app)) for app in apps]
    told = asyncio.create_task(left.wait())
    await asyncio.wait({told, *crashes}, return_when=asyncio.FIRST_COMPLETED)
    for task in (told, *crashes):
        task.cancel()
    return next((crash.result() for crash in crashes if crash.done() and not crash.cancelled()), None)


async def _crash_of(app: Service) -> BaseException:
    await app._crashed.wait()
    return app.crash_reason or RuntimeError("Faust stopped without a reason")


async def say_goodbye(*closing: Awaitable[None]) -> None:
    """Close within a bounded time: where Kafka is away, Faust would wait for it."""
    try:
        async with asyncio.timeout(GOODBYE_SECONDS):
            await asyncio.gather(*closing)
    except TimeoutError:
        logger.warning("leaves without having closed everything", seconds=GOODBYE_SECONDS)
    logger.info("worker stopped")


def run(settings: Settings, process: str, serve: Callable[[], Coroutine[Any, Any, int]]) -> NoReturn:
    """Run a worker to its end and leave with its exit code, at once: what is left of Faust may not hold us up."""
    logs.configure(settings, process)
    try:
        require(settings)
    except Exception as fault:
        logger.error("worker does not start", reason=str(fault))
        os._exit(EXIT_MISCONFIGURED)
    if settings.metrics_port:
        metrics.serve(settings.metrics_port, settings.metrics_host)
    with suppress(ImportError):  # faster, but not there on every system
        import uvloop

        uvloop.install()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    os._exit(loop.run_until_complete(serve()))
