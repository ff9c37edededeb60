"""Categories are defined by managers; a name stands for one category."""

import pytest

from domain.category import (
    ArchiveCategory,
    CategoryArchived,
    CategoryDefined,
    CategoryRenamed,
    DefineCategory,
    RenameCategory,
)
from tests.domain.acme import ACME, MAX, TESS, VIC
from tests.domain.scenario import given

CRANES = {"category_id": "cranes", "name": "Cranes"}


def test_a_manager_defines_a_category() -> None:
    given(ACME).when(DefineCategory(**CRANES), by=MAX).then(CategoryDefined(**CRANES))


def test_names_are_kept_without_the_blanks_around_them() -> None:
    given(ACME).when(DefineCategory(category_id="cranes", name="  Cranes ")).then(CategoryDefined(**CRANES))


def test_defined_twice_is_refused_the_second_time() -> None:
    given(ACME).when(DefineCategory(**CRANES)).then(CategoryDefined(**CRANES)).when(
        DefineCategory(**CRANES)
    ).then_rejected("category-exists")


@pytest.mark.parametrize("actor", [TESS, VIC])
def test_technicians_and_viewers_define_no_categories(actor: str) -> None:
    given(ACME).when(DefineCategory(**CRANES), by=actor).then_rejected("forbidden")


@pytest.mark.parametrize("name", ["Excavators", "EXCAVATORS", " excavators ", "Ｅxcavators"])
def test_a_name_stands_for_one_category_however_it_is_written(name: str) -> None:
    given(ACME).when(DefineCategory(category_id="diggers", name=name)).then_rejected("category-name-taken")


def test_a_name_with_a_slash_is_no_other_key() -> None:
    pumps = CategoryDefined(category_id="pumps", name="Pumps/Compressors")
    given(ACME, pumps).when(DefineCategory(category_id="pumps2", name="pumps/compressors")).then_rejected(
        "category-name-taken"
    )
    given(ACME, pumps).when(DefineCategory(category_id="pumps2", name="Pumps")).then(
        CategoryDefined(category_id="pumps2", name="Pumps")
    )


# --- renamed and archived -------------------------------------------------------------------------------------------

RENAME = RenameCategory(category_id="excavators", name="Diggers")
RENAMED = CategoryRenamed(category_id="excavators", name="Diggers")
ARCHIVE = ArchiveCategory(category_id="excavators")
ARCHIVED = CategoryArchived(category_id="excavators")


def test_a_category_gets_another_name_and_a_repeat_adds_nothing() -> None:
    given(ACME).when(RENAME, by=MAX).then(RENAMED).when(RENAME).then_nothing()


def test_the_name_that_a_category_gave_up_is_free_and_the_new_one_taken() -> None:
    story = given(ACME, RENAMED)
    story.when(DefineCategory(category_id="others", name="excavators")).then(
        CategoryDefined(category_id="others", name="excavators")
    )
    story.when(DefineCategory(category_id="others", name="DIGGERS")).then_rejected("category-name-taken")


def test_a_name_is_not_taken_from_another_category() -> None:
    given(ACME, CategoryDefined(**CRANES)).when(RenameCategory(category_id="excavators", name="cranes")).then_rejected(
        "category-name-taken"
    )


def test_a_category_may_be_written_in_another_way() -> None:
    louder = RenameCategory(category_id="excavators", name="EXCAVATORS")
    given(ACME).when(louder).then(CategoryRenamed(category_id="excavators", name="EXCAVATORS"))


def test_a_category_is_archived_once_and_keeps_its_name() -> None:
    story = given(ACME).when(ARCHIVE, by=MAX).then(ARCHIVED)
    story.when(ARCHIVE).then_nothing()
    story.when(RENAME).then_rejected("category-archived")
    story.when(DefineCategory(category_id="others", name="Excavators")).then_rejected("category-name-taken")


def test_only_managers_change_categories_that_are_there() -> None:
    given(ACME).when(RENAME, by=TESS).then_rejected("forbidden")
    given(ACME).when(ARCHIVE, by=TESS).then_rejected("forbidden")
    given(ACME).when(RenameCategory(category_id="cranes", name="x")).then_rejected("category-unknown")
    given(ACME).when(ArchiveCategory(category_id="cranes")).then_rejected("category-unknown")


@pytest.mark.parametrize("days", ["0", "3661", "1.0", '"90"'])
def test_the_interval_between_services_is_a_day_to_ten_years(days: str) -> None:
    sent = b'{"category_id": "cranes", "name": "Cranes", "maintenance_interval_days": %s}' % days.encode()
    given(ACME).when_sent(DefineCategory, sent, about="cranes").then_rejected("invalid", "maintenance_interval_days")
