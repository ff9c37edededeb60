"""The company: consistency boundary of everything else, with its settings and policies."""

from collections.abc import Iterator
from typing import Annotated, Any, assert_never

from pydantic import AfterValidator, Field, field_validator

from domain.decider import Context, Decider, Kind, Refusal
from domain.depreciation import BookName, BookPolicy
from domain.maintenance import IntervalDays, MaintenanceType
from domain.masks import DEFAULT_MASK, SerialMask
from domain.model import (
    ADMINS,
    Command,
    CompanyId,
    Currency,
    Email,
    Event,
    Id,
    Money,
    Name,
    Reason,
    Role,
    State,
    TaxId,
    Value,
    Zone,
    each_once,
)
from domain.user import UserAddedToCompany

company_suspended = Refusal("company-suspended", Kind.CONFLICT, "The company is suspended and takes no commands.")


class CategoryInterval(Value):
    """How often machines of a category are serviced."""

    category_id: Id
    days: IntervalDays


class MaintenancePolicy(Value):
    """What the company asks of maintenance: notice, open jobs per machine, who may schedule, service intervals.

    An hour's labour, and an hour that a machine stands still, cost what the rates say; without a rate nobody knows.

    `types_for_managers` are planned by admins and managers alone; all other work by whoever may send the command. An
    interval goes before the category's own, and may be set before the category is defined.
    """

    minimum_notice_days: Annotated[int, Field(ge=0, le=365)] = 0
    maximum_open_jobs: Annotated[int, Field(ge=1, le=100)] = 20
    types_for_managers: Annotated[
        tuple[MaintenanceType, ...], Field(max_length=len(MaintenanceType)), AfterValidator(each_once)
    ] = ()
    intervals: Annotated[tuple[CategoryInterval, ...], Field(max_length=200)] = ()
    labour_rate: Money | None = None
    downtime_rate: Money | None = None

    @field_validator("intervals")
    @classmethod
    def _one_per_category(cls, intervals: tuple[CategoryInterval, ...]) -> tuple[CategoryInterval, ...]:
        each_once(tuple(entry.category_id for entry in intervals))
        return intervals

    def interval_days(self, category_id: str) -> int | None:
        return next((entry.days for entry in self.intervals if entry.category_id == category_id), None)


def _one_per_book(books: tuple[BookPolicy, ...]) -> tuple[BookPolicy, ...]:
    each_once(tuple(policy.book for policy in books))
    return books


BookPolicies = Annotated[tuple[BookPolicy, ...], Field(max_length=len(BookName)), AfterValidator(_one_per_book)]


class CompanyCreated(Event):
    company_id: CompanyId
    name: Name
    time_zone: Zone
    currency: Currency
    tax_id: TaxId | None = None


class CompanySettingsUpdated(Event):
    """The settings named have new values; the others stay."""

    company_id: CompanyId
    name: Name | None = None
    tax_id: TaxId | None = None
    time_zone: Zone | None = None
    currency: Currency | None = None
    serial_mask: SerialMask | None = None
    allow_negative_stock: bool | None = None


class MaintenancePolicyUpdated(Event):
    company_id: CompanyId
    policy: MaintenancePolicy


class DepreciationPolicyUpdated(Event):
    """Machines that are registered from now on are depreciated so; those that have terms keep them."""

    company_id: CompanyId
    books: BookPolicies


class CompanySuspended(Event):
    company_id: CompanyId
    reason: Reason


class CompanyReactivated(Event):
    company_id: CompanyId


CompanyEvent = (
    CompanyCreated
    | CompanySettingsUpdated
    | MaintenancePolicyUpdated
    | DepreciationPolicyUpdated
    | CompanySuspended
    | CompanyReactivated
)


class Company(State):
    name: str = ""
    tax_id: TaxId | None = None
    time_zone: str = "UTC"
    currency: str = ""
    serial_mask: str = DEFAULT_MASK
    allow_negative_stock: bool = False
    suspended: bool = False
    policy: MaintenancePolicy = MaintenancePolicy()
    books: tuple[BookPolicy, ...] = ()

    def policy_for(self, book: BookName) -> BookPolicy | None:
        return next((policy for policy in self.books if policy.book is book), None)


