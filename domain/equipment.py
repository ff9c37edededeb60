"""A machine of a company: its life from purchase to retirement, with its work, meters, books and assignment."""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from hashlib import blake2b
from typing import Annotated, Any, ClassVar, Literal, assert_never
from uuid import NAMESPACE_URL, uuid5

from pydantic import Field, ValidationError

from domain.category import category, category_archived
from domain.charges import ZERO
from domain.company import company
from domain.decider import Claim, Context, Decider, Kind, Refusal, Rejected
from domain.depreciation import (
    UNIT,
    Account,
    BookName,
    Disposal,
    Entry,
    Month,
    Plan,
    Terms,
    TermsOfBook,
    Total,
    digits,
    disposal,
    following,
    next_month,
    share_of,
    units_left,
)
from domain.maintenance import MaintenanceType, Meter, Minutes
from domain.masks import follows
from domain.model import (
    EVERYBODY,
    MANAGERS,
    UNDONE,
    Command,
    Currency,
    Day,
    Digits,
    Event,
    Id,
    Instant,
    Money,
    Name,
    Reason,
    SerialNumber,
    ShortText,
    State,
    Text,
    Value,
)
from domain.periods import Pause, label, last_day, number_of
from domain.user import user
from domain.zones import day_in

category_unknown = category.unknown
serial_number_taken = Refusal(
    "serial-number-taken", Kind.CONFLICT, "Another machine of the company carries this serial number."
)
serial_number_off_mask = Refusal(
    "serial-number-off-mask", Kind.INVALID, "The serial number does not follow the company's mask."
)
equipment_used = Refusal(
    "equipment-used", Kind.CONFLICT, "The machine has been used or worked on, so it cannot be taken back; retire it."
)
equipment_retired = Refusal("equipment-retired", Kind.CONFLICT, "The machine is retired.")
equipment_assigned = Refusal("equipment-assigned", Kind.CONFLICT, "The machine is assigned; return it first.")
equipment_not_assigned = Refusal("equipment-not-assigned", Kind.CONFLICT, "The machine is not assigned.")
equipment_not_active = Refusal("equipment-not-active", Kind.CONFLICT, "Only an ACTIVE machine can be assigned.")
assignee_unknown = Refusal("assignee-unknown", Kind.CONFLICT, "The assignee is not an active user of the company.")
technician_unknown = Refusal(
    "technician-unknown", Kind.CONFLICT, "The technician named is not an active user of the company."
)
service_before_purchase = Refusal(
    "service-before-purchase", Kind.INVALID, "The machine cannot be in service before it was purchased."
)
date_in_past = Refusal("date-in-past", Kind.CONFLICT, "The date has passed in the company's time zone.")
notice_too_short = Refusal("notice-too-short", Kind.CONFLICT, "The company's policy asks for more notice.")
too_many_open_jobs = Refusal("too-many-open-jobs", Kind.CONFLICT, "The machine has as many open jobs as policy allows.")
type_needs_manager = Refusal(
    "type-needs-manager", Kind.FORBIDDEN, "Maintenance of this type is scheduled by an admin or a manager."
)
job_unknown = Refusal("job-unknown", Kind.MISSING, "The machine has no open job of this id.")
job_exists = Refusal(
    "job-exists", Kind.CONFLICT, "The machine has a scheduled job of this id, open or cancelled; complete an open one."
)
job_started = Refusal("job-started", Kind.CONFLICT, "A maintenance job of the machine has been started.")
performed_in_future = Refusal("performed-in-future", Kind.CONFLICT, "Work cannot have been done in the future.")
performed_before_scheduled = Refusal(
    "performed-before-scheduled", Kind.CONFLICT, "The work cannot have been done before it was scheduled."
)
performed_before_service = Refusal(
    "performed-before-service", Kind.CONFLICT, "The work cannot have been done before the machine was in service."
)
equipment_broken_down = Refusal(
    "equipment-broken-down", Kind.CONFLICT, "The machine is broken down already; report its repair first."
)
breakdown_unknown = Refusal("breakdown-unknown", Kind.MISSING, "The machine has no open breakdown of this id.")
happened_in_future = Refusal("happened-in-future", Kind.CONFLICT, "What is reported cannot lie in the future.")
happened_before_service = Refusal(
    "happened-before-service", Kind.CONFLICT, "It cannot have happened before the machine was in service."
)
repaired_before_breakdown = Refusal(
    "repaired-before-breakdown", Kind.CONFLICT, "The machine cannot have been repaired before it broke down."
)
reading_too_old = Refusal("reading-too-old", Kind.CONFLICT, "A later reading of the meter is recorded already.")
meter_ran_backwards = Refusal(
    "meter-ran-backwards", Kind.CONFLICT, "The meter shows less than before; say so if it was replaced."
)
equipment_for_sale = Refusal("equipment-for-sale", Kind.CONFLICT, "The machine is, or was, held for sale on that day.")
equipment_not_for_sale = Refusal("equipment-not-for-sale", Kind.CONFLICT, "The machine is not held for sale.")
withdrawn_before_held = Refusal(
    "withdrawn-before-held", Kind.CONFLICT, "The machine cannot be withdrawn from sale before it was held for it."
)
changed_since = Refusal("changed-since", Kind.CONFLICT, "It is no longer what the sender wants to change.")
expected_return_in_past = Refusal(
    "expected-return-in-past", Kind.CONFLICT, "The machine cannot be expected back on a day that has passed."
)
depreciation_not_set = Refusal("depreciation-not-set", Kind.CONFLICT, "The machine has no terms in this book.")
depreciation_not_begun = Refusal(
    "depreciation-not-begun", Kind.CONFLICT, "No period of this book is posted yet; set its terms."
)
depreciation_begun = Refusal(
    "depreciation-begun", Kind.CONFLICT, "Periods of this book are posted already; revise its terms from now on."
)
depreciation_complete = Refusal(
    "depreciation-complete", Kind.CONFLICT, "The machine has reached the end of its life in this book."
)
depreciation_paused = Refusal(
    "depreciation-paused", Kind.CONFLICT, "The machine is held for sale: nothing is charged until it is withdrawn."
)
plan_missing = Refusal("plan-missing", Kind.CONFLICT, "Neither the command nor the company's policy has a plan.")
cost_missing = Refusal("cost-missing", Kind.CONFLICT, "Neither the command nor the machine's papers name its cost.")
terms_impossible = Refusal("terms-impossible", Kind.CONFLICT, "The terms contradict each other.")
calendar_fixed = Refusal(
    "calendar-fixed", Kind.CONFLICT, "Convention, frequency and financial year stay as they were when posting began."
)
life_over = Refusal("life-over", Kind.CONFLICT, "With these terms nothing would be left of the machine's life.")
period_out_of_order = Refusal("period-out-of-order", Kind.CONFLICT, "Periods are posted one after the other.")
period_not_over = Refusal("period-not-over", Kind.CONFLICT, "A period is posted on its last day or later.")
units_missing = Refusal("units-missing", Kind.INVALID, "The book depreciates by units without a meter; name them.")
units_not_counted = Refusal("units-not-counted", Kind.INVALID, "The book depreciates by time; it counts no units.")
proceeds_in_other_currency = Refusal(
    "proceeds-in-other-currency", Kind.CONFLICT, "The machine's books are kept in another currency than the proceeds."
)


