"""Requests that are refused before anything is done for them: each by a problem that says what to mend."""

import json
import socket
from typing import Any
from urllib.parse import quote

import pytest
import requests

from api.manners import security_headers
from api.problems import all_types
from tests.api.callers import Api, Caller

MACHINE = {
    "equipment_id": "EX-7",
    "name": "Komatsu PC210",
    "serial_number": "EQ-2024-EX-000007",
    "category_id": "excavators",
    "in_service_on": "2024-02-12",
}


@pytest.fixture
def ann(door: Api) -> Caller:
    return door.user("ann")


def problem(answer: requests.Response, status: int, code: str) -> dict[str, Any]:
    """The problem that the answer must be."""
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json"), answer.text
    body: dict[str, Any] = answer.json()
    assert body["code"] == code, body
    assert body["status"] == status
    assert body["type"].endswith(f"/problems/{code}")
    assert body["title"] == all_types()[code].title
    assert body["detail"] and body["instance"]
    return body


def raw(api: Api, sent: bytes) -> bytes:
    """What the server says to bytes that no HTTP library would send."""
    host, _, port = api.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(sent)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


@pytest.mark.parametrize("path", ["/", "/api", "/api/v2/equipment", "/api/v1/unicorns", "/docs/../openapi.yaml"])
def test_an_unknown_address_is_a_problem(ann: Caller, path: str) -> None:
    problem(ann.get(path), 404, "not-found")


def test_another_method_is_a_problem_that_names_those_allowed(ann: Caller) -> None:
    answer = ann.request("DELETE", "equipment")
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS, POST"


def test_options_names_the_methods_of_every_address(ann: Caller) -> None:
    answer = ann.request("OPTIONS", "equipment/EX-7/rename")
    assert (answer.status_code, answer.headers["Allow"], answer.text) == (204, "OPTIONS, POST", "")


@pytest.mark.parametrize(("method", "path"), [("GET", "equipment/EX-7"), ("POST", "equipment")])
def test_who_wants_no_json_is_told_that_there_is_nothing_else(ann: Caller, method: str, path: str) -> None:
    problem(ann.request(method, path, {"Accept": "text/html"}, json={}), 406, "not-acceptable")


def test_an_error_is_a_problem_whatever_the_caller_accepts(door: Api) -> None:
    answer = door.nobody().request("GET", "equipment", {"Accept": "application/xml"})
    problem(answer, 401, "token-missing")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": ""},
        {"Content-Encoding": "gzip"},
    ],
)
def test_a_body_of_another_media_type_is_refused(ann: Caller, headers: dict[str, str]) -> None:
    problem(ann.send("equipment", b"{}", headers), 415, "unsupported-media-type")


def test_a_body_beyond_the_limit_is_refused(ann: Caller, door: Api) -> None:
    body = b'{"name": "%s"}' % (b"x" * door.settings.body_limit)
    assert "1,048,576" in problem(ann.send("equipment", body), 413, "body-too-large")["detail"]


def test_a_body_beyond_the_limit_that_does_not_say_its_length_is_refused(ann: Caller, door: Api) -> None:
    pieces = iter([b'{"name": "', *[b"x" * 65536] * 20, b'"}'])
    answer = ann.request("POST", "equipment", {"Content-Type": "application/json"}, data=pieces)
    problem(answer, 413, "body-too-large")


