"""POST routes, one per command of the domain: the request becomes a message, its outcome becomes the answer."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any
from uuid import UUID, uuid5

import structlog
from aiohttp import web
from pydantic import ValidationError

from api import SOURCE, headers
from api.answers import answered
from api.door import ORIGIN, REQUEST_ID, ROOT, TRACEPARENT, Door
from api.in_flight import InFlight
from api.outcomes import Follower
from api.problems import (
    Problem,
    body_too_large,
    fields_wrong,
    kafka_away,
    malformed,
    not_found,
    not_permitted,
    of_outcome,
    of_refusal,
)
from api.queries import Queries
from api.tokens import Principal
from domain import OFFERED
from domain.company import company
from domain.decider import Rule
from domain.engine import field_errors
from domain.record import Outcome, Status
from topics.messages import CommandMessage
from topics.metrics import API_PUBLISHES, API_WAITERS
from topics.publisher import Publisher, TooLarge, Unavailable
from views.outcomes import OutcomeItem

RETRY_SECONDS = 5
PENDING_SECONDS = 1

log = structlog.get_logger(__name__)


def path_of(rule: Rule[Any]) -> str:
    """Creation has the path of the collection, every other command that of the resource and its verb."""
    collection = f"{ROOT}/{rule.decider.path}"
    return collection if rule.creates else f"{collection}/{{{rule.decider.key}}}/{rule.verb}"


def resource_path(rule: Rule[Any], aggregate_id: str) -> str:
    return f"{ROOT}/{rule.decider.path}/{aggregate_id}"


def command_path(company_id: str, command_id: str, principal: Principal) -> str:
    """Where the outcome can be read; an operator has no company of his own, so his link names it."""
    query = f"?company_id={company_id}" if principal.company_id is None else ""
    return f"{ROOT}/commands/{command_id}{query}"


@dataclass(frozen=True)
class Commands:
    """Publishes commands and waits for outcomes; knows no rule."""

    door: Door
    publisher: Publisher
    follower: Follower
    queries: Queries
    in_flight: InFlight

    def routes(self) -> Iterator[web.RouteDef]:
        for rule in OFFERED.values():
            yield web.post(path_of(rule), partial(self.take, rule))

    async def take(self, rule: Rule[Any], request: web.Request) -> web.Response:
        principal = self.door.principal(request)
        self.door.accepts_json(request)
        body = await self.door.body(request)
        command = message(rule, principal, request, body)
        structlog.contextvars.bind_contextvars(command=command.id, company=command.company_id)
        wish = headers.preference(request.headers, self.door.settings.wait_limit)
        (outcome,) = await self.outcomes([command], wish.wait or 0, command.id)
        location = command_path(command.company_id, command.id, principal)
        if outcome is None:
            return pending(command, location, wish.headers)
        answer = await self._first(outcome) if outcome.repeat else item_of(outcome)
        return decided(rule, answer, location, wish.headers | replayed(outcome))

    async def outcomes(self, commands: Sequence[CommandMessage], patience: float, key: str) -> list[Outcome | None]:
        """Publish the commands in their order; of each the outcome, if it comes within `patience` seconds. `key` is the
        Idempotency-Key under which the request may be repeated."""
        with ExitStack() as waiting, API_WAITERS.track_inprogress():
            answers = [waiting.enter_context(self.follower.waiting(command)) for command in commands]
            await self._publish(commands, key)
            for command in commands:
                self.queries.sightings.note(command.company_id, command.id)
            await asyncio.wait(answers, timeout=patience)
            outcomes = [answer.result() if answer.done() else None for answer in answers]
            for outcome in filter(None, outcomes):
                self.queries.permissions.changed(outcome.company_id, outcome.aggregate, outcome.last)
            return outcomes

    async def _first(self, outcome: Outcome) -> OutcomeItem:
        """The first answer in full, as its view keeps it; what the lane remembers of it where there is no view."""
        with suppress(Problem):
            found = await self.queries.outcome(outcome.company_id, outcome.command_id)
            if found is not None and found.fingerprint == outcome.fingerprint:
                return found
        return item_of(outcome)

    async def _publish(self, commands: Sequence[CommandMessage], key: str) -> None:
        self.in_flight.enter(commands)
        try:
            await self._send(commands, key)
        except Problem:
            for command in commands:
                self.in_flight.leave(command.id.encode())
            raise

    async def _send(self, commands: Sequence[CommandMessage], key: str) -> None:
        try:
            await self.publisher.send(*commands)
            API_PUBLISHES.labels("acknowledged").inc()
        except Unavailable as fault:
            API_PUBLISHES.labels("unavailable").inc()
            log.warning("kafka-away", reason=str(fault))
            raise kafka_away(
                f"Kafka did not take the command in time. Repeat the request with Idempotency-Key: {key}",
                headers={"Retry-After": str(RETRY_SECONDS)},
                members={"command_id": key},
            ) from fault
        except TooLarge as fault:
            API_PUBLISHES.labels("too-large").inc()
            raise body_too_large(str(fault)) from fault


def message(rule: Rule[Any], principal: Principal, request: web.Request, body: dict[str, Any]) -> CommandMessage:
    """The command that the request means. Raises a problem that names every wrong field."""
    command_id = chosen_id(principal, request)
    data = data_of(rule, request.match_info, body, command_id)
    return composed(rule, data, command_id, principal, request)._replace(
        expected_version=headers.expected_version(request.headers)
    )


def chosen_id(principal: Principal, request: web.Request) -> UUID:
    """The command id that the request's `Idempotency-Key` stands for, else a new one."""
    return headers.command_id(request.headers, f"{principal.company_id or ''}:{principal.actor}")


