"""Records that are moved to another partition: what they keep, and what becomes another."""

from domain.engine import NO_CHAIN
from tests.topics.samples import event_record, outcome, outcome_record
from topics.audit import audited, progress, read_audited, write_audited
from topics.cloudevents import Record, read
from topics.dead_letters import letter_id
from topics.generation import generation_of, mark_of, next_prefix
from topics.messages import (
    DeadLetter,
    chain_of,
    event_id,
    read_dead_letter,
    read_event,
    read_outcome,
    write_dead_letter,
)
from topics.moved import Positions, came_from, moved, moved_audited, moved_event, moved_outcome

PARTITIONS = 3


def test_prefixes_tell_their_generation() -> None:
    assert [next_prefix(prefix) for prefix in ("erp", "erp-g2", "erp-g10", "my-g-erp")] == [
        "erp-g2",
        "erp-g3",
        "erp-g11",
        "my-g-erp-g2",
    ]
    assert [generation_of(prefix) for prefix in ("erp", "erp-g2", "erp-g1", "g2")] == [1, 2, 1, 1]
    assert [mark_of(topic) for topic in ("erp.events", "erp-g2.credentials.events")] == ["", "g2"]


def test_places_of_another_generation_give_other_ids() -> None:
    assert event_id("acme", "erp.events", 1, 7) != event_id("acme", "erp-g2.events", 1, 7)
    letter = Record("erp-g2.commands", 3, b"acme", b"", offset=17)
    assert [letter_id(letter), letter_id(letter._replace(topic="erp.commands"))] == [
        "g2.commands-3-17",
        "commands-3-17",
    ]


def test_a_moved_event_is_the_same_at_another_position_and_its_chain_holds() -> None:
    record, chain = event_record(position=5)
    once = moved_event(record._replace(offset=8), "erp-g2.events", 4, 2)
    twice = moved_event(once._replace(offset=1), "erp-g3.events", 0, 9)
    before, after = read_event(record), read_event(twice)
    assert (after.partition, after.position) == (0, 9)
    assert after._replace(partition=before.partition, position=before.position) == before
    assert chain_of(once, NO_CHAIN) == chain_of(twice, NO_CHAIN) == chain
    assert [came_from(found) for found in (record, once, twice)] == [None, (2, 8), (4, 1)]


def test_old_positions_lead_to_new_ones() -> None:
    positions = Positions()
    for old, position, new in ((0, 1, 1), (0, 2, 0), (0, 3, 1), (1, 1, 1), (1, 2, 1)):
        positions.take(old, position, new)
    assert [positions.of(0, position, 1) for position in (1, 2, 3, 9)] == [1, 1, 2, 2]
    assert [positions.of(1, position, 1) for position in (0, 1, 2)] == [2, 3, 4]
    assert positions.of(1, 2, 0) == 0


def test_a_moved_outcome_names_the_new_positions_of_its_events() -> None:
    positions = Positions()
    for position in range(1, 12):
        positions.take(2, position, 5 if position > 8 else 0)
    told = outcome(partition=2, first=10, last=11, position=11, offset=40)
    found, sequence = read_outcome(
        moved_outcome(outcome_record(told, 3), "erp-g2.outcomes", 5, 1, PARTITIONS, positions)
    )
    assert (found.partition, found.first, found.last, found.position, sequence) == (5, 2, 3, 3, 1)
    assert found.offset < 0
    assert told == found.model_copy(update={name: getattr(told, name) for name in PLACES})


PLACES = ("partition", "first", "last", "position", "offset")


def test_moved_outcomes_have_numbers_of_their_own_below_the_first_command() -> None:
    def offsets(places: list[tuple[int, int]]) -> list[tuple[int, int]]:
        return [(0, _offset_of(partition, offset)) for partition, offset in places]

    once = offsets([(partition, offset) for partition in range(PARTITIONS) for offset in range(20)])
    assert len(set(once)) == 60
    assert max(offset for _, offset in once) < 0
    assert len(set(offsets(once))) == 60


def _offset_of(partition: int, offset: int) -> int:
    told = outcome(partition=partition, offset=offset, first=None, last=None)
    record = outcome_record(told, 1)._replace(partition=partition)
    return read_outcome(moved_outcome(record, "erp-g2.outcomes", 0, 1, PARTITIONS, Positions()))[0].offset


def test_a_moved_record_of_the_audit_is_chained_anew_over_its_old_chain() -> None:
    told = audited("business", outcome_record(outcome(partition=2), 4))
    record, chain = write_audited(told, "erp.audit", 7, {"business": 3}, NO_CHAIN)
    found, linked = moved_audited(record._replace(offset=6), "erp-g2.audit", 1, 1, {"business": 12}, NO_CHAIN)
    said = read(found).attributes
    assert read_audited(found._replace(offset=0)) == told
    assert (progress(said), said["formerchain"], said["chain"]) == ({"business": 12}, chain.hex(), linked.hex())
    assert chain_of(found, NO_CHAIN) == linked != chain
    assert came_from(found) == (2, 6)


def test_a_moved_dead_letter_is_the_same_letter() -> None:
    origin = Record("erp.commands", 3, b"acme", b"{", (("ce_id", b"1"),), 17, 5)
    letter = DeadLetter(origin, "invalid", "no JSON")
    there = moved(write_dead_letter(letter, "erp.dead-letters", 3)._replace(offset=2), "erp-g2.dead-letters", 1)
    assert read_dead_letter(there) == letter
    assert came_from(moved(there, "erp-g3.dead-letters", 0)) == (1, 2)
