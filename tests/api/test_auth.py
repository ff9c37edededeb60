"""Signing in over HTTP, on real Kafka and PostgreSQL with a real worker of the credentials."""

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyotp
import pytest
import requests
from aiohttp.test_utils import TestClient, TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.app import make_app
from api.passwords import COMMON, faults
from ops.records import read_all
from ops.verify import audit
from tests.api.callers import Api, Caller, open_company, until
from tests.api.test_tokens import public_pem
from tests.ops.shell import Shell
from topics.catalogue import TOPICS, TOPICS_OF
from topics.cloudevents import Record
from topics.publisher import Publisher
from topics.settings import Settings

#: What no topic and no log may hold; filled as tests use it.
SECRETS: set[str] = set()


def secret(text: str) -> str:
    SECRETS.add(text)
    return text


@dataclass
class Person:
    """A user of acme of the test's own, and what he knows."""

    world: Api
    admin: Caller
    user_id: str = field(default_factory=lambda: f"u{uuid4().hex[:10]}")
    password: str = field(default_factory=lambda: secret(f"correct horse {uuid4().hex}"))

    @property
    def email(self) -> str:
        return f"{self.user_id}@Example.com"

    def added(self) -> "Person":
        body = {"user_id": self.user_id, "name": f"Name of {self.user_id}", "email": self.email, "roles": ["manager"]}
        done = self.admin.do("users", body)
        assert done.status_code == 201, done.text
        shown = self.admin.get(f"users/{self.user_id}", {"Consistency": done.headers["Consistency"]})
        assert shown.status_code == 200
        return self

    def invited(self) -> str:
        answer = self.admin.post("auth/invitations", {"user_id": self.user_id})
        assert answer.status_code == 201, answer.text
        return secret(answer.json()["one_time_token"])

    def reset(self, token: str, password: str) -> requests.Response:
        body = {"company_id": "acme", "user_id": self.user_id, "token": token, "new_password": password}
        return self.world.nobody().post("auth/password/reset", body)

    def ready(self) -> "Person":
        """With the password set."""
        answer = self.added().reset(self.invited(), self.password)
        assert answer.status_code == 204, answer.text
        return self

    def login(self, **changes: Any) -> requests.Response:
        body = {"company_id": "acme", "email": self.email, "password": self.password} | changes
        answer = self.world.nobody().post("auth/login", body)
        for name in ("access_token", "refresh_token"):
            if answer.status_code == 200:
                secret(answer.json()[name])
        return answer

    def signed_in(self, **changes: Any) -> Caller:
        answer = self.login(**changes)
        assert answer.status_code == 200, answer.text
        return Caller(self.world.url, answer.json()["access_token"])

    def refresh(self, token: str) -> requests.Response:
        return self.world.nobody().post("auth/refresh", {"refresh_token": token})


@pytest.fixture
def person(world: Api, ann: Caller) -> Person:
    return Person(world, ann).ready()


