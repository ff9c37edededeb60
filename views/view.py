"""A view: a table and the functions that say, event by event, which change of it follows.

Functions return changes and make none; they read no clock and count nothing, so that a replay gives the same rows.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple, Protocol, TypeVar, get_args, get_type_hints

from sqlalchemy import Table

from domain.model import Event
from domain.record import Audited, Outcome, Recorded, SetAside, Void

Content = Recorded | Outcome | Audited | SetAside | Void
Handler = TypeVar("Handler", bound=Callable[..., "Change | Iterable[Change]"])


class Statement(Protocol):
    """A statement of a projection, made once; `views.writing` makes them."""

    def text(self, schema: str) -> str:
        """As asyncpg takes it, on the tables of a schema."""


class Change(NamedTuple):
    """One statement with its values in order. Statements are made once, so that changes by the same run together."""

    statement: Statement
    values: tuple[Any, ...]


@dataclass(frozen=True)
class View:
    """One table; `on` adds a function by the event class of its first parameter.

    A function that takes `Event` sees every event. All its changes must stay within rows of the event's own
    aggregate: the order of changes is kept per aggregate, not between aggregates.
    """

    name: str
    table: Table
    handlers: dict[type[Any], Callable[..., Any]] = field(default_factory=dict, repr=False)

    def on(self, handler: Handler) -> Handler:
        """Raises TypeError where two functions of the view want the same event."""
        wanted = next(iter(get_type_hints(handler).values()))
        for kind in get_args(wanted) or (wanted,):
            if kind in self.handlers:
                raise TypeError(f"view {self.name!r} handles {kind.__name__} twice")
            self.handlers[kind] = handler
        return handler

    def handles(self, kind: type[Any]) -> bool:
        return self.handler_of(kind) is not None

    def handler_of(self, kind: type[Any]) -> Callable[..., Any] | None:
        """What the view does about events, or outcomes, of this class."""
        return self.handlers.get(kind) or (self.handlers.get(Event) if issubclass(kind, Event) else None)


@dataclass(frozen=True)
class Group:
    """Views that move together: one reader, one checkpoint per partition. `source` is a topic without prefix."""

    name: str
    source: str
    meaning: str
    views: tuple[View, ...]
    keeps: timedelta | None = None
    _handlers: dict[type[Any], tuple[Callable[..., Any], ...]] = field(default_factory=dict, init=False, repr=False)

    @property
    def tables(self) -> tuple[Table, ...]:
        return tuple(view.table for view in self.views)

    def changes(self, content: Content) -> Iterator[Change]:
        """What follows from one event or outcome, view by view."""
        subject = content.event if isinstance(content, Recorded) else content
        for handler in self._handlers_of(type(subject)):
            found = handler(subject, content)
            if isinstance(found, Change):
                yield found
            else:
                yield from found

    def _handlers_of(self, kind: type[Any]) -> tuple[Callable[..., Any], ...]:
        known = self._handlers.get(kind)
        if known is None:
            found = (view.handler_of(kind) for view in self.views)
            known = self._handlers[kind] = tuple(handler for handler in found if handler is not None)
        return known
