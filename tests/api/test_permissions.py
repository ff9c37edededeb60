"""Who may read what, from the first request after the change that decides it."""

import json
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from domain.decider import Actor
from domain.model import Role
from domain.permissions import READS, granted
from tests.api.callers import Api, Caller, open_company, until
from tests.api.test_door import problem
from topics.messages import CommandMessage, write_command
from views import RESOURCES
from views.outcomes import OUTCOMES

LISTS = sorted(found.path for found in RESOURCES if not found.within and found is not OUTCOMES)
PERMISSION_OF = {found.path: found.permission for found in RESOURCES}


@pytest.fixture(scope="module")
def firm(world: Api) -> str:
    """A company of these tests with the admin ada and a role of its own."""
    company = f"perm-{uuid4().hex[:8]}"
    open_company(world, company, "ada")
    role = {"role": "storekeeper", "permissions": ["part.read", "part.receive-stock"]}
    assert world.user("ada", company).do("roles", role).status_code == 201
    return company


@pytest.fixture
def ada(world: Api, firm: str) -> Caller:
    return world.user("ada", firm)


def person(world: Api, firm: str, *roles: str) -> tuple[str, Caller]:
    """Somebody new, who has just been added."""
    name = f"p-{uuid4().hex[:8]}"
    body = {"user_id": name, "name": name, "email": f"{name}@example.com", "roles": list(roles)}
    assert world.user("ada", firm).do("users", body).status_code == 201
    return name, world.user(name, firm)


# --- roles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
def test_every_built_in_role_reads_everything_but_who_did_what(world: Api, firm: str, role: Role) -> None:
    _, caller = person(world, firm, role)
    audit = {"audit": 200 if role is Role.ADMIN else 403}
    assert {path: caller.get(path).status_code for path in LISTS} == dict.fromkeys(LISTS, 200) | audit


def test_a_role_of_the_company_s_own_reads_what_it_lists(world: Api, firm: str, ada: Caller) -> None:
    _, keeper = person(world, firm, "storekeeper")
    for path in LISTS:
        if PERMISSION_OF[path] == "part.read":
            assert keeper.get(path).status_code == 200
        else:
            refused = problem(keeper.get(path), 403, "forbidden")
            assert PERMISSION_OF[path] in refused["detail"]
    for path in ("equipment/EX-0", "equipment/EX-0/history", "equipment/EX-0/diff?from=2026-01-01T00:00Z", "users/ada"):
        problem(keeper.get(path), 403, "forbidden")
    assert keeper.get("commands").status_code == 200  # everybody sees what became of their own commands


def test_whoever_is_no_user_of_the_company_reads_nothing(world: Api, firm: str) -> None:
    for path in (*LISTS, "me", "commands", f"commands/{uuid4()}"):
        problem(world.user("stranger", firm).get(path), 403, "actor-unknown")
        problem(world.user("ada", "no-such-company").get(path), 403, "actor-unknown")
    problem(world.user("stranger", firm).post(f"commands/{uuid4()}/undo", {}), 403, "actor-unknown")


# --- changes --------------------------------------------------------------------------------------------------------


def test_who_was_deactivated_is_refused_on_the_next_read(world: Api, firm: str, ada: Caller) -> None:
    for _ in range(10):
        name, caller = person(world, firm, "viewer")
        assert caller.get("equipment").status_code == 200
        assert ada.do(f"users/{name}/deactivate", {"reason": "left"}).status_code == 200
        problem(caller.get("equipment"), 403, "actor-unknown")
        assert ada.do(f"users/{name}/reactivate", {}).status_code == 200
        assert caller.get("equipment").status_code == 200


