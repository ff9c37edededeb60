"""Depreciation: the figures of its sources, the conventions, and what holds for whatever terms a machine has."""

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import assume
from hypothesis import given as for_all
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.charges import CHARGES, Age, Course, Method, charges, fixed_rate
from domain.depreciation import (
    Account,
    Entry,
    Frequency,
    Opening,
    Plan,
    Terms,
    ahead,
    due,
    following,
    schedule,
    value_on,
)
from domain.maintenance import Meter
from domain.model import Money
from domain.periods import Calendar, Convention, label, last_day, mid_quarter_applies, month_of, number_of

CENT = Decimal("0.01")
JANUARY = date(2024, 1, 1)


def cents(amounts: Iterable[Decimal]) -> list[str]:
    return [str(amount.quantize(CENT, ROUND_HALF_UP)) for amount in amounts]


def course(method: Method, base: int, salvage: int, life: int, **more: Any) -> Course:
    """A life of so many equal periods."""
    return Course(method, Decimal(base), Decimal(salvage), life, **{"per": life} | more)


def terms(
    method: Method, cost: str, salvage: str = "0", *, months: int = 60, currency: str = "USD", **more: Any
) -> Terms:
    money = {"cost": Money(amount=cost, currency=currency), "salvage": Money(amount=salvage, currency=currency)}
    plan: dict[str, Any] = {"method": method, "life_months": months, "available_on": JANUARY}
    return Terms(**plan | money | more)


def amounts(entries: Iterable[Entry]) -> list[str]:
    return [str(entry.amount) for entry in entries]


# --- methods over equal periods -------------------------------------------------------------------------------------


def test_straight_line_is_excel_s_sln() -> None:
    assert cents(charges(course(Method.STRAIGHT_LINE, 30000, 7500, 10), range(1, 11))) == ["2250.00"] * 10


def test_double_declining_is_excel_s_ddb() -> None:
    yearly = course(Method.DECLINING, 2400, 300, 10, rate=Decimal(2))
    assert cents(charges(yearly, range(1, 11))) == [
        *("480.00", "384.00", "307.20", "245.76", "196.61", "157.29", "125.83", "100.66", "80.53", "22.12"),
    ]
    gentler = course(Method.DECLINING, 2400, 300, 10, rate=Decimal("1.5"))
    assert cents(charges(gentler, range(1, 3)))[1] == "306.00"


@pytest.mark.parametrize(("periods", "first"), [(120, "40.00"), (3650, "1.32")])
def test_double_declining_over_months_and_days_is_excel_s_too(periods: int, first: str) -> None:
    assert cents(charges(course(Method.DECLINING, 2400, 300, periods, rate=Decimal(2)), [1])) == [first]


@pytest.mark.parametrize(("factor", "sum_of_year"), [("2", "396.31"), ("1.5", "311.81")])
def test_declining_with_a_switch_to_straight_line_is_excel_s_vdb(factor: str, sum_of_year: str) -> None:
    monthly = course(Method.DECLINING_THEN_STRAIGHT_LINE, 2400, 300, 120, rate=Decimal(factor))
    year = list(charges(monthly, range(1, 121)))[6:18]
    assert cents([sum(year, Decimal(0))]) == [sum_of_year]


def test_written_down_value_with_a_rate_of_three_places_is_excel_s_db() -> None:
    rate = fixed_rate(Decimal(1000000), Decimal(100000), Decimal(6), places=3)
    assert rate == Decimal("0.319")
    months = course(Method.WRITTEN_DOWN_VALUE, 1000000, 100000, 72, rate=rate, per=12)
    assert cents(charges(months, [7, 19, 31, 43, 55, 67, 72])) == [
        *("186083.33", "259639.42", "176814.44", "120410.64", "81999.64", "55841.76", "15845.10"),
    ]


