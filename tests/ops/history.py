"""A healthy past of two partitions, made without servers: what lanes write of some commands, ready to be spoilt."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from agents.decision import Draft, Place
from agents.recorder import Tail
from agents.state import Head, PartitionState, StateRecord, head_key, placed
from ops.audit.findings import Findings
from ops.audit.partition import audit_partition, prove_chains, together
from tests.agents.orders import MORNING, company_on, create_equipment, opening, order, rename, schedule
from topics.catalogue import AUDIT, COMMANDS, OUTCOMES, STATE, Topic, partition_of
from topics.cloudevents import Headers, Record
from topics.messages import CommandMessage, write_command

PARTITIONS = 2
PREFIX = "erp"
TOPIC_ID = "the-commands-topic"
GROUP = 3


@dataclass
class Past:
    """Records by topic and partition; `decide` lets lanes decide what is there, a few commands a commit."""

    prefix: str = PREFIX
    topic_id: str = TOPIC_ID
    records: dict[tuple[str, int], list[Record]] = field(default_factory=lambda: defaultdict(list))
    lanes: dict[int, tuple[PartitionState, Head]] = field(default_factory=dict)
    tails: dict[int, Tail] = field(default_factory=dict)

    def of(self, topic: Topic, partition: int = 0) -> list[Record]:
        return self.records[topic.named(self.prefix), partition]

    def send(self, *commands: CommandMessage, partition: int | None = None) -> "Past":
        """Commands as they arrive: in their company's partition unless another is named."""
        for command in commands:
            key, value, headers = write_command(command)
            self.arrive(key, value, headers, partition)
        return self

    def arrive(self, key: bytes, value: bytes, headers: Headers, partition: int | None = None) -> None:
        own = partition_of(key, PARTITIONS) if partition is None else partition
        self.append(Record(COMMANDS.named(self.prefix), own, key, value, headers))

    def append(self, record: Record) -> None:
        """At the end of its partition, as a broker would."""
        there = self.records[record.topic, record.partition]
        there.append(record._replace(offset=len(there), timestamp=MORNING + len(there)))

    def decide(self) -> "Past":
        while any(self._commit(partition) for partition in range(PARTITIONS)):
            pass
        for partition in range(PARTITIONS):
            self._record(partition)
        return self

    def _record(self, partition: int) -> None:
        """What the audit worker does."""
        tail = self.tails.get(partition, Tail())
        fresh = self.of(OUTCOMES, partition)[tail.read.get("business", 0) :]
        self.tails[partition], records = tail.after("business", fresh, AUDIT.named(self.prefix))
        for record in records:
            self.append(record)

    def _commit(self, partition: int) -> bool:
        state, head = self.lanes.get(partition, (PartitionState(partition), Head(self.topic_id)))
        waiting = self.of(COMMANDS, partition)[head.applied + 1 : head.applied + 1 + GROUP]
        if not waiting:
            return False
        draft = Draft(Place(self.prefix, partition, PARTITIONS), head, state.records.get)
        for record in waiting:
            draft.take(record)
        commit = draft.commit()
        head = replace(commit.head, digest=state.digest_with(commit.changes))
        changes = [StateRecord(key, value) for key, value in commit.changes.items()]
        self.write_state(partition, state, [*changes, StateRecord(head_key(partition), head.encode())], head)
        self.lanes[partition] = (state, head)
        for sent in commit.sends:
            self.append(sent)
        return True

    def write_state(self, partition: int, state: PartitionState, batch: list[StateRecord], head: Head) -> None:
        base = len(self.of(STATE, partition))
        for index, (key, value) in enumerate(batch):
            headers = tuple(placed(base, index))
            self.append(Record(STATE.named(self.prefix), partition, key.encode(), value, headers))
        state.wrote(batch, base, head.digest)

    def spoil(self, topic: Topic, change: Callable[[list[Record]], Any], partition: int = 0) -> "Past":
        """Change what a partition holds; offsets are dense again afterwards, as a broker's are."""
        there = self.of(topic, partition)
        change(there)
        there[:] = [record._replace(offset=offset) for offset, record in enumerate(there)]
        return self

    def audit(self) -> Findings:
        parts = (InMemory(self, partition) for partition in range(PARTITIONS))
        return together(audit_partition(p, p.partition, PARTITIONS, self.topic_id) for p in parts)

    def prove(self) -> Findings:
        findings = Findings()
        for partition in range(PARTITIONS):
            findings.add(prove_chains(InMemory(self, partition), partition))
        return findings


@dataclass(frozen=True)
class InMemory:
    """One partition of a past, as an audit reads it."""

    past: Past
    partition: int

    def first(self, topic: Topic) -> int:
        there = self.past.of(topic, self.partition)
        return there[0].offset if there else 0

    def records(self, topic: Topic) -> Iterable[Record]:
        return list(self.past.of(topic, self.partition))


ACME, BETA = company_on(0, PARTITIONS), company_on(1, PARTITIONS)


def healthy(prefix: str = PREFIX, topic_id: str = TOPIC_ID) -> Past:
    """Two companies, some machines and jobs, refusals, repeats, a reused id, mis-keyed and malformed commands."""
    past = Past(prefix, topic_id)
    for company in (ACME, BETA):
        past.send(*opening(company))
        past.send(*(create_equipment(company, f"ex-{number}", number) for number in range(1, 6)))
    again = rename(ACME, "ex-1", "Big one")
    past.send(again, again, again._replace(data=json.dumps({"equipment_id": "ex-1", "name": "Other"}).encode()))
    past.send(create_equipment(ACME, "ex-9", 1), rename(ACME, "ex-77", "Nobody"))
    past.send(schedule(BETA, "ex-2", "job-1"), partition=0)
    past.send(order(ACME, "equipment.fly", "ex-1", {}))
    key, _, headers = write_command(rename(ACME, "ex-2", "Broken"))
    past.arrive(key, b"{not json", headers)
    past.arrive(key, b"{}", ())
    return past.decide()


def with_header(record: Record, name: str, value: str) -> Record:
    """The record with another value in one header."""
    return record._replace(headers=tuple((n, value.encode() if n == name else v) for n, v in record.headers))
