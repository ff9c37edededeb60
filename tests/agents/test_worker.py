"""Real workers on a real Kafka: what comes in gets its outcome, whatever it is and whoever dies."""

import asyncio
import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient

from agents.decide import INBOX_FULL
from agents.faust_app import EXIT_MISCONFIGURED
from ops.embedded import Stack
from tests.agents.load import Load
from tests.agents.orders import (
    company_on,
    create_company,
    create_equipment,
    opening,
    order,
    record_of,
    rename,
    schedule,
)
from tests.agents.story import story
from tests.agents.upstream import Upstream, Worker, Workers, until, workers_of
from tests.topics import unreadable_names
from topics.catalogue import DEAD_LETTERS
from topics.cloudevents import Record
from topics.messages import CommandMessage, write_command
from topics.provision import create_topics
from topics.settings import Settings

PARTITIONS = 3
FIRM = company_on(0, PARTITIONS)
SESSION_SECONDS = 3


def settings_of(stack: Stack, directory: Path) -> Settings:
    prefix = f"worker-{uuid4().hex[:8]}"
    kafka = stack.kafka.address
    return Settings(
        kafka=kafka, prefix=prefix, partitions=PARTITIONS, directory=directory, session_seconds=SESSION_SECONDS
    )


# -- one worker ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one_worker(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Worker, Upstream]]:
    """A worker that all tests of this section share, with a company and its machine m-1."""
    directory = tmp_path_factory.mktemp("one-worker")
    settings = settings_of(stack, directory)
    create_topics(settings)
    with workers_of(settings, directory) as workers:
        worker = workers.start()
        upstream = Upstream(settings)
        commands = [*opening(FIRM), create_equipment(FIRM, "m-1", 1)]
        upstream.send(upstream.command(record_of(command)) for command in commands)
        assert upstream.outcome(commands[-1].id).status == "accepted"
        yield worker, upstream
        upstream.close()


@pytest.fixture
def worker(one_worker: tuple[Worker, Upstream]) -> Worker:
    return one_worker[0]


@pytest.fixture
def upstream(one_worker: tuple[Worker, Upstream]) -> Upstream:
    return one_worker[1]


def fresh(name: str, **data: Any) -> CommandMessage:
    command = rename(FIRM, "m-1", name, command_id=str(uuid4()))
    return command._replace(data=json.dumps(json.loads(command.data) | data).encode())


def test_a_command_comes_back_as_an_outcome(upstream: Upstream) -> None:
    command = fresh("Digger")
    upstream.send([upstream.command(record_of(command))])
    outcome = upstream.outcome(command.id)
    assert (outcome.status, outcome.actor, outcome.company_id) == ("accepted", "user:ada", FIRM)


def test_a_command_of_librdkafkas_own_partitioner_reaches_its_company(upstream: Upstream) -> None:
    companies = [company_on(partition, PARTITIONS, 1) for partition in range(PARTITIONS)]
    commands = [create_company(company) for company in companies]
    upstream.send(upstream.command(record_of(command))._replace(partition=-1) for command in commands)
    for partition, command in enumerate(commands):
        outcome = upstream.outcome(command.id)
        assert (outcome.status, outcome.partition) == ("accepted", partition)


def test_a_command_in_structured_mode_is_decided(upstream: Upstream) -> None:
    command = fresh("Crane")
    key, data, headers = write_command(command)
    attributes = {name[3:]: value.decode() for name, value in headers if name.startswith("ce_")}
    body = json.dumps({**attributes, "datacontenttype": "application/json", "data": json.loads(data)}).encode()
    record = Record("", 0, key, body, (("content-type", b"application/cloudevents+json; charset=utf-8"),))
    upstream.send([upstream.command(record)])
    assert upstream.outcome(command.id).status == "accepted"


def poisoned(data: bytes) -> Record:
    return record_of(fresh("unused"), value=data)


def equipment(**fields: Any) -> Record:
    command = create_equipment(FIRM, "poison", 99, command_id=str(uuid4()))
    return record_of(command._replace(data=json.dumps(json.loads(command.data) | fields).encode()))


def job(**fields: Any) -> Record:
    command = schedule(FIRM, "m-1", "j-poison", command_id=str(uuid4()))
    return record_of(command._replace(data=json.dumps(json.loads(command.data) | fields).encode()))


def money(amount: object) -> Record:
    return equipment(purchase_price={"amount": amount, "currency": "EUR"})


