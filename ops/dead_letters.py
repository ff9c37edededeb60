"""`bitcorp dead-letters`: what could not be processed, and what is done about it."""

import asyncio
import json as json_text
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from cyclopts import App, Parameter

from domain import BUSINESS, RULES
from domain.decider import Actor
from domain.letter import DiscardLetter, letter
from domain.record import NOBODY, Outcome, SetAside, Status
from ops.console import AsJson, out, plain, progress, say, table, write_json
from ops.database import told
from ops.errors import Fault
from ops.realms import RealmName
from ops.records import bounds, consumer, partitions, read, read_all
from ops.render import letter_line, outcome_text, place_of, short_type
from ops.send import Envelope, deliver, message_of
from ops.stack import resolve
from ops.tail import letter_json
from topics.catalogue import TOPICS_OF
from topics.cloudevents import Record
from topics.dead_letters import NotRetried, retried, set_aside
from topics.messages import CommandMessage, moment_of, read_dead_letter
from topics.settings import Settings

app = App(name="dead-letters", help="List, show, retry and discard what could not be processed.")

ActorText = Annotated[str | None, Parameter(name="--actor")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which letters are meant; all that are kept where nothing is said."""

    company: str | None = None
    """Only those of this company."""
    reason: str | None = None
    """Only those set aside for this reason, such as failed or invalid."""
    type: str | None = None
    """Only commands of this type, by wire type or by name, such as equipment.retire."""
    since: str | None = None
    """Only those about what came at this time or later, such as 2026-11-28T06:00Z."""
    until: str | None = None
    """Only those about what came before this time."""
    only_open: Annotated[bool, Parameter(name="--open", negative="")] = False
    """Only those neither tried again nor discarded, as the views have it."""

    def takes(self, found: SetAside) -> bool:
        rule = RULES.get(found.type or "")
        named = (found.type, rule.permission if rule else None)
        return (
            self.company in (None, found.company_id)
            and self.reason in (None, found.reason)
            and (self.type is None or self.type in named)
            and (self.since is None or found.recorded_at >= _moment("--since", self.since))
            and (self.until is None or found.recorded_at < _moment("--until", self.until))
        )


@app.command(name="list")
def list_(*, choice: Choice | None = None, realm: RealmName = BUSINESS.name, json: AsJson = False) -> None:
    """Dead letters that are still kept, oldest first in each partition.

    Parameters
    ----------
    realm
        Of the business, or of another realm, whose dead letters hold a digest in place of the value.
    json
        One JSON object per line.
    """
    count = 0
    for record in chosen(resolve(Settings()), choice or Choice(), realm):
        count += 1
        write_json(letter_json(record)) if json else out.print(
            letter_line(record, read_dead_letter(record)), soft_wrap=True
        )
    if not json:
        say(f"{count} dead letters" if count else "There are no dead letters.", "dim")


@app.command
def show(number: str, *, realm: RealmName = BUSINESS.name, json: AsJson = False) -> None:
    """One dead letter, with all that it holds and the fault's stack where the fault was ours.

    Parameters
    ----------
    number
        <partition>:<offset>, as `bitcorp dead-letters list` shows it.
    realm
        Of the business, or of another realm.
    json
        One JSON object.
    """
    record = find(resolve(Settings()), number, realm)
    if json:
        write_json(letter_json(record))
        return
    found = read_dead_letter(record)
    lines = [
        ("letter", set_aside(record).aggregate_id),
        ("reason", found.reason),
        ("origin", place_of(found.origin)),
        ("received", moment_of(found.origin.timestamp).isoformat()),
        ("key", _text(found.origin.key)),
        *((f"header {name}", _text(value)) for name, value in found.origin.headers),
        ("value", _pretty(found.origin.value)),
        ("detail", found.detail),
    ]
    for name, value in lines:
        out.print(plain(f"{name}: ", "bold") + plain(value), soft_wrap=True)


@app.command
async def retry(
    number: str,
    *,
    attempt: int = 1,
    actor: ActorText = None,
    data: str | None = None,
    wait: float = 30,
    realm: RealmName = BUSINESS.name,
) -> int:
    """Send the command of a dead letter again, as a new command that names the old one as its cause.

    Its id follows from the old id and the attempt, so that the same retry twice does its work once.

    Parameters
    ----------
    number
        <partition>:<offset>, as `bitcorp dead-letters list` shows it.
    attempt
        Count it up to try the same dead letter once more, up to 10.
    actor
        Who sends it now; needed where other data are sent, or the letter does not prove who sent it first.
    data
        What the command says now, as a JSON object; - reads it from standard input.
    wait
        Seconds to wait for the outcome; 0 sends only.
    realm
        Of the business, or of another realm, whose letters say why they cannot be tried again.
    """
    settings = resolve(Settings())
    message = again(find(settings, number, realm), attempt, _actor(actor), _data(data))
    outcome = await deliver(settings, message, wait)
    out.print(outcome_text(outcome) if outcome else f"Sent, as {message.id}.")
    return 0 if outcome is None or outcome.status is Status.ACCEPTED else 1


@app.command
def retry_all(
    *,
    choice: Choice | None = None,
    attempt: int = 1,
    actor: ActorText = None,
    yes: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Send the commands of all open dead letters that are chosen again, no faster than lanes decide them.

    Without --yes it only says how many there are. Exit code 1 if one of them is not accepted.

    Parameters
    ----------
    attempt
        Count it up to try letters once more whose last attempt was too long ago to be remembered.
    actor
        Who sends them now; whoever sent each first, if not given.
    yes
        Send them.
    """
    settings = resolve(Settings())
    records = list(chosen(settings, choice or Choice(), open_alone=True))
    commands, refused = sorted_out(records, attempt, _actor(actor))
    for reason, count in refused.items():
        say(f"{count} cannot be tried again: {reason}", "yellow")
    counts = Counter((short_type(command.type), command.company_id) for command in commands)
    if counts:
        out.print(table("To be sent again", ("command", "company", "letters"), ((*k, n) for k, n in counts.items())))
    if not yes or not commands:
        say("Nothing was sent. Send them with: --yes" if commands else "There is nothing to be sent again.")
        return 0
    outcomes = Counter(outcome.status for outcome in asyncio.run(paced(settings, commands)))
    out.print(plain(", ".join(f"{count} {status}" for status, count in outcomes.items())))
    return 0 if set(outcomes) == {Status.ACCEPTED} else 1


@app.command
async def discard(number: str, *, reason: str, actor: str, wait: float = 30) -> int:
    """Say why a dead letter needs no other attempt. It stays readable as long as its topic keeps it.

    Parameters
    ----------
    number
        <partition>:<offset>, as `bitcorp dead-letters list` shows it.
    reason
        Why.
    actor
        The admin of its company who says so: user:<id>.
    wait
        Seconds to wait for the outcome.
    """
    settings = resolve(Settings())
    found = set_aside(find(settings, number))
    if found.company_id == NOBODY:
        raise Fault("This dead letter names no company, so no company's admin can discard it. It goes after 30 days.")
    command = DiscardLetter(letter_id=found.aggregate_id, reason=reason)
    envelope = Envelope(actor=actor, company=found.company_id)
    outcome = await deliver(settings, message_of(letter.rules[DiscardLetter], command, envelope), wait)
    out.print(outcome_text(outcome) if outcome else "Sent.")
    return 0 if outcome is None or outcome.status is Status.ACCEPTED else 1


def chosen(
    settings: Settings, choice: Choice, realm: str = BUSINESS.name, *, open_alone: bool = False
) -> Iterator[Record]:
    """Records of the dead letters that are meant, each letter once."""
    known = _open_ids(settings, realm) if choice.only_open or open_alone else None
    seen: set[str] = set()
    for record in read_all(settings, TOPICS_OF[realm].dead_letters.named(settings.prefix)):
        found = set_aside(record)
        if found.aggregate_id not in seen and choice.takes(found) and (known is None or found.aggregate_id in known):
            seen.add(found.aggregate_id)
            yield record


def _open_ids(settings: Settings, realm: str) -> frozenset[str]:
    from views.dead_letters import open_ids
    from views.reading import watch_engine

    if realm != BUSINESS.name:
        raise Fault("Whether a dead letter was handled is known of the business alone: leave --open out.")

    async def look() -> frozenset[str]:
        pool = watch_engine(settings.database.get_secret_value())
        try:
            async with pool.connect() as connection:
                return await open_ids(connection)
        finally:
            await pool.dispose()

    with told(settings):
        return asyncio.run(look())


def sorted_out(
    records: Sequence[Record], attempt: int, actor: Actor | None
) -> tuple[list[CommandMessage], Counter[str]]:
    """The new commands, and how many letters there are none of, by the reason."""
    commands: list[CommandMessage] = []
    refused: Counter[str] = Counter()
    for record in records:
        try:
            commands.append(again(record, attempt, actor))
        except Fault as fault:
            refused[str(fault)] += 1
    return commands, refused


async def paced(settings: Settings, commands: Sequence[CommandMessage]) -> list[Outcome]:
    """Send the commands a handful after the other; their outcomes."""
    from topics import logs
    from topics.pacing import HANDFUL, Pacer
    from topics.publisher import Publisher

    logs.configure(settings.model_copy(update={"log_level": "error"}), "shell")
    publisher = Publisher(settings)
    pacer = Pacer(settings, publisher)
    outcomes: list[Outcome] = []
    await publisher.start()
    await pacer.start()
    try:
        with progress("Sending", len(commands)) as advance:
            for start in range(0, len(commands), HANDFUL):
                decided = await pacer.decided(commands[start : start + HANDFUL])
                advance(len(decided))
                outcomes += decided
    finally:
        await pacer.stop()
        await publisher.stop()
    return outcomes


def again(record: Record, attempt: int, actor: Actor | None = None, data: bytes | None = None) -> CommandMessage:
    """The letter's command under its next id, not signed yet. Raises Fault where it cannot be sent again."""
    try:
        return retried(read_dead_letter(record), attempt, actor=actor, data=data)
    except NotRetried as fault:
        raise Fault(str(fault)) from fault


def find(settings: Settings, number: str, realm: str = BUSINESS.name) -> Record:
    """The dead letter at `<partition>:<offset>`. Raises Fault where there is none."""
    topic = TOPICS_OF[realm].dead_letters.named(settings.prefix)
    try:
        partition, offset = map(int, number.split(":"))
    except ValueError as fault:
        raise Fault(f"{number!r} is no dead letter: write <partition>:<offset>, such as 3:17.") from fault
    with consumer(settings) as reader:
        if partition in partitions(reader, topic) and offset < bounds(reader, topic, partition).end:
            for record in read(reader, topic, partition, offset, offset + 1):
                if record.offset == offset:
                    return record
    raise Fault(f"There is no dead letter {number}. Those that are kept are listed by: bitcorp dead-letters list")


def _actor(text: str | None) -> Actor | None:
    try:
        return None if text is None else Actor.parse(text)
    except ValueError as fault:
        raise Fault(f"--actor {text} is nobody: {fault}") from fault


def _data(text: str | None) -> bytes | None:
    """The JSON object that is given."""
    if text is None:
        return None
    try:
        given = json_text.loads(sys.stdin.read() if text == "-" else text)
    except ValueError as fault:
        raise Fault(f"--data is not JSON: {fault}") from fault
    if not isinstance(given, dict):
        raise Fault("--data must be a JSON object, such as the value that `bitcorp dead-letters show` shows.")
    return json_text.dumps(given).encode()


def _moment(name: str, text: str) -> datetime:
    from views.resource import moment_of as moment

    try:
        return moment(text)
    except ValueError as fault:
        raise Fault(f"{name} {text} is no time: write it as 2026-11-28T06:00Z.") from fault


def _text(value: bytes | None) -> str:
    return "(none)" if value is None else value.decode("utf-8", "backslashreplace")


def _pretty(value: bytes | None) -> Any:
    try:
        return json_text.dumps(json_text.loads(value or b""), indent=2, ensure_ascii=False)
    except ValueError:
        return _text(value)
