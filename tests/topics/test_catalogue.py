"""The catalogue of topics, and where Kafka's own Java client puts a key."""

import pytest

from topics.catalogue import (
    AUDIT,
    BATCH_LIMIT,
    COMMANDS,
    DAY,
    EVENTS,
    IMPORTS,
    OUTCOMES,
    STATE,
    TOPICS,
    TOPICS_OF,
    partition_of,
)

# org.apache.kafka.common.utils.UtilsTest, testMurmur2
JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", JAVA, ids=repr)
@pytest.mark.parametrize("partitions", [1, 2, 6, 24, 500])
def test_a_key_belongs_to_the_partition_of_the_java_client(key: bytes, partitions: int) -> None:
    assert partition_of(key, partitions) == (JAVA[key] & 0x7FFFFFFF) % partitions


def test_topics_are_named_under_their_prefix() -> None:
    assert [topic.named("erp") for topic in TOPICS] == [
        "erp.commands",
        "erp.events",
        "erp.outcomes",
        "erp.dead-letters",
        "erp.imports",
        "erp.audit",
        "erp.state-changelog",
        "erp.credentials.commands",
        "erp.credentials.events",
        "erp.credentials.outcomes",
        "erp.credentials.dead-letters",
        "erp.credentials.state-changelog",
    ]


def test_the_journal_and_what_others_wrote_are_kept_for_ever_and_the_rest_for_its_time() -> None:
    for topic in (EVENTS, AUDIT, IMPORTS):
        assert topic.config["retention.ms"] == topic.config["retention.bytes"] == "-1"
    assert (COMMANDS.config["retention.ms"], OUTCOMES.config["retention.ms"]) == (str(7 * DAY), str(30 * DAY))
    assert STATE.config["cleanup.policy"] == "compact"


def test_the_broker_stamps_commands_and_state_because_rules_and_compaction_go_by_its_clock() -> None:
    stamped = [topic for topic in TOPICS if topic.config.get("message.timestamp.type") == "LogAppendTime"]
    assert stamped == [topic for of in TOPICS_OF.values() for topic in (of.commands, of.state)]


def test_a_dead_letter_has_room_for_any_command_or_import_beside_its_reason() -> None:
    small = [*(topics.commands for topics in TOPICS_OF.values()), IMPORTS]
    assert {topic.limit for topic in small} == {IMPORTS.limit} and IMPORTS.limit <= BATCH_LIMIT // 4
    assert all(topic.limit == BATCH_LIMIT for topic in TOPICS if topic not in small)


def test_every_topic_says_what_it_is() -> None:
    assert all(topic.meaning.endswith(".") and topic.key for topic in TOPICS)
