"""Records with a header whose name is not UTF-8, as clients of other languages can send them; Python's cannot."""

import struct

from aiokafka import AIOKafkaProducer
from aiokafka.codec import gzip_encode
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import _DefaultRecordBatchPy as DefaultRecordBatch
from aiokafka.record.util import calc_crc32c

from topics.cloudevents import Record

NAME, BYTES = "~name~", b"\xff~me~\xfe"
CRC_AT, ATTRIBUTES_AT = DefaultRecordBatch.CRC_OFFSET, DefaultRecordBatch.ATTRIBUTES_OFFSET
LENGTH_FROM, RECORDS_AT = DefaultRecordBatch.AFTER_LEN_OFFSET, DefaultRecordBatch.HEADER_STRUCT.size


def batch_of(records: list[Record], *, compressed: bool = False, offset: int = 0) -> BatchBuilder:
    """A batch in which each header that is called `NAME` is called `BYTES`."""
    builder = BatchBuilder(1 << 20, 0)
    for record in records:
        assert builder.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers))
    built = bytearray(builder._build()).replace(NAME.encode(), BYTES)
    if compressed:
        built[RECORDS_AT:] = gzip_encode(bytes(built[RECORDS_AT:]))
        built[ATTRIBUTES_AT + 1] |= DefaultRecordBatch.CODEC_GZIP
    built[:LENGTH_FROM] = struct.pack(">qi", offset, len(built) - LENGTH_FROM)
    built[CRC_AT:ATTRIBUTES_AT] = struct.pack(">I", calc_crc32c(bytes(built[ATTRIBUTES_AT:])))
    builder._buffer = built
    return builder


async def send(kafka: str, *records: Record) -> None:
    """Send them as they are, all to the partition of the first."""
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        await (await producer.send_batch(batch_of(list(records)), records[0].topic, partition=records[0].partition))
