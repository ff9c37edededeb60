"""Messages on their way to Kafka: acknowledged by all replicas, or refused within some seconds."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from domain import BUSINESS
from domain.realm import Realm
from topics.access import FORBIDDEN, for_aiokafka, forbidden
from topics.catalogue import BATCH_LIMIT, TOPICS, TOPICS_OF, partition_of
from topics.cloudevents import Record, size_of
from topics.messages import CommandMessage, write_command
from topics.settings import Settings
from topics.signing import signer_of

SEND_SECONDS = 5.0
REQUEST_SECONDS = 10.0
PROBE_SECONDS = 1.0
SILENCE_SECONDS = 3.0
ANY_PARTITION = -1

log = structlog.get_logger(__name__)


class Unavailable(ConnectionError):
    """Kafka did not take the message in time; the text says what to do.

    What still waited in this process will not be sent later. A request that was already on its way may yet be
    appended: that is harmless, because a command is known by its id. Whoever sends it again with the same id gets
    the one outcome it has.
    """


def address_of(settings: Settings) -> str:
    """Kafka's bootstrap servers. Raises Unavailable where none are named."""
    if not settings.kafka:
        raise Unavailable("No Kafka is named. Start the embedded one (bitcorp up), or set BITCORP_KAFKA.")
    return settings.kafka


class TooLarge(ValueError):
    """The message is larger than its topic takes."""


class Publisher:
    """One idempotent producer that is replaced when it fails.

    Kafka is looked for until `stop`, so a process can start before its broker and outlive a broker's restart.
    """

    def __init__(self, settings: Settings) -> None:
        """Nothing is opened yet."""
        self._settings = settings
        self._address = address_of(settings)
        self._client = for_aiokafka(settings)
        self._client_id = f"{settings.prefix}-publisher"
        self._commands = {name: topics.commands.named(settings.prefix) for name, topics in TOPICS_OF.items()}
        self._limits = {topic.named(settings.prefix): topic.limit for topic in TOPICS}
        self._sign = signer_of(settings)
        self._producer: AIOKafkaProducer | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._endings: set[asyncio.Task[None]] = set()
        self._connected = asyncio.Event()
        self._lost = asyncio.Event()
        self._heard = time.monotonic()

    async def start(self) -> None:
        """Return when Kafka answers, or after some seconds without it; `ready` says which."""
        if self._keeper is None:
            self._heard = time.monotonic()
            self._keeper = asyncio.create_task(self._keep_connected())
        with suppress(TimeoutError):
            async with asyncio.timeout(SEND_SECONDS):
                await self._connected.wait()

    async def stop(self) -> None:
        """Wait some seconds for what is being sent, then close."""
        if self._keeper is not None:
            await _cancel(self._keeper)
            self._keeper = None
        if self._producer is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(SEND_SECONDS):
                    await self._producer.flush()
            self._drop(self._producer)
        await asyncio.gather(*self._endings)

    def ready(self) -> bool:
        """Whether Kafka answered within the last seconds."""
        return self._producer is not None and time.monotonic() - self._heard < SILENCE_SECONDS

    async def send(self, *commands: CommandMessage, realm: Realm = BUSINESS) -> None:
        """Sign the commands, and return when Kafka has acknowledged them, in their order.

        Raises Unavailable and TooLarge."""
        written = [write_command(self._sign(command)) for command in commands]
        await self.send_records(Record(self._commands[realm.name], ANY_PARTITION, *command) for command in written)

    async def send_records(self, given: Iterable[Record]) -> None:
        """The same for any records; a negative partition means the one of the key."""
        records = list(given)
        for record in records:
            self._check_size(record)
        if self._keeper is None or time.monotonic() - self._heard > SEND_SECONDS:
            raise Unavailable(self._advice("does not answer"))
        producer = None
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._connected.wait()
                producer = self._producer
                await _deliver(producer, records)
        except (TimeoutError, KafkaError) as fault:
            reason = self._reason(producer, records[0].topic, fault)
            if producer is not None and producer is self._producer:
                log.warning("kafka connection given up", reason=reason)
                self._drop(producer)
            raise Unavailable(reason) from fault
        self._heard = time.monotonic()

    def _check_size(self, record: Record) -> None:
        limit = self._limits.get(record.topic, BATCH_LIMIT)
        if (size := size_of(record)) > limit:
            raise TooLarge(f"The message has {size} bytes; {record.topic} takes {limit}.")

    def _reason(self, producer: AIOKafkaProducer | None, topic: str, fault: Exception) -> str:
        if producer is None:
            return self._advice("does not answer")
        if isinstance(fault, FORBIDDEN):
            return forbidden(self._settings, f"{type(fault).__name__} for {topic}")
        if not isinstance(fault, TimeoutError):
            return self._advice(f"did not take a message ({fault!r})")
        if self.ready() and producer.client.cluster.partitions_for_topic(topic) is None:
            return f"Kafka at {self._address} has no topic {topic}. Create it: bitcorp topics apply"
        return self._advice(f"did not acknowledge a message within {SEND_SECONDS:.0f} s")

    def _advice(self, what: str) -> str:
        return f"Kafka at {self._address} {what}. See whether the broker runs; the same message may be sent again."

    # The producer's life

    async def _keep_connected(self) -> None:
        while True:
            self._lost.clear()
            try:
                async with asyncio.timeout(REQUEST_SECONDS):
                    await self._probe()
            except TimeoutError:
                pass
            except Exception:  # whatever it is, the process must not stay without Kafka for it
                log.exception("kafka cannot be looked for", address=self._address)
            with suppress(TimeoutError):
                async with asyncio.timeout(PROBE_SECONDS):
                    await self._lost.wait()

    async def _probe(self) -> None:
        if self._producer is None:
            await self._connect()
        elif await self._producer.client.force_metadata_update():
            self._heard = time.monotonic()

    async def _connect(self) -> None:
        producer = AIOKafkaProducer(
            **self._client,
            client_id=self._client_id,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            request_timeout_ms=int(REQUEST_SECONDS * 1000),
            max_request_size=BATCH_LIMIT,
        )
        try:
            await producer.start()
            await self._ask_for_ours_alone(producer)
        except KafkaError:
            await producer.stop()
        except BaseException:
            await producer.stop()
            raise
        else:
            log.info("kafka connected", address=self._address)
            self._producer, self._heard = producer, time.monotonic()
            self._connected.set()

    async def _ask_for_ours_alone(self, producer: AIOKafkaProducer) -> None:
        """What is asked each second shall not tell of all topics of the cluster, which takes long to read. Those that
        are missing are not asked for: a broker may make what it is asked for."""
        await producer.client.force_metadata_update()
        there = producer.client.cluster.topics().intersection(self._commands.values())
        if there:
            await producer.client.set_topics(there)

    def _drop(self, producer: AIOKafkaProducer) -> None:
        """Let the next message have a new producer."""
        self._producer = None
        self._connected.clear()
        self._lost.set()
        ending = asyncio.create_task(_end(producer))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)


