"""How records of another ERP are to be read: tables as data, one set per source system, and what they make of a record.

Nothing is guessed: what the tables do not name is set aside with its reason.
"""

import re
from collections.abc import Mapping as Raw
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from domain.asset import AssetRecord, AssetState, ImportAsset, Source, asset_id
from domain.currencies import MINOR_UNITS
from domain.model import CompanyId, Currency, Day, Id, Money, Value

T = TypeVar("T")

UNKNOWN_NAME = "Unknown"

#: Commas part thousands or nothing: "12,5" is not a hundred and twenty-five.
AMOUNT = re.compile(r"([0-9]{1,15}|[0-9]{1,3}(,[0-9]{3}){1,4})(\.[0-9]{1,10})?")
SWAPPED = str.maketrans(".,", ",.")

Words = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Factor = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,10})?$"), Field(examples=["3.7125"])]


class Cause(StrEnum):
    """Why a record is set aside."""

    MALFORMED = "malformed"
    SOURCE_UNKNOWN = "source-unknown"
    ASSET_ID_MISSING = "asset-id-missing"
    ORGANIZATION_UNKNOWN = "organization-unknown"
    STATE_UNKNOWN = "state-unknown"
    CATEGORY_UNMAPPED = "category-unmapped"
    PLACE_UNMAPPED = "place-unmapped"
    DATE_INVALID = "date-invalid"
    COST_INVALID = "cost-invalid"
    CURRENCY_UNKNOWN = "currency-unknown"
    RATE_MISSING = "rate-missing"
    FIELD_INVALID = "field-invalid"


class Quarantined(Exception):
    """The record cannot be understood; `cause` is stable, the text says what is wrong."""

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause
        self.detail = detail


class Columns(Value):
    """What the other system calls its fields."""

    asset_id: Words = "asset_id"
    equipment_name: Words = "equipment_name"
    organization_code: Words = "organization_code"
    acquired_on: Words = "acquisition_date"
    state: Words = "state"
    category: Words = "category"
    location: Words = "location"
    cost: Words = "cost"
    currency: Words = "currency"
    manufacturer: Words = "manufacturer"
    model: Words = "model"
    manufacturer_serial: Words = "serial"


#: Fields without which no record of a source can be understood.
REQUIRED = ("asset_id", "organization_code", "acquired_on", "state")


class Organization(Value):
    """The company that an organisation of the other system is here, and the currency in which it counts."""

    company: CompanyId
    currency: Currency


class Rate(Value):
    """One unit of `currency` is `factor` units of `to` from the day named on, until the next rate."""

    currency: Currency
    to: Currency
    since: Day
    factor: Factor


def _folded(table: dict[str, T]) -> dict[str, T]:
    """The table by its codes without regard to case. Raises ValueError where two codes differ in case alone."""
    found = {code.casefold(): meaning for code, meaning in table.items()}
    if len(found) != len(table):
        raise ValueError("two codes differ in nothing but case")
    return found


class Mapping(Value):
    """The tables for one source system. Codes are compared without regard to case.

    Records of a category that is not named are of the default category where there is one. Where no places are named,
    locations of the source mean nothing here.
    """

    source: Source
    organizations: Annotated[dict[Words, Organization], AfterValidator(_folded)]
    states: Annotated[dict[Words, AssetState], AfterValidator(_folded)]
    categories: Annotated[dict[Words, Id], AfterValidator(_folded)] = Field(default_factory=dict)
    default_category: Id | None = None
    places: Annotated[dict[Words, Id], AfterValidator(_folded)] = Field(default_factory=dict)
    rates: tuple[Rate, ...] = ()
    columns: Columns = Columns()
    date_format: Words = "%Y-%m-%d"
    decimal_comma: bool = False
    encoding: Words = "utf-8"
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = ","

    @property
    def required(self) -> frozenset[str]:
        """The columns that a file must have."""
        return frozenset(getattr(self.columns, name) for name in REQUIRED)


class Understood(NamedTuple):
    """A record in our words, and whose it is."""

    company_id: str
    command: ImportAsset


