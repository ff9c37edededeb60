"""People are added with roles; an e-mail address belongs to one of them."""

import pytest

from domain.category import DefineCategory
from domain.model import Role
from domain.user import AddUser, UserAddedToCompany
from tests.domain.acme import ACME, ADA, MAX, OPERATOR, TESS, VIC
from tests.domain.scenario import given

NINA = {"user_id": "nina", "name": "Nina Soto", "email": "nina@acme.example"}


def add(*roles: Role, **changes: str) -> AddUser:
    return AddUser(**NINA | changes, roles=roles or (Role.TECHNICIAN,))


@pytest.mark.parametrize("actor", [ADA, MAX])
def test_an_admin_or_a_manager_adds_a_technician(actor: str) -> None:
    given(ACME).when(add(), by=actor).then(UserAddedToCompany(**NINA, roles=(Role.TECHNICIAN,)))


@pytest.mark.parametrize("actor", [TESS, VIC, OPERATOR])
def test_nobody_else_adds_people(actor: str) -> None:
    given(ACME).when(add(), by=actor).then_rejected("forbidden")


def test_an_admin_adds_an_admin_who_may_act_at_once() -> None:
    story = (
        given(ACME).when(add(Role.ADMIN, Role.VIEWER)).then(UserAddedToCompany(**NINA, roles=(Role.ADMIN, Role.VIEWER)))
    )
    story.when(add(Role.ADMIN, user_id="otto", email="otto@acme.example"), by="user:nina").then(
        UserAddedToCompany(user_id="otto", name="Nina Soto", email="otto@acme.example", roles=(Role.ADMIN,))
    )


def test_a_manager_adds_no_admin() -> None:
    given(ACME).when(add(Role.TECHNICIAN, Role.ADMIN), by=MAX).then_rejected("only-admins-add-admins")


def test_added_twice_is_refused_the_second_time() -> None:
    given(ACME).when(add()).then(UserAddedToCompany(**NINA, roles=(Role.TECHNICIAN,))).when(add()).then_rejected(
        "user-exists"
    )


@pytest.mark.parametrize("email", ["tess@acme.example", "TESS@Acme.Example"])
def test_an_address_belongs_to_one_person_whatever_its_case(email: str) -> None:
    given(ACME).when(add(email=email)).then_rejected("email-taken")


def test_an_address_of_another_company_is_free() -> None:
    given(ACME).when(add(email="tess@other.example")).then(
        UserAddedToCompany(**NINA | {"email": "tess@other.example"}, roles=(Role.TECHNICIAN,))
    )


@pytest.mark.parametrize("roles", ["[]", '["boss"]', '["viewer", "viewer"]', '"viewer"', "null", '[["viewer"]]'])
def test_roles_are_known_ones_each_once(roles: str) -> None:
    sent = b'{"user_id": "nina", "name": "Nina", "email": "nina@acme.example", "roles": %s}' % roles.encode()
    answer = given(ACME).when_sent(AddUser, sent, about="nina")
    answer.then_rejected("invalid")
    assert {error["field"].split(".")[0] for error in answer.errors} == {"roles"}


@pytest.mark.parametrize(
    "email",
    [
        "nina",
        "nina@acme",
        "nina@acme..example",
        "@acme.example",
        "ni na@acme.example",
        "nina@-acme.example",
        "niña@a.pe",
    ],
)
def test_an_address_is_written_as_such(email: str) -> None:
    sent = f'{{"user_id": "nina", "name": "Nina", "email": "{email}", "roles": ["viewer"]}}'.encode()
    given(ACME).when_sent(AddUser, sent, about="nina").then_rejected("invalid", "email")


def test_a_person_acts_with_the_sum_of_their_roles() -> None:
    both = UserAddedToCompany(**NINA, roles=(Role.VIEWER, Role.MANAGER))
    story = given(ACME, both).when(add(user_id="otto", email="otto@acme.example"), by="user:nina")
    assert story.code is None


def test_somebody_unknown_does_nothing() -> None:
    given(ACME).when(DefineCategory(category_id="cranes", name="Cranes"), by="user:nobody").then_rejected(
        "actor-unknown"
    )
