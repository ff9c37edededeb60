"""An asset of another ERP as it was last imported, and what an import makes of the machine that stands for it here.

Only what the other system has changed since its last import changes the machine: what people did here meanwhile stays.
"""

import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import partial
from typing import Annotated, assert_never
from uuid import NAMESPACE_URL, uuid5

from pydantic import Field, StringConstraints

from domain.decider import Context, Decider, Kind, Refusal, Roster
from domain.equipment import (
    CreateEquipment,
    Equipment,
    EquipmentEvent,
    MaintenanceCancelled,
    MaintenanceScheduled,
    MoveEquipment,
    RenameEquipment,
    RetireEquipment,
    VoidEquipment,
    create_equipment,
    equipment,
    equipment_retired,
    move_equipment,
    rename_equipment,
    retire_equipment,
    void_equipment,
)
from domain.equipment import evolve as evolve_machine
from domain.maintenance import MaintenanceType
from domain.model import (
    MANAGERS,
    Command,
    Day,
    Event,
    Id,
    Money,
    Name,
    Reason,
    SerialNumber,
    ShortText,
    State,
    Value,
)

papers_fixed = Refusal(
    "papers-fixed", Kind.CONFLICT, "Category, purchase and maker of a machine stay as they were registered."
)
imported_since = Refusal(
    "imported-since", Kind.CONFLICT, "The asset was not changed by this import, or by another one since."
)
numbers_used_up = Refusal("numbers-used-up", Kind.CONFLICT, "All serial numbers for long asset ids of a year are used.")

#: Letters of serial numbers made of the other system's own ids, and of those counted here for ids that do not fit.
FITTING, COUNTED = "EX", "EL"
FITS = re.compile(r"[0-9]{1,6}")
LAST_NUMBER = 999_999

PAPERS = ("category_id", "acquired_on", "cost", "manufacturer", "model", "manufacturer_serial")


class AssetState(StrEnum):
    """What the other system says of an asset, in our words."""

    ACTIVE = "ACTIVE"
    MAINTENANCE = "MAINTENANCE"
    RETIRED = "RETIRED"


Source = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,19}$"), Field(examples=["legacy-erp"])]
AssetNumber = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")
]


class AssetRecord(Value):
    """What an import says of a machine, in our words."""

    name: Name
    category_id: Id
    acquired_on: Day
    state: AssetState
    place: Id | None = None
    cost: Money | None = None
    manufacturer: ShortText | None = None
    model: ShortText | None = None
    manufacturer_serial: ShortText | None = None


class AssetImported(Event):
    """The asset is new, or the other system has changed it. Its machine has the asset's id.

    `counted` is the number behind a serial number that was counted here. `job_id` is the open job that stands for the
    other system's own maintenance.
    """

    asset_id: Id
    import_id: Id
    source: Source
    number: AssetNumber
    serial_number: SerialNumber
    record: AssetRecord
    counted: int | None = None
    job_id: Id | None = None


class AssetImportUndone(Event):
    """The asset is again as before the import that changed it last; unknown, where that import brought it.

    `record` is the one that holds again.
    """

    asset_id: Id
    import_id: Id
    reason: Reason
    record: AssetRecord | None = None
    job_id: Id | None = None


AssetEvent = AssetImported | AssetImportUndone


class Asset(State):
    import_id: str = ""
    serial_number: str | None = None
    record: AssetRecord | None = None
    previous: AssetRecord | None = None
    job_id: str | None = None
    undone: str = ""

    @property
    def gone(self) -> bool:
        return self.record is None


def evolve(asset: Asset, event: AssetEvent) -> Asset:
    match event:
        case AssetImported(import_id=import_id, record=record, serial_number=serial, job_id=job_id):
            before = asset.previous if import_id == asset.import_id else asset.record
            return Asset(import_id=import_id, serial_number=serial, record=record, previous=before, job_id=job_id)
        case AssetImportUndone(import_id=import_id, record=record, job_id=job_id):
            return Asset(serial_number=asset.serial_number, record=record, job_id=job_id, undone=import_id)
        case _:
            assert_never(event)


