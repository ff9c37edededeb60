"""How the cost of a machine becomes expense over its life: the terms, the account of each book, and the schedule.

Each period is rounded half up to the currency's minor unit, and the last one takes the rest. What is posted stays:
other terms count from the value that the posted periods have left.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from itertools import takewhile
from typing import Annotated, NamedTuple, Self
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import Field, StringConstraints, model_validator

from domain.charges import CHARGES, ZERO, Age, Course, Method, fixed_rate, straight_line
from domain.currencies import MINOR_UNITS
from domain.maintenance import Meter
from domain.model import Currency, Day, Digits, Money, Value
from domain.periods import Calendar, Convention, Pause, label, last_day, month_of, number_of

#: Units are counted to four places, so that a sum is written alike however it came about.
UNIT = Decimal("0.0001")


class Frequency(StrEnum):
    MONTHLY = "MONTHLY"
    YEARLY = "YEARLY"


class Opening(StrEnum):
    """Whose opening value a declining method takes its rate of."""

    PERIOD = "PERIOD"
    YEAR = "YEAR"


class BookName(StrEnum):
    FINANCIAL = "FINANCIAL"
    TAX = "TAX"


# --- terms ----------------------------------------------------------------------------------------------------------

Factor = Annotated[str, StringConstraints(pattern=r"^[1-9](\.[0-9]{1,2})?$"), Field(examples=["2"])]
Percent = Annotated[
    str, StringConstraints(pattern=r"^(100(\.0{1,4})?|(0|[1-9][0-9]?)(\.[0-9]{1,4})?)$"), Field(examples=["12.5"])
]
LifeMonths = Annotated[int, Field(ge=1, le=1200, examples=[120])]
Total = Annotated[
    str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,17})(\.[0-9]{1,4})?$"), Field(examples=["91000.00"])
]
Month = Annotated[str, StringConstraints(pattern=r"^(19|2[0-9])[0-9]{2}-(0[1-9]|1[0-2])$"), Field(examples=["2026-10"])]


class Plan(Value):
    """How a book depreciates machines.

    `factor` is that of the declining methods, `rate` that of written-down value for one year; without it the rate
    follows from the salvage value, rounded to `rate_places` where given. `percentages` are those of equal parts of the
    life. Units are those that the `meter` counts; without one, each posting names them.
    """

    method: Method
    life_months: LifeMonths
    convention: Convention = Convention.FULL_MONTH
    frequency: Frequency = Frequency.MONTHLY
    year_starts: Annotated[int, Field(ge=1, le=12)] = 1
    factor: Factor = "2"
    rate: Percent | None = None
    rate_places: Annotated[int, Field(ge=2, le=8)] | None = None
    opening: Opening = Opening.PERIOD
    percentages: Annotated[tuple[Percent, ...], Field(max_length=100)] = ()
    total_units: Digits | None = None
    meter: Meter | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.method is Method.PERCENTAGES and sum(map(Decimal, self.percentages)) != 100:
            raise ValueError("the percentages must sum to 100")
        if self.method is Method.UNITS_OF_PRODUCTION and not Decimal(self.total_units or 0):
            raise ValueError("units of production needs the total of units expected")
        if self.rate is not None and not Decimal(self.rate):
            raise ValueError("the rate must be above zero")
        return self

    @property
    def step(self) -> int:
        """Months in a period."""
        return 12 if self.frequency is Frequency.YEARLY else 1

    @property
    def counts_units(self) -> bool:
        return self.method is Method.UNITS_OF_PRODUCTION

    def lasting(self, life_months: int | None) -> "Plan":
        """The same plan over another life where one is given."""
        return self.model_copy(update={"life_months": life_months}) if life_months else self


class Terms(Plan):
    """How one machine is depreciated in one book, from the day on which it was available for use.

    It is not while the machine is held for sale: these are the `pauses`.
    """

    cost: Money
    salvage: Money
    available_on: Day
    pauses: tuple[Pause, ...] = ()

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.salvage.currency != self.cost.currency:
            raise ValueError("cost and salvage value must be in one currency")
        if self.salvage.decimal > self.cost.decimal:
            raise ValueError("the salvage value must not exceed the cost")
        if self.method is Method.WRITTEN_DOWN_VALUE and not self.rate and not self.salvage.decimal:
            raise ValueError("written-down value needs a rate or a salvage value above zero")
        return self

    @property
    def calendar(self) -> Calendar:
        return Calendar(self.convention, self.available_on, self.year_starts, self.step, self.pauses)

    @property
    def paused(self) -> bool:
        return bool(self.pauses) and self.pauses[-1].until is None

    def going_on(self) -> "Terms":
        """The same terms as if the machine were not held for sale any more."""
        return self.model_copy(update={"pauses": self.pauses[:-1]}) if self.paused else self

    @property
    def quantum(self) -> Decimal:
        """The minor unit of the currency: 0.01 for most."""
        return Decimal(1).scaleb(-MINOR_UNITS[self.cost.currency])


class TermsOfBook(Value):
    """How one book depreciates a machine from now on."""

    book: BookName
    terms: Terms


class BookPolicy(Value):
    """How a company depreciates machines in one of its books, where nothing else is said of them."""

    book: BookName
    plan: Plan
    salvage_percent: Percent = "0"


def share_of(money: Money, percent: str) -> Money:
    """So much of it, rounded half up."""
    share = money.decimal * Decimal(percent) / 100
    return Money(amount=digits(share, money.currency), currency=money.currency)


def digits(amount: Decimal, currency: str) -> str:
    """An amount as it is written, with the places of its currency, rounded half up."""
    return f"{amount.quantize(Decimal(1).scaleb(-MINOR_UNITS[currency]), ROUND_HALF_UP):f}"


class Account(Value):
    """What one book says of one machine: its terms, and how far it has come.

    The terms count from the value `base` after the period `since`; `opening` is that of the last period posted, and
    `metered` what the plan's meter had counted by then, and `halted` when the machine was held for sale.
    """

    terms: Terms
    value: Decimal
    base: Decimal
    opening: Decimal
    accumulated: Decimal = ZERO
    used: Decimal = ZERO
    posted: Month | None = None
    since: Month | None = None
    used_since: Decimal = ZERO
    metered: Decimal = ZERO
    halted: Decimal | None = None

    @classmethod
    def of(cls, terms: Terms, metered: Decimal = ZERO) -> "Account":
        """A machine of which nothing is depreciated yet."""
        cost = terms.cost.decimal
        account = cls(terms=terms, value=cost, base=cost, opening=cost, metered=metered)
        return account.rescheduled(terms, metered)

    @property
    def posted_until(self) -> date | None:
        """The last day of the last period posted."""
        return last_day(number_of(self.posted)) if self.posted else None

    def held_from(self, day: date) -> Terms:
        """The terms of a machine that is held for sale from that day on; what is posted stays."""
        pause = Pause(since=day, posted_until=self.posted_until)
        return self.terms.model_copy(update={"pauses": (*self.terms.pauses, pause)})

    def going_on_from(self, day: date) -> Terms:
        """The terms of a machine that is not for sale any more, from that day on, or after what was posted since."""
        *ended, pause = self.terms.pauses
        if self.posted_until and self.posted_until != pause.posted_until:
            day = max(day, self.posted_until + timedelta(days=1))
        return self.terms.model_copy(update={"pauses": (*ended, pause.model_copy(update={"until": day}))})

    def rescheduled(self, terms: Terms, counted: Decimal) -> "Account":
        """The account with a pause more, or one that is over; what its meter counts meanwhile is no work."""
        idle = ZERO if self.halted is None else counted - self.halted
        halted = counted if terms.paused and terms.meter else None
        return self.model_copy(update={"terms": terms, "metered": self.metered + idle, "halted": halted})

    def after(self, entry: "Entry", metered: Decimal = ZERO) -> "Account":
        """The account with one period posted, when the meter had counted so much."""
        return self.model_copy(
            update={
                "posted": label(entry.month),
                "value": entry.value,
                "opening": entry.opening,
                "accumulated": self.accumulated + entry.amount,
                "used": (self.used + entry.units).quantize(UNIT),
                "metered": metered if self.halted is None else self.halted,
            }
        )

    def revised(self, terms: Terms, value: Decimal, metered: Decimal = ZERO) -> "Account":
        """The account with other terms, and maybe another value, from the next period on.

        `metered` is what the meter of the terms has counted, which matters where that is another meter.
        """
        return self.model_copy(
            update={
                "terms": terms,
                "value": value,
                "base": value,
                "opening": self.opening + value - self.value,
                "since": self.posted,
                "used_since": self.used,
                **({} if terms.meter is self.terms.meter else self._measured_by(metered)),
            }
        )

    def _measured_by(self, counted: Decimal) -> dict[str, Decimal | None]:
        """What counts from now on where another meter does."""
        return {"metered": counted, "halted": None if self.halted is None else counted}


class Entry(NamedTuple):
    """What one period charges, and the value that it leaves; `month` is the number of the month it ends with.

    `opening` is the value at the start of the period, or of its financial year where the plan asks for that.
    """

    month: int
    amount: Decimal
    value: Decimal
    opening: Decimal
    units: Decimal = ZERO


# --- the schedule ---------------------------------------------------------------------------------------------------


def _course(account: Account, calendar: Calendar) -> Course:
    terms, salvage = account.terms, account.terms.salvage.decimal
    if terms.counts_units:
        return Course(terms.method, account.base, salvage, Decimal(terms.total_units or 0), account.used_since)
    life = calendar.life(terms.life_months)
    start = calendar.age_after(number_of(account.since)) if account.since else 0
    rate, per = _rate(account, life, start)
    return Course(terms.method, account.base, salvage, life, start, rate, per, _weights(terms))


def _rate(account: Account, life: int, start: Age) -> tuple[Decimal, Age]:
    """The rate of a declining method, and the ticks in which it is taken once."""
    terms = account.terms
    if terms.method is not Method.WRITTEN_DOWN_VALUE:
        return Decimal(terms.factor), life
    months = 12 if terms.opening is Opening.YEAR or terms.rate else terms.step
    per = Decimal(life * months) / terms.life_months
    if terms.rate:
        return Decimal(terms.rate) / 100, per
    return fixed_rate(account.base, terms.salvage.decimal, (life - start) / per, terms.rate_places), per


def _weights(terms: Terms) -> tuple[Age, ...]:
    if terms.method is Method.SUM_OF_YEARS_DIGITS:
        return tuple(range(-(-terms.life_months // 12), 0, -1))
    return tuple(map(Decimal, terms.percentages)) or (1,)


def schedule(terms: Terms) -> Iterator[Entry]:
    """All periods of a machine's life; none where it depreciates by units."""
    return ahead(Account.of(terms))