@pytest.mark.parametrize(("months", "first"), [(24, "10000.00"), (36, "6666.67"), (60, "4000.00"), (120, "2000.00")])
def test_the_yearly_rate_of_double_declining_is_erpnext_s(months: int, first: str) -> None:
    yearly = terms(Method.DECLINING, "10000", months=months, frequency=Frequency.YEARLY)
    assert amounts(schedule(yearly))[0] == first  # 200 % / (months / 12)


def test_sum_of_years_digits_is_excel_s_syd() -> None:
    ten = course(Method.SUM_OF_YEARS_DIGITS, 30000, 7500, 10, weights=tuple(range(10, 0, -1)))
    found = cents(charges(ten, range(1, 11)))
    assert (found[0], found[-1]) == ("4090.91", "409.09")


def test_units_of_production_charge_what_was_produced_and_nothing_for_no_use() -> None:
    units = course(Method.UNITS_OF_PRODUCTION, 11000, 1000, 5000)
    assert cents(charges(units, [500, 500, 2000, 5000])) == ["1000.00", "0.00", "3000.00", "6000.00"]


def test_percentages_are_those_of_equal_parts_of_the_life() -> None:
    table = course(Method.PERCENTAGES, 1000, 0, 3, weights=(Decimal(50), Decimal(30), Decimal(20)))
    assert cents(charges(table, [1, 2, 3])) == ["500.00", "300.00", "200.00"]


def test_every_method_has_its_charge() -> None:
    assert set(CHARGES) == set(Method)


# --- schedules ------------------------------------------------------------------------------------------------------

HALF_YEAR: dict[str, Any] = {
    "available_on": date(2024, 9, 9),
    "convention": Convention.HALF_YEAR,
    "frequency": Frequency.YEARLY,
}


@pytest.mark.parametrize(
    ("years", "table"),
    [
        (5, ["20.00", "32.00", "19.20", "11.52", "11.52", "5.76"]),
        (7, ["14.29", "24.49", "17.49", "12.49", "8.93", "8.92", "8.93", "4.46"]),
    ],
)
def test_the_half_year_tables_of_the_irs_follow_from_declining_with_a_switch(years: int, table: list[str]) -> None:
    found = schedule(terms(Method.DECLINING_THEN_STRAIGHT_LINE, "100", months=12 * years, **HALF_YEAR))
    assert amounts(found) == table


def test_daily_straight_line_charges_real_days() -> None:
    lease = terms(Method.STRAIGHT_LINE, "36000", months=36, available_on=date(2024, 1, 16), convention=Convention.DAILY)
    entries = list(schedule(lease))
    assert lease.calendar.life(36) == 1096
    assert (Decimal(36000) / 1096).quantize(Decimal("0.000001")) == Decimal("32.846715")
    assert (str(entries[0].amount), label(entries[0].month)) == ("525.55", "2024-01")
    assert (len(entries), label(entries[-1].month)) == (37, "2027-01")
    assert entries[-1].value == 0


def test_daily_inside_the_month_shares_the_month_s_charge() -> None:
    bought: dict[str, Any] = {"available_on": date(2024, 1, 16), "convention": Convention.DAILY_IN_MONTH}
    found = amounts(schedule(terms(Method.STRAIGHT_LINE, "12000", months=12, **bought)))
    assert found == ["516.13", *["1000.00"] * 11, "483.87"]


@pytest.mark.parametrize(
    ("convention", "day", "first_month", "first"),
    [
        (Convention.FULL_MONTH, date(2024, 2, 15), "2024-02", "100.00"),
        (Convention.FULL_MONTH, date(2024, 2, 16), "2024-03", "100.00"),
        (Convention.MID_MONTH, date(2024, 2, 28), "2024-02", "50.00"),
        (Convention.MID_QUARTER, date(2024, 3, 31), "2024-03", "150.00"),
        (Convention.MID_QUARTER, date(2024, 1, 2), "2024-02", "50.00"),
        (Convention.HALF_YEAR, date(2024, 3, 1), "2024-07", "100.00"),
        (Convention.HALF_YEAR, date(2024, 9, 9), "2024-09", "300.00"),
    ],
)
def test_a_convention_says_when_the_charges_begin_and_nothing_before_the_machine_is_there(
    convention: Convention, day: date, first_month: str, first: str
) -> None:
    entries = list(schedule(terms(Method.STRAIGHT_LINE, "1200", months=12, available_on=day, convention=convention)))
    assert (label(entries[0].month), str(entries[0].amount)) == (first_month, first)
    assert entries[-1].value == 0


