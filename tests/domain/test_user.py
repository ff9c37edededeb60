"""People are added with roles; an e-mail address belongs to one of them."""

import pytest

from domain.category import DefineCategory
from domain.model import Role
from domain.role import RoleDefined
from domain.user import (
    AddUser,
    ChangeUserRoles,
    DeactivateUser,
    IdentityLinked,
    IdentityUnlinked,
    LinkIdentity,
    ReactivateUser,
    UnlinkIdentity,
    UserAddedToCompany,
    UserDeactivated,
    UserReactivated,
    UserRolesChanged,
)
from tests.domain.acme import ACME, ADA, MAX, OPERATOR, STOREKEEPER, TESS, VIC
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


@pytest.mark.parametrize("roles", ["[]", '["Boss"]', '["viewer", "viewer"]', '"viewer"', "null", '[["viewer"]]'])
def test_roles_are_named_each_once(roles: str) -> None:
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


# --- other roles ----------------------------------------------------------------------------------------------------

NINA_AS_ADMIN = UserAddedToCompany(**NINA, roles=(Role.ADMIN,))


def change(user_id: str, *roles: str) -> ChangeUserRoles:
    return ChangeUserRoles(user_id=user_id, roles=roles)


def changed(user_id: str, *roles: str) -> UserRolesChanged:
    return UserRolesChanged(user_id=user_id, roles=roles)


@pytest.mark.parametrize("actor", [ADA, MAX])
def test_an_admin_or_a_manager_gives_a_technician_other_roles_and_a_repeat_adds_nothing(actor: str) -> None:
    story = given(ACME).when(change("tess", "manager", "viewer"), by=actor).then(changed("tess", "manager", "viewer"))
    story.when(change("tess", "viewer", "manager"), by=actor).then_nothing()


def test_other_roles_hold_from_the_next_command_on() -> None:
    cranes = DefineCategory(category_id="cranes", name="Cranes")
    assert given(ACME, changed("tess", "manager")).when(cranes, by=TESS).code is None
    given(ACME, changed("max", "viewer")).when(cranes, by=MAX).then_rejected("forbidden")


@pytest.mark.parametrize("actor", [TESS, VIC, OPERATOR])
def test_nobody_else_gives_roles(actor: str) -> None:
    given(ACME).when(change("tess", "manager"), by=actor).then_rejected("forbidden")


def test_only_an_admin_makes_admins_and_changes_them() -> None:
    given(ACME).when(change("tess", "admin"), by=MAX).then_rejected("only-admins-add-admins")
    given(ACME).when(change("tess", "admin")).then(changed("tess", "admin"))
    story = given(ACME, NINA_AS_ADMIN)
    story.when(change("nina", "viewer"), by=MAX).then_rejected("only-admins-change-admins")
    story.when(DeactivateUser(user_id="nina", reason="left"), by=MAX).then_rejected("only-admins-change-admins")
    story.when(change("nina", "viewer")).then(changed("nina", "viewer"))


def test_a_role_that_is_given_must_exist_and_is_an_admin_s_to_give() -> None:
    given(ACME).when(change("tess", "storekeeper")).then_rejected("role-unknown")
    given(ACME).when(add("storekeeper")).then_rejected("role-unknown")
    story = given(ACME, STOREKEEPER)
    story.when(change("tess", "storekeeper"), by=MAX).then_rejected("only-admins-give-roles")
    story.when(add("storekeeper"), by=MAX).then_rejected("only-admins-give-roles")
    story.when(change("tess", "storekeeper")).then(changed("tess", "storekeeper"))
    held = given(ACME, STOREKEEPER, changed("tess", "storekeeper"))
    held.when(change("tess", "storekeeper", "viewer"), by=MAX).then(changed("tess", "storekeeper", "viewer"))


def test_somebody_who_is_not_there_gets_no_roles() -> None:
    given(ACME).when(change("nobody", "viewer")).then_rejected("user-unknown")


# --- away and back --------------------------------------------------------------------------------------------------

LEAVE = DeactivateUser(user_id="tess", reason="left the company")
LEFT = UserDeactivated(user_id="tess", reason="left the company")
RETURN = ReactivateUser(user_id="tess")
RETURNED = UserReactivated(user_id="tess")


def test_somebody_who_left_acts_no_more_and_a_repeat_adds_nothing() -> None:
    story = given(ACME, changed("tess", "manager")).when(LEAVE, by=MAX).then(LEFT)
    story.when(add(), by=TESS).then_rejected("actor-unknown")
    story.when(LEAVE, by=MAX).then_nothing()


def test_somebody_who_comes_back_acts_as_before_and_a_repeat_adds_nothing() -> None:
    story = given(ACME, changed("tess", "manager"), LEFT).when(RETURN, by=MAX).then(RETURNED)
    story.when(RETURN, by=MAX).then_nothing()
    assert story.when(add(), by=TESS).code is None


