"""Our messages and their records: commands, events, outcomes and dead letters."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import ormsgpack
from pydantic import TypeAdapter, ValidationError
from uuid_utils import NAMESPACE_URL, uuid5

from domain import REALMS
from domain.decider import TYPE_PREFIX, Actor, wire_type
from domain.engine import Fact, Request
from domain.model import CompanyId
from domain.platform import OWN_COMPANY
from domain.record import Outcome, Recorded
from topics import cloudevents
from topics.cloudevents import CloudEvent, Headers, Malformed, Record
from topics.generation import mark_of
from topics.upcasters import upcast

OUTCOME_TYPE = f"{TYPE_PREFIX}.command.decided.v1"
REROUTED = "bitcorp-rerouted"
#: Where a record came from that was moved, and the position that an event had at first: see `topics.moved`.
MOVED = "bitcorp-moved"
FORMER_SEQUENCE = "ce_formersequence"
LONGEST_ATTRIBUTE = 200
NOT_PLAIN = f"must be at most {LONGEST_ATTRIBUTE} printable ASCII characters"
#: How a value begins that stands for a secret one.
DIGEST = b"sha256:"
UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SUBJECT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: Attributes of a command that go on into outcomes, events and logs.
REQUIRED = ("id", "source", "type", "subject", "actor")
OPTIONAL = ("correlationid", "causationid", "traceparent", "origin")
COMPANY_ID: TypeAdapter[str] = TypeAdapter(CompanyId)
#: Event classes of all realms: a wire type names its aggregate, and an aggregate is of one realm.
EVENT_TYPES = {wire: event for realm in REALMS.values() for wire, event in realm.events.items()}


class CommandMessage(NamedTuple):
    """A command as it travels. `data` is its JSON; `fingerprint` tells a repeat from another payload."""

    id: str
    type: str
    company_id: str
    aggregate: str
    aggregate_id: str
    actor: Actor
    data: bytes
    source: str = "/unknown"
    expected_version: int | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None
    signature: str | None = None
    origin: str | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 (24 hex digits) over type, subject, actor and canonical data as sent."""
        said = f"{self.type}\n{self.aggregate}/{self.aggregate_id}\n{self.actor}\n".encode()
        return hashlib.sha256(said + cloudevents.canonical(cloudevents.parse_json(self.data))).hexdigest()[:24]

    def request(self, now: datetime) -> Request:
        return Request(
            self.id,
            self.type,
            self.company_id,
            self.aggregate_id,
            self.actor,
            self.data,
            now,
            self.expected_version,
            self.aggregate,
        )


def write_command(command: CommandMessage) -> tuple[bytes, bytes, Headers]:
    """Key, value and headers of the command's record."""
    headers = cloudevents.write(
        {
            "id": command.id,
            "source": command.source,
            "type": command.type,
            "subject": f"{command.aggregate}/{command.aggregate_id}",
            "time": rfc3339(datetime.now(UTC)),
            "actor": str(command.actor),
            "expectedversion": None if command.expected_version is None else str(command.expected_version),
            "correlationid": command.correlation_id,
            "causationid": command.causation_id,
            "traceparent": command.traceparent,
            "origin": command.origin,
            "signature": command.signature,
        }
    )
    return command.company_id.encode(), command.data, headers


def read_command(record: Record) -> CommandMessage:
    """Raises Malformed where the record is no command at all; its data is not judged here."""
    attributes, data = cloudevents.read(record)
    given = attributes.get
    id_, source, type_, subject, actor = [_required(name, given(name)) for name in REQUIRED]
    correlation_id, causation_id, traceparent, origin = [_optional(name, given(name)) for name in OPTIONAL]
    aggregate, _, aggregate_id = subject.partition("/")
    if not SUBJECT_ID.fullmatch(aggregate_id):
        raise Malformed("ce_subject must be <aggregate>/<id>")
    return CommandMessage(
        id=_uuid(id_),
        type=type_,
        company_id=read_key(record.key),
        aggregate=aggregate,
        aggregate_id=aggregate_id,
        actor=_actor(actor),
        data=data,
        source=source,
        expected_version=_version(given("expectedversion")),
        correlation_id=correlation_id,
        causation_id=causation_id,
        traceparent=traceparent,
        signature=given("signature"),
        origin=origin,
    )


def _required(name: str, text: str | None) -> str:
    if text and _is_plain(text):
        return text
    raise Malformed(f"header ce_{name} {NOT_PLAIN if text else 'is missing'}")


def _optional(name: str, text: str | None) -> str | None:
    if text is None or _is_plain(text):
        return text
    raise Malformed(f"header ce_{name} {NOT_PLAIN}")


def _is_plain(text: str) -> bool:
    return 0 < len(text) <= LONGEST_ATTRIBUTE and text.isascii() and text.isprintable()


