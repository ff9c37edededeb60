"""Topics made as the catalogue says, and compared with it before anybody works on them."""

import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
    TopicMetadata,
)

from topics.access import Refusals, check, for_librdkafka
from topics.catalogue import COMMANDS, TOPICS, Topic
from topics.generation import next_prefix
from topics.publisher import Unavailable, address_of
from topics.settings import Settings

REQUEST_SECONDS = 10.0
SETTLING_SECONDS = 30.0
POLL_SECONDS = 0.05
APPLY = "bitcorp topics apply"
MISSING = "missing"
#: What a topic whose records were moved takes no more records by: none is that small.
SEAL, SEALED = "max.message.bytes", "0"
SAFE_REPLICATION = 3
SAFE_IN_SYNC = 2

T = TypeVar("T")


@dataclass(frozen=True)
class Difference:
    """One way in which a topic is not as the catalogue and the settings want it, and what mends it."""

    topic: str
    what: str
    found: str
    expected: str
    mend: str = APPLY

    def __str__(self) -> str:
        return f"{self.topic}: {self.what} is {self.found}, expected {self.expected}. To mend it: {self.mend}"


class TopicsDiffer(Exception):
    """The topics are not as they must be; the text shows each difference and what mends it."""

    def __init__(self, differences: Sequence[Difference]) -> None:
        self.differences = tuple(differences)
        lines = "\n".join(f"  {difference}" for difference in differences)
        super().__init__(f"The topics are not as this build needs them:\n{lines}")


def create_topics(settings: Settings) -> list[str]:
    """Create what is missing, mend configurations that differ, and say what was done: nothing, the second time.

    Several processes may do so at once. Raises TopicsDiffer for what cannot be mended here, Unavailable without Kafka.
    """
    _refuse(list(_unsafe_settings(settings)))
    with admin_client(settings) as admin:
        done = _create_missing(admin, settings)
        done += _mend_configs(admin, settings)
        _wait_until_seen(admin, settings)
    require(settings)
    return done


def require(settings: Settings) -> None:
    """Raise TopicsDiffer unless all topics are as the catalogue and the settings want them."""
    _refuse(compare(settings))


def compare(settings: Settings) -> list[Difference]:
    """Every difference between the topics that Kafka has and those that the catalogue and the settings want."""
    with admin_client(settings) as admin:
        return [*_unsafe_settings(settings), *_compare(admin, settings)]


def seal(settings: Settings, *, sealed: bool = True) -> None:
    """Let nobody write to the topics any more, whoever still runs; or open them again."""
    with admin_client(settings) as admin:
        limits = {topic.named(settings.prefix): SEALED if sealed else topic.config[SEAL] for topic in TOPICS}
        changes = [_change(name, {SEAL: limit}) for name, limit in limits.items()]
        for future in admin.incremental_alter_configs(changes, request_timeout=REQUEST_SECONDS).values():
            result_of(future)


def is_sealed(settings: Settings) -> bool:
    """Whether the topics take no more records."""
    name = COMMANDS.named(settings.prefix)
    with admin_client(settings) as admin:
        return name in _topics(admin) and _configs(admin, [name])[name].get(SEAL) == SEALED


def delete_topics(settings: Settings) -> list[str]:
    """Delete those of the topics that are there; gives their names."""
    with admin_client(settings) as admin:
        known = _topics(admin)
        there = [name for name in _wanted(settings) if name in known]
        if there:
            for future in admin.delete_topics(there, request_timeout=REQUEST_SECONDS).values():
                result_of(future)
    return there


def topic_id(settings: Settings, name: str) -> str:
    """Kafka's own id of the topic with this full name; another id means that the topic was made anew."""
    with admin_client(settings) as admin:
        described = admin.describe_topics(TopicCollection([name]), request_timeout=REQUEST_SECONDS)
        try:
            return str(result_of(described[name]).topic_id)
        except KafkaException as fault:
            if fault.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
            raise TopicsDiffer([_missing(name)]) from fault


def config_of(topic: Topic, settings: Settings) -> dict[str, str]:
    """The topic's configuration: the catalogue's, and what follows from the number of replicas."""
    in_sync = min(SAFE_IN_SYNC, max(1, settings.replication - 1))
    return {**topic.config, "min.insync.replicas": str(in_sync)}


def _wanted(settings: Settings) -> dict[str, Topic]:
    return {topic.named(settings.prefix): topic for topic in TOPICS}


def _refuse(differences: Sequence[Difference]) -> None:
    if differences:
        raise TopicsDiffer(differences)


# Differences


def _compare(admin: AdminClient, settings: Settings) -> list[Difference]:
    there = _topics(admin)
    wanted = _wanted(settings)
    configs = _configs(admin, [name for name in wanted if name in there])
    return [
        difference
        for name, topic in wanted.items()
        for difference in _differences(settings, name, topic, there.get(name), configs.get(name, {}))
    ]


def _unsafe_settings(settings: Settings) -> Iterator[Difference]:
    if not settings.single_node and settings.replication < SAFE_REPLICATION:
        mend = f"set BITCORP_REPLICATION={SAFE_REPLICATION}, or BITCORP_SINGLE_NODE=true where data may be lost"
        yield Difference("settings", "replication", str(settings.replication), f"at least {SAFE_REPLICATION}", mend)


def _missing(name: str) -> Difference:
    return Difference(name, "the topic", MISSING, "there")