class Status(StrEnum):
    """What people see of a machine; derived from its state, never stored twice."""

    ACTIVE = "ACTIVE"
    MAINTENANCE_SCHEDULED = "MAINTENANCE_SCHEDULED"
    IN_MAINTENANCE = "IN_MAINTENANCE"
    RETIRED = "RETIRED"


class Assignee(Value):
    """Who or what has a machine: a user of the company, or a place by its name."""

    kind: Literal["user", "place"]
    id: Id


class EquipmentCreated(Event):
    equipment_id: Id
    name: Name
    serial_number: SerialNumber
    category_id: Id
    manufacturer: ShortText | None = None
    model: ShortText | None = None
    manufacturer_serial: ShortText | None = None
    purchased_on: Day | None = None
    in_service_on: Day
    purchase_price: Money | None = None

    begins: ClassVar[bool] = True

    def inverse(self) -> Command:
        return VoidEquipment(equipment_id=self.equipment_id, reason=UNDONE)


class EquipmentVoided(Event):
    """The machine should never have been registered: its id and serial number are free again."""

    equipment_id: Id
    reason: Reason


class EquipmentRenamed(Event):
    equipment_id: Id
    name: Name
    previous: Name | None = None

    def inverse(self) -> Command | None:
        if self.previous is None:
            return None
        return RenameEquipment(equipment_id=self.equipment_id, name=self.previous, instead_of=self.name)


class EquipmentMoved(Event):
    equipment_id: Id
    place: Id
    previous: Id | None = None

    def inverse(self) -> Command | None:
        if self.previous is None:
            return None
        return MoveEquipment(equipment_id=self.equipment_id, place=self.previous, instead_of=self.place)


class MaintenanceScheduled(Event):
    """Work is to be done on a day; `interval_days` is the time to the next such service where it recurs."""

    equipment_id: Id
    job_id: Id
    maintenance_type: MaintenanceType
    scheduled_date: Day
    technician_id: Id | None = None
    notes: Text | None = None
    plan_id: Id | None = None
    expected_minutes: Minutes | None = None
    interval_days: Annotated[int, Field(ge=1)] | None = None

    def inverse(self) -> Command:
        return CancelMaintenance(equipment_id=self.equipment_id, job_id=self.job_id, reason=UNDONE)


class MaintenanceRescheduled(Event):
    equipment_id: Id
    job_id: Id
    scheduled_date: Day


class MaintenanceStarted(Event):
    equipment_id: Id
    job_id: Id


class MaintenanceCompleted(Event):
    """Work was done, whether it had been scheduled or is recorded afterwards."""

    equipment_id: Id
    job_id: Id
    maintenance_type: MaintenanceType
    completed_by: Id
    performed_at: Instant
    completed_date: Day
    labour_minutes: Minutes = 0
    cost: Money | None = None
    notes: Text | None = None


class MaintenanceCancelled(Event):
    equipment_id: Id
    job_id: Id
    reason: Reason


class EquipmentBrokeDown(Event):
    """The machine lost its function without a plan; its downtime begins at `effective_at`."""

    equipment_id: Id
    breakdown_id: Id
    description: Text | None = None


class EquipmentRepaired(Event):
    """The machine works again since `effective_at`; its labour and cost are those of the repair alone."""

    equipment_id: Id
    breakdown_id: Id
    repaired_by: Id
    labour_minutes: Minutes = 0
    cost: Money | None = None
    cause: Reason | None = None
    notes: Text | None = None


class BreakdownAbandoned(Event):
    """The machine was retired unrepaired; its downtime ends with its service."""

    equipment_id: Id
    breakdown_id: Id


class MeterReadingRecorded(Event):
    """What a meter showed at `effective_at`; a replaced meter counts from this reading on."""

    equipment_id: Id
    meter: Meter
    reading: Digits
    replaced: bool = False


class EquipmentAssigned(Event):
    equipment_id: Id
    assignee: Assignee
    expected_return: Day | None = None

    def inverse(self) -> Command:
        return ReturnEquipment(equipment_id=self.equipment_id, assignee=self.assignee)


class EquipmentReturned(Event):
    equipment_id: Id
    notes: Text | None = None


class DepreciationSet(Event):
    """How the machine is depreciated in a book, from the beginning."""

    equipment_id: Id
    book: BookName
    terms: Terms


class DepreciationRevised(Event):
    """Other terms, or another value, from this period on; what is posted stays."""

    equipment_id: Id
    book: BookName
    period: Month
    terms: Terms
    value: Digits
    reason: Reason


class DepreciationPosted(Event):
    """One period of one book: what it charges, all that is charged so far, and the value that is left.

    `period` names the month that the period ends with; `opening` is the value at the start of the period, or of its
    financial year where the plan asks for that.
    """

    equipment_id: Id
    book: BookName
    period: Month
    currency: Currency
    amount: Digits
    accumulated: Total
    value: Digits
    opening: Total
    units: Digits = "0"


class EquipmentHeldForSale(Event):
    """From that day on the machine is for sale, and is not depreciated: each book has its schedule anew."""

    equipment_id: Id
    held_on: Day
    books: tuple[TermsOfBook, ...] = ()

    def inverse(self) -> Command:
        return WithdrawFromSale(equipment_id=self.equipment_id, withdrawn_on=self.held_on)