asset = Decider("asset", key="asset_id", path="assets", initial=Asset(), evolve=evolve)


class CountedNumbers(State):
    """The last number given to an asset whose own id does not fit into a serial number."""

    last: int = 0


counted_numbers = Roster("counted-numbers", initial=CountedNumbers())


@counted_numbers.on
def counted(numbers: CountedNumbers, event: AssetImported, before: Asset) -> CountedNumbers:
    return numbers.but(last=max(numbers.last, event.counted or 0))


def asset_id(source: str, number: str) -> str:
    """The id of an asset and its machine here: readable where the other system's number may stand in an id."""
    if re.fullmatch(r"[A-Za-z0-9._-]{1,40}", number):
        return f"{source}.{number}"
    return f"{source}.{uuid5(NAMESPACE_URL, f'bitcorp:asset:{source}:{number}')}"


class ImportAsset(Command):
    """Bring a machine to where another system has it; the same record again changes nothing."""

    asset_id: Id
    import_id: Id
    source: Source
    number: AssetNumber
    record: AssetRecord


@asset.decides(MANAGERS, systems=("importer",), new=True)
def import_asset(asset: Asset, cmd: ImportAsset, context: Context) -> Iterator[AssetImported | EquipmentEvent]:
    if asset.record == cmd.record:
        return  # imported twice, done once
    machine = context.read(equipment, cmd.asset_id)
    job_id = _job(asset, cmd.record, context)
    serial, number = _serial(asset, cmd, context)
    yield AssetImported(**vars(cmd), serial_number=serial, counted=number, job_id=job_id)
    if not context.exists(equipment, cmd.asset_id):
        yield from _registered(cmd, serial, job_id, context)
    elif asset.record is None:
        raise equipment.exists(f"The machine {cmd.asset_id} was not imported.")
    else:
        yield from _followed(machine, cmd.asset_id, asset, cmd.record, job_id, context)


def _serial(asset: Asset, cmd: ImportAsset, context: Context) -> tuple[str, int | None]:
    """The asset's serial number, kept once it has one, and its number if that is counted here.

    Its year is the one of acquisition: that of the import would be another one next year.
    """
    year = cmd.record.acquired_on.year
    if asset.serial_number:
        return asset.serial_number, None
    if FITS.fullmatch(cmd.number):
        return f"EQ-{year}-{FITTING}-{cmd.number.zfill(6)}", None
    number = context.roster(counted_numbers).last + 1
    if number > LAST_NUMBER:
        raise numbers_used_up()
    return f"EQ-{year}-{COUNTED}-{number:06}", number


def _job(asset: Asset, record: AssetRecord, context: Context) -> str | None:
    """The job that stands for the other system's maintenance: the one that is known, or a new one where it begins."""
    if record.state is not AssetState.MAINTENANCE:
        return None
    if asset.record and asset.record.state is AssetState.MAINTENANCE:
        return asset.job_id
    return str(uuid5(NAMESPACE_URL, f"bitcorp:imported-job:{context.company_id}/{context.command_id}"))


def _registered(cmd: ImportAsset, serial: str, job_id: str | None, context: Context) -> Iterator[EquipmentEvent]:
    record = cmd.record
    papers = {name: getattr(record, name) for name in ("category_id", "manufacturer", "model", "manufacturer_serial")}
    creation = CreateEquipment(
        equipment_id=cmd.asset_id,
        name=record.name,
        serial_number=serial,
        purchased_on=record.acquired_on,
        in_service_on=record.acquired_on,
        purchase_price=record.cost,
        **papers,
    )
    yield from _in_turn(
        Equipment(),
        lambda machine: create_equipment(machine, creation, context),
        partial(_moved, cmd.asset_id, record.place, context),
        partial(_worked_on, cmd.asset_id, None, job_id, context),
        partial(_retired, cmd.asset_id, record.state, context),
    )


