"""The independent checker has nothing to say of a real run, and finds every kind of defect that is planted in it."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

import asyncpg
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from ops.embedded import Stack
from ops.fire.checker.__main__ import main
from ops.fire.checker.findings import (
    CONFLICT,
    DOUBLED,
    GAP,
    KINDS,
    LOST,
    NO_OUTCOME,
    REORDERED,
    UNSEEN,
    VIEW_DIFFERS,
)
from ops.fire.checker.machines import Machine, Machines
from ops.fire.checker.partitions import Commands
from ops.fire.checker.raw import Raw
from ops.fire.checker.sends import Send
from ops.settings import as_environment
from tests.agents.orders import record_of, rename
from tests.ops.fire.run import FIRM, Run, line, lines, run_of
from views.equipment import table as equipment


@pytest.fixture(scope="module")
def run(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Defects stay in it: each test looks at what is wrong beyond what was wrong before."""
    with run_of(stack, tmp_path_factory.mktemp("fire")) as running:
        assert running.findings.clean, running.findings.all[:10]
        yield running


def test_a_real_run_is_clean_and_everything_in_it_was_looked_at(run: Run) -> None:
    seen = run.findings.examined
    assert all(seen.values()), seen
    assert seen["sends"] > 300
    assert {"positions", "commands", "first answers", "aggregates", "rows of equipment", "rows of outcomes"} <= set(
        seen
    )


def test_what_is_published_again_and_state_of_a_stale_writer_are_no_defects(run: Run) -> None:
    for topic in ("events", "outcomes", "dead-letters"):
        for record in run.records(topic)[-3:]:
            run.write(record)
    run.write_state(f"{FIRM}/equipment/kept", b"2 99 {}", beside=5)
    assert run.look() == set()


# --- defects ----------------------------------------------------------------------------------------------------------


def skip_a_position(run: Run) -> str:
    last = run.furthest("events")
    run.write(last, sequence=last.number("sequence") + 2)
    return f"position {last.number('sequence') + 1} is missing"


def skip_an_outcome(run: Run) -> str:
    last = run.furthest("outcomes")
    run.write(last, sequence=last.number("sequence") + 2)
    return f"position {last.number('sequence') + 1} is missing"


def swap_two_events(run: Run) -> str:
    last = run.furthest("events")
    run.write(last, sequence=last.number("sequence") + 2)
    run.write(last, sequence=last.number("sequence") + 1)
    return f"position {last.number('sequence') + 1} comes after position {last.number('sequence') + 2}"


def tell_an_event_otherwise(run: Run) -> str:
    run.write(run.records("events")[5], actor="user:eve")
    return "another content than before"


def break_the_chain(run: Run) -> str:
    last = run.furthest("events")
    run.write(last, sequence=last.number("sequence") + 1, chain="0" * 64)
    return "its chain value is not"


def publish_what_no_head_has_decided(run: Run) -> str:
    last = run.furthest("events")
    run.write(last, sequence=last.number("sequence") + 1)
    return "events are published up to"


def do_a_command_twice(run: Run) -> str:
    last = run.furthest("events")
    run.write(run.records("events")[5], sequence=last.number("sequence") + 1)
    return "has more events"


def decide_a_command_twice(run: Run) -> str:
    last = run.furthest("outcomes")
    first = next(it for it in run.records("outcomes") if b'"accepted"' in (it.value or b""))
    run.write(first, sequence=last.number("sequence") + 1)
    return "was decided at"


def repeat_another_answer(run: Run) -> str:
    last = run.furthest("outcomes")
    said = json.loads(run.records("outcomes")[5].value or b"") | {"repeat": True, "status": "failed"}
    run.write(last, json.dumps(said).encode(), sequence=last.number("sequence") + 1)
    return "is answered otherwise than at first"


def answer_an_earlier_command_late(run: Run) -> str:
    last = run.furthest("outcomes")
    said = json.loads(last.value or b"") | {"command_id": str(uuid4()), "offset": -7}
    run.write(last, json.dumps(said).encode(), sequence=last.number("sequence") + 1)
    return "answers -7 after"