async def publish(settings: Settings, commands: Sequence[CommandMessage], realm: Realm = BUSINESS) -> None:
    """Send some commands and be done. Raises Unavailable."""
    publisher = Publisher(settings)
    await publisher.start()
    try:
        await publisher.send(*commands, realm=realm)
    finally:
        await publisher.stop()


async def _deliver(producer: AIOKafkaProducer | None, records: Sequence[Record]) -> None:
    """One after the other into the producer, which keeps the order of each partition; then wait for all."""
    if producer is None:
        raise KafkaConnectionError("the connection was lost")
    acknowledgements = []
    for topic, partition, key, value, headers, *_ in records:
        if partition < 0:
            partition = partition_of(key or b"", len(await producer.partitions_for(topic)))
        acknowledgements.append(await producer.send(topic, value, key, partition, headers=list(headers)))
    await asyncio.gather(*acknowledgements)


async def _end(producer: AIOKafkaProducer) -> None:
    """End a producer now, with all that waits in it.

    Its own `stop` flushes first, and an idempotent aiokafka producer retries for ever: a message that its sender was
    told had failed would appear minutes later. So its sending task is cancelled and its batches are failed before.
    """
    if producer._sender.sender_task is not None:
        await _cancel(producer._sender.sender_task)
    accumulator = producer._message_accumulator
    unsent = set(chain.from_iterable(accumulator._batches.values())) | accumulator._pending_batches
    accumulator._pending_batches = unsent  # where each batch wants to be found when it has failed
    for batch in list(unsent):
        batch.failure(KafkaConnectionError("the connection was given up"))
        batch._drain_waiter.exception()  # seen: asyncio complains about exceptions that nobody saw
    await producer.stop()


async def _cancel(task: asyncio.Task[None]) -> None:
    """A task that waits for others when it is cancelled, as aiokafka's sender does, has to be told more than once."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.05)
