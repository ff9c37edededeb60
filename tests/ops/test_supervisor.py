"""Who keeps processes running: what ends is started again, after pauses that grow, and all of it ends."""

from dataclasses import dataclass, field

import pytest

from ops import supervisor
from ops.supervisor import FIRST_PAUSE, LONGEST_PAUSE, Supervisor


@dataclass
class Thing:
    """Something to keep running, on a clock of the test's own."""

    name: str = "thing"
    runs: bool = False
    starts: int = 0
    pid: int | None = None
    fault: Exception | None = field(default=None)

    def alive(self) -> bool:
        return self.runs

    def start(self) -> None:
        self.starts += 1
        if self.fault:
            raise self.fault
        self.runs = True

    def stop(self) -> None:
        self.runs = False


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(supervisor, "time", clock)
    return clock


def pause_until_restart(keeper: Supervisor, thing: Thing, clock: Clock) -> float:
    """Let the thing end, and look until it runs again."""
    thing.runs, began, starts = False, clock.now, thing.starts
    while thing.starts == starts:
        keeper.look()
        clock.now += 0.25
    return clock.now - began


def test_what_ends_is_started_again(clock: Clock) -> None:
    told: list[str] = []
    keeper, thing = Supervisor(told.append), Thing()
    keeper.start([thing])
    pause_until_restart(keeper, thing, clock)
    assert thing.runs
    assert ["thing has ended" in told[0], "thing runs again" in told[1]] == [True, True]


def test_the_pause_grows_while_it_keeps_ending_and_is_short_again_after_a_steady_time(clock: Clock) -> None:
    keeper, thing = Supervisor(lambda line: None), Thing()
    keeper.start([thing])
    pauses = [pause_until_restart(keeper, thing, clock) for _ in range(10)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 2 * FIRST_PAUSE + 0.5
    assert LONGEST_PAUSE <= pauses[-1] <= LONGEST_PAUSE + 1
    clock.now += 3600
    assert pause_until_restart(keeper, thing, clock) == pauses[0]


def test_what_cannot_be_started_again_is_tried_later(clock: Clock) -> None:
    told: list[str] = []
    keeper, thing = Supervisor(told.append), Thing()
    keeper.start([thing])
    thing.fault = OSError("no more memory")
    pause_until_restart(keeper, thing, clock)
    assert "no more memory" in told[-1]
    thing.fault = None
    pause_until_restart(keeper, thing, clock)
    assert thing.runs


def test_what_runs_is_left_alone_and_all_of_it_ends(clock: Clock) -> None:
    keeper, things = Supervisor(lambda line: None), [Thing("a"), Thing("b")]
    keeper.start(things)
    for _ in range(20):
        keeper.look()
        clock.now += 1
    assert [thing.starts for thing in things] == [1, 1]
    keeper.stop()
    assert [thing.runs for thing in things] == [False, False]


def test_if_one_cannot_start_the_fault_is_told() -> None:
    keeper = Supervisor(lambda line: None)
    with pytest.raises(OSError, match="no more memory"):
        keeper.start([Thing("a"), Thing("b", fault=OSError("no more memory"))])
