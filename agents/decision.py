"""Deciding one group of commands: from records of the commands topic to state changes and messages to send.

Pure: the same state and records give byte-equal results whoever decides them.
"""

import re
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from agents.proof import Fitting, Proof
from agents.state import Head
from domain import BUSINESS
from domain.decider import Refusal, Rejected
from domain.engine import (
    NO_CHAIN,
    Book,
    Fact,
    Request,
    chain_key,
    command_key,
    decide,
    failed,
    id_reused,
    invalid,
    parse,
    unauthenticated,
    version_conflict,
)
from domain.model import Command
from domain.realm import Realm
from domain.record import Status
from topics.catalogue import COMMANDS, TOPICS_OF, RealmTopics, Topic, own_company, partition_of
from topics.cloudevents import Malformed, Record, size_of, written
from topics.messages import (
    REROUTED,
    CommandMessage,
    DeadLetter,
    digested,
    moment_of,
    outcome_record,
    pack,
    read_command,
    salvage,
    write_dead_letter,
    write_event,
)
from topics.signing import signer_named

#: A group that has reached this many bytes of records takes no further command.
GROUP_LIMIT = 2 * 1024 * 1024
#: Bytes of a message beside what it says: headers and key, in the topic and in the outbox.
ENVELOPE = 1500
HOUR = 3600 * 1000
REMEMBERED_FOR = 24 * HOUR
REMEMBERED_DETAIL = 80
#: Characters that take more than one byte in JSON.
NOT_PLAIN = re.compile(r"[^ !#-\[\]-~]")
#: What is remembered of an outcome beside fingerprint and time, in this order.
REMEMBERED = ("status", "code", "detail", "version", "first", "last", "position")


#: What tests and tools ask for that decide again what lanes have decided.
UNSIGNED = Proof()


@dataclass(frozen=True)
class Place:
    """What a lane knows of its surroundings: names and counts that are the same for every owner."""

    prefix: str
    partition: int
    partitions: int
    realm: Realm = BUSINESS
    proof: Proof = UNSIGNED

    @property
    def topics(self) -> RealmTopics:
        return TOPICS_OF[self.realm.name]

    @property
    def home(self) -> str:
        """The platform's own company in this partition."""
        return own_company(self.partition, self.partitions)

    def topic(self, topic: Topic) -> str:
        return topic.named(self.prefix)


@dataclass(slots=True)
class Case:
    """One command with what its answer needs again and again; `parsed` and `fitting` are what was found ahead."""

    record: Record
    command: CommandMessage
    request: Request
    fingerprint: str
    key: str
    now: datetime
    parsed: Command | None = None
    fitting: Fitting | None = None

    @classmethod
    def of(cls, record: Record, command: CommandMessage) -> "Case":
        """Raises Malformed where the data is not JSON."""
        key, now = command_key(command.company_id, command.id), moment_of(record.timestamp)
        return cls(record, command, command.request(now), command.fingerprint, key, now)


class Unreadable(NamedTuple):
    """Why a record is no command: `invalid` by its sender's fault, `failed` by ours."""

    reason: str
    detail: str


