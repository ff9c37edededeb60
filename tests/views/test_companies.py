"""Companies: each event gives its row, and the same event again leaves it as it is."""

import pytest

from domain.company import (
    CategoryInterval,
    CompanyCreated,
    CompanyReactivated,
    CompanySettingsUpdated,
    CompanySuspended,
    MaintenancePolicy,
    MaintenancePolicyUpdated,
)
from domain.maintenance import MaintenanceType
from domain.model import Event, TaxId
from tests.views.conftest import World
from views.companies import COMPANIES, CompanyItem

POLICY = MaintenancePolicy(
    minimum_notice_days=2,
    types_for_managers=(MaintenanceType.CORRECTIVE,),
    intervals=(CategoryInterval(category_id="excavators", days=90),),
)


def opened(world: World, tax_id: TaxId | None = None) -> CompanyCreated:
    return CompanyCreated(
        company_id=world.company, name="Acme Mining", time_zone="America/Lima", currency="PEN", tax_id=tax_id
    )


async def the_company(world: World) -> CompanyItem:
    found = await world.see(COMPANIES, company_id=world.company)
    assert found is not None
    return found


async def test_a_new_company_shows_its_settings(world: World) -> None:
    await world.tell(opened(world, TaxId(country="PE", number="20512333797")))
    firm = await the_company(world)
    assert (firm.name, firm.time_zone, firm.currency) == ("Acme Mining", "America/Lima", "PEN")
    assert firm.tax_id == TaxId(country="PE", number="20512333797")
    assert firm.maintenance_policy == MaintenancePolicy()
    assert (firm.suspended_at, firm.version) == (None, 1)


async def test_a_company_shows_its_latest_maintenance_policy(world: World) -> None:
    await world.tell(opened(world), MaintenancePolicyUpdated(company_id=world.company, policy=POLICY))
    firm = await the_company(world)
    assert (firm.maintenance_policy, firm.version) == (POLICY, 2)


async def test_a_suspended_company_says_since_when_and_why_until_it_is_reactivated(world: World) -> None:
    _, entry = await world.tell(opened(world), CompanySuspended(company_id=world.company, reason="Unpaid"))
    firm = await the_company(world)
    assert (firm.suspended_at, firm.suspension_reason) == (entry.content.recorded_at, "Unpaid")
    await world.tell(CompanyReactivated(company_id=world.company))
    firm = await the_company(world)
    assert (firm.suspended_at, firm.suspension_reason) == (None, None)


@pytest.mark.parametrize("length", [1, 2, 3, 4])
async def test_the_same_events_again_leave_the_same_row(world: World, length: int) -> None:
    life: list[Event] = [
        opened(world),
        MaintenancePolicyUpdated(company_id=world.company, policy=POLICY),
        CompanySuspended(company_id=world.company, reason="Unpaid"),
        CompanyReactivated(company_id=world.company),
    ]
    entries = await world.tell(*life[:length])
    before = await world.rows()
    await world.again(entries)
    await world.again(entries[-1:])
    assert await world.rows() == before


async def test_settings_that_an_update_leaves_open_stay_as_they_were(world: World) -> None:
    ruc = TaxId(country="PE", number="20512333797")
    await world.tell(opened(world, ruc))
    firm = await the_company(world)
    assert (firm.serial_mask, firm.allow_negative_stock) == ("EQ-9999-AA-999999", False)
    update = CompanySettingsUpdated(
        company_id=world.company, name="Acme", serial_mask="AC-999", allow_negative_stock=True
    )
    await world.again(await world.tell(update))
    firm = await the_company(world)
    assert (firm.name, firm.serial_mask, firm.allow_negative_stock) == ("Acme", "AC-999", True)
    assert (firm.time_zone, firm.currency, firm.tax_id) == ("America/Lima", "PEN", ruc)
    await world.tell(CompanySettingsUpdated(company_id=world.company, allow_negative_stock=False, currency="USD"))
    firm = await the_company(world)
    assert (firm.name, firm.currency, firm.allow_negative_stock) == ("Acme", "USD", False)