def salvage(record: Record) -> CommandMessage | None:
    """What can be said of a malformed command so that its sender gets an answer; None without id or company, and where
    a header's name is no text: not every client can read the others then.

    Its data is a digest of what came, so that the same bytes have the same fingerprint.
    """
    if any(cloudevents.unreadable(name) for name, _ in record.headers):
        return None
    try:
        company_id = read_key(record.key)
        found = _readable(record)
        command_id = _uuid(found.get("id", ""))
    except Malformed:
        return None
    aggregate, _, aggregate_id = found.get("subject", "").partition("/")
    digest = hashlib.sha256(record.value or b"").hexdigest()
    return CommandMessage(
        id=command_id,
        type=found.get("type", ""),
        company_id=company_id,
        aggregate=aggregate,
        aggregate_id=aggregate_id,
        actor=_actor_or_unknown(found.get("actor", "")),
        data=f'"{digest}"'.encode(),
        correlation_id=found.get("correlationid"),
    )


def _readable(record: Record) -> dict[str, str]:
    """The first plain value of each attribute, whatever else is wrong with the message."""
    try:
        pairs = list(cloudevents.read(record).attributes.items())
    except Malformed:
        pairs = [
            (name[3:].lower(), (value or b"").decode("utf-8", "replace"))
            for name, value in record.headers
            if name.lower().startswith(cloudevents.PREFIX)
        ]
    return {name: value for name, value in reversed(pairs) if _is_plain(value)}


def _actor_or_unknown(text: str) -> Actor:
    try:
        return Actor.parse(text)
    except ValueError:
        return Actor("unknown", "unknown")


@lru_cache(maxsize=10_000)
def read_key(key: bytes | None) -> str:
    """The company id that a record's key holds. Raises Malformed."""
    try:
        text = (key or b"").decode()
        return text if OWN_COMPANY.fullmatch(text) else COMPANY_ID.validate_python(text)
    except (ValidationError, UnicodeDecodeError) as fault:
        raise Malformed("the key is not a company id") from fault


def _uuid(text: str) -> str:
    """The UUID in its canonical spelling."""
    if UUID_TEXT.fullmatch(text):
        return text
    try:
        return str(UUID(text))
    except ValueError as fault:
        raise Malformed("ce_id must be a UUID") from fault


@lru_cache(maxsize=10_000)
def _actor(text: str) -> Actor:
    try:
        return Actor.parse(text)
    except ValueError as fault:
        raise Malformed(f"ce_actor: {fault}") from fault


