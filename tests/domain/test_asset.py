"""Assets of another ERP: what an import makes of their machines, and how it is taken back."""

from datetime import date
from typing import Any

from domain.asset import LAST_NUMBER, AssetImported, AssetImportUndone, AssetRecord, AssetState, ImportAsset, asset_id
from domain.asset import UndoAssetImport as Undo
from domain.equipment import (
    Assignee,
    AssignEquipment,
    EquipmentCreated,
    EquipmentMoved,
    EquipmentRenamed,
    EquipmentRetired,
    EquipmentVoided,
    MaintenanceCancelled,
    MaintenanceScheduled,
    MaintenanceStarted,
    RenameEquipment,
    ReportBreakdown,
    StartMaintenance,
    VoidEquipment,
)
from domain.model import Event
from tests.domain.acme import ACME, ADA, CORRECTIVE, EXCAVATOR, TESS, TODAY, soles
from tests.domain.scenario import Story, given

IMPORTER = "system:importer"
ACTIVE, MAINTENANCE, RETIRED = AssetState
ACQUIRED = date(2019, 5, 1)
SERIAL = "EQ-2019-EX-004711"


def record(**changes: Any) -> AssetRecord:
    usual: dict[str, Any] = {"name": "Loader", "category_id": "excavators", "acquired_on": ACQUIRED, "state": ACTIVE}
    return AssetRecord(**usual | changes)


def importing(number: str = "4711", run: str = "spring", **changes: Any) -> ImportAsset:
    return ImportAsset(
        asset_id=asset_id("legacy", number), import_id=run, source="legacy", number=number, record=record(**changes)
    )


def imported(number: str = "4711", run: str = "spring", serial: str = SERIAL, **changes: Any) -> AssetImported:
    said = {name: changes.pop(name, None) for name in ("counted", "job_id")}
    return AssetImported(**vars(importing(number, run, **changes)), serial_number=serial, **said)


def created(number: str = "4711", serial: str = SERIAL, **changes: Any) -> EquipmentCreated:
    usual: dict[str, Any] = {"name": "Loader", "purchased_on": ACQUIRED, "in_service_on": ACQUIRED}
    known = usual | {"category_id": "excavators", "serial_number": serial}
    return EquipmentCreated(equipment_id=f"legacy.{number}", **known | changes)


def undoing(run: str = "spring") -> Undo:
    return Undo(asset_id="legacy.4711", import_id=run, reason="wrong file")


def undone(run: str = "spring", **more: Any) -> AssetImportUndone:
    return AssetImportUndone(asset_id="legacy.4711", import_id=run, reason="wrong file", **more)


RENAMED = (
    imported(run="summer", name="Big loader"),
    EquipmentRenamed(equipment_id="legacy.4711", name="Big loader", previous="Loader"),
)
VOIDED = EquipmentVoided(equipment_id="legacy.4711", reason="wrong file")
BROUGHT = (imported(), created())


def done(story: Story, command: ImportAsset) -> tuple[Story, list[Event]]:
    answer = story.when(command, by=IMPORTER)
    assert answer.code is None
    return answer.story, [fact.event for fact in answer.facts]


# --- brought --------------------------------------------------------------------------------------------------------


def test_a_new_asset_becomes_a_machine_and_the_same_record_again_does_nothing() -> None:
    story = given(ACME).when(importing(), by=IMPORTER).then(*BROUGHT)
    story.when(importing(run="summer"), by=IMPORTER).then_nothing()
    story.when(importing(), by=ADA).then_nothing()


def test_what_the_record_says_is_on_the_machine() -> None:
    papers = {"manufacturer": "Caterpillar", "model": "950", "manufacturer_serial": "CAT01"}
    full: dict[str, Any] = {"cost": soles("90000.00"), "place": "north-yard", **papers}
    given(ACME).when(importing(**full), by=IMPORTER).then(
        imported(**full),
        created(purchase_price=soles("90000.00"), **papers),
        EquipmentMoved(equipment_id="legacy.4711", place="north-yard"),
    )


def test_an_asset_under_maintenance_has_an_open_job() -> None:
    _, events = done(given(ACME), importing(state=MAINTENANCE))
    asset, _, job = events
    assert isinstance(asset, AssetImported)
    assert isinstance(job, MaintenanceScheduled)
    assert (job.job_id, job.maintenance_type, job.scheduled_date) == (asset.job_id, CORRECTIVE, TODAY)


def test_a_retired_asset_is_a_retired_machine() -> None:
    _, events = done(given(ACME), importing(state=RETIRED))
    assert [type(event) for event in events] == [AssetImported, EquipmentCreated, EquipmentRetired]


def test_an_asset_is_brought_where_its_company_allows_it() -> None:
    given(ACME).when(importing(category_id="cranes"), by=IMPORTER).then_rejected("category-unknown")
    given(ACME).when(importing(), by=TESS).then_rejected("forbidden")
    given(ACME).when(importing(), by="system:depreciation").then_rejected("actor-unknown")