def composed(
    rule: Rule[Any], data: bytes, command_id: UUID, principal: Principal, request: web.Request
) -> CommandMessage:
    """A command of this request. Raises a problem that names every wrong field."""
    aggregate_id = _validated(rule, data)
    return CommandMessage(
        id=str(command_id),
        type=rule.type,
        company_id=_company(rule, principal, aggregate_id),
        aggregate=rule.decider.name,
        aggregate_id=aggregate_id,
        actor=principal.actor,
        data=data,
        source=SOURCE,
        correlation_id=request[REQUEST_ID],
        traceparent=request[TRACEPARENT],
        origin=request[ORIGIN],
    )


def data_of(rule: Rule[Any], path: Mapping[str, str], body: dict[str, Any], command_id: UUID) -> bytes:
    """The command's JSON: the body with the key, which is the path's, the body's or made from the command id."""
    key = rule.decider.key
    if rule.creates:
        keyed = {key: str(uuid5(command_id, key))} | body
    elif key in body:
        error = {"field": key, "pointer": f"/{key}", "code": "extra-forbidden", "detail": "the path names it already"}
        raise fields_wrong(errors=(error,))
    else:
        keyed = body | {key: path[key]}
    try:
        return json.dumps(keyed, allow_nan=False).encode()
    except ValueError as fault:  # 1E+400 is infinite to Python
        raise malformed("A number in the request body is out of range.") from fault


def _validated(rule: Rule[Any], data: bytes) -> str:
    """The id of the aggregate that the command names."""
    try:
        command = rule.command.model_validate_json(data)
    except ValidationError as fault:
        errors = field_errors(fault)
        if any(error["code"] == "json-invalid" for error in errors):
            raise malformed("The request body holds text that is not Unicode.") from fault
        if not rule.creates and any(error["pointer"] == f"/{rule.decider.key}" for error in errors):
            raise of_refusal(rule.decider.unknown)() from fault  # no id can look like this
        raise fields_wrong(f"{len(errors)} of the fields are wrong.", errors=errors) from fault
    return str(getattr(command, rule.decider.key))


def _company(rule: Rule[Any], principal: Principal, aggregate_id: str) -> str:
    """The token's company; for an operator, who has none, the company that he acts upon."""
    if principal.company_id is None:
        if not rule.operators:
            raise not_permitted("Operators open, suspend and reactivate companies, and nothing else.")
        return aggregate_id
    if rule.decider is company and aggregate_id != principal.company_id:
        raise not_permitted("Only an operator opens a company.") if rule.creates else not_found()
    return principal.company_id


def pending(command: CommandMessage, location: str, extra: Mapping[str, str]) -> web.Response:
    """The command is taken, and not decided yet."""
    plain = {"command_id": command.id, "status": "pending"}
    hints = {"Location": location, "Retry-After": str(PENDING_SECONDS), "Cache-Control": "no-store"}
    return answered(HTTPStatus.ACCEPTED, plain, hints | dict(extra))


def item_of(outcome: Outcome) -> OutcomeItem:
    return OutcomeItem(**{name: getattr(outcome, name) for name in OutcomeItem.model_fields})


def replayed(outcome: Outcome) -> dict[str, str]:
    return {"Idempotent-Replayed": "true"} if outcome.repeat else {}


def decided(rule: Rule[Any] | None, outcome: OutcomeItem, location: str, extra: Mapping[str, str]) -> web.Response:
    """The answer that the outcome stands for. Raises the problem that a refusal is, also where no rule was found."""
    notes = {"Consistency": f"{outcome.partition}:{outcome.position}", "Cache-Control": "no-store", **extra}
    if outcome.status is not Status.ACCEPTED or rule is None:
        members = {"command_id": str(outcome.command_id), "command": location}
        raise of_outcome(outcome)(outcome.detail or "", errors=outcome.errors, headers=notes, members=members)
    resource = resource_path(rule, outcome.aggregate_id)
    body = outcome.model_dump(mode="json") | {"command": location, "resource": resource}
    notes["ETag"] = f'"{outcome.version}"'
    if not rule.creates:
        return answered(HTTPStatus.OK, body, notes)
    return answered(HTTPStatus.CREATED, body, notes | {"Location": resource})