def _version(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Malformed("ce_expectedversion must be a whole number")
    return int(text)


@lru_cache(maxsize=1_000)
def rfc3339(moment: datetime) -> str:
    """The moment in UTC, with `Z`."""
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return in_utc.isoformat().removesuffix("+00:00") + "Z"


def moment_of(timestamp: int) -> datetime:
    """A record's timestamp (milliseconds) as UTC time."""
    return datetime.fromtimestamp(timestamp / 1000, UTC)


def derived_id(name: str) -> str:
    """The uuid5 of a name of ours, as text."""
    return str(uuid5(NAMESPACE_URL, name))


def event_id(company_id: str, topic: str, partition: int, position: int) -> str:
    return derived_id(f"bitcorp:event:{company_id}:{partition}:{position}{mark_of(topic)}")


def write_event(
    fact: Fact, command: CommandMessage, topic: str, partition: int, position: int, now: datetime, chain: bytes
) -> tuple[Record, bytes]:
    """The record of an event, and the company's chain value after it."""
    company_id = command.company_id
    attributes = {
        "actor": str(command.actor),
        "aggregateversion": str(fact.version),
        "causationid": command.id,
        "correlationid": command.correlation_id or command.id,
        "id": event_id(company_id, topic, partition, position),
        "sequence": str(position),
        "source": f"/companies/{company_id}",
        "subject": f"{fact.decider.name}/{fact.aggregate_id}",
        "time": rfc3339(now),
    }
    if command.traceparent:
        attributes["traceparent"] = command.traceparent
    attributes["type"] = wire_type(fact.decider, type(fact.event))
    linked = link(chain, attributes, fact.data)
    attributes["chain"] = linked.hex()
    return Record(topic, partition, company_id.encode(), fact.data, cloudevents.write(attributes)), linked


def link(previous: bytes, attributes: Mapping[str, str], value: bytes) -> bytes:
    """SHA-256 over the company's previous chain value (32 zero bytes at first), the event's attributes in order of
    their names as `name:value` lines without `chain` and `specversion`, and its data."""
    lines = "".join([f"{name}:{text}\n" for name, text in attributes.items()])
    return hashlib.sha256(previous + lines.encode() + value).digest()


def read_event(record: Record) -> Recorded:
    """Raises UnknownEvent where this build does not know type or version, Malformed where the record is no event of
    ours: the reader must stop, not skip."""
    found = cloudevents.read(record)
    try:
        return _recorded(record, found)
    except (KeyError, ValueError) as fault:
        raise fault if isinstance(fault, Malformed) else Malformed(f"no event of ours: {fault!r}") from fault


def _recorded(record: Record, found: CloudEvent) -> Recorded:
    need = found.attributes
    type_, data = upcast(need["type"], found.data)
    event = EVENT_TYPES.get(type_)
    if event is None:
        raise UnknownEvent(f"this build does not know {need['type']}")
    aggregate, _, aggregate_id = need["subject"].partition("/")
    return Recorded(
        event=event.model_validate_json(data, extra="ignore"),
        id=_uuid(need["id"]),
        company_id=(record.key or b"").decode(),
        aggregate=aggregate,
        aggregate_id=aggregate_id,
        version=int(need["aggregateversion"]),
        partition=record.partition,
        position=int(need["sequence"]),
        recorded_at=datetime.fromisoformat(need["time"]),
        actor=need["actor"],
        command_id=_uuid(need["causationid"]),
        correlation_id=need["correlationid"],
        chain=need.get("chain", ""),
    )


class UnknownEvent(Malformed):
    """An event of a newer build; upgrade order is views, lanes, API."""


def chain_of(record: Record, previous: bytes) -> bytes:
    """The chain value that an event's record should carry, recomputed from what it holds: one that was moved, with the
    position that it had at first."""
    found = cloudevents.read(record)
    said = dict(found.attributes)
    said |= {"sequence": said.pop("formersequence", said.get("sequence", ""))}
    linked = {name: text for name, text in sorted(said.items()) if name not in ("chain", "specversion")}
    return link(previous, linked, found.data)


def write_outcome(outcome: Outcome, topic: str, sequence: int, correlation_id: str | None, trace: str | None) -> Record:
    """`sequence` is the outcome's own gap-free position in its partition of the outcomes topic."""
    return outcome_record(outcome.model_dump(exclude_defaults=True), topic, sequence, correlation_id, trace)


def outcome_record(
    fields: Mapping[str, Any], topic: str, sequence: int, correlation_id: str | None, trace: str | None
) -> Record:
    """The record of an outcome given as its fields, those at their defaults left out (the lanes' hot path)."""
    company_id, partition, command_id = fields["company_id"], fields["partition"], fields["command_id"]
    headers = cloudevents.write(
        {
            "id": derived_id(f"bitcorp:outcome:{partition}:{sequence}{mark_of(topic)}"),
            "source": f"/companies/{company_id}",
            "type": OUTCOME_TYPE,
            "subject": f"{fields['aggregate']}/{fields['aggregate_id']}",
            "time": rfc3339(fields["recorded_at"]),
            "sequence": str(sequence),
            "actor": fields["actor"],
            "causationid": command_id,
            "correlationid": correlation_id or command_id,
            "traceparent": trace,
        }
    )
    return Record(topic, partition, company_id.encode(), cloudevents.written(fields), headers)


def read_outcome(record: Record) -> tuple[Outcome, int]:
    """The outcome and its position in its partition of the outcomes topic. Raises Malformed."""
    found = cloudevents.read(record)
    try:
        return Outcome.model_validate_json(found.data), int(found.attributes["sequence"])
    except (KeyError, ValueError) as fault:
        raise Malformed(f"no outcome of ours: {fault!r}") from fault


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What could not be processed: the record as it came, where it came from, and why it is here."""

    origin: Record
    reason: str
    detail: str


def digested(record: Record) -> Record:
    """The record with the SHA-256 of its value instead of it."""
    return record._replace(value=DIGEST + hashlib.sha256(record.value or b"").hexdigest().encode())


def write_dead_letter(letter: DeadLetter, topic: str, partition: int) -> Record:
    """Verbatim key, value and headers; after them reason and origin in four headers of our own."""
    origin = letter.origin
    ours = {
        "bitcorp-reason": letter.reason,
        "bitcorp-detail": letter.detail[:8000],
        "bitcorp-origin": f"{origin.topic}/{origin.partition}/{origin.offset}",
        "bitcorp-origin-time": str(origin.timestamp),
    }
    headers = (*origin.headers, *((name, text.encode("utf-8", "replace")) for name, text in ours.items()))
    return Record(topic, partition, origin.key, origin.value, headers)


def read_dead_letter(record: Record) -> DeadLetter:
    theirs, ours = tuple(pair for pair in record.headers[:-4] if pair[0] != MOVED), record.headers[-4:]
    reason, detail, place, time = ((value or b"").decode() for _, value in ours)
    topic, partition, offset = place.rsplit("/", 2)
    origin = Record(topic, int(partition), record.key, record.value, theirs, int(offset), int(time))
    return DeadLetter(origin, reason, detail)


def pack(record: Record) -> bytes:
    """A record in an outbox, whatever bytes it holds (MessagePack)."""
    return ormsgpack.packb((record.topic, record.partition, record.key, record.value, record.headers))


def unpack(packed: bytes) -> Record:
    topic, partition, key, value, headers = ormsgpack.unpackb(packed)
    return Record(topic, partition, key, value, tuple((name, content) for name, content in headers))
