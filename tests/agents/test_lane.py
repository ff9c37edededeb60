"""What one lane does with one command, one commit and one take-over."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

import agents.lane
from agents.decision import GROUP_LIMIT, HOUR, REMEMBERED_FOR, Draft, Place, remembered
from agents.lane import Inbox, Lane
from agents.log import LaneStopped, Surroundings
from agents.refold import outdated
from agents.state import Head, PartitionState, StateRecord, head_key, is_head, placed
from domain import RULES
from domain.decider import Refusal
from domain.engine import (
    COMMAND_LIMIT,
    Versioned,
    aggregate_key,
    command_key,
    encode_aggregate,
    roster_key,
    state_version_of,
)
from domain.equipment import Equipment, equipment
from domain.record import Outcome, Status
from domain.role import staff
from domain.user import user
from tests.agents.broker import Broker
from tests.agents.orders import (
    MORNING,
    company_on,
    create_company,
    create_equipment,
    define_category,
    opening,
    order,
    record_of,
    rename,
    schedule,
    uuid_of,
)
from topics.catalogue import BATCH_LIMIT, COMMANDS, DEAD_LETTERS, EVENTS, OUTCOMES
from topics.cloudevents import Record
from topics.messages import REROUTED, CommandMessage, pack, read_command, read_dead_letter, read_outcome, unpack

HERE, PARTITIONS = 0, 2
PLACE = Place("sim", HERE, PARTITIONS)
FIRM = company_on(HERE, PARTITIONS)
ABROAD = company_on(1, PARTITIONS)
TOPIC_ID = "commands-1"
DEADLINE = 10


# -- one command -----------------------------------------------------------------------------------------------------


@dataclass
class Desk:
    """Commands decided one at a time, each as a commit of its own, on a state in memory."""

    state: dict[str, bytes] = field(default_factory=dict)
    head: Head = field(default_factory=lambda: Head(TOPIC_ID))
    sent: list[Record] = field(default_factory=list)
    failures: int = 0

    def take(self, *commands: CommandMessage | Record, at: int = MORNING) -> list[Record]:
        """What deciding these commands sends."""
        draft = Draft(PLACE, self.head, self.state.get)
        for offset, command in enumerate(commands, self.head.applied + 1):
            record = command if isinstance(command, Record) else record_of(command)
            draft.take(record._replace(offset=offset, timestamp=at))
        commit = draft.commit()
        self.head, self.failures = commit.head, self.failures + commit.failures
        self.state.update((key, value) for key, value in commit.changes.items() if value is not None)
        self.sent += commit.sends
        return commit.sends

    def outcome(self, command: CommandMessage | Record, at: int = MORNING) -> Outcome:
        return outcomes(self.take(command, at=at))[-1]


def outcomes(sent: Sequence[Record]) -> list[Outcome]:
    return [read_outcome(record)[0] for record in sent if record.topic.endswith(OUTCOMES.name)]


def of_topic(sent: Sequence[Record], name: str) -> list[Record]:
    return [record for record in sent if record.topic == f"sim.{name}"]


@pytest.fixture
def desk() -> Desk:
    """A company with a category and one machine, m-1."""
    desk = Desk()
    desk.take(*opening(FIRM), create_equipment(FIRM, "m-1", 1))
    return desk


def test_an_accepted_command_leads_to_events_and_an_outcome_with_their_positions(desk: Desk) -> None:
    sent = desk.take(rename(FIRM, "m-1", "Digger"))
    [event], [outcome] = of_topic(sent, EVENTS.name), outcomes(sent)
    position = int(dict(event.headers)["ce_sequence"])
    assert (outcome.status, outcome.first, outcome.last, outcome.position) == ("accepted", position, position, position)
    assert outcome.version == 2


def test_a_command_that_changes_nothing_is_accepted_without_positions(desk: Desk) -> None:
    outcome = desk.outcome(rename(FIRM, "m-1", "M-1"))
    assert (outcome.status, outcome.first, outcome.last) == ("accepted", None, None)
    assert outcome.position == desk.head.events - 1


def test_positions_of_events_and_outcomes_have_no_gap(desk: Desk) -> None:
    desk.take(*(rename(FIRM, "m-1", f"Name {n}") for n in range(5)), rename(FIRM, "m-404", "Nobody"))
    for topic, following in ((EVENTS, desk.head.events), (OUTCOMES, desk.head.outcomes)):
        positions = [int(dict(record.headers)["ce_sequence"]) for record in of_topic(desk.sent, topic.name)]
        assert positions == list(range(1, following))


def test_what_was_decided_before_is_skipped(desk: Desk) -> None:
    draft = Draft(PLACE, desk.head, desk.state.get)
    draft.take(record_of(rename(FIRM, "m-1", "Late"), offset=desk.head.applied))
    assert (draft.commit().sends, draft.commit().changes) == ([], {})


def test_deciding_twice_gives_the_same_bytes(desk: Desk) -> None:
    records = [
        record_of(command, offset=desk.head.applied + 1 + n, timestamp=MORNING + n)
        for n, command in enumerate(
            [rename(FIRM, "m-1", "Digger"), schedule(FIRM, "m-1", "j-1"), rename(FIRM, "m-2", "No")]
        )
    ]
    commits = []
    for _ in range(2):
        draft = Draft(PLACE, desk.head, desk.state.get)
        for record in records:
            draft.take(record)
        commits.append(draft.commit())
    assert commits[0].packed == commits[1].packed
    assert list(commits[0].changes.items()) == list(commits[1].changes.items())
    assert commits[0].head == commits[1].head


def test_the_same_id_again_gets_the_first_answer(desk: Desk) -> None:
    command = rename(FIRM, "m-1", "Digger")
    first, again = desk.outcome(command), desk.outcome(command)
    assert again.repeat and not first.repeat
    same = {"status", "code", "version", "first", "last", "position", "fingerprint", "command_id"}
    assert again.model_dump(include=same) == first.model_dump(include=same)
    assert desk.head.events - 1 == first.position


def test_a_refusal_is_repeated_with_its_code_and_kind(desk: Desk) -> None:
    command = rename(FIRM, "m-404", "Nobody")
    first, again = desk.outcome(command), desk.outcome(command)
    assert (again.repeat, again.status, again.code, again.kind) == (True, "rejected", first.code, first.kind)


@pytest.mark.parametrize(
    "other",
    [
        rename(FIRM, "m-1", "Crane", command_id=uuid_of("x")),
        rename(FIRM, "m-2", "Digger", command_id=uuid_of("x")),
        rename(FIRM, "m-1", "Digger", command_id=uuid_of("x"))._replace(actor=create_company(FIRM).actor),
        order(FIRM, "equipment.retire", "m-1", {"reason": "old"}, command_id=uuid_of("x")),
    ],
    ids=["data", "subject", "actor", "type"],
)
def test_an_id_that_stands_for_another_command_is_refused(desk: Desk, other: CommandMessage) -> None:
    first = rename(FIRM, "m-1", "Digger", command_id=uuid_of("x"))
    desk.take(first)
    outcome = desk.outcome(other)
    assert (outcome.status, outcome.code, outcome.kind, outcome.conflict) == ("rejected", "id-reused", "invalid", True)
    assert desk.outcome(first).repeat, "the first answer still stands"


def test_the_order_of_fields_makes_no_other_command(desk: Desk) -> None:
    command = rename(FIRM, "m-1", "Digger")
    turned = json.dumps(dict(reversed(json.loads(command.data).items())), indent=1).encode()
    desk.take(command)
    assert desk.outcome(command._replace(data=turned)).repeat


def test_ids_are_scoped_by_company(desk: Desk) -> None:
    neighbour = company_on(HERE, PARTITIONS, 1)
    desk.take(*opening(neighbour), create_equipment(neighbour, "m-1", 1))
    desk.take(rename(FIRM, "m-1", "Digger", command_id=uuid_of("x")))
    assert desk.outcome(rename(neighbour, "m-1", "Crane", command_id=uuid_of("x"))).status == "accepted"


def test_an_expected_version_that_has_passed_is_refused_with_the_current_one(desk: Desk) -> None:
    desk.take(rename(FIRM, "m-1", "Digger"))
    outcome = desk.outcome(rename(FIRM, "m-1", "Crane", expected_version=1))
    assert (outcome.code, outcome.kind, outcome.version) == ("version-conflict", "stale", 2)


def test_an_expected_version_that_stands_is_accepted(desk: Desk) -> None:
    assert desk.outcome(rename(FIRM, "m-1", "Digger", expected_version=1)).status == "accepted"


def test_a_mis_keyed_command_is_passed_on_with_its_id_and_not_decided(desk: Desk) -> None:
    command = create_company(ABROAD)
    [passed_on] = desk.take(record_of(command))
    assert (passed_on.topic, passed_on.partition) == (COMMANDS.named("sim"), 1)
    assert read_command(passed_on).id == command.id
    assert REROUTED in dict(passed_on.headers)
    assert not any(key.startswith(ABROAD) for key in desk.state)


@pytest.mark.parametrize(
    ("spoiled", "reason"),
    [
        ({"value": b"{"}, "not JSON"),
        ({"value": b"\xff\xfe"}, "not UTF-8"),
        ({"value": b'{"a":1,"a":2}'}, "repeated"),
        ({"value": b"[" * 10_000}, ""),
        ({"without": "ce_type"}, "ce_type is missing"),
        ({"without": "ce_actor"}, "ce_actor is missing"),
        ({"without": "ce_specversion"}, "specversion"),
        ({"extra": (("ce_expectedversion", b"soon"),)}, "whole number"),
        ({"extra": (("ce_id", b"7"),)}, "repeated"),
    ],
    ids=lambda spoiled: next(iter(spoiled)) if isinstance(spoiled, dict) else None,
)
def test_what_cannot_be_read_is_set_aside_and_answered(desk: Desk, spoiled: dict[str, Any], reason: str) -> None:
    record = record_of(rename(FIRM, "m-1", "Digger"), **spoiled)
    sent = desk.take(record)
    [letter], [outcome] = of_topic(sent, DEAD_LETTERS.name), outcomes(sent)
    said = read_dead_letter(letter)
    assert (said.origin.key, said.origin.value, said.origin.headers) == (record.key, record.value, record.headers)
    assert said.reason == "invalid" and reason in said.detail
    assert (outcome.status, outcome.code) == ("rejected", "invalid")


@pytest.mark.parametrize(
    "record",
    [
        record_of(rename(FIRM, "m-1", "Digger"), without="ce_id"),
        record_of(rename(FIRM, "m-1", "Digger"))._replace(key=None),
        record_of(rename(FIRM, "m-1", "Digger"), without="ce_id")._replace(value=None),
    ],
    ids=["no id", "no key", "no id and no value"],
)
def test_what_names_no_command_is_set_aside_without_an_answer(desk: Desk, record: Record) -> None:
    assert [sent.topic for sent in desk.take(record)] == [DEAD_LETTERS.named("sim")]


def test_an_unknown_type_is_set_aside_and_refused(desk: Desk) -> None:
    sent = desk.take(order(FIRM, "equipment.paint", "m-1", {"colour": "red"}))
    assert "equipment.paint" in read_dead_letter(of_topic(sent, DEAD_LETTERS.name)[0]).detail
    assert outcomes(sent)[0].code == "invalid"


def raising(*_: Any) -> None:
    raise ZeroDivisionError("a rule with a fault")


@pytest.fixture
def broken_rename(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = rename(FIRM, "m-1", "Any").type
    monkeypatch.setitem(RULES, kind, replace(RULES[kind], decide=raising))


@pytest.mark.usefixtures("broken_rename")
def test_a_rule_that_raises_fails_its_command_and_leaves_its_stack(desk: Desk) -> None:
    before = dict(desk.state)
    sent = desk.take(rename(FIRM, "m-1", "Digger"))
    letter = read_dead_letter(of_topic(sent, DEAD_LETTERS.name)[0])
    assert (letter.reason, desk.failures) == ("failed", 1)
    assert "ZeroDivisionError: a rule with a fault" in letter.detail and "in raising" in letter.detail
    assert (outcomes(sent)[0].status, outcomes(sent)[0].code) == (Status.FAILED, "failed")
    assert {key for key in desk.state if desk.state[key] != before.get(key)} == {
        command_key(FIRM, rename(FIRM, "m-1", "Digger").id)
    }


def test_a_command_whose_records_are_too_large_is_refused(desk: Desk) -> None:
    key = aggregate_key(FIRM, "equipment", "m-1")
    hoard = Equipment(name="M-1", category_id="pump", done_jobs=tuple("x" * 1000 for _ in range(1100)))
    desk.state[key] = encode_aggregate(equipment, Versioned(1, hoard))
    before = desk.state[key]
    assert desk.outcome(rename(FIRM, "m-1", "Digger")).code == "too-large"
    assert desk.state[key] == before


DETAILS = {"plain": "x", "tractors": "\U0001f69c", "quotes": '"\\', "control characters": "\x01\n"}


@pytest.mark.parametrize("detail", DETAILS.values(), ids=DETAILS)
def test_a_remembered_command_takes_at_most_200_bytes(detail: str) -> None:
    said = {"status": Status.REJECTED, "code": max(Refusal.known, key=len), "detail": detail * 500, "position": 10**9}
    assert len(remembered("f" * 24, MORNING, said)) <= 200


# -- one commit ------------------------------------------------------------------------------------------------------


def test_the_clock_begins_with_the_first_command(desk: Desk) -> None:
    assert desk.head.clock == MORNING


def test_the_clock_goes_on_an_hour_a_commit_at_most(desk: Desk) -> None:
    desk.take(rename(FIRM, "m-1", "Digger"), at=MORNING + 48 * HOUR)
    assert desk.head.clock == MORNING + HOUR


def test_the_clock_never_goes_back(desk: Desk) -> None:
    desk.take(rename(FIRM, "m-1", "Digger"), at=MORNING - HOUR)
    assert desk.head.clock == MORNING


def test_a_group_ends_before_its_state_outgrows_a_batch(desk: Desk) -> None:
    for number in range(100):
        machine = Equipment(name="M", category_id="pump", done_jobs=("x" * 10,) * 12_000)
        desk.state[aggregate_key(FIRM, "equipment", f"big-{number}")] = encode_aggregate(
            equipment, Versioned(1, machine)
        )
    draft = Draft(PLACE, desk.head, desk.state.get)
    taken = 0
    while not draft.full and taken < 100:
        taken += 1
        draft.take(record_of(rename(FIRM, f"big-{taken}", "Digger"), offset=desk.head.applied + taken))
    commit = draft.commit()
    assert sum(len(value or b"") for value in commit.changes.values()) <= GROUP_LIMIT + COMMAND_LIMIT
    assert taken < 100


# -- one lane --------------------------------------------------------------------------------------------------------


class Paper:
    """`agents.log.Log` on a broker in memory that does at once what it is asked; tests change single answers."""

    def __init__(self) -> None:
        self.broker = Broker(lambda: 0.0)
        self.around: dict[str, Any] = {}
        self.landing: Callable[[int], int] = lambda base: base
        self.appending = self.publishing = asyncio.Event()
        self.publishing.set()
        self.fault: Exception | None = None
        self.published: list[Record] = []

    async def append(self, partition: int, records: Sequence[StateRecord], expect: int) -> int:
        await self.appending.wait()
        size = sum(len(key) + len(value or b"") + 40 for key, value in records)
        assert size < BATCH_LIMIT - 64 * 1024, "Kafka would not take this batch"
        headers = [placed(expect, index) for index in range(len(records))]
        return self.landing(self.broker.append_state(partition, records, headers))

    async def publish(self, records: Sequence[Record]) -> None:
        await self.publishing.wait()
        if self.fault:
            raise self.fault
        self.published += records
        for record in records:
            self.broker.append(record)

    async def end(self, partition: int) -> int:
        return len(self.broker.changelog[partition])

    async def read(self, state: PartitionState) -> None:
        for record in self.broker.changelog[state.partition]:
            state.read(record.offset, record.key, record.value, record.headers)

    async def surroundings(self, partition: int) -> Surroundings:
        plain = {"commands_topic_id": TOPIC_ID, "commands_start": 0, "commands_end": 0, "group_offset": None}
        events_end = len(self.broker.records(EVENTS.name, partition))
        return Surroundings(**{**plain, "events_end": events_end, **self.around})

    async def journal(self, partition: int, last: int) -> list[Record]:
        return self.broker.records(EVENTS.name, partition)[:last]

    def check_owned(self, partition: int) -> None: ...

    def foreign_write(self, key: str, value: bytes | None = b"0 0 {}") -> None:
        """A stale owner's batch: it expected another place."""
        self.broker.append_state(HERE, [StateRecord(key, value)], [placed(10**6, 0)])


