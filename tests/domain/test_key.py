"""Keys of a company's systems: what one permits, from when and until when; only the public half is ever known."""

from datetime import datetime, timedelta

import pytest

from domain.category import CategoryDefined, DefineCategory
from domain.key import ChangeKey, CreateKey, Key, KeyChanged, KeyCreated, KeyRevoked, KeyUsed, RecordKeyUse, RevokeKey
from domain.role import DefineRole
from domain.user import UserRolesChanged
from tests.domain.acme import ACME, MAX, OPERATOR, PLANT, TESS
from tests.domain.scenario import NOW, given

CREATE = CreateKey(**PLANT.model_dump(exclude={"effective_at"}))
REVOKE = RevokeKey(key_id="plant-4", reason="stolen")
REVOKED = KeyRevoked(key_id="plant-4", reason="stolen")
USE = RecordKeyUse(key_id="plant-4")
USED = KeyUsed(key_id="plant-4")
THE_KEY, THE_DOOR = "key:plant-4", "system:doorkeeper"
CRANES = DefineCategory(category_id="cranes", name="Cranes")
TOMORROW = NOW + timedelta(days=1)


def change(*permissions: str, expires_at: datetime | None = None) -> ChangeKey:
    return ChangeKey(key_id="plant-4", name="Plant 4", permissions=permissions, expires_at=expires_at)


def expiring(moment: datetime) -> KeyCreated:
    return PLANT.model_copy(update={"expires_at": moment})


# --- made, changed, revoked -----------------------------------------------------------------------------------------


def test_an_admin_makes_a_key_once() -> None:
    given(ACME).when(CREATE).then(PLANT).when(CREATE).then_rejected("key-exists")


def test_an_admin_changes_what_a_key_permits_and_a_repeat_adds_nothing() -> None:
    wanted = change("part.read", "equipment.move", expires_at=TOMORROW)
    story = given(ACME, PLANT).when(wanted).then(KeyChanged(**vars(wanted)))
    story.when(change("equipment.move", "part.read", expires_at=TOMORROW)).then_nothing()


def test_a_revoked_key_stays_revoked_and_a_repeat_adds_nothing() -> None:
    story = given(ACME, PLANT).when(REVOKE).then(REVOKED)
    story.when(REVOKE).then_nothing()
    story.when(change("part.read")).then_rejected("key-revoked")
    story.when(CREATE).then_rejected("key-exists")


def test_there_is_nothing_to_change_of_a_key_that_nobody_made() -> None:
    for command in (change("part.read"), REVOKE, USE):
        given(ACME).when(command).then_rejected("key-unknown")


@pytest.mark.parametrize("actor", [MAX, TESS, OPERATOR])
def test_nobody_else_makes_or_changes_keys(actor: str) -> None:
    for command in (CREATE, change("part.read"), REVOKE):
        given(ACME, PLANT).when(command, by=actor).then_rejected("forbidden")


def test_a_role_may_permit_to_revoke_keys_but_not_to_make_them() -> None:
    guard = DefineRole(role="guard", permissions=("key.create", "key.change", "key.revoke"))
    story = given(ACME).when(guard).story.and_then([UserRolesChanged(user_id="tess", roles=("guard",))])
    story.when(CREATE, by=TESS).then_rejected("only-admins-make-keys")
    story.and_then([PLANT]).when(change("part.read"), by=TESS).then_rejected("only-admins-make-keys")
    story.and_then([PLANT]).when(REVOKE, by=TESS).then(REVOKED)


@pytest.mark.parametrize("permission", ["equipment.fly", "company.suspend", "key.create", "key.revoke", "role.change"])
def test_no_key_gives_rights_or_does_what_nobody_of_a_company_may(permission: str) -> None:
    given(ACME).when(CREATE.model_copy(update={"permissions": (permission,)})).then_rejected("permission-unknown")
    given(ACME, PLANT).when(change("part.read", permission)).then_rejected("permission-unknown")


def test_a_key_may_read_keys_and_roles() -> None:
    assert given(ACME, PLANT).when(change("key.read", "role.read")).code is None


def test_a_key_is_not_made_to_end_before_it_begins() -> None:
    given(ACME).when(CREATE.model_copy(update={"expires_at": NOW})).then_rejected("key-expiry-passed")
    given(ACME, PLANT).when(change("part.read", expires_at=NOW)).then_rejected("key-expiry-passed")
    given(ACME).when(CREATE.model_copy(update={"expires_at": TOMORROW})).then(expiring(TOMORROW))


@pytest.mark.parametrize("wrong", ["", "A" * 42, "A" * 44, "A" * 42 + "B", "A" * 42 + "=", "+" * 43, "ö" * 43])
def test_a_public_key_is_32_bytes_in_the_one_spelling_of_base64url(wrong: str) -> None:
    sent = CREATE.model_dump_json(exclude_unset=True).replace(CREATE.public_key, wrong).encode()
    given(ACME).when_sent(CreateKey, sent, about="plant-4").then_rejected("invalid", "public_key")


# --- what a key opens -----------------------------------------------------------------------------------------------


def test_a_key_sends_what_it_permits_and_nothing_else() -> None:
    story = given(ACME, PLANT)
    story.when(CRANES, by=THE_KEY).then(CategoryDefined(category_id="cranes", name="Cranes"))
    for command in (CREATE, REVOKE, change("part.read"), USE):
        story.when(command, by=THE_KEY).then_rejected("forbidden")


def test_a_key_that_nobody_made_sends_nothing() -> None:
    given(ACME).when(CRANES, by=THE_KEY).then_rejected("actor-unknown")


def test_a_key_sends_nothing_from_the_moment_it_is_revoked() -> None:
    given(ACME, PLANT, REVOKED).when(CRANES, by=THE_KEY).then_rejected("actor-unknown")


def test_a_key_sends_nothing_from_the_moment_it_expires() -> None:
    story = given(ACME, expiring(TOMORROW))
    assert story.when(CRANES, by=THE_KEY, at=TOMORROW - timedelta(seconds=1)).code is None
    story.when(CRANES, by=THE_KEY, at=TOMORROW).then_rejected("actor-unknown")


def test_other_permissions_hold_at_once() -> None:
    narrower = KeyChanged(key_id="plant-4", name="Plant 4", permissions=("equipment.read",))
    given(ACME, PLANT, narrower).when(CRANES, by=THE_KEY).then_rejected("forbidden")


# --- its use --------------------------------------------------------------------------------------------------------


def test_the_door_tells_that_a_key_is_used_once_an_hour() -> None:
    story = given(ACME, PLANT).when(USE, by=THE_DOOR).then(USED)
    story.when(USE, by=THE_DOOR, at=NOW + timedelta(minutes=59)).then_nothing()
    story.when(USE, by=THE_DOOR, at=NOW + timedelta(hours=1)).then(USED)


def test_a_key_that_opens_nothing_is_not_used() -> None:
    given(ACME, PLANT, REVOKED).when(USE, by=THE_DOOR).then_nothing()
    assert not Key().opens_at(NOW)
