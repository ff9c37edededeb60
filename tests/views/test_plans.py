"""Plans of recurring maintenance: each event gives its row, and the same event again leaves it as it is."""

from datetime import date, timedelta

import pytest

from domain.model import Event
from domain.plan import (
    Missed,
    NextOccurrencePlanned,
    OccurrenceDue,
    OccurrenceMissed,
    PlanChanged,
    PlanEnded,
    PlanPaused,
    PlanResumed,
)
from domain.recurrence import Schedule
from tests.domain.acme import EXCAVATOR, PLANNED, TODAY
from tests.views.conftest import World
from views.plans import PLANS, PlanItem

WEEK = timedelta(days=7)
AHEAD = PLANNED.terms.model_copy(update={"lead_days": 3, "at": "08:00"})

CHANGED = PlanChanged(plan_id="weekly", terms=AHEAD, settled=TODAY, next_due=TODAY + WEEK)
PAUSED = PlanPaused(plan_id="weekly", reason="strike")
RESUMED = PlanResumed(plan_id="weekly", settled=TODAY, next_due=TODAY + WEEK)
ENDED = PlanEnded(plan_id="weekly", reason="sold")
DUE = OccurrenceDue(plan_id="weekly", equipment_id="ex-7", date=TODAY, job_id="job-1", next_due=TODAY + WEEK)
MISSED = OccurrenceMissed(
    plan_id="weekly", equipment_id="ex-7", date=TODAY, because=Missed.DAY_PASSED, next_due=TODAY + WEEK
)
MOVED = NextOccurrencePlanned(plan_id="weekly", next_due=TODAY + 2 * WEEK)

LIVES: dict[str, tuple[Event, ...]] = {
    "defined": (PLANNED,),
    "changed": (PLANNED, CHANGED),
    "paused and resumed": (PLANNED, PAUSED, RESUMED),
    "ended": (PLANNED, ENDED),
    "due": (PLANNED, DUE),
    "missed": (PLANNED, MISSED),
    "moved": (PLANNED, MOVED),
}


async def the_plan(world: World) -> PlanItem:
    found = await world.see(PLANS, plan_id="weekly")
    assert found is not None
    return found


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
async def test_the_same_events_again_leave_the_same_rows(world: World, life: tuple[Event, ...]) -> None:
    entries = await world.tell(*life)
    before = await world.rows()
    await world.again(entries)
    await world.again(entries[-1:])
    assert await world.rows() == before


async def test_a_plan_shows_its_terms_its_machine_and_when_it_is_due(world: World) -> None:
    await world.tell(EXCAVATOR, PLANNED)
    plan = await the_plan(world)
    assert (plan.name, plan.state, plan.terms) == ("Weekly check", "ACTIVE", PLANNED.terms)
    assert plan.equipment.model_dump() == {"id": "ex-7", "name": "Excavator 7"}
    assert (plan.next_due_on, plan.job_from, plan.last_due_on, plan.version) == (TODAY, TODAY, None, 1)


async def test_a_plan_warns_of_months_that_lack_its_day(world: World) -> None:
    await world.tell(EXCAVATOR, PLANNED)
    assert not (await the_plan(world)).takes_last_day
    monthly = Schedule(rule="FREQ=MONTHLY", start=date(2026, 1, 31))
    await world.tell(CHANGED.model_copy(update={"terms": AHEAD.model_copy(update={"schedule": monthly})}))
    assert (await the_plan(world)).takes_last_day


async def test_a_changed_plan_has_its_new_terms(world: World) -> None:
    await world.tell(PLANNED, CHANGED)
    plan = await the_plan(world)
    assert plan.terms == AHEAD
    assert (plan.next_due_on, plan.job_from) == (TODAY + WEEK, TODAY + timedelta(days=4))


async def test_an_occurrence_names_its_day_its_job_and_the_next(world: World) -> None:
    await world.tell(PLANNED, DUE)
    plan = await the_plan(world)
    assert (plan.last_due_on, plan.last_job_id, plan.last_missed_on) == (TODAY, "job-1", None)
    assert plan.next_due_on == TODAY + WEEK
    await world.tell(MISSED.model_copy(update={"date": TODAY + WEEK, "next_due": None}))
    plan = await the_plan(world)
    assert (plan.last_due_on, plan.last_missed_on, plan.next_due_on) == (TODAY, TODAY + WEEK, None)


async def test_a_paused_or_ended_plan_says_why_and_is_not_due(world: World) -> None:
    await world.tell(PLANNED, PAUSED)
    plan = await the_plan(world)
    assert (plan.state, plan.reason, plan.next_due_on) == ("PAUSED", "strike", None)
    await world.tell(RESUMED)
    plan = await the_plan(world)
    assert (plan.state, plan.reason, plan.next_due_on) == ("ACTIVE", None, TODAY + WEEK)
    await world.tell(ENDED)
    assert ((await the_plan(world)).state, (await the_plan(world)).next_due_on) == ("ENDED", None)


async def test_plans_are_listed_by_the_day_on_which_they_are_due(world: World) -> None:
    for name, event in (("a", MOVED), ("b", DUE), ("c", PAUSED)):
        own = {"plan_id": name}
        await world.tell(PLANNED.model_copy(update=own), event.model_copy(update=own))
    assert [plan.plan_id for plan in (await world.list(PLANS)).items] == ["b", "a", "c"]
    soon = await world.list(PLANS, due_until=str(TODAY + WEEK), state="ACTIVE")
    assert [plan.plan_id for plan in soon.items] == ["b"]
    assert [plan.plan_id for plan in (await world.list(PLANS, state="PAUSED")).items] == ["c"]
