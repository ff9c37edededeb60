"""Systems of companies at the door: who shows a company's key is its actor, and may do what it permits.

That a key was used is told to the lanes by a command, once an hour at most.
"""

import asyncio
import hmac
import time
from collections import OrderedDict
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

import structlog
from pydantic_core import to_json

from api import SOURCE
from api.permissions import Permissions
from api.tokens import BadToken, Principal
from domain.decider import Actor
from domain.key import DOORKEEPER, USES_APART, RecordKeyUse, key
from topics.keys import BadSecret, Secret
from topics.messages import CommandMessage
from topics.publisher import Publisher, Unavailable
from views.standing import Opening

MOST_NOTED = 10_000

log = structlog.get_logger("api")


class Systems:
    """Believes who shows the secret half of a key that the company knows."""

    def __init__(self, permissions: Permissions, publisher: Publisher) -> None:
        self._permissions = permissions
        self._uses = Uses(publisher)

    async def of_key(self, text: str, request_id: str) -> Principal:
        """Raises BadToken where the key opens nothing."""
        secret = _parsed(text)
        found = await self._permissions.key(secret.company_id, secret.key_id)
        if found is None or not hmac.compare_digest(found.public_key, secret.public_key):
            raise BadToken("the key is not known here")
        if not found.opens_at(datetime.now(UTC)):
            raise BadToken("the key is revoked" if found.revoked else "the key has expired")
        self._uses.note(secret, found, request_id)
        return Principal(Actor("key", secret.key_id), secret.company_id, expires_at=found.expires_at)

    async def stop(self) -> None:
        await self._uses.stop()


def _parsed(text: str) -> Secret:
    try:
        return Secret.parse(text)
    except BadSecret as fault:
        raise BadToken(str(fault)) from fault


class Uses:
    """Tells the lanes which keys are in use; a use that cannot be told is forgotten, and the next one is told."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._noted: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._telling: set[asyncio.Task[None]] = set()

    def note(self, secret: Secret, found: Opening, request_id: str) -> None:
        now, name = datetime.now(UTC), (secret.company_id, secret.key_id)
        known = found.last_used_at is not None and now - found.last_used_at < USES_APART
        if known or time.monotonic() - self._noted.get(name, float("-inf")) < USES_APART.total_seconds():
            return
        self._noted[name] = time.monotonic()
        if len(self._noted) > MOST_NOTED:
            self._noted.popitem(last=False)
        task = asyncio.create_task(self._tell(use_of(*name, now, request_id)))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, command: CommandMessage) -> None:
        try:
            await self._publisher.send(command)
        except Unavailable as fault:
            self._noted.pop((command.company_id, command.aggregate_id), None)
            log.warning("key-use-not-told", reason=str(fault))

    async def stop(self) -> None:
        await asyncio.gather(*self._telling)


def use_of(company_id: str, key_id: str, now: datetime, request_id: str) -> CommandMessage:
    """The command that tells of a use; of several processes that see one within an hour the first is heard."""
    rule, turn = key.rules[RecordKeyUse], int(now.timestamp() // USES_APART.total_seconds())
    return CommandMessage(
        id=str(uuid5(NAMESPACE_URL, f"bitcorp:key-use:{company_id}/{key_id}/{turn}")),
        type=rule.type,
        company_id=company_id,
        aggregate=key.name,
        aggregate_id=key_id,
        actor=Actor("system", DOORKEEPER),
        data=to_json(RecordKeyUse(key_id=key_id)),
        source=SOURCE,
        correlation_id=request_id,
    )
