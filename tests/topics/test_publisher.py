"""Commands on their way to a real Kafka: acknowledged, or refused in bounded time and never sent after all."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from ops.embedded import Kafka
from tests.topics.reading import records_of
from tests.topics.samples import command, command_record, new_command
from topics import publisher
from topics.catalogue import COMMANDS, DEAD_LETTERS, partition_of
from topics.cloudevents import size_of
from topics.messages import CommandMessage, moment_of, read_command
from topics.provision import create_topics
from topics.publisher import Publisher, TooLarge, Unavailable
from topics.settings import Settings

PATIENCE = 120.0
NOWHERE = "127.0.0.1:1"


@pytest.fixture
async def open_publisher(settings: Settings) -> AsyncIterator[Publisher]:
    found = Publisher(settings)
    await found.start()
    yield found
    await found.stop()


async def commands_in(settings: Settings) -> list[CommandMessage]:
    return [read_command(record) for record in await records_of(settings, COMMANDS.named(settings.prefix))]


# --- while Kafka is there -------------------------------------------------------------------------------------------


async def test_a_command_is_in_its_companys_partition_when_send_returns(
    settings: Settings, open_publisher: Publisher
) -> None:
    companies = ["acme", "bolt", "crane-co", "delta"]
    for company in companies:
        await open_publisher.send(new_command(company_id=company))
    records = await records_of(settings, COMMANDS.named(settings.prefix))
    assert sorted(read_command(record).company_id for record in records) == companies
    for record in records:
        assert record.partition == partition_of(record.key or b"", settings.partitions)
        assert abs(moment_of(record.timestamp) - datetime.now(UTC)) < timedelta(hours=1)


async def test_commands_of_one_company_stay_in_order(settings: Settings, open_publisher: Publisher) -> None:
    sent = [new_command() for _ in range(500)]
    await asyncio.gather(*(open_publisher.send(one) for one in sent))
    assert await commands_in(settings) == sent


async def test_any_record_can_be_sent_to_any_partition(settings: Settings, open_publisher: Publisher) -> None:
    letters = DEAD_LETTERS.named(settings.prefix)
    odd = (("bitcorp-reason", b"\xff\x00"), ("nothing", None))
    record = command_record(command(), letters, 1)._replace(key=None, headers=odd, value=b"\xfe")
    await open_publisher.send_records([record])
    (found,) = await records_of(settings, letters)
    assert found[:5] == record[:5]


async def test_a_command_larger_than_its_topic_is_refused_and_the_largest_is_taken(
    settings: Settings, open_publisher: Publisher
) -> None:
    def sized(size: int) -> CommandMessage:
        return new_command(data=b"x" * size)

    overhead = size_of(command_record(sized(0), COMMANDS.named(settings.prefix)))
    await open_publisher.send(sized(COMMANDS.limit - overhead))
    with pytest.raises(
        TooLarge, match=f"{COMMANDS.limit + 1} bytes; {settings.prefix}.commands takes {COMMANDS.limit}"
    ):
        await open_publisher.send(sized(COMMANDS.limit - overhead + 1))
    assert open_publisher.ready()


async def test_a_missing_topic_is_named_with_what_makes_it(blank: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "SEND_SECONDS", 1.0)
    found = Publisher(blank)
    await found.start()
    with pytest.raises(Unavailable, match=f"has no topic {blank.prefix}.commands. Create it: bitcorp topics apply"):
        await found.send(command())
    await found.stop()


async def test_stop_may_be_called_twice_and_without_start(settings: Settings) -> None:
    never = Publisher(settings)
    await never.stop()
    opened = Publisher(settings)
    await opened.start()
    await opened.stop()
    await opened.stop()
    for one in (never, opened):
        assert not one.ready()
        with pytest.raises(Unavailable):
            await one.send(command())


async def test_stop_waits_for_what_is_being_sent(settings: Settings) -> None:
    found = Publisher(settings)
    await found.start()
    sent = [new_command() for _ in range(200)]
    await found.send(sent[0])
    sending = [asyncio.create_task(found.send(one)) for one in sent[1:]]
    await asyncio.sleep(0)
    await found.stop()
    answers = await asyncio.gather(*sending, return_exceptions=True)
    assert {type(answer) for answer in answers} <= {type(None), Unavailable}
    acknowledged = [one for one, answer in zip(sent[1:], answers, strict=True) if answer is None]
    assert sent[1] in acknowledged
    landed = {one.id for one in await commands_in(settings)}
    assert {one.id for one in acknowledged} <= landed


async def test_a_caller_who_gives_up_does_not_disturb_the_others(settings: Settings, open_publisher: Publisher) -> None:
    sending = [asyncio.create_task(open_publisher.send(new_command())) for _ in range(20)]
    await asyncio.sleep(0)
    sending[3].cancel()
    answers = await asyncio.gather(*sending, return_exceptions=True)
    assert [type(answer) for answer in answers if answer is not None] == [asyncio.CancelledError]
    assert open_publisher.ready()


# --- when Kafka goes away -------------------------------------------------------------------------------------------


async def until_ready(found: Publisher) -> None:
    async with asyncio.timeout(PATIENCE):
        while not found.ready():  # noqa: ASYNC110 (it answers from a clock, there is nothing to be told)
            await asyncio.sleep(0.02)


@pytest.mark.thorough
async def test_where_no_kafka_answers_a_message_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "SEND_SECONDS", 0.3)
    found = Publisher(Settings(kafka=NOWHERE))
    await found.start()
    assert not found.ready()
    with pytest.raises(Unavailable, match=f"Kafka at {NOWHERE} does not answer. See whether the broker runs"):
        await found.send(command())
    await found.stop()


def test_without_an_address_it_says_what_to_set() -> None:
    with pytest.raises(Unavailable, match=r"No Kafka is named.*BITCORP_KAFKA"):
        Publisher(Settings(kafka=""))


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A broker that these tests may kill; not started yet."""
    kafka = Kafka(tmp_path_factory.mktemp("own-kafka"))
    yield kafka
    kafka.stop()


