"""Upstreams and consumers that know nothing of our code: librdkafka with its defaults, the `cloudevents` package."""

from collections.abc import Iterator
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka import Consumer, Message, Producer

from tests.topics.reading import records_of
from tests.topics.samples import DATA, DEFINED, NOW, command, event_record, new_command, outcome, outcome_record
from topics.catalogue import COMMANDS, EVENTS, OUTCOMES, partition_of
from topics.cloudevents import Record
from topics.messages import OUTCOME_TYPE, CommandMessage, read_command, write_command
from topics.publisher import Publisher
from topics.settings import Settings

COMPANIES = [f"company-{number}" for number in range(20)]
SECONDS = 60.0


@pytest.fixture
def upstream(settings: Settings) -> Producer:
    """librdkafka as anybody gets it: its partitioner hashes with CRC32, not as Kafka's Java client does."""
    return Producer({"bootstrap.servers": settings.kafka})


@pytest.fixture
def consumer(settings: Settings) -> Iterator[Consumer]:
    found = Consumer(
        {
            "bootstrap.servers": settings.kafka,
            "group.id": f"{settings.prefix}-analytics",
            "auto.offset.reset": "earliest",
        }
    )
    yield found
    found.close()


def send(upstream: Producer, settings: Settings, sent: CommandMessage) -> None:
    key, value, headers = write_command(sent)
    upstream.produce(COMMANDS.named(settings.prefix), value, key, headers=list(headers))


def next_event(consumer: Consumer) -> CloudEvent:
    """The next message as the `cloudevents` package reads it."""
    message = consumer.poll(SECONDS)
    assert message is not None and message.error() is None
    found = from_kafka(kafka_message(message), JSONFormat())
    assert isinstance(found, CloudEvent)
    return found


def kafka_message(message: Message) -> KafkaMessage:
    headers: Any = dict(message.headers() or [])
    return KafkaMessage(headers, message.key(), message.value() or b"")


@pytest.mark.parametrize("partitions", [6])
async def test_commands_of_librdkafka_are_read_wherever_its_partitioner_puts_them(
    settings: Settings, upstream: Producer
) -> None:
    sent = [new_command(company_id=company) for company in COMPANIES]
    for one in sent:
        send(upstream, settings, one)
    assert upstream.flush(SECONDS) == 0
    records = await records_of(settings, COMMANDS.named(settings.prefix))
    assert sorted(map(repr, map(read_command, records))) == sorted(map(repr, sent))
    astray = [record for record in records if record.partition != partition_of(record.key or b"", 6)]
    assert astray, "CRC32 and murmur2 agree: nothing is left to re-route"


@pytest.mark.parametrize("write", [to_binary, to_structured])
async def test_a_command_made_by_cloudevents_and_sent_by_librdkafka_is_read(
    settings: Settings, upstream: Producer, write: Any
) -> None:
    attributes = {
        "id": str(command().id),
        "type": command().type,
        "source": "/upstream/planning",
        "subject": "category/excavators",
        "datacontenttype": "application/json",
        "actor": "user:ada",
        "partitionkey": "acme",
    }
    message = write(CloudEvent(attributes, dict(DATA)), JSONFormat())
    upstream.produce(COMMANDS.named(settings.prefix), message.value, message.key, headers=message.headers)
    assert upstream.flush(SECONDS) == 0
    (record,) = await records_of(settings, COMMANDS.named(settings.prefix))
    found = read_command(record)
    assert (found.id, found.company_id, found.fingerprint) == (command().id, "acme", command().fingerprint)


async def test_events_and_outcomes_are_read_by_librdkafka_and_cloudevents(
    settings: Settings, consumer: Consumer
) -> None:
    events, outcomes = EVENTS.named(settings.prefix), OUTCOMES.named(settings.prefix)
    publisher = Publisher(settings)
    await publisher.start()
    for topic, record in ((events, event_record()[0]), (outcomes, outcome_record(outcome()))):
        await publisher.send_records([Record(topic, record.partition, record.key, record.value, record.headers)])
    await publisher.stop()

    consumer.subscribe([events])
    event = next_event(consumer)
    assert (event.get_type(), event.get_time(), event.get_extension("sequence")) == (DEFINED, NOW, "5")
    consumer.subscribe([outcomes])
    answer = next_event(consumer)
    assert (answer.get_type(), answer.get_extension("causationid")) == (OUTCOME_TYPE, str(command().id))