def test_an_import_takes_no_machine_that_it_has_not_brought() -> None:
    namesake = EXCAVATOR.model_copy(update={"equipment_id": "legacy.4711"})
    given(ACME, namesake).when(importing(), by=IMPORTER).then_rejected("equipment-exists")


# --- numbers --------------------------------------------------------------------------------------------------------


def test_the_year_of_the_serial_number_is_that_of_the_acquisition() -> None:
    _, (asset, *_) = done(given(ACME), importing(acquired_on=date(2004, 1, 1)))
    assert isinstance(asset, AssetImported)
    assert asset.serial_number == "EQ-2004-EX-004711"


def test_ids_that_do_not_fit_are_counted_and_never_cut_short() -> None:
    first = imported("47110815", serial="EQ-2019-EL-000001", counted=1)
    machine = created("47110815", "EQ-2019-EL-000001")
    story = given(ACME).when(importing("47110815"), by=IMPORTER).then(first, machine)
    story, (second, _) = done(story, importing("47110816"))
    _, (third, _) = done(story, importing("A-12"))
    assert isinstance(second, AssetImported)
    assert isinstance(third, AssetImported)
    assert (second.serial_number, third.serial_number) == ("EQ-2019-EL-000002", "EQ-2019-EL-000003")


def test_an_asset_keeps_its_number_even_when_its_import_was_undone() -> None:
    story, _ = done(given(ACME), importing("4711-0815"))
    order = Undo(asset_id="legacy.4711-0815", import_id="spring", reason="wrong file")
    story = story.when(order, by=IMPORTER).story
    story, _ = done(story, importing("9999-9999"))
    _, (asset, _) = done(story, importing("4711-0815", "summer"))
    assert isinstance(asset, AssetImported)
    assert (asset.serial_number, asset.counted) == ("EQ-2019-EL-000001", None)


def test_two_sources_cannot_give_one_number_to_two_machines() -> None:
    taken = EXCAVATOR.model_copy(update={"serial_number": SERIAL})
    given(ACME, taken).when(importing(), by=IMPORTER).then_rejected("serial-number-taken")


def test_numbers_that_are_counted_come_to_an_end() -> None:
    last = imported("long-one", serial="EQ-2019-EL-999999", counted=LAST_NUMBER)
    given(ACME, last).when(importing("long-two"), by=IMPORTER).then_rejected("numbers-used-up")


def test_an_id_says_where_the_asset_comes_from_whatever_its_number_is() -> None:
    assert asset_id("legacy", "4711") == "legacy.4711"
    assert asset_id("legacy", "47/11 ü") != asset_id("legacy", "47/11 ö")
    assert asset_id("legacy", "47/11 ü").startswith("legacy.")


# --- changed --------------------------------------------------------------------------------------------------------


def test_a_changed_record_changes_the_machine() -> None:
    changed = {"name": "Big loader", "place": "yard"}
    given(ACME, BROUGHT).when(importing(run="summer", **changed), by=IMPORTER).then(
        imported(run="summer", **changed),
        EquipmentRenamed(equipment_id="legacy.4711", name="Big loader", previous="Loader"),
        EquipmentMoved(equipment_id="legacy.4711", place="yard"),
    )


def test_what_people_changed_here_stays_unless_the_other_system_changes_the_same() -> None:
    rename = RenameEquipment(equipment_id="legacy.4711", name="Our loader")
    story = given(ACME, BROUGHT).when(rename).story
    story.when(importing(run="summer"), by=IMPORTER).then_nothing()
    story.when(importing(run="summer", place="yard"), by=IMPORTER).then(
        imported(run="summer", place="yard"), EquipmentMoved(equipment_id="legacy.4711", place="yard")
    )


def test_maintenance_that_goes_on_is_one_job_and_its_end_cancels_what_has_not_begun() -> None:
    story, (*_, job) = done(given(ACME), importing(state=MAINTENANCE))
    assert isinstance(job, MaintenanceScheduled)
    story, events = done(story, importing(state=MAINTENANCE, name="Big loader"))
    assert [type(event) for event in events] == [AssetImported, EquipmentRenamed]
    ended, events = done(story, importing(name="Big loader"))
    assert [type(event) for event in events] == [AssetImported, MaintenanceCancelled]
    _, (_, again) = done(ended, importing(name="Big loader", state=MAINTENANCE))
    assert isinstance(again, MaintenanceScheduled)
    assert again.job_id != job.job_id
    begun = story.when(StartMaintenance(equipment_id="legacy.4711", job_id=job.job_id)).story
    _, events = done(begun, importing(name="Big loader"))
    assert [type(event) for event in events] == [AssetImported]


