"""Figures that are computed for each machine, and for each category, over a window of time: what their lists share."""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.engine import RowMapping

from domain.model import Id
from views.categories import table as categories
from views.companies import table as companies
from views.equipment import table as machines
from views.maintenance import table as jobs
from views.resource import Filter, ItemModel, LineOfText, Resource, Sort

Item = TypeVar("Item", bound=ItemModel)

NOW = func.now().label("now")

job_of_machine = and_(jobs.c.company_id == machines.c.company_id, jobs.c.equipment_id == machines.c.equipment_id)
of_category = and_(categories.c.company_id == machines.c.company_id, categories.c.category_id == machines.c.category_id)


def of_machines(
    name: str,
    summary: str,
    item: type[Item],
    make: Callable[[RowMapping], Item],
    *columns: ColumnElement[Any],
    filters: dict[str, Filter] | None = None,
) -> Resource[Item]:
    """A list with an item per machine, made of these columns beside the machine's own."""
    return Resource(
        name=name,
        path=name,
        item_path=None,
        group="fleet",
        permission="equipment.read",
        summary=summary,
        item=item,
        rows=select(machines, categories.c.name.label("category_name"), companies.c.time_zone, *columns)
        .outerjoin(companies, companies.c.company_id == machines.c.company_id)
        .outerjoin(categories, of_category),
        company=machines.c.company_id,
        keys={"equipment_id": Filter(machines.c.equipment_id, Id, "Id of the machine")},
        make=make,
        filters={
            "equipment_id": Filter(machines.c.equipment_id, Id, "This machine alone"),
            "category_id": Filter(machines.c.category_id, Id, "Machines of this category"),
            "place": Filter(machines.c.place, Id, "Machines that stand at this place"),
            **(filters or {}),
        },
        sorts={"name": Sort(machines.c.name, LineOfText, "by name")},
        default_sort="name",
        windowed=True,
    )


def of_categories(
    name: str,
    summary: str,
    item: type[Item],
    make: Callable[[RowMapping], Item],
    *columns: ColumnElement[Any],
) -> Resource[Item]:
    """A list with an item per category, made of these columns beside the category's own."""
    return Resource(
        name=name,
        path=name,
        item_path=None,
        group="fleet",
        permission="equipment.read",
        summary=summary,
        item=item,
        rows=select(categories, companies.c.time_zone, *columns).outerjoin(
            companies, companies.c.company_id == categories.c.company_id
        ),
        company=categories.c.company_id,
        keys={"category_id": Filter(categories.c.category_id, Id, "Id of the category")},
        make=make,
        filters={"category_id": Filter(categories.c.category_id, Id, "This category alone")},
        sorts={"name": Sort(categories.c.name, LineOfText, "by name")},
        default_sort="name",
        windowed=True,
    )
