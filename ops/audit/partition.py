"""All checks of one partition of the topics, and what only all partitions together tell."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from confluent_kafka import Consumer

from domain import BUSINESS, REALMS
from domain.realm import Realm
from ops.audit.answers import Rerouted, audit_commands, audit_dead_letters, audit_outcomes
from ops.audit.chains import follow_audit, follow_events
from ops.audit.findings import Check, Findings
from ops.audit.journal import audit_journal
from ops.audit.recorded import audit_recorded
from ops.audit.state import audit_state, head_of, live_records
from ops.records import bounds, consumer, read
from topics.catalogue import AUDIT, TOPICS_OF, Topic
from topics.cloudevents import Record
from topics.settings import Settings


class Source(Protocol):
    """One partition of all topics."""

    def first(self, topic: Topic) -> int:
        """The first offset that is kept."""

    def records(self, topic: Topic) -> Iterable[Record]:
        """All that is kept, in order."""


def audit_partition(
    source: Source, partition: int, partitions: int, commands_topic_id: str, realm: Realm = BUSINESS
) -> tuple[Findings, Rerouted]:
    """Every check that this partition's topics suffice for."""
    findings, topics = Findings(), TOPICS_OF[realm.name]
    if source.first(topics.events) > 0:
        findings.fault(Check.EVENT_POSITIONS, f"partition {partition} of the journal has lost its beginning")
    fold = audit_journal(source.records(topics.events), partition, partitions, findings, realm)
    answers = audit_outcomes(source.records(topics.outcomes), source.first(topics.outcomes) == 0, fold, findings)
    if realm is BUSINESS:
        outcomes = {name: source.records(each.outcomes) for name, each in TOPICS_OF.items()}
        audit_recorded(source.records(AUDIT), outcomes, findings)
        follow_audit(source.records(AUDIT), findings)
    audit_dead_letters(source.records(topics.dead_letters), answers, findings)
    live = live_records(source.records(topics.state))
    head = head_of(partition, live)
    applied = head.applied if head else -1
    rerouted = audit_commands(source.records(topics.commands), partition, partitions, applied, answers, findings, realm)
    audit_state(partition, live, fold, answers, commands_topic_id, findings)
    return findings, rerouted


def prove_chains(source: Source, partition: int) -> Findings:
    """Follow the hash chains of this partition's topics, each up to its first break."""
    findings = Findings()
    for topics in TOPICS_OF.values():
        if source.first(topics.events) > 0:
            findings.fault(Check.EVENT_POSITIONS, f"partition {partition} of the journal has lost its beginning")
        follow_events(source.records(topics.events), findings)
    if source.first(AUDIT) > 0:
        findings.fault(Check.AUDIT, f"partition {partition} of the audit has lost its beginning")
    follow_audit(source.records(AUDIT), findings)
    return findings


def together(parts: Iterable[tuple[Findings, Rerouted]]) -> Findings:
    """The findings of all partitions, with the way of the mis-keyed commands from one to the other."""
    findings, rerouted = Findings(), Rerouted()
    for found, its in parts:
        findings.add(found)
        rerouted.sent |= its.sent
        rerouted.seen |= its.seen
    for partition, offset in sorted(rerouted.sent - rerouted.seen):
        findings.fault(Check.REROUTED, f"the command at {partition}, offset {offset} never reached its own partition")
    return findings


class OnKafka:
    """A partition as it lies on the broker."""

    def __init__(self, reader: Consumer, prefix: str, partition: int) -> None:
        self._reader = reader
        self._prefix = prefix
        self._partition = partition

    def first(self, topic: Topic) -> int:
        return bounds(self._reader, topic.named(self._prefix), self._partition).first

    def records(self, topic: Topic) -> Iterator[Record]:
        name = topic.named(self._prefix)
        kept = bounds(self._reader, name, self._partition)
        return read(self._reader, name, self._partition, kept.first, kept.end)


def prove_on_kafka(settings: Settings, partition: int) -> Findings:
    """The same of the chains alone."""
    with consumer(settings) as reader:
        return prove_chains(OnKafka(reader, settings.prefix, partition), partition)


def audit_on_kafka(
    settings: Settings, partition: int, partitions: int, commands_topic_id: str, realm: str
) -> tuple[Findings, Rerouted]:
    """The same with a consumer of its own, for a process or a thread; the realm by its name."""
    with consumer(settings) as reader:
        source = OnKafka(reader, settings.prefix, partition)
        return audit_partition(source, partition, partitions, commands_topic_id, REALMS[realm])