@dataclass
class Office:
    """A lane at work on paper."""

    log: Paper
    lane: Lane
    task: "asyncio.Task[None]"
    decided: list[int]
    sent: int = 0

    def give(self, *commands: CommandMessage | Record, at: int = MORNING) -> None:
        for command in commands:
            record = command if isinstance(command, Record) else record_of(command)
            self.lane.inbox.put([record._replace(offset=self.sent, timestamp=at)])
            self.sent += 1

    async def until(self, fact: Callable[[], bool]) -> None:
        """Wait for the fact, or raise what ended the lane."""
        async with asyncio.timeout(DEADLINE):
            while not fact():
                if self.task.done():
                    self.task.result()
                await asyncio.sleep(0)

    async def until_decided(self, offset: int | None = None) -> None:
        last = self.sent - 1 if offset is None else offset
        await self.until(lambda: bool(self.decided) and self.decided[-1] >= last)

    @property
    def head(self) -> Head:
        return Head.decode(self.lane.state.records[head_key(HERE)])


@asynccontextmanager
async def at_work(
    log: Paper | None = None, state: PartitionState | None = None, **options: Any
) -> AsyncIterator[Office]:
    log, decided = log or Paper(), []
    lane = Lane(PLACE, state or PartitionState(HERE), log, decided.append, **options)
    office = Office(log, lane, asyncio.create_task(lane.run()), decided)
    try:
        yield office
    finally:
        office.task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await office.task