def said(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


def founder(world: Api) -> tuple[str, dict[str, str]]:
    """A new company, and what its admin signs in with."""
    company, password = f"susp-{uuid4().hex[:8]}", secret(f"correct horse {uuid4().hex}")
    open_company(world, company, "ada")
    until(lambda: world.user("ada", company).get("me").status_code == 200, "the views know her")
    invited = world.user("ada", company).post("auth/invitations", {"user_id": "ada"})
    assert invited.status_code == 201, invited.text
    token = secret(invited.json()["one_time_token"])
    body = {"company_id": company, "user_id": "ada", "token": token, "new_password": password}
    assert world.nobody().post("auth/password/reset", body).status_code == 204
    return company, {"company_id": company, "email": "ada@example.com", "password": password}


def test_nobody_of_a_suspended_company_signs_in_or_stays_until_it_goes_on(world: Api) -> None:
    company, known = founder(world)
    nobody, operator = world.nobody(), world.operator()
    session = nobody.post("auth/login", known)
    assert session.status_code == 200, session.text
    wish = {"refresh_token": secret(session.json()["refresh_token"])}
    suspended = operator.do(f"companies/{company}/suspend", {"reason": "unpaid"})
    assert suspended.status_code == 200
    until(lambda: said(world.user("ada", company).get("me")) == (403, "not-permitted"), "the views know of it")
    for answer in (nobody.post("auth/login", known), nobody.post("auth/refresh", wish)):
        assert said(answer) == (403, "not-permitted")
        assert "suspended" in answer.json()["detail"]
    assert said(nobody.post("auth/refresh", wish)) == (401, "session-over")
    wrong = nobody.post("auth/login", known | {"password": "something else altogether"})
    assert said(wrong) == (401, "sign-in-refused")
    assert operator.do(f"companies/{company}/reactivate", {}).status_code == 200
    until(lambda: world.user("ada", company).get("me").status_code == 200, "the views know of it")
    assert nobody.post("auth/login", known).status_code == 200


# --- signing in -----------------------------------------------------------------------------------------------------


def test_who_knows_the_password_gets_tokens_that_open_the_company(person: Person) -> None:
    answer = person.login(email=person.email.upper())
    tokens = answer.json()
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 600)
    assert answer.headers["Cache-Control"] == "no-store"
    seen = Caller(person.world.url, tokens["access_token"]).get(f"users/{person.user_id}")
    assert seen.json()["name"] == f"Name of {person.user_id}"


def plain(answer: requests.Response) -> dict[str, Any]:
    """What the answer says, without what differs in every answer."""
    body = {name: value for name, value in answer.json().items() if name not in ("request_id", "traceparent")}
    moving = {"X-Request-Id", "traceparent", "Date"}
    return body | {name: value for name, value in answer.headers.items() if name not in moving}


def test_wrong_password_wrong_user_and_unknown_company_are_answered_alike(person: Person) -> None:
    wrong = person.login(password="wrong horse battery")
    assert said(wrong) == (401, "sign-in-refused")
    stranger = person.login(email=f"{uuid4().hex}@example.com")
    elsewhere = person.login(company_id=f"c{uuid4().hex[:8]}")
    assert plain(wrong) == plain(stranger) == plain(elsewhere)


def test_a_user_without_a_password_is_answered_like_a_stranger(world: Api, ann: Caller) -> None:
    person = Person(world, ann).added()
    assert said(person.login()) == (401, "sign-in-refused")
    person.invited()
    assert said(person.login()) == (401, "sign-in-refused")


def test_after_five_failures_nobody_comes_in_for_a_while_known_or_not(person: Person) -> None:
    stranger = f"{uuid4().hex}@example.com"
    for _ in range(5):
        assert person.login(password="wrong horse battery").status_code == 401
        assert person.login(email=stranger).status_code == 401
    for answer in (person.login(), person.login(password="wrong horse battery"), person.login(email=stranger)):
        assert said(answer) == (429, "locked-out")
        assert 0 < int(answer.headers["Retry-After"]) <= 61


def test_a_one_time_token_ends_the_lock(person: Person) -> None:
    for _ in range(6):
        person.login(password="wrong horse battery")
    assert person.reset(person.invited(), person.password).status_code == 204
    person.signed_in()


def test_a_deactivated_user_neither_signs_in_nor_refreshes(person: Person, ann: Caller) -> None:
    token = person.login().json()["refresh_token"]
    done = ann.do(f"users/{person.user_id}/deactivate", {"reason": "left"})
    ann.get(f"users/{person.user_id}", {"Consistency": done.headers["Consistency"]})
    assert said(person.login()) == (401, "sign-in-refused")
    assert said(person.refresh(token)) == (401, "session-over")


# --- sessions -------------------------------------------------------------------------------------------------------


