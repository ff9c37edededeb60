"""What roles permit: commands by the rules that name the role, and reading; a company's own roles what they list."""

from collections.abc import Iterable

from domain import PERMISSIONS, RULES
from domain.model import Role

BUILT_IN: frozenset[str] = frozenset(Role)

#: Everything that can be read; each built-in role reads all of it.
READS: frozenset[str] = frozenset(name for name in PERMISSIONS if name.endswith(".read"))


def granted(roles: Iterable[str], listed: Iterable[str] = ()) -> frozenset[str]:
    """Permissions of somebody with these roles; `listed` is what the company's own roles among them list."""
    held = frozenset(roles)
    commands = {rule.permission for rule in RULES.values() if rule.roles & held}
    return frozenset(commands) | (READS if held & BUILT_IN else frozenset()) | frozenset(listed)