async def of_a_company(*more: CommandMessage, **options: Any) -> Paper:
    """The log that a lane left behind that decided a company's opening and some more commands."""
    async with at_work(**options) as office:
        office.give(*opening(FIRM), create_equipment(FIRM, "m-1", 1), *more)
        await office.until_decided()
    return office.log


async def test_a_new_partition_is_served_at_once() -> None:
    async with at_work() as office:
        office.give(*opening(FIRM))
        await office.until_decided(1)
        assert [outcome.status for outcome in outcomes(office.log.published)] == ["accepted", "accepted"]


async def test_a_missing_command_stops_the_lane() -> None:
    async with at_work() as office:
        office.give(create_company(FIRM))
        office.sent += 1
        office.give(define_category(FIRM))
        with pytest.raises(LaneStopped, match="command 1 is missing: the next one fetched is 2"):
            await office.until_decided()


async def test_commands_given_again_are_skipped() -> None:
    async with at_work() as office:
        office.give(*opening(FIRM))
        await office.until_decided()
        published = len(office.log.published)
        office.sent = 0
        office.give(*opening(FIRM), create_equipment(FIRM, "m-1", 1))
        await office.until_decided(2)
        assert len(outcomes(office.log.published[published:])) == 1


@pytest.mark.usefixtures("broken_rename")
async def test_a_run_of_rules_that_raise_stops_the_worker() -> None:
    log = await of_a_company()
    async with at_work(log, failures_before_stop=3, group_commands=1) as office:
        office.sent = 3
        office.give(*(rename(FIRM, "m-1", f"Name {n}") for n in range(3)))
        with pytest.raises(LaneStopped, match="3 rules in a row raised"):
            await office.until_decided()


