"""All topics: key, retention and one line of meaning each. Partition counts are equal and fixed at creation."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import count

from aiokafka.partitioner import murmur2

from domain import BUSINESS, REALMS
from domain.realm import Realm

DAY = 24 * 3600 * 1000
BATCH_LIMIT = 8 * 1024 * 1024
RECORD_LIMIT = 2 * 1024 * 1024


@dataclass(frozen=True)
class Topic:
    """One topic; `name` is without the prefix."""

    name: str
    key: str
    meaning: str
    config: Mapping[str, str] = field(default_factory=dict)

    def named(self, prefix: str) -> str:
        return f"{prefix}.{self.name}"

    @property
    def limit(self) -> int:
        """Largest record batch in bytes."""
        return int(self.config["max.message.bytes"])


def _kept_for(days: int, limit: int = BATCH_LIMIT) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(days * DAY), "max.message.bytes": str(limit)}


COMMANDS = Topic(
    "commands",
    "company_id",
    "Every command; a company's commands share a partition and are decided in its order.",
    # The broker measures what a batch holds after unpacking it: a small packed one could else bring a record that a
    # lane cannot put into one batch of its state any more.
    _kept_for(7, RECORD_LIMIT) | {"message.timestamp.type": "LogAppendTime", "compression.type": "uncompressed"},
)
EVENTS = Topic(
    "events",
    "company_id",
    "The journal: every domain event, for ever, with gap-free positions per partition.",
    {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "max.message.bytes": str(BATCH_LIMIT),
    },
)
OUTCOMES = Topic(
    "outcomes", "company_id", "One answer per command: accepted with positions, or rejected with a code.", _kept_for(30)
)
DEAD_LETTERS = Topic(
    "dead-letters", "key of the origin", "What could not be processed, verbatim, with reason and origin.", _kept_for(30)
)
IMPORTS = Topic(
    "imports",
    "company_id",
    "Records of other systems exactly as they wrote them, to be mapped; kept for ever.",
    {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "max.message.bytes": str(RECORD_LIMIT),
    },
)
AUDIT = Topic(
    "audit",
    "company_id",
    "Who did what, when, from where and under which key, refused commands and failed sign-ins too; kept for ever.",
    {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "max.message.bytes": str(BATCH_LIMIT),
    },
)
STATE = Topic(
    "state-changelog",
    "state key",
    "The lanes' own state; a record is valid only at the offset its writer expected.",
    {
        "cleanup.policy": "compact",
        "min.compaction.lag.ms": str(2 * 3600 * 1000),
        "segment.ms": str(30 * 60 * 1000),
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(BATCH_LIMIT),
    },
)


@dataclass(frozen=True)
class RealmTopics:
    """The topics of one realm: those of the business have its plain names, those of others their realm's before it."""

    commands: Topic
    events: Topic
    outcomes: Topic
    dead_letters: Topic
    state: Topic

    @classmethod
    def of(cls, realm: Realm) -> "RealmTopics":
        plain = (COMMANDS, EVENTS, OUTCOMES, DEAD_LETTERS, STATE)
        return cls(*plain) if realm is BUSINESS else cls(*(_within(realm, topic) for topic in plain))


def _within(realm: Realm, topic: Topic) -> Topic:
    return replace(topic, name=f"{realm.name}.{topic.name}", meaning=f"Of the realm {realm.name}: {topic.meaning}")


#: Realm name -> its topics.
TOPICS_OF: dict[str, RealmTopics] = {name: RealmTopics.of(realm) for name, realm in REALMS.items()}

#: Names, without prefix, of the topics that hold events.
JOURNALS = frozenset(topics.events.name for topics in TOPICS_OF.values())

TOPICS = (
    *(COMMANDS, EVENTS, OUTCOMES, DEAD_LETTERS, IMPORTS, AUDIT, STATE),
    *(topic for topics in TOPICS_OF.values() for topic in vars(topics).values() if topic.name.count(".")),
)


@lru_cache(maxsize=10_000)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key as Kafka's own Java client computes it (murmur2)."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


@lru_cache(maxsize=1_000)
def own_company(partition: int, partitions: int) -> str:
    """The platform's own company in a partition: the first `_platform-<n>` whose key belongs there."""
    names = (f"_platform-{number}" for number in count())
    return next(name for name in names if partition_of(name.encode(), partitions) == partition)