class EquipmentWithdrawnFromSale(Event):
    """From that day on the machine is depreciated again: each book has its schedule anew."""

    equipment_id: Id
    withdrawn_on: Day
    books: tuple[TermsOfBook, ...] = ()

    def inverse(self) -> Command:
        return HoldForSale(equipment_id=self.equipment_id, held_on=self.withdrawn_on)


class EquipmentRetired(Event):
    equipment_id: Id
    reason: Reason
    retired_by: str
    retired_date: Day
    proceeds: Money | None = None
    disposals: tuple[Disposal, ...] = ()


EquipmentEvent = (
    EquipmentCreated
    | EquipmentVoided
    | EquipmentRenamed
    | EquipmentMoved
    | MaintenanceScheduled
    | MaintenanceRescheduled
    | MaintenanceStarted
    | MaintenanceCompleted
    | MaintenanceCancelled
    | EquipmentBrokeDown
    | EquipmentRepaired
    | BreakdownAbandoned
    | MeterReadingRecorded
    | EquipmentAssigned
    | EquipmentReturned
    | DepreciationSet
    | DepreciationRevised
    | DepreciationPosted
    | EquipmentHeldForSale
    | EquipmentWithdrawnFromSale
    | EquipmentRetired
)


#: Latest readings of a meter from which its daily use is told.
READINGS_KEPT = 5


class Job(Value):
    """An open maintenance job as far as rules ask."""

    maintenance_type: MaintenanceType
    scheduled_at: datetime | None
    scheduled_date: date | None = None
    started: bool = False
    plan_id: str | None = None


class Service(Value):
    """The last time that a job of a plan was done, and what the meters had counted then."""

    on: date
    counted: dict[Meter, Decimal]


class Breakdown(Value):
    """The open breakdown of a machine."""

    id: str
    since: datetime | None


class MeterReading(Value):
    """The last reading of a meter, and what it has counted since its first, replaced or not; the latest by day."""

    reading: str
    read_at: datetime | None
    counted: Decimal = ZERO
    latest: tuple[tuple[date, Decimal], ...] = ()


class Equipment(State):
    name: str = ""
    place: str | None = None
    serial_number: str | None = None
    category_id: str = ""
    in_service_on: date = date.max
    purchase_price: Money | None = None
    accounts: dict[BookName, Account] = Field(default_factory=dict)
    sales: tuple[Pause, ...] = ()
    open_jobs: dict[str, Job] = Field(default_factory=dict)
    done_jobs: tuple[str, ...] = ()
    cancelled_jobs: tuple[str, ...] = ()
    breakdown: Breakdown | None = None
    repaired: tuple[str, ...] = ()
    meters: dict[Meter, MeterReading] = Field(default_factory=dict)
    services: dict[str, Service] = Field(default_factory=dict)
    assignee: Assignee | None = None
    expected_return: date | None = None
    retired_on: date | None = None
    used: bool = False
    voided: bool = False

    @property
    def gone(self) -> bool:
        return self.voided

    @property
    def retired(self) -> bool:
        return self.retired_on is not None

    @property
    def for_sale_since(self) -> date | None:
        return self.sales[-1].since if self.sales and self.sales[-1].until is None else None

    @property
    def being_worked_on(self) -> bool:
        return any(job.started for job in self.open_jobs.values())

    @property
    def status(self) -> Status:
        if self.retired:
            return Status.RETIRED
        if self.breakdown or self.being_worked_on:
            return Status.IN_MAINTENANCE
        return Status.MAINTENANCE_SCHEDULED if self.open_jobs else Status.ACTIVE

    def with_job(self, job_id: str, **changes: Any) -> "Equipment":
        """The machine with one of its open jobs changed."""
        jobs = {k: job.model_copy(update=changes) if k == job_id else job for k, job in self.open_jobs.items()}
        return self.but(open_jobs=jobs)

    def without_job(self, job_id: str, **changes: Any) -> "Equipment":
        """The machine with one open job less, and changed otherwise."""
        return self.but(open_jobs={k: job for k, job in self.open_jobs.items() if k != job_id}, **changes)

    def with_reading(self, event: MeterReadingRecorded) -> "Equipment":
        """The machine with a newer reading of one of its meters."""
        last, counted = self.meters.get(event.meter), self.counted(event.meter)
        if last and not event.replaced:
            counted = (counted + Decimal(event.reading) - Decimal(last.reading)).quantize(UNIT)
        latest = last.latest if last else ()
        if event.effective_at:
            latest = (*latest, (event.effective_at.date(), counted))[-READINGS_KEPT:]
        read = MeterReading(reading=event.reading, read_at=event.effective_at, counted=counted, latest=latest)
        return self.but(meters=self.meters | {event.meter: read}, used=True)

    def counted(self, meter: Meter | None) -> Decimal:
        """What a meter has counted since it was first read."""
        return self.meters[meter].counted if meter in self.meters else ZERO

    def services_after(self, job_id: str, done_on: date) -> dict[str, Service]:
        """The last services of plans, when an open job is done."""
        job = self.open_jobs.get(job_id)
        if job is None or job.plan_id is None:
            return self.services
        counted = {meter: shown.counted for meter, shown in self.meters.items()}
        return self.services | {job.plan_id: Service(on=done_on, counted=counted)}

    def has_repaired(self, breakdown_id: str) -> bool:
        return _short(breakdown_id) in self.repaired

    def knows_breakdown(self, breakdown_id: str) -> bool:
        """Whether the id stands for a breakdown of this machine, open or repaired."""
        return self.has_repaired(breakdown_id) or (self.breakdown is not None and self.breakdown.id == breakdown_id)

    def with_account(self, book: BookName, account: Account) -> "Equipment":
        """The machine with another account in one book."""
        return self.but(accounts=self.accounts | {book: account})

    def with_posting(self, book: BookName, entry: Entry) -> "Equipment":
        """The machine with one period posted in a book that it has."""
        account = self.accounts.get(book)
        if account is None:
            return self
        return self.with_account(book, account.after(entry, self.counted(account.terms.meter))).but(used=True)

    def with_sales(self, sales: tuple[Pause, ...], books: tuple[TermsOfBook, ...]) -> "Equipment":
        """The machine put up for sale or withdrawn, with the schedules of its books anew."""
        changed = {
            it.book: self.accounts[it.book].rescheduled(it.terms, self.counted(it.terms.meter))
            for it in books
            if it.book in self.accounts
        }
        return self.but(sales=sales, accounts=self.accounts | changed)

    def has_done(self, job_id: str) -> bool:
        return _short(job_id) in self.done_jobs

    def has_cancelled(self, job_id: str) -> bool:
        return _short(job_id) in self.cancelled_jobs

    def knows(self, job_id: str) -> bool:
        """Whether the id stands for a job of this machine: open, done or cancelled."""
        return job_id in self.open_jobs or _short(job_id) in (*self.done_jobs, *self.cancelled_jobs)


