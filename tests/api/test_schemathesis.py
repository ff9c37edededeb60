"""Requests made up from the OpenAPI document against the running API, by people of each role and by nobody: answers
must be as the document says, and what a role does not permit is refused."""

import re
from copy import deepcopy
from functools import cache
from uuid import uuid4

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from api import headers, openapi
from api.commands import path_of
from domain import OFFERED
from domain.company import company
from domain.model import Role
from tests.api.callers import Api, Caller, until

pytestmark = pytest.mark.servers

LESSER = (Role.MANAGER, Role.TECHNICIAN, Role.VIEWER)
#: How many requests of each operation are made up for whom.
EXAMPLES = {"admin": 12, "nobody": 2} | {role.value: 2 for role in LESSER}

PATHS = openapi.document()["paths"]
OPERATIONS = [(path, method) for path, item in PATHS.items() for method in item]
NEED_A_TOKEN = {(path, method) for path, method in OPERATIONS if PATHS[path][method].get("security") != []}

#: No schema can tell whether a tax number, a time zone or the version in `If-Match` is right.
NOT_TOLD_BY_A_SCHEMA = [positive_data_acceptance]


@cache
def contract() -> schemathesis.BaseSchema:
    """Read when a test runs, not where each process of the test run collects them. Without tokens: requests are sent
    with a right one in the place of what would be made up; `test_tenants` sends each without."""
    document = deepcopy(openapi.document()) | {"security": []}  # there is one for all
    for operation in (found for item in document["paths"].values() for found in item.values()):
        operation.pop("security", None)
    return schemathesis.openapi.from_dict(document)


def requests(path: str, method: str) -> SearchStrategy[schemathesis.Case]:
    """Requests of the operation that keep to its schema, and such that do not."""
    operation = contract()[path][method]
    right, wrong = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)
    return right | wrong


@pytest.fixture(scope="module")
def people(world: Api) -> dict[str, Caller]:
    """Somebody of each built-in role, and nobody."""
    ann, found = world.user("ann"), {"admin": world.user("ann"), "nobody": world.nobody()}
    for role in LESSER:
        name = f"{role}-{uuid4().hex[:8]}"
        body = {"user_id": name, "name": role.title(), "email": f"{name}@example.com", "roles": [role.value]}
        added = ann.do("users", body)
        assert added.status_code == 201, added.text
        found[role.value] = world.user(name)
        until(lambda caller=found[role.value]: caller.get("me").status_code == 200, "the views know them")
    return found


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_operation_keeps_its_contract(path: str, method: str, people: dict[str, Caller]) -> None:
    made_up = requests(path, method)  # which takes longer than sending them
    for who, caller in people.items():
        keeps_its_contract(made_up, caller, EXAMPLES[who], open_to_all=(path, method) not in NEED_A_TOKEN)


def keeps_its_contract(
    made_up: SearchStrategy[schemathesis.Case], caller: Caller, examples: int, *, open_to_all: bool
) -> None:
    sent = {"Prefer": "wait=0"} | ({"Authorization": f"Bearer {caller.token}"} if caller.token else {})

    @given(case=made_up)
    @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def kept(case: schemathesis.Case) -> None:
        if headers.POSITION.fullmatch((case.headers or {}).get("Consistency", "")):
            case.headers["Consistency"] = "0:1"  # a position that is reached, else 503 would be right
        answer = case.call_and_validate(base_url=caller.url, headers=sent, excluded_checks=NOT_TOLD_BY_A_SCHEMA)
        assert caller.token or open_to_all or answer.status_code >= 400, answer.text

    kept()


@pytest.mark.parametrize("role", LESSER)
def test_every_command_that_a_role_does_not_permit_is_forbidden(role: Role, people: dict[str, Caller]) -> None:
    """With a right body, so that nothing else is wrong with it."""
    for rule in OFFERED.values():
        if role in rule.roles or rule.operators or rule.systems:
            continue
        path = path_of(rule)
        body = PATHS[path]["post"].get("requestBody", {}).get("content", {}).get("application/json", {})
        address = re.sub(r"{\w+}", "acme" if rule.decider is company else "ex-0", path)
        answer = people[role.value].do(address, body.get("example", {}))
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), f"{rule.permission}: {answer.text}"
