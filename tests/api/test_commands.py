"""Commands over HTTP: published, decided by real lanes, and answered."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, TopicPartition

from api.commands import path_of
from domain import OFFERED
from domain.decider import Rule
from tests.api.callers import Api, Caller, until
from tests.api.test_door import problem
from topics.catalogue import COMMANDS, EVENTS, partition_of
from topics.settings import Settings

pytestmark = pytest.mark.servers

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def created(caller: Caller, machine: dict[str, Any]) -> str:
    answer = caller.do("equipment", machine)
    assert answer.status_code == 201, answer.text
    return str(machine["equipment_id"])


def records(
    settings: Settings, topic: str, company_id: str, correlation_id: str = ""
) -> list[tuple[dict[str, str], Any]]:
    """Headers and value of each message in the company's partition, or of those with the correlation id."""
    consumer = Consumer({"bootstrap.servers": settings.kafka, "group.id": uuid4().hex})
    place = TopicPartition(topic, partition_of(company_id.encode(), settings.partitions))
    first, end = consumer.get_watermark_offsets(place, timeout=20)
    consumer.assign([TopicPartition(topic, place.partition, first)])
    found = []
    for _ in range(first, end):
        message = consumer.consume(1, timeout=20)[0]
        headers = {name: value.decode() for name, value in message.headers() or []}
        if correlation_id in ("", headers.get("ce_correlationid")):
            found.append((headers, json.loads(message.value())))
    consumer.close()
    return found


@pytest.mark.parametrize("rule", OFFERED.values(), ids=lambda rule: rule.permission)
def test_every_command_of_the_domain_has_its_route(ann: Caller, rule: Rule[Any]) -> None:
    answer = ann.post(re.sub(r"{\w+}", "x", path_of(rule)), {"no": "such field"})
    assert answer.json()["code"] in ("invalid", "forbidden"), answer.text


