"""Months, and what age a machine has at their ends by the convention that stands for its first day."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from domain.charges import Age
from domain.model import Day, Value

#: A machine that comes or goes up to this day counts from the month's first, later from the next month's.
MIDDLE_DAY = 15

FOR_EVER = Decimal("Infinity")


class Convention(StrEnum):
    """From when a machine counts, and up to when if it goes: the real day, or one that stands for it."""

    DAILY = "DAILY"
    DAILY_IN_MONTH = "DAILY_IN_MONTH"
    FULL_MONTH = "FULL_MONTH"
    MID_MONTH = "MID_MONTH"
    MID_QUARTER = "MID_QUARTER"
    HALF_YEAR = "HALF_YEAR"


def month_of(day: date) -> int:
    """The number of a day's month, counted from the year 0."""
    return day.year * 12 + day.month - 1


def label(month: int) -> str:
    """`2026-10` for the number of that month."""
    return f"{month // 12:04d}-{month % 12 + 1:02d}"


def number_of(month: str) -> int:
    """The other way."""
    return int(month[:4]) * 12 + int(month[5:]) - 1


@lru_cache(maxsize=4_000)
def first_day(month: int) -> date:
    """The first day of the month of that number."""
    return date(month // 12, month % 12 + 1, 1)


def last_day(month: int) -> date:
    """The last day of the month of that number."""
    return date.fromordinal(first_day(month + 1).toordinal() - 1)


def days_in(month: int) -> int:
    """Days of the month of that number."""
    return first_day(month + 1).toordinal() - first_day(month).toordinal()


class Mark(NamedTuple):
    """A place in the calendar: so many of the month's `per_month` ticks after its beginning."""

    month: int
    ticks: int
    per_month: int


def _mark(convention: Convention, day: date, year_starts: int) -> Mark:
    """The place that stands for a day on which a machine comes or goes."""
    month, into_year = month_of(day), (day.month - year_starts) % 12
    match convention:
        case Convention.FULL_MONTH:
            return Mark(month + (day.day > MIDDLE_DAY), 0, 1)
        case Convention.MID_MONTH:
            return Mark(month, 1, 2)
        case Convention.MID_QUARTER:
            return Mark(month - into_year % 3 + 1, 1, 2)
        case Convention.HALF_YEAR:
            return Mark(month - into_year + 6, 0, 1)
        case _:
            return Mark(month, day.day - 1, days_in(month))


class Pause(Value):
    """Days on which a machine does not age in its books, from `since` until the day before `until`, or for now.

    What was posted by then, up to `posted_until`, stays as it is.
    """

    since: Day
    until: Day | None = None
    posted_until: Day | None = None


@dataclass(frozen=True, slots=True)
class Calendar:
    """The age of a machine in ticks: real days, or parts of a month of which each month has the same number.

    A period has `step` months, one or twelve; financial years start with the month `year_starts`. Days of a pause do
    not count; its first and last day are those that the convention lets stand for them.
    """

    convention: Convention
    available_on: date
    year_starts: int = 1
    step: int = 1
    pauses: tuple[Pause, ...] = ()
    start: Mark = field(init=False)
    idle: tuple[tuple[Age, Age], ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", _mark(self.convention, self.available_on, self.year_starts))
        object.__setattr__(self, "idle", tuple(map(self._idle, self.pauses)))

    def _idle(self, pause: Pause) -> tuple[Age, Age]:
        """Between which ages, counted without pauses, the machine does not age."""
        begin = self._since(pause.since)
        if pause.posted_until:
            begin = max(begin, self._end_of(month_of(pause.posted_until)))
        return begin, FOR_EVER if pause.until is None else max(begin, self._since(pause.until))

    def _without_pauses(self, age: Age) -> Age:
        if not self.idle:
            return age
        return age - sum(max(min(age, end) - begin, 0) for begin, end in self.idle)

    @property
    def halt(self) -> Age | None:
        """The age at which the machine stays for now; None where it ages."""
        if self.idle and self.idle[-1][1] == FOR_EVER:
            return self._without_pauses(self.idle[-1][0])
        return None

    @property
    def daily(self) -> bool:
        return self.convention is Convention.DAILY

    @property
    def first(self) -> int:
        """The month with which the first period ends: by then the machine is available, and of some age."""
        month = max(month_of(self.available_on), self.start.month)
        return month if self.step == 1 else month + (self.year_starts - 2 - month) % 12

    def life(self, months: int) -> int:
        """Age after that many months."""
        if not self.daily:
            return months * self.start.per_month
        end = month_of(self.available_on) + months
        return first_day(end).toordinal() + min(self.available_on.day, days_in(end)) - 1 - self.available_on.toordinal()

    def age_after(self, month: int) -> Age:
        """Age at the end of a month."""
        return self._without_pauses(self._end_of(month))

    def age_on(self, day: date) -> Age:
        """Age on the day of its going."""
        return self._without_pauses(self._since(day))

    def _end_of(self, month: int) -> int:
        if self.daily:
            return max(first_day(month + 1).toordinal() - self.available_on.toordinal(), 0)
        return max((month + 1 - self.start.month) * self.start.per_month - self.start.ticks, 0)

    def _since(self, day: date) -> Age:
        if self.daily:
            return max(day.toordinal() - self.available_on.toordinal(), 0)
        mark = _mark(self.convention, day, self.year_starts)
        ticks = Decimal(mark.ticks * self.start.per_month) / mark.per_month
        return max((mark.month - self.start.month) * self.start.per_month + ticks - self.start.ticks, Decimal(0))

    def opens_year(self, month: int) -> bool:
        """Whether a financial year begins with the period that ends with this month."""
        return (month - self.step + 2 - self.year_starts) % 12 == 0


def mid_quarter_applies(placed: Iterable[tuple[date, Decimal]], year_starts: int = 1) -> bool:
    """Whether more than 40 % of a year's cost was placed in service in its last quarter: days with their costs."""
    costs = [((day.month - year_starts) % 12 >= 9, cost) for day, cost in placed]
    return sum(cost for late, cost in costs if late) > sum(cost for _, cost in costs) * Decimal("0.4")
