"""Schedules of machines in one process beside the bare arithmetic of the same months.

Bare is one multiplication, one division, one rounding and one subtraction of decimals for each month: what no way of
writing it can leave out.
"""

import time
from collections.abc import Callable
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from domain.charges import Method
from domain.depreciation import Terms, schedule
from domain.model import Money
from domain.periods import Convention
from topics.settings import Settings

LIFE = 100
METHODS = (Method.STRAIGHT_LINE, Method.DECLINING_THEN_STRAIGHT_LINE, Method.SUM_OF_YEARS_DIGITS)
CENT = Decimal("0.01")


async def run(settings: Settings, months: int = 500_000) -> dict[str, float]:
    """Machine-months per second, bare and as schedules, and how many times longer the schedules take."""
    terms = [_terms(number) for number in range(months // LIFE)]
    bare = _timed(lambda: _bare(terms))
    scheduled = _timed(lambda: _scheduled(terms))
    return {
        "bare": round(months / bare),
        "scheduled": round(months / scheduled),
        "seconds": round(scheduled, 2),
        "ratio": round(scheduled / bare, 2),
    }


def _timed(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _terms(number: int) -> Terms:
    """Machines of several methods and conventions, each of its own cost."""
    return Terms(
        method=METHODS[number % len(METHODS)],
        convention=(Convention.FULL_MONTH, Convention.DAILY)[number % 2],
        life_months=LIFE,
        cost=Money(amount=f"{125_000 + number}.00", currency="EUR"),
        salvage=Money(amount="5000.00", currency="EUR"),
        available_on=date(2020, 1, 1),
    )


def _scheduled(terms: list[Terms]) -> None:
    for machine in terms:
        for _ in schedule(machine):
            pass


def _bare(terms: list[Terms]) -> None:
    for machine in terms:
        value = cost = machine.cost.decimal
        base = cost - machine.salvage.decimal
        for _ in range(LIFE):
            value -= (base * 1 / LIFE).quantize(CENT, ROUND_HALF_UP)
