"""All checks of one partition of the topics."""

from collections.abc import Iterator

from confluent_kafka import Consumer

from ops.audit.answers import Rerouted, audit_commands, audit_dead_letters, audit_outcomes
from ops.audit.findings import Check, Findings
from ops.audit.journal import audit_journal
from ops.audit.state import audit_state, head_of, live_records
from ops.records import bounds, consumer, read
from topics.catalogue import COMMANDS, DEAD_LETTERS, EVENTS, OUTCOMES, STATE, Topic
from topics.cloudevents import Record
from topics.settings import Settings


def audit_partition(settings: Settings, partition: int, partitions: int, topic_id: str) -> tuple[Findings, Rerouted]:
    """Read the partition in all topics; `topic_id` is that of the commands topic."""
    findings = Findings()
    with consumer(settings) as reader:

        def records(topic: Topic) -> Iterator[Record]:
            return _records(reader, settings, topic, partition)

        if bounds(reader, EVENTS.named(settings.prefix), partition).first > 0:
            findings.fault(Check.EVENT_POSITIONS, f"partition {partition} of the journal has lost its beginning")
        fold = audit_journal(records(EVENTS), partition, partitions, findings)
        whole = bounds(reader, OUTCOMES.named(settings.prefix), partition).first == 0
        answers = audit_outcomes(records(OUTCOMES), whole, fold, findings)
        audit_dead_letters(records(DEAD_LETTERS), answers, findings)
        live = live_records(records(STATE))
        head = head_of(partition, live)
        applied = head.applied if head else -1
        rerouted = audit_commands(records(COMMANDS), partition, partitions, applied, answers, findings)
        audit_state(partition, live, fold, answers, topic_id, findings)
    return findings, rerouted


def _records(reader: Consumer, settings: Settings, topic: Topic, partition: int) -> Iterator[Record]:
    name = topic.named(settings.prefix)
    kept = bounds(reader, name, partition)
    return read(reader, name, partition, kept.first, kept.end)
