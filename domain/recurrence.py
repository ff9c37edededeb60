"""Recurring days: RFC 5545 rules with RFC 7529 SKIP, on days of the company's calendar.

DTSTART is a day, so UNTIL is one too, and COUNT and UNTIL exclude each other. A month that is too short takes its last
day (`RSCALE=GREGORIAN;SKIP=BACKWARD`) unless the rule says `SKIP=OMIT` or has an RSCALE without SKIP. A time of day
becomes a moment by the offset before the gap where clocks jump over it, and is the first of two where it comes twice.

Everything is bounded: a rule has 300 characters, DAILY to YEARLY, an INTERVAL of about ten years, a COUNT of 1,000;
and where the 60 years that follow a day have no occurrence, none is looked for. So a rule without any day costs a look
at 22,000 days, where dateutil's rrule would go on to the year 9999.
"""

import re
from calendar import isleap, monthrange
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from functools import lru_cache
from heapq import merge
from itertools import count, groupby, islice, takewhile
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from domain.model import LAST_YEAR, Day, Value, each_once
from domain.zones import zone

MOST_COUNT = 1_000
LOOK_AHEAD = timedelta(days=60 * 366)
LAST_DAY = date(LAST_YEAR, 12, 31)
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


class Frequency(StrEnum):
    YEARLY = "YEARLY"
    MONTHLY = "MONTHLY"
    WEEKLY = "WEEKLY"
    DAILY = "DAILY"


class Skip(StrEnum):
    """What becomes of a day that a month does not have."""

    OMIT = "OMIT"
    BACKWARD = "BACKWARD"


MONTHS = {Frequency.YEARLY: 12, Frequency.MONTHLY: 1}
DAYS = {Frequency.WEEKLY: 7, Frequency.DAILY: 1}

#: About ten years each.
LONGEST_INTERVAL = {
    Frequency.YEARLY: 10,
    Frequency.MONTHLY: 120,
    Frequency.WEEKLY: 520,
    Frequency.DAILY: 3660,
}


