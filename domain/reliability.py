"""How reliable a machine was in a window of time: failures, repair times, availability. Pure arithmetic over its stops.

A failure is an unplanned loss of function (IEEE 493). Intervals are half-open, `[start, end)`; a stop that has not
ended goes on until now. Stops that overlap are one. All is clipped to the window and to the machine's service life.
What has nothing to be computed from is None, not 0: a machine without a failure has no mean time between failures.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

NOTHING = timedelta()
PLACES = Decimal("0.000001")


class Span(NamedTuple):
    """A time from `start` to just before `end`."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        return max(self.end - self.start, NOTHING)

    def within(self, other: "Span") -> "Span":
        """The part that lies in the other; of no length where there is none."""
        start = max(self.start, other.start)
        return Span(start, max(min(self.end, other.end), start))


class Stop(NamedTuple):
    """A time in which the machine did not work, planned or by a failure; `end` is None while it still stands.

    `worked` is the time of the repair or service itself, None where all of the stop was. `restored` is False where the
    stop ended without the machine working again, by its retirement.
    """

    start: datetime
    end: datetime | None
    planned: bool = False
    worked: timedelta | None = None
    restored: bool = True


class Outage(NamedTuple):
    """What stops that overlap come to, clipped to the time observed."""

    span: Span
    worked: timedelta
    begins: bool
    restored: bool


class Reliability(NamedTuple):
    """Figures of one machine. Times are sums or means over the time observed; availabilities lie between 0 and 1.

    observed      window and service life, up to now
    operating     observed time without any stop
    downtime      unplanned; planned stops outside of it are `planned_downtime`
    failures      that happened in the time observed; repairs that ended in it
    mtbf          operating time per failure; without one see `operating`, the time survived
    mttr          time of repair per repair
    mdt           unplanned downtime per outage, waiting included
    inherent      MTBF / (MTBF + MTTR): failures and repairs alone
    achieved      MTBM / (MTBM + mean time of maintenance work), planned work included
    operational   operating / observed: all downtime, waiting included
    """

    observed: timedelta
    operating: timedelta
    downtime: timedelta
    planned_downtime: timedelta
    failures: int
    repairs: int
    mtbf: timedelta | None
    mttr: timedelta | None
    mdt: timedelta | None
    inherent: Decimal | None
    achieved: Decimal | None
    operational: Decimal | None


def reliability(stops: Iterable[Stop], window: Span, life: Span, now: datetime) -> Reliability:
    """The figures of a machine that was in service for `life` and stood still for `stops`, as `window` shows them."""
    observed = window.within(life).within(Span(life.start, now))
    told = list(stops)
    outages = _outages([stop for stop in told if not stop.planned], observed, now)
    services = _outages([stop for stop in told if stop.planned], observed, now)
    down = _total(outages)
    stood = _total(_outages(told, observed, now))
    operating = observed.length - stood
    failures, repairs = sum(outage.begins for outage in outages), sum(outage.restored for outage in outages)
    repairing = sum((outage.worked for outage in outages if outage.restored), NOTHING)
    serving = sum((service.worked for service in services), NOTHING)
    mtbf, mttr = _mean(operating, failures), _mean(repairing, repairs)
    return Reliability(
        observed=observed.length,
        operating=operating,
        downtime=down,
        planned_downtime=stood - down,
        failures=failures,
        repairs=repairs,
        mtbf=mtbf,
        mttr=mttr,
        mdt=_mean(down, len(outages)),
        inherent=_availability(mtbf, mttr),
        achieved=_availability(
            _mean(operating, failures + len(services)), _mean(repairing + serving, repairs + len(services))
        ),
        operational=_share(operating, observed.length),
    )


def _outages(stops: list[Stop], observed: Span, now: datetime) -> list[Outage]:
    """Stops that overlap as one, in order of time, where they touch the time observed."""
    found: list[list[Stop]] = []
    reached = observed.start
    for stop in sorted(stops, key=lambda stop: (stop.start, stop.end or now)):
        if found and stop.start < reached:
            found[-1].append(stop)
            reached = max(reached, stop.end or now)
        else:
            found.append([stop])
            reached = stop.end or now
    return [outage for group in found if (outage := _outage(group, observed, now)) is not None]


def _outage(group: list[Stop], observed: Span, now: datetime) -> Outage | None:
    whole = Span(group[0].start, max(stop.end or now for stop in group))
    span = whole.within(observed)
    begins = observed.start <= whole.start < observed.end
    if not (span.length or begins):
        return None
    worked = sum((_worked(stop, observed, now) for stop in group), NOTHING)
    restored = whole.end <= observed.end and all(stop.end and stop.restored for stop in group)
    return Outage(span, min(worked, span.length), begins, restored)


def _worked(stop: Stop, observed: Span, now: datetime) -> timedelta:
    length = Span(stop.start, stop.end or now).within(observed).length
    return length if stop.worked is None else min(stop.worked, length)


def _total(outages: list[Outage]) -> timedelta:
    return sum((outage.span.length for outage in outages), NOTHING)


def _mean(total: timedelta, number: int) -> timedelta | None:
    return total / number if number else None


def _availability(up: timedelta | None, down: timedelta | None) -> Decimal | None:
    return None if up is None or down is None else _share(up, up + down)


def _share(part: timedelta, whole: timedelta) -> Decimal | None:
    """The part as a fraction of the whole, to six places."""
    if not whole:
        return None
    microsecond = timedelta(microseconds=1)
    return (Decimal(part // microsecond) / Decimal(whole // microsecond)).quantize(PLACES)
