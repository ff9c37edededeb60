"""`bitcorp tail`: messages as they come, readable or as JSON."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.text import Text

from ops.console import out, write_json
from ops.records import follow, read_all
from ops.render import event_json, event_line, letter_line, outcome_line, unreadable_line
from ops.stack import resolve
from topics.catalogue import DEAD_LETTERS, EVENTS, OUTCOMES, Topic
from topics.cloudevents import Record
from topics.dead_letters import letter_id
from topics.messages import read_dead_letter, read_outcome
from topics.settings import Settings

app = App(name="tail", help="Follow events, outcomes or dead letters until Ctrl-C.")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Choice:
    """What to show of a topic, and how."""

    company: str | None = None
    """Only messages of this company."""
    from_beginning: Annotated[bool, Parameter(negative="")] = False
    """Start with the oldest message that is kept; else only new ones are shown."""
    follow: bool = True
    """Wait for more; --no-follow shows what is there now and ends."""
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False
    """One JSON object per line."""


@app.command
def events(*, choice: Choice | None = None) -> None:
    """What happened: the journal of domain events."""
    _show(EVENTS, choice, event_line, event_json)


@app.command
def outcomes(*, choice: Choice | None = None) -> None:
    """The one answer to each command."""
    _show(OUTCOMES, choice, _outcome_line, lambda r: read_outcome(r)[0].model_dump(mode="json", exclude_none=True))


@app.command
def dead_letters(*, choice: Choice | None = None) -> None:
    """What could not be processed, with the reason."""
    _show(DEAD_LETTERS, choice, lambda r: letter_line(r, read_dead_letter(r)), letter_json)


def letter_json(record: Record) -> dict[str, Any]:
    """A dead letter as JSON; bytes that are no text are base64 in a list."""
    letter = read_dead_letter(record)
    origin = letter.origin
    return {
        "partition": record.partition,
        "offset": record.offset,
        "letter_id": letter_id(letter.origin),
        "reason": letter.reason,
        "detail": letter.detail,
        "origin": {"topic": origin.topic, "partition": origin.partition, "offset": origin.offset},
        "key": _json_of(origin.key),
        "value": _json_of(origin.value),
        "headers": [[name, _json_of(value)] for name, value in origin.headers],
    }


def _json_of(value: bytes | None) -> str | list[str] | None:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return [b64encode(value).decode()]


def _outcome_line(record: Record) -> Text:
    return outcome_line(read_outcome(record)[0])


def _show(
    topic: Topic, choice: Choice | None, line: Callable[[Record], Text], as_json: Callable[[Record], dict[str, Any]]
) -> None:
    choice = choice or Choice()
    for record in _chosen(topic, choice):
        try:
            write_json(as_json(record)) if choice.as_json else out.print(line(record), soft_wrap=True)
        except (ValueError, KeyError) as fault:
            out.print(unreadable_line(record, fault), soft_wrap=True)


def _chosen(topic: Topic, choice: Choice) -> Iterator[Record]:
    settings = resolve(Settings())
    name = topic.named(settings.prefix)
    records = (
        follow(settings, name, from_beginning=choice.from_beginning) if choice.follow else read_all(settings, name)
    )
    company = choice.company.encode() if choice.company else None
    return (record for record in records if company in (None, record.key))
