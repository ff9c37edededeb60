"""How reliable machines were in a window of time: failures, repair times, availability; arithmetic over their stops.

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
    """What the stops of machines come to in the time observed: sums, and the figures that follow from them.

    observed          window and service life, up to now
    operating         observed time without any stop
    downtime          unplanned, waiting included; planned stops outside of it are `planned_downtime`
    repairing         work of the repairs that ended; serving: planned work
    outages           unplanned stops seen; failures: those that began, repairs: those that ended in working order
    services          planned stops seen
    """

    observed: timedelta = NOTHING
    operating: timedelta = NOTHING
    downtime: timedelta = NOTHING
    planned_downtime: timedelta = NOTHING
    repairing: timedelta = NOTHING
    serving: timedelta = NOTHING
    outages: int = 0
    failures: int = 0
    repairs: int = 0
    services: int = 0

    @property
    def mtbf(self) -> timedelta | None:
        """Mean time between failures: operating time per failure; without one see `operating`, the time survived."""
        return _mean(self.operating, self.failures)

    @property
    def mttr(self) -> timedelta | None:
        """Mean time to repair: work of the repair per repair."""
        return _mean(self.repairing, self.repairs)

    @property
    def mdt(self) -> timedelta | None:
        """Mean downtime per outage, waiting included."""
        return _mean(self.downtime, self.outages)

    @property
    def inherent(self) -> Decimal | None:
        """MTBF / (MTBF + MTTR): availability as failures and repairs alone would leave it."""
        return _availability(self.mtbf, self.mttr)

    @property
    def achieved(self) -> Decimal | None:
        """MTBM / (MTBM + mean time of maintenance work): planned work included."""
        between = _mean(self.operating, self.failures + self.services)
        return _availability(between, _mean(self.repairing + self.serving, self.repairs + self.services))

    @property
    def operational(self) -> Decimal | None:
        """Operating time as a share of the time observed: all downtime, waiting included."""
        return _share(self.operating, self.observed)


def reliability(stops: Iterable[Stop], window: Span, life: Span, now: datetime) -> Reliability:
    """The figures of a machine that was in service for `life` and stood still for `stops`, as `window` shows them."""
    observed = window.within(life).within(Span(life.start, now))
    told = list(stops)
    outages = _outages([stop for stop in told if not stop.planned], observed, now)
    services = _outages([stop for stop in told if stop.planned], observed, now)
    down, stood = _total(outages), _total(_outages(told, observed, now))
    return Reliability(
        observed=observed.length,
        operating=observed.length - stood,
        downtime=down,
        planned_downtime=stood - down,
        repairing=sum((outage.worked for outage in outages if outage.restored), NOTHING),
        serving=sum((service.worked for service in services), NOTHING),
        outages=len(outages),
        failures=sum(outage.begins for outage in outages),
        repairs=sum(outage.restored for outage in outages),
        services=len(services),
    )


def together(machines: Iterable[Reliability]) -> Reliability:
    """Several machines as one: their times and counts added up, so that a mean is one over all their failures."""
    columns = zip(Reliability(), *machines, strict=True)
    return Reliability(*(sum(column[1:], column[0]) for column in columns))


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
