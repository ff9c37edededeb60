"""What a topic holds, read with a plain consumer."""

from aiokafka import AIOKafkaConsumer, TopicPartition

from topics.cloudevents import Record
from topics.settings import Settings


async def records_of(settings: Settings, topic: str) -> list[Record]:
    """Every record of the topic, partition by partition, up to the ends that it has now."""
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka, max_partition_fetch_bytes=9_000_000) as consumer:
        places = [TopicPartition(topic, number) for number in range(settings.partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        found: list[Record] = []
        while any([await consumer.position(place) < ends[place] for place in places]):
            for messages in (await consumer.getmany(timeout_ms=200)).values():
                found.extend(
                    Record(m.topic, m.partition, m.key, m.value, tuple(m.headers), m.offset, m.timestamp)
                    for m in messages
                )
        return sorted(found, key=lambda record: (record.partition, record.offset))
