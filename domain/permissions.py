"""What roles permit: commands by the rules that name the role, and reading; a company's own roles what they list."""

from collections.abc import Iterable

from domain import AUDIT_READ, PERMISSIONS, RULES
from domain.model import Role

BUILT_IN: frozenset[str] = frozenset(Role)

#: What each built-in role may read: everything but who did what, which is for admins.
READS: frozenset[str] = frozenset(name for name in PERMISSIONS if name.endswith(".read")) - {AUDIT_READ}


def granted(roles: Iterable[str], listed: Iterable[str] = ()) -> frozenset[str]:
    """Permissions of somebody with these roles; `listed` is what the company's own roles among them list."""
    held = frozenset(roles)
    commands = {rule.permission for rule in RULES.values() if rule.roles & held}
    reads = (READS if held & BUILT_IN else frozenset()) | ({AUDIT_READ} if Role.ADMIN in held else frozenset())
    return frozenset(commands) | reads | frozenset(listed)
