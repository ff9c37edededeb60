"""Whether planned work is done in time, how much work waits, and what a machine costs in all; plain arithmetic.

What cannot be known is None, not 0: a share of no jobs, an hour without a rate, a sum of amounts in two currencies.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from domain.charges import ZERO
from domain.currencies import MINOR_UNITS

#: How late work may be and still count as done in time: one day in so many of its interval, whole days, rounded down.
TOLERANCE = 10
PLACES = Decimal("0.000001")
HOUR = timedelta(hours=1)
HUNDREDTH = Decimal("0.01")


class PlannedJob(NamedTuple):
    """Planned work: its day, the day it was done, and the days from one such service to the next where it recurs."""

    due_on: date
    done_on: date | None = None
    interval_days: int | None = None

    @property
    def last_day(self) -> date:
        """The last day that is in time; earlier is never too early."""
        return self.due_on + timedelta(days=(self.interval_days or 0) // TOLERANCE)

    def counts(self, today: date) -> bool:
        """Whether it is decided if the job was in time: it is done, or its last day has passed."""
        return self.done_on is not None or self.last_day < today

    @property
    def in_time(self) -> bool:
        return self.done_on is not None and self.done_on <= self.last_day


class Compliance(NamedTuple):
    """How many jobs were due, and how many of these were done in time."""

    due: int
    in_time: int

    @property
    def share(self) -> Decimal | None:
        """PM compliance: done within tolerance / due, to six places; None where nothing was due."""
        return (Decimal(self.in_time) / self.due).quantize(PLACES) if self.due else None


def compliance(jobs: Iterable[PlannedJob], today: date) -> Compliance:
    """What jobs come to whose days lie in the window asked for; those whose tolerance still runs are not counted."""
    counted = [job for job in jobs if job.counts(today)]
    return Compliance(len(counted), sum(job.in_time for job in counted))


def technician_hours(minutes: int) -> Decimal:
    """Minutes of work as hours, to two places."""
    return (Decimal(minutes) / 60).quantize(HUNDREDTH, ROUND_HALF_UP)


class Cost(NamedTuple):
    """Total cost of ownership and its terms, in one currency; `downtime` is what standing still has cost."""

    purchase: Decimal | None
    maintenance: Decimal | None
    parts: Decimal | None
    labour: Decimal | None
    downtime: Decimal | None
    proceeds: Decimal | None

    @property
    def total(self) -> Decimal | None:
        """Purchase, maintenance, parts, labour and downtime less proceeds; None where one of these is unknown."""
        known = [term for term in self if term is not None]
        if len(known) < len(self):
            return None
        *costs, proceeds = known
        return sum(costs, ZERO) - proceeds


class Amount(NamedTuple):
    """Money as it is added up: of any sign and any number of places."""

    amount: Decimal
    currency: str


def added(amounts: Iterable[Amount], currency: str) -> Decimal | None:
    """The sum in that currency, rounded half-up to its units; None where an amount is in another one."""
    told = [one for one in amounts if one.amount]
    if any(one.currency != currency for one in told):
        return None
    return _rounded(sum((one.amount for one in told), ZERO), currency)


def cost_of_time(length: timedelta, hourly: Amount | None, currency: str) -> Decimal | None:
    """What a length of time costs at a rate per hour; None where there is time, and no rate in that currency."""
    if not length:
        return ZERO
    if hourly is None or hourly.currency != currency:
        return None
    seconds = Decimal(length // timedelta(microseconds=1)) / 1_000_000
    return _rounded(seconds * hourly.amount / (HOUR // timedelta(seconds=1)), currency)


def _rounded(amount: Decimal, currency: str) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-MINOR_UNITS[currency]), ROUND_HALF_UP)
