"""Dead letters over HTTP: a company's own are read, mended and tried again, and discarded with a reason."""

from typing import Any
from uuid import uuid4

import pytest

from domain.decider import Actor
from tests.api.callers import Api, Caller, open_company, publish, until
from tests.api.test_door import problem
from topics.dead_letters import attempt_id
from topics.messages import CommandMessage, write_command

pytestmark = pytest.mark.servers

JUNK = b"{not json"
DEFINE = "com.bitcorp.erp.category.define-category.v1"
WAIT = {"Prefer": "wait=20"}


@pytest.fixture(scope="module")
def firm(world: Api) -> Caller:
    """The admin, ada, of a company of this module's own, where bob is a manager and clerk reads categories alone."""
    company = f"firm-{uuid4().hex[:8]}"
    open_company(world, company, "ada")
    ada = world.user("ada", company)
    assert ada.do("roles", {"role": "clerk", "permissions": ["category.read"]}).ok
    for name, role in (("bob", "manager"), ("cleo", "clerk")):
        person = {"user_id": name, "name": name, "email": f"{name}@example.com", "roles": [role]}
        assert ada.do("users", person).ok
    return ada


@pytest.fixture(scope="module")
def company(firm: Caller) -> str:
    name: str = firm.get("me").json()["company_id"]
    return name


class Broken:
    """A command of bob's whose data nobody can read, and the dead letter that it has become."""

    def __init__(
        self,
        world: Api,
        company: str,
        reader: Caller,
        type_: str = DEFINE,
        aggregate: str = "category",
        data: bytes = b"{not json",
    ) -> None:
        self.key, self.command_id = f"cranes-{uuid4().hex[:8]}", str(uuid4())
        bob = Actor("user", "bob")
        command = CommandMessage(self.command_id, type_, company, aggregate, self.key, bob, data)
        _, value, headers = write_command(command._replace(correlation_id="order-7"))
        self.id = publish(world.settings, company, value, headers)
        self.shown: dict[str, Any] = until(
            lambda: (found := reader.get(f"dead-letters/{self.id}")).ok and found.json(), "the letter is in its view"
        )

    @property
    def mended(self) -> dict[str, Any]:
        return {"data": {"category_id": self.key, "name": self.key}}

    def is_in(self, reader: Caller, state: str) -> bool:
        found = reader.get("dead-letters", state=state, limit=200).json()["items"]
        return self.id in [letter["letter_id"] for letter in found]


@pytest.fixture
def broken(world: Api, company: str, firm: Caller) -> Broken:
    return Broken(world, company, firm)


def test_a_letter_shows_what_it_holds_and_why_it_is_there(firm: Caller, broken: Broken) -> None:
    shown = broken.shown
    assert (shown["state"], shown["reason"], shown["type"]) == ("open", "invalid", DEFINE)
    assert (shown["command_id"], shown["actor"]) == (broken.command_id, "user:bob")
    assert (shown["data"], shown["value"]) == (None, "{not json")
    assert "not JSON" in shown["detail"]
    assert broken.is_in(firm, "open")


def test_a_mended_command_is_a_new_one_of_whoever_sends_it(world: Api, firm: Caller, broken: Broken) -> None:
    made = firm.post(f"dead-letters/{broken.id}/retry", broken.mended, WAIT)
    assert made.status_code == 201, made.text
    new = made.json()
    assert (new["command_id"], new["actor"]) == (attempt_id(broken.command_id, 1), "user:ada")
    until(lambda: broken.is_in(firm, "retried"), "the letter counts as tried again")
    shown = firm.get(f"dead-letters/{broken.id}").json()
    assert (shown["retried_as"], shown["retry_status"]) == (new["command_id"], "accepted")
    history = firm.get(f"categories/{broken.key}").json()
    assert history["name"] == broken.key


def test_the_same_attempt_asked_for_twice_is_made_once(firm: Caller, broken: Broken) -> None:
    first, second = (firm.post(f"dead-letters/{broken.id}/retry", broken.mended, WAIT) for _ in range(2))
    assert first.json()["first"] == second.json()["first"]
    assert second.headers["Idempotent-Replayed"] == "true"


