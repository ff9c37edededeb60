"""How a command is decided against the state of one partition: checks that hold for all, the rule, the fold.

Pure: no clock, no I/O. The same stored records, request and time give byte-equal changes whoever decides.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError

from domain import BUSINESS
from domain.company import ReactivateCompany, company, company_suspended
from domain.decider import Actor, Decider, Kind, Refusal, Rejected, Roster, Rule
from domain.key import key
from domain.model import Command, Event, State
from domain.platform import is_own, platform
from domain.realm import Realm
from domain.role import role
from domain.user import user
from domain.zones import day_in

invalid = Refusal("invalid", Kind.INVALID, "The command is not well formed.")
unauthenticated = Refusal(
    "unauthenticated", Kind.UNAUTHENTICATED, "The command carries no proof that its actor has sent it."
)
actor_unknown = Refusal("actor-unknown", Kind.FORBIDDEN, "The actor is no user or key of the company that may act.")
forbidden = Refusal("forbidden", Kind.FORBIDDEN, "The actor's roles do not permit this command.")
version_conflict = Refusal("version-conflict", Kind.STALE, "The aggregate has moved since the sender saw it.")
too_large = Refusal("too-large", Kind.INVALID, "The command's records exceed 1 MiB.")
id_reused = Refusal("id-reused", Kind.INVALID, "The command id was used for another command within the last day.")
failed = Refusal("failed", Kind.INVALID, "Deciding the command failed; an operator has been told.")

S = TypeVar("S", bound=State)
NO_CHAIN = bytes(32)

#: Wrong fields that a refusal names at most.
ERRORS_NAMED = 50

#: A command whose own records are larger is refused; a constant, so that every owner decides alike.
COMMAND_LIMIT = 1024 * 1024


class Request(NamedTuple):
    """One command as it reached the lane, its data still in bytes; `aggregate` is the type that its subject names."""

    id: str
    type: str
    company_id: str
    aggregate_id: str
    actor: Actor
    data: bytes
    now: datetime
    expected_version: int | None = None
    aggregate: str | None = None


class Fact(NamedTuple):
    """One event that a command led to, with its aggregate and that aggregate's new version."""

    decider: Decider[Any]
    aggregate_id: str
    version: int
    event: Event
    data: bytes


class Versioned(NamedTuple):
    """An aggregate as stored: version 0 is one that never existed."""

    version: int
    state: Any

    @property
    def exists(self) -> bool:
        return self.version > 0 and not self.state.gone


class Move(NamedTuple):
    """An aggregate or a roster as a command found it and as it leaves it."""

    folded: Decider[Any] | Roster[Any]
    id: str
    before: Versioned
    after: Versioned


def aggregate_key(company_id: str, aggregate: str, aggregate_id: str) -> str:
    return f"{company_id}/{aggregate}/{aggregate_id}"


def claim_key(company_id: str, aggregate: str, kind: str, value: str) -> str:
    return f"{company_id}/~claim/{aggregate}.{kind}/{value}"


def roster_key(company_id: str, roster: str) -> str:
    return f"{company_id}/~roster/{roster}"


def chain_key(company_id: str) -> str:
    return f"{company_id}/~chain"


def command_key(company_id: str, command_id: str) -> str:
    return f"{company_id}/~command/{command_id}"


def is_command(key: str) -> bool:
    return key.partition("/")[2].startswith("~command/")  # a claimed name may hold anything further on


