"""Files of other systems, record by record: CSV, XLSX or JSON lines. What cannot be read is told by its line."""

import csv
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException
from pydantic_core import to_json

from domain.mapping import Mapping
from ops.errors import Fault
from topics.cloudevents import Malformed, parse_json

#: A record of another system is small; what is larger is no record.
LONGEST_RECORD = 256 * 1024
LINE_FEED = b"\n"


class Line(NamedTuple):
    """One record as JSON, at the line of the file where it ends."""

    number: int
    data: bytes


class BadLine(NamedTuple):
    """A line that holds no record, and why."""

    number: int
    reason: str


Lines = Iterator[Line | BadLine]


def read(path: Path, mapping: Mapping) -> Lines:
    """The file's records in order. Raises Fault where it is no such file, or lacks columns that the mapping needs."""
    readers = {".csv": _csv, ".xlsx": _xlsx, ".jsonl": _json_lines, ".ndjson": _json_lines}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise Fault(f"{path.name} is neither .csv, .xlsx nor .jsonl; the name's end says what a file holds.")
    if not path.is_file():
        raise Fault(f"There is no file {path}.")
    return reader(path, mapping)


# --- JSON lines -----------------------------------------------------------------------------------------------------


def _json_lines(path: Path, mapping: Mapping) -> Lines:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _object(number, line.strip())


def _object(number: int, line: bytes) -> Line | BadLine:
    try:
        found = parse_json(line)
    except Malformed as fault:
        return BadLine(number, str(fault))
    return _sized(number, line) if isinstance(found, dict) else BadLine(number, "the line holds no JSON object")


def _sized(number: int, data: bytes) -> Line | BadLine:
    return Line(number, data) if len(data) <= LONGEST_RECORD else BadLine(number, "the record is too long")


# --- CSV ------------------------------------------------------------------------------------------------------------


class _Decoded:
    """The file's lines as text. Those that are not in the encoding are left out and noted."""

    def __init__(self, lines: Iterator[bytes], encoding: str) -> None:
        self.number = 0
        self.bad: list[BadLine] = []
        self._lines = lines
        self._encoding = encoding

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.number += 1
            try:
                yield line.decode(self._encoding)
            except UnicodeDecodeError:
                self.bad.append(BadLine(self.number, f"the line is not in {self._encoding}"))

    def noted(self) -> list[BadLine]:
        bad, self.bad = self.bad, []
        return bad


def _csv(path: Path, mapping: Mapping) -> Lines:
    with path.open("rb") as file:
        lines = _Decoded(iter(file), _encoding(mapping.encoding))
        rows = csv.reader(iter(lines), delimiter=mapping.delimiter, strict=True)
        names = _columns(path, mapping, _header(path, rows, lines))
        while True:
            began = lines.number + 1
            try:
                row = next(rows, None)
            except csv.Error as fault:
                yield from lines.noted()
                yield BadLine(began, _broken(began, lines.number, fault))
                continue
            yield from lines.noted()
            if row is None:
                return
            if row:
                yield _record(lines.number, names, row)


def _encoding(name: str) -> str:
    """The encoding, UTF-8 with or without its mark. Raises Fault for one whose lines cannot be told apart."""
    try:
        if "\n".encode(name) == LINE_FEED:
            return "utf-8-sig" if name.lower().replace("-", "") == "utf8" else name
    except LookupError as fault:
        raise Fault(f"The mapping's encoding {name!r} is unknown.") from fault
    raise Fault(f"Files in {name!r} are not read; write the file in UTF-8.")


def _header(path: Path, rows: Iterator[list[str]], lines: _Decoded) -> list[str]:
    try:
        found = next(rows, [])
    except csv.Error as fault:
        raise Fault(f"The first line of {path.name} names no columns: {fault}.") from fault
    if bad := lines.noted():
        raise Fault(f"The first line of {path.name} names no columns: {bad[0].reason}.")
    return found


def _broken(first: int, last: int, fault: csv.Error) -> str:
    where = "" if first >= last else f"lines {first} to {last} hang together and "
    return f"{where}cannot be read: {fault}"


def _columns(path: Path, mapping: Mapping, header: list[str]) -> list[str]:
    """The names of the columns. Raises Fault where some are missing or named twice."""
    names = [name.strip() for name in header]
    missing = sorted(mapping.required - set(names))
    if missing:
        raise Fault(f"{path.name} lacks the columns {', '.join(missing)}. It has: {', '.join(names) or 'none'}.")
    if len(set(names)) < len(names):
        raise Fault(f"{path.name} names a column twice: {', '.join(sorted({n for n in names if names.count(n) > 1}))}.")
    return names


def _record(number: int, names: list[str], cells: list[str]) -> Line | BadLine:
    if len(cells) != len(names):
        return BadLine(number, f"the line has {len(cells)} cells, not {len(names)}")
    return _sized(number, to_json(dict(zip(names, cells, strict=True))))


# --- XLSX -----------------------------------------------------------------------------------------------------------


def _xlsx(path: Path, mapping: Mapping) -> Lines:
    """The records of the first sheet."""
    try:
        book = load_workbook(path, read_only=True, data_only=True)
        rows = book.worksheets[0].iter_rows(values_only=True)
        named = [(place, str(cell)) for place, cell in enumerate(next(rows, ())) if cell is not None]
        names = _columns(path, mapping, [name for _, name in named])
    except (BadZipFile, InvalidFileException, ParseError, KeyError, IndexError, OSError, ValueError) as fault:
        raise Fault(f"{path.name} is no workbook that can be read: {fault}.") from fault
    number = 1
    try:
        for number, row in enumerate(rows, 2):
            cells = [_cell(row[place], mapping) if place < len(row) else "" for place, _ in named]
            if any(cells):
                yield _record(number, names, cells)
    except (BadZipFile, ParseError, OSError, ValueError, EOFError) as fault:
        yield BadLine(number + 1, f"the sheet cannot be read from here on: {fault}")
    finally:
        book.close()


def _cell(value: Any, mapping: Mapping) -> str:
    """What a cell shows, written as the mapping reads it."""
    if isinstance(value, datetime | date):
        return value.strftime(mapping.date_format)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, float):
        return str(value).replace(".", "," if mapping.decimal_comma else ".")
    return "" if value is None else str(value)
