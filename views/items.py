"""Small shapes that several items show: a name beside an id, and money."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from domain.currencies import MINOR_UNITS
from views.resource import ItemModel

Version = Annotated[int, Field(description="Version of the aggregate that the item shows", examples=[3])]


class Named(ItemModel):
    """Something else of the company, with its name where it is known."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "excavators", "name": "Excavators"}]})

    id: Annotated[str, Field(description="Its id")]
    name: Annotated[str | None, Field(description="Its name; null where it is unknown")] = None


class Price(ItemModel):
    """An amount of money."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": "182000.00", "currency": "USD"}]})

    amount: Annotated[str, Field(description="Decimal digits, with the currency's own number of places")]
    currency: Annotated[str, Field(description="ISO 4217 code")]


def named(id_: str | None, name: str | None) -> Named | None:
    return None if id_ is None else Named(id=id_, name=name)


def price(amount: Decimal | None, currency: str | None) -> Price | None:
    if amount is None or currency is None:
        return None
    return Price(amount=f"{amount:.{MINOR_UNITS.get(currency, 2)}f}", currency=currency)


def amount_of(money: Any) -> Decimal | None:
    """The amount of a `Money` for its column."""
    return None if money is None else money.decimal


def currency_of(money: Any) -> str | None:
    return None if money is None else money.currency