class Book:
    """The state of one partition as a command sees it: changes not yet stored, over stored records.

    `stored` gives the bytes under a key or None. `changes` maps keys to new bytes, None for a deletion; `bytes` is what
    the commands' aggregates come to.
    """

    def __init__(self, stored: Callable[[str], bytes | None], realm: Realm = BUSINESS) -> None:
        self.realm = realm
        self._stored = stored
        self._homes, self._fed = realm.homes, realm.fed
        self._decoded: dict[str, Versioned] = {}
        self.changes: dict[str, bytes | None] = {}
        self.bytes = 0

    def get(self, key: str) -> bytes | None:
        return self.changes[key] if key in self.changes else self._stored(key)

    def put(self, key: str, value: bytes | None) -> None:
        self.changes[key] = value

    def aggregate(self, company_id: str, decider: Decider[Any], aggregate_id: str) -> Versioned:
        key = aggregate_key(company_id, decider.name, aggregate_id)
        return self._decoded.get(key) or self._folded(key, decider)

    def roster(self, company_id: str, roster: Roster[Any]) -> Versioned:
        return self._folded(roster_key(company_id, roster.name), roster)

    def _folded(self, key: str, folded: Decider[Any] | Roster[Any]) -> Versioned:
        found = self._decoded.get(key)
        if found is None:
            record = self.get(key)
            found = decode_aggregate(folded, record) if record else Versioned(0, folded.initial)
            self._decoded[key] = found
        return found

    def fold(self, company_id: str, events: list[Event]) -> list[Fact]:
        """Fold events of one command into their aggregates; raises the claim's refusal and changes nothing if a
        value is taken."""
        moves: dict[str, Move] = {}
        facts = []
        for event in events:
            decider = self._homes[type(event)]
            aggregate_id = getattr(event, decider.key)
            key = aggregate_key(company_id, decider.name, aggregate_id)
            earlier = moves.get(key)
            before = earlier.before if earlier else self._folded(key, decider)
            now = earlier.after if earlier else before
            after = Versioned(now.version + 1, decider.evolve(now.state, event))
            moves[key] = Move(decider, aggregate_id, before, after)
            facts.append(Fact(decider, aggregate_id, after.version, event, encode_event(event)))
            for roster in self._fed.get(type(event), ()):
                self._feed(moves, company_id, roster, event, now.state)
        changes = {key: encode_aggregate(move.folded, move.after) for key, move in moves.items()}
        size = sum(map(len, changes.values()))
        if size + sum([len(fact.data) for fact in facts]) > COMMAND_LIMIT:
            raise too_large()
        claimed = self._claims(company_id, moves.values())
        self.changes.update(claimed)
        self.changes.update(changes)
        self.bytes += size
        for key, move in moves.items():
            self._decoded[key] = move.after
        return facts

    def _feed(self, moves: dict[str, Move], company_id: str, roster: Roster[Any], event: Event, state: State) -> None:
        """Fold an event into a roster; `state` is that of the event's aggregate before it."""
        key = roster_key(company_id, roster.name)
        earlier = moves.get(key)
        before = earlier.before if earlier else self._folded(key, roster)
        now = earlier.after if earlier else before
        after = Versioned(now.version + 1, roster.evolve(now.state, event, state))
        moves[key] = Move(roster, roster.name, before, after)

    def _claims(self, company_id: str, moves: Iterable[Move]) -> dict[str, bytes | None]:
        """Claims given up and taken by the aggregates; raises the refusal of the first that is taken."""
        claimed: dict[str, bytes | None] = {}
        for folded, aggregate_id, before, after in moves:
            for claim in folded.claims:
                old, new = claim.of(before.state), claim.of(after.state)
                if new == old:
                    continue
                if old is not None:
                    claimed[claim_key(company_id, folded.name, claim.kind, old)] = None
                if new is not None:
                    key = claim_key(company_id, folded.name, claim.kind, new)
                    owner = claimed[key] if key in claimed else self.get(key)
                    if owner is not None and owner.decode() != aggregate_id:
                        raise claim.taken()
                    claimed[key] = aggregate_id.encode()
        return claimed


def encode_event(event: Event) -> bytes:
    """An event as it travels: JSON, absent where null."""
    return event.__pydantic_serializer__.to_json(event, exclude_none=True)


def encode_aggregate(folded: Decider[Any] | Roster[Any], versioned: Versioned) -> bytes:
    """`<state version> <aggregate version> <state as JSON>`, without what has its default: a default of a state changes
    with a new `state_version` alone. Rosters are stored alike."""
    state = versioned.state.__pydantic_serializer__.to_json(versioned.state, exclude_defaults=True)
    return b"%d %d %s" % (folded.state_version, versioned.version, state)