def _short(job_id: str) -> str:
    """48 bits of the id's hash: enough to know a job of one machine again, small enough to keep for ever."""
    return b64encode(blake2b(job_id.encode(), digest_size=6).digest()).decode()


def evolve(machine: Equipment, event: EquipmentEvent) -> Equipment:
    match event:
        case EquipmentCreated(name=name, serial_number=serial, category_id=kind, in_service_on=day):
            papers = {"in_service_on": day, "purchase_price": event.purchase_price}
            return machine.but(name=name, serial_number=serial, category_id=kind, **papers, voided=False)
        case EquipmentVoided():
            return Equipment(voided=True)
        case EquipmentRenamed(name=name):
            return machine.but(name=name)
        case EquipmentMoved(place=place):
            return machine.but(place=place)
        case MaintenanceScheduled(job_id=job_id, maintenance_type=work, effective_at=moment, scheduled_date=day):
            job = Job(maintenance_type=work, scheduled_at=moment, scheduled_date=day, plan_id=event.plan_id)
            return machine.but(open_jobs=machine.open_jobs | {job_id: job})
        case MaintenanceRescheduled(job_id=job_id, scheduled_date=day):
            return machine.with_job(job_id, scheduled_date=day)
        case MaintenanceStarted(job_id=job_id):
            return machine.with_job(job_id, started=True)
        case MaintenanceCompleted(job_id=job_id, completed_date=day):
            services = machine.services_after(job_id, day)
            done = (*machine.done_jobs, _short(job_id))
            return machine.without_job(job_id, done_jobs=done, services=services, used=True)
        case MaintenanceCancelled(job_id=job_id):
            return machine.without_job(job_id, cancelled_jobs=(*machine.cancelled_jobs, _short(job_id)))
        case EquipmentBrokeDown(breakdown_id=breakdown_id, effective_at=moment):
            return machine.but(breakdown=Breakdown(id=breakdown_id, since=moment), used=True)
        case EquipmentRepaired(breakdown_id=breakdown_id):
            return machine.but(breakdown=None, repaired=(*machine.repaired, _short(breakdown_id)))
        case BreakdownAbandoned():
            return machine.but(breakdown=None)
        case MeterReadingRecorded():
            return machine.with_reading(event)
        case EquipmentAssigned(assignee=assignee, expected_return=day):
            return machine.but(assignee=assignee, expected_return=day, used=True)
        case EquipmentReturned():
            return machine.but(assignee=None, expected_return=None)
        case DepreciationSet(book=book, terms=terms):
            return machine.with_account(book, Account.of(terms, machine.counted(terms.meter)))
        case DepreciationRevised(book=book, terms=terms, value=value):
            account = machine.accounts.get(book) or Account.of(terms)
            return machine.with_account(book, account.revised(terms, Decimal(value), machine.counted(terms.meter)))
        case DepreciationPosted(book=book):
            return machine.with_posting(book, _entry(event))
        case EquipmentHeldForSale(held_on=day, books=books):
            return machine.with_sales((*machine.sales, Pause(since=day)), books)
        case EquipmentWithdrawnFromSale(withdrawn_on=day, books=books):
            last = tuple(sale.model_copy(update={"until": day}) for sale in machine.sales[-1:])
            return machine.with_sales((*machine.sales[:-1], *last), books)
        case EquipmentRetired(retired_date=day):
            return machine.but(retired_on=day)
        case _:
            assert_never(event)


def _entry(event: DepreciationPosted) -> Entry:
    amounts = map(Decimal, (event.amount, event.value, event.opening, event.units))
    return Entry(number_of(event.period), *amounts)


equipment = Decider(
    "equipment",
    key="equipment_id",
    path="equipment",
    initial=Equipment(),
    evolve=evolve,
    claims=(Claim("serial-number", lambda machine: machine.serial_number, serial_number_taken),),
    state_version=2,
)


class CreateEquipment(Command):
    """Register a machine under its asset tag."""

    equipment_id: Id
    name: Name
    serial_number: SerialNumber
    category_id: Id
    in_service_on: Day
    manufacturer: ShortText | None = None
    model: ShortText | None = None
    manufacturer_serial: ShortText | None = None
    purchased_on: Day | None = None
    purchase_price: Money | None = None


@equipment.creates(MANAGERS)
def create_equipment(
    machine: Equipment, cmd: CreateEquipment, context: Context
) -> Iterator[EquipmentCreated | DepreciationSet]:
    if not context.exists(category, cmd.category_id):
        raise category_unknown(f"There is no category {cmd.category_id!r} in the company.")
    if context.read(category, cmd.category_id).archived:
        raise category_archived("An archived category takes no new machines.")
    firm = context.read(company, context.company_id)
    if not follows(firm.serial_mask, cmd.serial_number):
        raise serial_number_off_mask(
            f"Serial numbers of the company are written {firm.serial_mask}: 9 a digit, A a letter."
        )
    if cmd.purchased_on and cmd.in_service_on < cmd.purchased_on:
        raise service_before_purchase()
    created = EquipmentCreated(**vars(cmd))
    yield created
    if firm.books:
        yield from _terms_by_policy(evolve(machine, created), cmd.equipment_id, context)


def _terms_by_policy(machine: Equipment, equipment_id: str, context: Context) -> Iterator[DepreciationSet]:
    """How the company's policy depreciates a new machine; nothing where it has no price or the policy cannot."""
    for policy in context.read(company, context.company_id).books:
        wish = SetDepreciation(equipment_id=equipment_id, book=policy.book)
        with suppress(Rejected):
            yield DepreciationSet(equipment_id=equipment_id, book=policy.book, terms=_terms(machine, wish, context))


