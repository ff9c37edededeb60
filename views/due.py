"""Plans that wait for the timer: those whose time has come, and those whose machine has done something since."""

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import and_, bindparam, case, func, literal, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.plan import Anchor
from domain.recurrence import moment
from views.companies import table as companies
from views.maintenance import IS_OPEN
from views.maintenance import table as jobs
from views.meters import table as readings
from views.plans import IS_ACTIVE
from views.plans import table as plans

DAY = timedelta(days=1)
#: How far the clocks by which two events of a company were recorded may differ.
CLOCKS_DIFFER = timedelta(hours=1)


class DuePlan(NamedTuple):
    """A plan whose job is to be made now, with the day of its occurrence."""

    company_id: str
    plan_id: str
    version: int
    day: date


class MovedPlan(NamedTuple):
    """A plan whose next day may be another since its last job has ended, or its meter was read, at that time."""

    company_id: str
    plan_id: str
    version: int
    since: datetime


OF_COMPANY = and_(companies.c.company_id == plans.c.company_id, companies.c.suspended_at.is_(None))

#: East of Greenwich a day begins before it does there.
DUE = (
    select(
        plans.c.company_id,
        plans.c.plan_id,
        plans.c.version,
        plans.c.next_due_on,
        plans.c.job_from,
        plans.c.terms["at"].astext.label("at"),
        companies.c.time_zone,
    )
    .join(companies, OF_COMPANY)
    .where(IS_ACTIVE, plans.c.job_from <= bindparam("tomorrow"))
    .order_by(plans.c.job_from, plans.c.company_id, plans.c.plan_id)
)

LAST_JOB = and_(
    jobs.c.company_id == plans.c.company_id,
    jobs.c.equipment_id == plans.c.equipment_id,
    jobs.c.job_id == plans.c.last_job_id,
)
LAST_READING = (
    select(readings.c.updated_at)
    .where(
        readings.c.company_id == plans.c.company_id,
        readings.c.equipment_id == plans.c.equipment_id,
        readings.c.meter == plans.c.terms["meter"]["meter"].astext,
    )
    .order_by(readings.c.read_at.desc())
    .limit(1)
    .lateral("last_reading")
)
SINCE = func.greatest(case((~IS_OPEN, jobs.c.updated_at)), LAST_READING.c.updated_at)
MOVED = (
    select(plans.c.company_id, plans.c.plan_id, plans.c.version, SINCE.label("since"))
    .join(companies, OF_COMPANY)
    .outerjoin(jobs, LAST_JOB)
    .outerjoin(LAST_READING, true())
    .where(
        IS_ACTIVE,
        or_(plans.c.anchor != Anchor.FIXED.value, plans.c.terms.has_key("meter")),
        plans.c.updated_at - literal(CLOCKS_DIFFER) < SINCE,
    )
)


async def due_plans(connection: AsyncConnection, now: datetime) -> list[DuePlan]:
    """Active plans whose next job is to be made by now, in the zone of their company."""
    rows = await connection.execute(DUE, {"tomorrow": now.astimezone(UTC).date() + DAY})
    return [
        DuePlan(row.company_id, row.plan_id, row.version, row.next_due_on)
        for row in rows
        if moment(row.job_from, row.at, row.time_zone) <= now
    ]


async def moved_plans(connection: AsyncConnection) -> list[MovedPlan]:
    """Active plans that count from work or by a meter, and whose machine may have moved their next day."""
    return [MovedPlan(*row) for row in await connection.execute(MOVED)]
