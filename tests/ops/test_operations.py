"""The commands that look at a running platform and use it, on real servers with a real lane, views and API."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from domain.depreciation import BookName, posting_id
from ops.embedded import Stack
from ops.running import Platform
from tests.databases import execute
from tests.ops.platforms import platform_of
from tests.ops.shell import Shell
from topics.catalogue import COMMANDS
from topics.keys import Secret
from topics.messages import write_command
from topics.settings import Settings

ADMIN = ("ann", "Ann Soto", "ann@acme.example")


@pytest.fixture(scope="module")
def platform(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """All processes on the run's servers, with topics and a database of this module's own."""
    with platform_of(stack, tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.fixture
def shell(platform: Platform, bitcorp: Shell) -> Shell:
    """A shell with the platform's settings."""
    bitcorp.use(platform.settings)
    return bitcorp


@pytest.fixture
def company(shell: Shell) -> str:
    """A new company with its admin, ann."""
    name = f"firm-{uuid4().hex[:8]}"
    said = shell("send", "create-company", name, "Acme", "America/Lima", "PEN", *ADMIN, "--actor", "operator:root")
    assert said.code == 0, said.text
    return name


def test_a_command_is_sent_and_its_outcome_printed(shell: Shell, company: str) -> None:
    sender = ("--company", company, "--actor", "user:ann")
    said = shell("send", "define-category", "trucks", "Trucks", *sender)
    assert said.code == 0, said.text
    assert "accepted define-category category/trucks version 1, 1 event" in said.text
    assert "Consistency:" in said.text


def test_a_key_is_made_shown_once_and_listed(shell: Shell, company: str) -> None:
    wanted = ("--company", company, "--permission", "equipment.move", "--permission", "equipment.read")
    made = shell("keys", "new", "plant-4", *wanted, "--actor", "user:ann")
    assert made.code == 0, made.text
    assert Secret.parse(made.out.strip()).company_id == company
    refused = shell("keys", "new", "plant-5", *wanted, "--actor", "user:bob")
    assert (refused.code, refused.out) == (1, "")
    assert "actor-unknown" in refused.err
    deadline = time.monotonic() + 30
    while not (listed := shell("keys", "list", "--company", company, "--json")).out:
        assert time.monotonic() < deadline
    assert json.loads(listed.out)["permissions"] == ["equipment.move", "equipment.read"]
    assert "plant-4" in shell("keys", "list", "--company", company).out


def test_a_refusal_is_printed_with_its_code_and_exits_with_one(shell: Shell, company: str) -> None:
    said = shell("send", "define-category", "trucks", "Trucks", "--company", company, "--actor", "user:bob")
    assert said.code == 1
    assert "rejected: actor-unknown" in said.text


def test_the_same_id_again_gives_the_first_outcome_again(shell: Shell, company: str) -> None:
    words = ("send", "define-category", "trucks", "Trucks", "--company", company, "--actor", "user:ann", "--json")
    first, again = (json.loads(shell(*words, "--id", "7d3c" + "0" * 28).out) for _ in range(2))
    assert (first["repeat"], again["repeat"]) == (False, True)
    assert (first["version"], first["last"]) == (again["version"], again["last"])


def test_what_happened_can_be_followed(shell: Shell, company: str) -> None:
    words = ("--from-beginning", "--no-follow", "--company", company)
    assert "company-created operator:root" in shell("tail", "events", *words).text
    events = [json.loads(line) for line in shell("tail", "events", *words, "--json").out.splitlines()]
    assert [event["subject"] for event in events] == [f"company/{company}", "user/ann"]
    assert events[0]["data"]["name"] == "Acme"
    assert "accepted" in shell("tail", "outcomes", *words).text


def test_a_dead_letter_is_listed_shown_and_refused_for_a_retry(platform: Platform, shell: Shell, company: str) -> None:
    publish(platform.settings, company.encode(), b"{\x1b[2Jnot json", [("ce_specversion", b"1.0")])
    number = dead_letter_of(shell, company)
    assert "header ce_id is missing" in shell("dead-letters", "list", "--company", company).text
    shown = shell("dead-letters", "show", number)
    assert "not json" in shown.text
    assert "\x1b" not in shown.out
    assert json.loads(shell("dead-letters", "show", number, "--json").out)["reason"] == "invalid"
    said = shell("dead-letters", "retry", number)
    assert said.code == 1
    assert "cannot be retried as it is" in said.text


