"""A company is opened by an operator, keeps its policy, and can be suspended."""

from datetime import UTC, date, datetime, timedelta

import pytest

from domain.company import (
    CategoryInterval,
    CompanyCreated,
    CompanyReactivated,
    CompanySettingsUpdated,
    CompanySuspended,
    CreateCompany,
    FirstAdmin,
    MaintenancePolicy,
    MaintenancePolicyUpdated,
    ReactivateCompany,
    SuspendCompany,
    UpdateCompanySettings,
    UpdateMaintenancePolicy,
)
from domain.equipment import EquipmentRetired, RenameEquipment, RetireEquipment
from domain.maintenance import MaintenanceType
from domain.masks import DEFAULT_MASK, follows
from domain.model import Role, TaxId
from domain.user import UserAddedToCompany
from tests.domain.acme import ACME, ADA, EXCAVATOR, MAX, OPENED, OPERATOR, PREVENTIVE, TESS, every, policy, soles
from tests.domain.scenario import NOW, given

ADA_HERSELF = FirstAdmin(user_id="ada", name="Ada Quispe", email="ada@acme.example")
OPEN_ACME = CreateCompany(
    company_id="acme", name="Acme Mining", time_zone="America/Lima", currency="PEN", admin=ADA_HERSELF
)
SUSPENDED = CompanySuspended(company_id="acme", reason="unpaid")
STRICTER = UpdateMaintenancePolicy(company_id="acme", policy=MaintenancePolicy(minimum_notice_days=2))


def test_an_operator_opens_a_company_with_its_first_admin() -> None:
    given().when(OPEN_ACME, by=OPERATOR).then(*OPENED)


def test_a_company_keeps_its_tax_number() -> None:
    ruc = TaxId(country="PE", number="20512333797")
    given().when(OPEN_ACME.model_copy(update={"tax_id": ruc}), by=OPERATOR).then(
        CompanyCreated(company_id="acme", name="Acme Mining", time_zone="America/Lima", currency="PEN", tax_id=ruc),
        UserAddedToCompany(user_id="ada", name="Ada Quispe", email="ada@acme.example", roles=(Role.ADMIN,)),
    )


def test_a_company_is_opened_once() -> None:
    given(ACME).when(OPEN_ACME, by=OPERATOR).then_rejected("company-exists")


@pytest.mark.parametrize("stranger", [ADA, "system:importer", "key:tablet"])
def test_only_an_operator_opens_a_company(stranger: str) -> None:
    code = "forbidden" if stranger == ADA else "actor-unknown"
    given().when(OPEN_ACME, by=stranger).then_rejected(code)
    given(ACME).when(OPEN_ACME, by=stranger).then_rejected(code)


def test_the_subject_of_a_company_command_is_the_company_itself() -> None:
    given(ACME).when(OPEN_ACME.model_copy(update={"company_id": "other"}), by=OPERATOR).then_rejected(
        "invalid", "company_id"
    )


def test_an_admin_changes_some_settings_and_a_repeat_adds_nothing() -> None:
    change = UpdateCompanySettings(company_id="acme", name="Acme", time_zone="Asia/Tokyo", currency="PEN")
    changed = CompanySettingsUpdated(company_id="acme", name="Acme", time_zone="Asia/Tokyo")
    given(ACME).when(change).then(changed).when(change).then_nothing()
    given(ACME).when(UpdateCompanySettings(company_id="acme")).then_nothing()


def test_settings_hold_from_the_next_command_on() -> None:
    tokyo = CompanySettingsUpdated(company_id="acme", time_zone="Asia/Tokyo")
    evening_in_lima = datetime(2026, 11, 23, 23, tzinfo=UTC)
    retire = RetireEquipment(equipment_id="ex-7", reason="worn out")
    given(ACME, EXCAVATOR, tokyo).when(retire, at=evening_in_lima).then(
        EquipmentRetired(equipment_id="ex-7", reason="worn out", retired_by="user:ada", retired_date=date(2026, 11, 24))
    )


@pytest.mark.parametrize("actor", [MAX, TESS, OPERATOR])
def test_nobody_else_changes_the_settings(actor: str) -> None:
    given(ACME).when(UpdateCompanySettings(company_id="acme", name="Mine"), by=actor).then_rejected("forbidden")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("currency", "XYZ"),
        ("time_zone", "America/Nowhere"),
        ("serial_mask", "99"),
        ("serial_mask", "EQ-[0-9]+"),
        ("serial_mask", "9" * 41),
        ("serial_mask", "eq-9999"),
        ("name", " "),
    ],
)
def test_a_setting_that_cannot_be_is_refused_naming_the_field(field: str, value: str) -> None:
    sent = f'{{"company_id": "acme", "{field}": "{value}"}}'.encode()
    given(ACME).when_sent(UpdateCompanySettings, sent, about="acme").then_rejected("invalid", field)


@pytest.mark.parametrize(
    ("mask", "number", "follows_it"),
    [
        (DEFAULT_MASK, "EQ-2024-EX-000007", True),
        (DEFAULT_MASK, "EQ-2024-EX-00000", False),
        (DEFAULT_MASK, "EQ-2024-EX-0000077", False),
        (DEFAULT_MASK, "EQ-2024-E7-000007", False),
        ("LIM.9A", "LIM.5X", True),
        ("LIM.9A", "LIMX5X", False),
        ("999", "²²²", False),
    ],
)
def test_a_mask_says_digit_by_digit_and_letter_by_letter_how_a_number_is_written(
    mask: str, number: str, follows_it: bool
) -> None:
    assert follows(mask, number) == follows_it