def test_a_machine_retired_there_is_retired_here_and_does_not_come_back() -> None:
    story, events = done(given(ACME, BROUGHT), importing(state=RETIRED))
    assert [type(event) for event in events] == [AssetImported, EquipmentRetired]
    _, events = done(story, importing(state=RETIRED, name="Old loader"))
    assert [type(event) for event in events] == [AssetImported]
    story.when(importing(), by=IMPORTER).then_rejected("equipment-retired")


def test_a_machine_that_is_lent_here_is_not_retired_by_an_import() -> None:
    lend = AssignEquipment(equipment_id="legacy.4711", assignee=Assignee(kind="place", id="site-3"))
    story = given(ACME, BROUGHT).when(lend).story
    story.when(importing(state=RETIRED), by=IMPORTER).then_rejected("equipment-assigned")


def test_the_papers_of_a_machine_stay() -> None:
    for change in ({"cost": soles("1.00")}, {"acquired_on": date(2020, 1, 1)}, {"model": "951"}):
        given(ACME, BROUGHT).when(importing(**change), by=IMPORTER).then_rejected("papers-fixed")


def test_a_machine_that_was_taken_back_here_comes_again_only_with_news() -> None:
    void = VoidEquipment(equipment_id="legacy.4711", reason="not ours")
    story = given(ACME, BROUGHT).when(void).story
    story.when(importing(run="summer"), by=IMPORTER).then_nothing()
    _, events = done(story, importing(name="Big loader"))
    assert [type(event) for event in events] == [AssetImported, EquipmentCreated]


# --- undone ---------------------------------------------------------------------------------------------------------


def test_a_machine_that_an_import_brought_is_taken_back_with_its_number() -> None:
    story = given(ACME, BROUGHT).when(undoing(), by=IMPORTER).then(undone(), VOIDED)
    story.when(importing(run="summer"), by=IMPORTER).then(imported(run="summer"), created())
    story.when(undoing(), by=IMPORTER).then_rejected("asset-unknown")


def test_with_the_machine_goes_the_job_that_came_with_it() -> None:
    story, _ = done(given(ACME), importing(state=MAINTENANCE))
    answer = story.when(undoing(), by=IMPORTER)
    assert [type(fact.event) for fact in answer.facts] == [AssetImportUndone, MaintenanceCancelled, EquipmentVoided]


def test_a_machine_that_came_retired_is_taken_back() -> None:
    story, _ = done(given(ACME), importing(state=RETIRED))
    story.when(undoing(), by=IMPORTER).then(undone(), VOIDED)


def test_a_machine_that_was_used_since_is_not_taken_back() -> None:
    broken = ReportBreakdown(equipment_id="legacy.4711", breakdown_id="hose")
    story = given(ACME, BROUGHT).when(broken).story
    story.when(undoing(), by=IMPORTER).then_rejected("equipment-used")
    begun = MaintenanceStarted(equipment_id="legacy.4711", job_id="oil")
    job = MaintenanceScheduled(
        equipment_id="legacy.4711", job_id="oil", maintenance_type=CORRECTIVE, scheduled_date=TODAY
    )
    given(ACME, BROUGHT, job, begun).when(undoing(), by=IMPORTER).then_rejected("equipment-used")


def test_what_an_import_changed_is_again_as_before_it() -> None:
    story = (
        given(ACME, BROUGHT, RENAMED)
        .when(undoing("summer"), by=IMPORTER)
        .then(
            undone("summer", record=record()),
            EquipmentRenamed(equipment_id="legacy.4711", name="Loader", previous="Big loader"),
        )
    )
    story.when(undoing("summer"), by=IMPORTER).then_nothing()
    story.when(importing(run="autumn"), by=IMPORTER).then_nothing()


def test_several_rows_of_one_import_are_undone_together() -> None:
    story, _ = done(given(ACME), importing())
    story, _ = done(story, importing(name="Big loader"))
    story.when(undoing(), by=IMPORTER).then(undone(), VOIDED)


def test_a_job_that_an_import_ended_is_opened_again() -> None:
    story, _ = done(given(ACME), importing(state=MAINTENANCE))
    story, _ = done(story, importing(run="summer"))
    answer = story.when(undoing("summer"), by=IMPORTER)
    back, job = (fact.event for fact in answer.facts)
    assert isinstance(back, AssetImportUndone)
    assert isinstance(job, MaintenanceScheduled)
    assert back.job_id == job.job_id


def test_only_the_import_that_changed_the_asset_last_is_undone() -> None:
    given(ACME, BROUGHT, RENAMED).when(undoing(), by=IMPORTER).then_rejected("imported-since")
    given(ACME, BROUGHT).when(undoing("summer"), by=IMPORTER).then_rejected("imported-since")


def test_a_machine_that_was_taken_back_by_hand_needs_no_undoing() -> None:
    void = VoidEquipment(equipment_id="legacy.4711", reason="not ours")
    given(ACME, BROUGHT).when(void).story.when(undoing(), by=IMPORTER).then(undone())
