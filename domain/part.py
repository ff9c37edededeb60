"""A spare part on stock: its ledger of movements, what is reserved for jobs, and its moving average cost.

Average: a receipt or a return weighs in with its own cost, rounded half up to six places; an issue, a count and an
adjustment leave it as it is. So it lies between the lowest and the highest cost that ever came in. The balance falls
below zero only where the company's settings allow it.
"""

from base64 import b64encode
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal, localcontext
from decimal import Context as Arithmetic
from hashlib import blake2b
from typing import Annotated, assert_never
from uuid import NAMESPACE_URL, uuid5

from pydantic import AfterValidator, Field, StringConstraints

from domain.company import company
from domain.decider import Context, Decider, Kind, Refusal
from domain.equipment import changed_since, equipment, job_unknown
from domain.model import EVERYBODY, MANAGERS, Command, Currency, Event, Id, Name, Reason, State, Value

stock_too_low = Refusal("stock-too-low", Kind.CONFLICT, "There is less on stock than is to be taken.")
stock_reserved = Refusal("stock-reserved", Kind.CONFLICT, "What is left on stock is reserved for other jobs.")
stock_beyond_bounds = Refusal("stock-beyond-bounds", Kind.CONFLICT, "The balance would exceed nine digits.")
stock_currency_differs = Refusal(
    "stock-currency-differs", Kind.CONFLICT, "A part is valued in the currency in which it was defined."
)
issue_unknown = Refusal("issue-unknown", Kind.MISSING, "No recent issue of the part has this movement id.")
more_than_issued = Refusal("more-than-issued", Kind.CONFLICT, "No more can come back than is still out.")
too_many_reservations = Refusal(
    "too-many-reservations", Kind.CONFLICT, "The part is reserved for as many jobs as can be kept."
)

#: Movements of a part whose ids are known again, and whose issues can be returned.
REMEMBERED = 500
#: Jobs for which one part can be reserved at a time.
MOST_RESERVATIONS = 1_000
MOST = Decimal("999999999.9999")
COST_PLACES = Decimal("0.000001")
EXACT = Arithmetic(prec=60, rounding=ROUND_HALF_UP)


def _not_zero(digits: str) -> str:
    if not Decimal(digits):
        raise ValueError("must not be zero")
    return digits


_QUANTITY = r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,4})?"
Quantity = Annotated[str, StringConstraints(pattern=rf"^{_QUANTITY}$"), Field(examples=["12.5"])]
PositiveQuantity = Annotated[Quantity, AfterValidator(_not_zero)]
Balance = Annotated[str, StringConstraints(pattern=rf"^-?{_QUANTITY}$"), Field(examples=["12.5"])]
Difference = Annotated[Balance, AfterValidator(_not_zero)]
CostDigits = Annotated[
    str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?$"), Field(examples=["0.0125"])
]
Unit = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9/-]{0,15}$"), Field(examples=["l"])]


class UnitCost(Value):
    """What one unit costs: decimal digits in a string, finer than its currency's coins, with the ISO 4217 code."""

    amount: CostDigits
    currency: Currency


class StockLevel(Value):
    """How a part stands: balance, how much of it is reserved, and the moving average cost in the part's currency."""

    balance: Balance = "0"
    reserved: Quantity = "0"
    average_cost: CostDigits = "0"


class PartDefined(Event):
    part_id: Id
    name: Name
    unit: Unit
    minimum: Quantity
    reorder_quantity: PositiveQuantity
    currency: Currency


class StockReceived(Event):
    part_id: Id
    movement_id: Id
    quantity: PositiveQuantity
    unit_cost: UnitCost
    after: StockLevel


class StockIssued(Event):
    """Parts went to a job, at the average cost of that moment."""

    part_id: Id
    movement_id: Id
    equipment_id: Id
    job_id: Id
    quantity: PositiveQuantity
    unit_cost: UnitCost
    after: StockLevel


class StockReturned(Event):
    """Parts came back from a job, at the cost at which they were issued."""

    part_id: Id
    movement_id: Id
    issue_id: Id
    equipment_id: Id
    job_id: Id
    quantity: PositiveQuantity
    unit_cost: UnitCost
    after: StockLevel


class StockCounted(Event):
    part_id: Id
    movement_id: Id
    counted: Quantity
    difference: Balance
    unit_cost: UnitCost
    after: StockLevel


class StockAdjusted(Event):
    part_id: Id
    movement_id: Id
    difference: Difference
    reason: Reason
    unit_cost: UnitCost
    after: StockLevel


