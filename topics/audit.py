"""Records of the audit: the outcome of every command, without what it said, in one chain per partition.

A record is valid where its `ce_sequence` is its offset + 1: at any other place two have written at once, and what the
record tells stands elsewhere too. `ce_read` says how far its writer had read each realm's outcomes with it, so the last
valid record of a partition is all that the next writer needs.
"""

import re
from collections.abc import Mapping

from pydantic_core import to_json

from domain.decider import TYPE_PREFIX, Actor
from domain.engine import unauthenticated
from domain.record import Audited, Outcome, Void
from topics import cloudevents
from topics.cloudevents import CloudEvent, Malformed, Record
from topics.messages import derived_id, link, read_outcome, rfc3339
from topics.origin import Origin

AUDITED_TYPE = f"{TYPE_PREFIX}.audit.command-audited.v1"
#: Who sends commands for somebody whom only their origin names.
DESK = str(Actor("system", "api"))
SIGNER = re.compile(r"(key|process):(.+)")


def audited(realm: str, record: Record) -> Audited:
    """What is kept of an outcome. Raises Malformed."""
    outcome, sequence = read_outcome(record)
    kind, kid = _signer(outcome)
    origin = _origin(outcome, kind)
    return Audited(
        **{name: getattr(outcome, name) for name in COPIED},
        realm=realm,
        sequence=sequence,
        actor=origin.caller if origin.caller and outcome.actor == DESK else outcome.actor,
        key_id=kid if kind == "key" else outcome.actor.removeprefix("key:") if _is_key(outcome) else None,
        process_id=kid if kind == "process" else None,
        address=origin.address or None,
        user_agent=origin.user_agent or None,
        correlation_id=cloudevents.read(record).attributes.get("correlationid", outcome.command_id),
    )


COPIED = sorted(Audited.model_fields.keys() & Outcome.model_fields.keys() - {"actor"})


def _signer(outcome: Outcome) -> tuple[str, str]:
    found = SIGNER.fullmatch(outcome.signed_by or "")
    return (found[1], found[2]) if found else ("", "")


def _origin(outcome: Outcome, kind: str) -> Origin:
    """Believed where a process of the platform has said it: not of a system that signs for itself, and not where nobody
    has proved anything."""
    believed = outcome.origin and kind != "key" and outcome.code != unauthenticated.code
    return Origin.parse(outcome.origin or "") if believed else Origin("")


def _is_key(outcome: Outcome) -> bool:
    return outcome.actor.startswith("key:")


def write_audited(
    told: Audited, topic: str, position: int, read: Mapping[str, int], chain: bytes
) -> tuple[Record, bytes]:
    """The record for offset `position` - 1, and the partition's chain value after it. `read` is, by realm, the offset
    of the outcome to be read next."""
    attributes, value = _attributes(told, position, read), to_json(told, exclude_none=True)
    linked = link(chain, attributes, value)
    headers = cloudevents.write(attributes | {"chain": linked.hex()})
    return Record(topic, told.partition, told.company_id.encode(), value, headers), linked


def _attributes(told: Audited, position: int, read: Mapping[str, int]) -> dict[str, str]:
    """In the order of their names, as `link` wants them."""
    return {
        "actor": told.actor,
        "causationid": told.command_id,
        "correlationid": told.correlation_id,
        "id": derived_id(f"bitcorp:audit:{told.realm}:{told.partition}:{told.sequence}:{rfc3339(told.recorded_at)}"),
        "read": progress_text(read),
        "sequence": str(position),
        "source": f"/companies/{told.company_id}",
        "subject": f"{told.aggregate}/{told.aggregate_id}",
        "time": rfc3339(told.recorded_at),
        "type": AUDITED_TYPE,
    }


def read_audited(record: Record) -> Audited | Void:
    """Raises Malformed where a valid record is none of ours."""
    return audited_in(cloudevents.read(record), record)


def audited_in(event: CloudEvent, record: Record) -> Audited | Void:
    """The same, of the record's event. Raises Malformed."""
    if not is_valid(record, event.attributes):
        return Void()
    try:
        return Audited.model_validate_json(event.data)
    except ValueError as fault:
        raise Malformed(f"no record of the audit: {fault!r}") from fault


def is_valid(record: Record, attributes: Mapping[str, str]) -> bool:
    return attributes.get("sequence") == str(record.offset + 1)


def progress_text(read: Mapping[str, int]) -> str:
    """What `progress` reads, from the same by realm."""
    return " ".join(f"{realm}={offset}" for realm, offset in sorted(read.items()))


def progress(attributes: Mapping[str, str]) -> dict[str, int]:
    """By realm the offset of the outcome to be read after this record."""
    parts = (part.partition("=") for part in attributes.get("read", "").split())
    return {realm: int(offset) for realm, _, offset in parts if offset.isascii() and offset.isdigit()}
