"""Lanes of another realm than the business: its own topics, its own rules, and nothing repeated of what it was told."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, NoReturn
from uuid import UUID

import pytest

from agents.decision import Draft, Place
from agents.refold import fold_journal
from agents.state import Head
from domain import BUSINESS, CREDENTIALS
from domain.decider import Actor
from domain.engine import aggregate_key, chain_key
from domain.platform import platform
from domain.record import Outcome, Status
from tests.domain.credentials import FIRST, HASH, HOUR, OLD, SECOND
from topics.catalogue import TOPICS_OF
from topics.cloudevents import Record
from topics.messages import CommandMessage, read_dead_letter, read_event, read_outcome, write_command

PLACE = Place("erp", 0, 1, CREDENTIALS)
NOW = datetime(2026, 11, 28, 9, tzinfo=UTC)
FAMILY = "a" * 32


class Desk:
    """Commands of acme's credentials decided one at a time on a state in memory."""

    def __init__(self) -> None:
        self.state: dict[str, bytes] = {}
        self.head = Head("commands-1")
        self.journal: list[Record] = []

    def take(self, record: Record) -> list[Record]:
        draft = Draft(PLACE, self.head, self.state.get)
        moment = int((NOW + timedelta(seconds=self.head.applied)).timestamp() * 1000)
        draft.take(record._replace(offset=self.head.applied + 1, timestamp=moment))
        commit = draft.commit()
        self.head = commit.head
        self.state |= {key: value for key, value in commit.changes.items() if value is not None}
        self.journal += [sent for sent in commit.sends if sent.topic == "erp.credentials.events"]
        return commit.sends

    def ask(self, name: str, number: int, **fields: Any) -> Outcome:
        sent = self.take(asked(name, number, **fields))
        return next(read_outcome(record)[0] for record in sent if record.topic == "erp.credentials.outcomes")


def asked(name: str, number: int, **fields: Any) -> Record:
    kind, data = f"com.bitcorp.erp.credential.{name}.v1", json.dumps({"user_id": "tess"} | fields).encode()
    command = CommandMessage(
        str(UUID(int=number)), kind, "acme", "credential", "tess", Actor("system", "api"), data, "/api"
    )
    return Record("erp.credentials.commands", 0, *write_command(command))


@pytest.fixture
def desk() -> Desk:
    """Tess is signed in."""
    found = Desk()
    found.ask("issue-one-time-token", 1, digest=FIRST, lifetime_seconds=HOUR, requested_by="user:ada")
    found.ask("set-password", 2, one_time_digest=FIRST, password_hash=HASH)
    found.ask("sign-in", 3, password_version=1, family_id=FAMILY, digest=FIRST, lifetime_seconds=HOUR)
    return found


def test_a_realm_s_topics_have_its_name_before_those_of_the_business() -> None:
    business, others = (vars(TOPICS_OF[realm.name]).values() for realm in (BUSINESS, CREDENTIALS))
    assert [f"credentials.{topic.name}" for topic in business] == [topic.name for topic in others]
    assert all(one.config == other.config for one, other in zip(business, others, strict=True))


def test_realms_have_nothing_in_common_but_the_platform_s_own_processes() -> None:
    assert BUSINESS.by_name.keys() & CREDENTIALS.by_name.keys() == {platform.name}
    assert BUSINESS.rules.keys() & CREDENTIALS.rules.keys() == {rule.type for rule in platform.rules.values()}


def test_the_business_s_commands_are_unknown_in_another_realm(desk: Desk) -> None:
    record = asked("set-password", 9)
    wrong = [(n, b"com.bitcorp.erp.user.add-user.v1" if n == "ce_type" else value) for n, value in record.headers]
    letter, outcome = None, None
    for sent in desk.take(record._replace(headers=tuple(wrong))):
        if sent.topic == "erp.credentials.dead-letters":
            letter = read_dead_letter(sent)
        else:
            outcome = read_outcome(sent)[0]
    assert letter is not None and letter.reason == "invalid"
    assert outcome is not None and outcome.code == "invalid"


def test_an_event_that_refuses_happens_and_its_command_is_rejected_with_its_position(desk: Desk) -> None:
    fields = {"family_id": FAMILY, "presented": OLD, "digest": SECOND, "lifetime_seconds": HOUR}
    first = desk.ask("refresh-session", 4, **fields)
    assert (first.status, first.code, first.kind) == (Status.REJECTED, "refresh-token-reused", "forbidden")
    assert first.first == first.last == first.position == desk.head.events - 1
    assert type(read_event(desk.journal[-1]).event).__name__ == "RefreshTokenReused"
    again = desk.ask("refresh-session", 4, **fields)
    told = ("status", "code", "kind", "first", "last", "position", "version")
    assert [getattr(again, name) for name in told] == [getattr(first, name) for name in told]
    assert again.repeat
    assert desk.ask("refresh-session", 5, **fields).code == "session-ended"


def test_the_state_is_folded_again_from_the_realm_s_journal(desk: Desk) -> None:
    folded = fold_journal(desk.journal, CREDENTIALS)
    assert set(folded) == {aggregate_key("acme", "credential", "tess"), chain_key("acme")}
    assert all(desk.state[key] == value for key, value in folded.items())


def test_dead_letters_of_a_secret_realm_hold_a_digest_of_the_value(desk: Desk) -> None:
    record = asked("set-password", 9)._replace(value=b"{broken, and secret}")
    letters = [sent for sent in desk.take(record) if sent.topic == "erp.credentials.dead-letters"]
    (letter,) = map(read_dead_letter, letters)
    assert letter.origin.value == b"sha256:" + sha256(b"{broken, and secret}").hexdigest().encode()
    assert letter.origin.headers == record.headers
    assert b"and secret" not in b"".join(value or b"" for _, value in letters[0].headers)


def raising(*_: object) -> NoReturn:
    raise ValueError(" ".join(("the", "secret", "is", "told")))


def test_of_a_fault_in_a_secret_realm_the_place_is_told_and_not_the_text(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = "com.bitcorp.erp.credential.sign-out.v1"
    monkeypatch.setitem(CREDENTIALS.rules, kind, replace(CREDENTIALS.rules[kind], decide=raising))
    sent = desk.take(asked("sign-out", 9, family_id=FAMILY))
    (letter,) = (read_dead_letter(record) for record in sent if record.topic == "erp.credentials.dead-letters")
    assert letter.reason == "failed"
    assert "in raising" in letter.detail and "ValueError" in letter.detail
    assert "the secret is told" not in letter.detail
