"""The audit against the outcomes that are still kept: each that its writer has read is told as it was."""

from collections.abc import Iterable

from domain.record import Audited
from ops.audit.findings import Check, Findings
from topics import cloudevents
from topics.audit import audited, progress, read_audited
from topics.cloudevents import Malformed, Record
from topics.moved import came_from


def audit_recorded(realm: str, records: Iterable[Record], outcomes: Iterable[Record], findings: Findings) -> None:
    """Compare a partition of the audit, as far as it is about the realm, with the realm's outcomes."""
    told, read = _told(realm, records, findings)
    for record in outcomes:
        if record.offset >= read:
            break
        if came_from(record) is not None:
            continue  # it and what the audit tells of it name different places since
        try:
            wanted = audited(realm, record)
        except (Malformed, KeyError, ValueError):
            continue  # who looks at outcomes says so
        if told.get(wanted.sequence) != hash(wanted):
            place = f"{wanted.partition}:{wanted.sequence}"
            findings.fault(Check.RECORDED, f"outcome {place} of {realm} is not told as it was")
        findings.saw(Check.RECORDED)


def _told(realm: str, records: Iterable[Record], findings: Findings) -> tuple[dict[int, int], int]:
    """By sequence what the valid records tell, and the offset that their writer wanted to read next."""
    told: dict[int, int] = {}
    read = 0
    for record in records:
        try:
            found = read_audited(record)
            if not isinstance(found, Audited):
                continue
            read = progress(cloudevents.read(record).attributes).get(realm, read)
        except (Malformed, ValueError) as fault:
            findings.fault(Check.RECORDED, f"{record.topic}/{record.partition} offset {record.offset}: {fault}")
            continue
        if found.realm == realm and came_from(record) is None:
            told[found.sequence] = hash(found)
    return told, read