@pytest.mark.usefixtures("broken_rename")
async def test_a_command_that_is_decided_ends_the_run_of_failures() -> None:
    log = await of_a_company()
    async with at_work(log, failures_before_stop=2, group_commands=1) as office:
        office.sent = 3
        office.give(rename(FIRM, "m-1", "A"), schedule(FIRM, "m-1", "j-1"), rename(FIRM, "m-1", "B"))
        await office.until_decided()


async def test_a_command_id_is_forgotten_a_day_later_by_the_lanes_clock() -> None:
    async with at_work(group_commands=1) as office:
        office.give(*opening(FIRM))
        await office.until_decided()
        key = command_key(FIRM, create_company(FIRM).id)
        for hour in range(1, 26):
            assert key in office.lane.state.records, f"forgotten after {hour - 1} hours"
            office.give(define_category(FIRM, f"kind-{hour}"), at=MORNING + hour * HOUR)
            await office.until_decided()
        assert key not in office.lane.state.records
        assert office.head.digest == office.lane.state.digest


async def test_one_wild_timestamp_forgets_nothing() -> None:
    async with at_work() as office:
        office.give(*opening(FIRM))
        await office.until_decided()
        office.give(define_category(FIRM, "wild"), at=MORNING + 100 * REMEMBERED_FOR)
        await office.until_decided()
        office.give(create_company(FIRM), at=MORNING)
        await office.until_decided()
        assert outcomes(office.log.published)[-1].repeat


