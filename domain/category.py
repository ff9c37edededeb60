"""Kinds of equipment of a company."""

from collections.abc import Iterator
from unicodedata import normalize

from domain.decider import Claim, Context, Decider, Kind, Refusal
from domain.model import MANAGERS, Command, Event, Id, Name, State

category_name_taken = Refusal("category-name-taken", Kind.CONFLICT, "Another category of the company has this name.")


class CategoryDefined(Event):
    category_id: Id
    name: Name


class Category(State):
    name: str | None = None

    @property
    def claimed_name(self) -> str | None:
        """Names that differ in case, or in how Unicode writes them, are one name."""
        return normalize("NFKC", self.name).casefold() if self.name else None


def evolve(kind: Category, event: CategoryDefined) -> Category:
    return kind.but(name=event.name)


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


@category.creates(MANAGERS)
def define_category(kind: Category, cmd: DefineCategory, context: Context) -> Iterator[CategoryDefined]:
    yield CategoryDefined(**vars(cmd))
