"""Words that every aggregate uses: bounded values, and the bases of commands, events and states.

Bounds are not decoration: a value that pydantic takes and PostgreSQL refuses would stop a view for ever, so NUL,
years outside 1900-2200, numbers beyond 64 bits and naive times are refused where they enter.
"""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from stdnum.exceptions import ValidationError as TaxNumberError
from stdnum.util import get_cc_module

from domain.currencies import MINOR_UNITS
from domain.zones import ZONES

T = TypeVar("T", bound=tuple[Any, ...])

FIRST_YEAR, LAST_YEAR = 1900, 2200

CALENDAR_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_HOUR_AND_MINUTE = r"([01][0-9]|2[0-3]):[0-5][0-9]"
RFC3339 = re.compile(
    rf"{CALENDAR_DATE.pattern}T{_HOUR_AND_MINUTE}:[0-5][0-9](\.[0-9]{{1,9}})?(Z|[+-]{_HOUR_AND_MINUTE})"
)


def _date_of(value: Any) -> Any:
    """Text as a date; pydantic, even when strict, would take "0" for 1970-01-01."""
    if not isinstance(value, str):
        return value
    if not CALENDAR_DATE.fullmatch(value):
        raise ValueError("a date is written YYYY-MM-DD")
    return date.fromisoformat(value)


def _moment_of(value: Any) -> Any:
    """Text as a time; pydantic, even when strict, would take "1700000000" for one."""
    if not isinstance(value, str):
        return value
    if not RFC3339.fullmatch(value):
        raise ValueError("a time is written as in RFC 3339, such as 2026-11-23T08:00:00-05:00")
    return datetime.fromisoformat(value)


def _in_utc(moment: datetime) -> datetime:
    if not FIRST_YEAR < moment.year < LAST_YEAR:
        raise ValueError(f"year must lie between {FIRST_YEAR} and {LAST_YEAR}")
    return moment.astimezone(UTC)


def _known_zone(name: str) -> str:
    if name not in ZONES:
        raise ValueError(f"{name!r} is not an IANA time zone such as 'America/Lima'")
    return name


def _known_currency(code: str) -> str:
    if code not in MINOR_UNITS:
        raise ValueError(f"{code!r} is not an ISO 4217 currency code")
    return code


def each_once(values: T) -> T:
    """Raises ValueError where a value is repeated."""
    if len(set(values)) != len(values):
        raise ValueError("each value may be named once")
    return values


ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
SEVERAL_LINES = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"), Field(examples=["EX-7"])]
CompanyId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$"), Field(examples=["acme-mining"])]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=ONE_LINE),
    Field(examples=["Komatsu PC210 No. 7"]),
]
ShortText = Annotated[str, StringConstraints(max_length=500, pattern=ONE_LINE)]
Text = Annotated[str, StringConstraints(max_length=4000, pattern=SEVERAL_LINES)]
Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=ONE_LINE),
    Field(examples=["Frame cracked beyond repair"]),
]
Email = Annotated[
    str,
    StringConstraints(max_length=254, pattern=rf"^[A-Za-z0-9._%+'-]{{1,64}}@({_LABEL}\.)+{_LABEL}$"),
    Field(examples=["maria.quispe@example.com"]),
]
SerialNumber = Annotated[
    str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9._-]{2,39}$"), Field(examples=["EQ-2024-EX-000007"])
]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$"), Field(examples=["PE"])]
Day = Annotated[date, BeforeValidator(_date_of), Field(ge=date(FIRST_YEAR, 1, 1), le=date(LAST_YEAR, 12, 31))]
Instant = Annotated[AwareDatetime, BeforeValidator(_moment_of), AfterValidator(_in_utc)]
Zone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_known_zone), Field(examples=["America/Lima"])]
Currency = Annotated[
    str, StringConstraints(pattern=r"^[A-Z]{3}$"), AfterValidator(_known_currency), Field(examples=["PEN"])
]
Digits = Annotated[
    str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,4})?$"), Field(examples=["182000.00"])
]


class Value(BaseModel):
    """A value object: equal by content, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class Money(Value):
    """An amount that is not negative, as decimal digits in a string, with its ISO 4217 currency; never a float."""

    amount: Digits
    currency: Currency

    @model_validator(mode="after")
    def _fits_the_currency(self) -> Self:
        decimals = len(self.amount.partition(".")[2])
        if decimals > MINOR_UNITS[self.currency]:
            raise ValueError(f"{self.currency} has {MINOR_UNITS[self.currency]} decimal places, not {decimals}")
        return self

    @property
    def decimal(self) -> Decimal:
        return Decimal(self.amount)


class TaxId(Value):
    """A company's tax number, checked by its country's own rule where python-stdnum knows one."""

    country: Country
    number: Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9 ./-]+$")]

    @model_validator(mode="after")
    def _valid_in_its_country(self) -> Self:
        rule = get_cc_module(self.country.lower(), "vat")
        if rule is None:
            return self
        try:
            rule.validate(self.number)
        except TaxNumberError as fault:
            raise ValueError(f"not a tax number of {self.country}: {fault}") from fault
        return self


class Role(StrEnum):
    """What a user may do in the company; each command names the roles that may send it."""

    ADMIN = "admin"
    MANAGER = "manager"
    TECHNICIAN = "technician"
    VIEWER = "viewer"


EVERYBODY = frozenset({Role.ADMIN, Role.MANAGER, Role.TECHNICIAN})
MANAGERS = frozenset({Role.ADMIN, Role.MANAGER})
ADMINS = frozenset({Role.ADMIN})


RoleName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,63}$"), Field(examples=[Role.TECHNICIAN.value])]


#: What commands that take an event back give as their reason.
UNDONE = "Undone"


class Command(BaseModel):
    """An order in the imperative. Unknown fields are refused, and nothing is coerced."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    version: ClassVar[int] = 1


class Event(BaseModel):
    """A fact in the past tense: never changed, never refused. Class names are wire names.

    `effective_at` says when it was true; the engine fills it with the command's time where a rule leaves it open.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    version: ClassVar[int] = 1
    #: Whether its aggregate came into being by it, so that taking it back takes back all that came with it.
    begins: ClassVar[bool] = False

    effective_at: Instant | None = None

    def inverse(self) -> Command | None:
        """The command that takes the event back, decided like any other; None where nothing does."""
        return None


class State(BaseModel):
    """What the rules of one aggregate must know, and nothing that only views want."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    @property
    def gone(self) -> bool:
        """Whether the aggregate was taken back: to everybody it is as if it had never been, and its id is free."""
        return False

    def but(self, **changes: Any) -> Self:
        """The state with some fields changed: `model_copy(update=...)` at half its price."""
        copy = self.__copy__()
        copy.__dict__.update(changes)
        return copy
