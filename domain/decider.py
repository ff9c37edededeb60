"""One aggregate type: its initial state, `evolve`, one rule per command, and the values it claims in its company.

From a decider follow topic, Kafka key, URL, schema and permission name; nothing is registered twice.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Generic, Protocol, TypeVar, get_args, get_type_hints

from domain.model import Command, Event, Role, State

TYPE_PREFIX = "com.bitcorp.erp"

S = TypeVar("S", bound=State)
Fold = TypeVar("Fold", bound=Callable[..., State])
Decide = TypeVar("Decide", bound=Callable[..., Iterator[Event]])


class Kind(StrEnum):
    """What sort of no a refusal is; the API turns it into a status (422, 401, 403, 404, 409, 412)."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    MISSING = "missing"
    CONFLICT = "conflict"
    STALE = "stale"


class Rejected(Exception):
    """The business's no, with a stable code."""

    def __init__(self, refusal: "Refusal", detail: str = "", errors: tuple[dict[str, str], ...] = ()) -> None:
        super().__init__(f"{refusal.code}: {detail or refusal.meaning}")
        self.refusal = refusal
        self.code = refusal.code
        self.detail = detail or refusal.meaning
        self.errors = errors


@dataclass(frozen=True)
class Refusal:
    """A stable rejection code, declared beside the rule that uses it: `raise equipment_retired()`."""

    code: str
    kind: Kind
    meaning: str

    known: ClassVar[dict[str, "Refusal"]] = {}

    def __post_init__(self) -> None:
        if self.known.setdefault(self.code, self) != self:
            raise ValueError(f"rejection code {self.code!r} is declared twice")

    def __call__(self, detail: str = "", errors: tuple[dict[str, str], ...] = ()) -> Rejected:
        return Rejected(self, detail, errors)


@lru_cache(maxsize=1_000)
def kebab(name: str) -> str:
    """`ScheduleMaintenance` -> `schedule-maintenance`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


class Context(Protocol):
    """What a rule may know beside its state and command. Pure: the same log gives the same answers."""

    @property
    def company_id(self) -> str: ...
    @property
    def actor(self) -> "Actor": ...
    @property
    def command_id(self) -> str: ...
    @property
    def roles(self) -> frozenset[str]:
        """Roles of the acting user; empty for operators and systems."""

    @property
    def permissions(self) -> frozenset[str]:
        """Everything that a role of a company may permit."""

    @property
    def now(self) -> datetime: ...
    @property
    def today(self) -> date:
        """The calendar day of `now` in the company's zone."""

    def read(self, decider: "Decider[S]", aggregate_id: str) -> S:
        """State of another aggregate of the company; the initial state where there is none."""

    def exists(self, decider: "Decider[Any]", aggregate_id: str) -> bool: ...

    def roster(self, roster: "Roster[S]") -> S:
        """What the company knows of a set of its aggregates."""


@dataclass(frozen=True)
class Actor:
    """Who sends a command: `user:<id>`, `key:<id>`, `system:<agent>` or `operator:<id>`."""

    kind: str
    id: str

    @classmethod
    def parse(cls, text: str) -> "Actor":
        """Raises ValueError for anything but `<kind>:<id>` of a known kind."""
        found = re.fullmatch(r"(user|key|system|operator):([A-Za-z0-9][A-Za-z0-9._-]{0,63})", text)
        if found is None:
            raise ValueError("an actor is user:<id>, key:<id>, system:<agent> or operator:<id>")
        return cls(found[1], found[2])

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True)
class Rule(Generic[S]):
    """One command of an aggregate with the function that decides it, and the roles and agents that may send it.

    `creates` brings the aggregate into being, `new` does so where it is not there yet.
    """

    decider: "Decider[S]"
    command: type[Command]
    decide: Callable[[S, Any, Context], Iterable[Event]]
    creates: bool
    roles: frozenset[Role]
    operators: bool
    systems: frozenset[str] = frozenset()
    new: bool = False

    @property
    def verb(self) -> str:
        """`RetireEquipment` -> `retire`, `ScheduleMaintenance` -> `schedule-maintenance`."""
        return kebab(self.command.__name__).removesuffix(f"-{self.decider.name}")

    @property
    def permission(self) -> str:
        return f"{self.decider.name}.{self.verb}"

    @property
    def type(self) -> str:
        return wire_type(self.decider, self.command)

    @property
    def summary(self) -> str:
        return (self.command.__doc__ or "").strip().partition("\n")[0]