def test_a_company_and_a_machine_live_by_their_commands(world: Api, ann: Caller, machine: dict[str, Any]) -> None:
    operator, equipment = world.operator(), f"equipment/{machine['equipment_id']}"

    def do(caller: Caller, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = caller.do(path, body)
        assert answer.status_code in (200, 201), f"{path}: {answer.text}"
        found: dict[str, Any] = answer.json()
        assert found["status"] == "accepted"
        return found

    company = f"initech-{uuid4().hex[:8]}"
    admin = {"user_id": "bill", "name": "Bill", "email": "bill@example.com"}
    opened = {"company_id": company, "name": "Initech", "time_zone": "UTC", "currency": "USD", "admin": admin}
    assert do(operator, "companies", opened)["resource"] == f"/api/v1/companies/{company}"
    do(operator, f"companies/{company}/suspend", {"reason": "unpaid"})
    do(operator, f"companies/{company}/reactivate", {})
    do(world.user("bill", company), f"companies/{company}/update-maintenance-policy", {"policy": {}})
    name = uuid4().hex[:10]
    do(ann, "users", {"user_id": name, "name": "Tess", "email": f"{name}@example.com", "roles": ["technician"]})
    do(ann, "categories", {"category_id": name, "name": f"Category {name}"})
    do(ann, "equipment", machine)
    do(ann, f"{equipment}/rename", {"name": "Number seven"})
    job = {"job_id": "J-1", "maintenance_type": "PREVENTIVE"}
    do(ann, f"{equipment}/schedule-maintenance", job | {"scheduled_date": "2199-01-31"})
    do(ann, f"{equipment}/start-maintenance", {"job_id": "J-1"})
    do(ann, f"{equipment}/complete-maintenance", {"job_id": "J-1", "completed_by": name})
    past = {"job_id": "J-0", "completed_by": name, "performed_at": "2024-03-01T12:00:00Z"}
    do(ann, f"{equipment}/record-maintenance", past | {"maintenance_type": "INSPECTION"})
    do(ann, f"{equipment}/assign", {"assignee": {"kind": "user", "id": name}})
    do(ann, f"{equipment}/return", {})
    do(ann, f"{equipment}/retire", {"reason": "sold"})


def test_a_creation_is_answered_by_201_with_the_place_of_what_was_made(ann: Caller, machine: dict[str, Any]) -> None:
    answer = ann.do("equipment", machine)
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/v1/equipment/{machine['equipment_id']}"
    assert answer.headers["ETag"] == '"1"'
    assert answer.headers["Preference-Applied"] == "wait=20"
    body = answer.json()
    assert answer.headers["Consistency"] == f"{body['partition']}:{body['last']}"
    assert (body["version"], body["first"], body["actor"]) == (1, body["last"], "user:ann")


def test_who_names_no_id_gets_one_that_follows_from_the_command(ann: Caller, machine: dict[str, Any]) -> None:
    del machine["equipment_id"]
    key = {"Idempotency-Key": uuid4().hex}
    first, again = (ann.do("equipment", machine, key) for _ in range(2))
    assert first.status_code == again.status_code == 201
    assert first.headers["Location"] == again.headers["Location"]


def test_without_a_preference_a_command_is_taken_and_its_outcome_can_be_read_later(
    ann: Caller, machine: dict[str, Any]
) -> None:
    taken = ann.post("equipment", machine)
    assert (taken.status_code, taken.json()["status"]) == (202, "pending")
    assert taken.headers["Retry-After"].isdigit()
    assert "Preference-Applied" not in taken.headers

    def decided() -> dict[str, Any] | None:
        answer = ann.get(taken.headers["Location"])
        assert answer.status_code == 200
        body: dict[str, Any] = answer.json()
        assert body["status"] != "pending" or answer.headers["Retry-After"].isdigit()
        return body if body["status"] != "pending" else None

    body = until(decided, "the outcome is in its view")
    assert (body["status"], body["command_id"]) == ("accepted", taken.json()["command_id"])


def test_a_refusal_is_a_problem_of_its_kind(world: Api, ann: Caller, machine: dict[str, Any]) -> None:
    path = f"equipment/{created(ann, machine)}"
    other = machine | {"equipment_id": f"EX-{uuid4().hex}"}
    problem(ann.do("equipment", other), 409, "serial-number-taken")
    problem(ann.do("equipment", machine), 409, "equipment-exists")
    problem(ann.do("equipment/EX-0/rename", {"name": "x"}), 404, "equipment-unknown")
    problem(ann.do(f"{path}/rename", {"name": "x"}, {"If-Match": '"9"'}), 412, "version-conflict")
    problem(world.user("stranger").do(f"{path}/rename", {"name": "x"}), 403, "actor-unknown")
    early = other | {"purchased_on": "2024-03-01", "serial_number": "EQ-2023-XX-000001"}
    problem(ann.do("equipment", early), 422, "service-before-purchase")


def test_a_refusal_says_where_its_outcome_is_and_what_a_reader_waits_for(ann: Caller) -> None:
    answer = ann.do("equipment/EX-0/rename", {"name": "x"})
    body = problem(answer, 404, "equipment-unknown")
    assert body["command"] == f"/api/v1/commands/{body['command_id']}"
    assert answer.headers["Consistency"]


def test_roles_decide_what_a_user_may_do(world: Api, ann: Caller, machine: dict[str, Any]) -> None:
    name = uuid4().hex[:10]
    viewer = {"user_id": name, "name": "Vic", "email": f"{name}@example.com", "roles": ["viewer"]}
    assert ann.do("users", viewer).status_code == 201
    problem(world.user(name).do("equipment", machine), 403, "forbidden")


def test_another_companys_machine_is_not_there_and_is_not_touched(
    ann: Caller, gus: Caller, machine: dict[str, Any]
) -> None:
    path = f"equipment/{created(ann, machine)}"
    problem(gus.do(f"{path}/rename", {"name": "Mine now"}), 404, "equipment-unknown")
    problem(gus.do(f"{path}/retire", {"reason": "Mine now"}), 404, "equipment-unknown")
    assert ann.do(f"{path}/rename", {"name": "Still ours"}, {"If-Match": '"1"'}).status_code == 200


def test_a_repeat_is_answered_as_before_and_says_so(ann: Caller, machine: dict[str, Any]) -> None:
    key = {"Idempotency-Key": f'"order {uuid4()}"'}
    first = ann.do("equipment", machine, key)
    assert "Idempotent-Replayed" not in first.headers
    seen = until(lambda: ann.get(first.json()["command"]).json()["status"] == "accepted", "the outcome is in its view")
    again = ann.do("equipment", machine, key)
    assert seen and again.headers["Idempotent-Replayed"] == "true"
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    for header in ("Location", "ETag", "Consistency"):
        assert again.headers[header] == first.headers[header]


def test_the_same_key_for_another_command_is_refused(ann: Caller, machine: dict[str, Any]) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    assert ann.do("equipment", machine, key).status_code == 201
    problem(ann.do("equipment", machine | {"name": "Other"}, key), 422, "id-reused")
    problem(ann.do("equipment/EX-0/rename", {"name": "x"}, key), 422, "id-reused")


def test_the_same_key_of_another_sender_is_another_key(ann: Caller, gus: Caller, machine: dict[str, Any]) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    mine, theirs = ann.do("equipment", machine, key), gus.do("equipment", machine, key)
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["command_id"] != theirs.json()["command_id"]


def test_two_who_wait_under_one_id_each_get_the_answer_to_their_own_request(
    ann: Caller, machine: dict[str, Any]
) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    names = ["A", "B", "A", "B"]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda name: ann.do("equipment", machine | {"name": name}, key), names))
    found = {name: {a.status_code for n, a in zip(names, answers, strict=True) if n == name} for name in "AB"}
    assert sorted(map(sorted, found.values())) == [[201], [422]]