def test_a_refresh_token_is_replaced_at_each_use(person: Person) -> None:
    first = person.login().json()
    second = person.refresh(first["refresh_token"]).json()
    third = person.refresh(second["refresh_token"])
    assert third.status_code == 200
    assert len({first["refresh_token"], second["refresh_token"], third.json()["refresh_token"]}) == 3
    assert Caller(person.world.url, third.json()["access_token"]).get("equipment").status_code == 200


def test_a_refresh_token_used_twice_ends_the_session_for_everybody(person: Person) -> None:
    first, other = person.login().json(), person.login().json()
    second = person.refresh(first["refresh_token"]).json()
    assert said(person.refresh(first["refresh_token"])) == (401, "session-over")
    assert said(person.refresh(second["refresh_token"])) == (401, "session-over")
    assert person.refresh(other["refresh_token"]).status_code == 200, "another session goes on"


def test_of_many_who_show_the_same_refresh_token_at_once_one_at_most_gets_another(person: Person) -> None:
    token = person.login().json()["refresh_token"]
    answers = at_once(6, lambda: person.refresh(token))
    assert sorted(answer.status_code for answer in answers) == [200, *[401] * 5]
    (winner,) = (answer.json() for answer in answers if answer.status_code == 200)
    assert said(person.refresh(winner["refresh_token"])) == (401, "session-over")


def at_once(times: int, work: Callable[[], requests.Response]) -> list[requests.Response]:
    with ThreadPoolExecutor(times) as pool:
        return [found.result() for found in [pool.submit(work) for _ in range(times)]]


def test_who_logs_out_refreshes_no_more(person: Person) -> None:
    token = person.login().json()["refresh_token"]
    for _ in range(2):
        assert person.world.nobody().post("auth/logout", {"refresh_token": token}).status_code == 204
    assert said(person.refresh(token)) == (401, "session-over")


@pytest.mark.parametrize(
    "token", ["x", "bitcorp-refresh:acme:ann:0:x", f"bitcorp-refresh:A B:ann:{'0' * 32}:x", f"a:acme:ann:{'0' * 32}:x"]
)
def test_what_is_no_refresh_token_opens_nothing(world: Api, token: str) -> None:
    assert said(world.nobody().post("auth/refresh", {"refresh_token": token})) == (401, "session-over")


def test_a_user_and_an_admin_end_all_sessions_and_nobody_else_does(person: Person, world: Api, ann: Caller) -> None:
    token, other = person.login().json(), person.login().json()
    mine = Caller(world.url, token["access_token"])
    assert said(mine.post("auth/sessions/revoke", {"user_id": "ann"})) == (403, "not-permitted")
    assert mine.post("auth/sessions/revoke", {"user_id": person.user_id}).status_code == 204
    for ended in (token, other):
        assert said(person.refresh(ended["refresh_token"])) == (401, "session-over")
    assert ann.post("auth/sessions/revoke", {"user_id": person.user_id}).status_code == 204


# --- passwords ------------------------------------------------------------------------------------------------------


def test_a_one_time_token_sets_the_password_once(world: Api, ann: Caller) -> None:
    person = Person(world, ann).added()
    token = person.invited()
    assert person.reset(token, person.password).status_code == 204
    assert said(person.reset(token, person.password)) == (403, "one-time-token-refused")
    assert said(person.reset("another", person.password)) == (403, "one-time-token-refused")
    person.signed_in()


