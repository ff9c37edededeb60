"""Records of other systems as they travel, the mappings of a folder, and the command that each record becomes."""

import os
from decimal import Decimal
from pathlib import Path

import pytest

from domain.asset import UndoAssetImport
from domain.mapping import Cause, Mapping, Quarantined, understand
from topics.imports import Mappings, RawRecord, import_command, raw_of_line, read_raw, undo_command, write_raw

ROW = b'{"asset_id": "7", "organization_code": "HQ", "acquisition_date": "2020-01-31", "state": "ACTIVE"}'
TABLES = (
    'default_category = "pump"\n[organizations]\nHQ = {{company = "{company}", currency = "EUR"}}\n'
    '[states]\nACTIVE = "ACTIVE"\n'
)


def row(line: int = 7, data: bytes = ROW) -> RawRecord:
    return raw_of_line("legacy", "spring", line, data)


def mapping_of(folder: Path, company: str = "acme") -> Mapping:
    path = folder / "legacy.toml"
    path.write_text(TABLES.format(company=company))
    os.utime(path, (len(company), len(company)))
    return Mappings(folder).of("legacy")


def test_a_record_is_read_as_it_was_written_byte_by_byte() -> None:
    record = write_raw(row(), "acme", "erp")
    assert (record.topic, record.key, record.value) == ("erp.imports", b"acme", ROW)
    assert read_raw(record) == row()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_id", b""),
        ("ce_type", b"com.bitcorp.erp.import.raw-record.v2"),
        ("ce_source", b"/exports/legacy"),
        ("ce_subject", b"import/"),
        ("ce_subject", b"import/a b"),
        ("ce_line", b"-1"),
        ("ce_line", b"\xff"),
        ("ce_specversion", b"2.0"),
    ],
)
def test_a_message_that_does_not_say_what_it_is_is_set_aside(name: str, value: bytes) -> None:
    record = write_raw(row(), "acme", "erp")
    headers = tuple((known, value if known == name else said) for known, said in record.headers)
    with pytest.raises(Quarantined) as said:
        read_raw(record._replace(headers=headers))
    assert said.value.cause is Cause.MALFORMED


def test_numbers_keep_their_digits() -> None:
    assert row(data=b'{"cost": 1000.10, "count": 7, "name": null}').fields == {
        "cost": Decimal("1000.1"),
        "count": 7,
        "name": None,
    }


@pytest.mark.parametrize("data", [b"", b"[1]", b"null", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"\xff", b"[" * 1000])
def test_what_is_no_object_is_set_aside(data: bytes) -> None:
    with pytest.raises(Quarantined) as said:
        _ = row(data=data).fields
    assert said.value.cause is Cause.MALFORMED


def test_a_mapping_is_read_again_when_its_file_changes(tmp_path: Path) -> None:
    mapping_of(tmp_path)
    mappings = Mappings(tmp_path)
    assert mappings.of("legacy") is mappings.of("legacy")
    mapping_of(tmp_path, "acme-mining")
    assert mappings.of("legacy").organizations["hq"].company == "acme-mining"


@pytest.mark.parametrize("source", ["nobody", "../legacy", "", "LEGACY", "legacy/x"])
def test_a_source_without_a_mapping_is_unknown(tmp_path: Path, source: str) -> None:
    mapping_of(tmp_path)
    with pytest.raises(Quarantined) as said:
        Mappings(tmp_path).of(source)
    assert said.value.cause is Cause.SOURCE_UNKNOWN


def test_the_command_of_a_record_is_the_same_whenever_it_is_read_and_another_for_other_content(tmp_path: Path) -> None:
    mapping = mapping_of(tmp_path)

    def command_id(raw: RawRecord, by: Mapping = mapping) -> str:
        return import_command(raw, understand(by, raw.fields, raw.import_id)).id

    others = {
        command_id(row()),
        command_id(row(8)),
        command_id(row(data=ROW.replace(b'"7"', b'"8"'))),
        command_id(raw_of_line("legacy", "summer", 7, ROW)),
        command_id(row(), mapping_of(tmp_path, "acme-mining")),
    }
    assert command_id(row()) in others
    assert len(others) == 5


def test_taking_back_is_asked_once_each_attempt() -> None:
    order = UndoAssetImport(asset_id="legacy.7", import_id="spring", reason="wrong file")
    assert undo_command("acme", order, 1) == undo_command("acme", order, 1)
    assert len({undo_command(company, order, n).id for company in ("acme", "nord") for n in (1, 2)}) == 4