class StockReserved(Event):
    """From now on this quantity is kept for the job, instead of what was kept for it before."""

    part_id: Id
    movement_id: Id
    equipment_id: Id
    job_id: Id
    quantity: PositiveQuantity
    after: StockLevel
    previous: Quantity | None = None

    def inverse(self) -> Command | None:
        if self.previous is None:
            return None
        place = {"part_id": self.part_id, "equipment_id": self.equipment_id, "job_id": self.job_id}
        back = place | {"movement_id": _back(self.movement_id), "instead_of": self.quantity}
        if Decimal(self.previous):
            return ReserveStock(**back, quantity=self.previous)
        return ReleaseStock(**back)


class StockReleased(Event):
    part_id: Id
    movement_id: Id
    equipment_id: Id
    job_id: Id
    quantity: PositiveQuantity
    after: StockLevel

    def inverse(self) -> Command:
        return ReserveStock(
            part_id=self.part_id,
            movement_id=_back(self.movement_id),
            equipment_id=self.equipment_id,
            job_id=self.job_id,
            quantity=self.quantity,
            instead_of="0",
        )


class StockFellBelowMinimum(Event):
    part_id: Id
    balance: Balance
    minimum: Quantity
    reorder_quantity: PositiveQuantity


PartEvent = (
    PartDefined
    | StockReceived
    | StockIssued
    | StockReturned
    | StockCounted
    | StockAdjusted
    | StockReserved
    | StockReleased
    | StockFellBelowMinimum
)


class Issue(Value):
    """An issue as far as returns ask: how much is still out, at which cost, and for which job."""

    out: Quantity
    unit_cost: CostDigits
    equipment_id: Id
    job_id: Id


class Part(State):
    minimum: str = "0"
    reorder_quantity: str = "0"
    currency: str = ""
    level: StockLevel = StockLevel()
    reservations: dict[str, str] = Field(default_factory=dict)
    movements: dict[str, Issue | None] = Field(default_factory=dict)

    @property
    def balance(self) -> Decimal:
        return Decimal(self.level.balance)

    @property
    def available(self) -> Decimal:
        """What is not reserved; below zero where a count found less than is reserved."""
        return self.balance - Decimal(self.level.reserved)

    def knows(self, movement_id: str) -> bool:
        return _short(movement_id) in self.movements

    def issue(self, movement_id: str) -> Issue | None:
        return self.movements.get(_short(movement_id))

    def reserved_for(self, equipment_id: str, job_id: str) -> Decimal:
        return Decimal(self.reservations.get(_job(equipment_id, job_id), "0"))

    def average(self) -> UnitCost:
        return UnitCost(amount=self.level.average_cost, currency=self.currency)

    def moved(self, movement_id: str, level: StockLevel, issue: Issue | None = None) -> "Part":
        """The part after a movement, which it remembers instead of its oldest one."""
        kept = [*self.movements.items(), (_short(movement_id), issue)][-REMEMBERED:]
        return self.but(level=level, movements=dict(kept))

    def returned(self, issue_id: str, quantity: str) -> "Part":
        """The part with less of an issue out; an issue that is forgotten stays so."""
        issue = self.issue(issue_id)
        if issue is None:
            return self
        left = issue.model_copy(update={"out": digits(Decimal(issue.out) - Decimal(quantity))})
        return self.but(movements=self.movements | {_short(issue_id): left})

    def reserving(self, equipment_id: str, job_id: str, quantity: Decimal) -> "Part":
        """The part with this quantity kept for a job."""
        others = {job: kept for job, kept in self.reservations.items() if job != _job(equipment_id, job_id)}
        return self.but(reservations=others | ({_job(equipment_id, job_id): digits(quantity)} if quantity else {}))


def _short(movement_id: str) -> str:
    """48 bits of the id's hash: enough to know one of a part's recent movements again."""
    return b64encode(blake2b(movement_id.encode(), digest_size=6).digest()).decode()


def _back(movement_id: str) -> str:
    """The id of the movement that takes another back: derived from it, so that none is taken back twice."""
    return str(uuid5(NAMESPACE_URL, f"bitcorp:movement-back:{movement_id}"))


def _job(equipment_id: str, job_id: str) -> str:
    return f"{equipment_id}/{job_id}"