def test_the_first_admin_is_let_in_from_the_command_line(
    world: Api, ann: Caller, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(monkeypatch, capsys)
    shell.use(world.settings)
    person = Person(world, ann).added()
    assert "no active user 'nobody'" in shell("user", "invite", "--company", "acme", "--user", "nobody").text
    made = shell("user", "invite", "--company", "acme", "--user", person.user_id)
    assert made.code == 0, made.text
    assert person.reset(secret(made.out.strip()), person.password).status_code == 204
    person.signed_in()


def test_a_reset_does_not_tell_who_is_there(world: Api, ann: Caller) -> None:
    nobody = Person(world, ann)
    assert said(nobody.reset("some token", nobody.password)) == (403, "one-time-token-refused")


def test_only_an_admin_invites_and_only_users_of_the_company(person: Person, ann: Caller, gus: Caller) -> None:
    mine = person.signed_in()
    assert said(mine.post("auth/invitations", {"user_id": person.user_id})) == (403, "not-permitted")
    assert said(gus.post("auth/invitations", {"user_id": person.user_id})) == (404, "user-unknown")
    assert said(ann.post("auth/invitations", {"user_id": "nobody"})) == (404, "user-unknown")
    operator = person.world.operator().post("auth/invitations", {"user_id": person.user_id})
    assert said(operator) == (403, "not-permitted")


def test_a_changed_password_ends_other_sessions_and_the_old_password(person: Person) -> None:
    here, elsewhere = person.login().json(), person.login().json()
    mine = Caller(person.world.url, here["access_token"])
    new = secret(f"better horse {uuid4().hex}")
    wrong = mine.post("auth/password", {"old_password": "wrong horse battery", "new_password": new})
    assert said(wrong) == (403, "password-wrong")
    done = mine.post("auth/password", {"old_password": person.password, "new_password": new})
    assert done.status_code == 204, done.text
    assert said(person.refresh(elsewhere["refresh_token"])) == (401, "session-over")
    assert person.refresh(here["refresh_token"]).status_code == 200
    assert said(person.login()) == (401, "sign-in-refused")
    person.signed_in(password=new)


def test_who_forgot_the_password_is_told_nothing(world: Api, ann: Caller) -> None:
    answers = [
        world.nobody().post("auth/password/forgot", {"company_id": "acme", "email": email})
        for email in ("ann@example.com", "nobody@example.com")
    ]
    assert [(answer.status_code, answer.text) for answer in answers] == [(202, ""), (202, "")]


@pytest.mark.parametrize("password", ["short", "x" * 129, "password1234", "acme"])
def test_a_bad_password_is_refused_with_the_reason(world: Api, ann: Caller, password: str) -> None:
    answer = Person(world, ann).reset("some token", password)
    assert said(answer) == (422, "invalid")
    assert [error["field"] for error in answer.json()["errors"]] == ["new_password"]
    assert password not in answer.text or password == "acme"


def test_the_name_is_no_password_and_only_who_has_the_token_is_told(world: Api, ann: Caller) -> None:
    person = Person(world, ann).added()
    token = person.invited()
    name = f"name of {person.user_id}"
    assert said(person.reset("another", name)) == (403, "one-time-token-refused")
    assert said(person.reset(token, name)) == (422, "invalid")


def test_common_passwords_are_long_enough_to_be_worth_listing() -> None:
    assert all(faults(word, ()) == ["is one of the commonest passwords"] for word in COMMON)


# --- second factor --------------------------------------------------------------------------------------------------


@dataclass
class Guarded:
    """Somebody with a second factor, its key, and the recovery codes."""

    person: Person
    totp: pyotp.TOTP
    codes: list[str]


def code_after(totp: pyotp.TOTP, steps: int) -> str:
    """The code of an earlier step is given early in a step alone: at its end it would arrive too old."""
    while steps < 0 and time.time() % 30 > 20:
        time.sleep(0.2)
    return totp.at(int(time.time()) + 30 * steps)


@pytest.fixture
def guarded(person: Person) -> Guarded:
    mine = person.signed_in()
    assert said(mine.post("auth/totp/enrol", {"password": "wrong horse battery"})) == (403, "password-wrong")
    begun = mine.post("auth/totp/enrol", {"password": person.password}).json()
    totp = pyotp.TOTP(secret(begun["secret"]))
    assert begun["uri"].startswith("otpauth://totp/")
    assert mine.post("auth/totp/confirm", {"code": wrong_code(totp)}).status_code == 403
    done = mine.post("auth/totp/confirm", {"code": code_after(totp, -1)})
    assert done.status_code == 200, done.text
    codes = done.json()["recovery_codes"]
    SECRETS.update(codes)
    return Guarded(person, totp, codes)


def wrong_code(totp: pyotp.TOTP) -> str:
    near = {code_after(totp, steps) for steps in range(-3, 4)}
    return next(code for number in range(1000) if (code := f"{number:06}") not in near)


def test_with_a_second_factor_the_password_alone_does_not_suffice(guarded: Guarded) -> None:
    person, totp = guarded.person, guarded.totp
    assert said(person.login()) == (403, "second-factor-needed")
    assert said(person.login(code=wrong_code(totp))) == (401, "sign-in-refused")
    person.signed_in(code=code_after(totp, 0))


def test_a_code_opens_once(guarded: Guarded) -> None:
    code = code_after(guarded.totp, 1)
    guarded.person.signed_in(code=code)
    assert said(guarded.person.login(code=code)) == (401, "sign-in-refused")


def test_of_many_who_show_the_same_code_at_once_one_comes_in(guarded: Guarded) -> None:
    code = code_after(guarded.totp, 1)
    answers = at_once(4, lambda: guarded.person.login(code=code))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]


