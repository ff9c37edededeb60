"""`bitcorp demo`: the whole platform, a foreign system that publishes the life of a fleet, and a check of every figure.

What must come of the fleet is counted from its data files (`ops.fleet`); what came of it is read from the topics
(`ops.watch`) and counted in the database.
"""

import asyncio
import http.client
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from pydantic import SecretStr
from rich.text import Text

from ops import business, fleet
from ops.console import out, plain, progress, say
from ops.embedded.locks import server_lock
from ops.embedded.process import Child, spawn
from ops.errors import Fault
from ops.findings import MOST_SHOWN, Check, Speed, checks, speed, speed_lines, tables, wrong_answers
from ops.fleet import PAST, TODAY, Sent
from ops.requests import exchanges, transcript
from ops.running import Platform, emptied
from ops.stopping import interruptible, stopping_undisturbed
from ops.up import program
from ops.verify import verify_all
from ops.watch import ViewClock, Watch
from topics.catalogue import COMMANDS
from topics.metrics import LANE_PARTITIONS
from topics.settings import Settings
from views import VIEWS

UPSTREAM = fleet.FLEET.parent / "upstream.py"
LOOK_SECONDS, LOOK_CLOSELY_SECONDS = 0.1, 0.005
CARE_SECONDS = 0.25
#: Not the events about the platform's own processes.
OTHERS = " WHERE company_id NOT LIKE '\\_platform-%'"
PATIENCE_SECONDS = 60.0
QUIET_SECONDS = 1.0


def demo(*, rate: float = 200) -> None:
    """Start all on this machine with empty data, let a foreign system publish the life of three companies' fleets
    (12,000 commands), check every figure against the data files, show some requests, and stop. Exit code 0 only if
    every figure is right.

    Parameters
    ----------
    rate
        Commands a second while latency is measured.
    """
    interruptible()
    sys.exit(run(Settings(), rate=rate))


def run(settings: Settings, *, rate: float = 200) -> int:
    """The exit code: 0 where every figure is what the data files imply, 130 where it was interrupted."""
    began = time.monotonic()
    own = settings_of_demo(settings)
    emptied(own.directory)
    try:
        with Platform(own, workers=2, report=say) as platform, stopping_undisturbed():
            await_lanes(platform)
            say(f"Kafka, PostgreSQL and {len(platform.processes)} processes run: {time.monotonic() - began:.1f} s.")
            right = tell(platform, rate)
    except KeyboardInterrupt:
        say("Stopped before the end.")
        return 130
    say(f"All is stopped again; the demo took {time.monotonic() - began:.1f} s.")
    out.print(plain("Try next:", "bold"))
    for command in next_commands(settings, own.directory):
        out.print(plain(f"  {command}"), soft_wrap=True)
    return 0 if right else 1


def settings_of_demo(settings: Settings) -> Settings:
    """Embedded servers of its own, in its own folder, at free ports."""
    return settings.model_copy(
        update={
            "directory": settings.directory.absolute() / "demo",
            "kafka": "",
            "database": SecretStr(""),
            "api_port": 0,
            "replication": 1,
            "single_node": True,
            "timer_seconds": 1.0,  # somebody waits for the plan that comes due
        }
    )


def await_lanes(platform: Platform) -> None:
    """Until the lane workers have shared the partitions among them. Raises Fault where they do not.

    A partition that changes hands under load is no fault, but commands passed on at that moment may be answered twice.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    ports = [int(process.environment["BITCORP_METRICS_PORT"]) for process in platform.processes[: platform.workers]]
    while True:
        served = [lanes_of(port) for port in ports]
        if all(served) and sum(served) == platform.settings.partitions:
            return
        if time.monotonic() > deadline:
            raise Fault(f"The lane workers serve {served} partitions. Their logs are in {logs_of(platform.settings)}.")
        platform.look_after()
        time.sleep(0.1)


def lanes_of(port: int) -> int:
    """How many partitions the worker with this metrics port decides now; 0 where it does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    with suppress(OSError, http.client.HTTPException), closing(connection):
        connection.request("GET", "/metrics")
        name = next(iter(LANE_PARTITIONS.describe())).name
        found = re.search(rf"^{name} (\S+)", connection.getresponse().read().decode(), re.MULTILINE)
        return int(float(found[1])) if found else 0
    return 0


def tell(platform: Platform, rate: float) -> bool:
    """Publish, compare, verify and show; whether all was right."""
    figures, differences = asyncio.run(play(platform, rate))
    more = asyncio.run(business.steps(platform.settings, platform.url))
    out.print(plain("More of the business", "bold"))
    for step in more:
        out.print(step.line(), soft_wrap=True)
    verified = verify_all(platform.settings)
    shown = asyncio.run(exchanges(platform.settings, platform.url))
    out.print(plain("Five requests", "bold"))
    for number, exchange in enumerate(shown, 1):
        out.print(transcript(number, exchange, platform.url), soft_wrap=True)
    wrong = [
        *(f"{figure.table}: {figure.name}" for figure in figures if not figure.right),
        *differences[:MOST_SHOWN],
        *(step.title for step in more if not step.right),
        *([] if verified else ["the verification"]),
        *(f"the request {exchange.request.title!r}" for exchange in shown if not exchange.right),
    ]
    if wrong:
        out.print(plain("Not as the data files imply:\n  " + "\n  ".join(wrong), "bold red"), soft_wrap=True)
    else:
        out.print(plain(f"All {len(figures)} figures are what the data files imply.", "bold green"))
    return not wrong


