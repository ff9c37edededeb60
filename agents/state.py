"""The state of one partition as its changelog tells it: per key the last VALID record wins.

A record is valid iff its offset equals `expect` + `index`, two headers that its writer gave it: the offset at which the
writer expected its batch to start, and the record's place in that batch. Kafka has no conditional append; reading this
way gives one, so the changelog is one chain whoever else writes to it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

import ormsgpack

from topics.catalogue import BATCH_LIMIT

EXPECT, INDEX = "expect", "index"
DIGEST_BITS = 64


class StateRecord(NamedTuple):
    """One record of the changelog; a value of None is a deletion."""

    key: str
    value: bytes | None


def head_key(partition: int) -> str:
    return f"~head/{partition}"


def is_head(key: str) -> bool:
    return key.startswith("~head/")


def valid(offset: int, headers: Iterable[tuple[str, bytes]]) -> bool:
    found = dict(headers)
    try:
        return offset == int(found[EXPECT]) + int(found[INDEX])
    except (KeyError, ValueError):
        return False


def placed(expect: int, index: int) -> list[tuple[str, bytes]]:
    """Headers that make the record valid at `expect` + `index` and nowhere else."""
    return [(EXPECT, b"%d" % expect), (INDEX, b"%d" % index)]


class PartitionState:
    """Records by key, the end of what was read or written, and the keys whose last record in the log is void."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.clear()

    def clear(self) -> None:
        """Know nothing, as before the first record was read."""
        self.records: dict[str, bytes] = {}
        self.voided: set[str] = set()
        self.end = 0
        self.digest = 0
        self.bytes = 0

    def read(self, offset: int, key: str, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> None:
        """Take a record of the log; one that was taken before is ignored."""
        if offset < self.end:
            return
        self.end = offset + 1
        if valid(offset, headers):
            self.voided.discard(key)
            if not is_head(key):
                self.digest = self.digest_with({key: value})
            self._put(key, value)
        else:
            self.voided.add(key)

    def wrote(self, records: Sequence[StateRecord], base: int, digest: int) -> None:
        """Take a batch of our own that landed where we expected it; `digest` is what it makes of all records."""
        for key, value in records:
            self._put(key, value)
        if self.voided:
            self.voided.difference_update(key for key, _ in records)
        self.end, self.digest = base + len(records), digest

    def digest_with(self, changes: Mapping[str, bytes | None]) -> int:
        """The order-free hash over every live key as it will be after the changes; heads do not count."""
        digest = self.digest
        for key, value in changes.items():
            digest += _fingerprint(key, value) - _fingerprint(key, self.records.get(key))
        return digest % (1 << DIGEST_BITS)

    def healing(self) -> list[str]:
        """Keys to append once more, so that compaction can never keep a void record instead of a valid one."""
        return sorted(key for key in self.voided if not is_head(key))

    def _put(self, key: str, value: bytes | None) -> None:
        before = self.records.pop(key, None) if value is None else self.records.get(key)
        if value is not None:
            self.records[key] = value
        self.bytes += len(value or b"") - len(before or b"")


def _fingerprint(key: str, value: bytes | None) -> int:
    if value is None:
        return 0
    return int.from_bytes(blake2b(value, key=key.encode()[:64], digest_size=DIGEST_BITS // 8).digest(), "big")


def in_batches(changes: Mapping[str, bytes | None]) -> Iterator[list[StateRecord]]:
    """The changes in parts that one Kafka batch takes beside a head; one empty part where there are none."""
    part: list[StateRecord] = []
    size = 0
    for key, value in changes.items():
        if size > BATCH_LIMIT // 4:
            yield part
            part, size = [], 0
        part.append(StateRecord(key, value))
        size += len(key) + len(value or b"") + 100
    yield part


@dataclass(frozen=True)
class Head:
    """How far the lane of a partition has come, with everything its last commits send.

    `applied` is the offset of the last command decided; `events` and `outcomes` are the next positions of those
    topics; `outbox` holds packed records (see `topics.messages.pack`); `clock` is in milliseconds.
    """

    commands_topic_id: str
    applied: int = -1
    clock: int = 0
    events: int = 1
    outcomes: int = 1
    digest: int = 0
    outbox: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """MessagePack: the fields by name, and the outbox as packed records."""
        return ormsgpack.packb(
            {
                "commands_topic_id": self.commands_topic_id,
                "applied": self.applied,
                "clock": self.clock,
                "events": self.events,
                "outcomes": self.outcomes,
                "digest": self.digest,
                "outbox": self.outbox,
            }
        )

    @classmethod
    def decode(cls, record: bytes) -> "Head":
        fields: dict[str, Any] = ormsgpack.unpackb(record)
        return cls(**fields | {"outbox": tuple(fields["outbox"])})
