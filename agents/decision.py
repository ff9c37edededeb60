"""Deciding one group of commands: from records of the commands topic to state changes and messages to send.

Pure: the same state and records give byte-equal results whoever decides them.
"""

import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import orjson

from agents.state import Head
from domain import RULES
from domain.decider import Refusal, Rejected
from domain.engine import NO_CHAIN, Book, Fact, chain_key, command_key, decide, failed, id_reused, invalid
from domain.record import Outcome, Status
from topics.catalogue import COMMANDS, DEAD_LETTERS, EVENTS, OUTCOMES, Topic, partition_of
from topics.cloudevents import Malformed, Record
from topics.messages import (
    REROUTED,
    CommandMessage,
    DeadLetter,
    moment_of,
    pack,
    read_command,
    salvage,
    unpack,
    write_dead_letter,
    write_event,
    write_outcome,
)

#: A group that has reached this many bytes of records takes no further command.
GROUP_LIMIT = 2 * 1024 * 1024
HOUR = 3600 * 1000
REMEMBERED_FOR = 24 * HOUR
REMEMBERED_DETAIL = 80


@dataclass(frozen=True)
class Place:
    """What a lane knows of its surroundings: names and counts that are the same for every owner."""

    prefix: str
    partition: int
    partitions: int

    def topic(self, topic: Topic) -> str:
        return topic.named(self.prefix)


@dataclass
class Commit:
    """What a group of consecutive commands comes to: one atomic write of state, then messages to send."""

    records: list[Record]
    changes: dict[str, bytes | None]
    sends: list[Record]
    packed: list[bytes]
    head: Head
    tally: Counter[tuple[str, str]]
    remembered: list[tuple[int, str]]
    failures: int