class VoidEquipment(Command):
    """Take back a machine that was registered by mistake, as long as it has not been used; its id is free again."""

    equipment_id: Id
    reason: Reason


@equipment.decides(MANAGERS)
def void_equipment(
    machine: Equipment, cmd: VoidEquipment, context: Context
) -> Iterator[EquipmentVoided | MaintenanceCancelled]:
    if machine.used or machine.being_worked_on:
        raise equipment_used()
    yield from _cancel_all(machine, cmd.equipment_id, cmd.reason)
    yield EquipmentVoided(**vars(cmd))


def _cancel_all(machine: Equipment, equipment_id: str, reason: str) -> Iterator[MaintenanceCancelled]:
    for job_id in machine.open_jobs:
        yield MaintenanceCancelled(equipment_id=equipment_id, job_id=job_id, reason=reason)


class RenameEquipment(Command):
    """Give a machine another name; with `instead_of` only if it still has that one."""

    equipment_id: Id
    name: Name
    instead_of: Name | None = None


@equipment.decides(MANAGERS)
def rename_equipment(machine: Equipment, cmd: RenameEquipment, context: Context) -> Iterator[EquipmentRenamed]:
    if machine.retired:
        raise equipment_retired()
    if cmd.name == machine.name:
        return  # asked twice, renamed once
    if cmd.instead_of not in (None, machine.name):
        raise changed_since(f"The machine is called {machine.name!r} now.")
    yield EquipmentRenamed(equipment_id=cmd.equipment_id, name=cmd.name, previous=machine.name)


class MoveEquipment(Command):
    """Say at which place a machine stands now; with `instead_of` only if it still stands there."""

    equipment_id: Id
    place: Id
    instead_of: Id | None = None


@equipment.decides(EVERYBODY)
def move_equipment(machine: Equipment, cmd: MoveEquipment, context: Context) -> Iterator[EquipmentMoved]:
    if machine.retired:
        raise equipment_retired()
    if cmd.place == machine.place:
        return  # asked twice, moved once
    if cmd.instead_of not in (None, machine.place):
        raise changed_since(f"The machine stands at {machine.place!r} now.")
    yield EquipmentMoved(equipment_id=cmd.equipment_id, place=cmd.place, previous=machine.place)


class ScheduleMaintenance(Command):
    """Book a machine for maintenance on a day, today at the earliest."""

    equipment_id: Id
    job_id: Id
    maintenance_type: MaintenanceType
    scheduled_date: Day
    technician_id: Id | None = None
    notes: Text | None = None
    expected_minutes: Minutes | None = None


@equipment.decides(EVERYBODY)
def schedule_maintenance(
    machine: Equipment, cmd: ScheduleMaintenance, context: Context
) -> Iterator[MaintenanceScheduled]:
    if machine.knows(cmd.job_id):
        return  # asked twice, booked once
    if machine.retired:
        raise equipment_retired()
    policy = context.read(company, context.company_id).policy
    _check_planner(cmd.maintenance_type, context)
    _check_day(cmd.scheduled_date, context)
    if len(machine.open_jobs) >= policy.maximum_open_jobs:
        raise too_many_open_jobs(f"The company allows {policy.maximum_open_jobs} open jobs per machine.")
    if cmd.technician_id and not context.read(user, cmd.technician_id).active:
        raise technician_unknown()
    yield MaintenanceScheduled(**vars(cmd))


def _check_planner(work: MaintenanceType, context: Context) -> None:
    """Raises where the company's policy leaves the planning of such work to managers."""
    policy = context.read(company, context.company_id).policy
    if work in policy.types_for_managers and not context.roles & MANAGERS:
        raise type_needs_manager()


def _check_day(day: date, context: Context) -> None:
    """Raises where work cannot be planned for the day: it has passed, or comes sooner than the policy allows."""
    if day < context.today:
        raise date_in_past(f"{day} has passed; today is {context.today} in the company's zone.")
    notice = context.read(company, context.company_id).policy.minimum_notice_days
    if day < context.today + timedelta(days=notice):
        raise notice_too_short(f"The company asks for {notice} days of notice.")


class RescheduleMaintenance(Command):
    """Move an open job to another day, today at the earliest."""

    equipment_id: Id
    job_id: Id
    scheduled_date: Day


@equipment.decides(EVERYBODY)
def reschedule_maintenance(
    machine: Equipment, cmd: RescheduleMaintenance, context: Context
) -> Iterator[MaintenanceRescheduled]:
    job = _open_job(machine, cmd.job_id)
    if job.started:
        raise job_started()
    if job.scheduled_date == cmd.scheduled_date:
        return  # asked twice, moved once
    _check_planner(job.maintenance_type, context)
    _check_day(cmd.scheduled_date, context)
    yield MaintenanceRescheduled(**vars(cmd))


def _open_job(machine: Equipment, job_id: str) -> Job:
    """The open job of that id; raises where the machine is retired or has none."""
    if machine.retired:
        raise equipment_retired()
    if job_id not in machine.open_jobs:
        raise job_unknown()
    return machine.open_jobs[job_id]


class CancelMaintenance(Command):
    """Give up an open job, whether its work has begun or not."""

    equipment_id: Id
    job_id: Id
    reason: Reason


@equipment.decides(EVERYBODY)
def cancel_maintenance(machine: Equipment, cmd: CancelMaintenance, context: Context) -> Iterator[MaintenanceCancelled]:
    if machine.has_cancelled(cmd.job_id):
        return  # asked twice, cancelled once
    _check_planner(_open_job(machine, cmd.job_id).maintenance_type, context)
    yield MaintenanceCancelled(**vars(cmd))


class StartMaintenance(Command):
    """Begin the work of an open job."""

    equipment_id: Id
    job_id: Id


@equipment.decides(EVERYBODY)
def start_maintenance(machine: Equipment, cmd: StartMaintenance, context: Context) -> Iterator[MaintenanceStarted]:
    if not _open_job(machine, cmd.job_id).started:
        yield MaintenanceStarted(**vars(cmd))