async def play(platform: Platform, rate: float) -> tuple[list[Check], list[str]]:
    """Publish the past and today and print what came of them; the figures, and the commands answered wrongly."""
    connection = await asyncpg.connect(platform.settings.database.get_secret_value())
    try:
        with Watch(platform.settings) as watch:
            stage = Stage(platform, watch, ViewClock(connection))
            past = await stage.publish("Three years of the past", PAST, 0)
            today = await stage.publish(f"Today, {rate:g} commands/s", TODAY, rate)
            await stage.quiet()
        figures = checks(stage.sent, watch, await count_rows(connection))
    finally:
        await connection.close()
    out.print(tables(figures))
    out.print(Text("\n").join(speed_lines(past, today, rate)), soft_wrap=True)
    return figures, list(wrong_answers(stage.sent, watch.answers))


async def count_rows(connection: "asyncpg.Connection[Any]") -> dict[str, int]:
    """Rows in the table of each view but those that no data file implies by itself; verification compares them all."""
    tables = [view.table for view in VIEWS if view.table.name not in fleet.IMPLIED_BY_OTHERS]
    return {table.name: await connection.fetchval(f"SELECT count(*) FROM {table}{OTHERS}") for table in tables}  # noqa: S608


@dataclass
class Stage:
    """Where the fleet's life is played: what runs, and who watches."""

    platform: Platform
    watch: Watch
    clock: ViewClock
    sent: list[Sent] = field(default_factory=list)

    async def publish(self, title: str, folder: Path, rate: float) -> Speed:
        """Let the foreign system publish a folder; returns when all has its outcome and the views show it."""
        sent = fleet.read(folder)
        self.sent += sent
        first, total = len(self.watch.answers), fleet.answers(sent).total()
        with upstream(self.platform.settings, folder, rate), progress(title, total) as step:
            done = 0
            pause = LOOK_CLOSELY_SECONDS if rate else LOOK_SECONDS
            async for answers in self._looking(lambda: len(self.watch.answers) - first, pause):
                step(answers - done)
                done = answers
                if done >= total and self.clock.caught_up(self.watch):
                    break
        return speed(self.watch.answers[first:], self.watch, self.clock)

    async def quiet(self) -> None:
        """Wait for what ought not to come: more than was due."""
        last, since = self.watch.messages, time.monotonic()
        async for messages in self._looking(lambda: self.watch.messages):
            if messages != last:
                last, since = messages, time.monotonic()
            elif time.monotonic() - since > QUIET_SECONDS and self.clock.caught_up(self.watch):
                return

    async def _looking(self, count: Callable[[], int], pause: float = LOOK_SECONDS) -> AsyncIterator[int]:
        """The count again and again, with a look at the views before each. Raises Fault when nothing moves any more."""
        cared = moved = time.monotonic()
        last = (-1, -1.0)
        while True:
            await self.clock.look()
            yield count()
            now, state = time.monotonic(), (self.watch.messages, self.clock.changed)
            if state != last:
                last, moved = state, now
            if now - cared > CARE_SECONDS:
                self.platform.look_after()
                cared = now
            if self.watch.fault:
                raise self.watch.fault
            if now - moved > PATIENCE_SECONDS:
                raise Fault(self._stuck())
            await asyncio.sleep(pause)

    def _stuck(self) -> str:
        answered = {answer.key for answer in self.watch.answers}
        missing = [command.place for command in self.sent if command.key not in answered and not command.unanswered]
        return (
            f"Nothing has come for {PATIENCE_SECONDS:.0f} s. {self.watch.commands} of {len(self.sent)} commands are on "
            f"their topic; {len(missing)} wait for an outcome (first: {', '.join(missing[:3]) or 'none'}); the views "
            f"{'are' if self.clock.caught_up(self.watch) else 'are not'} up to date. "
            f"The logs are in {logs_of(self.platform.settings)}."
        )


def logs_of(settings: Settings) -> Path:
    return settings.directory / "logs"


@contextmanager
def upstream(settings: Settings, folder: Path, rate: float) -> Iterator[Child]:
    """The foreign system as a process of its own; it knows the broker's address and the topic's name."""
    directory = settings.directory
    lock = server_lock(directory / "run" / "upstream.lock", "The upstream system")
    topic = COMMANDS.named(settings.prefix)
    keys = {"FLEET_SIGNING_KEY": settings.signing_key.get_secret_value(), "FLEET_LANES_KEY": settings.lanes_public_key}
    words = [str(UPSTREAM), str(folder), "--kafka", settings.kafka, "--topic", topic, "--rate", str(rate)]
    try:
        child = spawn(
            "upstream",
            [sys.executable, *words],
            directory=directory,
            log_path=directory / "logs" / "upstream.log",
            lock=lock,
            stop_signal=signal.SIGTERM,
            environment=os.environ | keys,
        )
    finally:
        lock.release()
    try:
        yield child
    finally:
        child.stop()


def next_commands(settings: Settings, folder: Path) -> tuple[str, ...]:
    """Three commands for other questions to the same fleet."""
    me = program(os.path.relpath(folder))
    return (
        f"{me} up    # the same fleet, running until Ctrl-C; then, in another shell:",
        f"{me} tail events --from-beginning",
        f'curl -H "Authorization: Bearer $({me} token --company andes-minera --user mquispe)" '
        f"'http://127.0.0.1:{settings.api_port}/api/v1/equipment?q=793F'",
    )