def test_whoever_left_keeps_the_address() -> None:
    given(ACME, LEFT).when(add(email="tess@acme.example")).then_rejected("email-taken")


@pytest.mark.parametrize("actor", [TESS, VIC, OPERATOR])
def test_nobody_but_admins_and_managers_says_who_may_act(actor: str) -> None:
    given(ACME).when(LEAVE, by=actor).then_rejected("forbidden")
    given(ACME, UserDeactivated(user_id="vic", reason="left")).when(
        ReactivateUser(user_id="vic"), by=OPERATOR
    ).then_rejected("forbidden")


def test_an_admin_who_left_is_brought_back_by_an_admin() -> None:
    story = given(ACME, NINA_AS_ADMIN, UserDeactivated(user_id="nina", reason="left"))
    story.when(ReactivateUser(user_id="nina"), by=MAX).then_rejected("only-admins-change-admins")
    story.when(ReactivateUser(user_id="nina")).then(UserReactivated(user_id="nina"))


# --- the last admin -------------------------------------------------------------------------------------------------


def test_the_first_admin_of_a_company_is_its_last() -> None:
    given(ACME).when(DeactivateUser(user_id="ada", reason="left")).then_rejected("last-admin")
    given(ACME).when(change("ada", "manager")).then_rejected("last-admin")


def test_the_last_admin_may_have_further_roles() -> None:
    given(ACME).when(change("ada", "admin", "viewer")).then(changed("ada", "admin", "viewer"))


def test_one_of_two_admins_may_go() -> None:
    gone = UserDeactivated(user_id="ada", reason="left")
    story = given(ACME, NINA_AS_ADMIN).when(DeactivateUser(user_id="ada", reason="left")).then(gone)
    story.when(change("nina", "viewer"), by="user:nina").then_rejected("last-admin")


def test_an_admin_who_may_not_act_does_not_count() -> None:
    gone = UserDeactivated(user_id="nina", reason="left")
    given(ACME, NINA_AS_ADMIN, gone).when(change("ada", "viewer")).then_rejected("last-admin")
    given(ACME, NINA_AS_ADMIN, gone).when(change("nina", "viewer")).then(changed("nina", "viewer"))
    back = UserReactivated(user_id="nina")
    given(ACME, NINA_AS_ADMIN, gone, back).when(change("ada", "viewer")).then(changed("ada", "viewer"))


# --- identities of other providers ----------------------------------------------------------------------------------

LINK = LinkIdentity(user_id="tess", issuer="https://login.example", subject="248289761001")
LINKED = IdentityLinked(**vars(LINK))
UNLINK, UNLINKED = UnlinkIdentity(user_id="tess"), IdentityUnlinked(**vars(LINK))


def test_an_admin_links_an_identity_once_and_takes_it_away_once() -> None:
    given(ACME).when(LINK, by=ADA).then(LINKED).when(LINK, by=ADA).then_nothing()
    given(ACME, LINKED).when(UNLINK, by=ADA).then(UNLINKED).when(UNLINK, by=ADA).then_nothing()


@pytest.mark.parametrize("actor", [MAX, TESS, VIC])
def test_nobody_else_says_who_somebody_is(actor: str) -> None:
    given(ACME).when(LINK, by=actor).then_rejected("forbidden")
    given(ACME, LINKED).when(UNLINK, by=actor).then_rejected("forbidden")


def test_who_may_link_by_a_role_of_the_company_s_own_does_not_touch_admins() -> None:
    linker = RoleDefined(role="linker", permissions=("user.link-identity", "user.unlink-identity"))
    max_links = UserRolesChanged(user_id="max", roles=("linker",))
    ada_s = {"user_id": "ada", "issuer": "https://login.example", "subject": "1"}
    given(ACME, linker, max_links).when(LINK, by=MAX).then(LINKED)
    given(ACME, linker, max_links).when(LinkIdentity(**ada_s), by=MAX).then_rejected("only-admins-change-admins")
    story = given(ACME, linker, max_links, IdentityLinked(**ada_s))
    story.when(UnlinkIdentity(user_id="ada"), by=MAX).then_rejected("only-admins-change-admins")


def test_an_identity_stands_for_one_user_of_the_company() -> None:
    of_vic = LinkIdentity(**vars(LINK) | {"user_id": "vic"})
    given(ACME, LINKED).when(of_vic, by=ADA).then_rejected("identity-taken")
    given(ACME, LINKED, UNLINKED).when(of_vic, by=ADA).then(IdentityLinked(**vars(of_vic)))


def test_a_user_has_one_identity_at_a_time() -> None:
    other = LinkIdentity(**vars(LINK) | {"subject": "2"})
    given(ACME, LINKED).when(other, by=ADA).then_rejected("identity-linked")