def understand(mapping: Mapping, raw: Raw[str, Any], import_id: str) -> Understood:
    """What a record of the source wants. Raises Quarantined."""
    fields = {name: _text(raw.get(column), column) for name, column in vars(mapping.columns).items()}
    number = fields["asset_id"]
    if not number:
        raise Quarantined(Cause.ASSET_ID_MISSING, "The record names no asset.")
    firm = _looked_up(mapping.organizations, fields["organization_code"], Cause.ORGANIZATION_UNKNOWN)
    try:
        command = ImportAsset(
            asset_id=asset_id(mapping.source, number),
            import_id=import_id,
            source=mapping.source,
            number=number,
            record=_record(mapping, fields, firm),
        )
    except ValidationError as fault:
        error = fault.errors()[0]
        raise Quarantined(Cause.FIELD_INVALID, f"{error['loc'][-1]}: {error['msg']}") from fault
    return Understood(firm.company, command)


def _record(mapping: Mapping, fields: Raw[str, str], firm: Organization) -> AssetRecord:
    acquired_on = _day(fields["acquired_on"], mapping.date_format)
    return AssetRecord(
        name=fields["equipment_name"] or UNKNOWN_NAME,
        category_id=_category(mapping, fields["category"]),
        acquired_on=acquired_on,
        state=_looked_up(mapping.states, fields["state"], Cause.STATE_UNKNOWN),
        place=_place(mapping, fields["location"]),
        cost=_cost(mapping, fields, firm.currency, acquired_on),
        **{name: fields[name] or None for name in ("manufacturer", "model", "manufacturer_serial")},
    )


def _text(value: Any, column: str) -> str:
    """What a field holds, without blanks around it; absent and null are empty."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise Quarantined(Cause.MALFORMED, f"{column} holds neither text nor a number.")
    return str(value).strip()


def _looked_up(table: Raw[str, T], code: str, cause: Cause) -> T:
    found = table.get(code.casefold())
    if found is None:
        raise Quarantined(cause, f"The mapping does not know {code!r}." if code else "The record has none.")
    return found


def _category(mapping: Mapping, code: str) -> str:
    if mapping.default_category and code.casefold() not in mapping.categories:
        return mapping.default_category
    return _looked_up(mapping.categories, code, Cause.CATEGORY_UNMAPPED)


def _place(mapping: Mapping, code: str) -> str | None:
    return _looked_up(mapping.places, code, Cause.PLACE_UNMAPPED) if code and mapping.places else None


def _day(text: str, form: str) -> date:
    try:
        return datetime.strptime(text, form).date()
    except ValueError as fault:
        raise Quarantined(Cause.DATE_INVALID, f"The day of acquisition is {text!r}, not written {form}.") from fault


def _cost(mapping: Mapping, fields: Raw[str, str], wanted: str, day: date) -> Money | None:
    """The cost in the company's currency by the rate of the day, rounded half up to its minor unit."""
    if not fields["cost"]:
        return None
    amount, currency = _amount(fields["cost"], mapping.decimal_comma), fields["currency"].upper()
    if currency not in MINOR_UNITS:
        raise Quarantined(Cause.CURRENCY_UNKNOWN, f"{currency!r} is not an ISO 4217 currency code.")
    converted = amount * _rate(mapping.rates, currency, wanted, day)
    rounded = converted.quantize(Decimal(1).scaleb(-MINOR_UNITS[wanted]), ROUND_HALF_UP)
    return Money(amount=f"{rounded:f}", currency=wanted)


def _amount(text: str, comma: bool) -> Decimal:
    english = text.translate(SWAPPED) if comma else text
    if not AMOUNT.fullmatch(english):
        raise Quarantined(Cause.COST_INVALID, f"The cost is {text!r}, which is no amount of money.")
    return Decimal(english.replace(",", ""))


def _rate(rates: tuple[Rate, ...], currency: str, wanted: str, day: date) -> Decimal:
    """The rate in force on the day."""
    if currency == wanted:
        return Decimal(1)
    known = [rate for rate in rates if (rate.currency, rate.to) == (currency, wanted) and rate.since <= day]
    if not known:
        raise Quarantined(Cause.RATE_MISSING, f"There is no rate from {currency} to {wanted} on {day}.")
    return Decimal(max(known, key=lambda rate: rate.since).factor)