UNREADABLE = {
    "empty": b"",
    "not JSON": b"{name: 1}",
    "not an object": b"[]",
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "repeated key": b'{"name": "a", "name": "b"}',
    "NaN": b'{"name": NaN}',
    "Infinity": b'{"name": -Infinity}',
    "1E+400": b'{"name": "a", "in_service_on": 1E+400}',
    "lone surrogate": b'{"name": "\\ud800"}',
    "lone surrogate as key": b'{"\\udfff": 1}',
    "depth 100": b'{"name": ' + b"[" * 100 + b"]" * 100 + b"}",
    "depth 10,000": b'{"name": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "number of 5,000 digits": b'{"name": ' + b"9" * 5_000 + b"}",
    "two documents": b"{}{}",
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_body_that_cannot_be_read_is_refused(ann: Caller, name: str) -> None:
    problem(ann.send("equipment", UNREADABLE[name]), 400, "malformed")


POISON: dict[str, tuple[str, Any]] = {
    "NUL": ("name", "a\x00b"),
    "1 MB of text": ("name", "x" * 1_000_000),
    "line feed": ("name", 'a\n{"event": "forged"}'),
    "escape": ("name", "\x1b[2J"),
    "blank": ("name", "   "),
    "number for text": ("name", 7),
    "empty id": ("equipment_id", ""),
    "300 characters of id": ("equipment_id", "x" * 300),
    "id that is not ASCII": ("equipment_id", "Bagger-ü"),
    "id that climbs": ("equipment_id", "../../etc/passwd"),
    "id with a slash": ("category_id", "a/b"),
    "year 1": ("in_service_on", "0001-01-01"),
    "year 9999": ("in_service_on", "9999-12-31"),
    "no such day": ("in_service_on", "2024-02-30"),
    "number as day": ("in_service_on", 0),
    "text of a number as day": ("in_service_on", "0"),
    "time as day": ("in_service_on", "2024-02-12T00:00:00Z"),
    "amount 1E+400": ("purchase_price", {"amount": "1E+400", "currency": "PEN"}),
    "amount NaN": ("purchase_price", {"amount": "NaN", "currency": "PEN"}),
    "amount -0": ("purchase_price", {"amount": "-0", "currency": "PEN"}),
    "amount 1_0": ("purchase_price", {"amount": "1_0", "currency": "PEN"}),
    "amount of five decimals": ("purchase_price", {"amount": "1.00005", "currency": "PEN"}),
    "amount as a number": ("purchase_price", {"amount": 1.5, "currency": "PEN"}),
    "no such currency": ("purchase_price", {"amount": "1.50", "currency": "XYZ"}),
    "unknown member within": ("purchase_price", {"amount": "1.50", "currency": "PEN", "tax": 1}),
    "unknown member": ("unicorn", 1),
    "null where there must be text": ("name", None),
    "lower case of the pattern": ("serial_number", "eq-2024-ex-000007"),
}


@pytest.mark.parametrize("name", POISON)
def test_a_poisoned_field_is_refused_and_named(ann: Caller, name: str) -> None:
    member, value = POISON[name]
    body = problem(ann.post("equipment", MACHINE | {member: value}), 422, "invalid")
    assert any(error["pointer"].startswith(f"/{member}") for error in body["errors"]), body


HARMLESS = [
    "<script>alert(1)</script>",
    "=cmd|'/c calc'!A1",
    "'\";--",
    "../..",
    '#read("/etc/passwd")',
    "\u202e\u200babc",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_text_that_is_only_text_passes_the_door(ann: Caller, text: str) -> None:
    """Refused by nobody before Kafka, which is not there: what it means elsewhere is for elsewhere to escape."""
    problem(ann.post("equipment", MACHINE | {"name": text}), 503, "kafka-away")


@pytest.mark.parametrize("minutes", [2**63, -1, 1.5, "7", True, 1e300])
def test_a_number_out_of_bounds_is_refused_and_named(ann: Caller, minutes: Any) -> None:
    work = {"job_id": "J-1", "completed_by": "ann", "labour_minutes": minutes}
    body = problem(ann.post("equipment/EX-7/complete-maintenance", work), 422, "invalid")
    assert [error["pointer"] for error in body["errors"]] == ["/labour_minutes"]


@pytest.mark.parametrize("moment", ["2024-03-10T02:30:00", "0001-01-01T00:00:00Z", "9999-01-01T00:00:00Z", 1700000000])
def test_a_time_without_zone_or_sense_is_refused_and_named(ann: Caller, moment: Any) -> None:
    work = {"job_id": "J-1", "completed_by": "ann", "performed_at": moment}
    body = problem(ann.post("equipment/EX-7/complete-maintenance", work), 422, "invalid")
    assert [error["pointer"] for error in body["errors"]] == ["/performed_at"]


def test_every_wrong_field_is_named_at_once_with_a_json_pointer(ann: Caller) -> None:
    body = {"name": "", "serial_number": "7", "category_id": "a b", "a/b~c": 1, "purchase_price": {"amount": "x"}}
    errors = problem(ann.post("equipment", body), 422, "invalid")["errors"]
    assert {error["pointer"] for error in errors} == {
        "/name",
        "/serial_number",
        "/category_id",
        "/in_service_on",
        "/purchase_price/amount",
        "/purchase_price/currency",
        "/a~1b~0c",
    }
    assert all(error["code"] and error["detail"] for error in errors)


def test_the_key_that_the_path_names_is_not_named_again(ann: Caller) -> None:
    body = problem(ann.post("equipment/EX-7/rename", {"equipment_id": "EX-8", "name": "Other"}), 422, "invalid")
    assert [error["pointer"] for error in body["errors"]] == ["/equipment_id"]


@pytest.mark.parametrize("path", ["equipment/a%00b/rename", "equipment/%C3%BC/rename", f"equipment/{'x' * 300}/rename"])
def test_what_can_be_no_id_names_nothing(ann: Caller, path: str) -> None:
    problem(ann.post(path, {"name": "Other"}), 404, "equipment-unknown")


def test_a_company_is_changed_by_its_own_people_only(ann: Caller) -> None:
    problem(ann.post("companies/globex/update-maintenance-policy", {"policy": {}}), 404, "not-found")


def test_a_company_is_opened_by_operators_only(ann: Caller, door: Api) -> None:
    admin = {"user_id": "x", "name": "X", "email": "x@example.com"}
    body = {"company_id": "initech", "name": "Initech", "time_zone": "UTC", "currency": "USD", "admin": admin}
    problem(ann.post("companies", body), 403, "not-permitted")
    problem(door.operator().post("companies", body), 503, "kafka-away")


def test_operators_do_nothing_else(door: Api) -> None:
    problem(door.operator().post("equipment", MACHINE), 403, "not-permitted")
    problem(door.operator().get("equipment"), 404, "not-found")


def test_what_is_not_http_is_answered_by_a_problem_as_well(door: Api) -> None:
    for sent in (b"NONSENSE\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n"):
        head, _, body = raw(door, sent).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ") or head.startswith(b"HTTP/1.0 400 ")
        assert json.loads(body)["code"] == "malformed"
        assert b"Python" not in head and b"nosniff" in head


def test_two_lengths_of_one_body_are_refused(door: Api) -> None:
    sent = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert b" 400 " in raw(door, sent).partition(b"\r\n")[0]


def test_a_header_or_request_line_that_is_too_long_is_a_problem(door: Api) -> None:
    for sent in (b"GET /%s HTTP/1.1\r\n\r\n" % (b"x" * 9000), b"GET / HTTP/1.1\r\nX: %s\r\n\r\n" % (b"x" * 9000)):
        head, _, body = raw(door, sent).partition(b"\r\n\r\n")
        assert b" 431 " in head.partition(b"\r\n")[0]
        assert json.loads(body)["code"] == "headers-too-large"


def test_every_answer_says_what_browsers_may_do_with_it_and_not_what_runs_here(door: Api) -> None:
    for path in ("/health", "/nowhere", "/api/v1/equipment", "/openapi.json", "/docs", "/problems/invalid"):
        headers = door.nobody().get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Content-Security-Policy"].startswith("default-src ")
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert not headers.get("Server")
        assert "Strict-Transport-Security" not in headers


def test_behind_tls_browsers_are_told_to_stay_there() -> None:
    assert "Strict-Transport-Security" in security_headers("https://erp.example.com")
    assert "Strict-Transport-Security" not in security_headers("http://erp.example.com")


@pytest.mark.thorough
def test_every_code_has_a_page_of_help_where_its_type_points(door: Api) -> None:
    for found in all_types().values():
        page = door.nobody().get(f"/problems/{found.code}")
        assert page.status_code == 200
        assert found.code in page.text
    assert door.nobody().get("/problems/unheard-of").status_code == 404


# --- attacks ----------------------------------------------------------------------------------------------------------

SQL = ["' OR '1'='1", "1; DROP TABLE erp.users; --", "x' UNION SELECT * FROM erp.users --"]


@pytest.mark.parametrize("text", SQL)
def test_sql_in_an_id_a_filter_or_a_sort_is_no_id_and_no_sort_and_only_text_to_search_for(
    ann: Caller, text: str
) -> None:
    rename = f"equipment/{quote(text, safe='')}/rename"
    problem(ann.post(rename, {"name": "x"}), 404, "equipment-unknown")
    for parameter in ("sort", "fields", "limit", "cursor", "category_id"):
        problem(ann.get("equipment", **{parameter: text}), 400, "bad-parameters")
    problem(ann.get("equipment", q=text), 503, "database-away")  # past the door, as a value and never as a statement


def test_ten_megabytes_of_nested_json_are_not_read(ann: Caller) -> None:
    answer = ann.send("equipment", b'{"name": ' + b"[" * 10_000_000)
    assert problem(answer, 413, "body-too-large")["detail"] == "The request body may have 1,048,576 bytes."


@pytest.mark.parametrize("name", ["Authorization", "Idempotency-Key", "Consistency"])
def test_a_header_that_may_be_given_once_is_refused_when_given_twice(door: Api, name: str) -> None:
    token = door.user("ann").token
    value = {"Authorization": f"Bearer {token}", "Idempotency-Key": "one", "Consistency": "0:1"}[name]
    bearer = "" if name == "Authorization" else f"Authorization: Bearer {token}\r\n"
    path, method = ("/api/v1/equipment/x", "GET") if name == "Consistency" else ("/api/v1/equipment", "POST")
    body = json.dumps(MACHINE)
    sent = (
        f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{bearer}{name}: {value}\r\n{name}: {value}\r\n\r\n{body}"
    )
    head, _, told = raw(door, sent.encode()).partition(b"\r\n\r\n")
    assert b" 400 " in head.partition(b"\r\n")[0], told
    assert json.loads(told)["code"] == "bad-header"
    assert str(token).encode() not in told


@pytest.mark.parametrize("text", ["a%0d%0aSet-Cookie:%20x=1", "a%0aX-Forged:%201", "%00"])
def test_line_feeds_in_a_path_make_no_header(door: Api, ann: Caller, text: str) -> None:
    answer = ann.get(f"/problems/{text}")
    problem(answer, 404, "not-found")
    assert "Set-Cookie" not in answer.headers
    assert "X-Forged" not in answer.headers


@pytest.mark.parametrize("line_feed", ["\r\nSet-Cookie: x=1", "\nSet-Cookie: x=1", "\0"])
def test_an_id_of_a_request_that_could_make_headers_is_replaced(door: Api, line_feed: str) -> None:
    sent = f"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Request-Id: a{line_feed}\r\n\r\n".encode()
    head = raw(door, sent).partition(b"\r\n\r\n")[0]
    assert b"set-cookie" not in head.lower()


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/../../etc/passwd",
        "/api/v1/%2e%2e/%2e%2e/etc/passwd",
        "/docs/..%2f..%2fapp.py",
        "/docs/%2e%2e/app.py",
        "/docs/swagger-ui.css/",
        "//api/v1/equipment",
        "/api//v1/equipment",
        "/API/v1/equipment",
        "/api/v1/equipment/",
        "/problems/..%2fdocs",
    ],
)
def test_ways_around_in_a_path_lead_nowhere(door: Api, path: str) -> None:
    """Sent as it is: HTTP libraries would tidy it up."""
    token = door.user("ann").token
    sent = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    head, _, told = raw(door, sent.encode()).partition(b"\r\n\r\n")
    assert b" 404 " in head.partition(b"\r\n")[0], head
    assert json.loads(told)["code"] == "not-found"