def with_header(name: str, value: bytes | None) -> Record:
    """A fresh command whose header says something else."""
    record = record_of(fresh("unused"), without=name)
    return record._replace(headers=(*record.headers, (name, value)))  # type: ignore[arg-type]


def raw(text: str) -> Record:
    return poisoned(f'{{"equipment_id":"m-1","name":{text}}}'.encode())


NAIVE = {
    "job_id": "j",
    "maintenance_type": "PREVENTIVE",
    "completed_by": "ada",
    "performed_at": "2024-01-01T00:00:00",
}
REFUSED = {
    "NUL": raw('"a\\u0000b"'),
    "lone surrogate": raw('"a\\ud800b"'),
    "1 MB text": fresh("x" * 1_000_000),
    "control character": raw('"a\\u0007b"'),
    "line break for the logs": fresh("a\nlevel=error admin logged in"),
    "1E+400": money("1E+400"),
    "NaN in a string": money("NaN"),
    "-0": money("-0"),
    "1_0": money("1_0"),
    "five decimals": money("1.00005"),
    "a number for money": money(7.5),
    "2^63": fresh("x", version=2**63),
    "unknown field": fresh("x", colour="red"),
    "year 1": equipment(in_service_on="0001-01-01"),
    "year 9999": equipment(in_service_on="9999-12-31"),
    "0 for a date": equipment(in_service_on=0),
    "naive time": record_of(
        order(
            FIRM,
            "equipment.record-maintenance",
            "m-1",
            NAIVE,
            command_id=str(uuid4()),
        )
    ),
    "empty id": record_of(rename(FIRM, "m-1", "x", command_id=str(uuid4())), value=b'{"equipment_id":"","name":"x"}'),
    "300-byte id": job(job_id="j" * 300),
    "non-ASCII id": job(job_id="jöb"),
    "path for an id": job(job_id="../../etc/passwd"),
    "null for all": poisoned(b"null"),
    "a list": poisoned(b"[]"),
    "future ce_time": with_header("ce_time", b"9999-01-01T00:00:00Z"),
}
SET_ASIDE = {
    "not UTF-8": poisoned(b'{"name":"\xff\xfe"}'),
    "raw surrogate": poisoned(b'{"name":"\xed\xa0\x80"}'),
    "NaN": raw("NaN"),
    "duplicate keys": poisoned(b'{"equipment_id":"m-1","name":"a","name":"b"}'),
    "depth 10,000": poisoned(b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
    "integer of 10,000 digits": raw("9" * 10_000),
    "no JSON": poisoned(b"EX-7;Digger"),
    "empty value": poisoned(b""),
    "tombstone": record_of(fresh("x"))._replace(value=None),
    "other content type": with_header("content-type", b"text/xml"),
    "NUL in a header": with_header("ce_source", b"a\x00b"),
    "header not UTF-8": with_header("ce_source", b"\xff"),
    "null header": with_header("ce_source", None),
    "null ce_actor": with_header("ce_actor", None),
    "unknown actor kind": with_header("ce_actor", b"root:ada"),
    "repeated header": record_of(fresh("x"), extra=(("ce_type", b"other"),)),
    "unknown type": record_of(order(FIRM, "equipment.paint", "m-1", {}, command_id=str(uuid4()))),
    "unknown version": with_header("ce_type", b"com.bitcorp.erp.equipment.rename-equipment.v9"),
    "2 MB of NUL": poisoned(b"\x00" * 2_000_000),
    "2 MB of a header": with_header("ce_source", b"x" * 1_900_000),
}
WITHOUT_AN_ANSWER = {
    "no ce_id": record_of(fresh("x"), without="ce_id"),
    "ce_id is no UUID": with_header("ce_id", b"7"),
    "no key": record_of(fresh("x"))._replace(key=None),
    "key not UTF-8": record_of(fresh("x"))._replace(key=b"\xff\xfe"),
    "300-byte key": record_of(fresh("x"))._replace(key=b"k" * 300),
    "NUL in the key": record_of(fresh("x"))._replace(key=b"a\x00b"),
    "nothing at all": Record("", 0, None, None),
    "an empty key": record_of(fresh("x"))._replace(key=b""),
}
HARMLESS = {
    "right-to-left and zero-width marks": fresh("a\u202eb\u200bc"),
    "spreadsheet formula": fresh("=cmd|'/C calc'!A0"),
    "SQL": fresh("'\";-- DROP TABLE equipment"),
    "markup": fresh("<script>alert(1)</script>"),
    "typst": fresh('#read("/etc/passwd")'),
    "state key": fresh("x/~command/y"),
}


def as_record(poison: CommandMessage | Record) -> Record:
    return poison if isinstance(poison, Record) else record_of(poison)


def id_of(record: Record) -> str:
    return dict(record.headers)["ce_id"].decode()


def letters(upstream: Upstream, record: Record) -> list[str]:
    """Reasons of all dead letters that hold just this record, re-routed or not."""
    upstream.follow()
    ours = [letter for letter in upstream.letters if letter.origin[2:4] == record[2:4]]
    return [letter.reason for letter in ours if letter.origin.headers[: len(record.headers)] == record.headers]


def then_the_lane_goes_on(upstream: Upstream) -> None:
    command = fresh("Goes on")
    upstream.send([upstream.command(record_of(command))])
    assert upstream.outcome(command.id).status == "accepted"


@pytest.mark.parametrize("poison", REFUSED.values(), ids=REFUSED)
def test_a_poisonous_value_is_refused_once(upstream: Upstream, poison: CommandMessage | Record) -> None:
    record = as_record(poison)
    upstream.send([upstream.command(record)])
    outcome = upstream.outcome(id_of(record))
    if dict(record.headers)["ce_time"].startswith(b"9999"):
        assert outcome.status == "accepted", "the sender's clock decides nothing"
    else:
        assert (outcome.status, outcome.code) == ("rejected", "invalid")
    then_the_lane_goes_on(upstream)
    assert len(upstream.outcomes[id_of(record)]) == 1


@pytest.mark.parametrize("record", SET_ASIDE.values(), ids=SET_ASIDE)
def test_what_is_no_command_is_set_aside_once_and_refused(upstream: Upstream, record: Record) -> None:
    upstream.send([upstream.command(record)])
    outcome = upstream.outcome(id_of(record))
    assert (outcome.status, outcome.code) == ("rejected", "invalid")
    then_the_lane_goes_on(upstream)
    assert letters(upstream, record) == ["invalid"]
    assert len(upstream.outcomes[id_of(record)]) == 1


@pytest.mark.parametrize("record", WITHOUT_AN_ANSWER.values(), ids=WITHOUT_AN_ANSWER)
def test_what_names_no_command_is_set_aside_once(upstream: Upstream, record: Record) -> None:
    upstream.send([upstream.command(record)._replace(partition=0)])
    until(lambda: letters(upstream, record) == ["invalid"], what="one dead letter")
    then_the_lane_goes_on(upstream)
    assert letters(upstream, record) == ["invalid"]


@pytest.mark.parametrize("command", HARMLESS.values(), ids=HARMLESS)
def test_what_is_dangerous_elsewhere_is_only_text_here(upstream: Upstream, command: CommandMessage) -> None:
    upstream.send([upstream.command(record_of(command))])
    assert upstream.outcome(command.id).status == "accepted"


def test_more_commands_than_a_lane_holds_at_once_are_all_decided(upstream: Upstream) -> None:
    commands = [fresh(f"Name {number}") for number in range(INBOX_FULL + 500)]
    upstream.send(upstream.command(record_of(command)) for command in commands)
    for command in commands:
        assert upstream.outcome(command.id).status == "accepted"


def test_a_worker_listens_on_no_port(worker: Worker) -> None:
    """Faust's own web server would show every state record to whoever asks."""
    pid = worker.process.pid
    sockets = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()]
    listening = {f"socket:[{row[9]}]" for row in rows[1:] if row[3] == "0A"}
    assert sockets & listening == set()