#: Decoded states are never changed, and lanes ask for those of a company and its people again and again.
@lru_cache(maxsize=10_000)
def decode_aggregate(folded: Decider[Any] | Roster[Any], record: bytes) -> Versioned:
    """What `encode_aggregate` stored; fields that this build does not know are left out."""
    _, version, state = record.split(b" ", 2)
    return Versioned(int(version), type(folded.initial).model_validate_json(state))


def rosters_with(key: str, realm: Realm = BUSINESS) -> Iterable[str]:
    """Keys of the rosters that are stored whenever the aggregate under `key` is."""
    company_id, _, rest = key.partition("/")
    return [roster_key(company_id, name) for name in realm.companions.get(rest.partition("/")[0], ())]


def state_version_of(record: bytes) -> int:
    return int(record.split(b" ", 1)[0])


def folded_under(key: str, realm: Realm = BUSINESS) -> Decider[Any] | Roster[Any] | None:
    """What is stored under `key`: an aggregate or a roster; None for claims, chains, remembered commands and heads."""
    parts = key.split("/", 2)
    if len(parts) < 3:
        return None
    return realm.rosters.get(parts[2]) if parts[1] == "~roster" else realm.by_name.get(parts[1])


@dataclass
class Deciding:
    """The rule's view of the world: see `domain.decider.Context`."""

    book: Book
    request: Request
    roles: frozenset[str]

    @property
    def permissions(self) -> frozenset[str]:
        return self.book.realm.permissions

    @property
    def company_id(self) -> str:
        return self.request.company_id

    @property
    def actor(self) -> Actor:
        return self.request.actor

    @property
    def command_id(self) -> str:
        return self.request.id

    @property
    def now(self) -> datetime:
        return self.request.now

    @cached_property
    def today(self) -> date:
        return day_in(self.read(company, self.company_id).time_zone, self.now)

    def read(self, decider: Decider[S], aggregate_id: str) -> S:
        state: S = self.book.aggregate(self.company_id, decider, aggregate_id).state
        return state

    def exists(self, decider: Decider[Any], aggregate_id: str) -> bool:
        return self.book.aggregate(self.company_id, decider, aggregate_id).exists

    def roster(self, roster: Roster[S]) -> S:
        state: S = self.book.roster(self.company_id, roster).state
        return state


def decide(request: Request, book: Book, command: Command | None = None) -> list[Fact]:
    """The events that the command leads to, folded into the book. Raises Rejected and leaves the book as it was.

    `command` is what `parse` has made of the request, where that was done ahead.
    """
    rule = _rule_of(request, book.realm)
    if command is None:
        command = parse(request, book.realm)
    _check_company(rule, request, book)
    roles = _check_actor(rule, request, book)
    target = book.aggregate(request.company_id, rule.decider, request.aggregate_id)
    if not (target.exists or rule.creates or rule.new):
        raise rule.decider.unknown()
    if request.expected_version is not None and request.expected_version != target.version:
        raise version_conflict(
            f"The {rule.decider.name} is at version {target.version}, not {request.expected_version}."
        )
    if target.exists and rule.creates:
        raise rule.decider.exists()
    context = Deciding(book, request, roles)
    events = [_timed(event, request.now) for event in rule.decide(target.state, command, context)]
    return book.fold(request.company_id, events)


def _timed(event: Event, now: datetime) -> Event:
    """The event that a rule has just made, which nobody else holds yet, with the time at which it is true."""
    if event.effective_at is None:
        event.__dict__["effective_at"] = now
    return event


def _rule_of(request: Request, realm: Realm) -> Rule[Any]:
    rule = realm.rules.get(request.type)
    if rule is None:
        raise invalid(f"There is no command type {request.type!r}.", ({"field": "ce_type", "code": "unknown"},))
    return rule