async def test_the_oldest_ids_beyond_the_cap_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents.lane, "REMEMBERED_AT_MOST", 3)
    async with at_work(group_commands=1) as office:
        commands = [*opening(FIRM), *(define_category(FIRM, f"kind-{n}") for n in range(4))]
        for number, command in enumerate(commands):
            office.give(command, at=MORNING + number)
            await office.until_decided()
        kept = {key for key in office.lane.state.records if "~command" in key}
        assert kept == {command_key(FIRM, command.id) for command in commands[-3:]}


async def test_an_owner_knows_the_ids_that_the_one_before_remembered() -> None:
    log = await of_a_company()
    async with at_work(log) as office:
        office.sent = 3
        office.give(create_company(FIRM))
        await office.until_decided()
        assert outcomes(log.published)[-1].repeat


async def test_a_name_that_looks_like_a_state_key_is_only_a_name() -> None:
    trap = order(FIRM, "category.define-category", "trap", {"name": "a/~command/b"})
    head = order(FIRM, "category.define-category", "head", {"name": "~head/0"})
    log = await of_a_company(trap, head)
    async with at_work(log) as office:
        office.sent = 5
        office.give(rename(FIRM, "m-1", "Digger"))
        await office.until_decided()


async def test_the_next_owner_publishes_what_the_last_one_left() -> None:
    log = await of_a_company()
    left = [record for record in log.published if record.topic.endswith(OUTCOMES.name)][-1]
    async with at_work(log) as office:
        await office.until(lambda: office.lane.serving)
        assert left in log.published[log.published.index(left) + 1 :]


async def test_the_next_commit_carries_what_is_not_known_to_be_published() -> None:
    log = Paper()
    log.publishing = asyncio.Event()
    async with at_work(log, group_commands=1) as office:
        log.publishing.set()
        await office.until(lambda: office.lane.serving)
        log.publishing.clear()
        office.give(*opening(FIRM))
        await office.until(lambda: head_key(HERE) in office.lane.state.records and office.head.applied == 1)
        carried = [outcome.command_id for outcome in outcomes([unpack(packed) for packed in office.head.outbox])]
        assert carried == [command.id for command in opening(FIRM)]
        assert office.decided == []


