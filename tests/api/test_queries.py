"""Views over HTTP: lists, details, and reading one's own writes."""

import csv
import gzip
import io
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
import requests
import uuid_utils.compat

from api.queries import YOUNG_SECONDS, Sightings
from tests.api.callers import ROOT, Api, Caller, until
from tests.api.test_door import problem
from views import RESOURCES


@pytest.fixture(scope="module")
def fleet(world: Api) -> tuple[Caller, list[str], dict[str, str]]:
    """A company of twelve machines, its admin, the machines' ids in the order of their names, and its position."""
    company = f"fleet-{uuid4().hex[:8]}"
    admin = {"user_id": "flo", "name": "Flo", "email": "flo@example.com"}
    opened = {"company_id": company, "name": company, "time_zone": "UTC", "currency": "USD", "admin": admin}
    assert world.operator().do("companies", opened).status_code == 201
    flo = world.user("flo", company)
    assert flo.do("categories", {"category_id": "excavators", "name": "Excavators"}).status_code == 201
    machines = [f"M-{number:02}" for number in range(12)]
    for number, name in enumerate(machines):
        machine = {"equipment_id": name, "name": f"={name}", "category_id": "excavators", "in_service_on": "2024-02-12"}
        last = flo.do("equipment", machine | {"serial_number": f"EQ-2024-EX-{number:06}"})
        assert last.status_code == 201, last.text
    return flo, machines, {"Consistency": last.headers["Consistency"]}


def ids(answer: requests.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["equipment_id"] for item in answer.json()["items"]]


def test_what_was_just_written_can_be_read_without_sleeping(ann: Caller, machine: dict[str, Any]) -> None:
    made = ann.do("equipment", machine)
    position = {"Consistency": made.headers["Consistency"]}
    found = ann.get(made.headers["Location"], position)
    assert (found.status_code, found.json()["name"]) == (200, machine["name"])
    renamed = ann.do(f"equipment/{machine['equipment_id']}/rename", {"name": "Seven"})
    assert ann.get(made.headers["Location"], {"Consistency": renamed.headers["Consistency"]}).json()["name"] == "Seven"
    history = ann.get(f"{made.headers['Location']}/history", {"Consistency": renamed.headers["Consistency"]})
    assert [item["event"] for item in history.json()["items"]] == ["EquipmentRenamed", "EquipmentCreated"]


def test_a_position_that_is_not_reached_in_time_is_answered_by_503(ann: Caller) -> None:
    answer = ann.get("equipment", {"Consistency": "0:999999999", "Prefer": "wait=1"})
    assert "fleet" in problem(answer, 503, "views-behind")["detail"]
    assert answer.headers["Retry-After"].isdigit()


def test_a_refusal_leads_to_a_position_that_is_reached(ann: Caller, machine: dict[str, Any]) -> None:
    refused = ann.do("equipment/EX-0/rename", {"name": "x"})
    assert ann.get("equipment", {"Consistency": refused.headers["Consistency"]}).status_code == 200


def test_pages_follow_one_another_and_stay_stable_while_machines_are_added(
    fleet: tuple[Caller, list[str], dict[str, str]],
) -> None:
    flo, machines, position = fleet
    seen: list[str] = []
    page = flo.get("equipment", position, limit=5)
    for _ in range(3):
        assert page.json()["limit"] == 5
        seen += ids(page)
        if following := page.json().get("next"):
            assert page.headers["Link"] == f'<{following}>; rel="next"'
            page = flo.get(following)
    assert seen == machines
    assert "next" not in page.json()


def test_lists_are_sorted_filtered_searched_and_counted(fleet: tuple[Caller, list[str], dict[str, str]]) -> None:
    flo, machines, position = fleet
    assert ids(flo.get("equipment", position, sort="-serial_number", limit=3)) == machines[:-4:-1]
    assert ids(flo.get("equipment", serial_number="EQ-2024-EX-000007")) == ["M-07"]
    assert ids(flo.get("equipment", q="m-0", limit=200)) == machines[:10]
    counted = flo.get("equipment", status="ACTIVE", total="true", limit=1).json()
    assert (counted["total"], counted["total_is_capped"], len(counted["items"])) == (12, False, 1)
    assert "total" not in flo.get("equipment").json()


def test_a_list_shows_the_fields_that_are_asked_for(fleet: tuple[Caller, list[str], dict[str, str]]) -> None:
    flo, machines, position = fleet
    items = flo.get("equipment", position, fields="equipment_id,version", limit=1).json()["items"]
    assert items == [{"equipment_id": machines[0], "version": 1}]