def digits(number: Decimal) -> str:
    """Plain decimal digits without needless zeros: `12.50` -> `12.5`."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def evolve(item: Part, event: PartEvent) -> Part:
    match event:
        case PartDefined(minimum=minimum, reorder_quantity=quantity, currency=currency):
            return item.but(minimum=minimum, reorder_quantity=quantity, currency=currency)
        case StockReceived() | StockCounted() | StockAdjusted():
            return item.moved(event.movement_id, event.after)
        case StockIssued(equipment_id=machine, job_id=job, quantity=quantity):
            issue = Issue(out=quantity, unit_cost=event.unit_cost.amount, equipment_id=machine, job_id=job)
            left = max(item.reserved_for(machine, job) - Decimal(quantity), Decimal(0))
            return item.reserving(machine, job, left).moved(event.movement_id, event.after, issue)
        case StockReturned(issue_id=issue_id, quantity=quantity):
            return item.returned(issue_id, quantity).moved(event.movement_id, event.after)
        case StockReserved(equipment_id=machine, job_id=job, quantity=quantity):
            return item.reserving(machine, job, Decimal(quantity)).moved(event.movement_id, event.after)
        case StockReleased(equipment_id=machine, job_id=job):
            return item.reserving(machine, job, Decimal(0)).moved(event.movement_id, event.after)
        case StockFellBelowMinimum():
            return item
        case _:
            assert_never(event)


part = Decider("part", key="part_id", path="parts", initial=Part(), evolve=evolve)


def _level(
    item: Part, *, change: Decimal = Decimal(0), cost: str | None = None, reserved: Decimal | None = None
) -> StockLevel:
    """How the part stands after a change of its balance, at a cost that weighs in, with so much reserved.

    Raises where the balance would exceed its bounds."""
    balance = item.balance + change
    if abs(balance) > MOST:
        raise stock_beyond_bounds()
    average = item.level.average_cost
    if cost is not None:
        average = digits(average_cost(item.balance, Decimal(average), change, Decimal(cost)))
    held = item.level.reserved if reserved is None else digits(reserved)
    return StockLevel(balance=digits(balance), reserved=held, average_cost=average)


def average_cost(balance: Decimal, average: Decimal, quantity: Decimal, cost: Decimal) -> Decimal:
    """The moving average after `quantity` came in at `cost`, half up to six places; the new cost alone where nothing
    was left."""
    if balance <= 0:
        return cost
    with localcontext(EXACT):
        return ((balance * average + quantity * cost) / (balance + quantity)).quantize(COST_PLACES)


def _fallen(item: Part, part_id: str, level: StockLevel) -> Iterator[StockFellBelowMinimum]:
    """The alarm, where the balance was at its minimum or above and is not any more."""
    if item.balance >= Decimal(item.minimum) > Decimal(level.balance):
        yield StockFellBelowMinimum(
            part_id=part_id, balance=level.balance, minimum=item.minimum, reorder_quantity=item.reorder_quantity
        )


class DefinePart(Command):
    """Add a part to keep on stock, valued in the company's currency."""

    part_id: Id
    name: Name
    unit: Unit
    minimum: Quantity
    reorder_quantity: PositiveQuantity


@part.creates(MANAGERS)
def define_part(item: Part, cmd: DefinePart, context: Context) -> Iterator[PartDefined]:
    yield PartDefined(**vars(cmd), currency=context.read(company, context.company_id).currency)


class ReceiveStock(Command):
    """Put delivered parts on stock at what they cost."""

    part_id: Id
    movement_id: Id
    quantity: PositiveQuantity
    unit_cost: UnitCost


@part.decides(MANAGERS)
def receive_stock(item: Part, cmd: ReceiveStock, context: Context) -> Iterator[StockReceived]:
    if item.knows(cmd.movement_id):
        return  # asked twice, received once
    if cmd.unit_cost.currency != item.currency:
        raise stock_currency_differs(f"The part is valued in {item.currency}.")
    yield StockReceived(**vars(cmd), after=_level(item, change=Decimal(cmd.quantity), cost=cmd.unit_cost.amount))


class IssueStock(Command):
    """Take parts for an open maintenance job; what is reserved for the job is used first."""

    part_id: Id
    movement_id: Id
    equipment_id: Id
    job_id: Id
    quantity: PositiveQuantity


@part.decides(EVERYBODY)
def issue_stock(item: Part, cmd: IssueStock, context: Context) -> Iterator[StockIssued | StockFellBelowMinimum]:
    if item.knows(cmd.movement_id):
        return  # asked twice, issued once
    _check_job(cmd.equipment_id, cmd.job_id, context)
    quantity, own = Decimal(cmd.quantity), item.reserved_for(cmd.equipment_id, cmd.job_id)
    _check_enough(item, quantity, context)
    for_others = Decimal(item.level.reserved) - own
    if for_others and quantity > own + max(item.available, Decimal(0)):
        raise stock_reserved()
    level = _level(item, change=-quantity, reserved=Decimal(item.level.reserved) - min(own, quantity))
    yield StockIssued(**vars(cmd), unit_cost=item.average(), after=level)
    yield from _fallen(item, cmd.part_id, level)


def _check_enough(item: Part, quantity: Decimal, context: Context) -> None:
    """Raises where less is there than is to be taken, unless the company lets balances fall below zero."""
    if quantity > item.balance and not context.read(company, context.company_id).allow_negative_stock:
        raise stock_too_low(f"The balance is {item.level.balance}.")


def _check_job(equipment_id: str, job_id: str, context: Context) -> None:
    """Raises unless the machine has the job open."""
    if not context.exists(equipment, equipment_id):
        raise equipment.unknown()
    if job_id not in context.read(equipment, equipment_id).open_jobs:
        raise job_unknown()


