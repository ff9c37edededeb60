"""`bitcorp import`: files with and without faults, what they would change, and a whole import there and back."""

import asyncio
import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from openpyxl import Workbook

from domain.mapping import Mapping, Quarantined, understand
from ops.errors import Fault
from ops.import_files import BadLine, Line, read
from ops.migrate import bring_up_to_date
from tests.agents.orders import create_company, define_category
from tests.api.callers import until
from tests.ops.shell import CHECKOUT, Shell, start
from topics.imports import Mappings, raw_of_line
from topics.publisher import Publisher
from topics.settings import Settings

EXAMPLES = CHECKOUT / "examples" / "imports"
HEADER = "asset_id,organization_code,acquisition_date,state"
GOOD = "{n},HQ,2020-01-31,ACTIVE"
TABLES = {
    "source": "legacy",
    "organizations": {"HQ": {"company": "acme", "currency": "EUR"}},
    "states": {"ACTIVE": "ACTIVE", "GONE": "RETIRED"},
    "default_category": "pump",
}
MAPPING = Mapping.model_validate_json(json.dumps(TABLES))


def file_of(folder: Path, *lines: str | bytes, name: str = "assets.csv", header: str = HEADER) -> Path:
    path = folder / name
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in (header, *lines)))
    return path


def good(*numbers: int) -> list[str]:
    return [GOOD.format(n=number) for number in numbers]


def ids(found: list[Line | BadLine]) -> list[str]:
    return [json.loads(line.data)["asset_id"] for line in found if isinstance(line, Line)]


def faults(found: list[Line | BadLine]) -> list[BadLine]:
    return [line for line in found if isinstance(line, BadLine)]


# --- files ----------------------------------------------------------------------------------------------------------


def test_each_line_of_a_file_is_one_record(tmp_path: Path) -> None:
    found = list(read(file_of(tmp_path, *good(1, 2), "", *good(3)), MAPPING))
    assert ids(found) == ["1", "2", "3"]
    assert [line.number for line in found] == [2, 3, 5]


def test_a_mark_before_the_first_column_and_quoted_line_feeds_do_no_harm(tmp_path: Path) -> None:
    marked = file_of(tmp_path, '"1\n1",HQ,2020-01-31,ACTIVE', *good(2), header="\ufeff" + HEADER)
    assert ids(list(read(marked, MAPPING))) == ["1\n1", "2"]


def test_lines_in_another_encoding_are_told_and_the_others_kept(tmp_path: Path) -> None:
    found = list(read(file_of(tmp_path, *good(1), b"2\xe9,HQ,2020-01-31,ACTIVE", *good(3)), MAPPING))
    assert ids(found) == ["1", "3"]
    assert faults(found) == [BadLine(3, "the line is not in utf-8-sig")]


def test_a_whole_file_in_another_encoding_is_read_as_its_mapping_says(tmp_path: Path) -> None:
    latin = MAPPING.model_copy(update={"encoding": "latin-1"})
    assert ids(list(read(file_of(tmp_path, b"2\xe9,HQ,2020-01-31,ACTIVE"), latin))) == ["2é"]
    for encoding in ("utf-16", "klingon"):
        with pytest.raises(Fault, match=encoding):
            list(read(file_of(tmp_path), MAPPING.model_copy(update={"encoding": encoding})))


def test_a_broken_last_line_is_told_and_the_rows_before_it_are_kept(tmp_path: Path) -> None:
    found = list(read(file_of(tmp_path, *good(1, 2), '3,"HQ,2020-01-31,ACT'), MAPPING))
    assert ids(found) == ["1", "2"]
    assert [fault.number for fault in faults(found)] == [4]


def test_lines_with_other_cells_than_there_are_columns_are_told(tmp_path: Path) -> None:
    found = list(read(file_of(tmp_path, "1,HQ", *good(2), GOOD.format(n=3) + ",more"), MAPPING))
    assert ids(found) == ["2"]
    assert [fault.number for fault in faults(found)] == [2, 4]