@dataclass(frozen=True)
class Claim(Generic[S]):
    """A value that only one aggregate of the company may hold: derived from state, so a fold restores it."""

    kind: str
    of: Callable[[S], str | None]
    taken: Refusal


@dataclass(eq=False)
class Decider(Generic[S]):
    """`evolve` folds an event into the state and never refuses; rules are added by `decides` and `creates`.

    `refusing` names events that happen although what was asked for does not: the command's outcome is that refusal.
    """

    name: str
    key: str
    path: str
    initial: S
    evolve: Callable[[S, Any], S]
    claims: tuple[Claim[S], ...] = ()
    state_version: int = 1
    refusing: Mapping[type[Event], Refusal] = field(default_factory=dict)
    rules: dict[type[Command], Rule[S]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        _ = self.unknown  # declared with the decider, so that `Refusal.known` is complete

    @cached_property
    def events(self) -> tuple[type[Event], ...]:
        """The event classes of `evolve`'s second parameter, which is annotated with their union."""
        hints = list(get_type_hints(self.evolve).values())
        return get_args(hints[1]) or (hints[1],)

    @cached_property
    def unknown(self) -> Refusal:
        return Refusal(f"{self.name}-unknown", Kind.MISSING, f"There is no such {self.name}.")

    @cached_property
    def exists(self) -> Refusal:
        return Refusal(f"{self.name}-exists", Kind.CONFLICT, f"The {self.name} id is taken already.")

    def creates(self, roles: frozenset[Role] = frozenset(), *, operators: bool = False) -> Callable[[Decide], Decide]:
        """The rule of the command that brings the aggregate into being."""
        _ = self.exists  # declared with the rule, as `unknown` is with the decider
        return self._rule(creates=True, roles=roles, operators=operators)

    def decides(
        self,
        roles: frozenset[Role] = frozenset(),
        *,
        operators: bool = False,
        systems: Iterable[str] = (),
        new: bool = False,
    ) -> Callable[[Decide], Decide]:
        """The rule of a command on an aggregate that exists, found by the annotation of its second parameter.

        `systems` are the agents that may send it as `system:<agent>`. With `new` the aggregate need not exist yet.
        """
        return self._rule(creates=False, roles=roles, operators=operators, systems=systems, new=new)

    def _rule(
        self,
        *,
        creates: bool,
        roles: frozenset[Role],
        operators: bool,
        systems: Iterable[str] = (),
        new: bool = False,
    ) -> Callable[[Decide], Decide]:
        def add(decide: Decide) -> Decide:
            command = list(get_type_hints(decide).values())[1]
            self.rules[command] = Rule(self, command, decide, creates, roles, operators, frozenset(systems), new)
            return decide

        return add


@dataclass(eq=False)
class Roster(Generic[S]):
    """What a company must know of a set of its aggregates, such as how many admins may act: one small record, folded
    from their events by the functions added by `on`, so that no rule scans.

    A roster that sees more than it did gets a new `state_version`, as a state with another shape does.
    """

    name: str
    initial: S
    state_version: int = 1
    claims: ClassVar[tuple[Claim[Any], ...]] = ()
    folds: dict[type[Event], Callable[[S, Any, Any], S]] = field(default_factory=dict, repr=False)

    def on(self, fold: Fold) -> Fold:
        """A function of the roster, an event of the classes annotated, and the state of its aggregate before it."""
        wanted = list(get_type_hints(fold).values())[1]
        self.folds.update(dict.fromkeys(get_args(wanted) or (wanted,), fold))
        return fold

    def goes_with(self, decider: Decider[Any]) -> bool:
        """Whether each event of the decider feeds the roster, so that neither is stored without the other."""
        return set(decider.events) <= self.folds.keys()

    def evolve(self, state: S, event: Event, before: State) -> S:
        return self.folds[type(event)](state, event, before)


def wire_type(decider: Decider[Any], message: type[Command] | type[Event]) -> str:
    """`com.bitcorp.erp.<aggregate>.<kebab-name>.v<n>`."""
    return f"{TYPE_PREFIX}.{decider.name}.{kebab(message.__name__)}.v{message.version}"
