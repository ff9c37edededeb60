"""The state changelog of one partition against the fold of its journal."""

import json
from collections.abc import Iterable, Mapping
from hashlib import blake2b

from agents.state import Head
from ops.audit.answers import REMEMBERED_MILLISECONDS, Answers
from ops.audit.findings import Check, Findings
from ops.audit.journal import Fold
from topics.cloudevents import Record

REMEMBERED_AT_MOST = 50_000


def live_records(records: Iterable[Record]) -> dict[str, bytes]:
    """Per key the last valid record; one is valid at no other offset than its writer expected."""
    live: dict[str, bytes] = {}
    for record in records:
        if not _valid(record):
            continue
        key = (record.key or b"").decode()
        if record.value is None:
            live.pop(key, None)
        else:
            live[key] = record.value
    return live


def _valid(record: Record) -> bool:
    headers = dict(record.headers)
    try:
        return record.offset == int(headers["expect"] or b"") + int(headers["index"] or b"")
    except (KeyError, ValueError):
        return False


def head_of(partition: int, live: Mapping[str, bytes]) -> Head | None:
    found = live.get(f"~head/{partition}")
    return None if found is None else Head.decode(found)


def audit_state(
    partition: int, live: Mapping[str, bytes], fold: Fold, answers: Answers, topic_id: str, findings: Findings
) -> None:
    """Aggregates, claims and chains equal the fold; remembered ids equal their outcomes; the head fits both."""
    head = head_of(partition, live)
    if head is None:
        if fold.last or answers.last:
            findings.fault(Check.HEADS, f"partition {partition} has events or outcomes, but its changelog no head")
        return
    stored = {key: value for key, value in live.items() if not key.startswith("~head/")}
    remembered = {key: stored.pop(key) for key in [*stored] if "/~command/" in key}
    _compare(stored, fold.state(), findings)
    _check_remembered(remembered, answers, head, findings)
    _check_head(partition, head, live, fold, answers, topic_id, findings)


def _compare(stored: Mapping[str, bytes], folded: Mapping[str, bytes], findings: Findings) -> None:
    findings.saw(Check.STATE, len(folded))
    for key, value in folded.items():
        if key not in stored:
            findings.fault(Check.STATE, f"{key} is missing")
        elif stored[key] != value:
            findings.fault(Check.STATE, f"{key} is {_short(stored[key])}, folded {_short(value)}")
    for key in stored.keys() - folded.keys():
        findings.fault(Check.STATE, f"{key} is stored, but nothing in the journal leads to it")


def _check_remembered(remembered: Mapping[str, bytes], answers: Answers, head: Head, findings: Findings) -> None:
    firsts = {f"{company}/~command/{id_}": outcome for (company, id_), outcome in answers.first.items()}
    findings.saw(Check.REMEMBERED, len(remembered))
    for key, value in remembered.items():
        outcome = firsts.get(key)
        fingerprint, _, status, code, _, version, first, last, position = json.loads(value)
        if outcome is None or outcome.repeat:
            continue  # its outcome has expired
        told = (outcome.fingerprint, outcome.status, outcome.code, outcome.version, outcome.first, outcome.last)
        if (fingerprint, status, code, version, first, last) != told or position != outcome.position:
            findings.fault(Check.REMEMBERED, f"{key} differs from its outcome {outcome.partition}:{outcome.position}")
    if len(firsts) <= REMEMBERED_AT_MOST:
        oldest = head.clock - REMEMBERED_MILLISECONDS
        for key, outcome in firsts.items():
            if key not in remembered and outcome.recorded_at.timestamp() * 1000 > oldest and not outcome.repeat:
                findings.fault(Check.REMEMBERED, f"{key} is forgotten within a day")


def _check_head(
    partition: int,
    head: Head,
    live: Mapping[str, bytes],
    fold: Fold,
    answers: Answers,
    topic_id: str,
    findings: Findings,
) -> None:
    findings.saw(Check.HEADS)
    for what, found, expected in (
        ("the next event is", head.events, fold.last + 1),
        ("the next outcome is", head.outcomes, answers.last + 1 if answers.last else head.outcomes),
        ("the hash of its records is", head.digest, digest(live)),
        ("the commands topic has the id", head.commands_topic_id, topic_id),
    ):
        findings.expect(found == expected, Check.HEADS, f"head {partition}: {what} {found}, expected {expected}")


def digest(live: Mapping[str, bytes]) -> int:
    """The order-free hash over all records but heads."""
    total = 0
    for key, value in live.items():
        if not key.startswith("~head/"):
            total += int.from_bytes(blake2b(value, key=key.encode()[:64], digest_size=8).digest(), "big")
    return total % (1 << 64)


def _short(value: bytes) -> str:
    return repr(value if len(value) < 120 else value[:117] + b"...")