def parse(request: Request, realm: Realm) -> Command:
    """The command that the request holds, whatever the state. Raises Rejected."""
    rule = _rule_of(request, realm)
    try:
        command: Command = rule.command.model_validate_json(request.data)
    except ValidationError as fault:
        raise invalid("Some fields are wrong.", field_errors(fault)) from fault
    named = getattr(command, rule.decider.key)
    if named != request.aggregate_id:
        raise _misplaced(rule.decider.key, "differs-from-subject", "must equal the id in ce_subject")
    if request.aggregate not in (None, rule.decider.name):
        raise _misplaced("ce_subject", "other-aggregate", f"must be {rule.decider.name}/<id> for this type")
    if rule.decider is company and named != request.company_id:
        raise _misplaced(rule.decider.key, "differs-from-key", "must equal the message's key")
    return command


def _misplaced(field: str, code: str, detail: str) -> Rejected:
    return invalid("The command contradicts its envelope.", ({"field": field, "code": code, "detail": detail},))


def field_errors(fault: ValidationError) -> tuple[dict[str, str], ...]:
    """Every wrong field, up to `ERRORS_NAMED`, with a JSON pointer, a code and a sentence."""
    faults = fault.errors(include_url=False, include_input=False, include_context=False)
    return tuple(
        {
            "field": ".".join(map(_plain, error["loc"])) or "(body)",
            "pointer": "".join("/" + _plain(part).replace("~", "~0").replace("/", "~1") for part in error["loc"]),
            "code": error["type"].replace("_", "-"),
            "detail": error["msg"].removeprefix("Value error, "),
        }
        for error in faults[:ERRORS_NAMED]
    )


def _plain(part: int | str) -> str:
    """A step of a field's path. Unknown fields are named by their sender, and outcomes go into a database."""
    return re.sub(r"[\x00-\x1f\x7f]", "?", str(part)[:64])


def _check_company(rule: Rule[Any], request: Request, book: Book) -> None:
    if rule.decider is platform:
        if not is_own(request.company_id):
            raise invalid("Processes are admitted in the platform's own companies alone: bitcorp keys apply.")
        return
    if company.name not in book.realm.by_name:
        return  # only the business knows which companies there are
    firm = book.aggregate(request.company_id, company, request.company_id)
    if rule.decider is company and rule.creates:
        return
    if firm.version == 0:
        raise company.unknown()
    if firm.state.suspended and rule.command is not ReactivateCompany:
        raise company_suspended()


def _check_actor(rule: Rule[Any], request: Request, book: Book) -> frozenset[str]:
    """Roles of the acting user; raises where the actor is unknown or not permitted."""
    if request.actor.kind == "operator":
        if not rule.operators:
            raise forbidden("Operators open, suspend and reactivate companies, and nothing else.")
        return frozenset()
    if request.actor.kind == "system" and request.actor.id in rule.systems:
        return frozenset()
    if request.actor.kind == "key":
        return _check_key(rule, request, book)
    if request.actor.kind != "user":
        raise actor_unknown(f"No {request.actor.kind} actor may send this command.")
    person = book.aggregate(request.company_id, user, request.actor.id)
    if person.version == 0 and rule.operators:
        raise forbidden()
    if not person.state.active:
        raise actor_unknown()
    roles = frozenset(person.state.roles)
    if not (roles & rule.roles or _permitted(rule, roles, request.company_id, book)):
        raise forbidden(f"{rule.permission} needs one of: {', '.join(sorted(rule.roles)) or 'an operator'}.")
    return roles


def _check_key(rule: Rule[Any], request: Request, book: Book) -> frozenset[str]:
    """A key has no roles; raises where it opens nothing any more, or not this."""
    found = book.aggregate(request.company_id, key, request.actor.id).state
    if not found.opens_at(request.now):
        raise actor_unknown("The company has no such key, or the key is revoked or has expired.")
    if rule.permission not in found.permissions:
        raise forbidden(f"The key does not hold {rule.permission}.")
    return frozenset()


def _permitted(rule: Rule[Any], roles: frozenset[str], company_id: str, book: Book) -> bool:
    """Whether a role that the company has defined itself permits the command."""
    return any(rule.permission in book.aggregate(company_id, role, name).state.permissions for name in roles)