async def test_nothing_is_published_behind_a_publication_that_failed() -> None:
    log = Paper()
    async with at_work(log, group_commands=1) as office:
        await office.until(lambda: office.lane.serving)
        log.publishing = asyncio.Event()
        office.give(*opening(FIRM), create_equipment(FIRM, "m-1", 1))
        await office.until(lambda: head_key(HERE) in office.lane.state.records and office.head.applied == 1)
        log.fault = ConnectionError("gone")
        log.publishing.set()
        with pytest.raises(ConnectionError):
            await office.until_decided()
    assert outcomes(log.published) == []
    log.fault = None
    async with at_work(log) as successor:
        await successor.until(lambda: successor.lane.serving)
    assert [outcome.command_id for outcome in outcomes(log.published)] == [command.id for command in opening(FIRM)]


async def test_a_lane_whose_batch_is_void_takes_over_again_and_loses_no_command() -> None:
    async with at_work(group_commands=1) as office:
        office.give(*opening(FIRM))
        await office.until_decided()
        office.log.foreign_write("somebody/else/1")
        office.give(create_equipment(FIRM, "m-1", 1), rename(FIRM, "m-1", "Digger"), rename(FIRM, "m-1", "Crane"))
        await office.until_decided()
        answered = {outcome.offset: outcome.status for outcome in outcomes(office.log.published)}
        assert answered == dict.fromkeys(range(5), "accepted")


async def test_a_batch_whose_landing_is_unknown_is_looked_up_in_the_log() -> None:
    async with at_work() as office:
        office.give(*opening(FIRM))
        await office.until_decided()
        answers = iter([None])
        office.log.landing = lambda base: next(answers, base)  # type: ignore[assignment, return-value]
        office.give(create_equipment(FIRM, "m-1", 1))
        await office.until_decided()
        assert len({outcome.offset for outcome in outcomes(office.log.published)}) == 3


async def test_void_records_are_healed_at_take_over() -> None:
    log = await of_a_company()
    machine, unheard_of = aggregate_key(FIRM, "equipment", "m-1"), aggregate_key(FIRM, "equipment", "m-9")
    log.foreign_write(machine)
    log.foreign_write(unheard_of)
    async with at_work(log) as office:
        await office.until(lambda: office.lane.serving)
    last = {record.key: record for record in log.broker.changelog[HERE]}
    assert last[machine].value == office.lane.state.records[machine] != b"0 0 {}"
    assert last[unheard_of].value is None
    assert is_head(log.broker.changelog[HERE][-1].key), "a deletion is never the log's last record"


async def test_healing_fits_into_batches_however_much_is_published_again() -> None:
    machine = encode_aggregate(equipment, Versioned(1, Equipment(done_jobs=("x" * 10,) * 70_000)))
    keys = [aggregate_key(FIRM, "equipment", f"m-{n}") for n in range(5)]
    state = PartitionState(HERE)
    large = Record("sim.dead-letters", HERE, b"k", b"\x00" * (COMMANDS.limit - 4096))
    head = Head(TOPIC_ID, digest=state.digest_with(dict.fromkeys(keys, machine)), outbox=(pack(large),) * 3)
    log = Paper()
    for number, key in enumerate(keys):
        log.broker.append_state(HERE, [StateRecord(key, machine)], [placed(number, 0)])
    log.broker.append_state(HERE, [StateRecord(head_key(HERE), head.encode())], [placed(len(keys), 0)])
    for key in keys:
        log.foreign_write(key)
    async with at_work(log) as office:
        await office.until(lambda: office.lane.serving)


async def test_recovered_state_with_a_hole_is_read_again() -> None:
    log = await of_a_company()
    machine = aggregate_key(FIRM, "equipment", "m-1")
    state = PartitionState(HERE)
    for record in log.broker.changelog[HERE]:
        if record.key != machine:
            state.read(record.offset, record.key, record.value, record.headers)
    async with at_work(log, state) as office:
        await office.until(lambda: office.lane.serving)
        assert machine in state.records
        assert office.head.digest == state.digest


async def test_the_lane_says_from_where_it_needs_commands() -> None:
    log = await of_a_company()
    said: list[int] = []
    async with at_work(log, serves=said.append) as office:
        await office.until(lambda: office.lane.serving)
    assert said == [2]


