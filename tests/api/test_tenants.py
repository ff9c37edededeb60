"""Two companies: for every route of the router, what is the one's is neither shown to the other nor changed by it.

A new route is tried by itself; one with a new part in its path asks for an id of it in `Globex.ids`.
"""

import re
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import requests
from confluent_kafka import Consumer, TopicPartition

from api import openapi
from api.app import make_app
from tests.api.callers import Api, Caller, open_company, publish, until
from topics.catalogue import partition_of
from topics.settings import Settings

#: Of RFC 8032, 7.1, test 1.
PUBLIC_KEY = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#: Paths that tell no company's things: nobody needs a token for them.
OPEN = tuple(openapi.OPEN_PATHS)


def routes() -> list[tuple[str, str]]:
    """Method and path of every route that there is."""
    app = make_app(Settings(kafka="127.0.0.1:1", database="postgresql://nobody@127.0.0.1:1/none"))
    found = {(r.method, r.resource.canonical) for r in app.router.routes() if r.resource is not None}
    return sorted((method, path) for method, path in found if path not in OPEN and method != "HEAD")


@dataclass(frozen=True)
class Theirs:
    """The other company: its admin, ids of its things by the path's part that names them, and a word that stands in
    everything of it that has a name."""

    company: str
    admin: Caller
    word: str
    ids: dict[str, str]
    made: requests.Response

    def path(self, pattern: str) -> str:
        return re.sub(r"{(\w+)}", lambda part: self.ids[part[1]], pattern)

    def is_in(self, answer: requests.Response, *, named: bool) -> bool:
        """Whether the answer tells of the company; a problem repeats the path, which may have `named` its ids."""
        told = answer.text + str({name: text for name, text in answer.headers.items() if name != "X-Request-Id"})
        return self.word in told or (not named and any(found in told for found in self.ids.values()))


@pytest.fixture(scope="module")
def theirs(world: Api) -> Theirs:
    """A company with one of everything."""
    company, word, made = f"their-{uuid4().hex[:8]}", f"secret{uuid4().hex[:8]}", uuid4().hex[:8]
    open_company(world, company, f"ada-{made}")
    ada = world.user(f"ada-{made}", company)
    key, job = f"theirs-{made}", f"job-{made}"
    machine = {"equipment_id": key, "name": word, "serial_number": f"EQ-2024-EX-{uuid4().int % 10**6:06}"}
    schedule = {"rule": "FREQ=MONTHLY;BYDAY=1MO", "start": "2090-12-01"}
    terms = {"maintenance_type": "PREVENTIVE", "anchor": "FIXED", "schedule": schedule}
    orders: dict[str, dict[str, Any]] = {
        "categories": {"category_id": key, "name": word},
        "roles": {"role": key, "permissions": ["equipment.read"]},
        "keys": {"key_id": key, "name": word, "permissions": ["equipment.read"], "public_key": PUBLIC_KEY},
        "users": {"user_id": key, "name": word, "email": f"{word}@example.com", "roles": ["viewer"]},
        "equipment": machine | {"category_id": key, "in_service_on": "2024-02-12"},
        "parts": {"part_id": key, "name": word, "unit": "m", "minimum": "2.5", "reorder_quantity": "25"},
        "plans": {"plan_id": key, "name": word, "equipment_id": key, "terms": terms},
        f"equipment/{key}/schedule-maintenance": {
            "job_id": job,
            "maintenance_type": "CORRECTIVE",
            "scheduled_date": "2090-01-04",
            "notes": word,
        },
        f"equipment/{key}/report-breakdown": {"breakdown_id": key, "description": word},
    }
    answers = {path: ada.do(path, body) for path, body in orders.items()}
    assert {path: answer.status_code for path, answer in answers.items() if not answer.ok} == {}, [
        answer.text for answer in answers.values() if not answer.ok
    ]
    command = answers["equipment"].json()["command_id"]
    until(lambda: ada.get(f"commands/{command}").json()["status"] == "accepted", "the outcome is in its view")
    letter = publish(world.settings, company, word.encode(), [("ce_specversion", b"1.0")])
    until(lambda: ada.get(f"dead-letters/{letter}").ok, "the dead letter is in its view")
    names = (
        "asset_id",
        "plan_id",
        "equipment_id",
        "part_id",
        "user_id",
        "category_id",
        "role",
        "entry",
        "breakdown_id",
        "key_id",
    )
    ids = dict.fromkeys(names, key) | {"job_id": job, "command_id": command, "company_id": company, "book": "FINANCIAL"}
    ids["letter_id"] = letter
    return Theirs(company, ada, word, ids, answers["equipment"])


@pytest.fixture(scope="module")
def mallory(world: Api) -> Caller:
    """Admin of another company, who may do everything there."""
    company = f"ours-{uuid4().hex[:8]}"
    open_company(world, company, "mallory")
    return world.user("mallory", company)


def written_for(world: Api, company: str) -> int:
    """How many messages there are under the company's key, commands and events."""
    consumer = Consumer({"bootstrap.servers": world.settings.kafka, "group.id": uuid4().hex})
    found = 0
    for topic in ("commands", "events", "outcomes"):
        partition = partition_of(company.encode(), world.settings.partitions)
        place = TopicPartition(f"{world.settings.prefix}.{topic}", partition)
        first, end = consumer.get_watermark_offsets(place, timeout=20)
        consumer.assign([TopicPartition(place.topic, partition, first)])
        found += sum(message.key() == company.encode() for message in consumer.consume(end - first, timeout=60))
    consumer.close()
    return found