def test_all_that_was_sent_to_the_worker_is_in_order(upstream: Upstream) -> None:
    upstream.until_all_decided()
    assert upstream.violations() == []


# -- workers that do not start, and workers that stop ----------------------------------------------------------------


@pytest.fixture
def standbys() -> int:
    """How many workers follow a partition beside its owner."""
    return 0


@pytest.fixture
def workers(stack: Stack, tmp_path: Path, standbys: int) -> Iterator[Workers]:
    """Workers on topics of their own, which the test creates."""
    settings = settings_of(stack, tmp_path).model_copy(update={"standbys": standbys})
    with workers_of(settings, tmp_path) as found:
        yield found


@pytest.fixture
def sender(workers: Workers) -> Iterator[Upstream]:
    create_topics(workers.settings)
    upstream = Upstream(workers.settings)
    yield upstream
    upstream.close()


def test_a_worker_without_topics_says_what_is_missing_and_what_to_do(workers: Workers) -> None:
    worker = workers.start()
    assert worker.exit_code() == EXIT_MISCONFIGURED
    assert f"{workers.settings.prefix}.commands" in worker.said and "missing" in worker.said
    assert "bitcorp topics apply" in worker.said


def test_a_worker_with_other_partition_counts_says_how_they_differ(workers: Workers) -> None:
    create_topics(workers.settings)
    worker = workers.start(partitions=PARTITIONS + 1)
    assert worker.exit_code() == EXIT_MISCONFIGURED
    assert f"is {PARTITIONS}, expected {PARTITIONS + 1}" in worker.said
    assert f"BITCORP_PARTITIONS={PARTITIONS}" in worker.said