def test_a_recovery_code_opens_once(guarded: Guarded) -> None:
    assert len(set(guarded.codes)) == 10
    guarded.person.signed_in(recovery_code=guarded.codes[0].upper())
    assert said(guarded.person.login(recovery_code=guarded.codes[0])) == (401, "sign-in-refused")
    guarded.person.signed_in(recovery_code=guarded.codes[1])


def test_a_second_factor_is_not_enrolled_over_another(guarded: Guarded) -> None:
    mine = guarded.person.signed_in(recovery_code=guarded.codes[2])
    assert said(mine.post("auth/totp/enrol", {"password": guarded.person.password})) == (409, "totp-exists")


def test_a_second_factor_is_removed_by_its_owner_or_an_admin(guarded: Guarded, ann: Caller) -> None:
    person = guarded.person
    mine = person.signed_in(recovery_code=guarded.codes[3])
    assert said(mine.post("auth/totp/remove", {"user_id": "ann"})) == (403, "not-permitted")
    assert said(mine.post("auth/totp/remove", {"password": "wrong horse battery"})) == (403, "password-wrong")
    assert mine.post("auth/totp/remove", {"password": person.password}).status_code == 204
    person.signed_in()
    assert ann.post("auth/totp/remove", {"user_id": person.user_id}).status_code == 204


# --- where secrets are not ------------------------------------------------------------------------------------------

#: Topics that hold hashes, digests and encrypted keys; all others hold not even these.
OF_CREDENTIALS = ("credentials.commands", "credentials.events", "credentials.state-changelog")


def test_no_topic_and_no_log_holds_a_secret(guarded: Guarded, world: Api) -> None:
    person = guarded.person
    tokens = person.login(recovery_code=guarded.codes[4]).json()
    person.refresh(tokens["refresh_token"])
    person.login(password=secret("a wrong password of nobody"))
    person.reset(secret("a one-time token of nobody"), person.password)
    spoil(world, secret(SPOILED))
    parts = {part for text in SECRETS for part in {text, text.rpartition(":")[2]}}
    found = {topic.name: contents(world, topic.name) for topic in TOPICS}
    assert b"sha256:" in found[TOPICS_OF["credentials"].dead_letters.name]
    assert b"$argon2id$" in found[TOPICS_OF["credentials"].events.name], "the right topics were looked at"
    for topic, text in found.items():
        kept = parts if topic in OF_CREDENTIALS else {*parts, "$argon2id$"}
        # the record that spoils the topic lies there as it was sent, until the topic forgets it
        kept = kept - {SPOILED} if topic == "credentials.commands" else kept
        assert not [part for part in kept if part.encode() in text], topic
    for log in world.settings.directory.glob("*.log"):
        text = log.read_bytes()
        assert not [part for part in (*parts, "$argon2id$") if part.encode() in text], log.name


