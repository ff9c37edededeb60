"""Topics on a real Kafka: made as the catalogue says, compared with it, mended where that can be done."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from topics import provision
from topics.catalogue import COMMANDS, EVENTS, OUTCOMES, TOPICS
from topics.provision import TopicsDiffer, compare, create_topics, is_sealed, require, seal, topic_id
from topics.publisher import Unavailable
from topics.settings import Settings

NOWHERE = "127.0.0.1:1"


def changed(settings: Settings, **changes: object) -> Settings:
    return Settings(**settings.model_dump() | changes)


def names(settings: Settings) -> list[str]:
    return [topic.named(settings.prefix) for topic in TOPICS]


def reconfigure(settings: Settings, topic: str, key: str, value: str) -> None:
    """What an operator does behind our back."""
    entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    admin.incremental_alter_configs([resource])[resource].result(30)


def until(fact: Callable[[], bool]) -> None:
    """Brokers hear of a change a moment after it was made."""
    deadline = time.monotonic() + 30
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def refusal(settings: Settings) -> list[str]:
    with pytest.raises(TopicsDiffer) as raised:
        require(settings)
    return str(raised.value).splitlines()


# --- create and compare ---------------------------------------------------------------------------------------------


def test_topics_are_created_once(blank: Settings) -> None:
    assert create_topics(blank) == [f"created {name}" for name in names(blank)]
    assert compare(blank) == []
    assert create_topics(blank) == []


def test_several_processes_may_create_them_at_once(blank: Settings) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = [line for lines in pool.map(create_topics, [blank] * 4) for line in lines]
    assert sorted(line for line in done if line.startswith("created")) == sorted(f"created {n}" for n in names(blank))
    require(blank)


def test_missing_topics_are_refused_with_the_command_that_makes_them(blank: Settings) -> None:
    assert refusal(blank) == [
        "The topics are not as this build needs them:",
        *(f"  {name}: the topic is missing, expected there. To mend it: bitcorp topics apply" for name in names(blank)),
    ]


@pytest.mark.parametrize("partitions", [2])
def test_another_partition_count_is_refused_and_not_mended(settings: Settings) -> None:
    wanted = changed(settings, partitions=6)
    mend = "To mend it: set BITCORP_PARTITIONS=2; to have others: bitcorp topics repartition"
    expected = [f"  {name}: partition count is 2, expected 6. {mend}" for name in names(settings)]
    assert refusal(wanted)[1:] == expected
    with pytest.raises(TopicsDiffer):
        create_topics(wanted)
    require(settings)


def test_another_configuration_is_refused_and_mended(settings: Settings) -> None:
    outcomes = OUTCOMES.named(settings.prefix)
    reconfigure(settings, outcomes, "retention.ms", "1000")
    until(lambda: compare(settings) != [])
    kept = OUTCOMES.config["retention.ms"]
    assert refusal(settings)[1:] == [
        f"  {outcomes}: retention.ms is 1000, expected {kept}. To mend it: bitcorp topics apply"
    ]
    assert create_topics(settings) == [f"set retention.ms={kept} on {outcomes}"]
    require(settings)


def test_what_the_catalogue_does_not_name_is_the_operators(settings: Settings) -> None:
    reconfigure(settings, EVENTS.named(settings.prefix), "segment.bytes", "104857600")
    require(settings)


# --- ids ------------------------------------------------------------------------------------------------------------


def test_a_topic_has_an_id_that_a_new_topic_of_the_same_name_does_not_have(settings: Settings) -> None:
    commands = COMMANDS.named(settings.prefix)
    before = topic_id(settings, commands)
    assert before == topic_id(settings, commands) != topic_id(settings, EVENTS.named(settings.prefix))
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    admin.delete_topics([commands])[commands].result(30)
    until(lambda: compare(settings) != [])
    create_topics(settings)
    assert topic_id(settings, commands) != before


def test_a_topic_that_is_not_there_has_no_id(blank: Settings) -> None:
    with pytest.raises(TopicsDiffer, match=f"{blank.prefix}.commands: the topic is missing"):
        topic_id(blank, COMMANDS.named(blank.prefix))


# --- production -----------------------------------------------------------------------------------------------------


def test_production_refuses_fewer_than_three_replicas_before_it_makes_anything(blank: Settings) -> None:
    production = changed(blank, single_node=False)
    with pytest.raises(TopicsDiffer, match=r"replication is 1, expected at least 3.*BITCORP_REPLICATION=3"):
        create_topics(production)
    assert len(compare(blank)) == len(TOPICS)


def test_production_refuses_topics_that_are_held_less_safely_than_it_wants(settings: Settings) -> None:
    text = "\n".join(refusal(changed(settings, single_node=False, replication=3)))
    for name in names(settings):
        assert f"{name}: replication is 1, expected 3" in text
        assert f"{name}: min.insync.replicas is 1, expected 2" in text


# --- what the broker refuses ----------------------------------------------------------------------------------------


def test_a_small_packed_batch_cannot_bring_a_command_too_large_for_a_lane(settings: Settings) -> None:
    producer = Producer(
        {"bootstrap.servers": settings.kafka, "compression.type": "gzip", "message.max.bytes": 9_000_000}
    )
    faults: list[int | None] = []
    for size in (1_000_000, 4_000_000):
        producer.produce(
            COMMANDS.named(settings.prefix),
            b"x" * size,
            b"acme",
            on_delivery=lambda fault, _: faults.append(fault and fault.name()),
        )
        producer.flush(30)
    assert faults == [None, "MSG_SIZE_TOO_LARGE"]


# --- without Kafka --------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("ask", [create_topics, compare, require, lambda settings: topic_id(settings, "erp.commands")])
def test_without_kafka_it_says_so(ask: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provision, "REQUEST_SECONDS", 0.3)
    with pytest.raises(Unavailable, match=r"Kafka does not answer.*bitcorp up.*BITCORP_KAFKA"):
        ask(Settings(kafka=NOWHERE))  # type: ignore[operator]


def test_without_an_address_it_says_what_to_set() -> None:
    with pytest.raises(Unavailable, match=r"No Kafka is named.*BITCORP_KAFKA"):
        require(Settings(kafka=""))


def test_other_faults_of_kafka_are_not_hidden(blank: Settings) -> None:
    with pytest.raises(KafkaException, match="INVALID_REPLICATION_FACTOR"):
        create_topics(changed(blank, replication=9))


# --- sealed ---------------------------------------------------------------------------------------------------------


def is_taken(settings: Settings) -> bool:
    """Whether the broker takes a record for the commands topic."""
    refused: list[object] = []
    producer = Producer({"bootstrap.servers": settings.kafka, "message.timeout.ms": 20_000})
    producer.produce(COMMANDS.named(settings.prefix), b"{}", on_delivery=lambda fault, _: refused.append(fault))
    producer.flush(30)
    return refused[0] is None  # a KafkaError cannot be compared with None


def test_sealed_topics_take_nothing_and_stay_sealed_until_they_are_opened(settings: Settings) -> None:
    seal(settings)
    until(lambda: is_sealed(settings) and not is_taken(settings))
    assert f"set BITCORP_PREFIX={settings.prefix}-g2" in "".join(refusal(settings))
    with pytest.raises(TopicsDiffer, match="sealed, since its records are moved"):
        create_topics(settings)
    assert not is_taken(settings)
    seal(settings, sealed=False)
    until(lambda: not is_sealed(settings) and is_taken(settings))
    require(settings)
