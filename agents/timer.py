"""The timer: when the time of a plan of maintenance has come, it orders that its occurrence be recorded.

It needs no state of its own. What is still to be ordered stands in the view of plans, which is folded from the log: a
plan that is due stays so until its occurrence is settled, and then its row names the next day. So nothing is lost
with a timer that dies, and a second one does no harm: the same occasion has the same command id, and the rule settles
a day once, whatever the ids. A view that lags, or is being rebuilt, leads to orders without effect.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

import structlog
from pydantic_core import to_json

from agents.faust_app import EXIT_FAULT, EXIT_MISCONFIGURED, run, say_goodbye, until_told
from agents.patience import patiently
from agents.project import schema_is_ours
from agents.projector import AWAY
from domain.decider import Actor
from domain.plan import PLANNER, RecordOccurrence, ReviewPlan, plan
from topics import metrics
from topics.messages import CommandMessage
from topics.publisher import Publisher
from topics.settings import Settings
from views.due import DuePlan, MovedPlan, due_plans, moved_plans
from views.migrate import SchemaDiffers
from views.reading import watch_engine

logger = structlog.get_logger("timer")

AGENT = Actor("system", PLANNER)
SOURCE = "/agents/timer"
#: A lane remembers its answers, refusals too: after so long what is still wanted is asked for under another id.
ASKED_AGAIN, REVIEWED_AGAIN = timedelta(minutes=10), timedelta(days=1)
AT_ONCE = 500


def occurrence(due: DuePlan, now: datetime) -> CommandMessage:
    """The order to settle the day on which a plan is due."""
    command = RecordOccurrence(plan_id=due.plan_id, date=due.day)
    return _message(command, due.company_id, due.day, due.version, _turn(now, ASKED_AGAIN))


def review(moved: MovedPlan, now: datetime) -> CommandMessage:
    """The order to look again when a plan is due, for what its machine has done."""
    command = ReviewPlan(plan_id=moved.plan_id)
    return _message(command, moved.company_id, moved.version, moved.since, _turn(now, REVIEWED_AGAIN))


def _message(command: RecordOccurrence | ReviewPlan, company_id: str, *occasion: object) -> CommandMessage:
    """The same occasion has the same command id, whichever timer sees it."""
    rule = plan.rules[type(command)]
    said = "/".join(map(str, (rule.type, company_id, command.plan_id, *occasion)))
    return CommandMessage(
        id=str(uuid5(NAMESPACE_URL, f"bitcorp:timer:{said}")),
        type=rule.type,
        company_id=company_id,
        aggregate=plan.name,
        aggregate_id=command.plan_id,
        actor=AGENT,
        data=to_json(command),
        source=SOURCE,
    )


def _turn(now: datetime, every: timedelta) -> int:
    return int(now.timestamp() // every.total_seconds())


class Timer:
    """One process that looks at the plans again and again, and sends each order once."""

    def __init__(self, settings: Settings) -> None:
        self.publisher = Publisher(settings)
        self._every = settings.timer_seconds
        self._pool = watch_engine(settings.database.get_secret_value())
        self._asked: set[str] = set()

    async def look(self, now: datetime) -> int:
        """Send what is to be ordered by now and was not at the last look; says how much that was."""
        async with self._pool.connect() as connection:
            due, moved = await due_plans(connection, now), await moved_plans(connection)
        metrics.TIMER_DUE.set(len(due))
        wanted = [*(occurrence(each, now) for each in due), *(review(each, now) for each in moved)]
        fresh = [command for command in wanted if command.id not in self._asked]
        await self._send(fresh)
        self._asked = {command.id for command in wanted}
        return len(fresh)

    async def _send(self, commands: Sequence[CommandMessage]) -> None:
        for start in range(0, len(commands), AT_ONCE):
            await self.publisher.send(*commands[start : start + AT_ONCE])
        for command in commands:
            metrics.TIMER_COMMANDS.labels(command.type).inc()

    async def serve(self) -> int:
        """Run until SIGTERM or SIGINT (exit code 0) or a fault (another)."""
        await self.publisher.start()
        logger.info("worker started", every=self._every)
        left = asyncio.Event()
        looking = asyncio.create_task(self._look_again_and_again())
        looking.add_done_callback(lambda _: left.set())
        await until_told([], left)
        if looking.done():
            logger.error("worker leaves", exc_info=looking.exception())
            return EXIT_FAULT
        looking.cancel()
        await say_goodbye(self.close())
        return 0

    async def _look_again_and_again(self) -> None:
        while True:
            if count := await patiently(AWAY, self._look_now):
                logger.info("ordered", commands=count)
            await asyncio.sleep(self._every)

    async def _look_now(self) -> int:
        return await self.look(datetime.now(UTC))

    async def close(self) -> None:
        """What is being sent is waited for, for some seconds."""
        await self.publisher.stop()
        await self._pool.dispose()


async def _serve(settings: Settings) -> int:
    try:
        await schema_is_ours(settings)
    except SchemaDiffers as fault:
        logger.error("worker does not start", reason=str(fault))
        return EXIT_MISCONFIGURED
    return await Timer(settings).serve()


def main(settings: Settings) -> None:
    """Run one timer until it is told to stop; ends the process."""
    run(settings, "timer", lambda: _serve(settings))