def accept_without_events(run: Run) -> str:
    last = run.furthest("outcomes")
    said = json.loads(last.value or b"") | {"command_id": str(uuid4()), "status": "accepted", "offset": 10**6}
    said |= {"first": 10**6, "last": 10**6, "repeat": False, "conflict": False}
    run.write(last, json.dumps(said).encode(), sequence=last.number("sequence") + 1)
    return "has no event at positions [1000000]"


def lose_what_was_acknowledged(run: Run) -> str:
    command = rename(FIRM, "kept", "Lost", command_id=str(uuid4()))
    with run.sent.open("a") as file:
        file.write(line(record_of(command)))
    return f"{command.id} was taken and is in no topic"


def lose_the_beginning_of_the_journal(run: Run) -> str:
    topic = f"{run.settings.prefix}.events"
    admin = AdminClient({"bootstrap.servers": run.settings.kafka})
    for gone in admin.delete_records([TopicPartition(topic, 1, 2)]).values():
        gone.result(20)
    return "has no event at positions [1"


def forge_a_version(run: Run) -> str:
    run.write_state(f"{FIRM}/equipment/kept", b"2 99 {}")
    return f"{FIRM}/equipment/kept has version 99"


def forge_a_name(run: Run) -> str:
    key = f"{FIRM}/equipment/voided"
    stored = [it for it in run.records("state-changelog") if it.key == key.encode()][-1].value or b""
    run.write_state(key, stored.replace(b"Digger 3", b"Forged"))
    return f"{key} is"


def forge_an_answer(run: Run) -> str:
    stored = [it for it in run.records("state-changelog") if b"/~command/" in (it.key or b"") and it.value][-1]
    state = json.loads(stored.value or b"")
    run.write_state((stored.key or b"").decode(), json.dumps([*state[:2], "forged", *state[3:]]).encode())
    return "is not what was answered"


def free_a_serial_number(run: Run) -> str:
    key = f"{FIRM}/~claim/equipment.serial-number/EQ-2020-EX-900002"
    run.write_state(key, None)
    return f"{key} is None"


def leave_a_command_unanswered(run: Run) -> str:
    command = rename(FIRM, "kept", "Unanswered", command_id=str(uuid4()))
    record = record_of(command, prefix=run.settings.prefix)
    run.publish(record.topic, 0, record.key, record.value, record.headers)
    return "has no outcome and no dead letter"


def act_without_a_command(run: Run) -> str:
    last = run.furthest("events")
    cause = str(uuid4())
    run.write(last, sequence=last.number("sequence") + 1, causationid=cause)
    return f"('{FIRM}', '{cause}')"


def forget_that_it_was_sent(run: Run) -> str:
    cause = run.records("events")[3].said("causationid")
    kept = [said for said in lines(run.sent) if said["id"] != cause]
    run.sent.write_text("".join(json.dumps(said) + "\n" for said in kept))
    return f"('{FIRM}', '{cause}')"


def statement(text: str, told: str) -> Callable[[Run], str]:
    """A defect in the database."""

    async def execute(run: Run) -> None:
        connection = await asyncpg.connect(run.settings.database.get_secret_value())
        await connection.execute(text)
        await connection.close()

    def plant(run: Run) -> str:
        asyncio.run(execute(run))
        return told

    return plant


@dataclass(frozen=True)
class Defect:
    """`plant` puts it there and gives a part of what is to be said of it, in the place or in the detail."""

    name: str
    kind: str
    plant: Callable[[Run], str]


