"""`bitcorp send`: one command per rule of the domain, its options made from the command's class."""

import json
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID

from cyclopts import App, Parameter
from pydantic import ValidationError, WrapValidator

from domain import BUSINESS, OFFERED
from domain.decider import Actor, Rule, kebab
from domain.model import Command
from domain.realm import Realm
from domain.record import Outcome, Status
from ops.console import err, out, write_json
from ops.errors import Fault
from ops.records import bounds, consumer, partitions, read
from ops.render import outcome_text
from ops.stack import resolve
from topics.catalogue import TOPICS_OF, partition_of
from topics.cloudevents import Record
from topics.messages import CommandMessage, read_outcome
from topics.settings import Settings

SOURCE = "/shell"
LOOK_SECONDS = 0.05

app = App(name="send", help="Send a command and wait for its outcome; exit code 1 if it is not accepted.")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Envelope:
    """What travels beside the command's own fields."""

    actor: str
    """Who sends it: user:<id>, or operator:<id> for opening, suspending and reactivating companies."""
    company: str | None = None
    """The company; needed unless the command itself names it."""
    id: UUID | None = None
    """The command's id; the same id again gives the first outcome again. Made here if not given."""
    expected_version: int | None = None
    """Refuse the command if the aggregate has moved on from this version."""
    wait: float = 30
    """Seconds to wait for the outcome; 0 sends only."""
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False
    """Print the outcome as one JSON object."""
    quiet: Annotated[bool, Parameter(parse=False)] = field(default=False, repr=False)


def _sender(rule: Rule[Any]) -> Callable[..., Awaitable[int]]:
    def from_shell(typed: Any, _: Any) -> Command:
        return as_typed(rule.command, typed)

    async def send(command: Any, *, envelope: Envelope) -> int:
        return await _send(rule, command, envelope)

    send.__annotations__ = {
        "command": Annotated[rule.command, Parameter(name="*"), WrapValidator(from_shell)],
        "envelope": Envelope,
        "return": int,
    }
    send.__doc__ = f"{rule.command.__doc__}\n\nNeeds the permission {rule.permission}."
    return send


for _rule in OFFERED.values():
    app.command(_sender(_rule), name=kebab(_rule.command.__name__))


def as_typed(command: type[Command], typed: Any) -> Command:
    """The command read as strictly as from JSON; but numbers are typed as text, and choices in either case."""
    try:
        return command.model_validate_json(json.dumps(typed))
    except ValidationError as fault:
        mended = json.loads(json.dumps(typed))
        for error in fault.errors():
            _mend(mended, error)
    return command.model_validate_json(json.dumps(mended))


def _mend(typed: Any, error: Any) -> None:
    *above, last = error["loc"] or (None,)
    for part in above:
        typed = typed[part]
    if error["type"] in ("int_type", "bool_type") and re.fullmatch(r"-?\d+|true|false", str(error["input"])):
        typed[last] = json.loads(error["input"])
    elif error["type"] == "enum":
        choices = {_spelt(name): name for name in re.findall("'([^']+)'", error["ctx"]["expected"])}
        typed[last] = choices.get(_spelt(error["input"]), error["input"])


def _spelt(choice: object) -> str:
    """A choice as help shows it: small, with dashes."""
    return str(choice).casefold().replace("_", "-")


async def _send(rule: Rule[Any], command: Command, envelope: Envelope) -> int:
    message = message_of(rule, command, envelope)
    outcome = await deliver(resolve(Settings()), message, envelope.wait)
    if outcome is None:
        write_json({"command_id": message.id}) if envelope.as_json else out.print(f"Sent, as {message.id}.")
        return 0
    if envelope.as_json:
        write_json(outcome.model_dump(mode="json", exclude_none=True))
    else:
        out.print(outcome_text(outcome))
    return 0 if outcome.status is Status.ACCEPTED else 1


def message_of(rule: Rule[Any], command: Command, envelope: Envelope) -> CommandMessage:
    """Raises Fault where the envelope is not complete."""
    from uuid_utils.compat import uuid7

    company = envelope.company or getattr(command, "company_id", None)
    if company is None:
        raise Fault("This command needs the company that it is for: --company <id>")
    try:
        actor = Actor.parse(envelope.actor)
    except ValueError as fault:
        raise Fault(f"--actor {envelope.actor} is nobody: {fault}") from fault
    return CommandMessage(
        id=str(envelope.id or uuid7()),
        type=rule.type,
        company_id=company,
        aggregate=rule.decider.name,
        aggregate_id=getattr(command, rule.decider.key),
        actor=actor,
        data=command.model_dump_json(exclude_unset=True).encode(),
        source=SOURCE,
        expected_version=envelope.expected_version,
    )


async def deliver(settings: Settings, message: CommandMessage, wait: float, realm: Realm = BUSINESS) -> Outcome | None:
    """Publish the command and return its outcome; None if nobody waits. Raises Fault where none comes in time."""
    from topics import logs
    from topics.publisher import Publisher

    logs.configure(settings.model_copy(update={"log_level": "error"}), "shell")
    topic = TOPICS_OF[realm.name].outcomes.named(settings.prefix)
    with consumer(settings) as reader:
        partition = partition_of(message.company_id.encode(), len(partitions(reader, topic)))
        start = bounds(reader, topic, partition).end
        publisher = Publisher(settings)
        await publisher.start()
        try:
            await publisher.send(message, realm=realm)
        finally:
            await publisher.stop()
        if wait <= 0:
            return None
        with err.status("Waiting for the outcome"):
            for record in _until(reader, topic, partition, start, time.monotonic() + wait):
                outcome, _ = read_outcome(record)
                if outcome.command_id == message.id:
                    return outcome
    raise Fault(
        f"The command {message.id} was sent, but no outcome came within {wait:g} s. Does a worker run? Look with: "
        "bitcorp doctor. Sending it again with the same --id does no harm."
    )


def _until(reader: Any, topic: str, partition: int, start: int, deadline: float) -> Iterator[Record]:
    while time.monotonic() < deadline:
        end = bounds(reader, topic, partition).end
        yield from read(reader, topic, partition, start, end)
        start = max(start, end)
        time.sleep(LOOK_SECONDS)
