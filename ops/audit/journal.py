"""The journal of one partition: its own order, and what it folds to."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from domain import BUSINESS
from domain.decider import Decider, Roster
from domain.engine import Versioned, aggregate_key, chain_key, claim_key, encode_aggregate, roster_key
from domain.model import State
from domain.realm import Realm
from domain.record import Recorded
from ops.audit.findings import Check, Findings
from ops.audit.positions import Positions
from topics.catalogue import partition_of
from topics.cloudevents import Malformed, Record
from topics.messages import event_id, read_event
from topics.moved import came_from

NO_CHAIN = bytes(32)
UNCHAINED = (b"chain", b"specversion", b"formersequence")


@dataclass
class Fold:
    """What the events of a partition come to: aggregates and rosters by state key, the last chain value of each
    company, and which command led to each position."""

    aggregates: dict[str, tuple[str, Any, str, Versioned]] = field(default_factory=dict)
    rosters: dict[str, tuple[Roster[Any], Versioned]] = field(default_factory=dict)
    chains: dict[str, bytes] = field(default_factory=dict)
    causes: list[str | None] = field(default_factory=list)
    realm: Realm = BUSINESS
    last: int = 0

    def state(self) -> dict[str, bytes]:
        """The records that the changelog must hold for it: aggregates, claims, rosters and chain values."""
        records = {chain_key(company): chain for company, chain in self.chains.items()}
        records |= {key: encode_aggregate(roster, versioned) for key, (roster, versioned) in self.rosters.items()}
        for key, (company, decider, aggregate_id, versioned) in self.aggregates.items():
            records[key] = encode_aggregate(decider, versioned)
            for claim in decider.claims:
                value = claim.of(versioned.state)
                if value is not None:
                    records[claim_key(company, decider.name, claim.kind, value)] = aggregate_id.encode()
        return records

    def cause(self, position: int) -> str | None:
        """The command that led to the event at the position."""
        return self.causes[position - 1] if 0 < position <= len(self.causes) else None


def audit_journal(
    records: Iterable[Record], partition: int, partitions: int, findings: Findings, realm: Realm = BUSINESS
) -> Fold:
    """Read the whole partition of the events topic once."""
    fold = Fold(realm=realm)
    positions = Positions(Check.EVENT_POSITIONS, findings, whole=True)
    for record in records:
        place = f"{record.topic}/{partition} offset {record.offset}"
        try:
            event = read_event(record)
            home = realm.homes[type(event.event)]
        except (Malformed, KeyError, ValueError) as fault:
            findings.fault(Check.EVENTS, f"{place} cannot be read: {fault}")
            continue
        if positions.take(record, event.position):
            _check_chain(record, event, fold, findings)
            findings.saw(Check.EVENTS)
            for wrong in _wrong(record, event, home, partition, partitions):
                findings.fault(Check.EVENTS, f"{place}: {wrong}")
            _fold(event, fold, findings)
    fold.last = positions.last
    return fold


def _check_chain(record: Record, event: Recorded, fold: Fold, findings: Findings) -> None:
    findings.saw(Check.CHAIN)
    linked = link(record, fold.chains.get(event.company_id, NO_CHAIN))
    findings.expect(
        event.chain == linked.hex(),
        Check.CHAIN,
        f"{event.partition}:{event.position} of {event.company_id} carries another chain value than its content gives",
    )
    fold.chains[event.company_id] = bytes.fromhex(event.chain) if _is_hash(event.chain) else linked


def link(record: Record, previous: bytes) -> bytes:
    """SHA-256 over the company's last chain value, the event's other attributes by name, and its data; of an event that
    was moved, over the position that it had at first."""
    first = dict(record.headers).get("ce_formersequence")
    headers = ((name, first if first and name == "ce_sequence" else value) for name, value in record.headers)
    said = sorted((name[3:].encode(), value) for name, value in headers if name.startswith("ce_"))
    lines = (b"%s:%s\n" % (name, value) for name, value in said if name not in UNCHAINED)
    return sha256(previous + b"".join(lines) + (record.value or b"")).digest()


def _is_hash(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def _wrong(record: Record, event: Recorded, home: Decider[Any], partition: int, partitions: int) -> Iterable[str]:
    own_id = event_id(event.company_id, record.topic, partition, event.position)
    if event.id != own_id and came_from(record) is None:  # who was moved keeps its id
        yield f"its id is not that of position {event.position}"
    if partition_of(event.company_id.encode(), partitions) != partition:
        yield f"events of {event.company_id} belong into another partition"
    if event.aggregate != home.name or event.aggregate_id != getattr(event.event, home.key):
        yield f"its subject {event.aggregate}/{event.aggregate_id} is not what its data is about"


def _fold(event: Recorded, fold: Fold, findings: Findings) -> None:
    decider = fold.realm.homes[type(event.event)]
    key = aggregate_key(event.company_id, decider.name, event.aggregate_id)
    before = fold.aggregates[key][3] if key in fold.aggregates else Versioned(0, decider.initial)
    findings.expect(
        event.version == before.version + 1,
        Check.EVENTS,
        f"{event.partition}:{event.position} makes {key} version {event.version}, after {before.version}",
    )
    try:
        state = decider.evolve(before.state, event.event)
    except Exception as fault:
        findings.fault(Check.EVENTS, f"{event.partition}:{event.position} cannot be folded into {key}: {fault!r}")
        state = before.state
    fold.aggregates[key] = (event.company_id, decider, event.aggregate_id, Versioned(event.version, state))
    _feed(event, before.state, fold)
    fold.causes += [None] * (event.position - 1 - len(fold.causes))
    fold.causes.append(event.command_id)


def _feed(event: Recorded, before: State, fold: Fold) -> None:
    for roster in fold.realm.fed.get(type(event.event), ()):
        key = roster_key(event.company_id, roster.name)
        now = fold.rosters[key][1] if key in fold.rosters else Versioned(0, roster.initial)
        fold.rosters[key] = roster, Versioned(now.version + 1, roster.evolve(now.state, event.event, before))
