"""The judge of a simulated run: reads what the broker holds, as foreign readers would, and compares it with a plain
fold of the same commands by a single owner that never fails."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import groupby
from operator import attrgetter
from typing import Any, Protocol

import orjson

from agents.decision import HOUR, Draft, Place
from agents.refold import fold_journal
from agents.state import Head, is_head
from topics.catalogue import COMMANDS, DEAD_LETTERS, EVENTS, OUTCOMES
from topics.cloudevents import Record
from topics.messages import REROUTED, unpack

Content = tuple[bytes | None, bytes | None, Any]


class Stored(Protocol):
    """A record of the state changelog as the broker holds it; `kept` is false once compaction has removed it."""

    offset: int
    key: str
    value: bytes | None
    headers: list[tuple[str, bytes]]
    batch: int
    kept: bool


@dataclass(frozen=True)
class Run:
    """What there is to judge of one partition."""

    place: Place
    topic_id: str
    commands: Sequence[Record]
    changelog: Sequence[Stored]
    records: Callable[[str, int], Sequence[Record]]
    group_offset: int | None
    remembered_for: int
    remembered_at_most: int


def judge(run: Run) -> Iterator[str]:
    """Every way in which the run differs from what one owner without faults would have made of its commands."""
    reference = Reference(run.place, run.topic_id)
    yield from _chain_is_the_fold(run, reference)
    if reference.head.applied != len(run.commands) - 1:
        yield f"commands after {reference.head.applied} were never decided"
        return
    if run.group_offset != len(run.commands):
        yield f"the group stands at {run.group_offset} of {len(run.commands)} commands"
    yield from _recovery_is_the_fold(run, reference)
    for topic in (EVENTS, OUTCOMES):
        yield from _readers_accept(run, topic.name, reference.of(topic.name, run.place.partition))
    yield from _each_command_has_one_first_outcome(run)
    yield from _nothing_set_aside_is_lost(run, reference)


def judge_one_history(run: Run) -> Iterator[str]:
    """The same where owners decide differently: nobody can say what must come out, but it must be one thing."""
    heads = [Head.decode(batch[-1].value or b"") for batch in valid_batches(run.changelog)]
    if not heads or heads[-1].applied != len(run.commands) - 1:
        yield "not all commands were decided"
    sent = [unpack(packed) for head in heads for packed in head.outbox]
    for topic in (EVENTS, OUTCOMES):
        yield from _readers_accept(
            run, topic.name, _once(record for record in sent if record.topic.endswith(topic.name))
        )
    yield from _each_command_has_one_first_outcome(run)
    yield from _recovery_is_the_journal(run)


def _once(sent: Iterable[Record]) -> list[Content]:
    """What valid heads send, each position once: carried outboxes repeat."""
    by_position = {int(dict(record.headers)["ce_sequence"]): content(record) for record in sent}
    return [by_position[position] for position in sorted(by_position)]


def _recovery_is_the_journal(run: Run) -> Iterator[str]:
    journal = {int(dict(r.headers)["ce_sequence"]): r for r in run.records(EVENTS.name, run.place.partition)}
    folded = fold_journal(journal[position] for position in sorted(journal))
    found = {key: value for key, value in _recovered(run).items() if "/~command/" not in key and not is_head(key)}
    if {key: value for key, value in folded.items() if value is not None} != found:
        yield f"the state is not the fold of the journal: {_differing(found, folded)}"


@dataclass
class Reference:
    """The fold of commands one by one: no groups, no crash, no other owner."""

    place: Place
    topic_id: str
    state: dict[str, bytes] = field(default_factory=dict)
    sent: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.head = Head(self.topic_id)

    def decide(self, command: Record) -> None:
        draft = Draft(self.place, self.head, self.state.get)
        draft.take(command)
        commit = draft.commit()
        self.head = commit.head
        self.sent += commit.sends
        self.change(commit.changes.items())

    def change(self, changes: Iterable[tuple[str, bytes | None]]) -> None:
        for key, value in changes:
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = value

    def of(self, topic: str, partition: int) -> list[Content]:
        return [content(r) for r in self.sent if (r.topic, r.partition) == (f"{self.place.prefix}.{topic}", partition)]


def content(record: Record) -> Content:
    return record.key, record.value, record.headers


def _chain_is_the_fold(run: Run, reference: Reference) -> Iterator[str]:
    """Each valid batch, in order, brings the state to what the reference has at the batch's head."""
    state: dict[str, bytes | None] = {}
    before = reference.head
    for batch in valid_batches(run.changelog):
        if not batch[-1].key.startswith("~head/"):
            yield f"the batch at {batch[0].offset} has no head"
            return
        head = Head.decode(batch[-1].value or b"")
        while reference.head.applied < min(head.applied, len(run.commands) - 1):
            reference.decide(run.commands[reference.head.applied + 1])
        changes = [(stored.key, stored.value) for stored in batch[:-1]]
        forgotten = [key for key, value in changes if value is None and "/~command/" in key and key in reference.state]
        yield from _may_be_forgotten(run, reference, head, forgotten)
        reference.change((key, None) for key in forgotten)
        state.update(changes)
        live = {key: value for key, value in state.items() if value is not None}
        if live != reference.state:
            yield f"state at command {head.applied} is not the fold: {_differing(live, reference.state)}"
            return
        if (head.applied, head.events, head.outcomes) != _progress(reference.head):
            yield f"head {head.applied, head.events, head.outcomes} is not the fold's {_progress(reference.head)}"
        if not before.clock <= head.clock <= (before.clock + HOUR if before.clock else head.clock):
            yield f"the clock went from {before.clock} to {head.clock} in one commit"
        before = head