class CompleteMaintenance(Command):
    """Report the work of an open job as done; a late entry names when it was performed."""

    equipment_id: Id
    job_id: Id
    completed_by: Id
    performed_at: Instant | None = None
    labour_minutes: Minutes = 0
    cost: Money | None = None
    notes: Text | None = None


@equipment.decides(EVERYBODY)
def complete_maintenance(
    machine: Equipment, cmd: CompleteMaintenance, context: Context
) -> Iterator[MaintenanceCompleted | MaintenanceScheduled]:
    if machine.has_done(cmd.job_id):
        return  # reported twice, done once
    job = _open_job(machine, cmd.job_id)
    performed_at = cmd.performed_at or context.now
    done_on = _day_of_work(context, cmd.completed_by, performed_at)
    if job.scheduled_at and performed_at < job.scheduled_at:
        raise performed_before_scheduled()
    yield MaintenanceCompleted(
        **vars(cmd) | {"performed_at": performed_at},
        maintenance_type=job.maintenance_type,
        completed_date=done_on,
        effective_at=performed_at,
    )
    if job.maintenance_type is MaintenanceType.PREVENTIVE and job.plan_id is None:
        yield from _next_service(machine, cmd, done_on, context)


def _day_of_work(context: Context, performed_by: str, performed_at: datetime) -> date:
    """The company's day on which work was done; raises if it cannot have been, or not by that person."""
    if not context.read(user, performed_by).active:
        raise technician_unknown()
    if performed_at > context.now:
        raise performed_in_future()
    return day_in(context.read(company, context.company_id).time_zone, performed_at)


def _next_service(
    machine: Equipment, cmd: CompleteMaintenance, done_on: date, context: Context
) -> Iterator[MaintenanceScheduled]:
    """The job that follows a finished one where policy or category give an interval, today at the earliest."""
    policy = context.read(company, context.company_id).policy
    own = context.read(category, machine.category_id).maintenance_interval_days
    interval = policy.interval_days(machine.category_id) or own
    if interval is None:
        return
    job_id = following_job(context.company_id, cmd.equipment_id, cmd.job_id)
    if not machine.knows(job_id):
        yield MaintenanceScheduled(
            equipment_id=cmd.equipment_id,
            job_id=job_id,
            maintenance_type=MaintenanceType.PREVENTIVE,
            scheduled_date=max(done_on + timedelta(days=interval), context.today),
            interval_days=interval,
        )


def following_job(company_id: str, equipment_id: str, job_id: str) -> str:
    """The id of the job that follows a finished one: derived from it, so that a replay makes no second."""
    return str(uuid5(NAMESPACE_URL, f"bitcorp:following-job:{company_id}/{equipment_id}/{job_id}"))


class RecordMaintenance(Command):
    """Record work that was done without being scheduled, or before this system was used."""

    equipment_id: Id
    job_id: Id
    maintenance_type: MaintenanceType
    completed_by: Id
    performed_at: Instant
    labour_minutes: Minutes = 0
    cost: Money | None = None
    notes: Text | None = None


@equipment.decides(EVERYBODY)
def record_maintenance(machine: Equipment, cmd: RecordMaintenance, context: Context) -> Iterator[MaintenanceCompleted]:
    if machine.has_done(cmd.job_id):
        return  # recorded twice, done once
    if machine.knows(cmd.job_id):
        raise job_exists()
    done_on = _day_of_work(context, cmd.completed_by, cmd.performed_at)
    if done_on < machine.in_service_on:
        raise performed_before_service(f"The machine has been in service since {machine.in_service_on}.")
    if machine.retired_on and done_on > machine.retired_on:
        raise equipment_retired(f"The machine was retired on {machine.retired_on}.")
    yield MaintenanceCompleted(**vars(cmd), completed_date=done_on, effective_at=cmd.performed_at)


class ReportBreakdown(Command):
    """Report that a machine has lost its function, now or at the time named; its unplanned downtime begins."""

    equipment_id: Id
    breakdown_id: Id
    happened_at: Instant | None = None
    description: Text | None = None


@equipment.decides(EVERYBODY)
def report_breakdown(machine: Equipment, cmd: ReportBreakdown, context: Context) -> Iterator[EquipmentBrokeDown]:
    if machine.knows_breakdown(cmd.breakdown_id):
        return  # reported twice, broken once
    if machine.retired:
        raise equipment_retired()
    if machine.breakdown:
        raise equipment_broken_down()
    moment = _moment_told(cmd.happened_at, context)
    if day_in(context.read(company, context.company_id).time_zone, moment) < machine.in_service_on:
        raise happened_before_service(f"The machine has been in service since {machine.in_service_on}.")
    yield EquipmentBrokeDown(
        equipment_id=cmd.equipment_id,
        breakdown_id=cmd.breakdown_id,
        description=cmd.description,
        effective_at=moment,
    )


def _moment_told(moment: datetime | None, context: Context) -> datetime:
    """When something happened, now unless told; raises for a time that has not come."""
    if moment and moment > context.now:
        raise happened_in_future()
    return moment or context.now


class ReportRepaired(Command):
    """Report that a broken machine works again, since now or the time named; its unplanned downtime ends."""

    equipment_id: Id
    breakdown_id: Id
    repaired_by: Id
    repaired_at: Instant | None = None
    labour_minutes: Minutes = 0
    cost: Money | None = None
    cause: Reason | None = None
    notes: Text | None = None


@equipment.decides(EVERYBODY)
def report_repaired(machine: Equipment, cmd: ReportRepaired, context: Context) -> Iterator[EquipmentRepaired]:
    if machine.has_repaired(cmd.breakdown_id):
        return  # reported twice, repaired once
    if machine.retired:
        raise equipment_retired()
    if machine.breakdown is None or machine.breakdown.id != cmd.breakdown_id:
        raise breakdown_unknown()
    if not context.read(user, cmd.repaired_by).active:
        raise technician_unknown()
    moment = _moment_told(cmd.repaired_at, context)
    if machine.breakdown.since and moment < machine.breakdown.since:
        raise repaired_before_breakdown()
    told = {name: value for name, value in vars(cmd).items() if name != "repaired_at"}
    yield EquipmentRepaired(**told, effective_at=moment)


