"""The fleet's data files: complete, consistent, and leading to what they say by the product's own rules."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zlib import crc32

import pytest

from domain import RULES, engine
from domain.decider import Refusal, Rejected, kebab
from ops import fleet
from tests.examples.scripts import load
from topics.catalogue import partition_of
from topics.cloudevents import Malformed, Record
from topics.messages import read_command, salvage
from topics.settings import Settings

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

upstream = load("upstream.py")


@pytest.fixture(scope="module")
def sent() -> list[fleet.Sent]:
    return fleet.read(fleet.PAST, fleet.TODAY)


@pytest.fixture(scope="module")
def records() -> Iterator[list[Record]]:
    """What upstream would publish on the day of NOW."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upstream, "today", NOW.date)
        yield [
            Record("erp.commands", 0, message.key, message.value, tuple(message.headers))
            for folder in (fleet.PAST, fleet.TODAY)
            for file in upstream.messages(folder)
            for message in file
        ]


class Memory:
    """All companies' state, with the command ids that were seen: no clock, no log."""

    def __init__(self) -> None:
        nothing: dict[str, bytes] = {}
        self.book = engine.Book(nothing.get)
        self.seen: dict[tuple[str, str], str] = {}

    def take(self, record: Record) -> tuple[str, Counter[str], bool]:
        """Answer, names of events, and whether it was readable, in the words of `ops.fleet`."""
        try:
            command = read_command(record)
            fingerprint = command.fingerprint
        except Malformed:
            return ("invalid" if salvage(record) else fleet.UNANSWERED), Counter(), True
        first = self.seen.setdefault((command.company_id, command.id), fingerprint)
        if first is not fingerprint:
            return (fleet.REPEAT if first == fingerprint else "id-reused"), Counter(), False
        try:
            facts = engine.decide(command.request(NOW), self.book)
        except Rejected as no:
            return no.code, Counter(), command.type not in RULES
        events = Counter(kebab(type(fact.event).__name__) for fact in facts)
        return (fleet.ACCEPTED if events else fleet.NOTHING), events, False


@pytest.mark.thorough
def test_every_command_of_the_fleet_leads_to_what_its_row_says(sent: list[fleet.Sent], records: list[Record]) -> None:
    memory = Memory()
    pairs = zip(sent, records, strict=True)
    # A mis-keyed command is decided after its neighbours, at the end of its folder at the latest.
    late = sorted(pairs, key=lambda pair: (pair[0].place.partition("/")[0], pair[0].how == fleet.MIS_KEYED))
    came = [(command, memory.take(record)) for command, record in late]
    wanted = {command.place: (command.answer, Counter(command.events), command.dead_letter) for command in sent}
    assert {c.place: (wanted[c.place], answer) for c, answer in came if answer != wanted[c.place]} == {}


@pytest.mark.thorough
def test_every_row_is_a_command_of_the_product_or_says_that_it_is_not(
    sent: list[fleet.Sent], records: list[Record]
) -> None:
    for command, record in zip(sent, records, strict=True):
        if command.answer not in ("invalid", fleet.UNANSWERED):
            message = read_command(record)
            assert message.type == f"com.bitcorp.erp.{command.kind}.v1"
            assert (message.company_id, message.id) == command.key
            assert f"{message.aggregate}/{message.aggregate_id}" == command.subject
            RULES[message.type].command.model_validate_json(message.data)


def test_expected_codes_are_codes_of_the_product(sent: list[fleet.Sent]) -> None:
    words = {fleet.ACCEPTED, fleet.NOTHING, fleet.REPEAT, fleet.UNANSWERED, "id-reused"}
    assert {command.answer for command in sent} <= words | set(Refusal.known)


def test_the_fleet_has_the_size_that_it_claims(sent: list[fleet.Sent]) -> None:
    events = fleet.events(sent)
    assert 11_800 < len(sent) < 12_200
    assert (events["company-created"], events["equipment-created"], events["user-added-to-company"]) == (3, 1000, 40)
    assert 300 < sum(command.answer not in (fleet.ACCEPTED, fleet.NOTHING) for command in sent) < 450
    assert sum(path.stat().st_size for path in fleet.FLEET.rglob("*.csv")) < 2_000_000


@pytest.mark.parametrize(
    "answer",
    [
        "actor-unknown",
        "company-suspended",
        "company-unknown",
        "date-in-past",
        "equipment-unknown",
        "forbidden",
        "id-reused",
        "invalid",
        "serial-number-taken",
        "version-conflict",
        fleet.NOTHING,
        fleet.REPEAT,
    ],
)
def test_each_kind_of_wrong_command_is_there_several_times(answer: str, sent: list[fleet.Sent]) -> None:
    assert fleet.answers(sent)[answer] >= 5


@pytest.mark.parametrize(
    "how", ["mis-keyed", "malformed", "unknown-type", "extra-field", "no-id", "structured", "subject", "version"]
)
def test_each_way_of_sending_is_there_several_times(how: str, sent: list[fleet.Sent]) -> None:
    assert sum(command.how.partition(":")[0] == how for command in sent) >= 3


def test_the_partitioner_of_librdkafka_puts_every_company_of_the_fleet_astray(sent: list[fleet.Sent]) -> None:
    partitions = Settings().partitions
    companies = {command.company.encode() for command in sent if command.how == fleet.MIS_KEYED}
    assert len(companies) == 3
    assert all(crc32(company) % partitions != partition_of(company, partitions) for company in companies)


@pytest.mark.thorough
def test_the_data_files_are_written_anew_byte_for_byte(tmp_path: Path) -> None:
    load("fleet/make.py").main(tmp_path)
    for folder in (fleet.PAST, fleet.TODAY):
        made = {path.name: path.read_bytes() for path in (tmp_path / folder.name).iterdir()}
        assert made == {path.name: path.read_bytes() for path in folder.iterdir()}