def _followed(
    machine: Equipment, machine_id: str, asset: Asset, record: AssetRecord, job_id: str | None, context: Context
) -> Iterator[EquipmentEvent]:
    """What takes a machine from the record imported last to another one."""
    last = asset.record
    assert last is not None
    if any(getattr(last, name) != getattr(record, name) for name in PAPERS):
        raise papers_fixed()
    if machine.retired:
        if record.state is not AssetState.RETIRED:
            raise equipment_retired("The machine is retired here, and cannot come back.")
        return
    yield from _in_turn(
        machine,
        partial(_renamed, machine_id, record.name if record.name != last.name else machine.name, context),
        partial(_moved, machine_id, record.place if record.place != last.place else None, context),
        partial(_worked_on, machine_id, asset.job_id, job_id, context),
        partial(_retired, machine_id, record.state, context),
    )


def _in_turn(machine: Equipment, *steps: Callable[[Equipment], Iterator[EquipmentEvent]]) -> Iterator[EquipmentEvent]:
    """The events of each step, which sees the machine as the steps before it leave it."""
    for step in steps:
        for event in step(machine):
            machine = evolve_machine(machine, event)
            yield event


def _renamed(machine_id: str, name: str, context: Context, machine: Equipment) -> Iterator[EquipmentEvent]:
    yield from rename_equipment(machine, RenameEquipment(equipment_id=machine_id, name=name), context)


def _moved(machine_id: str, place: str | None, context: Context, machine: Equipment) -> Iterator[EquipmentEvent]:
    if place:
        yield from move_equipment(machine, MoveEquipment(equipment_id=machine_id, place=place), context)


def _worked_on(
    machine_id: str, before: str | None, job_id: str | None, context: Context, machine: Equipment
) -> Iterator[EquipmentEvent]:
    """Maintenance that has begun there is an open job here; one that has ended there is cancelled unless begun."""
    if before and before != job_id and before in machine.open_jobs and not machine.open_jobs[before].started:
        reason = "Ended in the system that it was imported from"
        yield MaintenanceCancelled(equipment_id=machine_id, job_id=before, reason=reason)
    if job_id and not machine.knows(job_id):
        yield MaintenanceScheduled(
            equipment_id=machine_id,
            job_id=job_id,
            maintenance_type=MaintenanceType.CORRECTIVE,
            scheduled_date=context.today,
            notes="Under way in the system that it was imported from",
        )


def _retired(machine_id: str, state: AssetState, context: Context, machine: Equipment) -> Iterator[EquipmentEvent]:
    if state is AssetState.RETIRED:
        order = RetireEquipment(equipment_id=machine_id, reason="Retired in the system that it was imported from")
        yield from retire_equipment(machine, order, context)


class UndoAssetImport(Command):
    """Take back what an import did to an asset; a machine that it brought must not have been used since."""

    asset_id: Id
    import_id: Id
    reason: Reason


@asset.decides(MANAGERS, systems=("importer",))
def undo_asset_import(
    asset: Asset, cmd: UndoAssetImport, context: Context
) -> Iterator[AssetImportUndone | EquipmentEvent]:
    if asset.undone == cmd.import_id:
        return  # undone twice, undone once
    if asset.import_id != cmd.import_id:
        raise imported_since()
    machine = context.read(equipment, cmd.asset_id)
    job_id = _job(asset, asset.previous, context) if asset.previous else None
    yield AssetImportUndone(**vars(cmd), record=asset.previous, job_id=job_id)
    if asset.previous:
        yield from _followed(machine, cmd.asset_id, asset, asset.previous, job_id, context)
    elif context.exists(equipment, cmd.asset_id):
        yield from void_equipment(machine, VoidEquipment(equipment_id=cmd.asset_id, reason=cmd.reason), context)
