"""What each role permits, as the lane decides it and as the API tells it."""

import pytest

from domain import AUDIT_READ, PERMISSIONS, RULES
from domain.model import Role
from domain.permissions import READS, granted


def test_whoever_has_a_built_in_role_reads_everything_but_who_did_what() -> None:
    for role in Role:
        assert granted([role]) >= READS
    assert {role for role in Role if AUDIT_READ in granted([role])} == {Role.ADMIN}
    assert READS | {AUDIT_READ} == {name for name in PERMISSIONS if name.endswith(".read")}


def test_a_viewer_reads_and_does_nothing_else() -> None:
    assert granted([Role.VIEWER]) == READS


def test_a_role_of_the_company_s_own_permits_what_it_lists_and_no_more() -> None:
    assert granted(["storekeeper"], ["part.read", "part.receive"]) == {"part.read", "part.receive"}


def test_who_has_no_role_may_nothing() -> None:
    assert granted([]) == frozenset()


@pytest.mark.parametrize("role", Role)
def test_a_built_in_role_permits_the_commands_whose_rules_name_it(role: Role) -> None:
    named = {rule.permission for rule in RULES.values() if role in rule.roles}
    assert granted([role]) - READS - {AUDIT_READ} == named
    assert named <= PERMISSIONS


def test_roles_add_up() -> None:
    both = granted([Role.TECHNICIAN, Role.VIEWER, "storekeeper"], ["part.receive"])
    assert both == granted([Role.TECHNICIAN]) | {"part.receive"}
