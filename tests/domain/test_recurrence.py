"""Recurring days: the examples of RFC 5545 and RFC 7529, what our rules add to them, and hostile rules."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

import pytest
from dateutil.rrule import rrulestr
from hypothesis import Phase, settings
from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.recurrence import (
    LAST_DAY,
    LOOK_AHEAD,
    MOST_COUNT,
    Schedule,
    moment,
    moves_days,
    next_after_completion,
    next_by_meter,
    next_due,
    next_fixed,
    occurrences,
    parse,
)


def days(rule: str, start: str, most: int = 10, **more: Any) -> list[str]:
    """The first days of a rule, as `19970902`."""
    schedule = Schedule(rule=rule, start=date.fromisoformat(start), **more)
    return [f"{day:%Y%m%d}" for day in islice(occurrences(schedule, None, LAST_DAY), most)]


def compact(text: str) -> list[str]:
    """`1997 0902 0903 1998 0101` -> `19970902`, `19970903`, `19980101`."""
    found, year = [], ""
    for word in text.split():
        if int(word) > 1231:
            year = word
        else:
            found.append(year + word)
    return found


# --- RFC 5545, 3.8.5.3 ----------------------------------------------------------------------------------------------

EXAMPLES = [
    ("FREQ=DAILY;COUNT=10", "19970902", "1997 0902 0903 0904 0905 0906 0907 0908 0909 0910 0911"),
    ("FREQ=DAILY;INTERVAL=10;COUNT=5", "19970902", "1997 0902 0912 0922 1002 1012"),
    ("FREQ=WEEKLY;UNTIL=19971007", "19970902", "1997 0902 0909 0916 0923 0930 1007"),
    (
        "FREQ=WEEKLY;INTERVAL=2;UNTIL=19971223;WKST=SU;BYDAY=MO,WE,FR",
        "19970901",
        "1997 0901 0903 0905 0915 0917 0919 0929 1001 1003 1013 1015 1017 1027 1029 1031"
        " 1110 1112 1114 1124 1126 1128 1208 1210 1212 1222",
    ),
    ("FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH", "19970902", "1997 0902 0904 0916 0918 0930 1002 1014 1016"),
    ("FREQ=MONTHLY;COUNT=6;BYDAY=1FR", "19970905", "1997 0905 1003 1107 1205 1998 0102 0206"),
    (
        "FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU",
        "19970907",
        "1997 0907 0928 1102 1130 1998 0104 0125 0301 0329 0503 0531",
    ),
    ("FREQ=MONTHLY;COUNT=6;BYDAY=-2MO", "19970922", "1997 0922 1020 1117 1222 1998 0119 0216"),
    ("FREQ=MONTHLY;COUNT=6;BYMONTHDAY=-3", "19970928", "1997 0928 1029 1128 1229 1998 0129 0226"),
    (
        "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1",
        "19970930",
        "1997 0930 1001 1031 1101 1130 1201 1231 1998 0101 0131 0201",
    ),
    (
        "FREQ=MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15",
        "19970910",
        "1997 0910 0911 0912 0913 0914 0915 1999 0310 0311 0312 0313",
    ),
    ("FREQ=YEARLY;COUNT=4;BYMONTH=6,7", "19970610", "1997 0610 0710 1998 0610 0710"),
    (
        "FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200",
        "19970101",
        "1997 0101 0410 0719 2000 0101 0409 0718 2003 0101 0410 0719 2006 0101",
    ),
    ("FREQ=YEARLY;COUNT=3;BYDAY=20MO", "19970519", "1997 0519 1998 0518 1999 0517"),
    ("FREQ=YEARLY;COUNT=3;BYWEEKNO=20;BYDAY=MO", "19970512", "1997 0512 1998 0511 1999 0517"),
    ("FREQ=YEARLY;COUNT=5;BYMONTH=3;BYDAY=TH", "19970313", "1997 0313 0320 0327 1998 0305 0312"),
    ("FREQ=MONTHLY;COUNT=5;BYDAY=FR;BYMONTHDAY=13", "19970902", "1998 0213 0313 1113 1999 0813 2000 1013"),
    ("FREQ=MONTHLY;COUNT=4;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13", "19970913", "1997 0913 1011 1108 1213"),
    (
        "FREQ=YEARLY;INTERVAL=4;COUNT=3;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
        "19961105",
        "1996 1105 2000 1107 2004 1102",
    ),
    ("FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3", "19970904", "1997 0904 1007 1106"),
    ("FREQ=MONTHLY;COUNT=5;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2", "19970929", "1997 0929 1030 1127 1230 1998 0129"),
    ("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO", "19970805", "1997 0805 0810 0819 0824"),
    ("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU", "19970805", "1997 0805 0817 0819 0831"),
    ("FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5;SKIP=OMIT", "20070115", "2007 0115 0130 0215 0315 0330"),
]


@pytest.mark.parametrize(("rule", "start", "expected"), EXAMPLES, ids=[example[0] for example in EXAMPLES])
def test_an_example_of_rfc_5545(rule: str, start: str, expected: str) -> None:
    wanted = compact(expected)
    assert days(rule, start, len(wanted) + (1 if "COUNT" in rule or "UNTIL" in rule else 0)) == wanted


def test_every_day_in_january_can_be_said_in_two_ways() -> None:
    yearly = days("FREQ=YEARLY;UNTIL=20000131;BYMONTH=1;BYDAY=SU,MO,TU,WE,TH,FR,SA", "19980101", 200)
    assert yearly == days("FREQ=DAILY;UNTIL=20000131;BYMONTH=1", "19980101", 200)
    assert len(yearly) == 93


# --- days that a month does not have (RFC 7529) ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "start", "expected"),
    [
        ("FREQ=MONTHLY", "20260131", "2026 0131 0228 0331 0430 0531"),
        ("FREQ=MONTHLY;RSCALE=GREGORIAN;SKIP=BACKWARD", "20140131", "2014 0131 0228 0331 0430"),
        ("FREQ=MONTHLY;SKIP=OMIT", "20260131", "2026 0131 0331 0531 0731 0831"),
        ("FREQ=MONTHLY;RSCALE=GREGORIAN", "20140131", "2014 0131 0331 0531 0731"),
        ("FREQ=MONTHLY;BYMONTHDAY=15,31", "20260101", "2026 0115 0131 0215 0228 0315"),
        ("FREQ=MONTHLY;BYMONTHDAY=30,31", "20260131", "2026 0131 0228 0330 0331 0430 0530"),
        ("FREQ=MONTHLY;BYMONTHDAY=-1,31", "20260131", "2026 0131 0228 0331"),
        ("FREQ=MONTHLY;BYMONTHDAY=10,31;BYSETPOS=-1", "20260101", "2026 0131 0228 0331"),
        ("FREQ=MONTHLY;BYMONTHDAY=28,29,30,31;BYSETPOS=-1;SKIP=OMIT", "20260131", "2026 0131 0228 0331 0430"),
        ("FREQ=MONTHLY;BYMONTHDAY=31;BYDAY=MO,TU,WE,TH,FR", "20260101", "2026 0331 0430 0630 0731"),
        ("FREQ=YEARLY", "20240229", "2024 0229 2025 0228 2026 0228 2027 0228 2028 0229"),
        ("FREQ=YEARLY;SKIP=OMIT", "20240229", "2024 0229 2028 0229"),
        ("FREQ=YEARLY;SKIP=OMIT;INTERVAL=4", "20960229", "2096 0229 2104 0229"),
    ],
)
def test_a_short_month_takes_its_last_day_unless_told_otherwise(rule: str, start: str, expected: str) -> None:
    wanted = compact(expected)
    assert days(rule, start, len(wanted)) == wanted


@pytest.mark.parametrize(
    ("rule", "start", "moves"),
    [
        ("FREQ=MONTHLY", date(2026, 1, 31), True),
        ("FREQ=MONTHLY", date(2026, 1, 28), False),
        ("FREQ=MONTHLY;SKIP=OMIT;RSCALE=GREGORIAN", date(2026, 1, 31), False),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", date(2026, 1, 31), False),
        ("FREQ=MONTHLY;BYMONTH=1,7;BYMONTHDAY=31", date(2026, 1, 31), False),
        ("FREQ=YEARLY", date(2024, 2, 29), True),
        ("FREQ=DAILY", date(2026, 1, 31), False),
    ],
)
def test_a_rule_that_misses_some_months_is_known(rule: str, start: date, moves: bool) -> None:
    assert moves_days(Schedule(rule=rule, start=start)) is moves


def test_a_day_that_is_moved_back_counts() -> None:
    assert days("FREQ=MONTHLY;COUNT=3", "20260131") == ["20260131", "20260228", "20260331"]


# --- days beside the rule -------------------------------------------------------------------------------------------


def test_extra_days_join_and_excluded_days_leave() -> None:
    start = {"rule": "FREQ=WEEKLY;COUNT=3", "start": "20261102"}
    extra, out = (date(2026, 11, 5), date(2026, 11, 2)), (date(2026, 11, 9), date(2026, 12, 24))
    assert days(**start, extra_days=extra) == ["20261102", "20261105", "20261109", "20261116"]
    assert days(**start, excluded_days=out) == ["20261102", "20261116"], "an excluded day has been counted"
    assert days(**start, extra_days=extra, excluded_days=extra) == ["20261109", "20261116"]


def test_weekdays_with_and_without_ordinals_are_all_in() -> None:
    assert days("FREQ=MONTHLY;BYDAY=MO,1TU", "20260101", 7) == compact("2026 0105 0106 0112 0119 0126 0202 0203")


def test_the_first_day_is_an_occurrence_only_where_the_rule_says_so() -> None:
    assert days("FREQ=WEEKLY;BYDAY=FR;COUNT=2", "20261123") == ["20261127", "20261204"]


# --- clocks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "at", "zone", "expected"),
    [
        (date(2026, 3, 29), "02:30", "Europe/Berlin", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),  # 03:30 summer time
        (date(2026, 10, 25), "02:30", "Europe/Berlin", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        (date(2026, 3, 8), "02:30", "America/New_York", datetime(2026, 3, 8, 7, 30, tzinfo=UTC)),
        (date(2026, 11, 1), "01:30", "America/New_York", datetime(2026, 11, 1, 5, 30, tzinfo=UTC)),
        (date(2026, 9, 6), "00:00", "America/Santiago", datetime(2026, 9, 6, 4, 0, tzinfo=UTC)),
        (date(2026, 11, 23), "08:00", "America/Lima", datetime(2026, 11, 23, 13, 0, tzinfo=UTC)),
        (date(2011, 12, 30), "08:00", "Pacific/Apia", datetime(2011, 12, 30, 18, 0, tzinfo=UTC)),  # a day left out
    ],
)
def test_a_time_that_clocks_jump_over_has_the_offset_before_and_of_two_the_first(
    day: date, at: str, zone: str, expected: datetime
) -> None:
    assert moment(day, at, zone) == expected


# --- what is due next -----------------------------------------------------------------------------------------------

QUARTERLY = Schedule(rule="FREQ=MONTHLY;INTERVAL=3", start=date(2026, 1, 31))


def test_a_fixed_anchor_keeps_to_the_calendar() -> None:
    assert next_fixed(QUARTERLY, None) == date(2026, 1, 31)
    assert next_fixed(QUARTERLY, date(2026, 2, 27)) == date(2026, 4, 30)
    assert next_fixed(QUARTERLY, date(2026, 4, 30)) == date(2026, 7, 31)
    assert next_fixed(Schedule(rule="FREQ=DAILY;COUNT=1", start=date(2026, 1, 1)), date(2026, 1, 1)) is None


def test_a_completion_anchor_counts_from_the_work_that_was_done() -> None:
    assert next_after_completion(QUARTERLY, date(2026, 2, 10)) == date(2026, 5, 10)
    assert next_after_completion(QUARTERLY, date(2026, 11, 30)) == date(2027, 2, 28)


@pytest.mark.parametrize(
    ("readings", "due_at", "expected"),
    [
        ([(1, "0"), (11, "100")], "250", date(2026, 1, 26)),
        ([(1, "0"), (5, "90"), (11, "100")], "101", date(2026, 1, 12)),
        ([(1, "0"), (11, "100")], "100", date(2026, 1, 11)),
        ([(1, "0"), (4, "100")], "250.1", date(2026, 1, 9)),
        ([(1, "100")], "100", date(2026, 1, 1)),
        ([(1, "100")], "250", None),
        ([(1, "100"), (1, "110")], "250", None),
        ([(1, "100"), (11, "100")], "250", None),
        ([(1, "100"), (11, "100.0001")], "999999999", None),
        ([], "250", None),
    ],
)
def test_a_meter_anchor_is_forecast_from_mean_daily_use(
    readings: list[tuple[int, str]], due_at: str, expected: date | None
) -> None:
    told = [(date(2026, 1, day), Decimal(shown)) for day, shown in readings]
    assert next_by_meter(told, Decimal(due_at)) == expected


def test_of_several_anchors_the_earliest_counts() -> None:
    assert next_due([date(2026, 5, 1), None, date(2026, 4, 1)]) == date(2026, 4, 1)
    assert next_due([None]) is None


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "at least 1"),
        ("INTERVAL=2", "FREQ is missing"),
        ("FREQ=HOURLY", "FREQ takes"),
        ("FREQ=SECONDLY", "FREQ takes"),
        ("FREQ=daily", "FREQ takes"),
        ("FREQ=DAILY;FREQ=DAILY", "FREQ is given twice"),
        ("FREQ=DAILY;", "not a rule part"),
        ("FREQ=DAILY;BYHOUR=1", "not a rule part"),
        ("FREQ=DAILY;BYEASTER=0", "not a rule part"),
        ("FREQ=DAILY;X-NAME=1", "not a rule part"),
        ("RRULE:FREQ=DAILY", "not a rule part"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL takes"),
        ("FREQ=DAILY;INTERVAL=-1", "INTERVAL takes"),
        ("FREQ=DAILY;INTERVAL=3661", "INTERVAL takes"),
        ("FREQ=YEARLY;INTERVAL=11", "INTERVAL is longer"),
        ("FREQ=MONTHLY;INTERVAL=121", "INTERVAL is longer"),
        ("FREQ=WEEKLY;INTERVAL=521", "INTERVAL is longer"),
        ("FREQ=DAILY;INTERVAL=1,2", "INTERVAL takes one number"),
        ("FREQ=DAILY;COUNT=0", "COUNT takes"),
        (f"FREQ=DAILY;COUNT={MOST_COUNT + 1}", "COUNT takes"),
        ("FREQ=DAILY;COUNT=99999999999999999999", "COUNT takes"),
        ("FREQ=DAILY;COUNT=1;UNTIL=20261231", "exclude each other"),
        ("FREQ=DAILY;UNTIL=20261231T000000Z", "UNTIL is a day"),
        ("FREQ=DAILY;UNTIL=20260230", "UNTIL"),
        ("FREQ=DAILY;UNTIL=00010101", "UNTIL lies between"),
        ("FREQ=DAILY;UNTIL=99991231", "UNTIL lies between"),
        ("FREQ=YEARLY;BYMONTH=13", "BYMONTH takes"),
        ("FREQ=YEARLY;BYMONTH=-1", "BYMONTH takes"),
        ("FREQ=YEARLY;BYMONTH=1,1", "BYMONTH each value"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY takes"),
        ("FREQ=MONTHLY;BYMONTHDAY=32", "BYMONTHDAY takes"),
        ("FREQ=MONTHLY;BYMONTHDAY=1,,2", "BYMONTHDAY takes"),
        ("FREQ=MONTHLY;BYMONTHDAY=１", "BYMONTHDAY takes"),
        ("FREQ=YEARLY;BYYEARDAY=367", "BYYEARDAY takes"),
        ("FREQ=YEARLY;BYWEEKNO=54", "BYWEEKNO takes"),
        ("FREQ=MONTHLY;BYWEEKNO=20", "BYWEEKNO goes"),
        ("FREQ=MONTHLY;BYYEARDAY=20", "BYYEARDAY goes"),
        ("FREQ=WEEKLY;BYMONTHDAY=20", "BYMONTHDAY does not go"),
        ("FREQ=WEEKLY;BYDAY=1MO", "BYDAY has ordinals"),
        ("FREQ=YEARLY;BYWEEKNO=1;BYDAY=1MO", "BYDAY has no ordinals"),
        ("FREQ=MONTHLY;BYDAY=0MO", "BYDAY takes"),
        ("FREQ=MONTHLY;BYDAY=54MO", "BYDAY takes"),
        ("FREQ=MONTHLY;BYDAY=XX", "BYDAY takes"),
        ("FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS goes"),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=0", "BYSETPOS takes"),
        ("FREQ=WEEKLY;WKST=1MO", "WKST takes"),
        ("FREQ=MONTHLY;RSCALE=CHINESE", "RSCALE takes"),
        ("FREQ=MONTHLY;RSCALE=GREGORIAN;SKIP=FORWARD", "SKIP takes"),
        ("FREQ=DAILY;COUNT=" + "1" * 300, "at most 300"),
        ("FREQ=DAILY\n", "FREQ takes"),
    ],
)
def test_a_wrong_rule_is_refused_naming_the_part(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Schedule(rule=text, start=date(2026, 1, 1))


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;INTERVAL=7;BYDAY=SU",
        "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=31;SKIP=OMIT",
        "FREQ=YEARLY;BYWEEKNO=53;BYMONTH=6",
        "FREQ=YEARLY;BYYEARDAY=366;BYMONTH=1",
        "FREQ=YEARLY;BYDAY=53MO;BYMONTH=1",
        "FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS=366;BYMONTH=1",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=1000",
        "FREQ=DAILY;UNTIL=20200101",
    ],
)
def test_a_rule_without_any_day_ends_where_looking_ahead_ends(rule: str) -> None:
    assert next_fixed(Schedule(rule=rule, start=date(2026, 1, 1)), None) is None


def test_nothing_is_looked_for_beyond_the_last_year() -> None:
    schedule = Schedule(rule="FREQ=YEARLY;INTERVAL=10", start=date(2195, 6, 1))
    assert list(occurrences(schedule, None, date.max)) == [date(2195, 6, 1)]
    assert next_fixed(schedule, LAST_DAY) is None


# --- whatever the rule ----------------------------------------------------------------------------------------------

some = st.sampled_from
weekdays = some(["MO", "TU", "WE", "TH", "FR", "SA", "SU"])


def listed(values: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    return st.lists(values, min_size=1, max_size=4, unique=True).map(lambda found: ",".join(map(str, found)))


months = st.integers(1, 12)
signed = {most: st.integers(1, most) | st.integers(-most, -1) for most in (5, 31, 53, 366)}
ordinals = st.tuples(signed[5], weekdays).map(lambda pair: f"{pair[0]}{pair[1]}")
OPTIONS: dict[str, dict[str, st.SearchStrategy[str]]] = {
    "DAILY": {"BYMONTH": listed(months), "BYMONTHDAY": listed(signed[31]), "BYDAY": listed(weekdays)},
    "WEEKLY": {"BYMONTH": listed(months), "BYDAY": listed(weekdays)},
    "MONTHLY": {
        "BYMONTH": listed(months),
        "BYMONTHDAY": listed(signed[31]),
        "BYDAY": listed(weekdays) | listed(ordinals),  # of a mixture dateutil gives the days that are both
    },
    "YEARLY": {
        "BYMONTH": listed(months),
        "BYMONTHDAY": listed(signed[31]),
        "BYDAY": listed(weekdays),
        "BYYEARDAY": listed(signed[366]),
        "BYWEEKNO": listed(signed[53].filter(lambda number: number < 52)),  # see the test of last weeks
    },
}


@st.composite
def rules(draw: st.DrawFn) -> str:
    """Rules of every kind without SKIP and BYSETPOS, which dateutil reads, or would read, otherwise."""
    frequency = draw(some(sorted(OPTIONS)))
    parts = [f"FREQ={frequency}", f"INTERVAL={draw(st.integers(1, 5))}", f"WKST={draw(weekdays)}"]
    parts += [f"{name}={draw(values)}" for name, values in OPTIONS[frequency].items() if draw(st.booleans())]
    parts += draw(some([[], ["COUNT=7"], ["UNTIL=20301231"]]))
    return ";".join(parts)


starts = st.dates(date(2019, 1, 1), date(2028, 12, 31))
END = date(2033, 12, 31)


def by_dateutil(rule: str, start: date) -> Iterator[date]:
    found = rrulestr(rule, dtstart=datetime.combine(start, time()))
    return (moment.date() for moment in found.between(datetime(1900, 1, 1), datetime.combine(END, time()), inc=True))


def test_the_last_week_of_a_year_may_end_in_the_next() -> None:
    """2025 has 52 weeks that begin on Saturdays, the last on 27 December; dateutil takes the first days of 2026 for
    week 53 of it."""
    schedule = Schedule(rule="FREQ=YEARLY;WKST=SA;BYWEEKNO=52;BYDAY=TH", start=date(2025, 1, 1))
    assert list(occurrences(schedule, None, date(2026, 12, 31))) == [date(2026, 1, 1), date(2026, 12, 31)]


@pytest.mark.thorough
@settings(phases=[Phase.explicit, Phase.generate])  # where a rule has no day, dateutil goes on to the year 9999
@for_all(rules(), starts)
def test_plain_rules_have_the_days_that_dateutil_gives(rule: str, start: date) -> None:
    schedule = Schedule(rule=f"{rule};SKIP=OMIT", start=start)
    assert list(occurrences(schedule, None, END)) == list(by_dateutil(rule, start))


positions = st.just("") | listed(signed[5]).map(";BYSETPOS={}".format)
skips = some(["", ";SKIP=OMIT", ";RSCALE=GREGORIAN;SKIP=BACKWARD"])


@pytest.mark.thorough
@for_all(rules(), positions, skips, starts, starts, st.lists(starts, max_size=3, unique=True))
def test_days_are_sorted_and_come_once_and_going_on_from_any_day_gives_the_rest(
    rule: str, position: str, skip: str, start: date, after: date, extra: list[date]
) -> None:
    by = any(part in rule for part in ("BYMONTH", "BYDAY", "BYYEARDAY", "BYWEEKNO"))
    text = rule + (position if by else "") + skip
    schedule = Schedule(rule=text, start=start, extra_days=tuple(extra), excluded_days=tuple(extra[:1]))
    found = list(occurrences(schedule, None, END))
    assert found == sorted(set(found))
    assert not set(extra[:1]) & set(found)
    assert all(day >= start or day in extra for day in found)
    assert list(occurrences(schedule, after, END)) == [day for day in found if day > after]
    assert next_fixed(schedule, END) in (None, *occurrences(schedule, END, END + LOOK_AHEAD))


@for_all(st.text("FREQ=DAILYMONTHBSTWK;,-+0123456789", max_size=60) | st.text(max_size=40))
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    try:
        parse(text)
    except ValueError as fault:
        assert str(fault)


@for_all(starts, st.sampled_from(["Europe/Berlin", "America/Lima", "Australia/Lord_Howe"]), st.times())
def test_a_moment_of_a_day_lies_within_a_day_of_it(day: date, zone: str, at: time) -> None:
    found = moment(day, f"{at:%H:%M}", zone)
    assert abs(found - datetime.combine(day, at, tzinfo=UTC)) < timedelta(days=1)
