"""What a lane asks of Kafka, and nothing more: the real one is `agents.kafka`, the simulated one in the tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agents.state import PartitionState, StateRecord
from topics.cloudevents import Record


class LaneStopped(Exception):
    """The lane may not go on in this process; the group gives its partition to another."""


class Lost(LaneStopped):
    """The partition is no longer this worker's; its new owner goes on."""


class Void(Exception):
    """A batch of state landed elsewhere than expected: somebody else wrote, and nothing of it may be published."""


class RefusesToServe(Exception):
    """The partition is not fit to be served; the text says why, and how to mend it."""


@dataclass(frozen=True)
class Surroundings:
    """What the other topics say of a partition at a take-over."""

    commands_topic_id: str
    commands_start: int
    commands_end: int
    group_offset: int | None
    events_end: int


class Log(Protocol):
    """One worker's way to Kafka. Every method may raise for an infrastructure failure, which ends the process."""

    async def append(self, partition: int, records: Sequence[StateRecord], expect: int) -> int | None:
        """Append all records as ONE batch to the state changelog; the offset where it starts, None if unknown."""

    async def read(self, state: PartitionState) -> None:
        """Read the changelog's partition from `state.end` to its end."""

    async def end(self, partition: int) -> int:
        """The changelog partition's end offset."""

    async def publish(self, records: Sequence[Record]) -> None:
        """Append the records to their topics, in order per partition, and wait for all acknowledgements."""

    async def surroundings(self, partition: int) -> Surroundings:
        """What a take-over compares the head with."""

    async def journal(self, partition: int, last: int) -> list[Record]:
        """Records of the events topic of the partition up to position `last`, each position once."""

    def check_owned(self, partition: int) -> None:
        """Raises Lost where generation or lease say that the partition is no longer ours."""