def test_if_match_lets_only_one_of_two_changes_through(ann: Caller, machine: dict[str, Any]) -> None:
    path = f"equipment/{created(ann, machine)}/rename"
    assert ann.do(path, {"name": "One"}, {"If-Match": '"1-any"'}).headers["ETag"] == '"2"'
    problem(ann.do(path, {"name": "Two"}, {"If-Match": '"1-any"'}), 412, "version-conflict")
    assert ann.do(path, {"name": "Three"}, {"If-Match": "*"}).headers["ETag"] == '"3"'


def test_patience_is_cut_to_what_the_api_has(ann: Caller, machine: dict[str, Any]) -> None:
    answer = ann.post("equipment", machine, {"Prefer": "wait=3600, respond-async"})
    assert answer.headers["Preference-Applied"] == "wait=20, respond-async"


def test_request_id_and_trace_go_with_the_command_and_come_back(
    world: Api, ann: Caller, machine: dict[str, Any]
) -> None:
    ids = {"X-Request-Id": f"req-{uuid4().hex}", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    answer = ann.do("equipment", machine, ids)
    assert answer.status_code == 201
    assert {name: answer.headers[name] for name in ids} == ids
    for topic in (COMMANDS, EVENTS):
        ((headers, data),) = records(world.settings, topic.named(world.settings.prefix), "acme", ids["X-Request-Id"])
        assert headers["ce_traceparent"] == ids["traceparent"]
        assert headers["ce_actor"] == "user:ann"
        assert data["equipment_id"] == machine["equipment_id"]


def test_an_operators_command_is_seen_by_its_operator_alone(world: Api) -> None:
    operator = world.operator()
    answer = operator.do("companies/acme/suspend", {"reason": " "})
    problem(answer, 422, "invalid")
    again = operator.do("companies/acme/reactivate", {})
    assert again.status_code == 200
    until(lambda: operator.get(again.json()["command"]).json()["status"] == "accepted", "the operator reads it")
    other = world.operator("other").get(again.json()["command"])
    assert other.json().get("status") != "accepted"
