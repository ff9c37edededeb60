"""Making keys of a company's systems at the door."""

from collections.abc import Iterator
from dataclasses import replace

import orjson
from aiohttp import web

from api.commands import (
    Commands,
    chosen_id,
    command_path,
    composed,
    data_of,
    decided,
    item_of,
    pending,
    resource_path,
)
from api.door import ROOT
from api.problems import fields_wrong, key_shown
from domain.engine import id_reused
from domain.key import CreateKey, key
from domain.record import Status
from topics.keys import Secret


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
        if outcome.code == id_reused.code:
            await self._check_repeated(company_id, command.id, location)
        return with_secret(decided(rule, item_of(outcome), location, {}), shown)

    async def _check_repeated(self, company_id: str, command_id: str, location: str) -> None:
        """Raises where the request is one that made a key before: each time it has another pair, so it looks different
        to the lane, but what is asked for is the answer of then."""
        first = await self._commands.queries.outcome(company_id, command_id)
        if first and first.type == key.rules[CreateKey].type and first.status is Status.ACCEPTED:
            resource = resource_path(key.rules[CreateKey], first.aggregate_id)
            raise key_shown(members={"command_id": command_id, "command": location, "resource": resource})


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
