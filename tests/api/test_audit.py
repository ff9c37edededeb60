"""Who did what, when, from where and under which key: read over HTTP, from commands that took the real way."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agents.rebuild import rebuild_view
from api.desk import stranger
from domain.decider import Actor
from ops.records import read_all
from tests.api.callers import Api, Caller, until
from tests.api.test_auth import Person
from tests.api.test_door import problem
from tests.api.test_keys import made, name_of
from topics.catalogue import AUDIT, COMMANDS, OUTCOMES, partition_of
from topics.messages import CommandMessage, write_command
from topics.signing import ed25519_signer

pytestmark = pytest.mark.servers

DEFINE = "com.bitcorp.erp.category.define-category.v1"
AGENT = "audit-test/1.0"


@pytest.fixture
def person(world: Api, ann: Caller) -> Person:
    return Person(world, ann).ready()


def told(admin: Caller, count: int = 1, **filters: Any) -> list[dict[str, Any]]:
    """So many rows of the audit, as soon as they are there."""

    def found() -> list[dict[str, Any]] | None:
        answer = admin.get("audit", **filters)
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items if len(items) >= count else None

    rows: list[dict[str, Any]] = until(found, f"the audit shows {count} of {filters}")
    assert len(rows) == count
    return rows


def category() -> dict[str, str]:
    return {"category_id": f"cat-{uuid4().hex[:8]}", "name": f"hidden words {uuid4().hex[:8]}"}


def test_an_accepted_command_is_told_with_who_when_and_from_where(ann: Caller) -> None:
    body, request = category(), uuid4().hex
    began = datetime.now(UTC) - timedelta(seconds=5)
    done = ann.do("categories", body, {"User-Agent": AGENT, "X-Request-Id": request}).json()
    (row,) = told(ann, aggregate_id=body["category_id"])
    assert (row["actor"], row["type"], row["aggregate"]) == ("user:ann", DEFINE, "category")
    assert (row["status"], row["code"], row["first"], row["last"]) == ("accepted", None, done["first"], done["last"])
    assert (row["address"], row["user_agent"], row["correlation_id"]) == ("127.0.0.1", AGENT, request)
    assert (row["key_id"], row["command_id"], row["realm"]) == (None, done["command_id"], "business")
    assert began < datetime.fromisoformat(row["recorded_at"]) < began + timedelta(minutes=5)
    assert body["name"] not in str(row)


def test_a_refused_command_and_one_that_came_again_are_told_newest_first(ann: Caller) -> None:
    body, key = category(), str(uuid4())
    ann.do("categories", body, {"Idempotency-Key": key})
    ann.do("categories", body, {"Idempotency-Key": key})
    problem(ann.do("categories", body), 409, "category-exists")
    rows = told(ann, 3, aggregate_id=body["category_id"])
    assert [(row["code"], row["repeat"]) for row in rows] == [
        ("category-exists", False),
        (None, True),
        (None, False),
    ]
    (refused,) = told(ann, aggregate_id=body["category_id"], code="category-exists")
    assert refused == rows[0]
    assert told(ann, 2, aggregate_id=body["category_id"], status="accepted") == rows[1:]


def test_signing_in_and_failing_at_it_are_told_with_the_address_and_without_the_password(
    ann: Caller, person: Person
) -> None:
    wrong = f"wrong {uuid4().hex}"
    assert person.login(password=wrong).status_code == 401
    person.signed_in()
    sent = "com.bitcorp.erp.credential."
    (failed,) = told(ann, aggregate_id=person.user_id, type=f"{sent}record-failed-sign-in.v1", code="sign-in-failed")
    (came_in,) = told(ann, aggregate_id=person.user_id, type=f"{sent}sign-in.v1", status="accepted")
    assert (failed["status"], failed["recorded_at"] < came_in["recorded_at"]) == ("rejected", True)
    for row in (failed, came_in):
        assert (row["actor"], row["address"], row["realm"]) == ("system:api", "127.0.0.1", "credentials")
        assert not any(word in str(row) for word in (wrong, person.password, person.email))


def test_signing_in_as_somebody_unknown_is_told_under_a_hash_of_the_name(world: Api, ann: Caller) -> None:
    email = f"nobody-{uuid4().hex}@example.com"
    body = {"company_id": "acme", "email": email, "password": f"guess {uuid4().hex}"}
    assert world.nobody().post("auth/login", body).status_code == 401
    (row,) = told(ann, aggregate="credential", aggregate_id=stranger(email))
    assert (row["status"], row["code"], row["address"]) == ("rejected", "credential-unknown", "127.0.0.1")
    assert email not in str(row)


def test_what_an_admin_does_to_somebody_s_credentials_is_told_as_the_admin_s(ann: Caller, person: Person) -> None:
    person.signed_in()
    assert ann.post("auth/sessions/revoke", {"user_id": person.user_id}).status_code == 204
    (row,) = told(ann, aggregate_id=person.user_id, type="com.bitcorp.erp.credential.revoke-sessions.v1")
    assert (row["actor"], row["status"]) == ("user:ann", "accepted")


def test_what_a_system_does_is_told_under_its_key(world: Api, ann: Caller) -> None:
    secret, body = made(ann), category()
    assert Caller(world.url, secret).do("categories", body).status_code == 201
    (row,) = told(ann, key_id=name_of(secret), aggregate="category")
    assert (row["actor"], row["address"]) == (f"key:{name_of(secret)}", "127.0.0.1")
    assert secret not in str(row)


def test_a_forged_signature_is_told_with_the_key_that_it_claims_and_no_address(world: Api, ann: Caller) -> None:
    key_id = name_of(made(ann))
    message = CommandMessage(
        str(uuid4()), DEFINE, "acme", "category", f"cat-{key_id}", Actor("key", key_id), b"{}", origin="203.0.113.7 -"
    )
    publish(world, ed25519_signer(key_id, Ed25519PrivateKey.generate())(message))
    (row,) = told(ann, key_id=key_id, code="unauthenticated")
    assert (row["command_id"], row["conflict"]) == (message.id, True)
    assert (row["address"], row["process_id"]) == (None, None)


def publish(world: Api, message: CommandMessage) -> None:
    key, value, headers = write_command(message)
    producer = Producer({"bootstrap.servers": world.settings.kafka})
    partition = partition_of(key, world.settings.partitions)
    producer.produce(COMMANDS.named(world.settings.prefix), value, key, partition, headers=list(headers))
    assert producer.flush(20) == 0


def test_it_is_for_admins_and_for_roles_that_list_it(world: Api, ann: Caller) -> None:
    name = uuid4().hex[:8]
    ann.do("roles", {"role": f"auditor-{name}", "permissions": ["audit.read"]})
    seen = ""
    for role in ("viewer", "manager", f"auditor-{name}"):
        body = {"user_id": f"{role}-{name}", "name": role, "email": f"{role}-{name}@example.com", "roles": [role]}
        answer = ann.do("users", body)
        assert answer.status_code == 201, answer.text
        seen = answer.headers["Consistency"]
    for role in ("viewer", "manager"):
        problem(world.user(f"{role}-{name}").get("audit", {"Consistency": seen}), 403, "forbidden")
    assert world.user(f"auditor-{name}-{name}").get("audit", {"Consistency": seen}).status_code == 200
    assert world.operator().get("audit").status_code == 404


def test_pages_follow_one_another_to_the_end_and_name_each_row_once(ann: Caller) -> None:
    bodies = [{"command": "category.define", "data": category()} for _ in range(5)]
    assert ann.post("bulk", {"commands": bodies}, {"Prefer": "wait=20"}).status_code == 200
    command = f"user:page-{uuid4().hex[:8]}"
    assert told_none(ann, actor=command)
    until(lambda: len(ann.get("audit", type=DEFINE, limit=200).json()["items"]) >= 5, "the bulk is told")
    query = {"type": DEFINE, "limit": 2, "until": datetime.now(UTC).isoformat()}
    page = ann.get("audit", **query).json()
    found = page["items"]
    while "next" in page:
        page = ann.get(page["next"]).json()
        found += page["items"]
    numbers = [(row["recorded_at"], row["sequence"]) for row in found]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) == len(numbers) >= 5


def told_none(admin: Caller, **filters: Any) -> bool:
    return admin.get("audit", **filters).json()["items"] == []


@pytest.mark.parametrize(
    "query",
    [
        {"since": "yesterday"},
        {"status": "perhaps"},
        {"aggregate": "a/b"},
        {"subject": "category/x"},
        {"since": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
    ],
    ids=str,
)
def test_a_parameter_that_cannot_be_is_refused(ann: Caller, query: dict[str, str]) -> None:
    problem(ann.get("audit", **query), 400, "bad-parameters")


def test_every_outcome_is_told_and_nothing_that_was_secret(world: Api, ann: Caller, person: Person) -> None:
    def behind() -> Callable[[], bool]:
        outcomes = sum(1 for _ in read_all(world.settings, OUTCOMES.named(world.settings.prefix)))
        return lambda: sum(b'"business"' in (r.value or b"") for r in audit_of(world)) >= outcomes

    person.signed_in()
    until(behind(), "the audit tells every outcome")
    everything = b"".join((record.value or b"") + repr(record.headers).encode() for record in audit_of(world))
    for words in (person.password, person.email, "hidden words", "argon2", "bcp_", "Bearer"):
        assert words.encode() not in everything


def audit_of(world: Api) -> list[Any]:
    return list(read_all(world.settings, AUDIT.named(world.settings.prefix)))


def test_it_is_built_again_from_its_topic_and_shows_the_same(world: Api, ann: Caller) -> None:
    opening = {"type": "com.bitcorp.erp.company.create-company.v1", "status": "accepted"}
    before = told(ann, 1, **opening)
    rebuilt = asyncio.run(rebuild_view(world.settings, "audit"))
    assert (rebuilt.swapped, rebuilt.differences) == (True, ())
    assert told(ann, 1, **opening) == before
