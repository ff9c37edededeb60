"""Rules as sentences: `given(events).when(command, by=..., at=...).then(events)` or `.then_rejected(code)`.

Plain values through the real engine, no mocks. Whatever a story tells, it also holds that deciding is deterministic,
that a refusal changes nothing, and that folding the events again gives the same bytes as deciding did.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

from domain import REALMS
from domain.decider import Actor, Decider, Rejected, Rule
from domain.engine import Book, Fact, Request, decide
from domain.model import Command, Event
from domain.realm import Realm

COMPANY = "acme"
NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)  # 10:00 in Lima
BEFORE = NOW - timedelta(days=30)

Records = dict[str, bytes]
#: Of all realms: their commands and events have no name in common.
RULES = {type_: rule for realm in REALMS.values() for type_, rule in realm.rules.items()}
HOMES = {event: home for realm in REALMS.values() for event, home in realm.homes.items()}
TYPES = {rule.command: rule.type for rule in RULES.values()}


def rule_of(command: type[Command]) -> Rule:  # type: ignore[type-arg]
    return RULES[TYPES[command]]


def given(*history: Event | Iterable[Event], company: str = COMPANY) -> "Story":
    """The company's past: events, or groups of events that one command led to. Undated ones are of last month."""
    story = Story(company)
    for entry in history:
        story = story.and_then([entry] if isinstance(entry, Event) else list(entry))
    return story


@dataclass(frozen=True)
class Story:
    """What has happened in one company, as stored records and as the groups of events that led to them."""

    company: str
    records: Records = field(default_factory=dict)
    groups: tuple[tuple[Event, ...], ...] = ()

    def and_then(self, events: list[Event]) -> "Story":
        events = [at(event, BEFORE) for event in events]
        return Story(self.company, folded(self.company, self.records, events), (*self.groups, tuple(events)))

    def when(
        self,
        command: Command,
        *,
        by: str = "user:ada",
        at: datetime = NOW,
        expecting: int | None = None,
    ) -> "Answer":
        """Somebody asks for something; `expecting` is the version of the aggregate that they saw."""
        data = command.model_dump_json(exclude_unset=True).encode()
        about = getattr(command, rule_of(type(command)).decider.key)
        return self.when_sent(type(command), data, about=about, by=by, at=at, expecting=expecting)

    def when_sent(
        self,
        command: type[Command],
        data: bytes,
        *,
        about: str,
        by: str = "user:ada",
        at: datetime = NOW,
        expecting: int | None = None,
    ) -> "Answer":
        """The same with data as some sender wrote it, about the aggregate of that id."""
        command_id = str(uuid5(NAMESPACE_URL, f"{len(self.groups)} {data!r}"))
        return self.ask(
            Request(command_id, TYPES[command], self.company, about, Actor.parse(by), data, at, expecting),
        )

    def ask(self, request: Request) -> "Answer":
        answer = self._answered(request)
        assert answer == self._answered(request), "the same request is decided alike"
        return answer

    def _answered(self, request: Request) -> "Answer":
        realm = realm_of(RULES[request.type].decider)
        book = Book(self.records.get, realm)
        try:
            facts = decide(request, book)
        except Rejected as refusal:
            assert book.changes == {}, "a refusal changes nothing"
            return Answer(self, request.now, self, (), refusal.code, refusal.errors)
        events = tuple(fact.event for fact in facts)
        after = Story(self.company, stored(self.records, book.changes), (*self.groups, events))
        assert after.records == after.told_again(), "claims and states are a function of the events"
        refusals = [realm.refusing[type(event)].code for event in events if type(event) in realm.refusing]
        return Answer(self, request.now, after, tuple(facts), next(iter(refusals), None))

    def told_again(self) -> Records:
        """The records that folding all events anew leads to."""
        records: Records = {}
        for events in self.groups:
            records = folded(self.company, records, events)
        return records


@dataclass(frozen=True)
class Answer:
    """How a command was answered; `then` and its sisters give the story so far, to go on with."""

    before: Story
    moment: datetime
    story: Story
    facts: tuple[Fact, ...]
    code: str | None = None
    errors: tuple[dict[str, str], ...] = ()

    def then(self, *events: Event) -> Story:
        """Accepted, and these events happened, in this order; undated ones when the command was decided."""
        assert self.code is None, f"rejected: {self.code} {self.errors}"
        assert [fact.event for fact in self.facts] == [at(event, self.moment) for event in events]
        return self.story

    def then_nothing(self) -> Story:
        """Accepted, and nothing happened: what was asked for is the case already."""
        return self.then()

    def then_rejected(self, code: str, *fields: str) -> Story:
        """Refused with this code, naming exactly these fields where any are given."""
        assert self.code == code, f"expected {code}, got {self.code or [fact.event for fact in self.facts]}"
        if fields:
            assert sorted(error["field"] for error in self.errors) == sorted(fields)
        return self.before

    def then_refused_but(self, code: str, *events: Event) -> Story:
        """Refused with this code, and yet these events happened."""
        assert self.code == code, f"expected {code}, got {self.code}"
        assert [fact.event for fact in self.facts] == [at(event, self.moment) for event in events]
        return self.story


def at(event: Event, moment: datetime) -> Event:
    return event if event.effective_at else event.model_copy(update={"effective_at": moment})


def folded(company: str, records: Records, events: Iterable[Event]) -> Records:
    events = list(events)
    if not events:
        return records
    book = Book(records.get, realm_of(HOMES[type(events[0])]))
    book.fold(company, events)
    return stored(records, book.changes)


def realm_of(decider: Decider) -> Realm:  # type: ignore[type-arg]
    return next(realm for realm in REALMS.values() if realm.by_name.get(decider.name) is decider)


def stored(records: Records, changes: dict[str, bytes | None]) -> Records:
    return {key: value for key, value in (records | changes).items() if value is not None}
