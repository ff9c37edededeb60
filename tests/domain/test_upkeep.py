"""Work in time, work that waits, and cost of ownership: numbers by hand, and what holds for any."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.upkeep import Amount, Compliance, Cost, PlannedJob, added, compliance, cost_of_time, technician_hours

TODAY = date(2026, 11, 23)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def soles(*amounts: str) -> list[Amount]:
    return [Amount(Decimal(amount), "PEN") for amount in amounts]


# --- in time --------------------------------------------------------------------------------------------------------


def test_a_quarterly_service_is_in_time_until_nine_days_after_its_day() -> None:
    due = date(2026, 6, 1)
    jobs = [PlannedJob(due, due + days * DAY, 90) for days in (-5, 0, 9, 10)]
    found = compliance(jobs, TODAY)
    assert (found.due, found.in_time, found.share) == (4, 3, Decimal("0.750000"))


@pytest.mark.parametrize(("interval", "days"), [(None, 0), (1, 0), (7, 0), (10, 1), (19, 1), (30, 3), (365, 36)])
def test_the_tolerance_is_a_tenth_of_the_interval_in_whole_days(interval: int | None, days: int) -> None:
    assert PlannedJob(TODAY, None, interval).last_day == TODAY + days * DAY


def test_work_that_is_not_done_counts_when_its_tolerance_is_over() -> None:
    waiting, late = PlannedJob(TODAY - 9 * DAY, None, 90), PlannedJob(TODAY - 10 * DAY, None, 90)
    assert compliance([waiting], TODAY) == Compliance(due=0, in_time=0)
    assert compliance([waiting, late], TODAY) == Compliance(due=1, in_time=0)


def test_where_nothing_was_due_nothing_was_kept_nor_missed() -> None:
    assert compliance([], TODAY).share is None
    assert compliance([PlannedJob(TODAY + DAY)], TODAY).share is None
    assert compliance([PlannedJob(TODAY + DAY, TODAY)], TODAY).share == 1


days = st.dates(date(2026, 1, 1), date(2027, 1, 1))
jobs = st.builds(PlannedJob, days, st.none() | days, st.none() | st.integers(1, 3660))
several = st.lists(jobs, max_size=12)


@for_all(several, several, days)
def test_the_parts_of_a_fleet_add_up_and_a_share_lies_between_nothing_and_all(
    some: list[PlannedJob], others: list[PlannedJob], today: date
) -> None:
    parts = [compliance(jobs, today) for jobs in (some, others)]
    whole = compliance([*some, *others], today)
    assert whole == Compliance(*(sum(figures) for figures in zip(*parts, strict=True)))
    assert 0 <= whole.in_time <= whole.due
    assert whole.share is None or 0 <= whole.share <= 1


@for_all(jobs, days, st.integers(0, 400))
def test_what_is_decided_stays_so(job: PlannedJob, today: date, later: int) -> None:
    if job.counts(today):
        assert compliance([job], today) == compliance([job], today + later * DAY)


# --- backlog --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("minutes", "hours"), [(0, "0.00"), (1, "0.02"), (90, "1.50"), (100, "1.67"), (1890, "31.50")])
def test_minutes_are_told_as_hours(minutes: int, hours: str) -> None:
    assert str(technician_hours(minutes)) == hours


# --- cost of ownership ----------------------------------------------------------------------------------------------


def test_the_cost_of_a_machine_is_all_that_it_took_less_what_it_brought() -> None:
    cost = Cost(
        purchase=Decimal("120000.00"),
        maintenance=added(soles("800.00", "1250.50"), "PEN"),
        parts=added(soles("37.333333", "-12.444444"), "PEN"),
        labour=cost_of_time(90 * HOUR / 60, Amount(Decimal(45), "PEN"), "PEN"),
        downtime=cost_of_time(8 * HOUR, Amount(Decimal(320), "PEN"), "PEN"),
        proceeds=Decimal("15000.00"),
    )
    assert (cost.maintenance, cost.parts) == (Decimal("2050.50"), Decimal("24.89"))
    assert (cost.labour, cost.downtime) == (Decimal("67.50"), Decimal("2560.00"))
    assert cost.total == Decimal("109702.89")


@pytest.mark.parametrize("unknown", Cost._fields)
def test_a_sum_without_one_of_its_terms_is_unknown(unknown: str) -> None:
    known = Cost(*[Decimal(1)] * 6)
    assert known.total == 4
    assert known._replace(**{unknown: None}).total is None


def test_amounts_in_two_currencies_are_not_added_but_nothing_of_one_is_nothing() -> None:
    assert added([*soles("1.00"), Amount(Decimal(1), "USD")], "PEN") is None
    assert added([*soles("1.00"), Amount(Decimal(0), "USD")], "PEN") == 1
    assert added([], "PEN") == 0


def test_time_without_a_rate_has_no_cost_and_no_time_costs_nothing() -> None:
    dollars = Amount(Decimal(45), "USD")
    assert cost_of_time(HOUR, None, "PEN") is cost_of_time(HOUR, dollars, "PEN") is None
    assert cost_of_time(0 * HOUR, None, "PEN") == cost_of_time(0 * HOUR, dollars, "PEN") == 0


def test_amounts_are_rounded_half_up_to_units_of_the_currency() -> None:
    assert str(added(soles("0.004", "0.001"), "PEN")) == "0.01"
    assert str(added([Amount(Decimal("0.5"), "CLP")], "CLP")) == "1"
    assert str(cost_of_time(HOUR / 60, Amount(Decimal(100), "PEN"), "PEN")) == "1.67"


amounts = st.decimals(0, 10**9, places=2).map(lambda amount: Amount(amount, "PEN"))


@for_all(st.lists(amounts, max_size=8), st.lists(amounts, max_size=8))
def test_sums_of_whole_units_do_not_depend_on_how_they_are_grouped(some: list[Amount], others: list[Amount]) -> None:
    whole, *parts = (added(told, "PEN") for told in ([*others, *some], some, others))
    assert whole == sum(part for part in parts if part is not None)


@for_all(st.integers(0, 10**6), st.integers(0, 10**6), amounts)
def test_more_time_never_costs_less(first: int, more: int, rate: Amount) -> None:
    shorter, longer = (cost_of_time(timedelta(seconds=length), rate, "PEN") for length in (first, first + more))
    assert shorter is not None
    assert longer is not None
    assert 0 <= shorter <= longer
