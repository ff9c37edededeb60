"""Methods of depreciation: what is charged while an age goes from one number of ticks to another.

A value goes from its base down to the salvage value while the age goes from the start to the life. Ticks are whatever
the caller counts: periods, days, parts of a month, units produced. Sources: IAS 16; Excel's SLN, DDB, VDB, DB and SYD.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

ZERO = Decimal(0)
Age = Decimal | int


class Method(StrEnum):
    STRAIGHT_LINE = "STRAIGHT_LINE"
    DECLINING = "DECLINING"
    DECLINING_THEN_STRAIGHT_LINE = "DECLINING_THEN_STRAIGHT_LINE"
    WRITTEN_DOWN_VALUE = "WRITTEN_DOWN_VALUE"
    SUM_OF_YEARS_DIGITS = "SUM_OF_YEARS_DIGITS"
    UNITS_OF_PRODUCTION = "UNITS_OF_PRODUCTION"
    PERCENTAGES = "PERCENTAGES"


@dataclass(frozen=True, slots=True)
class Course:
    """A value on its way from `base` to `salvage` while the age goes from `start` to `life`.

    `rate` is what a declining method takes of a value in `per` ticks; `weights` are shares of equal parts of the life.
    """

    method: Method
    base: Decimal
    salvage: Decimal
    life: Age
    start: Age = 0
    rate: Decimal = ZERO
    per: Age = 1
    weights: tuple[Age, ...] = (1,)


Charge = Callable[[Course, Age, Age, Decimal, Decimal], Decimal]


def straight_line(course: Course, age: Age, then: Age, value: Decimal, opening: Decimal) -> Decimal:
    """Alike for each tick that is left; a tick is a unit produced where units are what counts."""
    return (course.base - course.salvage) * (then - age) / (course.life - course.start)


def declining(course: Course, age: Age, then: Age, value: Decimal, opening: Decimal) -> Decimal:
    """A share of the value at the opening of the period or year."""
    return opening * course.rate * (then - age) / course.per


def declining_then_straight_line(course: Course, age: Age, then: Age, value: Decimal, opening: Decimal) -> Decimal:
    """A share of the opening value as long as that is more than the rest spread over the life that is left."""
    spread = (value - course.salvage) * (then - age) / (course.life - age)
    return max(declining(course, age, then, value, opening), spread)


def weighted(course: Course, age: Age, then: Age, value: Decimal, opening: Decimal) -> Decimal:
    """As much of the base as the weights of these parts of the life make of all that are left."""
    left = _weight(course, course.life) - _weight(course, course.start)
    weight = _weight(course, then) - _weight(course, age)
    return (course.base - course.salvage) * weight / left if left else ZERO


def _weight(course: Course, age: Age) -> Age:
    """The weights of all parts of the life up to an age, times the life."""
    part, rest = divmod(age * len(course.weights), course.life)
    whole = sum(course.weights[: int(part)]) * course.life
    return whole + rest * course.weights[int(part)] if rest else whole


CHARGES: dict[Method, Charge] = {
    Method.STRAIGHT_LINE: straight_line,
    Method.DECLINING: declining,
    Method.DECLINING_THEN_STRAIGHT_LINE: declining_then_straight_line,
    Method.WRITTEN_DOWN_VALUE: declining,
    Method.SUM_OF_YEARS_DIGITS: weighted,
    Method.UNITS_OF_PRODUCTION: straight_line,
    Method.PERCENTAGES: weighted,
}


def charges(course: Course, ages: Iterable[Age]) -> Iterator[Decimal]:
    """What is charged up to each of these ages, not rounded, and never below the salvage value."""
    age, value = course.start, course.base
    for then in ages:
        amount = min(CHARGES[course.method](course, age, then, value, value), value - course.salvage)
        age, value = then, value - amount
        yield amount


def fixed_rate(base: Decimal, salvage: Decimal, periods: Decimal, places: int | None = None) -> Decimal:
    """The share that leads from base to salvage in so many periods; Excel rounds it to three places."""
    if base <= salvage or periods <= 0:
        return ZERO
    rate = 1 - (salvage / base) ** (1 / periods)
    return rate if places is None else rate.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
