"""What callers may read, from a memory that events empty.

Whoever may do what changes by events of users, roles and companies. This process follows the journal: such an event
empties what is remembered of its company, and names the position that the views must have reached before they are
asked again, since they may be behind it. An answer to a command of this process does the same, so that the next request
knows. Minutes are only the upper bound.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import structlog
from aiokafka import ConsumerRecord

from api.database import Database
from api.following import Following
from api.problems import not_permitted, of_refusal, views_behind
from api.tokens import Principal
from domain import OFFERED
from domain.company import company
from domain.engine import actor_unknown, forbidden
from domain.key import key
from domain.permissions import granted
from domain.role import role
from domain.user import user
from topics.catalogue import EVENTS, partition_of
from topics.settings import Settings
from views.checkpoints import Checkpoint
from views.reading import Reader
from views.standing import Opening, checkpoint, holder, opening, standing

#: Aggregates whose events change what somebody may do.
DECISIVE = frozenset(decider.name for decider in (user, role, key, company))
OPERATORS = frozenset(rule.permission for rule in OFFERED.values() if rule.operators)
REMEMBERED_SECONDS = 300.0
MOST_COMPANIES = 10_000
PAUSE_SECONDS, RETRY_SECONDS = 0.01, 1

log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Access:
    """The caller's roles and permissions."""

    roles: tuple[str, ...]
    permissions: frozenset[str]


@dataclass(frozen=True)
class Remembered:
    fact: Any
    until: float


class Permissions(Following):
    """Answers from memory or from the views; what it remembers is never older than the last event that it has seen."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Nothing is opened yet."""
        super().__init__(settings, EVENTS.named(settings.prefix))
        self._partitions = settings.partitions
        self._patience = settings.wait_limit
        self._database = database
        self._remembered: OrderedDict[str, dict[str, Remembered]] = OrderedDict()
        self._needed: dict[str, int] = {}
        self._followed_from: Mapping[int, int] = {}

    async def check(self, principal: Principal, permission: str | None = None) -> None:
        """Raises the problem that the caller may not act at all, or not read this."""
        access = await self.access(principal)
        if permission is not None and permission not in access.permissions:
            raise of_refusal(forbidden)(f"Reading this needs {permission}.")

    async def access(self, principal: Principal) -> Access:
        """What the caller may do. Raises the problem that it is nothing."""
        if principal.company_id is None:
            return Access(("operator",), OPERATORS)
        if principal.actor.kind == "key":
            return await self._of_key(principal.company_id, principal.actor.id)
        user_id = principal.actor.id
        found = await self._known(principal.company_id, user_id, lambda reader: standing(reader, user_id))
        if found is None or not found.active:
            raise of_refusal(actor_unknown)()
        if found.suspended:
            raise not_permitted("The company is suspended.")
        return Access(found.roles, granted(found.roles, found.listed))

    async def _of_key(self, company_id: str, key_id: str) -> Access:
        found = await self.key(company_id, key_id)
        if found is None or not found.opens_at(datetime.now(UTC)):
            raise of_refusal(actor_unknown)()
        if found.suspended:
            raise not_permitted("The company is suspended.")
        return Access((), found.permissions)

    async def key(self, company_id: str, key_id: str) -> Opening | None:
        """The key of the company's systems with that id."""
        return await self._known(company_id, f"key {key_id}", lambda reader: opening(reader, key_id))

    def changed(self, company_id: str, aggregate: str, position: int | None) -> None:
        """Something happened at the position of the company's partition; no matter if it is told twice."""
        if aggregate in DECISIVE and position is not None:
            self._remembered.pop(company_id, None)
            self._needed[company_id] = max(position, self._needed.get(company_id, 0))

    def deliver(self, record: ConsumerRecord) -> None:
        said = dict(record.headers)
        aggregate = said.get("ce_subject", b"").partition(b"/")[0].decode(errors="replace")
        if aggregate in DECISIVE:
            self.changed(record.key.decode(), aggregate, int(said["ce_sequence"]))

    async def took_up(self) -> None:
        """From here on no event is missed; what was remembered before may lack some."""
        self._remembered.clear()
        self._followed_from = {partition: end for (_, partition), end in (await self.ends(self._topic)).items()}

    async def holder(self, company_id: str, issuer: str, subject: str) -> str | None:
        """The user of the company for whom another provider's identity stands."""
        return await self._known(company_id, f"{issuer} {subject}", lambda reader: holder(reader, issuer, subject))

    async def _known(self, company_id: str, about: str, look: Callable[[Reader], Awaitable[T]]) -> T:
        """What is remembered, else what the views say."""
        known = self._remembered.get(company_id, {}).get(about)
        if known is not None and self._following.is_set() and time.monotonic() < known.until:
            return cast(T, known.fact)
        partition = partition_of(company_id.encode(), self._partitions)
        found, read = await self._read(company_id, partition, look)
        if self._following.is_set() and read.next_offset >= self._followed_from.get(partition, 0):
            self._remember(company_id, about, found)
        return found

    async def _read(
        self, company_id: str, partition: int, look: Callable[[Reader], Awaitable[T]]
    ) -> tuple[T, Checkpoint]:
        """From views that have come to the last change that we know of."""

        async def read(reader: Reader) -> tuple[Checkpoint, T]:
            return await checkpoint(reader, partition), await look(reader)

        deadline = time.monotonic() + self._patience
        while True:
            reached, found = await self._database.read(company_id, read)
            if reached.position >= self._needed.get(company_id, 0):
                self._needed.pop(company_id, None)
                return found, reached
            if time.monotonic() > deadline:
                raise views_behind(headers={"Retry-After": str(RETRY_SECONDS)})
            await asyncio.sleep(PAUSE_SECONDS)

    def _remember(self, company_id: str, about: str, found: Any) -> None:
        facts = self._remembered.setdefault(company_id, {})
        facts[about] = Remembered(found, time.monotonic() + REMEMBERED_SECONDS)
        if len(self._remembered) > MOST_COMPANIES:
            self._remembered.popitem(last=False)