def test_a_missing_topic_among_others_is_named(workers: Workers) -> None:
    create_topics(workers.settings)
    name = DEAD_LETTERS.named(workers.settings.prefix)
    admin = AdminClient({"bootstrap.servers": workers.settings.kafka})
    admin.delete_topics([name])[name].result(10)
    worker = workers.start()
    assert worker.exit_code() == EXIT_MISCONFIGURED
    assert name in worker.said


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_a_worker_that_is_told_to_stop_finishes_what_it_decided(
    workers: Workers, sender: Upstream, number: signal.Signals
) -> None:
    worker = workers.start()
    sender.send(story(Random(1), 300, workers.settings.prefix, PARTITIONS))
    worker.until_serving()
    worker.signal(number)
    assert worker.exit_code() == 0, worker.said
    successor = workers.start()
    sender.until_all_decided()
    assert sender.violations() == []
    assert successor.process.poll() is None


def test_a_command_with_a_header_whose_name_is_no_text_is_set_aside_and_stops_nothing(
    workers: Workers, sender: Upstream
) -> None:
    workers.start()
    record = sender.command(record_of(create_company(FIRM)))
    poison = record._replace(headers=(*record.headers, (unreadable_names.NAME, b"x")))
    asyncio.run(unreadable_names.send(workers.settings.kafka, poison))
    until(lambda: letters(sender, record) == ["invalid"], what="one dead letter")
    sender.send([record])
    assert sender.outcome(create_company(FIRM).id).status == "accepted"


# -- workers that die ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "standbys", [pytest.param(0, id="read anew"), pytest.param(1, id="followed by another", marks=pytest.mark.long)]
)
def test_killing_workers_under_load_loses_and_doubles_nothing(workers: Workers, sender: Upstream) -> None:
    chance = random.Random(3)
    pair = [workers.start(), workers.start()]
    load = Load(sender, seed=3)
    for worker in pair:
        worker.until_serving()
    for _ in range(3):
        load.beyond(chance.randint(100, 900))
        victim = chance.randrange(2)
        pair[victim].kill()
        load.beyond(chance.randint(0, 600))
        pair[victim] = workers.start().until_serving()
    load.enough()
    sender.until_all_decided()
    assert sender.violations() == []


@pytest.mark.long
def test_a_worker_that_was_paused_beyond_its_session_leaves_by_itself(workers: Workers, sender: Upstream) -> None:
    paused, other = workers.start().until_serving(), workers.start()
    load = Load(sender, seed=4)
    other.until_serving()
    paused.signal(signal.SIGSTOP)
    load.beyond(round(SESSION_SECONDS * 300 * 2))
    paused.signal(signal.SIGCONT)
    assert paused.exit_code() not in (0, -signal.SIGKILL), "it must leave by itself"
    load.enough()
    sender.until_all_decided()
    assert sender.violations() == []
    assert other.process.poll() is None, other.said


@pytest.mark.long
def test_workers_that_come_and_go_disturb_nothing(workers: Workers, sender: Upstream) -> None:
    staying = [workers.start(), workers.start()]
    load = Load(sender, seed=5)
    for worker in staying:
        worker.until_serving()
    for _ in range(2):
        guest = workers.start().until_serving()
        load.beyond(300)
        guest.signal(signal.SIGTERM)
        assert guest.exit_code() == 0, guest.said
        load.beyond(300)
    load.enough()
    sender.until_all_decided()
    assert sender.violations() == []
    assert [worker.process.poll() for worker in staying] == [None, None], "a rebalance ends no worker"
