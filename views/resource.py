"""What can be read: each resource with its paths, filters, sorts and item; and how a page of it is read.

The API computes its GET routes and OpenAPI from `views.RESOURCES` and knows no table:

    query = parse(EQUIPMENT, request.query.items(), path={})          # BadQuery names every wrong parameter at once
    async with reading(engine, company_id) as reader:                  # views.reading
        found = await page(reader, EQUIPMENT, query)                   # Page(items, next, total, total_is_capped)
        machine = await one(reader, EQUIPMENT, {"equipment_id": "EX-7"})   # an item, or None
"""

import hashlib
import operator
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from sqlalchemy import ColumnElement, DateTime, Select, bindparam, func, literal, select, tuple_
from sqlalchemy.engine import RowMapping

from domain.model import FIRST_YEAR, LAST_YEAR, ONE_LINE, Instant
from views import cursor
from views.cursor import adapter
from views.reading import Reader

DEFAULT_LIMIT, LARGEST_LIMIT = 50, 200
COUNTED_UP_TO = 10_000

#: Types of sort values that a cursor carries: whatever it holds, PostgreSQL must take it.
LineOfText = Annotated[str, StringConstraints(max_length=1000, pattern=ONE_LINE)]
Position = Annotated[int, Field(ge=0, le=2**63 - 1)]

Limit = Annotated[int, Field(ge=1, le=LARGEST_LIMIT)]
SearchText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=ONE_LINE)]

Item = TypeVar("Item", bound="ItemModel")


class ItemModel(BaseModel):
    """The shape of one item as readers see it; null means absent. `version` stands for the item's aggregate."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)


@dataclass(frozen=True)
class Filter:
    """One query parameter that narrows a list: `compare(column, value)` must hold."""

    column: ColumnElement[Any]
    type: Any
    meaning: str
    compare: Callable[[Any, Any], ColumnElement[bool]] = operator.eq


@dataclass(frozen=True)
class Sort:
    """One order of a list. The expression is never null, and an index leads with company, expression and key."""

    expression: ColumnElement[Any]
    type: Any
    meaning: str


#: Parameters that ask for the past, and what they mean.
TIMES = {
    "as_of": "As it was known at this time, such as 2026-03-31T00:00Z.",
    "valid_at": "What was true at this time, late entries included; default: the time of `as_of`.",
}


@dataclass(frozen=True)
class Moments:
    """What held at `valid_at`, as known at `as_of`."""

    as_of: datetime
    valid_at: datetime


@dataclass(frozen=True)
class Resource(Generic[Item]):
    """One readable resource.

    name         plural for lists, as in OpenAPI tags and operation ids
    path         path of the list under the API's root; `{name}` parts are filters that must be given
    item_path    path of one item; None where items are read in lists only
    group        the view group that a reader who has just sent a command must wait for
    permission   what the caller must be allowed, such as `equipment.read`
    item         pydantic model of one item, with descriptions and examples
    rows         the select; `company` and `keys` (path parameter -> Filter) name one of its rows
    make         turns one row of `rows` into `item`
    filters      query parameter -> Filter
    within       path parameter of `path` -> Filter
    sorts        name -> Sort; a leading minus in a request reverses it
    default_sort such as `name` or `-recorded_at`
    search       gives the condition for `q`, or None where the resource cannot be searched
    at           the resource as it was at two moments, or None where only the present is known
    windowed     whether the figures are those of a window of time, which `rows` know as `FROM` and `UNTIL`
    """

    name: str
    path: str
    item_path: str | None
    group: str
    permission: str
    summary: str
    item: type[Item]
    rows: Select[Any]
    company: ColumnElement[str]
    keys: Mapping[str, "Filter"]
    make: Callable[[RowMapping], Item]
    sorts: Mapping[str, Sort]
    default_sort: str
    filters: Mapping[str, Filter] = field(default_factory=dict)
    within: Mapping[str, Filter] = field(default_factory=dict)
    search: "Search | None" = None
    at: "Callable[[Moments], Resource[Item]] | None" = None
    windowed: bool = False


#: The window of time that a request names; all time where it names none.
FROM = bindparam("window_from", datetime(FIRST_YEAR + 1, 1, 1, tzinfo=UTC), DateTime(timezone=True))
UNTIL = bindparam("window_until", datetime(LAST_YEAR - 1, 12, 31, tzinfo=UTC), DateTime(timezone=True))


@dataclass(frozen=True)
class Search:
    """How `q` is answered: `find` gives the ids of the matching rows, or None where they are too many to list;
    then `matches` tests row by row, in the order of the list, which is quick because so many do."""

    meaning: str
    column: ColumnElement[Any]
    find: Callable[[Reader, str], Awaitable[tuple[str, ...] | None]]
    matches: Callable[[str], ColumnElement[bool]]


@dataclass(frozen=True)
class Query:
    """A list request that has been checked; made by `parse`."""

    conditions: tuple[ColumnElement[bool], ...] = ()
    text: str | None = None
    sort: str = ""
    after: tuple[Any, ...] | None = None
    limit: int = DEFAULT_LIMIT
    total: bool = False
    fields: frozenset[str] | None = None
    window: Mapping[str, datetime] = field(default_factory=dict)
    fingerprint: str = ""


@dataclass(frozen=True)
class Page(Generic[Item]):
    """`next` is the cursor of the following page, None on the last. `total` is None unless asked for."""

    items: tuple[Item, ...]
    next: str | None
    total: int | None = None
    total_is_capped: bool = False


@dataclass(frozen=True)
class Parameter:
    """One parameter as OpenAPI describes it: `place` is path or query, `schema` JSON Schema."""

    name: str
    place: Literal["path", "query"]
    schema: Mapping[str, Any]
    meaning: str
    required: bool = False


@dataclass(frozen=True)
class Fault:
    """What is wrong with one parameter; codes: unknown, repeated, invalid, cursor-mismatch."""

    parameter: str
    code: str
    detail: str


class BadQuery(ValueError):
    """The request's parameters are wrong; `faults` names each."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(f"{fault.parameter}: {fault.detail}" for fault in faults))
        self.faults = faults