class Draft:
    """Decides commands one after the other on top of `stored`, until the group is full."""

    def __init__(self, place: Place, head: Head, stored: Callable[[str], bytes | None]) -> None:
        self.place = place
        self.book = Book(stored)
        self.before = head
        self.events, self.outcomes = head.events, head.outcomes
        self.applied, self.seen_clock = head.applied, head.clock
        self.records: list[Record] = []
        self.sends: list[Record] = []
        self.packed: list[bytes] = []
        self.tally: Counter[tuple[str, str]] = Counter()
        self.remembered: list[tuple[int, str]] = []
        self.failures = 0
        self.bytes = 0

    @property
    def full(self) -> bool:
        return self.bytes >= GROUP_LIMIT

    def take(self, record: Record) -> None:
        """Decide one record, or skip one that was decided before."""
        self.records.append(record)
        if record.offset <= self.applied:
            return
        self.applied = record.offset
        self.seen_clock = max(self.seen_clock, record.timestamp)
        if record.key is not None and self._wrong_partition(record.key):
            self._reroute(record)
            return
        try:
            command = read_command(record)
            prints = command.fingerprint
        except Malformed as fault:
            self._undecodable(record, str(fault))
            return
        self._answer(record, command, prints)

    def forget(self, key: str) -> None:
        """Delete a remembered command id."""
        self.book.put(key, None)
        self.bytes += len(key)

    @property
    def clock(self) -> int:
        """The lane's clock: the highest broker time seen, advancing one hour a commit at most, so that a single wild
        timestamp cannot forget a day of command ids."""
        return self.seen_clock if not self.before.clock else min(self.seen_clock, self.before.clock + HOUR)

    def commit(self) -> Commit:
        head = replace(
            self.before, applied=self.applied, clock=self.clock, events=self.events, outcomes=self.outcomes, outbox=()
        )
        return Commit(
            self.records,
            self.book.changes,
            self.sends,
            self.packed,
            head,
            self.tally,
            self.remembered,
            self.failures,
        )

    def _wrong_partition(self, key: bytes) -> bool:
        return partition_of(key, self.place.partitions) != self.place.partition

    def _reroute(self, record: Record) -> None:
        """The sender's partitioner is not Kafka's own: pass the command on, with its id, to where its company lives."""
        right = partition_of(record.key or b"", self.place.partitions)
        headers = (*record.headers, (REROUTED, b"%d/%d" % (record.partition, record.offset)))
        self._send(Record(self.place.topic(COMMANDS), right, record.key, record.value, headers))
        self.tally["rerouted", ""] += 1

    def _undecodable(self, record: Record, reason: str) -> None:
        """No command, but if an id can be read its sender gets an answer."""
        self._dead_letter(record, "invalid", reason)
        if command := salvage(record):
            self._answer_with(record, command, command.fingerprint, invalid(reason))

    def _dead_letter(self, record: Record, reason: str, detail: str) -> None:
        letter = DeadLetter(record, reason, detail)
        self._send(write_dead_letter(letter, self.place.topic(DEAD_LETTERS), self.place.partition))
        self.tally["dead-letter", reason] += 1

    def _answer(self, record: Record, command: CommandMessage, prints: str) -> None:
        first = self._first_outcome(record, command, prints)
        if first is not None:
            self._publish_outcome(command, first)
            return
        if command.type not in RULES:
            self._dead_letter(record, "invalid", f"There is no command type {command.type!r}.")
        try:
            facts = decide(command.request(moment_of(record.timestamp)), self.book)
        except Rejected as refusal:
            self._answer_with(record, command, prints, refusal)
        except Exception:
            self.failures += 1
            self._dead_letter(record, "failed", traceback.format_exc())
            self._answer_with(record, command, prints, failed(), Status.FAILED)
        else:
            self._accept(record, command, prints, facts)

    def _first_outcome(self, record: Record, command: CommandMessage, prints: str) -> Outcome | None:
        """The remembered answer to a repeated id; a refusal where the id stands for another command."""
        stored = self.book.get(command_key(command.company_id, command.id))
        if stored is None:
            return None
        remembered = orjson.loads(stored)
        plain = self._outcome(record, command, prints)
        if remembered[0] != prints:
            return plain.model_copy(update=_refused(id_reused()) | {"conflict": True})
        _, _, status, code, detail, version, first, last, position = remembered
        kind = Refusal.known[code].kind if code in Refusal.known else None
        return plain.model_copy(
            update={
                "status": Status(status),
                "code": code,
                "kind": kind,
                "detail": detail,
                "version": version,
                "first": first,
                "last": last,
                "position": position,
                "repeat": True,
            }
        )

    def _accept(self, record: Record, command: CommandMessage, prints: str, facts: list[Fact]) -> None:
        now = moment_of(record.timestamp)
        before = self.events
        chain = self.book.get(chain_key(command.company_id)) or NO_CHAIN
        for fact in facts:
            sent, chain = write_event(
                fact, command, self.place.topic(EVENTS), self.place.partition, self.events, now, chain
            )
            self._send(sent)
            self.events += 1
        if facts:
            self.book.put(chain_key(command.company_id), chain)
        outcome = self._outcome(record, command, prints).model_copy(
            update={
                "version": self._version(command),
                "first": before if facts else None,
                "last": self.events - 1 if facts else None,
            }
        )
        self._remember(record, outcome)
        self._publish_outcome(command, outcome)

    def _version(self, command: CommandMessage) -> int:
        return self.book.aggregate(command.company_id, RULES[command.type].decider, command.aggregate_id).version

    def _answer_with(
        self,
        record: Record,
        command: CommandMessage,
        prints: str,
        refusal: Rejected,
        status: Status = Status.REJECTED,
    ) -> None:
        outcome = self._outcome(record, command, prints).model_copy(update=_refused(refusal) | {"status": status})
        self._remember(record, outcome)
        self._publish_outcome(command, outcome)

    def _outcome(self, record: Record, command: CommandMessage, prints: str) -> Outcome:
        """An acceptance without events; callers change what differs."""
        return Outcome.model_construct(
            command_id=command.id,
            type=command.type,
            company_id=command.company_id,
            aggregate=command.aggregate,
            aggregate_id=command.aggregate_id,
            actor=str(command.actor),
            status=Status.ACCEPTED,
            partition=self.place.partition,
            position=self.events - 1,
            fingerprint=prints,
            offset=record.offset,
            recorded_at=moment_of(record.timestamp),
        )

    def _publish_outcome(self, command: CommandMessage, outcome: Outcome) -> None:
        self._send(
            write_outcome(
                outcome,
                self.place.topic(OUTCOMES),
                self.outcomes,
                command.correlation_id,
                command.traceparent,
            )
        )
        self.outcomes += 1
        self.tally["repeat" if outcome.repeat or outcome.conflict else "decided", outcome.status] += 1

    def _remember(self, record: Record, outcome: Outcome) -> None:
        key = command_key(outcome.company_id, outcome.command_id)
        detail = outcome.detail[:REMEMBERED_DETAIL] if outcome.detail else None
        self.book.put(
            key,
            orjson.dumps(
                [
                    outcome.fingerprint,
                    record.timestamp,
                    outcome.status,
                    outcome.code,
                    detail,
                    outcome.version,
                    outcome.first,
                    outcome.last,
                    outcome.position,
                ]
            ),
        )
        self.remembered.append((record.timestamp, key))

    def _send(self, record: Record) -> None:
        packed = orjson.dumps(pack(record))
        self.sends.append(record)
        self.packed.append(packed)
        self.bytes += len(packed) + len(record.value or b"")


def _refused(refusal: Rejected) -> dict[str, object]:
    return {
        "status": Status.REJECTED,
        "code": refusal.code,
        "kind": refusal.refusal.kind,
        "detail": refusal.detail,
        "errors": refusal.errors,
    }


def remembered_at(value: bytes) -> int:
    """The broker time, in milliseconds, of a command whose id is remembered."""
    at: int = orjson.loads(value)[1]
    return at


def unpacked(packed: bytes) -> Record:
    """A record of an outbox."""
    return unpack(orjson.loads(packed))
