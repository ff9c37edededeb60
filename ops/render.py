"""Messages as people read them: one line each, without anything that could steer a terminal."""

import json
from typing import Any

from rich.text import Text

from domain.record import Outcome, Status
from ops.console import plain, printable
from topics.cloudevents import Record, read
from topics.messages import DeadLetter, moment_of

STYLES = {Status.ACCEPTED: "green", Status.REJECTED: "yellow", Status.FAILED: "bold red"}
LONGEST_DATA = 300


def event_line(record: Record) -> Text:
    """Time, place, aggregate with version, what happened, who did it, and its data."""
    said = read(record).attributes
    name = short_type(said.get("type", "?"))
    return Text.assemble(
        plain(f"{_second(said.get('time', ''))}  {record.partition}:{said.get('sequence', '?')}  ", "dim"),
        plain(f"{_key(record)}  {said.get('subject', '?')} v{said.get('aggregateversion', '?')}  "),
        plain(name, "bold cyan"),
        plain(f"  {said.get('actor', '?')}  ", "dim"),
        plain(_shortened(_text(record.value))),
    )


def event_json(record: Record) -> dict[str, Any]:
    said = read(record)
    return {"partition": record.partition, "offset": record.offset, **said.attributes, "data": json.loads(said.data)}


def outcome_line(outcome: Outcome) -> Text:
    """The outcome on one line."""
    return Text.assemble(
        plain(f"{outcome.recorded_at:%Y-%m-%d %H:%M:%S}  {outcome.partition}:{outcome.position}  ", "dim"),
        plain(f"{outcome.company_id}  {outcome.aggregate}/{outcome.aggregate_id}  {short_type(outcome.type)}  "),
        plain(outcome.status + (f": {outcome.code}" if outcome.code else ""), STYLES[outcome.status]),
        plain(" (repeat)" if outcome.repeat else ""),
        plain(f"  {outcome.actor}  {outcome.command_id}", "dim"),
    )


def outcome_text(outcome: Outcome) -> Text:
    """The outcome with all that its sender wants to know."""
    lines = [
        Text.assemble(
            plain(outcome.status, f"bold {STYLES[outcome.status]}"),
            plain(f": {outcome.code}" if outcome.code else "", STYLES[outcome.status]),
            plain(f"  {short_type(outcome.type)} {outcome.aggregate}/{outcome.aggregate_id}"),
            plain("  (the first outcome of this id again)" if outcome.repeat else "", "dim"),
        )
    ]
    lines += [plain(f"  {outcome.detail}")] if outcome.detail else []
    lines += [plain(f"  {e.get('field', '?')}: {e.get('detail', e.get('code', ''))}") for e in outcome.errors]
    if outcome.status is Status.ACCEPTED:
        lines.append(plain(f"  version {outcome.version}, {_events(outcome)}"))
    lines.append(plain(f"  command {outcome.command_id}, Consistency: {outcome.partition}:{outcome.position}", "dim"))
    return Text("\n").join(lines)


def letter_line(record: Record, letter: DeadLetter) -> Text:
    """The dead letter on one line; its number is what `bitcorp dead-letters show` takes."""
    return Text.assemble(
        plain(f"{moment_of(record.timestamp):%Y-%m-%d %H:%M:%S}  {number_of(record)}  ", "dim"),
        plain(f"{_key(letter.origin)}  "),
        plain(letter.reason, "bold red"),
        plain(f"  {_shortened(letter.detail.strip().splitlines()[-1] if letter.detail.strip() else '')}"),
        plain(f"  from {place_of(letter.origin)}", "dim"),
    )


def number_of(record: Record) -> str:
    """A record of a known topic: `<partition>:<offset>`."""
    return f"{record.partition}:{record.offset}"


def place_of(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"


def unreadable_line(record: Record, fault: Exception) -> Text:
    return plain(f"{place_of(record)} cannot be read: {fault}", "red")


def short_type(wire_type: str) -> str:
    """`com.bitcorp.erp.equipment.schedule-maintenance.v1` -> `schedule-maintenance`."""
    parts = wire_type.split(".")
    return parts[-2] if len(parts) > 2 else wire_type


def _events(outcome: Outcome) -> str:
    if outcome.first is None or outcome.last is None:
        return "nothing had to change"
    count = outcome.last - outcome.first + 1
    return f"{count} event{'s' if count > 1 else ''} at {outcome.partition}:{outcome.first}-{outcome.last}"


def _second(time: str) -> str:
    return time[:19].replace("T", " ")


def _key(record: Record) -> str:
    return _text(record.key)


def _text(value: bytes | None) -> str:
    return "(none)" if value is None else printable(value.decode("utf-8", "backslashreplace"))


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_DATA else f"{text[:LONGEST_DATA]}…"
