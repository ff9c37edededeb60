"""Figures of reliability: the sources' own numbers, and what holds for any stops."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.reliability import NOTHING, Reliability, Span, Stop, reliability, together

MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(hours: float) -> datetime:
    return MONDAY + hours * HOUR


LIFE = Span(at(-10_000), at(10_000))
LATER = at(9_000)
MONTH = Span(at(0), at(720))


def figures(*stops: Stop, window: Span = MONTH, life: Span = LIFE, now: datetime = LATER) -> Reliability:
    return reliability(stops, window, life, now)


def failure(start: float, end: float | None, worked: float | None = None) -> Stop:
    return Stop(at(start), None if end is None else at(end), worked=None if worked is None else worked * HOUR)


def service(start: float, end: float) -> Stop:
    return Stop(at(start), at(end), planned=True)


# --- the numbers of the sources -------------------------------------------------------------------------------------


def test_a_month_with_failures_of_six_and_two_hours() -> None:
    found = figures(failure(100, 106), failure(400, 402))
    assert (found.mtbf, found.mttr, found.mdt) == (356 * HOUR, 4 * HOUR, 4 * HOUR)
    assert (found.inherent, found.operational) == (Decimal("0.988889"), Decimal("0.988889"))
    assert (found.failures, found.repairs, found.downtime, found.operating) == (2, 2, 8 * HOUR, 712 * HOUR)


def test_waiting_counts_as_downtime_and_not_as_repair() -> None:
    found = figures(failure(100, 106, worked=3), failure(400, 402, worked=1))
    assert (found.mttr, found.mdt) == (2 * HOUR, 4 * HOUR)
    assert (found.inherent, found.operational) == (Decimal("0.994413"), Decimal("0.988889"))


def test_planned_service_counts_for_the_achieved_and_the_operational_availability_alone() -> None:
    found = figures(failure(100, 106), failure(400, 402), service(200, 210))
    assert (found.mtbf, found.mttr, found.planned_downtime) == (351 * HOUR, 4 * HOUR, 10 * HOUR)
    assert found.inherent == Decimal("0.988732")
    assert (found.achieved, found.operational) == (Decimal("0.975000"), Decimal("0.975000"))


def test_machines_together_have_the_means_of_all_their_failures() -> None:
    first, second = figures(failure(100, 106)), figures(failure(400, 402), failure(500, 504), service(600, 610))
    both = together([first, second, figures()])
    assert (both.observed, both.operating) == (2160 * HOUR, 2138 * HOUR)
    assert (both.failures, both.mtbf, both.mttr) == (3, 2138 * HOUR / 3, 4 * HOUR)
    assert both.operational == Decimal("0.989815")
    assert together([first]) == first


def test_no_machines_have_no_figures() -> None:
    found = together([])
    assert (found.observed, found.mtbf, found.operational) == (NOTHING, None, None)


# --- what is not defined --------------------------------------------------------------------------------------------


def test_without_a_failure_there_is_no_mean_but_the_time_survived() -> None:
    found = figures()
    assert (found.mtbf, found.mttr, found.mdt, found.inherent, found.achieved) == (None,) * 5
    assert (found.operating, found.operational) == (720 * HOUR, Decimal(1))


def test_a_failure_that_lasts_is_counted_until_now_and_has_no_repair_yet() -> None:
    found = figures(failure(700, None), now=at(710))
    assert (found.observed, found.downtime, found.failures, found.repairs) == (710 * HOUR, 10 * HOUR, 1, 0)
    assert (found.mtbf, found.mdt, found.mttr, found.inherent) == (700 * HOUR, 10 * HOUR, None, None)


@pytest.mark.parametrize(
    ("window", "life", "now"),
    [
        (MONTH, Span(at(720), at(9_000)), at(9_000)),
        (MONTH, Span(at(-9_000), at(0)), at(9_000)),
        (MONTH, LIFE, at(-1)),
        (Span(at(5), at(5)), LIFE, at(9_000)),
        (Span(at(5), at(4)), LIFE, at(9_000)),
    ],
)
def test_where_nothing_was_observed_nothing_is_defined(window: Span, life: Span, now: datetime) -> None:
    found = figures(failure(1, 2), service(3, 4), window=window, life=life, now=now)
    assert (found.observed, found.operating, found.downtime, found.failures) == (NOTHING, NOTHING, NOTHING, 0)
    assert (found.mtbf, found.operational) == (None, None)


# --- merged and clipped ---------------------------------------------------------------------------------------------


def test_failures_that_overlap_are_one() -> None:
    found = figures(failure(10, 20), failure(12, 15), failure(18, 24))
    assert (found.failures, found.downtime, found.mttr) == (1, 14 * HOUR, 14 * HOUR)


def test_a_failure_that_follows_at_once_is_another() -> None:
    found = figures(failure(10, 20), failure(20, 22))
    assert (found.failures, found.downtime) == (2, 12 * HOUR)


def test_a_failure_from_before_the_window_counts_with_its_hours_in_it_alone() -> None:
    found = figures(failure(-10, 5), failure(100, 103))
    assert (found.failures, found.repairs, found.downtime) == (1, 2, 8 * HOUR)
    assert (found.mtbf, found.mdt) == (712 * HOUR, 4 * HOUR)


def test_a_failure_that_outlasts_the_window_is_not_repaired_in_it() -> None:
    found = figures(failure(710, 730))
    assert (found.failures, found.repairs, found.downtime, found.mttr) == (1, 0, 10 * HOUR, None)


def test_a_machine_is_observed_in_its_service_life() -> None:
    found = figures(failure(90, 110), life=Span(at(100), at(300)))
    assert (found.observed, found.failures, found.downtime) == (200 * HOUR, 0, 10 * HOUR)


def test_a_machine_that_was_retired_unrepaired_was_not_repaired() -> None:
    given_up = Stop(at(290), at(300), restored=False)
    found = figures(given_up, life=Span(at(0), at(300)))
    assert (found.failures, found.repairs, found.downtime, found.mttr) == (1, 0, 10 * HOUR, None)


def test_a_stop_that_is_over_at_once_is_a_failure_without_downtime() -> None:
    found = figures(failure(10, 10))
    assert (found.failures, found.repairs, found.downtime, found.mttr) == (1, 1, NOTHING, NOTHING)


def test_service_during_a_failure_is_no_further_downtime() -> None:
    found = figures(failure(10, 20), service(15, 30))
    assert (found.downtime, found.planned_downtime, found.operating) == (10 * HOUR, 10 * HOUR, 700 * HOUR)


# --- any stops ------------------------------------------------------------------------------------------------------

hours = st.integers(-50, 800)
stops = st.builds(
    lambda start, length, planned, worked, restored: Stop(
        at(start), None if length is None else at(start + length), planned, worked, restored
    ),
    hours,
    st.none() | st.integers(0, 200),
    st.booleans(),
    st.none() | st.integers(0, 30).map(lambda number: number * HOUR),
    st.booleans(),
)
several = st.lists(stops, max_size=8)


@for_all(several)
def test_up_and_down_are_the_time_observed_and_every_share_lies_between_nothing_and_all(told: list[Stop]) -> None:
    found = figures(*told)
    assert found.operating + found.downtime + found.planned_downtime == found.observed == 720 * HOUR
    assert min(found.operating, found.downtime, found.planned_downtime) >= NOTHING
    for share in (found.inherent, found.achieved, found.operational):
        assert share is None or 0 <= share <= 1


@for_all(several, st.randoms())
def test_neither_the_order_of_stops_nor_telling_one_twice_adds_downtime(told: list[Stop], dice: object) -> None:
    shuffled = sorted(told, key=lambda stop: hash((dice, stop.start)))
    assert figures(*shuffled) == figures(*told)
    twice = figures(*told, *told[:1])
    assert (twice.downtime, twice.operating) == (figures(*told).downtime, figures(*told).operating)


@for_all(several, st.integers(1, 719))
def test_the_parts_of_a_window_add_up(told: list[Stop], cut: int) -> None:
    whole = figures(*told)
    first, second = (figures(*told, window=Span(*part)) for part in ((at(0), at(cut)), (at(cut), at(720))))
    assert first.failures + second.failures == whole.failures
    assert first.downtime + second.downtime == whole.downtime
    assert first.operating + second.operating == whole.operating


@for_all(several)
def test_without_planned_stops_repair_takes_no_longer_than_downtime(told: list[Stop]) -> None:
    found = figures(*(stop for stop in told if not stop.planned))
    if found.mttr is not None and found.mdt is not None and found.failures == found.repairs:
        assert found.mttr * found.repairs <= found.downtime
