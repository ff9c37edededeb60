r"""Records with a header whose name is not UTF-8 are read too, such bytes of the name written as `\xff`.

Kafka takes any bytes for a name. aiokafka raises UnicodeDecodeError in the middle of what was fetched and then fetches
the same again: one such record, which whoever may write to a topic can send, would stop its partition for ever.
Importing this module mends aiokafka in this process; `tests/topics/test_header_names.py` says when it is no longer
needed.
"""

from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy


class Lenient(bytearray):
    """Bytes that decode whatever they hold; so do their parts."""

    def __getitem__(self, part: Any) -> Any:
        found = super().__getitem__(part)
        return Lenient(found) if isinstance(part, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)


class LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]  # final for type checkers alone
    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        if not isinstance(self._buffer, Lenient):
            self._buffer = Lenient(self._buffer)


class Fetched(MemoryRecords):  # type: ignore[misc]  # a compiled class
    """What was fetched of a partition, kept to be read again."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


class Again(_MemoryRecordsPy):  # type: ignore[misc]
    """The same, read slowly and leniently."""

    def next_batch(self, *_: Any) -> Any:
        batch = LenientBatch(self._next_slice)
        self._cache_next()
        return batch


class Records(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types here
    """aiokafka's records of a partition; where it cannot read one, it goes on from there leniently."""

    _records: Any

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except UnicodeDecodeError:
            self._records = Again(self._records.data)
            self._records_iterator = self._unpack_records()
            return super().__next__()


fetcher.MemoryRecords = Fetched
fetcher.PartitionRecords = Records
