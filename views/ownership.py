"""What machines cost in all, from their purchase to what they brought at the end."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import ColumnElement, Numeric, Text, and_, cast, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import RowMapping

from domain.company import MaintenancePolicy
from domain.equipment import Status
from domain.model import Id, Money
from domain.upkeep import Amount, Cost, added, cost_of_time
from views.categories import table as categories
from views.companies import table as companies
from views.downtime import table as downtime
from views.equipment import table as machines
from views.figures import of_category
from views.items import Named, Price, price
from views.maintenance import table as jobs
from views.reliability import LIVED, WINDOW, lived_through
from views.resource import Filter, ItemModel, LineOfText, Resource, Sort
from views.stock_movements import table as movements


def _spent(
    of: Any, amount: ColumnElement[Any], currency: ColumnElement[Any], minutes: Any, *where: ColumnElement[bool]
) -> ColumnElement[Any]:
    """What the rows of another table cost the machine, by currency: a list of [digits, currency, minutes]."""
    mine = and_(of.c.company_id == machines.c.company_id, of.c.equipment_id == machines.c.equipment_id, *where)
    sums = select(
        cast(func.coalesce(func.sum(amount), 0), Text).label("amount"),
        currency.label("currency"),
        func.coalesce(func.sum(minutes), 0).label("minutes"),
    )
    found = sums.where(mine).group_by(currency).correlate(machines).lateral("found")
    listed = func.jsonb_agg(func.jsonb_build_array(found.c.amount, found.c.currency, found.c.minutes), type_=JSONB)
    return select(func.coalesce(listed, func.jsonb_build_array(), type_=JSONB)).select_from(found).scalar_subquery()


JOBS = _spent(jobs, jobs.c.cost, jobs.c.cost_currency, jobs.c.labour_minutes)
REPAIRS = _spent(downtime, downtime.c.cost, downtime.c.cost_currency, downtime.c.labour_minutes)
#: What went to the machine's jobs less what came back, at the cost of its issue.
FOR_JOBS = movements.c.job_id.is_not(None)
PARTS = _spent(movements, -movements.c.value, movements.c.currency, cast(None, Numeric), FOR_JOBS)


class OwnershipItem(ItemModel):
    """What a machine has cost so far, in the company's currency.

    A term is null where it cannot be known: no purchase price or no rate was told, or an amount is in another
    currency. Then the total is null too.
    """

    equipment: Annotated[Named, Field(description="The machine")]
    category: Annotated[Named, Field(description="Its kind")]
    currency: Annotated[str, Field(description="The company's currency", examples=["PEN"])]
    purchase: Annotated[Price | None, Field(description="What it was bought for")] = None
    maintenance: Annotated[Price | None, Field(description="Costs told of jobs and repairs")] = None
    parts: Annotated[Price | None, Field(description="Parts from stock, at their cost when issued")] = None
    labour: Annotated[Price | None, Field(description="Labour told, at the policy's `labour_rate`")] = None
    downtime: Annotated[Price | None, Field(description="Unplanned downtime, at the policy's `downtime_rate`")] = None
    proceeds: Annotated[Price | None, Field(description="What it brought when it was retired")] = None
    total: Annotated[Price | None, Field(description="All of these, less the proceeds")] = None


def item(row: RowMapping) -> OwnershipItem:
    found, currency = _cost(row), row["currency"]
    shown = {name: price(amount, currency) for name, amount in found._asdict().items()}
    return OwnershipItem(
        equipment=Named(id=row["equipment_id"], name=row["name"]),
        category=Named(id=row["category_id"], name=row["category_name"]),
        currency=currency,
        total=price(found.total, currency),
        **shown,
    )


def _cost(row: RowMapping) -> Cost:
    currency, worked = row["currency"], [*row["jobs"], *row["repairs"]]
    policy = MaintenancePolicy.model_validate(row["policy"], strict=False)
    minutes = sum(minutes for _, _, minutes in worked)
    stood = lived_through(row["lived"], row).downtime
    return Cost(
        purchase=None if row["purchase_price"] is None else added([_told(row, "purchase_price", "purchase")], currency),
        maintenance=added(map(_amount, worked), currency),
        parts=added(map(_amount, row["parts"]), currency),
        labour=cost_of_time(timedelta(minutes=minutes), _rate(policy.labour_rate), currency),
        downtime=cost_of_time(stood, _rate(policy.downtime_rate), currency),
        proceeds=added([_told(row, "proceeds", "proceeds")], currency),
    )


def _told(row: RowMapping, amount: str, what: str) -> Amount:
    return Amount(row[amount] or Decimal(0), row[f"{what}_currency"])


def _amount(told: list[Any]) -> Amount:
    amount, currency, _ = told
    return Amount(Decimal(amount), currency)


def _rate(hourly: Money | None) -> Amount | None:
    return Amount(hourly.decimal, hourly.currency) if hourly else None


OWNERSHIP = Resource(
    name="ownership-costs",
    path="ownership-costs",
    item_path="equipment/{equipment_id}/ownership-cost",
    group="fleet",
    permission="equipment.read",
    summary="What the company's machines have cost in all",
    item=OwnershipItem,
    rows=select(
        machines,
        categories.c.name.label("category_name"),
        companies.c.time_zone,
        companies.c.currency,
        companies.c.policy,
        JOBS.label("jobs"),
        REPAIRS.label("repairs"),
        PARTS.label("parts"),
        LIVED.label("lived"),
        *WINDOW,
    )
    .join(companies, companies.c.company_id == machines.c.company_id)
    .outerjoin(categories, of_category),
    company=machines.c.company_id,
    keys={"equipment_id": Filter(machines.c.equipment_id, Id, "Id of the machine")},
    make=item,
    filters={
        "equipment_id": Filter(machines.c.equipment_id, Id, "This machine alone"),
        "category_id": Filter(machines.c.category_id, Id, "Machines of this category"),
        "status": Filter(machines.c.status, Status, "Machines in this status"),
    },
    sorts={"name": Sort(machines.c.name, LineOfText, "by name")},
    default_sort="name",
)
