"""Many commands in one request, and taking a command back: each is an ordinary command with an outcome of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, TypeVar
from uuid import UUID, uuid5

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api import headers
from api.answers import answered
from api.commands import PENDING_SECONDS, Commands, chosen_id, command_path, composed, data_of, item_of
from api.door import ROOT
from api.problems import Problem, command_unknown, fields_wrong, not_undoable
from api.tokens import Principal
from domain import HOMES, OFFERED
from domain.decider import Rule
from domain.engine import field_errors
from domain.model import Command, Event
from domain.record import Outcome
from topics.messages import CommandMessage
from views.history import EQUIPMENT_HISTORY, caused_by
from views.reading import Reader

MOST_COMMANDS = 1000
PERMITTED: dict[str, Rule[Any]] = {rule.permission: rule for rule in OFFERED.values()}
Body = TypeVar("Body", bound=BaseModel)
ORDERED: dict[type[Command], Rule[Any]] = {rule.command: rule for rule in OFFERED.values()}


class BulkCommand(BaseModel):
    """One of many commands."""

    model_config = ConfigDict(extra="forbid", strict=True)

    command: Annotated[str, Field(description="Its permission name", examples=["equipment.rename"])]
    data: Annotated[
        dict[str, Any],
        Field(
            description="Its fields, with the id of what it is about; on creation that may be left out",
            examples=[{"equipment_id": "EX-7", "name": "Komatsu PC210 No. 7"}],
        ),
    ]
    expected_version: Annotated[int | None, Field(ge=0, description="Refused if the thing has another version")] = None


class BulkBody(BaseModel):
    """Commands to be decided in this order."""

    model_config = ConfigDict(extra="forbid", strict=True)

    commands: Annotated[tuple[BulkCommand, ...], Field(min_length=1, max_length=MOST_COMMANDS, strict=False)]


@dataclass(frozen=True)
class Bulk:
    """Publishes many commands at once, in order; what cannot be a command is answered in its place."""

    commands: Commands

    def routes(self) -> Iterator[web.RouteDef]:
        yield web.post(f"{ROOT}/bulk", self.take)
        yield web.post(f"{ROOT}/commands/{{command_id}}/undo", self.undo)

    async def take(self, request: web.Request) -> web.Response:
        door = self.commands.door
        principal = door.principal(request)
        door.accepts_json(request)
        body = checked(BulkBody, await door.body(request))
        bulk_id = chosen_id(principal, request)
        entries = [
            entry(wanted, uuid5(bulk_id, str(index)), principal, request) for index, wanted in enumerate(body.commands)
        ]
        return await self.answer(request, principal, entries, bulk_id)

    async def undo(self, request: web.Request) -> web.Response:
        """Send the inverse of each event that the command led to, the last event first."""
        door = self.commands.door
        principal = door.principal(request)
        door.accepts_json(request)
        company_id = door.company(principal)
        await self.commands.queries.wait(EQUIPMENT_HISTORY, request)
        await self.commands.queries.permissions.check(principal)
        command_id = named(request)

        async def read(reader: Reader) -> list[tuple[int, Event]]:
            return await caused_by(reader, str(command_id))

        events = await self.commands.queries.database.read(company_id, read)
        if not events:
            raise command_unknown("No event of the company was caused by this command.")
        entries = [
            back(inverse_of(event), uuid5(command_id, f"undo:{position}"), command_id, principal, request)
            for position, event in reversed(to_take_back(events))
        ]
        return await self.answer(request, principal, entries, command_id)

    async def answer(
        self, request: web.Request, principal: Principal, entries: Sequence[CommandMessage | Problem], key: UUID | str
    ) -> web.Response:
        """Publish the commands among the entries; an answer for each entry, in its place."""
        wish = headers.preference(request.headers, self.commands.door.settings.wait_limit)
        sent = [message for message in entries if isinstance(message, CommandMessage)]
        outcomes = iter(await self.commands.outcomes(sent, wish.wait or 0, str(key)) if sent else ())
        shown = [
            refused(found) if isinstance(found, Problem) else told(found, next(outcomes), principal)
            for found in entries
        ]
        waits = any(each["status"] == "pending" for each in shown)
        hints = wish.headers | {"Cache-Control": "no-store"} | ({"Retry-After": str(PENDING_SECONDS)} if waits else {})
        return answered(HTTPStatus.ACCEPTED if waits else HTTPStatus.OK, {"outcomes": shown}, hints)


def checked(kind: type[Body], body: dict[str, Any]) -> Body:
    """The body as it must be. Raises the problem that names every wrong field."""
    try:
        return kind.model_validate(body)
    except ValidationError as fault:
        errors = field_errors(fault)
        raise fields_wrong(f"{len(errors)} of the fields are wrong.", errors=errors) from fault


def entry(
    wanted: BulkCommand, command_id: UUID, principal: Principal, request: web.Request
) -> CommandMessage | Problem:
    """The command that is meant, or what is wrong with it."""
    rule = PERMITTED.get(wanted.command)
    if rule is None:
        wrong = {"field": "command", "pointer": "/command", "code": "unknown", "detail": "there is no such command"}
        return fields_wrong(errors=(wrong,))
    key, body = rule.decider.key, dict(wanted.data)
    try:
        data = data_of(rule, {key: body.pop(key, None)} if not rule.creates else {}, body, command_id)
        command = composed(rule, data, command_id, principal, request)
    except Problem as problem:
        return problem
    return command._replace(expected_version=wanted.expected_version)


def named(request: web.Request) -> UUID:
    try:
        return UUID(request.match_info["command_id"])
    except ValueError as fault:
        raise command_unknown() from fault


def to_take_back(events: Sequence[tuple[int, Event]]) -> list[tuple[int, Event]]:
    """What must be taken back: where a thing came into being, only that, since the rest goes with it."""
    begun = {thing(event) for _, event in events if event.begins}
    return [(position, event) for position, event in events if event.begins or thing(event) not in begun]


def thing(event: Event) -> tuple[str, str]:
    home = HOMES[type(event)]
    return home.name, getattr(event, home.key)


def inverse_of(event: Event) -> Command:
    inverse = event.inverse()
    if inverse is None:
        raise not_undoable(f"{type(event).__name__} cannot be taken back: there is no command that would undo it.")
    return inverse


def back(
    inverse: Command, command_id: UUID, undone: UUID, principal: Principal, request: web.Request
) -> CommandMessage:
    rule = ORDERED[type(inverse)]
    data = inverse.model_dump_json(exclude_none=True).encode()
    return composed(rule, data, command_id, principal, request)._replace(causation_id=str(undone))


def told(command: CommandMessage, outcome: Outcome | None, principal: Principal) -> dict[str, Any]:
    """What is known of one command, with the address where more will be."""
    place = {"command": command_path(command.company_id, command.id, principal)}
    if outcome is None:
        return {"command_id": command.id, "status": "pending"} | place
    return item_of(outcome).model_dump(mode="json") | place


def refused(problem: Problem) -> dict[str, Any]:
    """What was not published, since no lane could have taken it."""
    return {
        "status": "rejected",
        "code": problem.type.code,
        "detail": problem.detail,
        "errors": [dict(error) for error in problem.errors],
    }
