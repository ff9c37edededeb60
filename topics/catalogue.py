"""All topics: key, retention and one line of meaning each. Partition counts are equal and fixed at creation."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import count

from aiokafka.partitioner import murmur2

from domain import BUSINESS, REALMS
from domain.realm import Realm

#: Kinds of processes: those of `bitcorp worker`, the API, a shell in which `bitcorp` is called, and others' systems.
LANES, VIEWS, IMPORTER, TIMER, RECORDER = "lanes", "views", "imports", "timer", "audit"
API, SHELL = "api", "shell"
UPSTREAM, ANALYTICS = "upstream", "analytics"

DAY = 24 * 3600 * 1000
BATCH_LIMIT = 8 * 1024 * 1024
RECORD_LIMIT = 2 * 1024 * 1024


@dataclass(frozen=True)
class Topic:
    """One topic; `name` is without the prefix.

    `writers` and `readers` are the kinds of processes that may do so: rights in Kafka are computed from them
    (`ops.rights`), those of the views from what their groups are folded from.
    """

    name: str
    key: str
    meaning: str
    config: Mapping[str, str] = field(default_factory=dict)
    writers: frozenset[str] = frozenset()
    readers: frozenset[str] = frozenset()

    def named(self, prefix: str) -> str:
        return f"{prefix}.{self.name}"

    @property
    def limit(self) -> int:
        """Largest record batch in bytes."""
        return int(self.config["max.message.bytes"])


def _kept_for(days: int, limit: int = BATCH_LIMIT) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(days * DAY), "max.message.bytes": str(limit)}


def _kept_for_ever(limit: int) -> dict[str, str]:
    kept = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
    return kept | {"max.message.bytes": str(limit)}


COMMANDS = Topic(
    "commands",
    "company_id",
    "Every command; a company's commands share a partition and are decided in its order.",
    # The broker measures what a batch holds after unpacking it: a small packed one could else bring a record that a
    # lane cannot put into one batch of its state any more.
    _kept_for(7, RECORD_LIMIT) | {"message.timestamp.type": "LogAppendTime", "compression.type": "uncompressed"},
    writers=frozenset({LANES, API, IMPORTER, TIMER, SHELL, UPSTREAM}),
    readers=frozenset({LANES}),
)
EVENTS = Topic(
    "events",
    "company_id",
    "The journal: every domain event, for ever, with gap-free positions per partition.",
    _kept_for_ever(BATCH_LIMIT),
    writers=frozenset({LANES}),
    readers=frozenset({LANES, API, SHELL, ANALYTICS}),
)
OUTCOMES = Topic(
    "outcomes",
    "company_id",
    "One answer per command: accepted with positions, or rejected with a code.",
    _kept_for(30),
    writers=frozenset({LANES}),
    readers=frozenset({API, IMPORTER, RECORDER, SHELL}),
)
DEAD_LETTERS = Topic(
    "dead-letters",
    "key of the origin",
    "What could not be processed, verbatim, with reason and origin.",
    _kept_for(30),
    writers=frozenset({LANES, IMPORTER}),
    readers=frozenset({SHELL}),
)
IMPORTS = Topic(
    "imports",
    "company_id",
    "Records of other systems exactly as they wrote them, to be mapped; kept for ever.",
    _kept_for_ever(RECORD_LIMIT),
    writers=frozenset({SHELL, UPSTREAM}),
    readers=frozenset({IMPORTER}),
)
AUDIT = Topic(
    "audit",
    "company_id",
    "Who did what, when, from where and under which key, refused commands and failed sign-ins too; kept for ever.",
    _kept_for_ever(BATCH_LIMIT),
    writers=frozenset({RECORDER}),
    readers=frozenset({RECORDER}),
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
    writers=frozenset({LANES}),
    readers=frozenset({LANES}),
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
    return replace(
        topic,
        name=f"{realm.name}.{topic.name}",
        meaning=f"Of the realm {realm.name}: {topic.meaning}",
        writers=_closed(realm, topic.writers),
        readers=_closed(realm, topic.readers),
    )


def lanes_of(realm: Realm) -> str:
    """The kind of the processes that run the realm's lanes."""
    return LANES if realm is BUSINESS else realm.name


def _closed(realm: Realm, kinds: frozenset[str]) -> frozenset[str]:
    """A realm of its own has lanes of its own, and nobody but the API and the audit has to do with it."""
    return frozenset({lanes_of(realm) if kind == LANES else kind for kind in kinds & {LANES, API, RECORDER}})


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
