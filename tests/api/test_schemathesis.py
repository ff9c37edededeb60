"""Requests made up from the OpenAPI document against the running API: answers must be as the document says."""

from functools import cache

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from api import headers, openapi
from tests.api.callers import Api

pytestmark = pytest.mark.servers

OPERATIONS = [(path, method) for path, item in openapi.document()["paths"].items() for method in item]

#: No schema can tell whether a tax number, a time zone or the version in `If-Match` is right.
NOT_TOLD_BY_A_SCHEMA = [positive_data_acceptance]


@cache
def contract() -> schemathesis.BaseSchema:
    """Read when a test runs, not where each process of the test run collects them. Without tokens: requests are sent
    with a right one in the place of what would be made up; `test_tenants` sends each without."""
    document = openapi.document() | {"security": []}
    for operation in (found for item in document["paths"].values() for found in item.values()):
        operation.pop("security", None)
    return schemathesis.openapi.from_dict(document)


def requests(path: str, method: str) -> SearchStrategy[schemathesis.Case]:
    """Requests of the operation that keep to its schema, and such that do not."""
    operation = contract()[path][method]
    right, wrong = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)
    return right | wrong


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_operation_keeps_its_contract(path: str, method: str, world: Api) -> None:
    @given(case=requests(path, method))
    @settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def kept(case: schemathesis.Case) -> None:
        if headers.POSITION.fullmatch((case.headers or {}).get("Consistency", "")):
            case.headers["Consistency"] = "0:1"  # a position that is reached, else 503 would be right
        case.call_and_validate(
            base_url=world.url,
            headers={"Authorization": f"Bearer {world.user('ann').token}", "Prefer": "wait=0"},
            excluded_checks=NOT_TOLD_BY_A_SCHEMA,
        )

    kept()
