"""Kinds of equipment of a company."""

from collections.abc import Iterator
from typing import ClassVar, assert_never
from unicodedata import normalize

from domain.decider import Claim, Context, Decider, Kind, Refusal
from domain.depreciation import LifeMonths, Percent
from domain.maintenance import IntervalDays
from domain.model import MANAGERS, Command, Event, Id, Name, State

category_name_taken = Refusal("category-name-taken", Kind.CONFLICT, "Another category of the company has this name.")
category_archived = Refusal("category-archived", Kind.CONFLICT, "The category is archived.")


class CategoryDefined(Event):
    category_id: Id
    name: Name
    maintenance_interval_days: IntervalDays | None = None
    life_months: LifeMonths | None = None
    salvage_percent: Percent | None = None

    begins: ClassVar[bool] = True

    def inverse(self) -> Command:
        return ArchiveCategory(category_id=self.category_id)


class CategoryRenamed(Event):
    category_id: Id
    name: Name


class CategoryArchived(Event):
    """No machine is added to the category any more; those that it has stay."""

    category_id: Id


CategoryEvent = CategoryDefined | CategoryRenamed | CategoryArchived


class Category(State):
    name: str | None = None
    maintenance_interval_days: int | None = None
    archived: bool = False
    life_months: int | None = None
    salvage_percent: str | None = None

    @property
    def claimed_name(self) -> str | None:
        """Names that differ in case, or in how Unicode writes them, are one name."""
        return normalize("NFKC", self.name).casefold() if self.name else None


def evolve(kind: Category, event: CategoryEvent) -> Category:
    match event:
        case CategoryDefined(name=name, maintenance_interval_days=days, life_months=life, salvage_percent=percent):
            return kind.but(name=name, maintenance_interval_days=days, life_months=life, salvage_percent=percent)
        case CategoryRenamed(name=name):
            return kind.but(name=name)
        case CategoryArchived():
            return kind.but(archived=True)
        case _:
            assert_never(event)


category = Decider(
    "category",
    key="category_id",
    path="categories",
    initial=Category(),
    evolve=evolve,
    claims=(Claim("name", lambda kind: kind.claimed_name, category_name_taken),),
)


class DefineCategory(Command):
    """Add a kind of equipment that machines can belong to."""

    category_id: Id
    name: Name
    maintenance_interval_days: IntervalDays | None = None
    life_months: LifeMonths | None = None
    salvage_percent: Percent | None = None


@category.creates(MANAGERS)
def define_category(kind: Category, cmd: DefineCategory, context: Context) -> Iterator[CategoryDefined]:
    yield CategoryDefined(**vars(cmd))


class RenameCategory(Command):
    """Give a category another name."""

    category_id: Id
    name: Name


@category.decides(MANAGERS)
def rename_category(kind: Category, cmd: RenameCategory, context: Context) -> Iterator[CategoryRenamed]:
    if kind.archived:
        raise category_archived()
    if cmd.name != kind.name:
        yield CategoryRenamed(**vars(cmd))


class ArchiveCategory(Command):
    """Let a category take no new machines; it keeps its name and those that it has."""

    category_id: Id


@category.decides(MANAGERS)
def archive_category(kind: Category, cmd: ArchiveCategory, context: Context) -> Iterator[CategoryArchived]:
    if not kind.archived:
        yield CategoryArchived(**vars(cmd))