@pytest.mark.parametrize(
    "path", ["equipment", "equipment/EX-7", "commands", "commands/0197c7a8-5f6e-7d3a-9b1c-2d3e4f5a6b7c"]
)
def test_an_unknown_parameter_is_refused(door: Api, path: str) -> None:
    body = problem(door.user("ann").get(path, colour="red"), 400, "bad-parameters")
    assert body["errors"] == [{"parameter": "colour", "code": "unknown", "detail": "there is no such parameter"}]


def test_every_wrong_parameter_is_named_at_once(door: Api) -> None:
    query = {"limit": "900", "sort": "colour", "status": "BROKEN", "cursor": "%%%", "total": "perhaps", "x": "\x00"}
    body = problem(door.user("ann").get("equipment", **query), 400, "bad-parameters")
    assert {error["parameter"] for error in body["errors"]} == set(query)
    assert "200" in next(error["detail"] for error in body["errors"] if error["parameter"] == "limit")


def test_a_cursor_of_another_list_is_refused(fleet: tuple[Caller, list[str], dict[str, str]]) -> None:
    flo, _, position = fleet
    following = flo.get("equipment", position, limit=5).json()["next"]
    cursor = parse_qs(urlsplit(following).query)["cursor"][0]
    body = problem(flo.get("equipment", cursor=cursor, sort="-name"), 400, "bad-parameters")
    assert body["errors"][0]["code"] == "cursor-mismatch"


def test_an_etag_says_version_and_content_and_spares_the_second_reading(
    fleet: tuple[Caller, list[str], dict[str, str]],
) -> None:
    flo, machines, position = fleet
    first = flo.get(f"equipment/{machines[1]}", position)
    assert first.headers["ETag"].startswith('"1-')
    for known in (first.headers["ETag"], f'"0-aa", W/{first.headers["ETag"]}', "*"):
        again = flo.get(f"equipment/{machines[1]}", {"If-None-Match": known})
        assert (again.status_code, again.text, again.headers["ETag"]) == (304, "", first.headers["ETag"])
    assert flo.get(f"equipment/{machines[1]}", {"If-None-Match": '"1-00"'}).status_code == 200


def test_the_etag_of_a_machine_guards_its_next_change(fleet: tuple[Caller, list[str], dict[str, str]]) -> None:
    flo, machines, position = fleet
    seen = flo.get(f"equipment/{machines[2]}", position).headers["ETag"]
    renamed = flo.do(f"equipment/{machines[2]}/rename", {"name": f"={machines[2]} "}, {"If-Match": seen})
    assert renamed.status_code == 200
    assigned = {"assignee": {"kind": "place", "id": "pit"}}
    changed = flo.do(f"equipment/{machines[2]}/assign", assigned)
    problem(flo.do(f"equipment/{machines[2]}/return", {}, {"If-Match": seen}), 412, "version-conflict")
    assert flo.do(f"equipment/{machines[2]}/return", {}, {"If-Match": changed.headers["ETag"]}).status_code == 200


def test_head_says_what_get_would(fleet: tuple[Caller, list[str], dict[str, str]]) -> None:
    flo, machines, position = fleet
    for path in ("equipment", f"equipment/{machines[0]}", "/health", "/openapi.json"):
        got, head = flo.request("GET", path, position), flo.request("HEAD", path, position)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("Content-Type", "ETag", "Cache-Control"):
            assert head.headers.get(name) == got.headers.get(name)


def test_a_long_list_is_compressed_where_the_caller_takes_it(
    fleet: tuple[Caller, list[str], dict[str, str]],
) -> None:
    flo, _, position = fleet
    url = f"{flo.url}{ROOT}/equipment"
    headers = {"Authorization": f"Bearer {flo.token}", **position}
    with requests.get(url, headers=headers | {"Accept-Encoding": "gzip"}, stream=True, timeout=60) as packed:
        assert packed.headers["Content-Encoding"] == "gzip"
        unpacked = gzip.decompress(packed.raw.read())
    plain = requests.get(url, headers=headers | {"Accept-Encoding": "gzip;q=0"}, timeout=60)
    assert "Content-Encoding" not in plain.headers
    assert plain.headers["Vary"] == "Accept-Encoding"
    assert unpacked == plain.content


def test_a_list_is_csv_where_that_is_asked_for(fleet: tuple[Caller, list[str], dict[str, str]]) -> None:
    flo, machines, position = fleet
    answer = flo.get("equipment", position | {"Accept": "text/csv"}, limit=2)
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert 'rel="next"' in answer.headers["Link"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["equipment_id"] for row in rows] == machines[:2]
    assert rows[0]["name"] == f"'={machines[0]}"  # no spreadsheet runs it
    assert (rows[0]["category.name"], rows[0]["assignee.id"]) == ("Excavators", "")