async def test_a_stale_batch_that_nobody_noticed_is_found_by_looking() -> None:
    async with at_work(check_seconds=0.01) as office:
        office.give(*opening(FIRM))
        await office.until_decided()
        key = aggregate_key(FIRM, "company", FIRM)
        office.log.foreign_write(key)
        await office.until(
            lambda: [r.value for r in office.log.broker.changelog[HERE] if r.key == key][-1] != b"0 0 {}"
        )


async def test_a_lane_that_settles_publishes_what_it_decided_and_decides_no_more() -> None:
    log = Paper()
    async with at_work(log, group_commands=1) as office:
        await office.until(lambda: office.lane.serving)
        log.publishing = asyncio.Event()
        office.give(*opening(FIRM))
        await office.until(lambda: head_key(HERE) in office.lane.state.records)
        settling = asyncio.create_task(office.lane.settle())
        office.give(create_equipment(FIRM, "m-1", 1))
        log.publishing.set()
        async with asyncio.timeout(DEADLINE):
            await settling
        assert office.decided[-1] == office.head.applied < 2


async def test_settling_ends_where_publishing_fails() -> None:
    log = Paper()
    async with at_work(log) as office:
        await office.until(lambda: office.lane.serving)
        log.fault = ConnectionError("gone")
        office.give(create_company(FIRM))
        await office.until(lambda: head_key(HERE) in office.lane.state.records)
        async with asyncio.timeout(DEADLINE):
            await office.lane.settle()


