"""Commands of one partition and what answered them."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from domain import BUSINESS
from domain.engine import unauthenticated
from domain.realm import Realm
from domain.record import Outcome, Status
from ops.audit.findings import Check, Findings
from ops.audit.journal import Fold
from ops.audit.positions import Positions
from topics.catalogue import partition_of
from topics.cloudevents import Malformed, Record
from topics.messages import REROUTED, read_command, read_dead_letter, read_outcome, salvage
from topics.moved import came_from

REMEMBERED_MILLISECONDS = 24 * 3600 * 1000
Place = tuple[int, int]


@dataclass
class Answers:
    """Outcomes by the offset of their command, first outcomes by command id, and where dead letters came from."""

    by_offset: dict[int, Outcome] = field(default_factory=dict)
    first: dict[tuple[str, str], Outcome] = field(default_factory=dict)
    last: int = 0
    dead: set[Place] = field(default_factory=set)
    since: int = 0


@dataclass
class Rerouted:
    """Mis-keyed commands: where they lay, and which of them came by in their own partition."""

    sent: set[Place] = field(default_factory=set)
    seen: set[Place] = field(default_factory=set)


def audit_outcomes(records: Iterable[Record], whole: bool, fold: Fold, findings: Findings) -> Answers:
    """Read the partition of the outcomes topic once, `whole` if it still holds its beginning."""
    answers = Answers()
    positions = Positions(Check.OUTCOME_POSITIONS, findings, whole=whole)
    for record in records:
        try:
            outcome, position = read_outcome(record)
        except (Malformed, KeyError, ValueError) as fault:
            findings.fault(Check.OUTCOMES, f"{record.topic}/{record.partition} offset {record.offset}: {fault}")
            continue
        if positions.take(record, position):
            findings.saw(Check.OUTCOMES)
            # The first outcome of one that was moved may have expired before that.
            for wrong in _wrong(outcome, answers, fold, whole and came_from(record) is None):
                findings.fault(
                    Check.OUTCOMES, f"outcome {outcome.partition}:{position} of {outcome.command_id}: {wrong}"
                )
            answers.by_offset[outcome.offset] = outcome
            if outcome.code == unauthenticated.code:
                continue  # it takes no id
            answers.first.setdefault((outcome.company_id, outcome.command_id), outcome)
    answers.last = positions.last
    answers.since = min(answers.by_offset, default=0)
    return answers


def _wrong(outcome: Outcome, answers: Answers, fold: Fold, whole: bool) -> Iterable[str]:
    if outcome.offset in answers.by_offset:
        yield f"the command at offset {outcome.offset} has another outcome already"
    if outcome.position > fold.last:
        yield f"it names position {outcome.position}, the journal ends at {fold.last}"
    first = answers.first.get((outcome.company_id, outcome.command_id))
    if outcome.code == unauthenticated.code:
        return
    if first is None:
        if whole and (outcome.repeat or outcome.conflict):
            yield "it calls itself a repeat, but nothing came before"
    elif outcome.repeat:
        yield from _wrong_repeat(outcome, first)
    elif outcome.conflict:
        if outcome.fingerprint == first.fingerprint:
            yield "it calls the same command another one"
    elif _milliseconds(outcome) - _milliseconds(first) < REMEMBERED_MILLISECONDS:
        yield "the same id was decided twice within a day"
    if not outcome.repeat:
        yield from _wrong_events(outcome, fold)


def _wrong_repeat(outcome: Outcome, first: Outcome) -> Iterable[str]:
    said = (outcome.status, outcome.code, outcome.version, outcome.first, outcome.last, outcome.fingerprint)
    if said != (first.status, first.code, first.version, first.first, first.last, first.fingerprint):
        yield "it repeats another answer than the first one"


def _wrong_events(outcome: Outcome, fold: Fold) -> Iterable[str]:
    if outcome.first is None or outcome.last is None:
        return
    others = [p for p in range(outcome.first, outcome.last + 1) if fold.cause(p) != outcome.command_id]
    if others:
        yield f"event {outcome.partition}:{others[0]} is of another command"


def _milliseconds(outcome: Outcome) -> int:
    return round(outcome.recorded_at.timestamp() * 1000)


def audit_dead_letters(records: Iterable[Record], answers: Answers, findings: Findings) -> None:
    """Note where the dead letters of the partition came from."""
    for record in records:
        try:
            if came_from(record) is not None:
                continue  # about commands of the topics that it was moved from
            origin = read_dead_letter(record).origin
        except (KeyError, ValueError) as fault:
            findings.fault(Check.COMMANDS, f"{record.topic}/{record.partition} offset {record.offset}: {fault!r}")
            continue
        answers.dead.add((origin.partition, origin.offset))


def audit_commands(
    records: Iterable[Record],
    partition: int,
    partitions: int,
    applied: int,
    answers: Answers,
    findings: Findings,
    realm: Realm = BUSINESS,
) -> Rerouted:
    """Every command up to the offset `applied` that is still kept has its answer, and there is no answer too many."""
    rerouted = Rerouted()
    for record in records:
        if record.offset > applied:
            break
        findings.saw(Check.COMMANDS)
        for name, value in record.headers:
            if name == REROUTED and (origin := _place(value or b"")):
                rerouted.seen.add(origin)
        outcome = answers.by_offset.get(record.offset)
        if record.key is not None and partition_of(record.key, partitions) != partition:
            findings.saw(Check.REROUTED)
            if (partition, record.offset) not in answers.dead:
                rerouted.sent.add((partition, record.offset))
            if outcome:
                findings.fault(Check.REROUTED, f"offset {record.offset} was decided in partition {partition}")
        elif record.offset >= answers.since:
            for wrong in _wrong_answer(record, outcome, (partition, record.offset) in answers.dead, realm):
                findings.fault(Check.COMMANDS, f"the command at {partition}, offset {record.offset}: {wrong}")
    return rerouted


def _wrong_answer(record: Record, outcome: Outcome | None, dead: bool, realm: Realm) -> Iterable[str]:
    try:
        command = read_command(record)
        fingerprint = command.fingerprint
    except Malformed:
        if not dead:
            yield "it cannot be decoded, and no dead letter holds it"
        if (salvage(record) is None) != (outcome is None):
            yield "its outcome is missing" if outcome is None else "it has an outcome without an id"
        return
    if outcome is None:
        yield f"{command.id} has no outcome"
        return
    if (outcome.command_id, outcome.company_id) != (command.id, command.company_id):
        yield f"its outcome is that of {outcome.command_id}"
    elif outcome.fingerprint != fingerprint:
        yield f"the outcome of {command.id} is about another payload"
    again = outcome.repeat or outcome.conflict
    if not dead and not again and (outcome.status is Status.FAILED or command.type not in realm.rules):
        yield f"{command.id} ought to have a dead letter"


def _place(value: bytes) -> Place | None:
    partition, _, offset = value.decode("ascii", "replace").partition("/")
    return (int(partition), int(offset)) if partition.isdigit() and offset.isdigit() else None