def test_what_belongs_to_one_company_is_not_there_for_another(
    fleet: tuple[Caller, list[str], dict[str, str]], gus: Caller
) -> None:
    flo, machines, position = fleet
    company = flo.get("companies", position).json()["items"][0]["company_id"]
    mine = {"company_id": company, "user_id": "flo", "category_id": "excavators", "equipment_id": machines[0]}
    for resource in RESOURCES:
        if resource.item_path and set(resource.keys) <= mine.keys():
            path = resource.item_path.format(**mine)
            own, other = flo.get(path), gus.get(path)
            assert own.status_code == 200, path
            assert other.status_code == 404 or other.json() != own.json(), path
            if other.status_code == 404:
                problem(other, 404, "not-found")
    problem(gus.get(f"equipment/{machines[0]}/history"), 404, "not-found")
    assert not set(machines) & set(ids(gus.get("equipment", limit=200)))
    assert [item["company_id"] for item in gus.get("companies").json()["items"]] == ["globex"]


def test_a_command_is_shown_to_its_sender_alone(world: Api, ann: Caller, gus: Caller, machine: dict[str, Any]) -> None:
    command = ann.do("equipment", machine).json()["command"]
    until(lambda: ann.get(command).json()["status"] == "accepted", "the sender reads it")
    for other in (world.user("bob"), gus, world.operator()):
        answer = other.get(command)
        assert "aggregate_id" not in answer.text
        assert answer.json().get("status", 404) in ("pending", 403, 404)  # bob is nobody here
    assert all(item["actor"] == "user:ann" for item in ann.get("commands").json()["items"])
    problem(world.user("bob").get("commands"), 403, "actor-unknown")


def test_a_parameter_without_a_name_is_one_too_many(ann: Caller) -> None:
    problem(ann.get(f"commands/{uuid_utils.compat.uuid7()}?=true"), 400, "bad-parameters")


def test_a_command_that_nobody_has_seen_is_pending_while_it_is_young(ann: Caller) -> None:
    young, old = uuid_utils.compat.uuid7(), UUID("0197c7a8-5f6e-7d3a-9b1c-2d3e4f5a6b7d")
    answer = ann.get(f"commands/{young}")
    assert (answer.status_code, answer.json()) == (200, {"command_id": str(young), "status": "pending"})
    assert answer.headers["Retry-After"].isdigit()
    problem(ann.get(f"commands/{old}"), 404, "command-unknown")
    problem(ann.get("commands/42"), 404, "command-unknown")


def test_an_id_that_does_not_tell_its_time_is_young_from_the_first_sight_on() -> None:
    sightings, command, now = Sightings(), uuid4(), time.time()
    assert sightings.is_young("acme", command, now)
    assert sightings.is_young("acme", command, now + YOUNG_SECONDS - 1)
    assert not sightings.is_young("acme", command, now + YOUNG_SECONDS + 1)


# -- the past --------------------------------------------------------------------------------------------------------


def test_a_machine_can_be_asked_for_as_it_was_known_and_as_it_was_true(ann: Caller, machine: dict[str, Any]) -> None:
    made = ann.do("equipment", machine)
    place = made.headers["Location"]
    known = ann.get(place, {"Consistency": made.headers["Consistency"]}).json()
    renamed = ann.do(f"equipment/{machine['equipment_id']}/rename", {"name": "Seven"})
    position = {"Consistency": renamed.headers["Consistency"]}
    assert ann.get(place, position, as_of=known["updated_at"]).json() == known
    assert ann.get(place, position, valid_at="2200-01-01T00:00Z").status_code == 400
    assert ann.get(place, position, as_of="2024-01-01T00:00Z").status_code == 404
    now = ann.get(place, position).json()
    assert ann.get(place, position, as_of=now["updated_at"]).json() == now
    listed = ann.get("equipment", position, as_of=known["updated_at"], limit=200).json()["items"]
    assert known in listed
    difference = ann.get(f"{place}/diff", position, **{"from": known["updated_at"]}).json()["changes"]
    assert {change["field"]: change["to"] for change in difference} == {
        name: now[name] for name in ("name", "updated_at", "version")
    }