def test_a_dead_letter_that_holds_a_command_is_tried_again_under_an_id_that_follows_from_its_own(
    platform: Platform, shell: Shell, company: str
) -> None:
    publish(platform.settings, *unknown(company, "ex-1"))
    number = dead_letter_of(shell, company)
    said = shell("dead-letters", "retry", number)
    assert said.code == 1
    assert "rejected: invalid" in said.text
    assert "the first outcome of this id again" in shell("dead-letters", "retry", number).text


def test_a_dead_letter_that_is_not_there_is_said_so(shell: Shell, platform: Platform) -> None:
    for number in ("0:999999", "77:0", "x"):
        said = shell("dead-letters", "show", number)
        assert said.code == 1
        assert "dead letter" in said.text


def dead_letter_of(shell: Shell, company: str) -> str:
    """Its number, as soon as there is one."""
    for _ in range(100):
        lines = shell("dead-letters", "list", "--company", company, "--json").out.splitlines()
        if lines:
            letter = json.loads(lines[-1])
            return f"{letter['partition']}:{letter['offset']}"
    raise AssertionError("no dead letter came")


def publish(settings: Settings, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> None:
    """As an upstream system would, with the partitioner of Kafka's own clients."""
    producer = Producer({"bootstrap.servers": settings.kafka, "partitioner": "murmur2_random"})
    producer.produce(COMMANDS.named(settings.prefix), value, key, headers=headers)
    assert producer.flush(20) == 0


def test_views_are_listed_with_their_rows(shell: Shell, company: str) -> None:
    assert "companies" in shell("views", "list").text
    rows = {row["view"]: row for row in map(json.loads, shell("views", "list", "--json").out.splitlines())}
    assert rows["companies"]["group"] == "fleet"
    assert rows["companies"]["position"] + rows["companies"]["behind"] >= 2


def test_a_view_is_rebuilt_beside_the_live_one(shell: Shell, company: str) -> None:
    said = shell("views", "rebuild", "equipment")
    assert said.code == 0, said.text
    assert "fleet is rebuilt" in said.text


def test_topics_schema_and_doctor_are_as_they_should_be(shell: Shell, platform: Platform) -> None:
    assert shell("topics", "show").code == 0
    assert "The topics are as the catalogue says." in shell("topics", "apply").text
    assert "revision" in shell("migrate").text
    said = shell("doctor")
    assert said.code == 0, said.text
    for check in ("kafka", "topics", "database", "schema", "roles", "clock"):
        assert f"good {check}" in said.text


def test_topics_with_another_partition_count_are_shown_with_what_to_do(shell: Shell, platform: Platform) -> None:
    shell.set(PARTITIONS="5")
    for words in (("topics", "show"), ("topics", "apply"), ("doctor",)):
        said = shell(*words)
        assert said.code == 1
        assert "partition count" in said.text
        assert "BITCORP_PARTITIONS=2" in said.text


def test_missing_topics_are_a_fault_that_names_its_mend(shell: Shell, platform: Platform) -> None:
    shell.set(PREFIX="nobody-made-these")
    for words in (("tail", "events", "--no-follow"), ("verify",), ("topics", "show"), ("doctor",)):
        said = shell(*words)
        assert said.code == 1
        assert "bitcorp topics apply" in said.text


def test_an_old_schema_is_a_fault_that_names_its_mend(shell: Shell, stack: Stack, platform: Platform) -> None:
    shell.set(DATABASE=urlunsplit(urlsplit(stack.postgres.dsn)._replace(path="/template1")))
    for words in (("doctor",), ("views", "list"), ("verify",)):
        said = shell(*words)
        assert said.code == 1
        assert "bitcorp migrate" in said.text


def test_a_user_without_rights_is_told_which_ones_it_needs(shell: Shell, stack: Stack, platform: Platform) -> None:
    name = f"weak_{uuid4().hex[:8]}"
    asyncio.run(execute(stack.postgres.dsn, f"CREATE ROLE {name} LOGIN"))
    asyncio.run(execute(stack.postgres.dsn, f"CREATE DATABASE {name}"))
    parts = urlsplit(stack.postgres.dsn)
    shell.set(DATABASE=urlunsplit(parts._replace(path=f"/{name}", netloc=f"{name}@{parts.netloc.partition('@')[2]}")))
    try:
        said = shell("migrate")
        assert said.code == 1
        assert "must name the owner of the schema" in said.text
    finally:
        asyncio.run(execute(stack.postgres.dsn, f"DROP DATABASE {name} WITH (FORCE)"))
        asyncio.run(execute(stack.postgres.dsn, f"DROP ROLE {name}"))


def test_the_state_can_be_rebuilt_while_lanes_run_and_everything_still_agrees(shell: Shell, company: str) -> None:
    assert shell("state", "rebuild").code == 0
    words = ("send", "define-category", "trucks", "Trucks", "--company", company, "--actor", "user:ann")
    assert shell(*words).code == 0
    said = shell("verify")
    assert said.code == 0, said.text
    assert "Everything agrees with the journal." in said.text


def test_a_command_that_nobody_decides_is_reported_after_the_wait(
    shell: Shell, blank: Settings, tmp_path: Path
) -> None:
    from topics.provision import create_topics

    create_topics(blank)
    shell.set(PREFIX=blank.prefix, PARTITIONS=str(blank.partitions))
    said = shell(
        *("send", "create-company", "acme", "Acme", "UTC", "EUR", *ADMIN, "--actor", "operator:root", "--wait", "0.5")
    )
    assert said.code == 1
    assert "no outcome came within 0.5 s" in said.text
    assert "bitcorp doctor" in said.text


def depreciated(shell: Shell, company: str, *machines: str) -> None:
    """Machines that are bought in March 2024 for 1,200 soles and last a year."""
    sender = ("--company", company, "--actor", "user:ann")
    said = shell("send", "define-category", "trucks", "Trucks", *sender)
    assert said.code == 0, said.text
    for number, machine in enumerate(machines):
        price = ("--purchase-price.amount", "1200", "--purchase-price.currency", "PEN")
        about = (machine, f"Truck {number}", f"EQ-2024-TR-{number:06d}", "trucks")
        plan = ("--plan.method", "straight_line", "--plan.life-months", "12")
        for words in (
            ("create-equipment", *about, "--in-service-on", "2024-03-01", *price),
            ("set-depreciation", machine, "FINANCIAL", *plan),
        ):
            said = shell("send", *words, *sender)
            assert said.code == 0, said.text


def test_a_month_is_posted_for_all_machines_and_one_that_is_refused_stops_no_other(shell: Shell, company: str) -> None:
    depreciated(shell, company, "tr-1", "tr-2")
    eventually(shell, company, {"machines": 2, "periods": 4})
    taken = str(posting_id(company, "tr-2", BookName.FINANCIAL, "2024-03"))
    words = ("tr-2", "FINANCIAL", "2024-03", "--company", company, "--actor", "user:bob", "--id", taken)
    assert shell("send", "post-depreciation", *words).code == 1
    post = ("depreciation", "post", "--period", "2024-04", "--company", company, "--json")
    said = shell(*post)
    assert said.code == 1
    assert {line["answer"]: line["commands"] for line in json.loads(said.out)} == {
        "posted": 2,
        "rejected: id-reused": 1,
        "rejected: period-out-of-order": 1,
    }
    eventually(shell, company, {"machines": 1, "periods": 2})
    again = shell(*post, "--attempt", "2")
    assert (again.code, json.loads(again.out)) == (0, [{"answer": "posted", "commands": 2}])
    eventually(shell, company, None)
    assert shell(*post).code == 0


def eventually(shell: Shell, company: str, figures: dict[str, int] | None) -> None:
    """Until the views show that so much would be posted up to April 2024."""
    wanted = [] if figures is None else [{"company": company, "book": "FINANCIAL", **figures}]
    deadline = time.monotonic() + 30
    while True:
        said = shell("depreciation", "post", "--period", "2024-04", "--company", company, "--dry-run", "--json")
        assert said.code == 0, said.text
        if json.loads(said.out) == wanted:
            return
        assert time.monotonic() < deadline, said.text
        time.sleep(0.1)


def test_dead_letters_are_found_by_reason_type_time_and_whether_they_are_open(
    platform: Platform, shell: Shell, company: str
) -> None:
    publish(platform.settings, company.encode(), b"not json", [("ce_specversion", b"1.0")])
    publish(platform.settings, *unknown(company, "ex-1"))
    deadline = time.monotonic() + 60
    while len(letters(shell, company, "--open")) < 2:
        assert time.monotonic() < deadline
    type_ = "com.bitcorp.erp.equipment.fly.v1"
    for words, count in (
        ((), 2),
        (("--reason", "invalid"), 2),
        (("--reason", "failed"), 0),
        (("--type", type_), 1),
        (("--type", "equipment.retire"), 0),
        (("--since", "2020-01-01T00:00Z"), 2),
        (("--until", "2020-01-01T00:00Z"), 0),
    ):
        assert len(letters(shell, company, *words)) == count, words
    assert "--since soon is no time" in shell("dead-letters", "list", "--since", "soon").text
    assert "leave --open out" in shell("dead-letters", "list", "--realm", "credentials", "--open").text


def test_many_dead_letters_are_tried_again_at_once_after_a_look_at_how_many_they_are(
    platform: Platform, shell: Shell, company: str
) -> None:
    for number in range(3):
        publish(platform.settings, *unknown(company, f"ex-{number}"))
    publish(platform.settings, company.encode(), b"not json", [("ce_specversion", b"1.0")])
    deadline = time.monotonic() + 60
    while len(before := letters(shell, company, "--open")) < 4:
        assert time.monotonic() < deadline
    chosen = ("--company", company, "--reason", "invalid", "--actor", "user:ann")
    looked = shell("dead-letters", "retry-all", *chosen)
    assert looked.code == 0
    assert f"fly {company} 3" in looked.text
    assert "1 cannot be tried again" in looked.text
    assert "Nothing was sent" in looked.text
    assert len(letters(shell, company, "--open")) == 4
    sent = shell("dead-letters", "retry-all", *chosen, "--yes")
    assert (sent.code, "3 rejected" in sent.text) == (1, True), sent.text
    first = {letter["letter_id"] for letter in before}
    while len(first & {letter["letter_id"] for letter in letters(shell, company, "--open")}) > 1:
        assert time.monotonic() < deadline  # each attempt has left a letter of its own
    none = shell("dead-letters", "retry-all", "--company", "nobody", "--yes")
    assert (none.code, "There is nothing to be sent again" in none.text) == (0, True)


def test_a_dead_letter_is_mended_and_tried_again_by_whoever_mends_it(
    platform: Platform, shell: Shell, company: str
) -> None:
    broken_category(platform.settings, company, "cranes")
    number = dead_letter_of(shell, company)
    data = ("--data", '{"category_id": "cranes", "name": "Cranes"}')
    said = shell("dead-letters", "retry", number, *data)
    assert said.code == 1
    assert "has other data than its sender gave it: name who sends it now, as --actor" in said.text
    assert "is not JSON" in shell("dead-letters", "retry", number, "--data", "{").text
    assert "must be a JSON object" in shell("dead-letters", "retry", number, "--data", "7").text
    assert "is nobody" in shell("dead-letters", "retry", number, "--actor", "ann").text
    assert "from 1 to 10" in shell("dead-letters", "retry", number, "--attempt", "11").text
    said = shell("dead-letters", "retry", number, *data, "--actor", "user:ann")
    assert said.code == 0, said.text
    assert "accepted define-category category/cranes" in said.text


def test_a_dead_letter_is_discarded_with_a_reason(platform: Platform, shell: Shell, company: str) -> None:
    publish(platform.settings, company.encode(), b"not json", [("ce_specversion", b"1.0")])
    number = dead_letter_of(shell, company)
    said = shell("dead-letters", "discard", number, "--reason", "a typing error", "--actor", "user:ann")
    assert said.code == 0, said.text
    deadline = time.monotonic() + 60
    while letters(shell, company, "--open"):
        assert time.monotonic() < deadline
    assert len(letters(shell, company)) == 1
    refused = shell("dead-letters", "discard", number, "--reason", "again", "--actor", "user:bob")
    assert "rejected: actor-unknown" in refused.text


def test_a_letter_of_no_company_is_nobody_s_to_discard(platform: Platform, shell: Shell) -> None:
    publish(platform.settings, b"NO COMPANY", b"{}", [("ce_specversion", b"1.0")])
    deadline = time.monotonic() + 60
    while not (found := [letter for letter in letters(shell) if letter["key"] == "NO COMPANY"]):
        assert time.monotonic() < deadline
    number = f"{found[0]['partition']}:{found[0]['offset']}"
    said = shell("dead-letters", "discard", number, "--reason", "junk", "--actor", "user:ann")
    assert said.code == 1
    assert "names no company" in said.text


def letters(shell: Shell, company: str | None = None, *words: str) -> list[dict[str, Any]]:
    said = shell("dead-letters", "list", "--json", *(("--company", company) if company else ()), *words)
    return [json.loads(line) for line in said.out.splitlines()]


def unknown(company: str, equipment_id: str) -> tuple[bytes, bytes, list[Any]]:
    """A command of a type that there is not."""
    from tests.agents.orders import ADA, order

    key, value, headers = write_command(order(company, "equipment.fly", equipment_id, {}, actor=ADA))
    return key, value, list(headers)


def broken_category(settings: Settings, company: str, category_id: str) -> None:
    """A command to define a category, whose data is no JSON."""
    from tests.agents.orders import ADA, order

    key, _, headers = write_command(order(company, "category.define-category", category_id, {}, actor=ADA))
    publish(settings, key, b"{not json", list(headers))
