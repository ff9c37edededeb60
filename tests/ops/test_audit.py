"""What `bitcorp verify` finds in a partition: nothing where all is well, and every fault that is planted."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agents.state import Head, StateRecord, head_key
from ops.audit.findings import Check, Findings
from ops.audit.journal import link
from ops.audit.positions import Positions
from tests.agents.orders import rename
from tests.ops.history import ACME, BETA, Past, healthy, with_header
from topics.catalogue import AUDIT, COMMANDS, DEAD_LETTERS, EVENTS, OUTCOMES, STATE, Topic
from topics.cloudevents import Record

Spoil = Callable[[list[Record]], Any]


def test_a_healthy_past_has_no_fault_and_everything_in_it_is_looked_at() -> None:
    past = healthy()
    found = past.audit()
    assert found.clean, found.samples
    assert found.examined[Check.EVENTS] == sum(len(past.of(EVENTS, partition)) for partition in (0, 1))
    assert found.examined[Check.COMMANDS] == sum(len(past.of(COMMANDS, partition)) for partition in (0, 1))
    assert found.examined[Check.REROUTED] == 1
    assert found.examined[Check.HEADS] == 2
    assert found.examined[Check.STATE] > 20


def test_what_is_published_again_is_counted_and_no_fault() -> None:
    past = healthy()
    for topic in (EVENTS, OUTCOMES, DEAD_LETTERS):
        past.append(past.of(topic)[-1])
    found = past.audit()
    assert found.clean, found.samples
    assert found.repeats == {Check.EVENT_POSITIONS: 1, Check.OUTCOME_POSITIONS: 1}


def test_void_records_of_the_changelog_are_ignored() -> None:
    past = healthy()
    for key in (f"{ACME}/equipment/ex-1", f"{ACME}/~chain", head_key(0)):
        stale = (("expect", b"3"), ("index", b"0"))
        past.append(Record(STATE.named(past.prefix), 0, key.encode(), b"nonsense", stale))
        past.append(Record(STATE.named(past.prefix), 0, key.encode(), b"nonsense"))
    assert past.audit().clean


def drop(place: int) -> Spoil:
    return lambda records: records.pop(place)


def change(place: int, **fields: Any) -> Spoil:
    def spoil(records: list[Record]) -> None:
        records[place] = records[place]._replace(**fields)

    return spoil


def header(place: int, name: str, value: str) -> Spoil:
    def spoil(records: list[Record]) -> None:
        records[place] = with_header(records[place], name, value)

    return spoil


def repeat(place: int, **fields: Any) -> Spoil:
    return lambda records: records.append(records[place]._replace(**fields))


def cut(length: int) -> Spoil:
    def spoil(records: list[Record]) -> None:
        del records[length:]

    return spoil


def swap(records: list[Record]) -> None:
    records[2], records[3] = records[3], records[2]


@pytest.mark.parametrize(
    ("topic", "spoil", "check"),
    [
        pytest.param(EVENTS, drop(3), Check.EVENT_POSITIONS, id="an event is missing"),
        pytest.param(EVENTS, drop(0), Check.EVENT_POSITIONS, id="the first event is missing"),
        pytest.param(EVENTS, drop(-1), Check.HEADS, id="the last event is missing"),
        pytest.param(EVENTS, swap, Check.EVENT_POSITIONS, id="two events changed places"),
        pytest.param(EVENTS, repeat(2, value=b"{}"), Check.EVENTS, id="an unreadable event stands at the end"),
        pytest.param(EVENTS, change(3, key=b"firm-of-somebody-else"), Check.EVENTS, id="an event has another company"),
        pytest.param(EVENTS, change(3, key=None), Check.EVENTS, id="an event has no company"),
        pytest.param(EVENTS, header(3, "ce_chain", "0" * 64), Check.CHAIN, id="a chain value is wrong"),
        pytest.param(EVENTS, header(3, "ce_actor", "user:eve"), Check.CHAIN, id="an actor was changed afterwards"),
        pytest.param(EVENTS, header(3, "ce_id", "0" * 32), Check.EVENTS, id="an event id is wrong"),
        pytest.param(EVENTS, header(3, "ce_aggregateversion", "7"), Check.EVENTS, id="an aggregate version jumps"),
        pytest.param(EVENTS, header(3, "ce_subject", "equipment/ex-5"), Check.EVENTS, id="the subject is another"),
        pytest.param(EVENTS, header(3, "ce_causationid", "0" * 32), Check.OUTCOMES, id="an event has another cause"),
        pytest.param(OUTCOMES, drop(3), Check.OUTCOME_POSITIONS, id="an outcome is missing in between"),
        pytest.param(OUTCOMES, drop(-1), Check.COMMANDS, id="the last outcome is missing"),
        pytest.param(OUTCOMES, repeat(2, value=b'{"x": 1}'), Check.OUTCOMES, id="an outcome cannot be read"),
        pytest.param(DEAD_LETTERS, drop(0), Check.COMMANDS, id="a dead letter is missing"),
        pytest.param(STATE, cut(20), Check.HEADS, id="the changelog has lost its end"),
        pytest.param(STATE, lambda records: records.clear(), Check.HEADS, id="the changelog is empty"),
    ],
)
def test_a_planted_fault_is_found(topic: Topic, spoil: Spoil, check: Check) -> None:
    found = healthy().spoil(topic, spoil).audit()
    assert found.faults[check], found.samples


def test_a_decided_command_without_an_answer_is_found() -> None:
    past = healthy()
    state, head = past.lanes[0]
    past.send(rename(ACME, "ex-3", "Never answered"))
    past.write_state(0, state, [head_record(head, applied=head.applied + 1)], head)
    assert past.audit().faults == {Check.COMMANDS: 1}


def head_record(head: Head, **changes: Any) -> StateRecord:
    return StateRecord(head_key(0), replace(head, **changes).encode())


@pytest.mark.parametrize(
    ("key", "value", "check"),
    [
        (f"{ACME}/equipment/ex-1", b'1 9 {"name":"Forged"}', Check.STATE),
        (f"{ACME}/equipment/ex-1", None, Check.STATE),
        (f"{ACME}/equipment/ex-unheard-of", b'1 1 {"name":"Forged"}', Check.STATE),
        (f"{ACME}/~roster/staff", b'1 9 {"active_admins":7}', Check.STATE),
        (f"{ACME}/~roster/staff", None, Check.STATE),
        (f"{ACME}/~claim/equipment.serial-number/EQ-2020-EX-000001", b"ex-5", Check.STATE),
        (f"{ACME}/~claim/equipment.serial-number/EQ-2020-EX-000009", b"ex-9", Check.STATE),
        (f"{ACME}/~chain", bytes(32), Check.STATE),
    ],
)
def test_state_that_the_journal_does_not_lead_to_is_found(key: str, value: bytes | None, check: Check) -> None:
    past = healthy()
    write_over(past, key, value)
    found = past.audit()
    assert found.faults[check], found.samples


def test_records_that_do_not_add_up_to_the_heads_hash_are_found() -> None:
    past = healthy()
    write_over(past, f"{ACME}/~chain", bytes(32))
    assert past.audit().faults[Check.HEADS]


def test_a_forgotten_command_id_is_found() -> None:
    past = healthy()
    key = next(key for key in past.lanes[0][0].records if "/~command/" in key)
    write_over(past, key, None)
    assert past.audit().faults[Check.REMEMBERED]


def test_a_remembered_answer_that_was_never_given_is_found() -> None:
    past = healthy()
    key, value = next((k, v) for k, v in past.lanes[0][0].records.items() if "/~command/" in k)
    write_over(past, key, value.replace(b"accepted", b"rejected"))
    assert past.audit().faults[Check.REMEMBERED]


def write_over(past: Past, key: str, value: bytes | None) -> None:
    """A valid record that no lane wrote."""
    expect = str(len(past.of(STATE))).encode()
    headers = (("expect", expect), ("index", b"0"))
    past.append(Record(STATE.named(past.prefix), 0, key.encode(), value, headers))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"events": 3}, "next event"),
        ({"outcomes": 3}, "next outcome"),
        ({"digest": 1}, "hash"),
        ({"commands_topic_id": "another"}, "commands topic"),
    ],
)
def test_a_head_that_stands_elsewhere_is_found(changes: dict[str, Any], words: str) -> None:
    past = healthy()
    state, head = past.lanes[0]
    past.write_state(0, state, [head_record(head, **changes)], head)
    found = past.audit()
    assert any(words in text for text in found.samples[Check.HEADS]), found.samples


def test_a_mis_keyed_command_that_never_arrived_is_found() -> None:
    past = healthy()
    past.spoil(COMMANDS, lambda records: records.pop(), partition=1)
    assert past.audit().faults[Check.REROUTED]


def test_a_command_decided_twice_is_found() -> None:
    past = healthy()
    first, head = past.of(OUTCOMES)[0], past.lanes[0][1]
    again = with_header(first, "ce_sequence", str(head.outcomes))
    past.append(again._replace(value=first.value.replace(b'"offset":0', b'"offset":99') if first.value else None))
    found = past.audit()
    assert "decided twice" in str(found.samples[Check.OUTCOMES]), found.samples


def test_a_repeat_with_another_answer_is_found() -> None:
    past = healthy()

    def other_answer(records: list[Record]) -> None:
        place = next(n for n, record in enumerate(records) if b'"repeat":true' in (record.value or b""))
        value = (records[place].value or b"").replace(b'"version":2', b'"version":5')
        records[place] = records[place]._replace(value=value)

    past.spoil(OUTCOMES, other_answer)
    assert "another answer" in str(past.audit().samples[Check.OUTCOMES])


def test_positions_need_not_start_at_one_where_the_topic_has_lost_its_beginning() -> None:
    findings = Findings()
    positions = Positions(Check.OUTCOME_POSITIONS, findings, whole=False)
    record = healthy().of(OUTCOMES)[0]
    assert [positions.take(record, position) for position in (7, 8, 8, 10)] == [True, True, False, True]
    assert findings.faults[Check.OUTCOME_POSITIONS] == 1
    assert positions.last == 10


@pytest.mark.parametrize(
    ("spoil", "place"),
    [
        pytest.param(
            header(3, "ce_actor", "user:eve"), f"{ACME} breaks at position 0:4, erp.events offset", id="changed"
        ),
        pytest.param(change(3, value=b'{"name":"Forged"}'), f"{ACME} breaks at position 0:4", id="changed in its data"),
        pytest.param(drop(3), f"{ACME} breaks at position 0:5, erp.events offset 3", id="dropped"),
        pytest.param(swap, f"{ACME} breaks at position 0:4, erp.events offset 2", id="swapped"),
        pytest.param(drop(0), f"{ACME} breaks at position 0:2, erp.events offset 0", id="the first dropped"),
    ],
)
def test_the_first_break_of_a_companys_chain_is_named(spoil: Spoil, place: str) -> None:
    found = healthy().spoil(EVENTS, spoil).prove()
    assert found.faults[Check.CHAIN] == 1
    assert found.samples[Check.CHAIN][0].startswith(place)


def test_an_event_that_was_changed_and_chained_again_breaks_the_one_after_it() -> None:
    past = healthy()
    records = past.of(EVENTS)
    forged = with_header(records[3], "ce_actor", "user:eve")
    before = bytes.fromhex(dict(records[2].headers)["ce_chain"].decode())
    records[3] = with_header(forged, "ce_chain", link(forged, before).hex())
    found = past.prove()
    assert found.samples[Check.CHAIN][0].startswith(f"{ACME} breaks at position 0:5")


def test_whole_chains_are_followed_and_a_break_of_one_company_says_nothing_of_another() -> None:
    past = healthy()
    assert past.prove().clean
    assert past.prove().examined[Check.CHAIN] == sum(len(past.of(EVENTS, partition)) for partition in (0, 1))
    assert past.prove().examined[Check.AUDIT] == sum(len(past.of(OUTCOMES, partition)) for partition in (0, 1))
    past.spoil(EVENTS, header(3, "ce_actor", "user:eve"), partition=1)
    assert past.prove().faults == {Check.CHAIN: 1}
    assert BETA in past.prove().samples[Check.CHAIN][0]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(header(3, "ce_actor", "user:eve"), id="changed in its attributes"),
        pytest.param(change(3, value=b"{}"), id="changed in its data"),
        pytest.param(change(3, key=b"firm-of-somebody-else"), id="under another company"),
    ],
)
def test_a_record_of_the_audit_that_was_changed_is_found(spoil: Spoil) -> None:
    found = healthy().spoil(AUDIT, spoil).prove()
    assert found.faults == {Check.AUDIT: 1}
    assert "erp.audit/0 offset 3" in found.samples[Check.AUDIT][0]


@pytest.mark.parametrize("spoil", [drop(3), drop(0), swap])
def test_a_record_that_is_missing_in_the_audit_or_out_of_its_place_is_found(spoil: Spoil) -> None:
    past = healthy().spoil(AUDIT, spoil)
    assert past.prove().faults[Check.AUDIT]
    assert past.audit().faults[Check.AUDIT]


def test_what_was_written_twice_at_once_is_void_and_no_fault() -> None:
    past = healthy()
    past.append(past.of(AUDIT)[-1])
    assert past.prove().clean
    assert past.prove().repeats == {Check.AUDIT: 1}


def test_an_audit_whose_end_is_cut_off_is_no_more_than_late() -> None:
    past = healthy().spoil(AUDIT, cut(5))
    assert past.audit().clean
    assert past.audit().examined[Check.RECORDED] < sum(len(past.of(OUTCOMES, partition)) for partition in (0, 1))


def test_an_outcome_that_the_audit_tells_otherwise_is_found() -> None:
    past = healthy()
    told = past.of(OUTCOMES)[3]
    past.spoil(OUTCOMES, change(3, value=(told.value or b"").replace(b"user:ada", b"user:eve")))
    assert past.of(OUTCOMES)[3] != told
    assert past.audit().faults[Check.RECORDED] == 1