def evolve(firm: Company, event: CompanyEvent) -> Company:
    match event:
        case CompanyCreated(name=name, time_zone=zone, currency=currency, tax_id=tax_id):
            return firm.but(name=name, time_zone=zone, currency=currency, tax_id=tax_id)
        case CompanySettingsUpdated():
            return firm.but(**settings_of(event))
        case MaintenancePolicyUpdated(policy=policy):
            return firm.but(policy=policy)
        case DepreciationPolicyUpdated(books=books):
            return firm.but(books=books)
        case CompanySuspended():
            return firm.but(suspended=True)
        case CompanyReactivated():
            return firm.but(suspended=False)
        case _:
            assert_never(event)


def settings_of(named: "CompanySettingsUpdated | UpdateCompanySettings") -> dict[str, Any]:
    """The settings that a command or an event names, with their new values."""
    settings = {name: getattr(named, name) for name in UpdateCompanySettings.model_fields if name != "company_id"}
    return {name: value for name, value in settings.items() if value is not None}


company = Decider("company", key="company_id", path="companies", initial=Company(), evolve=evolve, state_version=2)


class FirstAdmin(Value):
    """The person who administers a new company."""

    user_id: Id
    name: Name
    email: Email


class CreateCompany(Command):
    """Open a company under a readable id that never changes, with its first admin."""

    company_id: CompanyId
    name: Name
    time_zone: Zone
    currency: Currency
    admin: FirstAdmin
    tax_id: TaxId | None = None


@company.creates(operators=True)
def create_company(
    firm: Company, cmd: CreateCompany, context: Context
) -> Iterator[CompanyCreated | UserAddedToCompany]:
    yield CompanyCreated(**{k: v for k, v in vars(cmd).items() if k != "admin"})
    yield UserAddedToCompany(**vars(cmd.admin), roles=(Role.ADMIN,))


class UpdateCompanySettings(Command):
    """Change those settings of the company that are given; new serial numbers follow a new mask, old ones stay."""

    company_id: CompanyId
    name: Name | None = None
    tax_id: TaxId | None = None
    time_zone: Zone | None = None
    currency: Currency | None = None
    serial_mask: SerialMask | None = None
    allow_negative_stock: bool | None = None


@company.decides(ADMINS)
def update_company_settings(
    firm: Company, cmd: UpdateCompanySettings, context: Context
) -> Iterator[CompanySettingsUpdated]:
    changed = {name: value for name, value in settings_of(cmd).items() if value != getattr(firm, name)}
    if changed:
        yield CompanySettingsUpdated(company_id=cmd.company_id, **changed)


class UpdateMaintenancePolicy(Command):
    """Replace the company's maintenance policy."""

    company_id: CompanyId
    policy: MaintenancePolicy


@company.decides(ADMINS)
def update_maintenance_policy(
    firm: Company, cmd: UpdateMaintenancePolicy, context: Context
) -> Iterator[MaintenancePolicyUpdated]:
    if cmd.policy != firm.policy:
        yield MaintenancePolicyUpdated(**vars(cmd))


class UpdateDepreciationPolicy(Command):
    """Replace the company's books and how they depreciate machines that are registered from now on."""

    company_id: CompanyId
    books: BookPolicies


@company.decides(ADMINS)
def update_depreciation_policy(
    firm: Company, cmd: UpdateDepreciationPolicy, context: Context
) -> Iterator[DepreciationPolicyUpdated]:
    if cmd.books != firm.books:
        yield DepreciationPolicyUpdated(**vars(cmd))


class SuspendCompany(Command):
    """Stop all commands of a company but its reactivation."""

    company_id: CompanyId
    reason: Reason


@company.decides(operators=True)
def suspend_company(firm: Company, cmd: SuspendCompany, context: Context) -> Iterator[CompanySuspended]:
    yield CompanySuspended(**vars(cmd))  # a company that is suspended already is refused before this


class ReactivateCompany(Command):
    """Let a suspended company go on."""

    company_id: CompanyId


@company.decides(operators=True)
def reactivate_company(firm: Company, cmd: ReactivateCompany, context: Context) -> Iterator[CompanyReactivated]:
    if firm.suspended:
        yield CompanyReactivated(**vars(cmd))