def _progress(head: Head) -> tuple[int, int, int]:
    return head.applied, head.events, head.outcomes


def _differing(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    return sorted(key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key))[:5]


def _may_be_forgotten(run: Run, reference: Reference, head: Head, keys: list[str]) -> Iterator[str]:
    known = sum("/~command/" in key for key in reference.state)
    for key in sorted(keys, key=lambda key: _remembered_at(reference, key)):
        if known <= run.remembered_at_most and _remembered_at(reference, key) >= head.clock - run.remembered_for:
            yield f"{key} was forgotten too early"
        known -= 1


def _remembered_at(reference: Reference, key: str) -> int:
    return int(orjson.loads(reference.state[key])[1])


def valid_batches(changelog: Sequence[Stored]) -> Iterator[list[Stored]]:
    """The one chain: batches that landed where their writer expected; a head ends each."""
    for _, group in groupby(changelog, attrgetter("batch")):
        batch = list(group)
        if all(_valid(stored) for stored in batch):
            yield batch


def _valid(stored: Stored) -> bool:
    said = dict(stored.headers)
    return stored.offset == int(said["expect"]) + int(said["index"])


def _recovery_is_the_fold(run: Run, reference: Reference) -> Iterator[str]:
    """What compaction has left still gives the state, and its hash is the head's."""
    live = _recovered(run)
    if not run.commands:
        return
    record = live.pop(f"~head/{run.place.partition}", None)
    if record is None:
        yield "compaction has left no valid head"
        return
    head = Head.decode(record)
    if live != reference.state:
        yield f"what is left of the changelog is not the fold: {_differing(live, reference.state)}"
    if head.digest != sum(_hash(key, value) for key, value in live.items()) % 2**64:
        yield "the head's hash does not fit the recovered records"


def _recovered(run: Run) -> dict[str, bytes]:
    last = {stored.key: stored.value for stored in run.changelog if stored.kept and _valid(stored)}
    return {key: value for key, value in last.items() if value is not None}


def _hash(key: str, value: bytes) -> int:
    return int.from_bytes(blake2b(value, key=key.encode()[:64], digest_size=8).digest(), "big")


def _readers_accept(run: Run, topic: str, expected: list[Content]) -> Iterator[str]:
    """The readers' rule: accept position last + 1, ignore what is not above last, stop at a gap."""
    accepted: list[Content] = []
    for record in run.records(topic, run.place.partition):
        position = int(dict(record.headers)["ce_sequence"])
        if position > len(accepted) + 1:
            yield f"{topic}: gap before {position}"
            return
        if position == len(accepted) + 1:
            accepted.append(content(record))
        elif accepted[position - 1] != content(record):
            yield f"{topic}: two records at {position}"
    if accepted != expected:
        first = next((n for n, pair in enumerate(zip(accepted, expected, strict=False)) if pair[0] != pair[1]), None)
        yield f"{topic}: {len(accepted)} of {len(expected)} accepted, the first other one at {first}"


def _each_command_has_one_first_outcome(run: Run) -> Iterator[str]:
    """By what readers see alone: a command is decided once in its life, however often it is sent."""
    seen: dict[tuple[bytes | None, str], int] = {}
    highest = 0
    for record in run.records(OUTCOMES.name, run.place.partition):
        position = int(dict(record.headers)["ce_sequence"])
        if position <= highest:
            continue
        highest = position
        outcome = orjson.loads(record.value or b"")
        who = (record.key, outcome["command_id"])
        again = outcome.get("repeat") or outcome.get("conflict")
        seen[who] = seen.get(who, 0) + (not again)
        if again and not seen[who]:
            yield f"{who}: repeated before it was answered"
    may_forget = run.remembered_for < 24 * HOUR
    for who, times in seen.items():
        if times > 1 and not may_forget:
            yield f"{who}: {times} first outcomes"


def _nothing_set_aside_is_lost(run: Run, reference: Reference) -> Iterator[str]:
    letters = {content(record) for record in run.records(DEAD_LETTERS.name, run.place.partition)}
    if letters != set(reference.of(DEAD_LETTERS.name, run.place.partition)):
        yield "dead letters are not those of the fold"
    for record in reference.sent:
        if record.topic == COMMANDS.named(run.place.prefix):
            arrived = map(content, run.records(COMMANDS.name, record.partition))
            if content(record) not in arrived:
                yield f"a re-routed command never reached partition {record.partition}"


def answer_to(record: Record) -> tuple[int, int, int] | None:
    """Partition and offset of the command that a published record answers, and the last event position it names."""
    said = dict(record.headers)
    if REROUTED in said and "bitcorp-origin" not in said:
        partition, offset = said[REROUTED].split(b"/")
        return int(partition), int(offset), 0
    if "bitcorp-origin" in said:
        _, partition, offset = said["bitcorp-origin"].rsplit(b"/", 2)
        return int(partition), int(offset), 0
    if record.topic.endswith(OUTCOMES.name):
        outcome = orjson.loads(record.value or b"")
        return record.partition, outcome["offset"], outcome.get("last") or 0
    return None