def test_a_financial_year_may_start_with_another_month() -> None:
    july: dict[str, Any] = {"frequency": Frequency.YEARLY, "year_starts": 7, "convention": Convention.HALF_YEAR}
    found = list(schedule(terms(Method.STRAIGHT_LINE, "300", months=36, available_on=date(2024, 8, 1), **july)))
    assert [(label(entry.month), str(entry.amount)) for entry in found] == [
        *(("2025-06", "50.00"), ("2026-06", "100.00"), ("2027-06", "100.00"), ("2028-06", "50.00")),
    ]


def test_mid_quarter_applies_where_more_than_two_fifths_came_in_the_last_quarter() -> None:
    early, late = (date(2024, 9, 30), Decimal(60)), (date(2024, 10, 1), Decimal(40))
    assert not mid_quarter_applies([early, late])
    assert mid_quarter_applies([early, late, (date(2024, 12, 31), Decimal("0.01"))])
    assert not mid_quarter_applies([early, (date(2024, 12, 31), Decimal(90))], year_starts=7)
    assert not mid_quarter_applies([])


def test_a_yearly_opening_splits_the_year_s_charge_over_its_months() -> None:
    entries = list(
        schedule(terms(Method.WRITTEN_DOWN_VALUE, "12000", "100", months=60, rate="20", opening=Opening.YEAR))
    )
    assert amounts(entries[:24]) == ["200.00"] * 12 + ["160.00"] * 12


def test_a_rate_made_of_the_salvage_value_reaches_it_without_a_jump() -> None:
    entries = list(schedule(terms(Method.WRITTEN_DOWN_VALUE, "10000", "1000", months=24)))
    assert entries[-1].value == 1000
    assert entries[-1].amount <= entries[-2].amount


def test_sum_of_years_digits_by_months_charges_each_month_of_a_year_alike() -> None:
    found = amounts(schedule(terms(Method.SUM_OF_YEARS_DIGITS, "7200", months=24)))
    assert found == ["400.00"] * 12 + ["200.00"] * 12


def test_halves_of_the_minor_unit_are_rounded_up_and_the_last_period_takes_the_rest() -> None:
    assert amounts(schedule(terms(Method.STRAIGHT_LINE, "0.10", months=4))) == ["0.03", "0.03", "0.03", "0.01"]


@pytest.mark.parametrize(("currency", "first"), [("JPY", "33"), ("BHD", "33.333")])
def test_amounts_have_the_places_of_their_currency(currency: str, first: str) -> None:
    assert amounts(schedule(terms(Method.STRAIGHT_LINE, "100", months=3, currency=currency)))[0] == first


def test_units_have_no_schedule_but_what_was_counted() -> None:
    account = Account.of(terms(Method.UNITS_OF_PRODUCTION, "1000", "100", total_units="300"))
    assert list(ahead(account)) == []
    posted = []
    for units in (100, 0, 150, 100):
        entry = following(account, Decimal(units))
        assert entry is not None
        posted.append(str(entry.amount))
        account = account.after(entry)
    assert posted == ["300.00", "0.00", "450.00", "150.00"]
    assert account.value == 100
    assert following(account, Decimal(1)) is None


