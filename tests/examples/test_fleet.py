"""The fleet's data files: complete, consistent, and leading to what they say by the product's own rules."""

import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from uuid import UUID

import pytest

from domain import RULES, engine
from domain.decider import Refusal, Rejected, kebab
from ops import fleet
from topics.cloudevents import Malformed, Record
from topics.messages import read_command

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ENVELOPE = ("malformed", "unknown-type", "no-id")


def load(path: Path) -> ModuleType:
    """A script of the examples as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


upstream = load(fleet.FLEET.parent / "upstream.py")


@pytest.fixture(scope="module")
def sent() -> list[fleet.Sent]:
    return fleet.read(fleet.PAST, fleet.TODAY)


@pytest.fixture(scope="module")
def records(monkeypatch_day: None) -> list[Record]:
    return [
        Record("erp.commands", 0, message.key, message.value, tuple(message.headers))
        for folder in (fleet.PAST, fleet.TODAY)
        for file in upstream.messages(folder)
        for message in file
    ]


@pytest.fixture(scope="module")
def monkeypatch_day() -> Iterator[None]:
    """Upstream publishes on the day of NOW."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upstream, "date", type("Day", (), {"today": staticmethod(NOW.date)}))
        yield


class Memory:
    """One partition's state in a dict, with the command ids that it has seen: no clock, no log."""

    def __init__(self) -> None:
        self.state: dict[str, bytes] = {}
        self.seen: dict[tuple[str, UUID], str] = {}

    def answer(self, record: Record) -> tuple[str, tuple[str, ...]]:
        """The answer in the words of `ops.fleet`, and the names of the events."""
        try:
            command = read_command(record)
        except Malformed:
            return fleet.UNANSWERED, ()
        try:
            fingerprint = command.fingerprint
        except Malformed:
            return "invalid", ()
        first = self.seen.setdefault((command.company_id, command.id), fingerprint)
        if first is not fingerprint:
            return (fleet.REPEAT if first == fingerprint else "id-reused"), ()
        book = engine.Book(self.state.get)
        try:
            facts = engine.decide(command.request(NOW), book)
        except Rejected as no:
            return no.code, ()
        self.state |= {key: value for key, value in book.changes.items() if value is not None}
        names = tuple(kebab(type(fact.event).__name__) for fact in facts)
        return (fleet.ACCEPTED if names else fleet.NOTHING), names


def test_every_command_of_the_fleet_leads_to_what_its_row_says(sent: list[fleet.Sent], records: list[Record]) -> None:
    memory = Memory()
    wrong = []
    for command, record in zip(sent, records, strict=True):
        answer, events = memory.answer(record)
        if (answer, Counter(events)) != (command.answer, Counter(command.events)):
            wrong.append((command.place, command.answer, command.events, answer, events))
    assert wrong == []


def test_mis_keyed_commands_lead_to_the_same_when_they_come_last(sent: list[fleet.Sent], records: list[Record]) -> None:
    pairs = list(zip(sent, records, strict=True))
    memory = Memory()
    for folder in (fleet.PAST.name, fleet.TODAY.name):
        phase = [pair for pair in pairs if pair[0].place.startswith(folder)]
        for command, record in sorted(phase, key=lambda pair: pair[0].how == "mis-keyed"):
            assert memory.answer(record) == (command.answer, command.events) or len(command.events) > 1, command


def test_every_row_is_a_command_that_its_class_can_read_or_says_that_it_is_not(
    sent: list[fleet.Sent], records: list[Record]
) -> None:
    for command, record in zip(sent, records, strict=True):
        if command.answer == "invalid" or command.how in ENVELOPE:
            continue
        message = read_command(record)
        assert (message.id, message.company_id) == (command.command_id, command.company)
        assert f"{message.aggregate}/{message.aggregate_id}" == command.subject
        RULES[message.type].command.model_validate_json(message.data)


def test_expected_codes_are_codes_of_the_product(sent: list[fleet.Sent]) -> None:
    known = {*Refusal.known, "id-reused", fleet.ACCEPTED, fleet.NOTHING, fleet.REPEAT, fleet.UNANSWERED}
    known |= {
        f"{name}-{word}" for name in ("company", "user", "category", "equipment") for word in ("unknown", "exists")
    }
    assert {command.answer for command in sent} <= known


def test_the_fleet_has_the_size_it_claims(sent: list[fleet.Sent]) -> None:
    events = fleet.events(sent)
    assert 11_800 < len(sent) < 12_200
    assert (events["company-created"], events["equipment-created"]) == (3, 1000)
    assert events["user-added-to-company"] == 40
    assert 300 < sum(command.answer not in (fleet.ACCEPTED, fleet.NOTHING) for command in sent) < 450
    assert sum(path.stat().st_size for path in fleet.FLEET.rglob("*.csv")) < 2_000_000


def test_each_kind_of_wrong_command_is_there_several_times(sent: list[fleet.Sent]) -> None:
    answers, hows = fleet.answers(sent), Counter(command.how.partition(":")[0] for command in sent)
    kinds = (
        "serial-number-taken actor-unknown forbidden date-in-past equipment-unknown company-unknown version-conflict"
        " id-reused company-suspended invalid"
    )
    assert all(answers[code] >= 5 for code in [*kinds.split(), fleet.REPEAT, fleet.NOTHING])
    assert all(
        hows[how] >= 3
        for how in ["mis-keyed", "malformed", "unknown-type", "extra-field", "no-id", "structured", "subject"]
    )


def test_the_usual_partitioner_of_librdkafka_puts_every_company_astray() -> None:
    from zlib import crc32

    from topics.catalogue import partition_of
    from topics.settings import Settings

    partitions = Settings.model_fields["partitions"].default
    companies = {command.company.encode() for command in fleet.read(fleet.PAST) if command.how == "mis-keyed"}
    assert len(companies) == 3
    assert all(crc32(company) % partitions != partition_of(company, partitions) for company in companies)


def test_the_data_files_are_written_anew_byte_for_byte(tmp_path: Path) -> None:
    load(fleet.FLEET / "make.py").main(tmp_path)
    for folder in (fleet.PAST, fleet.TODAY):
        made = {path.name: path.read_bytes() for path in (tmp_path / folder.name).iterdir()}
        assert made == {path.name: path.read_bytes() for path in folder.iterdir()}