class Answer(NamedTuple):
    """What was decided of one command and is not yet written: its events, from position `first`, and its outcome."""

    case: Case
    facts: Sequence[Fact]
    first: int
    said: dict[str, Any]


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
    """Decides commands one after the other on top of `stored`, until the group is full; then writes their messages."""

    def __init__(self, place: Place, head: Head, stored: Callable[[str], bytes | None]) -> None:
        self.place = place
        self.book = Book(stored, place.realm)
        self.before = head
        self.events = head.events
        self.applied, self.seen_clock = head.applied, head.clock
        self.records: list[Record] = []
        self.answers: list[Answer] = []
        self.letters: list[Record] = []
        self._read: dict[int, Case | Unreadable] = {}
        self.tally: Counter[tuple[str, str]] = Counter()
        self.remembered: list[tuple[int, str]] = []
        self.failures = 0
        self.bytes = 0

    @property
    def full(self) -> bool:
        return self.bytes + self.book.bytes >= GROUP_LIMIT

    def read_ahead(self, records: Iterable[Record]) -> None:
        """Read what will be taken next, all at once: see `commit` for what that saves."""
        self._read = {record.offset: _read(record, self.place.realm) for record in records}
        cases = [found for found in self._read.values() if isinstance(found, Case)]
        for case in cases:
            case.parsed = self._parsed(case)
        for case in cases:
            case.fitting = self._fitting(case)

    def _parsed(self, case: Case) -> Command | None:
        """None where the command is not well formed; its turn says so."""
        try:
            return parse(case.request, self.place.realm)
        except Exception:
            return None

    def _fitting(self, case: Case) -> Fitting | None:
        return self.place.proof.ahead(case.command, self.book, self.place.home) if case.command.signature else None

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
        found = self._read.pop(record.offset, None) or _read(record, self.place.realm)
        if isinstance(found, Case):
            self._answer(found)
        else:
            self.failures += found.reason == "failed"
            self._undecodable(record, found.reason, found.detail)

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
        """What the group comes to. All its messages are written here, one kind after the other: the same few functions
        stay in the processor's caches, which halves their time."""
        outcomes = self.before.outcomes + len(self.answers)
        head = replace(
            self.before, applied=self.applied, clock=self.clock, events=self.events, outcomes=outcomes, outbox=()
        )
        sends = [*self._written_events(), *self._written_outcomes(), *self.letters]
        return Commit(
            self.records,
            self.book.changes,
            sends,
            [pack(record) for record in sends],
            head,
            self.tally,
            self.remembered,
            self.failures,
        )

    def _written_events(self) -> Iterator[Record]:
        """Records of the events, each linked to the one before it in its company."""
        topic, partition = self.place.topic(self.place.topics.events), self.place.partition
        chains: dict[str, bytes] = {}
        for case, facts, first, _ in self.answers:
            company_id = case.command.company_id
            for position, fact in enumerate(facts, first):
                chain = chains.get(company_id) or self.book.get(chain_key(company_id)) or NO_CHAIN
                record, chains[company_id] = write_event(
                    fact, case.command, topic, partition, position, case.now, chain
                )
                yield record
        for company_id, chain in chains.items():
            self.book.put(chain_key(company_id), chain)

    def _written_outcomes(self) -> Iterator[Record]:
        topic, partition = self.place.topic(self.place.topics.outcomes), self.place.partition
        for sequence, (case, _, _, said) in enumerate(self.answers, self.before.outcomes):
            command = case.command
            fields = {
                "command_id": command.id,
                "type": command.type,
                "company_id": command.company_id,
                "aggregate": command.aggregate,
                "aggregate_id": command.aggregate_id,
                "actor": str(command.actor),
                "partition": partition,
                "fingerprint": case.fingerprint,
                "offset": case.record.offset,
                "recorded_at": case.now,
                **said,
                **_whence(command),
            }
            yield outcome_record(fields, topic, sequence, command.correlation_id, command.traceparent)

    def _wrong_partition(self, key: bytes) -> bool:
        return partition_of(key, self.place.partitions) != self.place.partition

    def _reroute(self, record: Record) -> None:
        """The sender's partitioner is not Kafka's own: pass the command on, with its id, to where its company lives."""
        right = partition_of(record.key or b"", self.place.partitions)
        headers = (*record.headers, (REROUTED, b"%d/%d" % (record.partition, record.offset)))
        sent = Record(self.place.topic(self.place.topics.commands), right, record.key, record.value, headers)
        if size_of(sent) > COMMANDS.limit:
            self._dead_letter(record, "too-large", "With its new header the command is too large to be sent on.")
            return
        self._pass_on(sent)
        self.tally["rerouted", ""] += 1

    def _undecodable(self, record: Record, reason: str, detail: str) -> None:
        """No command, but if an id can be read its sender gets an answer."""
        self._dead_letter(record, reason, detail)
        command = salvage(record)
        if command is None:
            return
        case = Case.of(record, command)
        stored = self.book.get(case.key)
        if not self.place.proof.unsigned:
            self._publish_disbelief(case, unauthenticated(detail))  # what cannot be read proves nothing either
        elif stored is not None:
            self._answer_again(case, stored)
        else:
            self._answer_with(case, _refused(invalid(detail)) if reason == "invalid" else _broken())

    def _dead_letter(self, record: Record, reason: str, detail: str) -> None:
        letter = DeadLetter(digested(record) if self.place.realm.secret else record, reason, detail)
        topic = self.place.topic(self.place.topics.dead_letters)
        self._pass_on(write_dead_letter(letter, topic, self.place.partition))
        self.tally["dead-letter", reason] += 1

    def _answer(self, case: "Case") -> None:
        try:
            self.place.proof.check(case.command, case.now, self.book, self.place.home, case.fitting)
        except Rejected as refusal:
            self._disbelieve(case, refusal)
            return
        stored = self.book.get(case.key)
        if stored is not None:
            self._answer_again(case, stored)
            return
        if case.command.type not in self.place.realm.rules:
            self._dead_letter(case.record, "invalid", f"There is no command type {case.command.type!r}.")
        try:
            facts = decide(case.request, self.book, case.parsed)
        except Rejected as refusal:
            stale = {"version": self._version(case.command)} if refusal.refusal == version_conflict else {}
            self._answer_with(case, _refused(refusal) | stale)
        except Exception as fault:
            self.failures += 1
            self._dead_letter(case.record, "failed", stack_of(fault, self.place.realm))
            self._answer_with(case, _broken())
        else:
            self._answer_with(case, self._accepted(case, facts), facts)

    def _disbelieve(self, case: "Case", refusal: Rejected) -> None:
        self._dead_letter(case.record, refusal.code, refusal.detail)
        self._publish_disbelief(case, refusal)

    def _publish_disbelief(self, case: "Case", refusal: Rejected) -> None:
        """Nobody has proved to have sent this, so it takes no id: whoever has the id may still send the command."""
        self._publish(case, _refused(refusal) | {"position": self.events - 1, "conflict": True})

    def _answer_again(self, case: "Case", stored: bytes) -> None:
        """The first answer to a repeated id; a refusal where the id stands for another command."""
        fingerprint, _, *answer = orjson.loads(stored)
        if fingerprint != case.fingerprint:
            self._publish(case, _refused(id_reused()) | {"position": self.events - 1, "conflict": True})
            return
        said = {name: value for name, value in zip(REMEMBERED, answer, strict=True) if value is not None}
        if code := said.get("code"):
            said["kind"] = Refusal.known[code].kind
        self._publish(case, said | {"repeat": True})

    def _accepted(self, case: "Case", facts: list[Fact]) -> dict[str, Any]:
        """What the outcome of a command says whose rule raised nothing; see also `Decider.refusing`."""
        said: dict[str, Any] = {"status": Status.ACCEPTED, "version": self._version(case.command)}
        if facts:
            said |= {"first": self.events, "last": self.events + len(facts) - 1}
        if refusing := self.place.realm.refusing:
            refusals = (refusing[type(fact.event)] for fact in facts if type(fact.event) in refusing)
            said |= next((_refused(refusal()) for refusal in refusals), {})
        return said

    def _version(self, command: CommandMessage) -> int:
        return self.book.aggregate(
            command.company_id, self.place.realm.rules[command.type].decider, command.aggregate_id
        ).version

    def _answer_with(self, case: "Case", said: dict[str, Any], facts: Sequence[Fact] = ()) -> None:
        """Remember the answer, and publish it."""
        said["position"] = self.events + len(facts) - 1
        self.book.put(case.key, remembered(case.fingerprint, case.record.timestamp, said))
        self.remembered.append((case.record.timestamp, case.key))
        self._publish(case, said, facts)

    def _publish(self, case: "Case", said: dict[str, Any], facts: Sequence[Fact] = ()) -> None:
        """An outcome with its events, written once the group is decided."""
        self.answers.append(Answer(case, facts, self.events, said))
        self.events += len(facts)
        self.bytes += ENVELOPE + sum([ENVELOPE + 2 * len(fact.data) for fact in facts])
        if "errors" in said:
            self.bytes += 2 * len(orjson.dumps(said["errors"]))
        again = "repeat" in said or "conflict" in said
        self.tally["repeat" if again else "decided", said["status"]] += 1

    def _pass_on(self, record: Record) -> None:
        """A record as it came, for another topic."""
        self.letters.append(record)
        self.bytes += 2 * size_of(record)


