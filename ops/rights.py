"""Who may do what in Kafka: computed from the catalogue, compared with the broker's list, and applied to it.

Nobody needs the right to idempotent writes: since Kafka 3.0 whoever may write to a topic has it. There are no
transactions, so there are no rights to their ids. Operators, who create topics and give rights, are among the broker's
super users and need none.
"""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from agents import decide, importer, project, recorder
from domain import REALMS
from topics.catalogue import (
    ANALYTICS,
    API,
    IMPORTER,
    RECORDER,
    SHELL,
    TIMER,
    TOPICS,
    UPSTREAM,
    VIEWS,
    Topic,
    lanes_of,
)
from topics.provision import REQUEST_SECONDS, admin_client, result_of
from topics.settings import Settings
from views import GROUPS

#: Others' systems: they look at nothing but the topics that are theirs.
OTHERS = (UPSTREAM, ANALYTICS)
KINDS = (*(lanes_of(realm) for realm in REALMS.values()), VIEWS, IMPORTER, TIMER, RECORDER, API, SHELL, *OTHERS)
SOURCES = frozenset(group.source for group in GROUPS.values())
ITERATIONS = 8192
#: The consumer group that `ops.records` names; it is never joined.
SHELL_GROUP = "{prefix}.shell"


class Right(NamedTuple):
    """What a user may do with a topic or consumer group, or with all whose names begin so."""

    user: str
    operation: str
    kind: str
    name: str
    pattern: str = "literal"


def users(settings: Settings, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """User -> kind of process: one user for each kind, and those that are given."""
    return {f"{settings.prefix}-{kind}": kind for kind in KINDS} | dict(more or {})


def rights(settings: Settings, known: Mapping[str, str]) -> list[Right]:
    """The least that each of the users (name -> kind) needs."""
    return sorted(right for user, kind in known.items() for right in _rights_of(settings, user, kind))


def _rights_of(settings: Settings, user: str, kind: str) -> Iterator[Right]:
    for topic in TOPICS:
        if kind in _readers(topic):
            yield Right(user, "read", "topic", topic.named(settings.prefix))
        if kind in topic.writers:
            yield Right(user, "write", "topic", topic.named(settings.prefix))
    for group in groups(settings).get(kind, ()):
        yield Right(user, "read", "group", group)
    if kind == ANALYTICS:
        yield Right(user, "read", "group", user, "prefixed")
    if kind not in OTHERS:  # processes of ours compare all topics with the catalogue when they start
        yield Right(user, "describe", "topic", f"{settings.prefix}.", "prefixed")
        yield Right(user, "describe_configs", "topic", f"{settings.prefix}.", "prefixed")


def _readers(topic: Topic) -> frozenset[str]:
    return topic.readers | {VIEWS} if topic.name in SOURCES else topic.readers


def groups(settings: Settings) -> dict[str, list[str]]:
    """Kind of process -> its consumer groups."""
    lanes = {lanes_of(realm): [decide.group_of(settings, realm)] for realm in REALMS.values()}
    return lanes | {
        VIEWS: [project.group_of(settings, name) for name in GROUPS],
        IMPORTER: [importer.group_of(settings)],
        RECORDER: [recorder.group_of(settings)],
        SHELL: [SHELL_GROUP.format(prefix=settings.prefix)],
    }


class Comparison(NamedTuple):
    """How the broker's list differs from ours, as far as our users go."""

    missing: list[Right]
    excess: list[Right]


def compare(settings: Settings, known: Mapping[str, str]) -> Comparison:
    """Raises NoAccess, Unavailable."""
    with admin_client(settings) as admin:
        return _compare(admin, settings, known)


def apply(settings: Settings, known: Mapping[str, str]) -> Comparison:
    """Give our users what is missing and take what is too much; says what that was. Raises NoAccess, Unavailable."""
    with admin_client(settings) as admin:
        found = _compare(admin, settings, known)
        if found.missing:
            _wait(admin.create_acls([_binding(right) for right in found.missing], request_timeout=REQUEST_SECONDS))
        if found.excess:
            filters = [_filter(right) for right in found.excess]
            _wait(admin.delete_acls(filters, request_timeout=REQUEST_SECONDS))
        return found


def set_passwords(settings: Settings, passwords: Mapping[str, str]) -> None:
    """Make the users, or give them other passwords. Raises NoAccess, Unavailable."""
    with admin_client(settings) as admin:
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
        wanted = [UserScramCredentialUpsertion(user, info, word.encode()) for user, word in passwords.items()]
        _wait(admin.alter_user_scram_credentials(wanted, request_timeout=REQUEST_SECONDS))


def _compare(admin: AdminClient, settings: Settings, known: Mapping[str, str]) -> Comparison:
    wanted, there = set(rights(settings, known)), {right for user in known for right in _there(admin, user)}
    return Comparison(sorted(wanted - there), sorted(there - wanted))


def _there(admin: AdminClient, user: str) -> Iterable[Right]:
    everything = AclBindingFilter(
        ResourceType.ANY,
        None,
        ResourcePatternType.ANY,
        f"User:{user}",
        None,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    for found in result_of(admin.describe_acls(everything, request_timeout=REQUEST_SECONDS)):
        operation = found.operation.name.lower()
        allowed = operation if found.permission_type is AclPermissionType.ALLOW else f"not {operation}"
        yield Right(user, allowed, found.restype.name.lower(), found.name, found.resource_pattern_type.name.lower())


def _binding(right: Right) -> AclBinding:
    """From every host."""
    return AclBinding(*_parts(right, "*"))


def _filter(right: Right) -> AclBindingFilter:
    return AclBindingFilter(*_parts(right, None))


def _parts(right: Right, host: str | None) -> tuple[object, ...]:
    denied = right.operation.startswith("not ")
    return (
        ResourceType[right.kind.upper()],
        right.name,
        ResourcePatternType[right.pattern.upper()],
        f"User:{right.user}",
        host,
        AclOperation[right.operation.removeprefix("not ").upper()],
        AclPermissionType.DENY if denied else AclPermissionType.ALLOW,
    )


def _wait(futures: Mapping[Any, "Future[Any]"]) -> None:
    for future in futures.values():
        result_of(future)
