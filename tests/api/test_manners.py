"""What users of an API like this expect, one test per line of the list; the last test counts them.

Bulk (13), webhooks (14), subscriptions (15) and looking back in time (21) are not there yet.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import jsonschema_rs
import pytest
import requests

from api import asyncapi, openapi
from domain import RULES
from tests.api.callers import ROOT, Api, Caller, logged, until
from tests.api.serving import serving
from tests.api.test_commands import records
from tests.api.test_contracts import operations
from tests.api.test_door import problem

BULK = {f"{ROOT}/bulk", f"{ROOT}/dead-letters/retry"}
NOT_YET = {13, 14, 15, 21}
LINES = 21


def gets() -> Iterator[str]:
    for path, method, _ in operations():
        if method == "get" and path.startswith(ROOT):
            yield path


def test_line_01_idempotency_key_on_every_post_with_the_same_status_and_body(ann: Caller) -> None:
    for path, method, operation in operations():
        if "auth" in operation["tags"]:
            continue  # none but auth/keys takes such a key, and shows its secret once: tests/api/test_keys.py
        if method == "post" and "/companies" not in path and "requestBody" in operation:
            example = operation["requestBody"]["content"]["application/json"]["example"]
            key = {"Idempotency-Key": f'"a key, {uuid4()}"'}
            first, again = (ann.do(re.sub(r"{\w+}", "ex-0", path), example, key) for _ in range(2))
            if path == f"{ROOT}/dead-letters/{{letter_id}}/retry":
                continue  # an attempt has its number instead: tests/api/test_dead_letters.py
            if path not in BULK:  # there each answer says by itself which command it is of
                assert again.headers["Idempotent-Replayed"] == "true", path
                assert first.json()["command_id"] == again.json()["command_id"]
            assert first.status_code == again.status_code


def test_line_02_the_same_key_with_another_payload_is_422(ann: Caller, machine: dict[str, Any]) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    ann.do("equipment", machine, key)
    problem(ann.do("equipment", machine | {"name": "Other"}, key), 422, "id-reused")


def test_line_03_every_error_is_a_problem_whose_type_opens_a_page_of_help(door: Api) -> None:
    ann = door.user("ann")
    refused = [
        ann.get("/nowhere"),
        ann.request("PUT", "equipment"),
        ann.send("equipment", b"{" * 2_000_000),
        ann.send("equipment", b"<xml/>", {"Content-Type": "application/xml"}),
        ann.send("equipment", b"{"),
        ann.post("equipment", {}),
        ann.get("equipment", {"Accept": "image/png"}),
        door.nobody().get("equipment"),
        ann.get("equipment", limit=0),
        ann.get("equipment"),
    ]
    assert [answer.status_code for answer in refused] == [404, 405, 413, 415, 400, 422, 406, 401, 400, 503]
    for answer in refused:
        body = problem(answer, answer.status_code, answer.json()["code"])
        assert body["title"] and body["detail"] and body["instance"].startswith("/")
        assert "Traceback" not in answer.text and ".py" not in answer.text
        assert "What to do" in door.nobody().get(body["type"]).text


def test_line_04_long_work_is_202_with_location_and_preferences_are_applied(
    ann: Caller, machine: dict[str, Any]
) -> None:
    taken = ann.post("equipment", machine, {"Prefer": "respond-async"})
    assert (taken.status_code, taken.headers["Preference-Applied"]) == (202, "respond-async")
    assert ann.get(taken.headers["Location"]).status_code == 200
    waited = ann.post(f"equipment/{machine['equipment_id']}/rename", {"name": "x"}, {"Prefer": "wait=999"})
    assert (waited.status_code, waited.headers["Preference-Applied"]) == (200, "wait=20")


def test_line_05_strong_etags_guard_writes_and_spare_reads(ann: Caller, machine: dict[str, Any]) -> None:
    made = ann.do("equipment", machine)
    seen = ann.get(made.headers["Location"], {"Consistency": made.headers["Consistency"]})
    assert re.fullmatch(r'"1-[0-9a-f]+"', seen.headers["ETag"])
    assert ann.get(made.headers["Location"], {"If-None-Match": seen.headers["ETag"]}).status_code == 304
    path = f"{made.headers['Location']}/rename"
    assert ann.do(path, {"name": "One"}, {"If-Match": seen.headers["ETag"]}).status_code == 200
    stale = problem(ann.do(path, {"name": "Two"}, {"If-Match": seen.headers["ETag"]}), 412, "version-conflict")
    assert "version 2, not 1" in stale["detail"]


def test_line_06_pages_by_opaque_cursors_with_a_next_link_and_a_limit_that_is_told(
    ann: Caller, machine: dict[str, Any]
) -> None:
    ann.do("equipment", machine)
    made = ann.do("equipment", machine | {"equipment_id": "EX-A", "serial_number": "EQ-2024-AA-000001"})
    page = ann.get("equipment", {"Consistency": made.headers["Consistency"]}, limit=1)
    assert page.json()["limit"] == 1
    following = ann.get(page.json()["next"])
    assert page.json()["items"] != following.json()["items"]
    refused = problem(ann.get("equipment", limit=1000), 400, "bad-parameters")
    assert "200" in refused["errors"][0]["detail"]


def test_line_07_one_grammar_for_lists_and_unknown_parameters_are_refused(door: Api) -> None:
    ann = door.user("ann")
    for path in gets():
        real = re.sub(r"{\w+}", "EX-7", path.replace("{command_id}", str(uuid4())))
        problem(ann.get(re.sub(r"\{\w+\}", "acme", real), colour="red"), 400, "bad-parameters")
    for path, item in openapi.document()["paths"].items():
        named = {found.get("name") for found in item.get("get", {}).get("parameters", ())}
        if path.startswith(ROOT) and "Page" in json.dumps(item.get("get", {}).get("responses", {}).get("200", {})):
            assert {"sort", "cursor", "limit", "total", "fields"} <= named, path


async def test_line_08_a_429_names_policy_state_and_when_to_come_back(door: Api) -> None:
    async with serving(door.settings.model_copy(update={"rate_limits": "resources=1/minute"})) as port:
        ann = Caller(f"http://127.0.0.1:{port}", door.user("ann").token)
        await asyncio.to_thread(ann.get, "nowhere")
        refused = await asyncio.to_thread(ann.get, "nowhere")
    problem(refused, 429, "quota-exceeded")
    assert refused.headers["RateLimit-Policy"] == '"resources-minute";q=1;w=60'
    assert refused.headers["RateLimit"] == f'"resources-minute";r=0;t={refused.headers["Retry-After"]}'


def test_line_09_the_contract_says_that_it_only_grows(door: Api) -> None:
    assert all(path.startswith(f"{ROOT}/") for path in gets())
    assert "additive" in openapi.document()["info"]["description"]
    assert "do not know" in asyncapi.document()["info"]["description"]


def test_line_10_json_has_an_object_on_top_snake_case_utc_times_and_money_with_a_currency(
    ann: Caller, machine: dict[str, Any]
) -> None:
    price = {"amount": "182000.00", "currency": "USD"}
    made = ann.do("equipment", machine | {"purchase_price": price})
    assert all(re.fullmatch("[a-z][a-z0-9_]*", name) for name in made.json())
    shown = ann.get(made.headers["Location"], {"Consistency": made.headers["Consistency"]}).json()
    assert shown["purchase_price"] == price
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", shown["created_at"])
    assert isinstance(ann.get("equipment").json(), dict)


def test_line_11_openapi_is_complete_and_answers_are_as_it_says(ann: Caller, machine: dict[str, Any]) -> None:
    document = ann.get("/openapi.json").json()
    assert len({operation["operationId"] for _, _, operation in operations()}) == sum(1 for _ in operations())
    made = ann.do("equipment", machine)
    position = {"Consistency": made.headers["Consistency"]}
    detail = ann.get(made.headers["Location"], position)
    refused = ann.do("equipment", machine)
    for answer, schema in (
        (made, "CommandAnswer"),
        (detail, "EquipmentItem"),
        (ann.get("equipment", position), "EquipmentPage"),
        (ann.get(f"{made.headers['Location']}/history", position), "EquipmentHistoryPage"),
        (refused, "Problem"),
    ):
        reference = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
        jsonschema_rs.validate(reference, answer.json())


def test_line_12_an_upstream_can_check_its_messages_offline(door: Api, machine: dict[str, Any]) -> None:
    document = door.nobody().get("/asyncapi.json").json()
    messages = document["components"]["messages"]
    assert len(messages) >= len(RULES)
    schema = jsonschema_rs.validator_for(
        {**messages["CreateEquipment"]["payload"], "components": document["components"]}
    )
    assert schema.is_valid(machine)
    assert not schema.is_valid(machine | {"name": ""})
    assert not schema.is_valid(machine | {"colour": "red"})


def test_line_16_events_have_ids_an_order_without_gaps_and_written_rules(
    world: Api, ann: Caller, machine: dict[str, Any]
) -> None:
    text = asyncapi.document()["info"]["description"]
    assert "ce_sequence" in text and "gap" in text and "ignore" in text
    ids = {"X-Request-Id": uuid4().hex}
    for path, body in (("equipment", machine), (f"equipment/{machine['equipment_id']}/retire", {"reason": "sold"})):
        assert ann.do(path, body, ids).status_code in (200, 201)
    events = [headers for headers, _ in records(world.settings, f"{world.settings.prefix}.events", "acme", "")]
    positions = [int(headers["ce_sequence"]) for headers in events]
    assert positions == list(range(1, len(events) + 1))
    assert len({headers["ce_id"] for headers in events}) == len(events)


def test_line_17_a_401_has_a_challenge_and_anothers_object_is_missing(
    door: Api, ann: Caller, gus: Caller, machine: dict[str, Any]
) -> None:
    assert door.nobody().get("equipment").headers["WWW-Authenticate"].startswith("Bearer")
    made = ann.do("equipment", machine)
    problem(gus.get(made.headers["Location"], {"Consistency": made.headers["Consistency"]}), 404, "not-found")


def test_line_18_request_id_and_trace_are_in_answer_problem_and_log(world: Api, ann: Caller) -> None:
    trace = uuid4().hex
    ids = {"X-Request-Id": f"req-{uuid4()}", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    answer = ann.do("equipment/EX-0/rename", {"name": "x"}, ids)
    body = problem(answer, 404, "equipment-unknown")
    assert (body["request_id"], body["traceparent"]) == (ids["X-Request-Id"], ids["traceparent"])
    assert {name: answer.headers[name] for name in ids} == ids
    log = world.settings.directory / "api.log"
    lines = until(
        lambda: [line for line in logged(log, "request") if line["request"] == ids["X-Request-Id"]], "the log line"
    )
    assert (lines[0]["trace"], lines[0]["command"], lines[0]["status"]) == (trace, body["command_id"], 404)
    assert lines[0]["route"] == f"{ROOT}/equipment/{{equipment_id}}/rename"
    assert str(ann.token) not in log.read_text()


def test_line_19_a_reader_sees_his_own_writes_without_sleeping(ann: Caller, machine: dict[str, Any]) -> None:
    ann.do("equipment", machine)
    for number in range(5):
        renamed = ann.do(f"equipment/{machine['equipment_id']}/rename", {"name": f"No. {number}"})
        shown = ann.get(f"equipment/{machine['equipment_id']}", {"Consistency": renamed.headers["Consistency"]})
        assert shown.json()["name"] == f"No. {number}"


def test_line_20_head_options_allow_406_415_gzip_caching_and_csv(door: Api, ann: Caller) -> None:
    assert ann.request("HEAD", "equipment").status_code == 200
    for path, method, _ in operations():
        real = re.sub(r"\{\w+\}", "acme", path)
        allowed = door.nobody().request("OPTIONS", real)
        assert allowed.status_code == 204
        assert method.upper() in allowed.headers["Allow"].split(", ")
    problem(ann.get("equipment", {"Accept": "image/png"}), 406, "not-acceptable")
    problem(ann.send("equipment", b"{}", {"Content-Type": "text/csv"}), 415, "unsupported-media-type")
    packed = requests.get(f"{ann.url}/openapi.json", headers={"Accept-Encoding": "gzip"}, timeout=20)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert ann.get("equipment").headers["Cache-Control"] == "private, no-cache"
    assert ann.get("equipment", {"Accept": "text/csv"}).headers["Content-Type"].startswith("text/csv")


def test_the_count(capsys: pytest.CaptureFixture[str]) -> None:
    kept = {int(name[10:12]) for name in globals() if name.startswith("test_line_")}
    with capsys.disabled():
        print(f"\nAPI manners: {len(kept)} of {LINES} lines kept; not yet: {sorted(NOT_YET)}")
    assert kept | NOT_YET == set(range(1, LINES + 1))