def ahead(account: Account, until: date | None = None) -> Iterator[Entry]:
    """The periods that are not posted yet, up to the day of the machine's going where one is given.

    A machine that depreciates by units has none: what it charges is known when they are counted.
    """
    if account.terms.counts_units:
        return
    calendar, step = account.terms.calendar, account.terms.step
    course, quantum = _course(account, calendar), account.terms.quantum
    charge, salvage, life = CHARGES[course.method], course.salvage, course.life
    yearly = account.terms.opening is Opening.YEAR
    month = next_month(account)
    value, opening = account.value, account.opening
    age: Age = calendar.age_after(month - step) if account.posted else 0
    end = life if until is None else min(life, calendar.age_on(until))
    if calendar.halt is not None:
        end = min(end, calendar.halt)
    while age < end:
        then = min(calendar.age_after(month), end)
        if not yearly or calendar.opens_year(month):
            opening = value
        amount = left = value - salvage
        if then < life:
            amount = min(charge(course, age, then, value, opening).quantize(quantum, ROUND_HALF_UP), left)
        value -= amount
        yield Entry(month, amount, value, opening)
        age, month = then, month + step


def next_month(account: Account) -> int:
    """The month with which the next period ends."""
    if account.posted:
        return number_of(account.posted) + account.terms.step
    return account.terms.calendar.first


