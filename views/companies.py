"""Companies with their settings and policies."""

from datetime import datetime
from typing import Annotated

from pydantic import Field
from pydantic_core import to_json
from sqlalchemy import Boolean, Column, Table, Text, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import RowMapping

from domain.company import (
    CompanyCreated,
    CompanyReactivated,
    CompanySettingsUpdated,
    CompanySuspended,
    DepreciationPolicyUpdated,
    MaintenancePolicy,
    MaintenancePolicyUpdated,
    settings_of,
)
from domain.depreciation import BookPolicy
from domain.masks import DEFAULT_MASK
from domain.model import CompanyId, TaxId
from domain.record import Recorded
from views.items import Version
from views.resource import Filter, ItemModel, LineOfText, Resource, Sort
from views.tables import METADATA, key, moment, revision
from views.view import Change, View
from views.writing import given, inserting, updating

table = Table(
    "companies",
    METADATA,
    key("company_id"),
    Column("name", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("tax_country", Text),
    Column("tax_number", Text),
    Column("serial_mask", Text, nullable=False),
    Column("allow_negative_stock", Boolean, nullable=False),
    Column("policy", JSONB, nullable=False),
    Column("books", JSONB),
    moment("suspended_at", optional=True),
    Column("suspension_reason", Text),
    moment("created_at"),
    *revision(),
)

companies = View("companies", table)

CHANGEABLE = ("name", "time_zone", "currency", "tax_country", "tax_number", "serial_mask", "allow_negative_stock")

CREATED = inserting(table, serial_mask=DEFAULT_MASK, allow_negative_stock=False)
SETTINGS = updating(table, **{name: func.coalesce(given(table.c[name]), table.c[name]) for name in CHANGEABLE})
POLICY = updating(table, "policy")
BOOKS = updating(table, "books")
SUSPENSION = updating(table, "suspended_at", "suspension_reason")


@companies.on
def created(event: CompanyCreated, fact: Recorded) -> Change:
    return CREATED(
        fact,
        name=event.name,
        time_zone=event.time_zone,
        currency=event.currency,
        **_tax_id(event.tax_id),
        policy=MaintenancePolicy().model_dump_json(),
        created_at=fact.recorded_at,
    )


def _tax_id(number: TaxId | None) -> dict[str, str | None]:
    return {"tax_country": number.country if number else None, "tax_number": number.number if number else None}


@companies.on
def settings_updated(event: CompanySettingsUpdated, fact: Recorded) -> Change:
    """Settings that the event leaves open stay as they are."""
    return SETTINGS(fact, **settings_of(event) | _tax_id(event.tax_id))


@companies.on
def policy_updated(event: MaintenancePolicyUpdated, fact: Recorded) -> Change:
    return POLICY(fact, policy=event.policy.model_dump_json())


@companies.on
def books_updated(event: DepreciationPolicyUpdated, fact: Recorded) -> Change:
    return BOOKS(fact, books=to_json(event.books, exclude_none=True).decode())


@companies.on
def suspended(event: CompanySuspended, fact: Recorded) -> Change:
    return SUSPENSION(fact, suspended_at=event.effective_at or fact.recorded_at, suspension_reason=event.reason)


@companies.on
def reactivated(event: CompanyReactivated, fact: Recorded) -> Change:
    return SUSPENSION(fact)


class CompanyItem(ItemModel):
    """A company."""

    company_id: Annotated[str, Field(description="Readable id that never changes", examples=["acme-mining"])]
    name: Annotated[str, Field(description="Name", examples=["Acme Mining"])]
    time_zone: Annotated[str, Field(description="IANA time zone of its dates", examples=["America/Lima"])]
    currency: Annotated[str, Field(description="ISO 4217 code", examples=["PEN"])]
    tax_id: Annotated[TaxId | None, Field(description="Tax number")] = None
    serial_mask: Annotated[
        str, Field(description="How asset tags are written: 9 a digit, A a letter", examples=[DEFAULT_MASK])
    ]
    allow_negative_stock: Annotated[bool, Field(description="Whether parts may be issued that the books do not have")]
    maintenance_policy: Annotated[MaintenancePolicy, Field(description="What it asks of maintenance")]
    books: Annotated[tuple[BookPolicy, ...], Field(description="How it depreciates new machines")] = ()
    suspended_at: Annotated[datetime | None, Field(description="Since when it takes no commands")] = None
    suspension_reason: Annotated[str | None, Field(description="Why it takes none")] = None
    created_at: Annotated[datetime, Field(description="When it was opened")]
    updated_at: Annotated[datetime, Field(description="When this version was recorded")]
    version: Version


def item(row: RowMapping) -> CompanyItem:
    shown = {name: row[name] for name in CompanyItem.model_fields if name in row}
    tax_id = TaxId.model_construct(country=row["tax_country"], number=row["tax_number"]) if row["tax_number"] else None
    policy = MaintenancePolicy.model_validate(row["policy"], strict=False)
    books = tuple(BookPolicy.model_validate(book, strict=False) for book in row["books"] or ())
    return CompanyItem(**shown | {"books": books}, tax_id=tax_id, maintenance_policy=policy)


COMPANIES = Resource(
    name="companies",
    path="companies",
    item_path="companies/{company_id}",
    group="fleet",
    permission="company.read",
    summary="The caller's company",
    item=CompanyItem,
    rows=select(table),
    company=table.c.company_id,
    keys={"company_id": Filter(table.c.company_id, CompanyId, "Id of the company")},
    make=item,
    sorts={"name": Sort(table.c.name, LineOfText, "by name")},
    default_sort="name",
)