def parameters(resource: Resource[Any]) -> tuple[Parameter, ...]:
    """Everything that a list request may carry, for OpenAPI."""
    orders = [name for sort in sorted(resource.sorts) for name in (sort, f"-{sort}")]
    within = [Parameter(n, "path", _schema(f.type), f.meaning, required=True) for n, f in resource.within.items()]
    filters = [Parameter(n, "query", _schema(f.type), f.meaning) for n, f in resource.filters.items()]
    meaning = "; ".join(f"`{name}`: {sort.meaning}" for name, sort in sorted(resource.sorts.items()))
    controls = [
        Parameter(
            "sort",
            "query",
            {"type": "string", "enum": orders, "default": resource.default_sort},
            f"Order of the list, a leading minus reverses it. {meaning}",
        ),
        Parameter("cursor", "query", {"type": "string"}, "Where the last page ended: its `next`."),
        Parameter("limit", "query", _schema(Limit) | {"default": DEFAULT_LIMIT}, "Most items on the page."),
        Parameter(
            "total", "query", {"type": "boolean", "default": False}, f"Count the items, up to {COUNTED_UP_TO:,}."
        ),
        Parameter("fields", "query", {"type": "string"}, "Fields to show, with commas between them; default: all."),
    ]
    search = [Parameter("q", "query", _schema(SearchText), resource.search.meaning)] if resource.search else []
    return (*within, *filters, *_bounds(resource), *search, *controls, *_times(resource))


def _bounds(resource: Resource[Any]) -> Iterator[Parameter]:
    if not resource.windowed:
        return
    yield Parameter("from", "query", _schema(Instant), "Figures from this time on; without it from the beginning.")
    yield Parameter("until", "query", _schema(Instant), "Figures before this time; without it until now.")


def item_parameters(resource: Resource[Any]) -> tuple[Parameter, ...]:
    """The parameters of one item."""
    keys = [Parameter(n, "path", _schema(f.type), f.meaning, required=True) for n, f in resource.keys.items()]
    return (*keys, *_times(resource))


def _times(resource: Resource[Any]) -> Iterator[Parameter]:
    if resource.at is not None:
        for name, meaning in TIMES.items():
            yield Parameter(name, "query", {"type": "string", "format": "date-time"}, meaning)


def _schema(kind: Any) -> dict[str, Any]:
    return adapter(kind).json_schema()


#: A moment in a request's parameter; unlike in messages, its seconds may be left out.
Moment = Annotated[Instant, BeforeValidator(lambda text: re.sub(r"(T\d{2}:\d{2})(?!:)", r"\1:00", text))]
LATEST = datetime(2200, 1, 1, tzinfo=UTC)


def moment_of(text: str) -> datetime:
    """The time that a parameter names. Raises ValueError."""
    moment: datetime = adapter(Moment).validate_python(text)
    return moment