def following(account: Account, units: Decimal = ZERO) -> Entry | None:
    """The next period to post, with the units produced in it where that counts; None at the end of the life."""
    if not account.terms.counts_units:
        return next(ahead(account), None)
    course = _course(account, account.terms.calendar)
    if account.used >= course.life or _halted_before(account, next_month(account)):
        return None
    amount = left = account.value - course.salvage
    if account.used + units < course.life:
        exact = straight_line(course, account.used, account.used + units, account.value, account.value)
        amount = min(exact.quantize(account.terms.quantum, ROUND_HALF_UP), left)
    return Entry(next_month(account), amount, account.value - amount, account.value, units)


def _halted_before(account: Account, month: int) -> bool:
    """Whether the machine is held for sale since before the period that ends with this month."""
    calendar = account.terms.calendar
    return calendar.halt is not None and calendar.age_after(month - account.terms.step) >= calendar.halt


def value_on(account: Account, day: date, counted: Decimal = ZERO) -> Decimal:
    """The value that the machine would have if it went on that day, when its meter has counted so much.

    It is the posted one where more is posted than that.
    """
    if account.terms.counts_units:
        last = following(account, units_left(account, counted)) if account.terms.meter else None
        return last.value if last else account.value
    value = account.value
    for entry in ahead(account, day):
        value = entry.value
    return value