def test_what_is_due_is_all_that_is_over_up_to_a_period() -> None:
    account = posted(Account.of(terms(Method.STRAIGHT_LINE, "1200", months=12)), 2)
    assert due(account, "2024-05", date(2026, 1, 1)) == ("2024-03", "2024-04", "2024-05")
    assert due(account, "2024-05", date(2024, 4, 29)) == ("2024-03",)
    assert due(account, "2024-05", date(2024, 4, 30)) == ("2024-03", "2024-04")
    assert due(account, "2024-02", date(2026, 1, 1)) == ()
    assert len(due(account, "2030-01", date(2031, 1, 1))) == 10
    yearly = Account.of(terms(Method.STRAIGHT_LINE, "1200", frequency=Frequency.YEARLY))
    assert due(yearly, "2025-11", date(2026, 1, 1)) == ("2024-12",)


def test_what_depreciates_by_units_is_due_where_a_meter_counts_them() -> None:
    def left(**units: Any) -> tuple[str, ...]:
        account = Account.of(terms(Method.UNITS_OF_PRODUCTION, "100", total_units="7", **units))
        return due(account, "2024-02", date(2031, 1, 1))

    assert left() == ()
    assert left(meter=Meter.HOURS) == ("2024-01", "2024-02")
    done = posted(Account.of(terms(Method.UNITS_OF_PRODUCTION, "100", total_units="7", meter=Meter.HOURS)), 1)
    assert due(done, "2024-02", date(2031, 1, 1)) == ()


# --- terms ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": Method.PERCENTAGES, "percentages": ("50", "49.9")},
        {"method": Method.PERCENTAGES},
        {"method": Method.UNITS_OF_PRODUCTION},
        {"method": Method.UNITS_OF_PRODUCTION, "total_units": "0.0"},
        {"rate": "0"},
        {"rate": "101"},
        {"rate": "NaN"},
        {"factor": "0.5"},
        {"factor": "10"},
        {"life_months": 0},
        {"life_months": 1201},
        {"year_starts": 13},
    ],
)
def test_a_plan_that_says_nothing_or_too_much_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Plan(**dict[str, Any](method=Method.STRAIGHT_LINE, life_months=60) | wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"salvage": Money(amount="1", currency="EUR")},
        {"salvage": Money(amount="101", currency="USD")},
        {"method": Method.WRITTEN_DOWN_VALUE},
    ],
)
def test_terms_that_contradict_each_other_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Terms(**dict(terms(Method.STRAIGHT_LINE, "100")) | wrong)


# --- changes --------------------------------------------------------------------------------------------------------


def posted(account: Account, periods: int) -> Account:
    for _ in range(periods):
        entry = following(account, Decimal(7))
        if entry is None:
            break
        account = account.after(entry)
    return account


def test_a_longer_life_spreads_the_value_over_what_is_left() -> None:
    old = terms(Method.STRAIGHT_LINE, "1200", months=12)
    account = posted(Account.of(old), 6)
    longer = account.revised(old.model_copy(update={"life_months": 18}), account.value)
    assert amounts(ahead(longer)) == ["50.00"] * 12
    assert longer.posted == "2024-06"


def test_a_repair_or_an_impairment_changes_the_value_from_the_next_period_on() -> None:
    old = terms(Method.STRAIGHT_LINE, "1200", months=12)
    account = posted(Account.of(old), 6)
    assert amounts(ahead(account.revised(old, account.value + 60))) == ["110.00"] * 6
    assert amounts(ahead(account.revised(old, account.value - 60))) == ["90.00"] * 6


def test_another_estimate_of_units_counts_forward_only() -> None:
    old = terms(Method.UNITS_OF_PRODUCTION, "1000", total_units="100")
    account = posted(Account.of(old), 2)
    more = account.revised(old.model_copy(update={"total_units": "186"}), account.value)
    entry = following(more, Decimal(86))
    assert entry is not None
    assert account.value == 860
    assert entry.amount == 430