def test_who_has_another_role_reads_by_it_on_the_next_read(world: Api, firm: str, ada: Caller) -> None:
    name, caller = person(world, firm, "viewer")
    assert caller.get("equipment").status_code == 200
    assert ada.do(f"users/{name}/change-user-roles", {"roles": ["storekeeper"]}).status_code == 200
    problem(caller.get("equipment"), 403, "forbidden")
    ada.do("roles/storekeeper/change", {"permissions": ["part.read", "part.receive-stock", "equipment.read"]})
    assert caller.get("equipment").status_code == 200
    ada.do("roles/storekeeper/change", {"permissions": ["part.read", "part.receive-stock"]})
    problem(caller.get("equipment"), 403, "forbidden")


def test_the_same_holds_for_changes_in_bulk(world: Api, firm: str, ada: Caller) -> None:
    name, caller = person(world, firm, "viewer")
    assert caller.get("equipment").status_code == 200
    order = {"command": "user.deactivate", "data": {"user_id": name, "reason": "left"}}
    assert ada.do("bulk", {"commands": [order]}).json()["outcomes"][0]["status"] == "accepted"
    problem(caller.get("equipment"), 403, "actor-unknown")


def test_people_of_a_suspended_company_read_nothing_until_it_goes_on(world: Api) -> None:
    company = f"susp-{uuid4().hex[:8]}"
    open_company(world, company, "ada")
    ada, operator = world.user("ada", company), world.operator()
    assert ada.get("equipment").status_code == 200
    assert operator.do(f"companies/{company}/suspend", {"reason": "unpaid"}).status_code == 200
    assert "suspended" in problem(ada.get("equipment"), 403, "not-permitted")["detail"]
    problem(ada.get("me"), 403, "not-permitted")
    assert operator.do(f"companies/{company}/reactivate", {}).status_code == 200
    assert ada.get("equipment").status_code == 200


def test_a_change_that_came_by_kafka_counts_as_soon_as_its_event_is_there(world: Api, firm: str) -> None:
    name, caller = person(world, firm, "viewer")
    assert caller.get("equipment").status_code == 200
    order(world, firm, name)
    until(lambda: caller.get("equipment").status_code == 403, "the event has emptied what was remembered", 60)


def order(world: Api, company: str, name: str) -> None:
    """Deactivate somebody without asking this API."""
    data = json.dumps({"user_id": name, "reason": "left"}).encode()
    kind = "com.bitcorp.erp.user.deactivate-user.v1"
    command = CommandMessage(
        str(uuid4()), kind, company, "user", name, Actor("user", "ada"), data, correlation_id="by-kafka"
    )
    key, value, headers = write_command(command)
    producer = Producer({"bootstrap.servers": world.settings.kafka, "partitioner": "murmur2_random"})
    producer.produce(f"{world.settings.prefix}.commands", value, key, headers=list(headers))
    assert producer.flush(20) == 0


# --- /me ------------------------------------------------------------------------------------------------------------


def test_everybody_is_told_who_they_are_and_what_they_may_do(world: Api, firm: str, ada: Caller) -> None:
    told: dict[str, Any] = ada.get("me").json()
    assert (told["actor"], told["company_id"], told["roles"]) == ("user:ada", firm, ["admin"])
    assert set(told["permissions"]) == granted(["admin"])
    assert told["expires_at"].endswith("Z")
    _, keeper = person(world, firm, "storekeeper")
    assert set(keeper.get("me").json()["permissions"]) == {"part.read", "part.receive-stock"}
    _, viewer = person(world, firm, "viewer")
    assert set(viewer.get("me").json()["permissions"]) == READS


def test_an_operator_is_told_the_commands_of_operators(world: Api) -> None:
    told = world.operator().get("me").json()
    assert (told["company_id"], told["roles"]) == (None, ["operator"])
    assert set(told["permissions"]) == {"company.create", "company.suspend", "company.reactivate"}


def test_what_a_page_is_told_is_what_the_lane_decides(world: Api, firm: str) -> None:
    _, viewer = person(world, firm, "viewer")
    assert "category.define" not in viewer.get("me").json()["permissions"]
    problem(viewer.do("categories", {"category_id": "cranes", "name": "Cranes"}), 403, "forbidden")