@pytest.fixture
def book(ann: Caller, machine: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """A machine in its financial book with two periods posted: the path of the book, and the position of all that."""
    assert ann.do("equipment", machine).status_code == 201
    place = f"equipment/{machine['equipment_id']}"
    sol = {"currency": "PEN"}
    terms = {
        "book": "FINANCIAL",
        "plan": {"method": "STRAIGHT_LINE", "life_months": 120},
        "cost": {"amount": "120000.00"} | sol,
        "salvage": {"amount": "12000.00"} | sol,
        "available_on": "2024-03-01",
    }
    last = ann.do(f"{place}/set-depreciation", terms)
    for period in ("2024-03", "2024-04"):
        assert last.status_code == 200, last.text
        last = ann.do(f"{place}/post-depreciation", {"book": "FINANCIAL", "period": period})
    return f"{place}/books/FINANCIAL", {"Consistency": last.headers["Consistency"]}


@pytest.mark.parametrize(
    ("day", "value"),
    [
        ("2024-03-01T05:00Z", "120000.00"),
        ("2024-03-31T05:00Z", "119100.00"),
        ("2024-04-30T05:00Z", "118200.00"),
        ("2026-01-01T00:00Z", "118200.00"),
    ],
)
def test_a_book_can_be_asked_for_its_value_on_any_day(
    ann: Caller, book: tuple[str, dict[str, str]], day: str, value: str
) -> None:
    place, position = book
    known = ann.get(place, position).json()["updated_at"]
    assert ann.get(place, position, as_of=known, valid_at=day).json()["value"]["amount"] == value
    assert ann.get(place, position, valid_at=day).json()["value"]["amount"] == value


def test_a_book_can_be_asked_for_as_it_was_known(
    ann: Caller, book: tuple[str, dict[str, str]], machine: dict[str, Any]
) -> None:
    place, position = book
    known = ann.get(place, position).json()
    posted = ann.do(place.replace("books/FINANCIAL", "post-depreciation"), {"book": "FINANCIAL", "period": "2024-05"})
    position = {"Consistency": posted.headers["Consistency"]}
    assert ann.get(place, position).json()["value"]["amount"] == "117300.00"
    assert ann.get(place, position, as_of=known["updated_at"]).json() == known
    assert ann.get(place, position, as_of=known["updated_at"], valid_at="2024-05-31T05:00Z").json() == known
    listed = ann.get("books", position, as_of=known["updated_at"], equipment_id=machine["equipment_id"]).json()
    assert listed["items"] == [known]
    problem(ann.get(place, position, as_of="2024-01-01T00:00Z"), 404, "not-found")
    problem(ann.get(place, position, valid_at="2024-02-01T00:00Z"), 404, "not-found")


def test_a_difference_from_before_there_was_anything_is_all_of_it(ann: Caller, machine: dict[str, Any]) -> None:
    made = ann.do("equipment", machine)
    position, place = {"Consistency": made.headers["Consistency"]}, made.headers["Location"]
    changes = ann.get(f"{place}/diff", position, **{"from": "2020-01-01T00:00Z"}).json()["changes"]
    assert {"field": "name", "from": None, "to": machine["name"]} in changes
    nothing = {"from": "2020-01-01T00:00Z", "to": "2020-01-02T00:00Z"}
    problem(ann.get(f"{place}/diff", position, **nothing), 404, "not-found")


@pytest.mark.parametrize(
    ("path", "query", "named"),
    [
        ("equipment", {"as_of": "yesterday"}, "as_of"),
        ("equipment", {"as_of": "2026-03-31T00:00Z", "sort": "serial_number"}, "sort"),
        ("equipment", {"as_of": "2026-03-31T00:00Z", "q": "x"}, "q"),
        ("users", {"as_of": "2026-03-31T00:00Z"}, "as_of"),
        ("equipment/EX-7", {"valid_at": "2026-03-31"}, "valid_at"),
        ("books", {"as_of": "yesterday"}, "as_of"),
        ("books", {"as_of": "2026-03-31T00:00Z", "sort": "value"}, "sort"),
        ("equipment/EX-7/books/TAX", {"valid_at": "2026-03-31"}, "valid_at"),
        ("book-entries", {"as_of": "2026-03-31T00:00Z"}, "as_of"),
        ("equipment/EX-7", {"colour": "red"}, "colour"),
        ("equipment/EX-7/diff", {}, "from"),
        ("equipment/EX-7/diff", {"from": "2026-03-31T00:00Z", "to": "2026-03-30T00:00Z"}, "to"),
        ("equipment/EX-7/diff", {"from": "2026-03-31T00:00Z", "to": "x"}, "to"),
        ("equipment/EX-7/diff", {"from": "2026-03-31T00:00Z", "since": "x"}, "since"),
    ],
)
def test_a_wrong_question_about_the_past_names_its_parameter(
    ann: Caller, path: str, query: dict[str, str], named: str
) -> None:
    faults = problem(ann.get(path, **query), 400, "bad-parameters")["errors"]
    assert [fault["parameter"] for fault in faults] == [named]
