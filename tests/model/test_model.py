"""The protocol of the lanes holds in every interleaving of a small world, and none of its parts can be left out.

`tests/agents/test_simulation.py` shows the same of the real lane, by chance; here it is every way of few steps."""

from functools import cache

import pytest

from tests.model.explore import Explored, explore
from tests.model.lane import Command, Protocol, World, good_end, wrong

#: The third is a repeat of the first; the second changes both aggregates at once.
COMMANDS = (Command("a", (0,)), Command("x", (0, 1)), Command("a", (0,)), Command("b", (1,)))


@cache
def explored(protocol: Protocol, most: int = 1_000_000) -> Explored[World]:
    return explore(World(), protocol.steps, wrong(protocol), good_end(protocol), most)


@pytest.mark.thorough
def test_two_owners_make_one_history_of_three_commands_whatever_happens_when() -> None:
    found = explored(Protocol(COMMANDS[:3]))
    assert found.holds, str(found)
    assert found.complete


@pytest.mark.slow
def test_two_owners_make_one_history_of_four_commands_whatever_happens_when() -> None:
    found = explored(Protocol(COMMANDS))
    assert found.holds, str(found)
    assert found.complete


@pytest.mark.thorough
def test_all_that_can_befall_a_lane_does_in_the_model() -> None:
    taken = explored(Protocol(COMMANDS[:3])).taken
    for step in (
        "worker 2 takes over",
        "owner 2 writes, which is void",
        "former owner 1 writes, which is void",
        "former owner 1 writes 2 records",
        "owner 2 takes over again",
        "former owner 1 takes over again",
        "former owner 1 publishes 0: a changed 0",
        "owner 2 looks at the changelog's end",
        "owner 2 acknowledges up to 2",
        "a stray lands, 2: x changed 0",
        "half a compaction lag passes",
    ):
        assert step in taken
    assert not any("compaction drops" in step for step in taken), "what is healed in time is never lost"


@pytest.mark.thorough
def test_three_owners_make_one_history_as_far_as_it_is_followed() -> None:
    found = explored(Protocol(COMMANDS[1::2], owners=3), most=10_000)
    assert found.holds, str(found)


@pytest.mark.slow
def test_three_owners_make_one_history_of_two_commands_whatever_happens_when() -> None:
    found = explored(Protocol(COMMANDS[1::2], owners=3))
    assert found.holds, str(found)
    assert found.complete


@pytest.mark.slow
def test_three_owners_make_one_history_of_three_commands_as_far_as_it_is_followed() -> None:
    found = explored(Protocol(COMMANDS[:3], owners=3), most=300_000)
    assert found.holds, str(found)


FOLD = "the recovered state is not the fold of the commands up to its head"
LOST = "an acknowledged command has lost its messages"
FORK = "two contents of one position"

BREAKING = [
    pytest.param({"last_record_wins": True}, FOLD, id="the last record wins, valid or not"),
    pytest.param({"void_batch_counts": True}, FORK, id="a writer whose batch is void goes on"),
    pytest.param({"publishes_before_state": True}, FORK, id="messages are published before state is written"),
    pytest.param({"atomic": False}, FOLD, id="the records of a batch land one by one"),
    pytest.param({"carries": False}, "gap", id="the next commit does not carry the unconfirmed outbox"),
    pytest.param({"republishes": False}, LOST, id="nothing is published at a take-over"),
    pytest.param({"awaits_republication": False}, LOST, id="publication at a take-over is not awaited"),
    pytest.param({"heals": False}, FOLD, id="void records are not healed"),
    pytest.param({"looks": False}, FOLD, id="compaction without a look at the changelog's end"),
    pytest.param({"acknowledges_late": False}, LOST, id="commands are acknowledged before publication"),
]


@pytest.mark.parametrize(("fault", "violation"), BREAKING)
def test_a_protocol_with_a_fault_breaks(fault: dict[str, bool], violation: str) -> None:
    found = explored(Protocol(COMMANDS[:3], **fault))
    assert violation in found.violations, str(found)


@pytest.mark.parametrize("fault", ["heals", "looks"])
def test_without_compaction_s_lag_running_out_a_void_record_does_no_harm(fault: str) -> None:
    """What breaks these two is compaction, which keeps a void record instead of the valid one."""
    found = explored(Protocol(COMMANDS[:3], **{fault: False}))
    (trace,) = found.violations.values()
    assert trace[-1].startswith("compaction drops")


def test_a_state_from_which_no_good_end_can_be_reached_is_found() -> None:
    """A group that hands the partition to nobody decides nothing."""
    assert explored(Protocol(COMMANDS[:1], owners=0)).stuck == []