def test_an_admin_sets_the_maintenance_policy_and_a_repeat_adds_nothing() -> None:
    given(ACME).when(STRICTER).then(MaintenancePolicyUpdated(company_id="acme", policy=STRICTER.policy)).when(
        STRICTER, at=NOW + timedelta(days=2)
    ).then_nothing()


def test_the_policy_says_what_an_hour_of_labour_and_of_downtime_costs() -> None:
    rates = {"labour_rate": soles("45.00"), "downtime_rate": soles("320.00")}
    told = UpdateMaintenancePolicy(company_id="acme", policy=MaintenancePolicy(**rates))
    given(ACME).when(told).then(policy(**rates)).when(told).then_nothing()


@pytest.mark.parametrize("actor", [MAX, TESS, OPERATOR])
def test_nobody_else_sets_the_maintenance_policy(actor: str) -> None:
    given(ACME).when(STRICTER, by=actor).then_rejected("forbidden")


def test_a_policy_may_name_a_category_that_is_not_defined_yet() -> None:
    intervals = every(90, "cranes")
    given(ACME).when(UpdateMaintenancePolicy(company_id="acme", policy=MaintenancePolicy(intervals=intervals))).then(
        policy(intervals=intervals)
    )


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ('{"minimum_notice_days": 366}', "policy.minimum_notice_days"),
        ('{"minimum_notice_days": -1}', "policy.minimum_notice_days"),
        ('{"maximum_open_jobs": 0}', "policy.maximum_open_jobs"),
        ('{"maximum_open_jobs": 101}', "policy.maximum_open_jobs"),
        ('{"types_for_managers": ["PREVENTIVE", "PREVENTIVE"]}', "policy.types_for_managers"),
        ('{"labour_rate": {"amount": "-1", "currency": "PEN"}}', "policy.labour_rate.amount"),
        ('{"downtime_rate": {"amount": "1.005", "currency": "PEN"}}', "policy.downtime_rate"),
        ('{"types_for_managers": ["OIL"]}', "policy.types_for_managers.0"),
        ('{"intervals": [{"category_id": "a", "days": 0}]}', "policy.intervals.0.days"),
        ('{"intervals": [{"category_id": "a", "days": 9}, {"category_id": "a", "days": 8}]}', "policy.intervals"),
    ],
)
def test_a_policy_beyond_its_limits_is_refused_naming_the_field(terms: str, field: str) -> None:
    sent = f'{{"company_id": "acme", "policy": {terms}}}'.encode()
    given(ACME).when_sent(UpdateMaintenancePolicy, sent, about="acme").then_rejected("invalid", field)


def test_a_policy_names_at_most_200_intervals() -> None:
    entries = tuple(CategoryInterval(category_id=f"c{number}", days=9) for number in range(200))
    full = UpdateMaintenancePolicy(company_id="acme", policy=MaintenancePolicy(intervals=entries))
    given(ACME).when(full).then(policy(intervals=entries))
    more = full.model_dump_json().replace('"intervals":[', '"intervals":[{"category_id":"z","days":9},').encode()
    given(ACME).when_sent(UpdateMaintenancePolicy, more, about="acme").then_rejected("invalid", "policy.intervals")


def test_a_suspended_company_takes_no_command_but_its_reactivation() -> None:
    suspend = SuspendCompany(company_id="acme", reason="unpaid")
    rename = RenameEquipment(equipment_id="ex-7", name="Digger")
    story = given(ACME, EXCAVATOR).when(suspend, by=OPERATOR).then(SUSPENDED)
    for command, actor in [(rename, ADA), (STRICTER, ADA), (suspend, OPERATOR)]:
        story.when(command, by=actor).then_rejected("company-suspended")
    back = story.when(ReactivateCompany(company_id="acme"), by=OPERATOR).then(CompanyReactivated(company_id="acme"))
    back.when(STRICTER).then(policy(minimum_notice_days=2))


def test_reactivating_an_active_company_changes_nothing() -> None:
    given(ACME).when(ReactivateCompany(company_id="acme"), by=OPERATOR).then_nothing()


@pytest.mark.parametrize("actor", [ADA, MAX])
def test_its_own_people_neither_suspend_nor_reactivate_a_company(actor: str) -> None:
    given(ACME).when(SuspendCompany(company_id="acme", reason="spite"), by=actor).then_rejected("forbidden")
    given(ACME, SUSPENDED).when(ReactivateCompany(company_id="acme"), by=actor).then_rejected("forbidden")


def test_a_company_that_nobody_opened_is_unknown_to_everybody() -> None:
    given().when(SuspendCompany(company_id="acme", reason="unpaid"), by=OPERATOR).then_rejected("company-unknown")
    given().when(RenameEquipment(equipment_id="ex-7", name="Digger"), by=ADA).then_rejected("company-unknown")


def test_the_interval_of_a_category_without_one_is_none() -> None:
    terms = MaintenancePolicy(types_for_managers=(MaintenanceType.CALIBRATION,), intervals=every(90))
    assert terms.interval_days("excavators") == 90
    assert terms.interval_days("cranes") is None
    assert PREVENTIVE not in terms.types_for_managers