SPOILED = "what is no command, and secret"


def test_what_was_set_aside_is_listed_without_its_value(
    world: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(world, SPOILED)
    shell = Shell(monkeypatch, capsys)
    shell.use(world.settings)
    listed = [
        json.loads(line)
        for line in shell("dead-letters", "list", "--realm", "credentials", "--json").out.split("\n")
        if line
    ]
    assert listed and SPOILED not in str(listed) and "sha256:" in str(listed)
    assert "there are the realms business, credentials" in shell("dead-letters", "list", "--realm", "x").text


def spoil(world: Api, text: str) -> None:
    """What is no command on the topic of credentials' commands; returns when it is set aside."""
    topics, prefix = TOPICS_OF["credentials"], world.settings.prefix

    async def send() -> None:
        publisher = Publisher(world.settings)
        await publisher.start()
        await publisher.send_records([Record(topics.commands.named(prefix), -1, b"acme", text.encode())])
        await publisher.stop()

    asyncio.run(send())
    until(lambda: contents(world, topics.dead_letters.name), "a dead letter")


def contents(world: Api, topic: str) -> bytes:
    """Keys, headers and values of all that the topic holds."""
    said = []
    for record in read_all(world.settings, f"{world.settings.prefix}.{topic}"):
        said += [record.key or b"", record.value or b"", *(value or b"" for _, value in record.headers)]
    return b"\n".join(said)


def test_lanes_and_view_of_the_credentials_are_verified_with_all_else(person: Person, world: Api) -> None:
    person.signed_in()
    findings = audit(world.settings)
    assert findings.clean, findings.samples


# --- the door -------------------------------------------------------------------------------------------------------


def test_the_keys_of_tokens_are_published(world: Api) -> None:
    answer = requests.get(f"{world.url}/.well-known/jwks.json", timeout=30)
    (key,) = answer.json()["keys"]
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("OKP", "Ed25519", "EdDSA", "sig")
    assert "d" not in key


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"company_id": "acme", "email": "ann@example.com", "password": 7},
        {"company_id": "acme", "email": "no address", "password": "x"},
        {"company_id": "A'; DROP TABLE users; --", "email": "ann@example.com", "password": "x"},
        {"company_id": "acme", "email": "ann@example.com", "password": "x", "surprise": 1},
        {"company_id": "acme", "email": "ann@example.com", "password": "x", "code": "12345"},
        {"company_id": "acme", "email": "ann@example.com", "password": "x", "code": "123456", "recovery_code": "x"},
    ],
)
def test_a_body_that_is_no_sign_in_is_told_what_is_wrong(door: Api, body: dict[str, Any]) -> None:
    answer = door.nobody().post("auth/login", body)
    assert said(answer) == (422, "invalid")
    assert "DROP" not in answer.text


async def test_an_api_that_cannot_sign_tokens_says_so(tmp_path: Path) -> None:
    public = public_pem(Ed25519PrivateKey.generate())
    app = make_app(Settings(kafka="127.0.0.1:1", directory=tmp_path, token_public_keys=public))
    app.cleanup_ctx.clear()
    login = {"company_id": "acme", "email": "ann@example.com", "password": "correct horse battery"}
    async with TestClient(TestServer(app)) as client:
        answer = await client.post("/api/v1/auth/login", json=login)
        assert (answer.status, (await answer.json())["code"]) == (503, "sign-in-away")
        keys = (await (await client.get("/.well-known/jwks.json")).json())["keys"]
        assert len(keys) == 1, "it verifies what others have signed"


def test_what_concerns_oneself_needs_a_token(door: Api) -> None:
    for path in ("password", "invitations", "sessions/revoke", "totp/enrol", "totp/confirm", "totp/remove"):
        assert said(door.nobody().post(f"auth/{path}", {})) == (401, "token-missing")
        assert said(door.operator().post(f"auth/{path}", {})) == (403, "not-permitted")