def example_for(path: str) -> Any:
    """The body that the contract shows."""
    body = openapi.document()["paths"][path]["post"].get("requestBody")
    return body["content"]["application/json"].get("example", {}) if body else {}


# --- every route ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "pattern"), [found for found in routes() if found[0] == "GET"])
def test_nothing_of_another_company_is_shown(theirs: Theirs, mallory: Caller, method: str, pattern: str) -> None:
    position = {"Consistency": theirs.made.headers["Consistency"]}
    named = "{" in pattern
    for hints in ({}, position, {"If-None-Match": theirs.made.headers["ETag"]}):
        answer = mallory.get(
            theirs.path(pattern), hints, **({"from": "2026-01-01T00:00Z"} if "diff" in pattern else {})
        )
        assert not theirs.is_in(answer, named=named), answer.text
        if "{command_id}" in pattern:  # young enough to be somebody's who has not got it yet: no more is said
            assert answer.status_code == 404 or answer.json()["status"] == "pending"
        else:
            assert answer.status_code in ((403, 404) if named else (200,)), answer.text


#: Commands about a letter, which lanes do not know: the caller's own company notes the name.
NOTED = ("/discard", "/reopen")


def test_nothing_of_another_company_is_changed(world: Api, theirs: Theirs, mallory: Caller) -> None:
    before = written_for(world, theirs.company)
    assert before
    for _, pattern in (found for found in routes() if found[0] == "POST"):
        answer = mallory.do(theirs.path(pattern), example_for(pattern), {"If-Match": "*"})
        assert not theirs.is_in(answer, named=True), answer.text
        if "{" in pattern and not pattern.endswith(NOTED):
            assert answer.status_code in (403, 404), (pattern, answer.text)
    assert written_for(world, theirs.company) == before


@pytest.mark.parametrize("pattern", sorted({path for _, path in routes()}))
def test_without_a_token_nothing_is_there_for_anybody(world: Api, theirs: Theirs, pattern: str) -> None:
    if not (openapi.document()["paths"][pattern].get("post") or {}).get("security", ["a token"]):
        return  # signing in
    method = "GET" if ("GET", pattern) in routes() else "POST"
    answer = world.nobody().request(method, theirs.path(pattern), json={} if method == "POST" else None)
    assert (answer.status_code, answer.json()["code"]) == (401, "token-missing")


# --- tokens of other sorts that came from another company -----------------------------------------------------------


def test_a_cursor_of_another_company_shows_nothing_of_it(theirs: Theirs, mallory: Caller) -> None:
    position = {"Consistency": theirs.made.headers["Consistency"]}
    page = theirs.admin.get("users", position, limit=1).json()
    answer = mallory.get(page["next"])
    assert answer.status_code in (200, 400)
    assert theirs.word not in answer.text
    assert all(found not in answer.text for found in theirs.ids.values())


def test_an_idempotency_key_of_another_company_is_a_key_of_one_s_own(theirs: Theirs, mallory: Caller) -> None:
    made = theirs.admin.do("categories", {"category_id": f"c-{uuid4().hex[:8]}", "name": theirs.word})
    key = {"Idempotency-Key": made.json()["command_id"]}
    answer = mallory.do("categories", {"category_id": f"c-{uuid4().hex[:8]}", "name": "Cranes"}, key)
    assert answer.status_code == 201
    assert "Idempotent-Replayed" not in answer.headers
    assert not theirs.is_in(answer, named=True)
    mine = until(lambda: mallory.get(f"commands/{key['Idempotency-Key']}").json(), "an answer")
    assert theirs.word not in str(mine)


def test_many_commands_on_another_company_s_things_are_each_refused(
    world: Api, theirs: Theirs, mallory: Caller
) -> None:
    before = written_for(world, theirs.company)
    key = theirs.ids["equipment_id"]
    commands = [
        {"command": "equipment.rename", "data": {"equipment_id": key, "name": "Mine"}},
        {"command": "user.deactivate", "data": {"user_id": key, "reason": "gone"}},
        {"command": "company.update-company-settings", "data": {"company_id": theirs.company, "name": "Mine"}},
        {"command": "company.suspend", "data": {"company_id": theirs.company, "reason": "mine"}},
    ]
    answer = mallory.do("bulk", {"commands": commands})
    assert {entry["status"] for entry in answer.json()["outcomes"]} == {"rejected"}
    assert theirs.word not in answer.text
    assert written_for(world, theirs.company) == before


def test_a_command_of_another_company_is_not_taken_back(world: Api, theirs: Theirs, mallory: Caller) -> None:
    before = written_for(world, theirs.company)
    answer = mallory.do(f"commands/{theirs.ids['command_id']}/undo", {})
    assert (answer.status_code, answer.json()["code"]) == (404, "command-unknown")
    assert written_for(world, theirs.company) == before


def test_filters_and_searches_find_nothing_of_another_company(theirs: Theirs, mallory: Caller) -> None:
    for query in ({"q": theirs.word}, {"category_id": theirs.ids["category_id"]}):
        answer = mallory.get("equipment", total="true", **query)
        assert (answer.status_code, answer.json()["items"], answer.json()["total"]) == (200, [], 0)
    assert mallory.get("users", email=f"{theirs.word}@example.com").json()["items"] == []


def test_a_company_named_beside_the_token_counts_for_nothing(theirs: Theirs, mallory: Caller) -> None:
    for hints in ({"Bitcorp-Company": theirs.company}, {"X-Company": theirs.company}, {"Cookie": theirs.company}):
        answer = mallory.get("companies", hints)
        assert answer.status_code == 200
        assert theirs.company not in answer.text
