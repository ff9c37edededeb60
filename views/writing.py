"""Statements of projections: made once per module, called with a recorded event to give a change.

Every row carries the version of its aggregate, and an update only touches a row that is older than its event: so the
same event again, early or late, changes nothing.
"""

from functools import cached_property, lru_cache
from typing import Any

from sqlalchemy import BindParameter, Column, ColumnElement, Table, bindparam, delete, update
from sqlalchemy.dialects.postgresql import Insert, asyncpg, insert
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import Delete, Update

from domain.record import Recorded
from views.tables import SCHEMA
from views.view import Change

DIALECT = asyncpg.dialect()  # type: ignore[no-untyped-call]


class Statement:
    """A statement that waits for values by name. Columns that the caller leaves out are null, or as in `blank`."""

    def __init__(self, executable: Insert | Update | Delete, names: tuple[str, ...], blank: dict[str, Any]) -> None:
        self._executable = executable
        self._names = names
        self._blank = blank

    def text(self, schema: str) -> str:
        """The statement as asyncpg takes it, on the tables of a schema."""
        return str(self._compiled(schema))

    @lru_cache(maxsize=4)  # noqa: B019  (statements live as long as their modules)
    def _compiled(self, schema: str) -> SQLCompiler:
        compiled = self._executable.compile(
            dialect=DIALECT,
            column_keys=list(self._names),
            schema_translate_map={SCHEMA: schema},
            render_schema_translate=True,
        )
        assert isinstance(compiled, SQLCompiler)
        return compiled

    @cached_property
    def _order(self) -> tuple[str, ...]:
        """Names of the values in the order of the statement's `$1`, `$2`, ...; a key's bind has an underscore more."""
        return tuple(name.removeprefix("_") for name in self._compiled(SCHEMA).positiontup or ())

    @cached_property
    def _fixed(self) -> dict[str, Any]:
        """Values that are always the same: constants within the statement, and `blank`."""
        binds = self._compiled(SCHEMA).bind_names.items()
        return {name: bind.value for bind, name in binds if not bind.required} | self._blank

    def change(self, **values: Any) -> Change:
        return Change(self, tuple(map((self._fixed | values).get, self._order)))

    def __call__(self, fact: Recorded, **values: Any) -> Change:
        """`company_id`, `version` and `updated_at` come from the fact."""
        return self.change(company_id=fact.company_id, version=fact.version, updated_at=fact.recorded_at, **values)


def inserting(table: Table, **blank: Any) -> Statement:
    """A new row, unless it is there."""
    return Statement(insert(table).on_conflict_do_nothing(), _columns(table), blank)


def replacing(table: Table, *columns: str, **blank: Any) -> Statement:
    """A new row, or these columns of the row that is there if that is older."""
    new = insert(table)
    taken = {name: new.excluded[name] for name in (*columns, "version", "updated_at")}
    older = table.c.version < new.excluded.version
    keys = list(table.primary_key)
    return Statement(new.on_conflict_do_update(index_elements=keys, set_=taken, where=older), _columns(table), blank)


def updating(table: Table, *columns: str, **computed: ColumnElement[Any]) -> Statement:
    """These columns of a row that is older than the event; `computed` are set by expressions over tables."""
    same = [column == given(column) for column in table.primary_key]
    older = table.c.version < given(table.c.version)
    changed = update(table).where(*same, older).values(**computed)
    return Statement(changed, (*columns, "version", "updated_at"), {})


def deleting(table: Table, *by: str) -> Statement:
    """No row any more where the company and the columns `by` are as given and the row is older than the event."""
    same = [table.c[name] == given(table.c[name]) for name in ("company_id", *by)]
    return Statement(delete(table).where(*same, table.c.version < given(table.c.version)), (), {})


def given(column: Column[Any]) -> BindParameter[Any]:
    """The value that a change names for the column; an underscore keeps it apart from the column's own new value."""
    return bindparam(f"_{column.name}", type_=column.type)


def _columns(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns if column.computed is None)
