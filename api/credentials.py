"""The realm of credentials as the API uses it: it reads a row, sends a command as itself, and has the outcome."""

import asyncio
from collections.abc import Awaitable

import structlog
import uuid_utils.compat
from aiohttp import web

from api import SOURCE
from api.database import Database
from api.door import ORIGIN, REQUEST_ID, TRACEPARENT
from api.outcomes import Follower
from api.problems import sign_in_away
from domain import CREDENTIALS
from domain.decider import Actor
from domain.model import Command
from domain.record import Outcome
from topics.messages import CommandMessage
from topics.metrics import API_PUBLISHES
from topics.publisher import Publisher, Unavailable
from views.credentials import Held, held
from views.reading import Reader
from views.users import Person, person

ACTOR = Actor("system", "api")
GROUP = frozenset({"credentials"})
DECISION_SECONDS = 10.0
VIEW_SECONDS = 5.0
RETRY_SECONDS = 5

TYPES = {rule.command: rule.type for rule in CREDENTIALS.rules.values()}

log = structlog.get_logger(__name__)


class Credentials:
    """Who somebody is, what is held of them, and what the lane decides about it."""

    def __init__(self, publisher: Publisher, follower: Follower, views: Database, secrets: Database) -> None:
        """`views` reads as everybody does, `secrets` as the sign-in alone may."""
        self._publisher = publisher
        self._follower = follower
        self._views = views
        self._secrets = secrets

    async def person(self, company_id: str, *, user_id: str | None = None, email: str | None = None) -> Person | None:
        return await self._views.read(company_id, lambda reader: person(reader, user_id=user_id, email=email))

    async def held(self, company_id: str, user_id: str) -> Held:
        def work(reader: Reader) -> Awaitable[Held]:
            return held(reader, user_id)

        return await self._secrets.read(company_id, work)

    async def decided(self, request: web.Request, company_id: str, user_id: str, command: Command) -> Outcome:
        """What became of the command. Raises the problem `sign-in-away` where nobody says so in time."""
        message = CommandMessage(
            id=str(uuid_utils.compat.uuid7()),
            type=TYPES[type(command)],
            company_id=company_id,
            aggregate="credential",
            aggregate_id=user_id,
            actor=ACTOR,
            data=command.model_dump_json(exclude_none=True).encode(),
            source=SOURCE,
            correlation_id=request[REQUEST_ID],
            traceparent=request[TRACEPARENT],
            origin=request[ORIGIN],
        )
        with self._follower.waiting(message) as answer:
            await self._publish(message)
            await asyncio.wait([answer], timeout=DECISION_SECONDS)
            outcome = answer.result() if answer.done() else None
        if outcome is None:
            raise away("The credentials are not decided right now.")
        return outcome

    async def shown(self, outcome: Outcome) -> None:
        """Return when the row shows what the outcome speaks of. Raises the problem `views-behind`."""
        await self._views.reached(GROUP, outcome.partition, outcome.position, VIEW_SECONDS)

    async def _publish(self, message: CommandMessage) -> None:
        try:
            await self._publisher.send(message, realm=CREDENTIALS)
            API_PUBLISHES.labels("acknowledged").inc()
        except Unavailable as fault:
            API_PUBLISHES.labels("unavailable").inc()
            log.warning("kafka-away", reason=str(fault))
            raise away("Kafka does not take the command.") from fault


def away(detail: str) -> Exception:
    """The problem that nobody can sign in right now."""
    return sign_in_away(detail, headers={"Retry-After": str(RETRY_SECONDS)})