@pytest.mark.parametrize(
    ("convention", "day", "value"),
    [
        (Convention.DAILY_IN_MONTH, date(2024, 4, 16), "850.00"),
        (Convention.FULL_MONTH, date(2024, 4, 15), "900.00"),
        (Convention.FULL_MONTH, date(2024, 4, 16), "800.00"),
        (Convention.MID_MONTH, date(2024, 4, 2), "900.00"),
        (Convention.MID_QUARTER, date(2024, 4, 2), "900.00"),
        (Convention.HALF_YEAR, date(2025, 11, 2), "0.00"),
        (Convention.HALF_YEAR, date(2024, 11, 2), "1200.00"),
    ],
)
def test_a_machine_that_goes_is_depreciated_to_the_day_that_stands_for_its_going(
    convention: Convention, day: date, value: str
) -> None:
    account = Account.of(terms(Method.STRAIGHT_LINE, "1200", months=12, convention=convention))
    assert str(value_on(account, day).quantize(CENT)) == value


def test_a_machine_that_goes_before_its_last_posting_keeps_what_was_posted() -> None:
    account = posted(Account.of(terms(Method.STRAIGHT_LINE, "1200", months=12)), 6)
    assert value_on(account, date(2024, 2, 1)) == 600


# --- held for sale --------------------------------------------------------------------------------------------------

DAILY: dict[str, Any] = {"months": 12, "convention": Convention.DAILY}


def held(account: Account, day: date) -> Account:
    return account.rescheduled(account.held_from(day), Decimal(0))


def kept(account: Account, day: date) -> Account:
    return account.rescheduled(account.going_on_from(day), Decimal(0))


def test_depreciation_stops_on_the_day_of_a_sale_s_beginning_and_goes_on_after_it() -> None:
    """3,660 over the 366 days from 2024-01-01 is 10 a day.

    Held from 11 March: January 31 days, February 29, March 10. Kept from 21 May: 71 days did not count (21 of March, 30
    of April, 20 of May), so 11 days of May do, and the last of the 366 is 12 March 2025.
    """
    account = posted(Account.of(terms(Method.STRAIGHT_LINE, "3660", **DAILY)), 2)
    for_sale = held(account, date(2024, 3, 11))
    assert amounts(ahead(for_sale)) == ["100.00"]
    assert str(value_on(for_sale, date(2026, 1, 1))) == "2960.00"
    entries = list(ahead(kept(for_sale, date(2024, 5, 21))))
    assert amounts(entries) == [
        *("100.00", "0.00", "110.00", "300.00", "310.00", "310.00", "300.00"),
        *("310.00", "300.00", "310.00", "310.00", "280.00", "120.00"),
    ]
    assert (label(entries[-1].month), entries[-1].value) == ("2025-03", 0)


def test_parts_of_a_life_keep_their_weights_over_a_pause() -> None:
    """Two years of digits, 7,200: 400 a month, then 200; for sale over April and May, by full months."""
    account = posted(Account.of(terms(Method.SUM_OF_YEARS_DIGITS, "7200", months=24)), 3)
    kept_again = kept(held(account, date(2024, 4, 10)), date(2024, 6, 15))
    assert amounts(ahead(kept_again)) == ["0.00"] * 2 + ["400.00"] * 9 + ["200.00"] * 12


def test_what_was_posted_before_a_late_word_of_the_sale_stays() -> None:
    """1,200 over a year is 100 a month; held since March, said when June was posted, kept since August."""
    account = posted(Account.of(terms(Method.STRAIGHT_LINE, "1200", months=12)), 6)
    for_sale = held(account, date(2024, 3, 1))
    assert amounts(ahead(for_sale)) == []
    assert for_sale.value == 600
    assert amounts(ahead(kept(for_sale, date(2024, 8, 1)))) == ["0.00"] + ["100.00"] * 6
    assert amounts(ahead(kept(for_sale, date(2024, 3, 1)))) == ["100.00"] * 6


def test_a_day_of_keeping_that_was_posted_over_is_the_day_after() -> None:
    """10 a day; March was posted with 10 days of the sale's beginning, so what follows begins with April."""
    account = held(posted(Account.of(terms(Method.STRAIGHT_LINE, "3660", **DAILY)), 2), date(2024, 3, 11))
    assert amounts(ahead(kept(posted(account, 1), date(2024, 3, 20))))[:2] == ["300.00", "310.00"]


