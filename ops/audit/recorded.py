"""The audit against the outcomes that are still kept: each that its writer has read is told as it was."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from domain.record import Void
from ops.audit.findings import Check, Findings
from topics import cloudevents
from topics.audit import audited, audited_in, progress
from topics.cloudevents import Malformed, Record
from topics.moved import came_from


@dataclass
class Told:
    """What the valid records of a partition tell of a realm: by sequence, up to the offset their writer had read."""

    by_sequence: dict[int, int] = field(default_factory=dict)
    read: int = 0


def audit_recorded(records: Iterable[Record], outcomes: Mapping[str, Iterable[Record]], findings: Findings) -> None:
    """Compare a partition of the audit with the outcomes of each realm."""
    told = _told(records, findings)
    for realm, kept in outcomes.items():
        _compare(realm, told[realm], kept, findings)


def _compare(realm: str, told: Told, outcomes: Iterable[Record], findings: Findings) -> None:
    for record in outcomes:
        if record.offset >= told.read:
            break
        if came_from(record) is not None:
            continue  # it and what the audit tells of it name different places since
        try:
            wanted = audited(realm, record)
        except (Malformed, KeyError, ValueError):
            continue  # who looks at outcomes says so
        if told.by_sequence.get(wanted.sequence) != hash(wanted):
            place = f"{wanted.partition}:{wanted.sequence}"
            findings.fault(Check.RECORDED, f"outcome {place} of {realm} is not told as it was")
        findings.saw(Check.RECORDED)


def _told(records: Iterable[Record], findings: Findings) -> dict[str, Told]:
    told: dict[str, Told] = defaultdict(Told)
    for record in records:
        try:
            event = cloudevents.read(record)
            found = audited_in(event, record)
        except (Malformed, ValueError) as fault:
            findings.fault(Check.RECORDED, f"{record.topic}/{record.partition} offset {record.offset}: {fault}")
            continue
        if isinstance(found, Void):
            continue
        for realm, offset in progress(event.attributes).items():
            told[realm].read = offset
        if came_from(record) is None:
            told[found.realm].by_sequence[found.sequence] = hash(found)
    return told