DEFECTS = [
    Defect("a position that was never published", GAP, skip_a_position),
    Defect("an outcome that was never published", GAP, skip_an_outcome),
    Defect("an event before the one that it follows", REORDERED, swap_two_events),
    Defect("an answer out of its turn", REORDERED, answer_an_earlier_command_late),
    Defect("a position with another content", CONFLICT, tell_an_event_otherwise),
    Defect("a chain that does not hold", CONFLICT, break_the_chain),
    Defect("an event that no head has decided", CONFLICT, publish_what_no_head_has_decided),
    Defect("state of the same version with another content", CONFLICT, forge_a_name),
    Defect("a remembered command with another answer", CONFLICT, forge_an_answer),
    Defect("a claim that was lost", CONFLICT, free_a_serial_number),
    Defect("a command that was done twice", DOUBLED, do_a_command_twice),
    Defect("a command that was decided twice", DOUBLED, decide_a_command_twice),
    Defect("a repeat of another answer", DOUBLED, repeat_another_answer),
    Defect("an accepted command without its events", LOST, accept_without_events),
    Defect("an acknowledged command that is nowhere", LOST, lose_what_was_acknowledged),
    Defect("state of a version that no event led to", LOST, forge_a_version),
    Defect("a command that nobody decided", NO_OUTCOME, leave_a_command_unanswered),
    Defect("an event of no command", UNSEEN, act_without_a_command),
    Defect("an event of a command that was not sent", UNSEEN, forget_that_it_was_sent),
    Defect(
        "a row that is gone",
        VIEW_DIFFERS,
        statement("DELETE FROM erp.equipment WHERE equipment_id = 'sold'", f"equipment {FIRM}/sold"),
    ),
    Defect(
        "a row with another value",
        VIEW_DIFFERS,
        statement("UPDATE erp.equipment SET place = 'sea' WHERE equipment_id = 'kept'", "{'place': 'sea'}"),
    ),
    Defect(
        "an outcome that is gone",
        VIEW_DIFFERS,
        statement("DELETE FROM erp.outcomes WHERE aggregate_id = 'belt'", "outcomes"),
    ),
    Defect("a person that is gone", VIEW_DIFFERS, statement("DELETE FROM erp.users WHERE user_id = 'tess'", "users")),
    Defect(
        "a part of an older version",
        VIEW_DIFFERS,
        statement("UPDATE erp.parts SET version = version - 1", f"parts {FIRM}/belt"),
    ),
    Defect(
        "history that is gone",
        VIEW_DIFFERS,
        statement("DELETE FROM erp.history WHERE aggregate = 'category'", "counts history"),
    ),
    Defect("events that the broker has lost", LOST, lose_the_beginning_of_the_journal),
]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_is_found(run: Run, defect: Defect) -> None:
    told = defect.plant(run)
    new = run.look()
    assert [it for it in new if it.kind == defect.kind and told in f"{it.where} {it.detail}"], (told, new)


def test_there_is_a_defect_of_every_kind() -> None:
    assert {defect.kind for defect in DEFECTS} == set(KINDS)


def test_it_can_be_run_by_itself(run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in as_environment(run.settings).items():
        monkeypatch.setenv(name, value)
    nothing = run.sent.with_name("nothing.jsonl")
    nothing.write_text("")
    assert main([str(nothing), "0"]) == 1
    said = capsys.readouterr().out
    assert "UNSEEN" in said
    assert "There are findings." in said
    assert main([]) == 2


# --- what needs no servers --------------------------------------------------------------------------------------------


def test_the_fold_knows_every_column_of_a_machine() -> None:
    data = {"serial_number": "EQ-1", "in_service_on": "2020-01-01"}
    headers = {"subject": "equipment/ex-7", "type": "com.bitcorp.erp.equipment.equipment-created.v1"}
    headers |= {"time": "2026-01-01T00:00:00Z", "aggregateversion": "1"}
    record = Raw("t", 0, 0, b"acme", b"", tuple((f"ce_{name}", said.encode()) for name, said in headers.items()))
    machines = Machines()
    machines.take(record, data)
    machine: Machine = machines["acme", "ex-7"]
    assert set(machine.shown()) == {column.name for column in equipment.columns}


@pytest.mark.parametrize(
    ("via", "acknowledged", "status", "landed"),
    [
        ("kafka", True, None, True),
        ("kafka", False, None, False),
        ("http", True, 202, True),
        ("http", True, 201, True),
        ("http", True, 422, False),
        ("http", False, 503, False),
    ],
)
def test_what_was_not_taken_may_be_missing(via: str, acknowledged: bool, status: int | None, landed: bool) -> None:
    assert Send("id", "acme", "type", "good", via, acknowledged, status).landed is landed


@pytest.mark.parametrize(("ids", "nameless"), [(1, 0), (2, 1), (0, 1)])
def test_a_record_that_says_not_one_id_may_be_any_of_the_spoilt_ones(ids: int, nameless: int) -> None:
    commands = Commands()
    headers = tuple(("ce_id", str(uuid4()).encode()) for _ in range(ids))
    commands.take(Raw("erp.commands", 0, 0, FIRM.encode(), b"{}", headers))
    assert commands.nameless == nameless