def in_time(resource: Resource[Item], given: Iterable[tuple[str, str]]) -> tuple[Resource[Item], list[tuple[str, str]]]:
    """The resource as it was at the moments that `as_of` and `valid_at` name, and the parameters besides.

    `as_of` alone asks what was known then, `valid_at` alone what was true then as known now. Raises BadQuery.
    """
    asked, others = dict[str, str](), []
    for name, value in given:
        if resource.at is None or name not in TIMES or name in asked:
            others.append((name, value))  # unknown here, or given twice: `parse` says so
        else:
            asked[name] = value
    if not asked or resource.at is None:
        return resource, others
    faults: list[Fault] = []
    as_of, valid_at = (_taken(asked, name, None, faults, moment_of) for name in TIMES)
    if faults:
        raise BadQuery(tuple(faults))
    return resource.at(Moments(as_of or LATEST, valid_at or as_of or LATEST)), others


def parse(resource: Resource[Any], given: Iterable[tuple[str, str]], path: Mapping[str, str] | None = None) -> Query:
    """A checked request from its query and path parameters. Raises BadQuery."""
    faults: list[Fault] = []
    query = _once(given, faults)
    asked = {name: query.pop(name) for name in list(query) if name in resource.filters}
    chosen = [*_chosen(resource.within, path or {}, faults), *_chosen(resource.filters, asked, faults)]
    sort = _taken(query, "sort", resource.default_sort, faults, lambda value: _known_sort(resource, value))
    checked = Query(
        conditions=tuple(condition for _, _, condition in chosen),
        text=_taken(query, "q", None, faults, adapter(SearchText).validate_python) if resource.search else None,
        sort=sort,
        limit=_taken(query, "limit", DEFAULT_LIMIT, faults, adapter(Limit).validate_python),
        total=_taken(query, "total", False, faults, adapter(bool).validate_python),
        fields=_taken(query, "fields", None, faults, lambda value: _known_fields(resource, value)),
    )
    window = _window(query, faults) if resource.windowed else {}
    given_values = [(name, value) for name, value, _ in chosen]
    fingerprint = _fingerprint(resource.name, sort, checked.text, [*given_values, *window.items()])
    after = _taken(
        query, "cursor", None, faults, lambda value: cursor.read(value, fingerprint, _cursor_types(resource, sort))
    )
    faults += [Fault(name, "unknown", "there is no such parameter") for name in query]
    if faults:
        raise BadQuery(tuple(faults))
    return replace(checked, after=after, window=window, fingerprint=fingerprint)


def _window(query: dict[str, str], faults: list[Fault]) -> dict[str, datetime]:
    read = adapter(Instant).validate_strings
    window = {
        bound.key: _taken(query, name, bound.value, faults, read) for name, bound in (("from", FROM), ("until", UNTIL))
    }
    if window[UNTIL.key] <= window[FROM.key]:
        faults.append(Fault("until", "invalid", "must be later than `from`"))
    return window


def parse_key(resource: Resource[Any], path: Mapping[str, str]) -> tuple[ColumnElement[bool], ...] | None:
    """Conditions for one item; None where the path holds what no id can be, so that there is no such item."""
    faults: list[Fault] = []
    chosen = _chosen(resource.keys, path, faults)
    return None if faults else tuple(condition for _, _, condition in chosen)