class RecordMeterReading(Command):
    """Record what a meter of a machine shows, now or at the time named; it runs forward unless it was replaced."""

    equipment_id: Id
    meter: Meter
    reading: Digits
    read_at: Instant | None = None
    replaced: bool = False


@equipment.decides(EVERYBODY)
def record_meter_reading(
    machine: Equipment, cmd: RecordMeterReading, context: Context
) -> Iterator[MeterReadingRecorded]:
    if machine.retired:
        raise equipment_retired()
    moment = _moment_told(cmd.read_at, context)
    last = machine.meters.get(cmd.meter)
    if last and (Decimal(cmd.reading), moment) == (Decimal(last.reading), last.read_at):
        return  # told twice, read once
    if last and last.read_at and moment <= last.read_at:
        raise reading_too_old(f"The meter was read at {last.read_at.isoformat()}.")
    if last and not cmd.replaced and Decimal(cmd.reading) < Decimal(last.reading):
        raise meter_ran_backwards(f"The last reading was {last.reading}.")
    told = {name: value for name, value in vars(cmd).items() if name != "read_at"}
    yield MeterReadingRecorded(**told, effective_at=moment)


class AssignEquipment(Command):
    """Hand an active machine to a user or a place."""

    equipment_id: Id
    assignee: Assignee
    expected_return: Day | None = None


@equipment.decides(MANAGERS)
def assign_equipment(machine: Equipment, cmd: AssignEquipment, context: Context) -> Iterator[EquipmentAssigned]:
    if (machine.assignee, machine.expected_return) == (cmd.assignee, cmd.expected_return):
        return  # asked twice, assigned once
    if machine.assignee:
        raise equipment_assigned()
    if machine.status is not Status.ACTIVE:
        raise equipment_not_active(f"The machine is {machine.status}.")
    if cmd.assignee.kind == "user" and not context.read(user, cmd.assignee.id).active:
        raise assignee_unknown()
    if cmd.expected_return and cmd.expected_return < context.today:
        raise expected_return_in_past()
    yield EquipmentAssigned(**vars(cmd))


class ReturnEquipment(Command):
    """End the assignment of a machine; with `assignee` only if it is still that one's."""

    equipment_id: Id
    notes: Text | None = None
    assignee: Assignee | None = None


@equipment.decides(MANAGERS)
def return_equipment(machine: Equipment, cmd: ReturnEquipment, context: Context) -> Iterator[EquipmentReturned]:
    if machine.assignee is None:
        raise equipment_not_assigned()
    if cmd.assignee not in (None, machine.assignee):
        raise changed_since("The machine has been handed to somebody else.")
    yield EquipmentReturned(equipment_id=cmd.equipment_id, notes=cmd.notes)


class SetDepreciation(Command):
    """Say how a machine is depreciated in a book; what is left out follows from its papers, category and policy."""

    equipment_id: Id
    book: BookName
    plan: Plan | None = None
    cost: Money | None = None
    salvage: Money | None = None
    available_on: Day | None = None


@equipment.decides(MANAGERS)
def set_depreciation(machine: Equipment, cmd: SetDepreciation, context: Context) -> Iterator[DepreciationSet]:
    if machine.retired:
        raise equipment_retired()
    terms = _terms(machine, cmd, context)
    account = machine.accounts.get(cmd.book)
    if account and account.terms == terms:
        return  # asked twice, set once
    if account and account.posted:
        raise depreciation_begun()
    yield DepreciationSet(equipment_id=cmd.equipment_id, book=cmd.book, terms=terms)


def _terms(machine: Equipment, cmd: SetDepreciation, context: Context) -> Terms:
    """The command's terms, completed from the machine's papers, its category and the company's policy."""
    kind = context.read(category, machine.category_id)
    policy = context.read(company, context.company_id).policy_for(cmd.book)
    cost = cmd.cost or machine.purchase_price
    if cost is None:
        raise cost_missing()
    if cmd.plan:
        plan = cmd.plan
    elif policy:
        plan = policy.plan.lasting(kind.life_months)
    else:
        raise plan_missing()
    percent = kind.salvage_percent or (policy.salvage_percent if policy else "0")
    salvage = cmd.salvage or share_of(cost, percent)
    known = machine.accounts.get(cmd.book)
    pauses = known.terms.pauses if known else machine.sales
    available_on = cmd.available_on or machine.in_service_on
    return _possible(vars(plan), cost=cost, salvage=salvage, available_on=available_on, pauses=pauses)


def _possible(plan: dict[str, Any], **more: Any) -> Terms:
    try:
        return Terms(**plan | more)
    except ValidationError as fault:
        raise terms_impossible(fault.errors()[0]["msg"].removeprefix("Value error, ").capitalize() + ".") from fault


class ReviseDepreciation(Command):
    """Change plan, salvage value or book value of a machine from its next period on; what is posted stays."""

    equipment_id: Id
    book: BookName
    period: Month
    reason: Reason
    plan: Plan | None = None
    salvage: Money | None = None
    value: Money | None = None


@equipment.decides(MANAGERS)
def revise_depreciation(machine: Equipment, cmd: ReviseDepreciation, context: Context) -> Iterator[DepreciationRevised]:
    account = _account(machine, cmd.book)
    if account.posted is None:
        raise depreciation_not_begun()
    _check_next(account, cmd.period)
    plan = vars(account.terms) | (vars(cmd.plan) if cmd.plan else {})
    terms = _possible(plan | {"salvage": cmd.salvage or account.terms.salvage})
    if terms.calendar != account.terms.calendar:
        raise calendar_fixed()
    value = _value(cmd.value, account, terms)
    if following(account.revised(terms.going_on(), value)) is None:
        raise life_over()
    if (terms, value) != (account.terms, account.value):
        yield DepreciationRevised(
            equipment_id=cmd.equipment_id,
            book=cmd.book,
            period=cmd.period,
            terms=terms,
            value=digits(value, terms.cost.currency),
            reason=cmd.reason,
        )


def _value(wanted: Money | None, account: Account, terms: Terms) -> Decimal:
    """The value that new terms count from: as it is, or another that they allow."""
    if wanted and wanted.currency != terms.cost.currency:
        raise terms_impossible("Cost and value must be in one currency.")
    value = wanted.decimal if wanted else account.value
    if value < terms.salvage.decimal:
        raise terms_impossible("The value must not be below the salvage value.")
    return value


