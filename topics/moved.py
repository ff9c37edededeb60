"""Records that were moved to another partition of the next generation's topics, by `bitcorp topics repartition`.

A moved record is what it was in a new place: key, time, id and data stay. Its position is the new one; the header
`bitcorp-moved` says from which partition and offset it came. Events also keep, in `ce_formersequence`, the position
that they were first written with, since it is part of what their company's hash chain covers.
"""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping

import orjson

from topics import cloudevents
from topics.audit import progress_text
from topics.cloudevents import Headers, Record
from topics.messages import FORMER_SEQUENCE, MOVED, link

SEQUENCE = "ce_sequence"
#: A partition and an offset in it.
Place = tuple[int, int]


class Positions:
    """Where the events of a journal have gone. Eight bytes of memory an event."""

    def __init__(self) -> None:
        self._old: dict[Place, array[int]] = {}
        self._before: dict[Place, int] = {}
        self._moved: Counter[int] = Counter()

    def take(self, old: int, position: int, new: int) -> None:
        """The event at `position` of the old partition is the next one of the new partition. Old partitions come one
        after the other."""
        way = (old, new)
        if way not in self._old:
            self._old[way] = array("Q")
            self._before[way] = self._moved[new]
        self._old[way].append(position)
        self._moved[new] += 1

    def of(self, old: int, position: int, new: int) -> int:
        """The new position of the last event up to `position` that has gone this way; 0 where none has."""
        way = (old, new)
        return self._before[way] + bisect_right(self._old[way], position) if way in self._old else 0


def came_from(record: Record) -> Place | None:
    """Partition and offset that the record had before it was moved; None where it was not."""
    said = next((value for name, value in record.headers if name == MOVED), None)
    if said is None:
        return None
    partition, _, offset = said.partition(b"/")
    return int(partition), int(offset)


def moved(record: Record, topic: str, partition: int) -> Record:
    """The record as it is, at its new partition."""
    headers = tuple(pair for pair in record.headers if pair[0] != MOVED)
    origin = (MOVED, b"%d/%d" % (record.partition, record.offset))
    return record._replace(topic=topic, partition=partition, headers=(origin, *headers))


def moved_event(record: Record, topic: str, partition: int, position: int) -> Record:
    """An event, which is now at `position` of its partition."""
    found = moved(record, topic, partition)
    first = dict(found.headers).get(FORMER_SEQUENCE) or dict(found.headers)[SEQUENCE]
    headers = tuple(pair for pair in _at(position, found.headers) if pair[0] != FORMER_SEQUENCE)
    return found._replace(headers=(*headers, (FORMER_SEQUENCE, first)))


def moved_outcome(
    record: Record, topic: str, partition: int, sequence: int, old_partitions: int, events: Positions
) -> Record:
    """An outcome, which names the new positions of its events, and its command by a number below 0: no command of the
    new topic."""
    found = moved(record, topic, partition)
    said = orjson.loads(record.value or b"")
    for name in ("first", "last", "position"):
        if said.get(name) is not None:
            said[name] = events.of(record.partition, said[name], partition)
    said |= {"partition": partition, "offset": _below_zero(said["offset"], record.partition, old_partitions)}
    return found._replace(value=cloudevents.written(said), headers=tuple(_at(sequence, found.headers)))


def _below_zero(offset: int, partition: int, partitions: int) -> int:
    """A number of its own for each offset, negative ones too, of each partition."""
    return -1 - ((2 * offset if offset >= 0 else -2 * offset - 1) * partitions + partition)


def moved_audited(
    record: Record, topic: str, partition: int, position: int, read: Mapping[str, int], chain: bytes
) -> tuple[Record, bytes]:
    """A record of the audit, and the new partition's chain value after it, which covers the old one too: what it tells
    stays as it was told. `read` is, by realm, the offset of the outcome that the audit worker reads next."""
    found = moved(record, topic, partition)
    said = dict(cloudevents.read(record).attributes)
    said |= {"sequence": str(position), "read": progress_text(read), "formerchain": said.pop("chain")}
    attributes = {name: said[name] for name in sorted(said) if name != "specversion"}
    linked = link(chain, attributes, record.value or b"")
    headers = cloudevents.write(attributes | {"chain": linked.hex()})
    return found._replace(headers=(found.headers[0], *headers)), linked


def _at(sequence: int, headers: Headers) -> Headers:
    return tuple((name, b"%d" % sequence if name == SEQUENCE else value) for name, value in headers)
