"""What holds for the rule of every command: whom it lets send it, and that to ask twice does nothing more."""

import json

import pytest

from domain import OFFERED
from domain.company import CompanySuspended
from domain.model import Role
from domain.user import UserAddedToCompany
from tests.domain.acme import OPERATOR
from tests.domain.samples import FULL, rule, sent, story_for

OF_PEOPLE = sorted(permission for permission in FULL if rule(permission).roles)
#: Of credentials each attempt counts; their own tests say what a repeat does.
OF_COMPANIES = sorted(rule.permission for rule in OFFERED.values())
#: Sent for the second time these are refused with a code that says what is the case already.
REFUSED_TWICE = {
    "asset.undo-asset-import": "asset-unknown",
    "category.define": "category-exists",
    "company.create": "company-exists",
    "company.suspend": "company-suspended",
    "equipment.create": "equipment-exists",
    "equipment.retire": "equipment-retired",
    "equipment.return": "equipment-not-assigned",
    "equipment.void": "equipment-unknown",
    "key.create": "key-exists",
    "part.define": "part-exists",
    "plan.define": "plan-exists",
    "role.define": "role-exists",
    "role.remove": "role-unknown",
    "user.add": "user-exists",
}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("permission", OF_PEOPLE)
def test_a_command_is_for_the_roles_that_its_rule_names_and_for_no_other(permission: str, role: Role) -> None:
    somebody = UserAddedToCompany(user_id="sam", name="Sam Vega", email="sam@acme.example", roles=(role,))
    story, _ = story_for(permission)
    command = rule(permission).command.model_validate_json(sample(permission))
    answer = story.and_then([somebody]).when(command, by="user:sam")
    assert (answer.code != "forbidden") == (role in rule(permission).roles)


@pytest.mark.parametrize("permission", OF_PEOPLE)
def test_an_operator_sends_no_command_of_a_company_s_people(permission: str) -> None:
    command = rule(permission).command.model_validate_json(sample(permission))
    story_for(permission)[0].when(command, by=OPERATOR).then_rejected("forbidden")


@pytest.mark.parametrize("permission", OF_COMPANIES)
def test_a_suspended_company_takes_its_reactivation_and_nothing_else(permission: str) -> None:
    story, actor = story_for(permission)
    command = rule(permission).command.model_validate_json(sample(permission))
    answer = story.and_then([CompanySuspended(company_id="acme", reason="unpaid")]).when(command, by=actor)
    allowed = {"company.reactivate": None, "company.create": "company-exists"}
    assert answer.code == allowed.get(permission, "company-suspended")


@pytest.mark.parametrize("permission", OF_COMPANIES)
def test_asked_twice_happens_once(permission: str) -> None:
    first = sent(permission)
    assert first.code is None
    command = rule(permission).command.model_validate_json(sample(permission))
    again = first.story.when(command, by=story_for(permission)[1])
    assert (again.facts, again.code) == ((), REFUSED_TWICE.get(permission))


def sample(permission: str) -> str:
    return json.dumps(FULL[permission])