def _read(record: Record, realm: Realm) -> Case | Unreadable:
    try:
        return Case.of(record, read_command(record))
    except Malformed as fault:
        return Unreadable("invalid", str(fault))
    except Exception as fault:
        return Unreadable("failed", stack_of(fault, realm))


def stack_of(fault: Exception, realm: Realm) -> str:
    """Where a fault of ours arose; its text only where that may be repeated, since it may quote what was sent."""
    if not realm.secret:
        return "".join(traceback.format_exception(fault))
    return "".join(traceback.format_tb(fault.__traceback__)) + type(fault).__name__


def _refused(refusal: Rejected) -> dict[str, Any]:
    """What an outcome says of a refusal."""
    return {
        "status": Status.REJECTED,
        "code": refusal.code,
        "kind": refusal.refusal.kind,
        "detail": refusal.detail,
        **({"errors": refusal.errors} if refusal.errors else {}),
    }


def _whence(command: CommandMessage) -> dict[str, Any]:
    """What an outcome says of where its command came from, as far as the command does."""
    signed = {"signed_by": signer_named(command.signature)} if command.signature else {}
    return signed | {"origin": command.origin} if command.origin else signed


def _broken() -> dict[str, Any]:
    """What an outcome says of a command whose deciding raised."""
    return _refused(failed()) | {"status": Status.FAILED}


def remembered(fingerprint: str, timestamp: int, said: Mapping[str, Any]) -> bytes:
    """What is kept of a command's first outcome, at most 200 bytes: its answer, the detail cut short and made plain."""
    detail = said.get("detail")
    brief = said if detail is None else {**said, "detail": NOT_PLAIN.sub("?", detail[:REMEMBERED_DETAIL])}
    return written([fingerprint, timestamp, *map(brief.get, REMEMBERED)])


def remembered_at(value: bytes) -> int:
    """The broker time, in milliseconds, of a command whose id is remembered."""
    at: int = orjson.loads(value)[1]
    return at
