"""Records of other systems on their way in: as they travel, the mapping of their source, and the command of each."""

import hashlib
import re
import tomllib
from collections.abc import Mapping as Table
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import ValidationError
from pydantic_core import to_json

from domain import RULES
from domain.asset import ImportAsset, Source, UndoAssetImport
from domain.decider import TYPE_PREFIX, Actor
from domain.mapping import Cause, Mapping, Quarantined, Understood
from topics import cloudevents
from topics.catalogue import IMPORTS
from topics.cloudevents import Malformed, Record, parse_json
from topics.messages import CommandMessage, derived_id

RAW_TYPE = f"{TYPE_PREFIX}.import.raw-record.v1"
ORIGIN = "/imports/"
SUBJECT = "import/"
IMPORTER = Actor("system", "importer")
AN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: The pattern of a source's name, which is also that of its file.
A_SOURCE = re.compile(get_args(Source)[1].pattern)

RULE_OF = {rule.command: rule for rule in RULES.values()}


class RawRecord(NamedTuple):
    """A record as its source wrote it: JSON, an object of its fields. `line` is its place in the file, 0 if in none.

    `id` tells it from all others of its import.
    """

    id: str
    source: str
    import_id: str
    line: int
    data: bytes

    @property
    def fields(self) -> Table[str, Any]:
        """What the record says. Raises Quarantined where it is no object."""
        try:
            found = parse_json(self.data)
        except Malformed as fault:
            raise Quarantined(Cause.MALFORMED, f"The record cannot be read: {fault}.") from fault
        if not isinstance(found, dict):
            raise Quarantined(Cause.MALFORMED, "The record is no JSON object.")
        return {name: Decimal(repr(value)) if isinstance(value, float) else value for name, value in found.items()}


def raw_of_line(source: str, import_id: str, line: int, data: bytes) -> RawRecord:
    """A record of a file; the same line of the same import is the same record."""
    return RawRecord(derived_id(f"bitcorp:import:{import_id}:{line}"), source, import_id, line, data)


def write_raw(raw: RawRecord, key: str, prefix: str) -> Record:
    """The record for the topic of imports; the key decides its partition."""
    headers = cloudevents.write(
        {
            "id": raw.id,
            "source": ORIGIN + raw.source,
            "type": RAW_TYPE,
            "subject": SUBJECT + raw.import_id,
            "line": str(raw.line),
        }
    )
    return Record(IMPORTS.named(prefix), -1, key.encode(), raw.data, headers)


def read_raw(record: Record) -> RawRecord:
    """Raises Quarantined where the message does not say what it is."""
    try:
        found = cloudevents.read(record)
    except Malformed as fault:
        raise Quarantined(Cause.MALFORMED, f"The message is no CloudEvent: {fault}.") from fault
    given = found.attributes.get
    id_, source, line = given("id", ""), given("source", ""), given("line", "0")
    import_id = given("subject", "").removeprefix(SUBJECT)
    placed = source.startswith(ORIGIN) and AN_ID.fullmatch(import_id) and re.fullmatch(r"[0-9]{1,18}", line)
    if not (id_ and placed and given("type") == RAW_TYPE):
        wanted = f"ce_id, ce_type {RAW_TYPE}, ce_source {ORIGIN}<source> and ce_subject {SUBJECT}<id>"
        raise Quarantined(Cause.MALFORMED, f"The message must have {wanted}.")
    return RawRecord(id_, source.removeprefix(ORIGIN), import_id, int(line), found.data)


class Mappings:
    """The mappings of a folder, each read again when its file has changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[float, Mapping]] = {}

    def of(self, source: str) -> Mapping:
        """Raises Quarantined where the source has no mapping that can be used."""
        path = self._folder / f"{source}.toml"
        if not A_SOURCE.fullmatch(source) or not path.is_file():
            raise Quarantined(Cause.SOURCE_UNKNOWN, f"There is no mapping for the source {source!r}.")
        changed = path.stat().st_mtime
        if source not in self._known or self._known[source][0] != changed:
            self._known[source] = changed, _mapping(path, source)
        return self._known[source][1]


def _mapping(path: Path, source: str) -> Mapping:
    try:
        return Mapping.model_validate_json(to_json(tomllib.loads(path.read_text("utf-8")) | {"source": source}))
    except (ValidationError, tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise Quarantined(Cause.SOURCE_UNKNOWN, f"The mapping {path.name} cannot be used: {fault}") from fault


def import_command(raw: RawRecord, understood: Understood) -> CommandMessage:
    """The command of a record. The same record has the same id again, so that nothing is done twice."""
    data = understood.command.model_dump_json(exclude_unset=True).encode()
    content = hashlib.sha256(data).hexdigest()
    name = f"bitcorp:import:{raw.import_id}:{understood.command.asset_id}:{raw.id}:{content}"
    return _command(understood.company_id, understood.command, name, raw.import_id, ORIGIN + raw.source)


def undo_command(company_id: str, order: UndoAssetImport, attempt: int) -> CommandMessage:
    """The command that takes an import of an asset back; asking again after a refusal is another attempt."""
    name = f"bitcorp:undo-import:{order.import_id}:{order.asset_id}:{attempt}"
    return _command(company_id, order, name, order.import_id, "/shell/import")


def _command(
    company_id: str, order: ImportAsset | UndoAssetImport, name: str, import_id: str, source: str
) -> CommandMessage:
    rule = RULE_OF[type(order)]
    return CommandMessage(
        id=derived_id(f"{name}:{company_id}"),
        type=rule.type,
        company_id=company_id,
        aggregate=rule.decider.name,
        aggregate_id=order.asset_id,
        actor=IMPORTER,
        data=order.model_dump_json(exclude_none=True).encode(),
        source=source,
        correlation_id=import_id,
    )