def test_a_book_of_a_machine_for_sale_is_due_up_to_the_sale_s_beginning() -> None:
    account = held(Account.of(terms(Method.STRAIGHT_LINE, "1200", months=12)), date(2024, 2, 20))
    assert due(account, "2024-12", date(2026, 1, 1)) == ("2024-01", "2024-02")
    by_units = terms(Method.UNITS_OF_PRODUCTION, "100", total_units="700", meter=Meter.HOURS)
    for_sale = held(Account.of(by_units), date(2024, 2, 20))
    assert due(for_sale, "2024-12", date(2026, 1, 1)) == ("2024-01", "2024-02")
    assert following(posted(for_sale, 2)) is None
    assert due(kept(for_sale, date(2024, 3, 1)), "2024-03", date(2026, 1, 1)) == ("2024-01", "2024-02", "2024-03")


# --- whatever the terms ---------------------------------------------------------------------------------------------


@st.composite
def any_terms(draw: st.DrawFn) -> Terms:
    """Terms of any method, convention and currency."""
    method = draw(st.sampled_from(Method))
    currency, places = draw(st.sampled_from([("USD", 2), ("JPY", 0), ("BHD", 3), ("CLF", 4)]))
    cost = draw(st.decimals(0, 10**9, places=places))
    salvage = draw(st.just(Decimal(0)) | st.decimals(0, cost, places=places))
    rate = draw(st.sampled_from([None, "1", "31.9", "100"]))
    if method is Method.WRITTEN_DOWN_VALUE and not salvage:
        rate = rate or "20"
    return Terms(
        method=method,
        life_months=draw(st.integers(1, 240)),
        convention=draw(st.sampled_from(Convention)),
        frequency=draw(st.sampled_from(Frequency)),
        year_starts=draw(st.integers(1, 12)),
        factor=draw(st.sampled_from(["1", "1.5", "2", "9.99"])),
        rate=rate,
        rate_places=draw(st.none() | st.integers(2, 8)),
        opening=draw(st.sampled_from(Opening)),
        percentages=draw(st.sampled_from([("50", "0", "30", "20"), ("0", "100"), ("100",), ("33.3", "66.7", "0")])),
        total_units=draw(st.sampled_from(["1", "100", "0.5", "120000"])),
        cost=Money(amount=f"{cost:f}", currency=currency),
        salvage=Money(amount=f"{salvage:f}", currency=currency),
        available_on=draw(st.dates(date(1900, 1, 1), date(2200, 12, 31))),
    )


def whole_life(account: Account) -> list[Entry]:
    """All that is left of a life; a machine that works by units makes a tenth of them in each period."""
    found = []
    while (entry := following(account, Decimal(account.terms.total_units or 0) / 10)) is not None:
        found.append(entry)
        account = account.after(entry)
    return found


@for_all(any_terms())
def test_the_charges_of_a_life_are_cost_less_salvage_value_and_never_more(terms: Terms) -> None:
    entries = whole_life(Account.of(terms))
    assert sum(entry.amount for entry in entries) == terms.cost.decimal - terms.salvage.decimal
    assert all(entry.amount >= 0 for entry in entries)
    assert all(entry.value >= terms.salvage.decimal for entry in entries)
    assert all(entry.amount == entry.amount.quantize(terms.quantum) for entry in entries)
    months = [entry.month for entry in entries]
    assert months == list(range(months[0], months[0] + len(months) * terms.step, terms.step))
    assert last_day(months[0]) >= terms.available_on


@for_all(any_terms())
def test_posting_period_by_period_follows_the_schedule(terms: Terms) -> None:
    assume(terms.method is not Method.UNITS_OF_PRODUCTION)
    assert whole_life(Account.of(terms)) == list(schedule(terms))


