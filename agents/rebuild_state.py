"""`bitcorp state rebuild`: the state of partitions folded again from the journal, written as a new end of their chain.

The journal is the truth; the outcomes say which commands were decided and what to answer to repeated ids. Workers may
run meanwhile: what is written is valid only where nobody else wrote, and a half-written state does not add up to a
head's hash, so no lane serves it.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from agents.decide import group_of
from agents.decision import REMEMBERED_FOR, remembered
from agents.kafka import KafkaLog
from agents.log import Surroundings, Void
from agents.refold import fold_journal
from agents.state import Head, PartitionState, StateRecord, head_key, in_batches, is_head
from domain import BUSINESS
from domain.engine import command_key
from domain.realm import Realm
from topics.catalogue import TOPICS_OF
from topics.cloudevents import Record
from topics.messages import read_event, read_outcome, unpack
from topics.provision import topic_id
from topics.settings import Settings

Report = Callable[[str], None]
ATTEMPTS = 5


async def rebuild_state(
    settings: Settings,
    partitions: Iterable[int],
    *,
    accept_gap: bool = False,
    new_commands_topic: bool = False,
    report: Report = print,
    realm: Realm = BUSINESS,
) -> None:
    """Rebuild the partitions' state. `accept_gap` gives up commands that expired unread; `new_commands_topic` starts at
    the beginning of a commands topic that was made anew. Raises Void if other writers keep interfering."""
    commands_id = topic_id(settings, TOPICS_OF[realm.name].commands.named(settings.prefix))
    log = KafkaLog(settings, group_of(settings, realm), commands_id, lambda partition: None, realm)
    await log.start()
    try:
        for partition in partitions:
            await _attempt(log, realm, partition, accept_gap or new_commands_topic, report)
    finally:
        await log.stop()


async def _attempt(log: KafkaLog, realm: Realm, partition: int, from_start: bool, report: Report) -> None:
    for attempt in range(ATTEMPTS):
        try:
            report(f"partition {partition}: {await _rebuild(log, realm, partition, from_start)}")
            return
        except Void:
            if attempt == ATTEMPTS - 1:
                raise
            report(f"partition {partition}: somebody else wrote meanwhile, trying again")


async def _rebuild(log: KafkaLog, realm: Realm, partition: int, from_start: bool) -> str:
    state = PartitionState(partition)
    await log.read(state)
    around = await log.surroundings(partition)
    found = state.records.get(head_key(partition))
    old = Head.decode(found) if found else None
    if old is not None:
        await log.publish([unpack(packed) for packed in old.outbox])
    journal, outcomes = await log.journal(partition), await log.outcomes(partition)
    records = fold_journal(journal, realm)
    head = _head(old, around, journal, outcomes, from_start)
    records.update(_remembered(outcomes, head.clock - REMEMBERED_FOR))
    await _write(log, state, {key: value for key, value in records.items() if value is not None}, head)
    return f"{len(journal)} events folded into {len(records)} records; the next command is {head.applied + 1}"


def _head(
    old: Head | None, around: Surroundings, journal: list[Record], outcomes: list[Record], from_start: bool
) -> Head:
    """Where the lane goes on: behind every command that is known to be decided."""
    decided = [read_outcome(record)[0] for record in outcomes]
    known = [outcome.offset for outcome in decided] + [(around.group_offset or 0) - 1, around.commands_start - 1]
    applied = around.commands_start - 1 if from_start else max([*known, old.applied if old else -1])
    clocks = [int(outcome.recorded_at.timestamp() * 1000) for outcome in decided]
    return Head(
        around.commands_topic_id,
        applied=applied,
        clock=max([*clocks, old.clock if old else 0]),
        events=read_event(journal[-1]).position + 1 if journal else 1,
        outcomes=read_outcome(outcomes[-1])[1] + 1 if outcomes else (old.outcomes if old else 1),
    )


def _remembered(outcomes: list[Record], since: int) -> dict[str, bytes]:
    """Command ids of the last day with their first outcomes."""
    found = {}
    for record in outcomes:
        outcome, _ = read_outcome(record)
        timestamp = int(outcome.recorded_at.timestamp() * 1000)
        if timestamp >= since and not outcome.repeat and not outcome.conflict:
            key = command_key(outcome.company_id, outcome.command_id)
            found[key] = remembered(outcome.fingerprint, timestamp, outcome.model_dump())
    return found


async def _write(log: KafkaLog, state: PartitionState, records: dict[str, bytes], head: Head) -> None:
    """Put what differs, delete what should not be there, and only at the very end a head that adds up."""
    gone = {key: None for key in state.records.keys() | state.voided if key not in records and not is_head(key)}
    wrong: dict[str, bytes | None] = {
        key: value for key, value in records.items() if state.records.get(key) != value or key in state.voided
    }
    parts = list(in_batches(gone | wrong))
    for number, part in enumerate(parts, 1):
        digest = state.digest_with(dict(part))
        stored = digest if number == len(parts) else digest ^ 1  # a lane refuses what does not add up
        batch = [*part, StateRecord(head_key(state.partition), replace(head, digest=stored).encode())]
        expect = state.end
        if await log.append(state.partition, batch, expect) != expect:
            raise Void("the changelog has another writer")
        state.wrote(batch, expect, digest)