@pytest.mark.parametrize("steps", range(4))
async def test_a_command_that_arrives_at_the_very_end_does_not_keep_the_lane_alive(steps: int) -> None:
    inbox = Inbox()
    waiting = asyncio.create_task(inbox.wait(60))
    for _ in range(5):
        await asyncio.sleep(0)
    inbox.put([record_of(create_company(FIRM))])
    for _ in range(steps):
        await asyncio.sleep(0)
    if waiting.cancel():
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_large_groups_behind_each_other_fit_into_a_batch() -> None:
    log = Paper()
    log.publishing = asyncio.Event()
    async with at_work(log) as office:
        log.publishing.set()
        await office.until(lambda: office.lane.serving)
        log.publishing.clear()
        blob = record_of(rename(FIRM, "m-1", "Digger"), value=b"\x00" * (COMMANDS.limit - 4096))
        half = record_of(rename(FIRM, "m-1", "Digger"), value=b"\x00" * (GROUP_LIMIT // 2 - 4096))
        office.give(half, blob, half, blob)
        await office.until(lambda: head_key(HERE) in office.lane.state.records and office.head.applied >= 1)
        log.publishing.set()
        await office.until_decided()


# -- state versions --------------------------------------------------------------------------------------------------


def aged(log: Paper, version: int) -> None:
    """Rewrite the machine's record in the log as a build with another state version would have written it."""
    key = aggregate_key(FIRM, "equipment", "m-1")
    stored = [record for record in log.broker.changelog[HERE] if record.key == key][-1]
    assert stored.value is not None
    stored.value = b"%d %s" % (version, stored.value.split(b" ", 1)[1])
    heads = [record for record in log.broker.changelog[HERE] if is_head(record.key)]
    state = PartitionState(HERE)
    for record in log.broker.changelog[HERE]:
        state.read(record.offset, record.key, record.value, record.headers)
    assert heads[-1].value is not None
    heads[-1].value = replace(Head.decode(heads[-1].value), digest=state.digest).encode()


async def test_state_of_an_older_version_is_folded_again_from_the_journal() -> None:
    log = await of_a_company(rename(FIRM, "m-1", "Digger"))
    before = PartitionState(HERE)
    await log.read(before)
    aged(log, 0)
    async with at_work(log) as office:
        await office.until(lambda: office.lane.serving)
        key = aggregate_key(FIRM, "equipment", "m-1")
        assert state_version_of(office.lane.state.records[key]) == equipment.state_version
        assert office.lane.state.records[key] == before.records[key]
        assert office.head.digest == office.lane.state.digest


async def test_state_of_a_newer_version_makes_this_build_leave() -> None:
    log = await of_a_company()
    aged(log, equipment.state_version + 1)
    async with at_work(log) as office:
        with pytest.raises(LaneStopped, match="start a newer build"):
            await office.until(lambda: office.lane.serving)


def test_rosters_have_versions_as_aggregates_have() -> None:
    key = roster_key(FIRM, staff.name)
    assert outdated({key: b"0 1 {}"})
    assert not outdated({key: b"%d 1 {}" % staff.state_version})
    with pytest.raises(LaneStopped, match="start a newer build"):
        outdated({key: b"%d 1 {}" % (staff.state_version + 1)})


def test_a_roster_that_was_not_kept_before_is_folded_when_the_lane_starts() -> None:
    person, machine = aggregate_key(FIRM, "user", "u-1"), aggregate_key(FIRM, "equipment", "m-1")
    records = {person: b"%d 1 {}" % user.state_version, machine: b"%d 1 {}" % equipment.state_version}
    assert outdated(records)
    assert not outdated(records | {roster_key(FIRM, staff.name): b"%d 1 {}" % staff.state_version})


# -- refusals to serve -----------------------------------------------------------------------------------------------


async def refusal(log: Paper, monkeypatch: pytest.MonkeyPatch) -> str:
    """Why the lane refuses to serve; it has neither written nor published anything then."""
    reasons: list[str] = []

    class Noted(agents.lane.RefusesToServe):
        def __init__(self, text: str) -> None:
            super().__init__(text)
            reasons.append(text)

    monkeypatch.setattr(agents.lane, "RefusesToServe", Noted)
    written, published = len(log.broker.changelog[HERE]), len(log.published)
    async with at_work(log) as office:
        await office.until(lambda: bool(reasons))
        assert not office.lane.serving
    assert (len(log.broker.changelog[HERE]), len(log.published)) == (written, published)
    return reasons[0]


async def test_no_head_beside_a_journal_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    log = await of_a_company()
    log.broker.changelog[HERE].clear()
    reason = await refusal(log, monkeypatch)
    assert "no head" in reason and reason.endswith("bitcorp state rebuild --partition 0")


async def test_commands_that_expired_unread_are_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    log = await of_a_company()
    log.around = {"commands_start": 9}
    reason = await refusal(log, monkeypatch)
    assert "Commands 3 to 8 expired" in reason and reason.endswith("bitcorp state rebuild --partition 0 --accept-gap")


async def test_a_commands_topic_that_was_made_anew_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    log = await of_a_company()
    log.around = {"commands_topic_id": "commands-2"}
    reason = await refusal(log, monkeypatch)
    assert "made anew" in reason and reason.endswith("bitcorp state rebuild --partition 0 --new-commands-topic")


async def test_records_that_do_not_add_up_are_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    log = await of_a_company()
    lost = [record for record in log.broker.changelog[HERE] if record.key.endswith("m-1")][-1]
    log.broker.changelog[HERE].remove(lost)
    reason = await refusal(log, monkeypatch)
    assert "do not add up" in reason and reason.endswith("bitcorp state rebuild --partition 0")


async def test_a_group_offset_ahead_of_the_head_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    log = await of_a_company()
    log.around = {"group_offset": 7}
    reason = await refusal(log, monkeypatch)
    assert "up to 6" in reason and "lost its end" in reason
    assert reason.endswith("bitcorp state rebuild --partition 0")


async def test_a_partition_that_is_mended_is_served_after_a_while() -> None:
    log = await of_a_company()
    log.around = {"commands_start": 9}
    async with at_work(log, retry_seconds=0.01) as office:
        await asyncio.sleep(0)
        assert not office.lane.serving
        log.around = {}
        await office.until(lambda: office.lane.serving)


# -- the changelog's records -----------------------------------------------------------------------------------------


def test_a_record_counts_only_where_its_writer_expected_it() -> None:
    state = PartitionState(HERE)
    state.read(0, "a", b"1", placed(0, 0))
    state.read(1, "a", b"2", placed(0, 0))
    state.read(2, "b", b"3", [])
    state.read(3, "c", b"4", [("expect", b"x"), ("index", b"0")])
    assert (state.records, state.voided, state.end) == ({"a": b"1"}, {"a", "b", "c"}, 4)


def test_a_later_valid_record_mends_a_void_one() -> None:
    state = PartitionState(HERE)
    state.read(0, "a", b"1", placed(9, 0))
    state.read(1, "a", b"2", placed(1, 0))
    assert (state.records, state.voided) == ({"a": b"2"}, set())


def test_the_hash_does_not_depend_on_the_order_of_records() -> None:
    one, other = PartitionState(HERE), PartitionState(HERE)
    for offset, key in enumerate("abc"):
        one.read(offset, key, key.encode(), placed(offset, 0))
    for offset, key in enumerate("cba"):
        other.read(offset, key, key.encode(), placed(offset, 0))
    assert one.digest == other.digest != 0


def test_the_hash_returns_when_a_key_is_deleted() -> None:
    state = PartitionState(HERE)
    state.read(0, "a", b"1", placed(0, 0))
    before = state.digest
    state.read(1, "b", b"2", placed(1, 0))
    state.read(2, "b", None, placed(2, 0))
    assert (state.digest, state.bytes) == (before, 1)


def test_a_head_comes_back_as_it_was_written() -> None:
    head = Head(TOPIC_ID, 7, MORNING, 3, 4, 2**64 - 1, (b"\x00packed", b""))
    assert Head.decode(head.encode()) == head