def _once(given: Iterable[tuple[str, str]], faults: list[Fault]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in given:
        if name in found:
            faults.append(Fault(name, "repeated", "the parameter is given twice"))
        found[name] = value
    return found


def _taken(query: dict[str, str], name: str, default: Any, faults: list[Fault], read: Callable[[str], Any]) -> Any:
    """The value of a parameter, taken out of `query`; a fault is noted, and the default stands in."""
    if name not in query:
        return default
    try:
        return read(query.pop(name))
    except cursor.CursorRefused as fault:
        faults.append(Fault(name, "cursor-mismatch", str(fault)))
    except ValidationError as fault:
        faults.append(Fault(name, "invalid", fault.errors(include_url=False)[0]["msg"]))
    except ValueError as fault:
        faults.append(Fault(name, "invalid", str(fault)))
    return default


def _chosen(
    filters: Mapping[str, Filter], given: Mapping[str, str], faults: list[Fault]
) -> list[tuple[str, str, ColumnElement[bool]]]:
    """Each filter that is given, with its text and its condition."""
    values: dict[str, Any] = {}
    for name in sorted(filters.keys() & given.keys()):
        before = len(faults)
        value = _taken(dict(given), name, None, faults, adapter(filters[name].type).validate_strings)
        if len(faults) == before:
            values[name] = value
    _check_order(values, faults)
    return [(name, given[name], filters[name].compare(filters[name].column, value)) for name, value in values.items()]


def _check_order(values: Mapping[str, Any], faults: list[Fault]) -> None:
    """A time that ends before it begins is a mistake, and no list of nothing."""
    begin = "from" if "from" in values else "since"
    if begin in values and "until" in values and values["until"] < values[begin]:
        faults.append(Fault("until", "invalid", f"must not be earlier than `{begin}`"))


def _known_sort(resource: Resource[Any], value: str) -> str:
    if value.removeprefix("-") not in resource.sorts:
        raise ValueError(f"must be one of {', '.join(sorted(resource.sorts))}, with a minus for the reverse order")
    return value


def _known_fields(resource: Resource[Any], value: str) -> frozenset[str]:
    wanted = frozenset(value.split(","))
    unknown = sorted(wanted - set(resource.item.model_fields))
    if unknown:
        raise ValueError(f"there is no field {unknown[0]!r}; there are {', '.join(resource.item.model_fields)}")
    return wanted


def _fingerprint(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode("utf-8", "replace")).hexdigest()[:12]


def _cursor_types(resource: Resource[Any], sort: str) -> tuple[Any, ...]:
    return (resource.sorts[sort.removeprefix("-")].type, *(wanted.type for wanted in resource.keys.values()))


async def one(reader: Reader, resource: Resource[Item], path: Mapping[str, str]) -> Item | None:
    """The item that the path parameters name; None where the company has none."""
    conditions = parse_key(resource, path)
    if conditions is None:
        return None
    rows = resource.rows.where(resource.company == reader.company_id, *conditions)
    found = (await reader.connection.execute(rows)).mappings().first()
    return None if found is None else resource.make(found)


async def page(reader: Reader, resource: Resource[Item], query: Query) -> Page[Item]:
    """One page of the company's items."""
    conditions = [resource.company == reader.company_id, *query.conditions]
    if query.text is not None and resource.search is not None:
        conditions.append(await _matching(reader, resource.search, query.text))
    found = await reader.connection.execute(_listing(resource, query, conditions), query.window)
    rows = found.mappings().all()
    total = await _count(reader, resource, conditions) if query.total else None
    return Page(
        items=tuple(resource.make(row) for row in rows[: query.limit]),
        next=_next(resource, query, rows[query.limit - 1]) if len(rows) > query.limit else None,
        total=None if total is None else min(total, COUNTED_UP_TO),
        total_is_capped=total is not None and total > COUNTED_UP_TO,
    )


async def _matching(reader: Reader, search: Search, text: str) -> ColumnElement[bool]:
    few = await search.find(reader, text)
    return search.matches(text) if few is None else search.column.in_(few)


def _listing(resource: Resource[Any], query: Query, conditions: Iterable[ColumnElement[bool]]) -> Select[Any]:
    """One row more than the page holds, to know whether another page follows."""
    order = _order(resource, query.sort)
    rows = resource.rows.add_columns(*(part.label(f"_{place}") for place, part in enumerate(order))).where(*conditions)
    backwards = query.sort.startswith("-")
    if query.after is not None:
        here = tuple_(*(literal(value, part.type) for value, part in zip(query.after, order, strict=True)))
        rows = rows.where(tuple_(*order) < here if backwards else tuple_(*order) > here)
    return rows.order_by(*(part.desc() if backwards else part.asc() for part in order)).limit(query.limit + 1)


def _order(resource: Resource[Any], sort: str) -> tuple[ColumnElement[Any], ...]:
    first = resource.sorts[sort.removeprefix("-")].expression
    return (first, *(wanted.column for wanted in resource.keys.values()))


def _next(resource: Resource[Any], query: Query, last: RowMapping) -> str:
    types = _cursor_types(resource, query.sort)
    return cursor.write(query.fingerprint, types, [last[f"_{place}"] for place in range(len(types))])


async def _count(reader: Reader, resource: Resource[Any], conditions: Iterable[ColumnElement[bool]]) -> int:
    some = resource.rows.with_only_columns(literal(1)).where(*conditions).limit(COUNTED_UP_TO + 1).subquery()
    return (await reader.connection.execute(select(func.count()).select_from(some))).scalar_one()
