"""The kinds of equipment of a company."""

from datetime import datetime
from typing import Annotated

from pydantic import Field
from sqlalchemy import Column, Index, Integer, Table, Text, select
from sqlalchemy.engine import RowMapping

from domain.category import CategoryArchived, CategoryDefined, CategoryRenamed
from domain.model import Id
from domain.record import Recorded
from views.items import Version
from views.resource import Filter, ItemModel, LineOfText, Resource, Sort
from views.tables import METADATA, key, moment, revision
from views.view import Change, View
from views.writing import inserting, updating

table = Table(
    "categories",
    METADATA,
    key("company_id"),
    key("category_id"),
    Column("name", Text, nullable=False),
    Column("maintenance_interval_days", Integer),
    moment("archived_at", optional=True),
    Column("life_months", Integer),
    Column("salvage_percent", Text),
    *revision(),
)
Index("categories_by_name", table.c.company_id, table.c.name, table.c.category_id)

categories = View("categories", table)

DEFINED = inserting(table)
RENAMED = updating(table, "name")
ARCHIVED = updating(table, "archived_at")


@categories.on
def defined(event: CategoryDefined, fact: Recorded) -> Change:
    return DEFINED(
        fact,
        category_id=event.category_id,
        name=event.name,
        maintenance_interval_days=event.maintenance_interval_days,
        life_months=event.life_months,
        salvage_percent=event.salvage_percent,
    )


@categories.on
def renamed(event: CategoryRenamed, fact: Recorded) -> Change:
    return RENAMED(fact, category_id=event.category_id, name=event.name)


@categories.on
def archived(event: CategoryArchived, fact: Recorded) -> Change:
    return ARCHIVED(fact, category_id=event.category_id, archived_at=event.effective_at or fact.recorded_at)


class CategoryItem(ItemModel):
    """A kind of equipment."""

    category_id: Annotated[str, Field(description="Id of the category", examples=["excavators"])]
    name: Annotated[str, Field(description="Name, unique in the company", examples=["Excavators"])]
    maintenance_interval_days: Annotated[
        int | None, Field(description="Days between services where the company's policy has none", examples=[90])
    ] = None
    archived_at: Annotated[datetime | None, Field(description="Since when it takes no new machines")] = None
    life_months: Annotated[int | None, Field(description="Useful life of its machines", examples=[120])] = None
    salvage_percent: Annotated[str | None, Field(description="Their salvage value, of their cost", examples=["10"])] = (
        None
    )
    updated_at: Annotated[datetime, Field(description="When this version was recorded")]
    version: Version


def item(row: RowMapping) -> CategoryItem:
    return CategoryItem(**{name: row[name] for name in CategoryItem.model_fields})


CATEGORIES = Resource(
    name="categories",
    path="categories",
    item_path="categories/{category_id}",
    group="fleet",
    permission="category.read",
    summary="Kinds of equipment of the company",
    item=CategoryItem,
    rows=select(table),
    company=table.c.company_id,
    keys={"category_id": Filter(table.c.category_id, Id, "Id of the category")},
    make=item,
    filters={"archived": Filter(table.c.archived_at.is_not(None), bool, "Categories that are, or are not, archived")},
    sorts={
        "name": Sort(table.c.name, LineOfText, "by name"),
        "category_id": Sort(table.c.category_id, LineOfText, "by id"),
    },
    default_sort="name",
)