class ReturnStock(Command):
    """Put back parts that a job did not need; they come in at the cost at which they were issued."""

    part_id: Id
    movement_id: Id
    issue_id: Annotated[Id, Field(description="Movement id of the issue")]
    quantity: PositiveQuantity


@part.decides(EVERYBODY)
def return_stock(item: Part, cmd: ReturnStock, context: Context) -> Iterator[StockReturned]:
    if item.knows(cmd.movement_id):
        return  # asked twice, returned once
    issue = item.issue(cmd.issue_id)
    if issue is None:
        raise issue_unknown()
    if Decimal(cmd.quantity) > Decimal(issue.out):
        raise more_than_issued(f"Of that issue {issue.out} are still out.")
    yield StockReturned(
        **vars(cmd),
        equipment_id=issue.equipment_id,
        job_id=issue.job_id,
        unit_cost=UnitCost(amount=issue.unit_cost, currency=item.currency),
        after=_level(item, change=Decimal(cmd.quantity), cost=issue.unit_cost),
    )


class CountStock(Command):
    """Report how much a stock-taking found; the difference is booked at the average cost."""

    part_id: Id
    movement_id: Id
    counted: Quantity


@part.decides(MANAGERS)
def count_stock(item: Part, cmd: CountStock, context: Context) -> Iterator[StockCounted | StockFellBelowMinimum]:
    if item.knows(cmd.movement_id):
        return  # reported twice, booked once
    difference = Decimal(cmd.counted) - item.balance
    level = _level(item, change=difference)
    yield StockCounted(**vars(cmd), difference=digits(difference), unit_cost=item.average(), after=level)
    yield from _fallen(item, cmd.part_id, level)


class AdjustStock(Command):
    """Correct the balance by a difference, for a reason; it is booked at the average cost."""

    part_id: Id
    movement_id: Id
    difference: Difference
    reason: Reason


@part.decides(MANAGERS)
def adjust_stock(item: Part, cmd: AdjustStock, context: Context) -> Iterator[StockAdjusted | StockFellBelowMinimum]:
    if item.knows(cmd.movement_id):
        return  # asked twice, corrected once
    difference = Decimal(cmd.difference)
    if difference < 0:
        _check_enough(item, -difference, context)
    level = _level(item, change=difference)
    yield StockAdjusted(**vars(cmd), unit_cost=item.average(), after=level)
    yield from _fallen(item, cmd.part_id, level)


class ReserveStock(Command):
    """Keep a quantity for an open maintenance job, instead of what was kept for it before.

    With `instead_of` only if that was so much.
    """

    part_id: Id
    movement_id: Id
    equipment_id: Id
    job_id: Id
    quantity: PositiveQuantity
    instead_of: Quantity | None = None


@part.decides(EVERYBODY)
def reserve_stock(item: Part, cmd: ReserveStock, context: Context) -> Iterator[StockReserved]:
    if item.knows(cmd.movement_id):
        return  # asked twice, reserved once
    _check_job(cmd.equipment_id, cmd.job_id, context)
    quantity, own = Decimal(cmd.quantity), item.reserved_for(cmd.equipment_id, cmd.job_id)
    _check_kept(own, cmd.instead_of)
    if quantity > item.balance:
        raise stock_too_low(f"The balance is {item.level.balance}.")
    if quantity > own + item.available:
        raise stock_reserved()
    if not own and len(item.reservations) >= MOST_RESERVATIONS:
        raise too_many_reservations()
    told = {name: value for name, value in vars(cmd).items() if name != "instead_of"}
    level = _level(item, reserved=Decimal(item.level.reserved) - own + quantity)
    yield StockReserved(**told, after=level, previous=digits(own))


def _check_kept(own: Decimal, expected: str | None) -> None:
    """Raises where not as much is kept for the job as the sender thinks."""
    if expected is not None and Decimal(expected) != own:
        raise changed_since(f"For this job {digits(own)} are reserved now.")


class ReleaseStock(Command):
    """Give up what is reserved for a job, open or not; with `instead_of` only if it is so much."""

    part_id: Id
    movement_id: Id
    equipment_id: Id
    job_id: Id
    instead_of: Quantity | None = None


@part.decides(EVERYBODY)
def release_stock(item: Part, cmd: ReleaseStock, context: Context) -> Iterator[StockReleased]:
    if item.knows(cmd.movement_id):
        return  # asked twice, released once
    own = item.reserved_for(cmd.equipment_id, cmd.job_id)
    _check_kept(own, cmd.instead_of)
    if own:
        told = {name: value for name, value in vars(cmd).items() if name != "instead_of"}
        level = _level(item, reserved=Decimal(item.level.reserved) - own)
        yield StockReleased(**told, quantity=digits(own), after=level)