def test_who_sent_the_first_command_finds_the_last_attempt_by_a_link(
    world: Api, firm: Caller, company: str, broken: Broken
) -> None:
    bob = world.user("bob", company)
    old = until(lambda: (found := bob.get(f"commands/{broken.command_id}")).json().get("code") and found, "its outcome")
    assert "Link" not in old.headers
    retry = f"dead-letters/{broken.id}/retry"
    said = problem(firm.post(retry, {}, WAIT), 409, "not-retryable")
    assert "Retry it with other data" in said["detail"]
    problem(firm.post(retry, {"data": {"category_id": broken.key}}, WAIT), 422, "invalid")
    assert firm.post(f"dead-letters/{broken.id}/retry", broken.mended | {"attempt": 2}, WAIT).status_code == 201
    new = f"/api/v1/commands/{attempt_id(broken.command_id, 2)}"

    def linked() -> bool:
        told = bob.get(f"commands/{broken.command_id}").headers.get("Link")
        return told == f'<{new}>; rel="successor-version"'

    until(linked, "the old command links to the new one")
    assert bob.get(new.removeprefix("/api/v1/")).json()["status"] == "accepted"
    stranger = world.user("cleo", company).get(new.removeprefix("/api/v1/"))
    assert stranger.json() == {"command_id": new.rpartition("/")[2], "status": "pending"}  # as of any id just heard of


def test_what_is_no_command_cannot_be_tried_again(world: Api, firm: Caller, company: str) -> None:
    letter = publish(world.settings, company, b"{}", [("ce_specversion", b"1.0")])
    until(lambda: firm.get(f"dead-letters/{letter}").ok, "the letter is in its view")
    said = problem(firm.post(f"dead-letters/{letter}/retry", {}), 409, "not-retryable")
    assert "header ce_id is missing" in said["detail"]
    for nobody in ("commands-0-999999", "no%00thing"):
        problem(firm.post(f"dead-letters/{nobody}/retry", {}), 404, "not-found")


def test_many_letters_are_tried_again_in_one_request(world: Api, firm: Caller, company: str) -> None:
    unknown = [Broken(world, company, firm, type_=DEFINE.replace("define", "paint"), data=b"{}") for _ in range(2)]
    body = {"letter_ids": [unknown[0].id, "commands-0-999999", unknown[1].id]}
    answer = firm.post("dead-letters/retry", body, WAIT)
    assert answer.status_code == 200, answer.text
    said = [(each["status"], each["code"]) for each in answer.json()["outcomes"]]
    assert said == [("rejected", "invalid"), ("rejected", "not-found"), ("rejected", "invalid")]
    wrong = problem(firm.post("dead-letters/retry", {"letter_ids": [], "attempt": 11}), 422, "invalid")
    assert {error["field"] for error in wrong["errors"]} == {"letter_ids", "attempt"}


def test_a_letter_is_discarded_by_an_admin_with_a_reason(
    world: Api, firm: Caller, company: str, broken: Broken
) -> None:
    reason = {"reason": "its sender has sent it anew"}
    problem(world.user("bob", company).do(f"dead-letters/{broken.id}/discard", reason), 403, "forbidden")
    assert firm.do(f"dead-letters/{broken.id}/discard", reason).ok
    until(lambda: broken.is_in(firm, "discarded"), "the letter counts as discarded")
    assert not broken.is_in(firm, "open")
    assert firm.do(f"dead-letters/{broken.id}/reopen", {}).ok
    until(lambda: broken.is_in(firm, "open"), "the letter is open again")


def test_whoever_may_not_read_letters_sees_none_and_tries_none_again(world: Api, company: str, broken: Broken) -> None:
    cleo, gus = world.user("cleo", company), world.user("gus", "globex")
    for refused in (cleo.get("dead-letters"), cleo.post(f"dead-letters/{broken.id}/retry", broken.mended)):
        problem(refused, 403, "forbidden")
    for refused in (gus.get(f"dead-letters/{broken.id}"), gus.post(f"dead-letters/{broken.id}/retry", broken.mended)):
        problem(refused, 404, "not-found")


def test_the_lane_decides_whether_the_command_is_the_caller_s_to_send(world: Api, company: str, firm: Caller) -> None:
    letter = Broken(world, company, firm, type_="com.bitcorp.erp.role.define-role.v1", aggregate="role")
    data = {"role": letter.key, "permissions": ["category.read"]}
    retry = f"dead-letters/{letter.id}/retry"
    problem(world.user("bob", company).post(retry, {"data": data}, WAIT), 403, "forbidden")
    assert firm.post(retry, {"data": data, "attempt": 2}, WAIT).status_code == 201
