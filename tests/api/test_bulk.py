"""Many commands at once, and commands taken back: each is decided and answered as if it had come alone."""

from typing import Any
from uuid import uuid4

import pytest

from tests.api.callers import Caller, until
from tests.api.test_door import problem

pytestmark = pytest.mark.servers

WAIT = {"Prefer": "wait=20"}


def outcomes(caller: Caller, *commands: dict[str, Any], **headers: str) -> list[dict[str, Any]]:
    answer = caller.post("bulk", {"commands": commands}, WAIT | headers)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["outcomes"]
    return found


def rename(equipment_id: str, name: str, **more: Any) -> dict[str, Any]:
    return {"command": "equipment.rename", "data": {"equipment_id": equipment_id, "name": name}, **more}


def test_commands_of_one_request_are_decided_in_their_order(ann: Caller, machine: dict[str, Any]) -> None:
    key = machine["equipment_id"]
    made = outcomes(
        ann, {"command": "equipment.create", "data": machine}, *(rename(key, f"No. {n}") for n in range(50))
    )
    assert [outcome["status"] for outcome in made] == ["accepted"] * 51
    assert [outcome["version"] for outcome in made] == list(range(1, 52))
    place = {"Consistency": f"{made[-1]['partition']}:{made[-1]['position']}"}
    assert ann.get(f"equipment/{key}", place).json()["name"] == "No. 49"


def test_each_command_has_its_own_answer(ann: Caller, machine: dict[str, Any]) -> None:
    key = machine["equipment_id"]
    found = outcomes(
        ann,
        {"command": "equipment.create", "data": machine},
        rename("no-such-machine", "x"),
        {"command": "equipment.paint", "data": {}},
        rename(key, "x", expected_version=7),
        {"command": "equipment.rename", "data": {"equipment_id": key, "name": 7, "colour": "red"}},
        {"command": "equipment.rename", "data": {"name": "of nothing"}},
        rename(key, "Seven"),
    )
    assert [(outcome["status"], outcome.get("code")) for outcome in found] == [
        ("accepted", None),
        ("rejected", "equipment-unknown"),
        ("rejected", "invalid"),
        ("rejected", "version-conflict"),
        ("rejected", "invalid"),
        ("rejected", "equipment-unknown"),
        ("accepted", None),
    ]
    assert {error["field"] for error in found[4]["errors"]} == {"name", "colour"}
    told = until(lambda: ann.get(found[1]["command"]).json().get("code"), "its outcome can be read")
    assert told == "equipment-unknown"


def test_a_repeated_request_is_done_once(ann: Caller, machine: dict[str, Any]) -> None:
    key = {"Idempotency-Key": f'"{uuid4()}"'}
    first, again = (outcomes(ann, {"command": "equipment.create", "data": machine}, **key) for _ in range(2))
    assert (first[0]["command_id"], first[0]["first"]) == (again[0]["command_id"], again[0]["first"])


def test_a_thousand_commands_are_taken_at_once_and_each_is_done_once(ann: Caller, machine: dict[str, Any]) -> None:
    renamed = [rename(machine["equipment_id"], f"No. {n}") for n in range(999)]
    body = {"commands": [{"command": "equipment.create", "data": machine}, *renamed]}
    key = {"Idempotency-Key": f'"{uuid4()}"'}

    def decided() -> list[dict[str, Any]] | None:
        answer = ann.post("bulk", body, WAIT | key)
        assert answer.status_code in (200, 202), answer.text
        return answer.json()["outcomes"] if answer.status_code == 200 else None

    found = until(decided, "all have been decided")
    assert {outcome["status"] for outcome in found} == {"accepted"}
    assert [outcome["version"] for outcome in found] == list(range(1, 1001))
    place = {"Consistency": f"{found[-1]['partition']}:{found[-1]['position']}"}
    last = ann.get(f"equipment/{machine['equipment_id']}", place).json()
    assert (last["name"], last["version"]) == ("No. 998", 1000)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"commands": []},
        {"commands": [{"command": "equipment.rename"}]},
        {"commands": [{"command": "equipment.rename", "data": {}, "id": "x"}]},
        {"commands": [{"command": "equipment.rename", "data": {}}] * 1001},
        {"commands": [{"command": "equipment.rename", "data": {}, "expected_version": -1}]},
    ],
    ids=("nothing", "no commands", "no data", "unknown field", "too many", "no version"),
)
def test_a_request_that_holds_no_commands_is_refused_as_a_whole(ann: Caller, body: dict[str, Any]) -> None:
    assert problem(ann.post("bulk", body), 422, "invalid")["errors"]