# --- ends -----------------------------------------------------------------------------------------------------------

SignedDigits = Annotated[
    str, StringConstraints(pattern=r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,4})?$"), Field(examples=["-1200.00"])
]


class Disposal(Value):
    """What the going of a machine means in one book.

    `depreciation` is charged from the last posted period to the day of the going and leads to `value`; `gain` is what
    the proceeds exceed it by, a loss where it is negative.
    """

    book: BookName
    currency: Currency
    depreciation: Digits
    value: Digits
    gain: SignedDigits


def disposal(book: BookName, account: Account, day: date, proceeds: Decimal, counted: Decimal = ZERO) -> Disposal:
    """A machine goes on that day, when its meter has counted so much."""
    currency, value = account.terms.cost.currency, value_on(account, day, counted)
    return Disposal(
        book=book,
        currency=currency,
        depreciation=digits(account.value - value, currency),
        value=digits(value, currency),
        gain=digits(proceeds - value, currency),
    )


def due(account: Account, period: str, today: date) -> tuple[str, ...]:
    """The periods to post so that the book is complete up to this one, as far as they are over; in their order.

    None where each posting must name its units.
    """
    wanted = min(number_of(period), month_of(today + timedelta(days=1)) - 1)
    if account.terms.counts_units:
        posts_alone = account.terms.meter is not None and following(account) is not None
        months = range(next_month(account), wanted + 1, account.terms.step) if posts_alone else range(0)
        return tuple(label(month) for month in months if not _halted_before(account, month))
    return tuple(label(entry.month) for entry in takewhile(lambda entry: entry.month <= wanted, ahead(account)))


def units_left(account: Account, counted: Decimal) -> Decimal:
    """Units that the meter has counted since the last posting, at most those that are left of the machine's life."""
    counted = counted if account.halted is None else account.halted
    return min(counted - account.metered, Decimal(account.terms.total_units or 0) - account.used)


def posting_id(company_id: str, equipment_id: str, book: BookName, period: str, attempt: int = 1) -> UUID:
    """The id of the command that posts a period: one for each, so that whoever asks again asks for the same.

    A refusal is remembered for a day under its id; another attempt has another.
    """
    again = f"/{attempt}" if attempt > 1 else ""
    return uuid5(NAMESPACE_URL, f"bitcorp:depreciation:{company_id}/{equipment_id}/{book}/{period}{again}")