@pytest.mark.parametrize("header", ["", "asset_id,state", HEADER + ",state", '"asset_id'])
def test_a_file_without_its_columns_is_refused_whole(tmp_path: Path, header: str) -> None:
    with pytest.raises(Fault, match="column"):
        list(read(file_of(tmp_path, *good(1), header=header), MAPPING))


def test_lines_of_json_are_kept_as_they_were_written(tmp_path: Path) -> None:
    lines = ['{"asset_id": 1.0 }', "[1]", '{"a": 1, "a": 2}', '{"asset_id": "2"']
    found = list(read(file_of(tmp_path, *lines, name="assets.jsonl", header='{"asset_id":"0"}'), MAPPING))
    assert found[:2] == [Line(1, b'{"asset_id":"0"}'), Line(2, b'{"asset_id": 1.0 }')]
    assert [fault.number for fault in faults(found)] == [3, 4, 5]


def test_the_first_sheet_of_a_workbook_is_read_as_it_looks(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.append([*HEADER.split(","), "cost"])
    sheet.append([4711, "HQ", datetime(2020, 1, 31), "ACTIVE", 1234.5])
    sheet.append([None] * 5)
    sheet.append(["L-2", "HQ", "2020-01-31", "ACTIVE", None])
    book.save(tmp_path / "assets.xlsx")
    first, second = read(tmp_path / "assets.xlsx", MAPPING)
    assert isinstance(first, Line)
    cells = dict(zip(HEADER.split(","), ("4711", "HQ", "2020-01-31", "ACTIVE"), strict=True))
    assert json.loads(first.data) == cells | {"cost": "1234.5"}
    assert second.number == 4


def test_a_column_without_a_name_moves_no_cell_of_a_workbook(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.worksheets[0]
    names = HEADER.split(",")
    sheet.append([names[0], None, *names[1:]])
    sheet.append(["L-1", "a note", "HQ", "2020-01-31", "ACTIVE"])
    book.save(tmp_path / "assets.xlsx")
    (line,) = read(tmp_path / "assets.xlsx", MAPPING)
    assert isinstance(line, Line)
    assert json.loads(line.data) == dict(zip(names, ("L-1", "HQ", "2020-01-31", "ACTIVE"), strict=True))


def test_a_first_line_in_another_encoding_is_said_to_be_that(tmp_path: Path) -> None:
    header = f"{HEADER},Ger\xe4t".encode("latin-1")
    (tmp_path / "assets.csv").write_bytes(header + b"\n1,HQ,2020-01-31,ACTIVE,pump\n")
    with pytest.raises(Fault, match=r"first line.*not in utf-8"):
        list(read(tmp_path / "assets.csv", MAPPING))


def test_what_is_no_file_to_import_is_said(tmp_path: Path) -> None:
    (tmp_path / "assets.xlsx").write_bytes(b"PK no workbook")
    for name, said in (("assets.xlsx", "no workbook"), ("assets.pdf", "neither"), ("none.csv", "no file")):
        with pytest.raises(Fault, match=said):
            list(read(tmp_path / name, MAPPING))


def test_ten_of_the_two_hundred_lines_of_the_example_are_wrong() -> None:
    mapping = Mappings(EXAMPLES).of("legacy-erp")
    found = list(read(EXAMPLES / "legacy-erp.csv", mapping))
    causes: Counter[str] = Counter()
    for line in found:
        if isinstance(line, Line):
            raw = raw_of_line("legacy-erp", "spring", line.number, line.data)
            try:
                understand(mapping, raw.fields, "spring")
            except Quarantined as said:
                causes[said.cause] += 1
    assert (len(found), len(faults(found))) == (200, 2)
    assert causes == Counter(
        [
            *("organization-unknown", "state-unknown", "asset-id-missing", "cost-invalid", "currency-unknown"),
            *("rate-missing", "date-invalid", "category-unmapped"),
        ]
    )


def test_a_source_without_a_mapping_is_told(bitcorp: Shell, tmp_path: Path) -> None:
    bitcorp.set(KAFKA="nowhere:1", DATABASE="postgresql://nobody@nowhere:1/none", MAPPINGS=str(tmp_path))
    (tmp_path / "broken.toml").write_text("[states")
    for source in ("nobody", "../etc", "broken"):
        said = bitcorp("import", str(file_of(tmp_path)), "--source", source)
        assert said.code == 1
        assert "mapping" in said.text


# --- there and back -------------------------------------------------------------------------------------------------


@pytest.fixture
def platform(settings: Settings, bitcorp: Shell, tmp_path: Path) -> Iterator[Shell]:
    """Workers of all kinds, and a company with its category."""
    folder = tmp_path / "mappings"
    folder.mkdir()
    (folder / "legacy.toml").write_text(
        'default_category = "pump"\n[organizations]\nHQ = {company = "acme", currency = "EUR"}\n'
        '[states]\nACTIVE = "ACTIVE"\nGONE = "RETIRED"\n'
    )
    settings = settings.model_copy(update={"mappings": folder, "session_seconds": 6.0})
    bring_up_to_date(settings)
    bitcorp.use(settings)
    variables = {
        "KAFKA": settings.kafka,
        "DATABASE": settings.database.get_secret_value(),
        "PREFIX": settings.prefix,
        "PARTITIONS": str(settings.partitions),
        "MAPPINGS": str(folder),
        "DIRECTORY": str(tmp_path),
    }
    workers: list[subprocess.Popen[bytes]] = [
        start("worker", kind, log=tmp_path / f"{kind}.log", **variables) for kind in ("lanes", "views", "imports")
    ]
    asyncio.run(_opened(settings))
    yield bitcorp
    for worker in workers:
        worker.kill()
        worker.wait()


async def _opened(settings: Settings) -> None:
    publisher = Publisher(settings)
    await publisher.start()
    await publisher.send(create_company("acme"), define_category("acme"))
    await publisher.stop()


def counts(said: str) -> dict[str, int]:
    found: dict[str, int] = json.loads(said.strip().splitlines()[-1])
    return found


def imports(platform: Shell) -> list[tuple[str, int]]:
    """Imports that are listed, with their assets."""
    listed = platform("import", "list", "--json")
    return [(entry["import_id"], entry["assets"]) for entry in json.loads(listed.out)]


def test_an_import_is_shown_done_repeated_changed_and_taken_back(platform: Shell, tmp_path: Path) -> None:
    path = str(file_of(tmp_path, *good(*range(1, 41)), "41,HQ,2020-01-31,LOST", "42,HQ"))
    call = ("import", path, "--source", "legacy", "--json")
    dry = platform(*call, "--dry-run")
    assert (dry.code, counts(dry.out)) == (1, {"unreadable": 1, "new": 40, "quarantined: state-unknown": 1})
    done = platform(*call, "--id", "spring")
    assert (done.code, counts(done.out)) == (1, {"unreadable": 1, "new": 40, "quarantined: state-unknown": 1})
    again = platform(*call, "--id", "summer")
    assert counts(again.out) == {"unreadable": 1, "unchanged": 40, "quarantined: state-unknown": 1}
    other = str(file_of(tmp_path, *good(1), "2,HQ,2020-01-31,GONE", "3,HQ,2021-01-31,ACTIVE"))
    changed = platform("import", other, "--source", "legacy", "--json", "--id", "autumn")
    assert counts(changed.out) == {"unchanged": 1, "changed": 1, "rejected: papers-fixed": 1}
    undone = platform("import", "undo", "spring", "--json")
    assert (undone.code, counts(undone.out)) == (0, {"undone": 39})
    until(lambda: imports(platform) == [("autumn", 1)], "the views show that it is taken back")
    stays = platform("import", "undo", "autumn", "--json")
    assert (stays.code, counts(stays.out)) == (1, {"rejected: equipment-retired": 1})