@pytest.mark.thorough
@for_all(any_terms(), st.integers(0, 30))
def test_a_revision_that_changes_nothing_keeps_what_is_posted_and_the_length_of_life(
    terms: Terms, periods: int
) -> None:
    before = posted(Account.of(terms), periods)
    after = before.revised(terms, before.value)
    assert (after.posted, after.value, after.accumulated) == (before.posted, before.value, before.accumulated)
    assert [entry.month for entry in whole_life(after)] == [entry.month for entry in whole_life(before)]
    assert sum(entry.amount for entry in whole_life(after)) == before.value - terms.salvage.decimal


@pytest.mark.thorough
@for_all(any_terms(), st.integers(0, 30), st.integers(0, 240), st.fractions(0, 1))
def test_after_a_revision_the_rest_is_charged_over_the_life_that_is_left(
    terms: Terms, periods: int, more_months: int, share: Any
) -> None:
    before = posted(Account.of(terms), periods)
    assume(following(before) is not None)
    longer = terms.model_copy(update={"life_months": terms.life_months + more_months})
    spare = before.value - terms.salvage.decimal
    value = before.value - (spare * share.numerator / share.denominator).quantize(terms.quantum, "ROUND_DOWN")
    entries = whole_life(before.revised(longer, value))
    assert sum(entry.amount for entry in entries) == value - terms.salvage.decimal
    assert all(entry.amount >= 0 for entry in entries)
    if before.posted:
        assert entries[0].month == number_of(before.posted) + terms.step


@pytest.mark.thorough
@for_all(any_terms(), st.integers(0, 30), st.integers(-40, 4_000), st.integers(0, 800), st.integers(0, 4))
def test_a_sale_that_came_to_nothing_changes_when_a_life_is_charged_and_not_what(
    terms: Terms, periods: int, days: int, later: int, meanwhile: int
) -> None:
    assume(terms.available_on < date(2180, 1, 1))
    before = posted(Account.of(terms), periods)
    day = terms.available_on + timedelta(days=days)
    for_sale = held(before, day)
    assert value_on(for_sale, day) == value_on(before, day) == value_on(for_sale, day + timedelta(days=later))
    stopped = posted(for_sale, meanwhile)
    if not terms.counts_units:  # units worked before that day are told with their period, and not known on it
        assert stopped.value >= value_on(for_sale, day)
    entries = whole_life(kept(stopped, day + timedelta(days=later)))
    assert sum(entry.amount for entry in entries) == stopped.value - terms.salvage.decimal
    assert all(entry.amount >= 0 for entry in entries)
    if stopped.posted and entries:
        assert entries[0].month == number_of(stopped.posted) + terms.step


@for_all(any_terms(), st.integers(0, 30), st.integers(-40, 40_000), st.integers(0, 400))
def test_the_value_on_a_day_lies_between_what_is_posted_and_the_salvage_value(
    terms: Terms, periods: int, days: int, later: int
) -> None:
    account = posted(Account.of(terms), periods)
    day = terms.available_on + timedelta(days=days)
    assert account.value >= value_on(account, day) >= value_on(account, day + timedelta(days=later))
    assert value_on(account, day + timedelta(days=later)) >= terms.salvage.decimal


@for_all(st.dates(date(1900, 1, 1), date(2200, 12, 31)), st.sampled_from(Convention), st.integers(1, 12))
def test_ages_grow_month_by_month_from_zero_to_the_life(day: date, convention: Convention, year_starts: int) -> None:
    calendar = Calendar(convention, day, year_starts)
    ages: list[Age] = [calendar.age_after(month) for month in range(month_of(day) - 12, month_of(day) + 60)]
    assert ages == sorted(ages)
    assert ages[0] == 0
    assert ages[-1] > calendar.life(36)


@for_all(st.dates(date(1900, 1, 1), date(2200, 12, 31)))
def test_a_month_is_known_by_its_number_and_by_its_name(day: date) -> None:
    assert number_of(label(month_of(day))) == month_of(day)
    assert label(month_of(day)) == f"{day:%Y-%m}"
