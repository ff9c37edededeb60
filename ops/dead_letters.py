"""`bitcorp dead-letters`: what could not be processed, and another attempt at it."""

import json as json_text
from uuid import UUID, uuid5

from cyclopts import App

from domain import BUSINESS
from domain.record import Status
from ops.console import AsJson, out, plain, say, write_json
from ops.errors import Fault
from ops.realms import RealmName
from ops.records import bounds, consumer, partitions, read, read_all
from ops.render import letter_line, outcome_text, place_of
from ops.send import deliver
from ops.stack import resolve
from ops.tail import letter_json
from topics.catalogue import TOPICS_OF
from topics.cloudevents import Malformed, Record
from topics.messages import CommandMessage, moment_of, read_command, read_dead_letter
from topics.settings import Settings

app = App(name="dead-letters", help="List, show and retry what could not be processed.")


@app.command(name="list")
def list_(*, company: str | None = None, realm: RealmName = BUSINESS.name, json: AsJson = False) -> None:
    """All dead letters that are still kept, oldest first in each partition.

    Parameters
    ----------
    company
        Only those of this company.
    realm
        Of the business, or of another realm, whose dead letters hold a digest in place of the value.
    json
        One JSON object per line.
    """
    settings = resolve(Settings())
    count = 0
    for record in read_all(settings, TOPICS_OF[realm].dead_letters.named(settings.prefix)):
        if company is None or record.key == company.encode():
            count += 1
            write_json(letter_json(record)) if json else out.print(
                letter_line(record, read_dead_letter(record)), soft_wrap=True
            )
    if not json:
        say(f"{count} dead letters" if count else "There are no dead letters.", "dim")


@app.command
def show(number: str, *, realm: RealmName = BUSINESS.name, json: AsJson = False) -> None:
    """One dead letter, verbatim.

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
    letter = read_dead_letter(record)
    lines = [
        ("reason", letter.reason),
        ("origin", place_of(letter.origin)),
        ("received", moment_of(letter.origin.timestamp).isoformat()),
        ("key", _text(letter.origin.key)),
        *((f"header {name}", _text(value)) for name, value in letter.origin.headers),
        ("value", _pretty(letter.origin.value)),
        ("detail", letter.detail),
    ]
    for name, value in lines:
        out.print(plain(f"{name}: ", "bold") + plain(value), soft_wrap=True)


@app.command
async def retry(number: str, *, attempt: int = 1, wait: float = 30) -> int:
    """Send the command of a dead letter again, as a new command that names the old one as its cause.

    Its id follows from the old id and the attempt, so that the same retry twice does its work once.

    Parameters
    ----------
    number
        <partition>:<offset>, as `bitcorp dead-letters list` shows it.
    attempt
        Count it up to try the same dead letter once more.
    wait
        Seconds to wait for the outcome; 0 sends only.
    """
    settings = resolve(Settings())
    message = new_attempt(find(settings, number), attempt)
    outcome = await deliver(settings, message, wait)
    out.print(outcome_text(outcome) if outcome else f"Sent, as {message.id}.")
    return 0 if outcome is None or outcome.status is Status.ACCEPTED else 1


def new_attempt(record: Record, attempt: int) -> CommandMessage:
    """The command of the dead letter under its next id, not signed yet. Raises Fault where the letter holds none."""
    origin = read_dead_letter(record).origin
    try:
        command = read_command(origin)
    except Malformed as fault:
        raise Fault(
            f"This dead letter is no command, so it cannot be retried as it is: {fault}. Its sender must send "
            "it again, well formed."
        ) from fault
    return command._replace(id=attempt_id(command.id, attempt), causation_id=command.id, signature=None)


def attempt_id(old: str, attempt: int) -> str:
    """The id of the n-th retry of a command."""
    return str(uuid5(UUID(old), str(attempt)))


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


def _text(value: bytes | None) -> str:
    return "(none)" if value is None else value.decode("utf-8", "backslashreplace")


def _pretty(value: bytes | None) -> str:
    try:
        return json_text.dumps(json_text.loads(value or b""), indent=2, ensure_ascii=False)
    except ValueError:
        return _text(value)
