"""The hash chains by themselves: those of companies over their events, and those of partitions over the audit."""

from collections.abc import Iterable

from ops.audit.findings import Check, Findings
from ops.audit.journal import NO_CHAIN, link
from ops.audit.positions import Positions
from topics import cloudevents
from topics.audit import is_valid, progress
from topics.cloudevents import Malformed, Record

BROKEN = "its chain value is not what its content gives after the one before it"


def follow_events(records: Iterable[Record], findings: Findings) -> None:
    """Each event links to the one before it of its company, from 32 zero bytes on."""
    positions = Positions(Check.EVENT_POSITIONS, findings, whole=True)
    chains: dict[str, bytes] = {}
    broken: set[str] = set()
    for record in records:
        company, said = _company(record), said_of(record)
        if not positions.take(record, _number(said.get("sequence"))) or company in broken:
            continue
        findings.saw(Check.CHAIN)
        chains[company] = link(record, chains.get(company, NO_CHAIN))
        if said.get("chain") != chains[company].hex():
            broken.add(company)
            place = f"position {record.partition}:{said.get('sequence')}, {record.topic} offset {record.offset}"
            findings.fault(Check.CHAIN, f"{company} breaks at {place}: {BROKEN}")


def follow_audit(records: Iterable[Record], findings: Findings) -> None:
    """Each valid record links to the valid one before it in the partition, and what void ones tell, valid ones tell."""
    chain, broken = NO_CHAIN, False
    read: dict[str, int] = {}
    void: dict[str, tuple[int, str]] = {}
    for record in records:
        said, place = said_of(record), f"{record.topic}/{record.partition} offset {record.offset}"
        if not is_valid(record, said):
            findings.repeated(Check.AUDIT)
            void |= {realm: max((at, place), void.get(realm, (0, ""))) for realm, at in progress(said).items()}
            continue
        findings.saw(Check.AUDIT)
        chain, read = link(record, chain), progress(said)
        if not broken and (said.get("chain") != chain.hex() or said.get("source") != f"/companies/{_company(record)}"):
            broken = True
            findings.fault(Check.AUDIT, f"the record about {_company(record)} at {place}: {BROKEN}")
    for realm, (at, place) in void.items():
        untold = f"{place}: not where it was written, and what it tells of {realm} is told nowhere else"
        findings.expect(at <= read.get(realm, 0), Check.AUDIT, untold)


def _company(record: Record) -> str:
    return (record.key or b"").decode(errors="replace")


def said_of(record: Record) -> dict[str, str]:
    """The record's attributes; none where they cannot be read."""
    try:
        return dict(cloudevents.read(record).attributes)
    except Malformed:
        return {}


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else 0