@pytest.fixture
def mortal(own_kafka: Kafka, blank: Settings) -> Settings:
    """Settings for that broker, under a prefix without topics."""
    return Settings(**blank.model_dump() | {"kafka": own_kafka.address})


@pytest.fixture
async def complaints() -> AsyncIterator[list[str]]:
    """What asyncio complains about: lost tasks, and exceptions that nobody saw."""
    heard: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(str(context)))
    yield heard
    asyncio.get_running_loop().set_exception_handler(None)


@pytest.mark.long
async def test_a_process_may_start_before_its_kafka(
    own_kafka: Kafka, mortal: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_kafka.kill()
    monkeypatch.setattr(publisher, "SEND_SECONDS", 0.3)
    found = Publisher(mortal)
    await found.start()
    assert not found.ready()
    await asyncio.to_thread(own_kafka.start)
    await asyncio.to_thread(create_topics, mortal)
    monkeypatch.setattr(publisher, "SEND_SECONDS", PATIENCE)
    await until_ready(found)
    await found.send(command())
    await found.stop()
    assert await commands_in(mortal) == [command()]


@pytest.mark.long
async def test_what_fails_while_kafka_is_away_is_not_sent_later(
    own_kafka: Kafka, mortal: Settings, complaints: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own_kafka.start()
    create_topics(mortal)
    found = Publisher(mortal)
    await found.start()
    before, after = new_command(), new_command()
    await found.send(before)
    own_kafka.kill()
    monkeypatch.setattr(publisher, "SEND_SECONDS", 1.0)
    answers = await asyncio.gather(*(found.send(new_command()) for _ in range(50)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {Unavailable}
    monkeypatch.setattr(publisher, "SEND_SECONDS", PATIENCE)
    await asyncio.to_thread(own_kafka.start)
    await found.send(after)
    await found.stop()
    assert await commands_in(mortal) == [before, after]
    gc.collect()
    assert complaints == []


@pytest.mark.long
async def test_a_short_outage_is_waited_out_and_nothing_is_doubled(
    own_kafka: Kafka, mortal: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_kafka.start()
    create_topics(mortal)
    monkeypatch.setattr(publisher, "SEND_SECONDS", PATIENCE)
    found = Publisher(mortal)
    await found.start()
    sent = [new_command() for _ in range(100)]
    await asyncio.gather(*(found.send(one) for one in sent[:50]))
    sending = [asyncio.create_task(found.send(one)) for one in sent[50:]]
    await asyncio.sleep(0)
    own_kafka.kill()
    await asyncio.to_thread(own_kafka.start)
    await asyncio.gather(*sending)
    await found.stop()
    assert await commands_in(mortal) == sent
