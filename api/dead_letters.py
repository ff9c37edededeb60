"""Other attempts at commands that could not be processed: each is a new command of the caller's own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json
from sqlalchemy.engine import RowMapping

from api import SOURCE, headers
from api.bulk import MOST_COMMANDS, Bulk, checked
from api.commands import command_path, decided, item_of, pending, replayed
from api.door import ROOT, TRACEPARENT
from api.problems import Problem, not_found, not_retryable
from api.tokens import Principal
from domain import RULES
from domain.model import Id
from topics.cloudevents import Record
from topics.dead_letters import MOST_ATTEMPTS, NotRetried, retried
from topics.messages import CommandMessage, DeadLetter
from views.dead_letters import DEAD_LETTERS, letter_of
from views.reading import Reader

Attempt = Annotated[
    int, Field(ge=1, le=MOST_ATTEMPTS, description="Its number: the same attempt asked for twice is made once")
]


class RetryBody(BaseModel):
    """Another attempt at a command."""

    model_config = ConfigDict(extra="forbid", strict=True)

    attempt: Attempt = 1
    data: Annotated[
        dict[str, Any] | None, Field(description="What the command says now; what it said before if left out")
    ] = None


class BulkRetryBody(BaseModel):
    """Another attempt at the command of each of these letters, in this order."""

    model_config = ConfigDict(extra="forbid", strict=True)

    letter_ids: Annotated[tuple[Id, ...], Field(min_length=1, max_length=MOST_COMMANDS, strict=False)]
    attempt: Attempt = 1


@dataclass(frozen=True)
class Retries:
    """Sends commands of dead letters again, as the caller's; whether they may, the lane decides as of any command."""

    bulk: Bulk

    def routes(self) -> Iterator[web.RouteDef]:
        yield web.post(f"{ROOT}/dead-letters/{{letter_id}}/retry", self.retry)
        yield web.post(f"{ROOT}/dead-letters/retry", self.retry_many)

    async def retry(self, request: web.Request) -> web.Response:
        commands = self.bulk.commands
        principal, body = await self._asked(request, RetryBody)
        found = await self._letter(principal, request.match_info["letter_id"])
        command = again(found, body.attempt, principal, request, body.data)
        wish = headers.preference(request.headers, commands.door.settings.wait_limit)
        (outcome,) = await commands.outcomes([command], wish.wait or 0, command.id)
        location = command_path(command.company_id, command.id, principal)
        if outcome is None:
            return pending(command, location, wish.headers)
        return decided(RULES.get(command.type), item_of(outcome), location, wish.headers | replayed(outcome))

    async def retry_many(self, request: web.Request) -> web.Response:
        principal, body = await self._asked(request, BulkRetryBody)
        entries = [await self._entry(name, body.attempt, principal, request) for name in body.letter_ids]
        return await self.bulk.answer(request, principal, entries, f"{body.attempt}")

    async def _asked(self, request: web.Request, kind: type[Any]) -> tuple[Principal, Any]:
        """Who asks, and for what; whoever may not read letters may not try them again."""
        door = self.bulk.commands.door
        principal = door.principal(request)
        door.accepts_json(request)
        door.company(principal)
        body = checked(kind, await door.body(request))
        await self.bulk.commands.queries.permissions.check(principal, DEAD_LETTERS.permission)
        return principal, body

    async def _letter(self, principal: Principal, letter_id: str) -> dict[str, Any]:
        async def read(reader: Reader) -> RowMapping | None:
            return await letter_of(reader, letter_id)

        found = await self.bulk.commands.queries.database.read(principal.company_id or "", read)
        if found is None:
            raise not_found()
        return dict(found)

    async def _entry(
        self, letter_id: str, attempt: int, principal: Principal, request: web.Request
    ) -> CommandMessage | Problem:
        try:
            return again(await self._letter(principal, letter_id), attempt, principal, request)
        except Problem as problem:
            return problem


def again(
    found: Mapping[str, Any],
    attempt: int,
    principal: Principal,
    request: web.Request,
    data: dict[str, Any] | None = None,
) -> CommandMessage:
    """The letter's command as the caller sends it. Raises the problem that it cannot be sent again."""
    letter = DeadLetter(_origin(found), found["reason"], found["detail"])
    try:
        command = retried(letter, attempt, actor=principal.actor, data=None if data is None else to_json(data))
    except NotRetried as fault:
        raise not_retryable(str(fault)) from fault
    return command._replace(source=SOURCE, traceparent=request[TRACEPARENT])


def _origin(found: Mapping[str, Any]) -> Record:
    given = tuple(zip(found["header_names"], found["header_values"], strict=True))
    key, place = found["company_id"].encode(), (found["topic"], found["partition"])
    return Record(*place, key, found["value"], given, found["offset"])