def _moved(name: str, settings: Settings) -> Difference:
    mend = (
        f"set BITCORP_PREFIX={next_prefix(settings.prefix)} and BITCORP_PARTITIONS as bitcorp topics repartition said; "
        "if it has not ended, run it again, or with --give-up"
    )
    return Difference(name, "the topic", "sealed, since its records are moved", "open", mend)


def _differences(
    settings: Settings, name: str, topic: Topic, found: TopicMetadata | None, config: Mapping[str, str]
) -> Iterator[Difference]:
    if found is None:
        yield _missing(name)
        return
    if config.get(SEAL) == SEALED:
        yield _moved(name, settings)
        return
    partitions = len(found.partitions)
    if partitions != settings.partitions:
        mend = f"set BITCORP_PARTITIONS={partitions}; to have others: bitcorp topics repartition"
        yield Difference(name, "partition count", str(partitions), str(settings.partitions), mend)
    replication = min(len(partition.replicas) for partition in found.partitions.values())
    if replication < settings.replication:
        mend = "give its partitions more replicas (kafka-reassign-partitions), or set BITCORP_REPLICATION lower"
        yield Difference(name, "replication", str(replication), str(settings.replication), mend)
    for key, value in config_of(topic, settings).items():
        if config.get(key) != value:
            yield Difference(name, key, config.get(key, "unset"), value)


# Kafka


def _create_missing(admin: AdminClient, settings: Settings) -> list[str]:
    there = _topics(admin)
    missing = [
        NewTopic(name, settings.partitions, settings.replication, config=config_of(topic, settings))
        for name, topic in _wanted(settings).items()
        if name not in there
    ]
    if not missing:
        return []
    created = admin.create_topics(missing, request_timeout=REQUEST_SECONDS)
    return [f"created {name}" for name, future in created.items() if _was_created(future)]


def _was_created(future: "Future[None]") -> bool:
    """False where another process was faster."""
    try:
        result_of(future)
    except KafkaException as fault:
        if fault.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
        return False
    return True


def _wait_until_seen(admin: AdminClient, settings: Settings) -> None:
    """A broker hears of what the controller has done a moment later, and a partition has its leader later still."""
    deadline = time.monotonic() + SETTLING_SECONDS
    while pending := [*_mendable(admin, settings), *_leaderless(admin, settings)]:
        if time.monotonic() > deadline:
            raise Unavailable(
                f"After {SETTLING_SECONDS:.0f} s Kafka is not done with its topics ({'; '.join(pending)}). "
                "See whether all brokers run."
            )
        time.sleep(POLL_SECONDS)


def _mendable(admin: AdminClient, settings: Settings) -> list[str]:
    return [f"{found.topic}: {found.what}" for found in _compare(admin, settings) if found.mend == APPLY]


def _leaderless(admin: AdminClient, settings: Settings) -> list[str]:
    wanted = _wanted(settings)
    return [
        f"{name}/{partition.id}: no leader"
        for name, topic in _topics(admin).items()
        if name in wanted
        for partition in topic.partitions.values()
        if partition.leader < 0
    ]


def _mend_configs(admin: AdminClient, settings: Settings) -> list[str]:
    """Set what differs on topics that are there; the new ones have it already."""
    changes: dict[str, dict[str, str]] = defaultdict(dict)
    for found in _compare(admin, settings):
        if found.mend == APPLY and found.found != MISSING:
            changes[found.topic][found.what] = found.expected
    if changes:
        resources = [_change(name, values) for name, values in changes.items()]
        for future in admin.incremental_alter_configs(resources, request_timeout=REQUEST_SECONDS).values():
            result_of(future)
    return [f"set {key}={value} on {name}" for name, values in changes.items() for key, value in values.items()]


def _change(name: str, values: Mapping[str, str]) -> ConfigResource:
    entries = [ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in values.items()]
    return ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)


def _configs(admin: AdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    described = admin.describe_configs(resources, request_timeout=REQUEST_SECONDS)
    return {
        resource.name: {key: entry.value for key, entry in result_of(future).items()}
        for resource, future in described.items()
    }


def _topics(admin: AdminClient) -> dict[str, TopicMetadata]:
    try:
        there: dict[str, TopicMetadata] = admin.list_topics(timeout=REQUEST_SECONDS).topics
    except KafkaException as fault:
        raise Unavailable(_no_answer(fault)) from fault
    return there


def result_of(future: "Future[T]") -> T:
    try:
        return future.result(REQUEST_SECONDS * 2)
    except KafkaException as fault:
        if fault.args[0].code() in (KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN):
            raise Unavailable(_no_answer(fault)) from fault
        raise


def _no_answer(fault: Any) -> str:
    return (
        f"Kafka does not answer ({fault.args[0].str()}). Start it (bitcorp up), or set BITCORP_KAFKA, and "
        "BITCORP_KAFKA_PROTOCOL where it wants TLS."
    )


@contextmanager
def admin_client(settings: Settings) -> Iterator[AdminClient]:
    """A client for administration. Raises NoAccess where Kafka refuses it, or what is asked with it."""
    address_of(settings)
    check(settings)
    refusals = Refusals(settings)
    client = AdminClient(
        for_librdkafka(settings) | {"client.id": f"{settings.prefix}-provision"},
        logger=logging.getLogger("librdkafka"),
        error_cb=refusals,
    )
    try:
        yield client
    except (KafkaException, Unavailable) as fault:
        client.poll(0)
        if isinstance(fault, KafkaException):
            refusals(fault.args[0])
        refusals.tell(fault)
        raise