@dataclass(frozen=True)
class Rule:
    """A parsed RRULE. Weekdays are (ordinal, 0 for Monday), with ordinal 0 for every such day."""

    frequency: Frequency
    interval: int = 1
    count: int | None = None
    until: date | None = None
    months: tuple[int, ...] = ()
    week_numbers: tuple[int, ...] = ()
    year_days: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    week_days: tuple[tuple[int, int], ...] = ()
    positions: tuple[int, ...] = ()
    week_start: int = 0
    skip: Skip = Skip.BACKWARD

    def told_by(self, start: date) -> "Rule":
        """The rule with what RFC 5545 takes from DTSTART where the rule leaves it open."""
        if self.week_numbers or self.year_days or self.month_days or self.week_days:
            return self
        match self.frequency:
            case Frequency.YEARLY:
                return replace(self, months=self.months or (start.month,), month_days=(start.day,))
            case Frequency.MONTHLY:
                return replace(self, month_days=(start.day,))
            case Frequency.WEEKLY:
                return replace(self, week_days=((0, start.weekday()),))
            case _:
                return self

    def week(self, day: date) -> date:
        """First day of the week, by WKST."""
        return day - timedelta(days=(day.weekday() - self.week_start) % 7)

    def period(self, day: date) -> date:
        """First day of the year, month, week or day that the rule counts in."""
        match self.frequency:
            case Frequency.YEARLY:
                return day.replace(month=1, day=1)
            case Frequency.MONTHLY:
                return day.replace(day=1)
            case Frequency.WEEKLY:
                return self.week(day)
            case _:
                return day

    def later(self, first: date, periods: int) -> date:
        """First day of the period that comes so many years, months, weeks or days after that of `first`."""
        if self.frequency in MONTHS:
            months = first.month - 1 + periods * MONTHS[self.frequency]
            return date(first.year + months // 12, months % 12 + 1, 1)
        return first + timedelta(days=periods * DAYS[self.frequency])

    def periods(self, start: date, since: date) -> Iterator[date]:
        """First days of the rule's periods, from the last that is not after `since` on; `start` lies in the first."""
        first = self.period(start)
        if self.frequency in MONTHS:
            passed = ((since.year - first.year) * 12 + since.month - first.month) // MONTHS[self.frequency]
        else:
            passed = (since - first).days // DAYS[self.frequency]
        for number in count(passed - passed % self.interval, self.interval):
            yield self.later(first, number)

    def has(self, day: date) -> bool:
        """Whether all BY parts but BYSETPOS allow the day; SKIP has been applied."""
        return (
            (not self.months or day.month in self.months)
            and (not self.week_days or self._has_week_day(day))
            and (not self.month_days or self._has_month_day(day))
            and (not self.year_days or bool({_place(day), _place(day) - _length(day) - 1} & {*self.year_days}))
            and (not self.week_numbers or self._has_week(day))
        )

    def _has_month_day(self, day: date) -> bool:
        length = monthrange(day.year, day.month)[1]
        moved = self.skip is Skip.BACKWARD and self.frequency in MONTHS and day.day == length < self.month_days[-1]
        return moved or day.day in self.month_days or day.day - length - 1 in self.month_days

    def _has_week_day(self, day: date) -> bool:
        """Ordinals count within the month where the rule is monthly or names months, else within the year."""
        if self.frequency is Frequency.MONTHLY or self.months:
            place, length = day.day, monthrange(day.year, day.month)[1]
        else:
            place, length = _place(day), _length(day)
        ordinals = (0, (place - 1) // 7 + 1, -((length - place) // 7 + 1))
        return any((ordinal, day.weekday()) in self.week_days for ordinal in ordinals)

    def _has_week(self, day: date) -> bool:
        """Week 1 is the first with four days of the year or more."""
        middle = self.week(day) + timedelta(days=3)
        number, weeks = (_place(middle) + 6) // 7, (_place(self.week(date(middle.year, 12, 28))) + 9) // 7
        return number in self.week_numbers or number - weeks - 1 in self.week_numbers


def _place(day: date) -> int:
    """Number of the day in its year."""
    return day.timetuple().tm_yday


def _length(day: date) -> int:
    return 365 + isleap(day.year)


# --- the text of a rule ---------------------------------------------------------------------------------------------


def _number(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,4}", text):
        raise ValueError("takes whole numbers")
    return int(text)


def _numbers(text: str, most: int, *, least: int | None = None) -> tuple[int, ...]:
    """Numbers with commas between them, from `least` (default: minus `most`) to `most`, each once and none zero."""
    found = each_once(tuple(map(_number, text.split(","))))
    if not all(number and (-most if least is None else least) <= number <= most for number in found):
        raise ValueError(f"takes numbers from {-most if least is None else least} to {most}, and not 0")
    return tuple(sorted(found))


def _one(text: str, most: int) -> int:
    if "," in text:
        raise ValueError("takes one number")
    return _numbers(text, most, least=1)[0]


def _until(text: str) -> date:
    found = re.fullmatch(r"([0-9]{4})([0-9]{2})([0-9]{2})", text)
    if found is None:
        raise ValueError("is a day, written YYYYMMDD, as DTSTART is one")
    day = date(*map(int, found.groups()))
    if not 1900 <= day.year <= LAST_YEAR:
        raise ValueError(f"lies between 1900 and {LAST_YEAR}")
    return day


def _weekday(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)", text)
    if found is None or (found[1] and not 1 <= abs(int(found[1])) <= 53):
        raise ValueError("takes MO, TU, WE, TH, FR, SA, SU, in months and years with an ordinal such as -1FR")
    return int(found[1] or 0), WEEKDAYS.index(found[2])


def _week_start(text: str) -> int:
    if text not in WEEKDAYS:
        raise ValueError(f"takes {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(text)


def _among(kind: type[Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        if text not in kind.__members__:
            raise ValueError(f"takes {', '.join(kind.__members__)}")
        return kind[text]

    return read


def _scale(text: str) -> str:
    if text != "GREGORIAN":
        raise ValueError("takes GREGORIAN")
    return text


#: Rule part -> field of `Rule`, and how its value is read.
PARTS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "FREQ": ("frequency", _among(Frequency)),
    "INTERVAL": ("interval", lambda text: _one(text, 3660)),
    "COUNT": ("count", lambda text: _one(text, MOST_COUNT)),
    "UNTIL": ("until", _until),
    "BYMONTH": ("months", lambda text: _numbers(text, 12, least=1)),
    "BYWEEKNO": ("week_numbers", lambda text: _numbers(text, 53)),
    "BYYEARDAY": ("year_days", lambda text: _numbers(text, 366)),
    "BYMONTHDAY": ("month_days", lambda text: _numbers(text, 31)),
    "BYDAY": ("week_days", lambda text: each_once(tuple(map(_weekday, text.split(","))))),
    "BYSETPOS": ("positions", lambda text: _numbers(text, 366)),
    "WKST": ("week_start", _week_start),
    "RSCALE": ("scale", _scale),
    "SKIP": ("skip", _among(Skip)),
}


@lru_cache(maxsize=1_000)
def parse(text: str) -> Rule:
    """The rule that `FREQ=MONTHLY;BYMONTHDAY=31` and the like stand for. Raises ValueError naming the wrong part."""
    told: dict[str, Any] = {}
    for part in text.split(";"):
        name, _, value = part.partition("=")
        if name not in PARTS:
            raise ValueError(f"{name[:20]!r} is not a rule part that plans know: {', '.join(PARTS)}")
        field, read = PARTS[name]
        if field in told:
            raise ValueError(f"{name} is given twice")
        told[field] = _read(name, value, read)
    if "frequency" not in told:
        raise ValueError("FREQ is missing")
    if told.pop("scale", None):
        told.setdefault("skip", Skip.OMIT)
    rule = Rule(**told)
    _check(rule)
    return rule


def _read(name: str, value: str, read: Callable[[str], Any]) -> Any:
    try:
        return read(value)
    except ValueError as fault:
        raise ValueError(f"{name} {fault}") from fault


def _check(rule: Rule) -> None:
    """Raises ValueError where parts of the rule do not go together (RFC 5545, 3.3.10)."""
    yearly, monthly = rule.frequency is Frequency.YEARLY, rule.frequency is Frequency.MONTHLY
    ordinals = any(ordinal for ordinal, _ in rule.week_days)
    by = (rule.months, rule.week_numbers, rule.year_days, rule.month_days, rule.week_days)
    for wrong, why in (
        (rule.count and rule.until, "COUNT and UNTIL exclude each other"),
        (rule.interval > LONGEST_INTERVAL[rule.frequency], "INTERVAL is longer than about ten years"),
        (rule.week_numbers and not yearly, "BYWEEKNO goes with FREQ=YEARLY alone"),
        (rule.year_days and not yearly, "BYYEARDAY goes with FREQ=YEARLY alone"),
        (rule.month_days and rule.frequency is Frequency.WEEKLY, "BYMONTHDAY does not go with FREQ=WEEKLY"),
        (ordinals and not (yearly or monthly), "BYDAY has ordinals with FREQ=MONTHLY or YEARLY alone"),
        (ordinals and rule.week_numbers, "BYDAY has no ordinals where there is BYWEEKNO"),
        (rule.positions and not any(by), "BYSETPOS goes with another BY part"),
    ):
        if wrong:
            raise ValueError(why)


def _well_formed(text: str) -> str:
    parse(text)
    return text


RuleText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=300),
    AfterValidator(_well_formed),
    Field(examples=["FREQ=MONTHLY;INTERVAL=3", "FREQ=WEEKLY;BYDAY=MO,TH;UNTIL=20271231"]),
]
FewDays = Annotated[tuple[Day, ...], Field(max_length=100), AfterValidator(each_once)]
TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$"), Field(examples=["08:00"])]


# --- days -----------------------------------------------------------------------------------------------------------


class Schedule(Value):
    """A rule from its first day on (DTSTART), with days beside it (RDATE) and days that it leaves out (EXDATE).

    The first day is an occurrence only where the rule says so.
    """

    rule: RuleText
    start: Day
    extra_days: FewDays = ()
    excluded_days: FewDays = ()


def occurrences(schedule: Schedule, after: date | None, until: date) -> Iterator[date]:
    """Days of the schedule after `after` (None: from its start) and not after `until`, sorted, each once."""
    rule = parse(schedule.rule).told_by(schedule.start)
    since = schedule.start if after is None else max(schedule.start, after + timedelta(days=1))
    last = min(until, since + LOOK_AHEAD, rule.until or LAST_DAY, LAST_DAY)
    if rule.count is None:
        days = _days(rule, schedule.start, since, last)
    else:
        days = islice(_days(rule, schedule.start, schedule.start, last), rule.count)
    excluded = frozenset(schedule.excluded_days)
    extra = sorted(day for day in schedule.extra_days if day <= until)
    return (day for day in _once(days, extra) if day not in excluded and (after is None or day > after))


def _days(rule: Rule, start: date, since: date, last: date) -> Iterator[date]:
    """Days of the rule from `since` to `last`, as if it had no COUNT."""
    for first in takewhile(last.__ge__, rule.periods(start, since)):
        length = (rule.later(first, 1) - first).days
        days = [day for day in (first + timedelta(days=number) for number in range(length)) if rule.has(day)]
        yield from (day for day in _at(rule.positions, days) if since <= day <= last)


def _at(positions: tuple[int, ...], days: Sequence[date]) -> Sequence[date]:
    """BYSETPOS: the first of a period is 1, the last -1; all days where the rule names no positions."""
    if not positions:
        return days
    places = sorted({place - 1 if place > 0 else len(days) + place for place in positions})
    return [days[place] for place in places if 0 <= place < len(days)]


def _once(*sorted_days: Iterable[date]) -> Iterator[date]:
    return (day for day, _ in groupby(merge(*sorted_days)))


def moment(day: date, at: str, time_zone: str) -> datetime:
    """The time of day on that day in an IANA zone, as UTC: by the offset before the gap where clocks jump over it, the
    first of two where it comes twice."""
    local = datetime.combine(day, time.fromisoformat(at), tzinfo=zone(time_zone))
    return local.astimezone(UTC)  # fold=0 means just that


def moves_days(schedule: Schedule) -> bool:
    """Whether there are months without the rule's day, for which it takes their last one."""
    rule = parse(schedule.rule).told_by(schedule.start)
    shortest = min(monthrange(1900, month)[1] for month in rule.months or range(1, 13))
    latest = max(rule.month_days, default=0)
    return rule.skip is Skip.BACKWARD and rule.frequency in MONTHS and latest > shortest


# --- what is due next -----------------------------------------------------------------------------------------------


def next_fixed(schedule: Schedule, after: date | None) -> date | None:
    """The schedule's first day after that one; None where it has ended."""
    return next(occurrences(schedule, after, LAST_DAY), None)


def next_after_completion(schedule: Schedule, completed_on: date) -> date | None:
    """The first day of the rule as if it had started on the day of the last completion."""
    return next_fixed(schedule.model_copy(update={"start": completed_on}), completed_on)


def next_by_meter(readings: Sequence[tuple[date, Decimal]], due_at: Decimal) -> date | None:
    """The day when a meter will show `due_at` at the mean daily use between the first and the last of the readings.

    The last reading's day if it shows that much already. None where use is unknown, or too slow to tell.
    """
    if not readings:
        return None
    (first_day, first), (last_day, last) = readings[0], readings[-1]
    if last >= due_at:
        return last_day
    days, use = (last_day - first_day).days, last - first
    if days <= 0 or use <= 0:
        return None
    wait = ((due_at - last) * days / use).to_integral_value(ROUND_CEILING)
    return last_day + timedelta(days=int(wait)) if wait <= (LAST_DAY - last_day).days else None


def next_due(days: Iterable[date | None]) -> date | None:
    """The earliest of the anchors' days; None where none has one."""
    return min((day for day in days if day is not None), default=None)
