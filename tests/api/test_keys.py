"""Systems with a key of their own at the door: what it opens, and from when on no more."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.api.callers import Api, Caller, until
from tests.api.test_door import problem
from topics.keys import Secret

pytestmark = pytest.mark.servers

PERMITTED = ["category.define", "category.read"]


def made(admin: Caller, **changes: Any) -> str:
    """The secret of a new key that the views know of."""
    body = {"key_id": f"plant-{uuid4().hex[:8]}", "name": "Plant", "permissions": PERMITTED} | changes
    answer = admin.do("auth/keys", body)
    assert answer.status_code == 201, answer.text
    seen = admin.get(f"keys/{body['key_id']}", {"Consistency": answer.headers["Consistency"]})
    assert seen.json()["public_key"] == Secret.parse(answer.json()["secret"]).public_key
    return str(answer.json()["secret"])


def name_of(secret: str) -> str:
    return Secret.parse(secret).key_id


def category() -> dict[str, str]:
    return {"category_id": uuid4().hex[:10], "name": "Cranes"}


def test_a_key_sends_what_it_permits_as_itself(world: Api, ann: Caller) -> None:
    secret = made(ann)
    plant = Caller(world.url, secret)
    answer = plant.do("categories", category())
    assert answer.status_code == 201, answer.text
    assert answer.json()["actor"] == f"key:{name_of(secret)}"
    problem(plant.do("users", {"user_id": "x"}), 422, "invalid")
    user = {"user_id": uuid4().hex[:8], "name": "Nina", "email": f"{uuid4().hex}@example.com", "roles": ["viewer"]}
    problem(plant.do("users", user), 403, "forbidden")


def test_a_key_reads_what_it_permits_and_its_own_outcomes(world: Api, ann: Caller) -> None:
    plant = Caller(world.url, made(ann))
    own = plant.do("categories", category()).json()
    assert plant.get("categories").status_code == 200
    assert plant.get("categories/excavators").status_code == 200
    assert plant.get(f"commands/{own['command_id']}").status_code == 200
    for path in (
        "equipment",
        "equipment/EX-7",
        "equipment/EX-7/diff?from=2026-01-01T00:00Z",
        "keys",
        "users",
        "dashboard",
    ):
        problem(plant.get(path), 403, "forbidden")


def test_a_key_opens_its_own_company_alone(world: Api, ann: Caller, gus: Caller) -> None:
    secret = Secret.parse(made(ann))
    there = Caller(world.url, Secret("globex", secret.key_id, secret.seed).text)
    problem(there.get("categories"), 401, "token-refused")
    made(gus, key_id=secret.key_id)
    problem(there.get("categories"), 401, "token-refused")


def test_a_revoked_key_opens_nothing_once_the_views_know(world: Api, ann: Caller) -> None:
    secret = made(ann)
    plant = Caller(world.url, secret)
    assert plant.get("categories").status_code == 200
    revoked = ann.do(f"keys/{name_of(secret)}/revoke", {"reason": "stolen"})
    ann.get("keys", {"Consistency": revoked.headers["Consistency"]})
    answer = plant.get("categories")
    assert problem(answer, 401, "token-refused")["detail"] == "The key is revoked."
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_a_key_opens_nothing_from_its_expiry_on(world: Api, ann: Caller) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=3)
    plant = Caller(world.url, made(ann, expires_at=soon.isoformat().replace("+00:00", "Z")))
    until(lambda: plant.get("categories").status_code == 401, "the key expires")
    assert plant.get("categories").json()["detail"] == "The key has expired."


def test_a_key_that_was_not_given_out_opens_nothing_and_is_not_repeated(world: Api, ann: Caller) -> None:
    secret = Secret.parse(made(ann))
    for wrong in (
        secret.text[:-1] + ("0" if secret.text[-1] != "0" else "1"),
        Secret.new("acme", secret.key_id).text,
        Secret("acme", "nobody", secret.seed).text,
        "bcp_",
    ):
        answer = Caller(world.url, wrong).get("categories")
        problem(answer, 401, "token-refused")
        assert wrong == "bcp_" or wrong not in answer.text


def test_only_an_admin_makes_keys_and_a_refusal_shows_no_secret(world: Api, ann: Caller) -> None:
    plant = Caller(world.url, made(ann))
    body = {"key_id": "mine", "name": "Mine", "permissions": PERMITTED}
    for caller, status in ((plant, 403), (world.operator(), 404), (world.nobody(), 401)):
        answer = caller.do("auth/keys", body)
        assert answer.status_code == status, answer.text
        assert "bcp_" not in answer.text
    brought = ann.do("auth/keys", body | {"public_key": Secret.new("acme", "mine").public_key})
    assert problem(brought, 422, "invalid")["errors"][0]["field"] == "public_key"


def test_a_repeated_request_makes_no_second_key_and_is_told_that_the_secret_was_shown(ann: Caller) -> None:
    body = {"key_id": f"plant-{uuid4().hex[:8]}", "name": "Plant", "permissions": PERMITTED}
    once = {"Idempotency-Key": uuid4().hex}
    first = ann.do("auth/keys", body, once)
    assert first.status_code == 201, first.text
    until(lambda: ann.get(first.json()["command"]).json()["status"] == "accepted", "the outcome can be read")
    again = ann.do("auth/keys", body, once)
    assert problem(again, 409, "key-shown")["resource"] == first.json()["resource"]
    assert "bcp_" not in again.text
    assert ann.get(first.json()["resource"]).json()["public_key"] == Secret.parse(first.json()["secret"]).public_key


def test_a_key_of_repetition_that_stood_for_something_else_is_refused_as_everywhere(ann: Caller) -> None:
    once = {"Idempotency-Key": uuid4().hex}
    assert ann.do("categories", category() | {"name": f"Cranes {uuid4().hex}"}, once).status_code == 201
    body = {"key_id": f"plant-{uuid4().hex[:8]}", "name": "Plant", "permissions": PERMITTED}
    problem(ann.do("auth/keys", body, once), 422, "id-reused")


def test_an_admin_may_bring_a_public_key(world: Api, ann: Caller) -> None:
    own = Secret.new("acme", f"own-{uuid4().hex[:8]}")
    body = {"key_id": own.key_id, "name": "Own", "permissions": PERMITTED, "public_key": own.public_key}
    answer = ann.do("keys", body)
    assert answer.status_code == 201, answer.text
    ann.get("keys", {"Consistency": answer.headers["Consistency"]})
    assert Caller(world.url, own.text).get("categories").status_code == 200


def test_the_key_tells_when_it_was_last_used(world: Api, ann: Caller) -> None:
    secret = made(ann)
    assert ann.get(f"keys/{name_of(secret)}").json()["last_used_at"] is None
    Caller(world.url, secret).get("categories")
    until(lambda: ann.get(f"keys/{name_of(secret)}").json()["last_used_at"], "the use is recorded")


def test_no_secret_is_in_the_logs(world: Api, ann: Caller) -> None:
    secret = made(ann)
    Caller(world.url, secret).get("categories")
    Caller(world.url, secret).do("categories", category())
    for log in world.settings.directory.glob("*.log"):
        assert not re.search("bcp_acme", log.read_text())