def _account(machine: Equipment, book: BookName) -> Account:
    """The machine's account in a book; raises where it has none or is retired."""
    if machine.retired:
        raise equipment_retired()
    account = machine.accounts.get(book)
    if account is None:
        raise depreciation_not_set()
    return account


def _check_next(account: Account, period: str) -> None:
    expected = label(next_month(account))
    if period != expected:
        raise period_out_of_order(f"The next period of the book is {expected}.")


class PostDepreciation(Command):
    """Charge one period of one book, named by the month that it ends with.

    A book that depreciates by units takes those named, or those that its meter has counted since the last posting.
    """

    equipment_id: Id
    book: BookName
    period: Month
    units: Digits | None = None


@equipment.decides(MANAGERS, systems=("depreciation",))
def post_depreciation(machine: Equipment, cmd: PostDepreciation, context: Context) -> Iterator[DepreciationPosted]:
    known = machine.accounts.get(cmd.book)
    if known and known.posted and cmd.period <= known.posted:
        return  # asked twice, posted once
    account = _account(machine, cmd.book)
    units = _units(machine, account, cmd.units)
    entry = following(account, units)
    if entry is None:
        raise depreciation_paused() if account.terms.paused else depreciation_complete()
    _check_next(account, cmd.period)
    if context.today < last_day(entry.month):
        raise period_not_over()
    currency = account.terms.cost.currency
    yield DepreciationPosted(
        equipment_id=cmd.equipment_id,
        book=cmd.book,
        period=cmd.period,
        currency=currency,
        amount=digits(entry.amount, currency),
        accumulated=digits(account.accumulated + entry.amount, currency),
        value=digits(entry.value, currency),
        opening=digits(entry.opening, currency),
        units=f"{units.normalize():f}",
    )


def _units(machine: Equipment, account: Account, units: str | None) -> Decimal:
    """Units of the period, named or metered; raises where the book counts some and none are known, or the other way."""
    if not account.terms.counts_units:
        if units is not None:
            raise units_not_counted()
        return ZERO
    if units is not None:
        return Decimal(units)
    if account.terms.meter is None:
        raise units_missing()
    return units_left(account, machine.counted(account.terms.meter))


class HoldForSale(Command):
    """Put a machine up for sale, since today or the day named: from then on it is not depreciated (IFRS 5.25)."""

    equipment_id: Id
    held_on: Day | None = None


@equipment.decides(MANAGERS)
def hold_for_sale(machine: Equipment, cmd: HoldForSale, context: Context) -> Iterator[EquipmentHeldForSale]:
    if machine.retired:
        raise equipment_retired()
    if machine.for_sale_since and cmd.held_on in (None, machine.for_sale_since):
        return  # asked twice, held once
    if machine.for_sale_since:
        raise equipment_for_sale(f"It has been for sale since {machine.for_sale_since}.")
    day = _day_told(machine, cmd.held_on, context)
    ended = machine.sales[-1].until if machine.sales else None
    if ended and day < ended:
        raise equipment_for_sale(f"It was for sale until {ended}.")
    yield EquipmentHeldForSale(
        equipment_id=cmd.equipment_id,
        held_on=day,
        books=tuple(TermsOfBook(book=book, terms=it.held_from(day)) for book, it in machine.accounts.items()),
    )


def _day_told(machine: Equipment, day: date | None, context: Context) -> date:
    """The day of something, today unless told; raises for one that has not come, or before the machine's service."""
    if day and day > context.today:
        raise happened_in_future()
    if day and day < machine.in_service_on:
        raise happened_before_service(f"The machine has been in service since {machine.in_service_on}.")
    return day or context.today


class WithdrawFromSale(Command):
    """Keep a machine that was for sale, since today or the day named: from then on it is depreciated again.

    What was not charged meanwhile is charged over the life that is left.
    """

    equipment_id: Id
    withdrawn_on: Day | None = None


@equipment.decides(MANAGERS)
def withdraw_from_sale(
    machine: Equipment, cmd: WithdrawFromSale, context: Context
) -> Iterator[EquipmentWithdrawnFromSale]:
    if machine.retired:
        raise equipment_retired()
    if machine.for_sale_since is None:
        if machine.sales and cmd.withdrawn_on in (None, machine.sales[-1].until):
            return  # asked twice, withdrawn once
        raise equipment_not_for_sale()
    day = _day_told(machine, cmd.withdrawn_on, context)
    if day < machine.for_sale_since:
        raise withdrawn_before_held(f"It has been for sale since {machine.for_sale_since}.")
    yield EquipmentWithdrawnFromSale(
        equipment_id=cmd.equipment_id,
        withdrawn_on=day,
        books=tuple(TermsOfBook(book=book, terms=it.going_on_from(day)) for book, it in machine.accounts.items()),
    )


class RetireEquipment(Command):
    """Take a machine out of service for good, broken down or not; open jobs are cancelled, and its books closed.

    The proceeds of a sale are compared with its value in each book.
    """

    equipment_id: Id
    reason: Reason
    proceeds: Money | None = None


@equipment.decides(MANAGERS)
def retire_equipment(
    machine: Equipment, cmd: RetireEquipment, context: Context
) -> Iterator[EquipmentRetired | MaintenanceCancelled | BreakdownAbandoned]:
    if machine.retired:
        raise equipment_retired()
    if machine.assignee:
        raise equipment_assigned()
    if machine.being_worked_on:
        raise job_started()
    yield from _cancel_all(machine, cmd.equipment_id, cmd.reason)
    if machine.breakdown:
        yield BreakdownAbandoned(equipment_id=cmd.equipment_id, breakdown_id=machine.breakdown.id)
    yield EquipmentRetired(
        **vars(cmd),
        retired_by=str(context.actor),
        retired_date=context.today,
        disposals=tuple(_disposals(machine, cmd.proceeds, context.today)),
    )


def _disposals(machine: Equipment, proceeds: Money | None, day: date) -> Iterator[Disposal]:
    for book, account in machine.accounts.items():
        if proceeds and proceeds.currency != account.terms.cost.currency:
            raise proceeds_in_other_currency()
        counted = machine.counted(account.terms.meter)
        yield disposal(book, account, day, proceeds.decimal if proceeds else ZERO, counted)
