"""Categories are defined by managers; a name stands for one category."""

import pytest

from domain.category import CategoryDefined, DefineCategory
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
