"""A header's name may be any bytes: Kafka does not look at it, and no reader may stop at it."""

import asyncio

import pytest
from aiokafka.consumer import fetcher
from aiokafka.structs import TopicPartition

from ops.records import consumer, read
from tests.topics.unreadable_names import NAME, batch_of, send
from topics import header_names
from topics.catalogue import COMMANDS
from topics.cloudevents import Record, unreadable
from topics.settings import Settings

PLACE = TopicPartition("t", 0)


def records() -> list[Record]:
    return [Record("t", 0, b"k", b"%d" % n, (("ce_id", b"1"), (NAME if n == 2 else "fine", b"x"))) for n in range(4)]


def fetched(*, compressed: bool = False) -> header_names.Fetched:
    """Two batches with one such record each."""
    batches = [batch_of(records(), compressed=compressed, offset=offset) for offset in (0, 4)]
    return header_names.Fetched(b"".join(bytes(batch._build()) for batch in batches))


@pytest.mark.parametrize("compressed", [False, True])
def test_all_are_read_and_such_a_name_is_written_with_its_bytes_in_figures(compressed: bool) -> None:
    read = list(header_names.Records(PLACE, fetched(compressed=compressed), None, 1, None, None, True, 0))
    assert [record.offset for record in read] == [1, 2, 3, 4, 5, 6, 7]
    assert [record.value for record in read] == [b"1", b"2", b"3", b"0", b"1", b"2", b"3"]
    assert dict(read[1].headers) == {"ce_id": b"1", r"\xff~me~\xfe": b"x"}
    assert dict(read[2].headers) == {"ce_id": b"1", "fine": b"x"}


def test_aiokafka_by_itself_still_stops_there() -> None:
    """If this fails, aiokafka reads such records by itself: `topics.header_names` can go."""
    (alone,) = header_names.Records.__bases__
    with pytest.raises(UnicodeDecodeError):
        list(alone(PLACE, fetched(), None, 0, None, None, True, 0))


def test_consumers_of_this_process_read_with_it() -> None:
    assert (fetcher.PartitionRecords, fetcher.MemoryRecords) == (header_names.Records, header_names.Fetched)


@pytest.mark.servers
def test_tools_read_such_records_without_their_headers(settings: Settings) -> None:
    """So many that Python runs hot: see `ops.records`."""
    topic, count = COMMANDS.named(settings.prefix), 300
    poison = Record(topic, 0, b"k", b"v", ((NAME, b"x"), ("ce_id", b"1")))
    asyncio.run(send(settings.kafka, *[poison] * count))
    with consumer(settings) as reader:
        found = list(read(reader, topic, 0, 0, count))
    assert [(record.key, record.value) for record in found] == [(b"k", b"v")] * count
    assert all(unreadable(name) for record in found for name, _ in record.headers)
