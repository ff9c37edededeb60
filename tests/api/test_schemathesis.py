"""Requests made up from the OpenAPI document against the running API: answers must be as the document says."""

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from api import headers, openapi
from tests.api.callers import Api

pytestmark = pytest.mark.servers

contract = schemathesis.openapi.from_dict(openapi.document())

#: No schema can tell whether a tax number, a time zone or the version in `If-Match` is right.
NOT_TOLD_BY_A_SCHEMA = [positive_data_acceptance]


@contract.parametrize()
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_operation_keeps_its_contract(case: schemathesis.Case, world: Api) -> None:
    if headers.POSITION.fullmatch((case.headers or {}).get("Consistency", "")):
        case.headers["Consistency"] = "0:1"  # a position that is reached, else 503 would be right
    case.call_and_validate(
        base_url=world.url,
        headers={"Authorization": f"Bearer {world.user('ann').token}", "Prefer": "wait=0"},
        excluded_checks=NOT_TOLD_BY_A_SCHEMA,
    )
