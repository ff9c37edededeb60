"""Dead letters as they are looked after: what each holds, and another attempt at its command.

A letter is known by where its record came from, such as `commands-3-17`, or `g2.commands-3-17` in topics of the second
generation: a lane may publish one twice, and it is the same. An attempt is a new command whose id follows from the old
one and its number, so that whoever makes it again makes the same, and whoever looks for it needs to be told nothing.
"""

from uuid import UUID, uuid5

from domain.decider import Actor
from domain.engine import unauthenticated
from domain.record import NOBODY, SetAside
from topics.cloudevents import Malformed, Record, parse_json
from topics.generation import mark_of
from topics.messages import (
    DIGEST,
    CommandMessage,
    DeadLetter,
    moment_of,
    read_command,
    read_dead_letter,
    read_key,
    salvage,
)

#: Attempts at one command; whoever needs more has something else to mend.
MOST_ATTEMPTS = 10
UNREADABLE = "unreadable"


class NotRetried(ValueError):
    """The letter cannot be tried again like this; the text says why, and what to do instead."""


def letter_id(origin: Record) -> str:
    """`<topic without prefix>-<partition>-<offset>` of the record, behind the generation of later topics."""
    topic = ".".join(filter(None, (mark_of(origin.topic), origin.topic.partition(".")[2])))
    return f"{topic}-{origin.partition}-{origin.offset}"


def attempt_id(command_id: str, attempt: int) -> str:
    """The id of the n-th attempt at a command."""
    return str(uuid5(UUID(command_id), str(attempt)))


def attempts(command_id: str) -> tuple[str, ...]:
    """The ids of all attempts that there may be, the first one first."""
    return tuple(attempt_id(command_id, number) for number in range(1, MOST_ATTEMPTS + 1))


def set_aside(record: Record) -> SetAside:
    """What a record of the topic of dead letters tells. What is none is kept too, as unreadable: it may stop nobody."""
    try:
        letter = read_dead_letter(record)
    except (ValueError, IndexError, AttributeError):
        letter = DeadLetter(record, UNREADABLE, "This is no dead letter of ours.")
    command, origin = command_in(letter), letter.origin
    return SetAside(
        company_id=_company_of(origin),
        aggregate_id=letter_id(origin),
        reason=letter.reason[:100],
        detail=letter.detail.replace("\x00", "\ufffd"),
        type=command.type if command and command.type else None,
        command_id=command.id if command else None,
        actor=str(command.actor) if command else None,
        retries=attempts(command.id) if command else (),
        topic=origin.topic,
        partition=origin.partition,
        offset=origin.offset,
        recorded_at=moment_of(origin.timestamp),
        value=origin.value,
        header_names=tuple(name.replace("\x00", "\ufffd") for name, _ in origin.headers),
        header_values=tuple(value for _, value in origin.headers),
    )


def _company_of(origin: Record) -> str:
    try:
        return read_key(origin.key)
    except Malformed:
        return NOBODY


def command_in(letter: DeadLetter) -> CommandMessage | None:
    """What can be said of the command that the letter holds."""
    try:
        return read_command(letter.origin)
    except Malformed:
        return salvage(letter.origin)


def retried(
    letter: DeadLetter, attempt: int, *, actor: Actor | None = None, data: bytes | None = None
) -> CommandMessage:
    """The letter's command once more under its next id, with the old one as its cause, not signed yet.

    `actor` sends it, or whoever sent it first; `data` takes the place of what it said. Raises NotRetried.
    """
    if not 1 <= attempt <= MOST_ATTEMPTS:
        raise NotRetried(f"An attempt has a number from 1 to {MOST_ATTEMPTS}.")
    if (letter.origin.value or b"").startswith(DIGEST):
        raise NotRetried(
            "This letter holds a digest in place of what was sent, which is secret and kept nowhere, so it cannot be "
            "tried again. Whoever sent it must do so anew."
        )
    if actor is None and (data is not None or letter.reason == unauthenticated.code):
        why = "has other data than its sender gave it" if data is not None else "does not prove who sent it"
        raise NotRetried(f"The command {why}: name who sends it now, as --actor.")
    command = _well_formed(letter, data)
    return command._replace(
        id=attempt_id(command.id, attempt),
        actor=actor or command.actor,
        correlation_id=command.correlation_id or command.id,
        causation_id=command.id,
        signature=None,
    )


def _well_formed(letter: DeadLetter, data: bytes | None) -> CommandMessage:
    """The letter's command with these data, or its own."""
    if not letter.origin.topic.endswith("commands"):
        raise NotRetried("This letter is no command but a record of an import: mend its mapping and import it again.")
    try:
        command = read_command(letter.origin)
        command = command if data is None else command._replace(data=data)
        parse_json(command.data)
        return command
    except Malformed as fault:
        raise NotRetried(
            f"This dead letter is no command, so it cannot be retried as it is: {fault}. Retry it with other data, or "
            "let its sender send it again, well formed."
        ) from fault