# -- taken back ------------------------------------------------------------------------------------------------------


def sent(caller: Caller, path: str, body: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The id of an accepted command, and the position from which it can be read."""
    answer = caller.do(path, body)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()["command_id"], {"Consistency": answer.headers["Consistency"]}


def test_a_command_is_taken_back_by_the_inverse_of_its_events(ann: Caller, machine: dict[str, Any]) -> None:
    made, _ = sent(ann, "equipment", machine)
    place = f"equipment/{machine['equipment_id']}"
    renamed, position = sent(ann, f"{place}/rename", {"name": "Seven"})
    (back,) = ann.post(f"commands/{renamed}/undo", None, WAIT | position).json()["outcomes"]
    assert back["status"] == "accepted"
    position = {"Consistency": f"{back['partition']}:{back['position']}"}
    assert ann.get(place, position).json()["name"] == machine["name"]
    (gone,) = ann.post(f"commands/{made}/undo", None, WAIT | position).json()["outcomes"]
    assert gone["status"] == "accepted"
    position = {"Consistency": f"{gone['partition']}:{gone['position']}"}
    assert ann.get(place, position).status_code == 404


def test_asking_twice_to_take_a_command_back_does_it_once(ann: Caller, machine: dict[str, Any]) -> None:
    sent(ann, "equipment", machine)
    lent, position = sent(
        ann, f"equipment/{machine['equipment_id']}/assign", {"assignee": {"kind": "place", "id": "pit"}}
    )
    first, again = (ann.post(f"commands/{lent}/undo", None, WAIT | position).json()["outcomes"][0] for _ in range(2))
    assert (first["status"], first["first"]) == (again["status"], again["first"]) == ("accepted", first["first"])


def test_what_has_changed_since_is_refused_with_its_reason(ann: Caller, machine: dict[str, Any]) -> None:
    sent(ann, "equipment", machine)
    place = f"equipment/{machine['equipment_id']}"
    renamed, _ = sent(ann, f"{place}/rename", {"name": "Seven"})
    _, position = sent(ann, f"{place}/rename", {"name": "Eight"})
    (back,) = ann.post(f"commands/{renamed}/undo", None, WAIT | position).json()["outcomes"]
    assert (back["status"], back["code"]) == ("rejected", "changed-since")


def test_what_no_command_can_take_back_is_said_so(ann: Caller, machine: dict[str, Any]) -> None:
    sent(ann, "equipment", machine)
    retired, position = sent(ann, f"equipment/{machine['equipment_id']}/retire", {"reason": "sold"})
    said = problem(ann.post(f"commands/{retired}/undo", None, position), 409, "not-undoable")
    assert "EquipmentRetired" in said["detail"]


def test_commands_of_another_company_or_of_nobody_are_not_there(
    gus: Caller, ann: Caller, machine: dict[str, Any]
) -> None:
    made, _ = sent(ann, "equipment", machine)
    problem(gus.post(f"commands/{made}/undo", None), 404, "command-unknown")
    problem(ann.post(f"commands/{uuid4()}/undo", None), 404, "command-unknown")
    problem(ann.post("commands/x/undo", None), 404, "command-unknown")
