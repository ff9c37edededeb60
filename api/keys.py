"""Keys of a company's systems at the door: who sends one is its actor, and reads what it permits.

The key's row is read for each request, so a revoked key opens nothing as soon as the views know. That it was used is
told to the lanes by a command, once an hour at most.
"""

import asyncio
import hmac
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

import orjson
import structlog
from aiohttp import web
from pydantic_core import to_json

from api.commands import SOURCE, Commands, chosen_id, command_path, composed, data_of, decided, item_of, pending
from api.database import Database
from api.door import KEY, REQUEST_ID, ROOT, bearer, refused
from api.problems import fields_wrong, not_permitted
from api.tokens import Principal
from domain.decider import Actor
from domain.key import DOORKEEPER, USES_APART, CreateKey, RecordKeyUse, key
from topics.keys import BadSecret, Secret
from topics.messages import CommandMessage
from topics.publisher import Publisher, Unavailable
from views import RESOURCES
from views.keys import KEYS, KeyItem
from views.outcomes import OUTCOMES
from views.resource import one

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MOST_NOTED = 10_000

#: Path of a GET route -> what a key must hold to read there; the outcomes of its own commands it may always read.
READING = {
    f"{ROOT}/{path}": resource.permission
    for resource in RESOURCES
    if resource is not OUTCOMES
    for path in (resource.path, resource.item_path, f"{resource.item_path}/diff")
    if path
}

log = structlog.get_logger("api")


class Keys:
    """Lets in who has a key, before the route is reached."""

    def __init__(self, database: Database, publisher: Publisher) -> None:
        self._database = database
        self._uses = Uses(publisher)

    @web.middleware
    async def around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        token = bearer(request) or ""
        if request.path.startswith(f"{ROOT}/") and token.startswith("bcp_"):
            secret = _parsed(token)
            found = await self._opened(secret)
            _check_reading(request, found)
            request[KEY] = Principal(Actor("key", secret.key_id), secret.company_id)
            self._uses.note(secret, found, request[REQUEST_ID])
        return await handler(request)

    async def _opened(self, secret: Secret) -> KeyItem:
        """The key as the views have it. Raises the problem that it opens nothing."""
        found = await self._database.read(
            secret.company_id, lambda reader: one(reader, KEYS, {"key_id": secret.key_id})
        )
        if found is None or not hmac.compare_digest(found.public_key, secret.public_key):
            raise refused("the key is not known here")
        if not found.opens_at(datetime.now(UTC)):
            raise refused("the key is revoked" if found.revoked_at else "the key has expired")
        return found

    async def stop(self) -> None:
        await self._uses.stop()


def _parsed(token: str) -> Secret:
    try:
        return Secret.parse(token)
    except BadSecret as fault:
        raise refused(str(fault)) from fault


def _check_reading(request: web.Request, found: KeyItem) -> None:
    resource = request.match_info.route.resource
    wanted = READING.get(resource.canonical) if resource and request.method in ("GET", "HEAD") else None
    if wanted is not None and wanted not in found.permissions:
        raise not_permitted(f"The key does not hold {wanted}.")


class Uses:
    """Tells the lanes which keys are in use; a use that cannot be told is forgotten, and the next one is told."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._noted: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._telling: set[asyncio.Task[None]] = set()

    def note(self, secret: Secret, found: KeyItem, request_id: str) -> None:
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


class NewKeys:
    """`POST auth/keys`: a key whose pair is made here; the answer is the only place that ever shows the secret."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def routes(self) -> Iterator[web.RouteDef]:
        yield web.post(f"{ROOT}/auth/keys", self.make)

    async def make(self, request: web.Request) -> web.Response:
        door, rule = self._commands.door, key.rules[CreateKey]
        principal = door.principal(request)
        door.accepts_json(request)
        body = await door.body(request)
        if "public_key" in body:
            raise fields_wrong(errors=(_MADE_HERE,))
        company_id, command_id = door.company(principal), chosen_id(principal, request)
        secret = Secret.new(company_id, "new")
        data = data_of(rule, request.match_info, body | {"public_key": secret.public_key}, command_id)
        command = composed(rule, data, command_id, principal, request)
        shown = replace(secret, key_id=command.aggregate_id).text
        (outcome,) = await self._commands.outcomes([command], door.settings.wait_limit, command.id)
        location = command_path(company_id, command.id, principal)
        if outcome is None:
            return with_secret(pending(command, location, {}), shown)
        return with_secret(decided(rule, item_of(outcome), location, {}), shown)


_MADE_HERE = {
    "field": "public_key",
    "pointer": "/public_key",
    "code": "extra-forbidden",
    "detail": "the pair is made here; bring a public key of your own to POST /api/v1/keys",
}


def with_secret(answer: web.Response, secret: str) -> web.Response:
    """The answer with the secret beside what it says."""
    answer.body = orjson.dumps({"secret": secret} | orjson.loads(answer.text or ""))
    return answer
