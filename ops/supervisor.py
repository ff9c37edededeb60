"""Keeps child processes running: one that ends is started again, after a pause that grows while it keeps ending."""

import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ops.embedded.errors import EmbeddedError, Report
from ops.embedded.locks import server_lock
from ops.embedded.process import Child, spawn

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
STEADY_SECONDS = 60.0
STOP_SECONDS = 25.0


class Kept(Protocol):
    """What a supervisor keeps running."""

    @property
    def name(self) -> str: ...
    @property
    def pid(self) -> int | None: ...
    def alive(self) -> bool: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


@dataclass
class Process:
    """One process of the platform: `bitcorp <arguments>`, or those of another module, with its own log file."""

    name: str
    arguments: Sequence[str]
    directory: Path
    environment: Mapping[str, str] = field(repr=False)
    module: str = "ops.main"
    _child: Child | None = field(default=None, init=False, repr=False)

    @property
    def log_path(self) -> Path:
        return self.directory / "logs" / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child and self._child.alive() else None

    def alive(self) -> bool:
        return self.pid is not None

    def start(self) -> None:
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        lock = server_lock(self.directory / "run" / f"{self.name}.lock", f"The process {self.name}", STOP_SECONDS)
        try:
            self._child = spawn(
                self.name,
                [sys.executable, "-m", self.module, *self.arguments],
                directory=Path(__file__).parent.parent,
                log_path=self.log_path,
                lock=lock,
                stop_signal=signal.SIGTERM,
                environment=self.environment,
                death_signal=signal.SIGKILL,  # its servers end with us: leaving cleanly could only wait for them
            )
        finally:
            lock.release()

    def stop(self) -> None:
        if self._child:
            self._child.stop(STOP_SECONDS)

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Raises EmbeddedError with the end of its log when it ends first or takes longer."""
        if self._child:
            self._child.wait_until(ready, seconds)


class Supervisor:
    """Call `look` often: it starts again what has ended. `stop` ends processes first, then the servers they use."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._kept: list[Kept] = []
        self._pauses: dict[str, float] = {}
        self._started: dict[str, float] = {}
        self._due: dict[str, float] = {}

    def start(self, things: Sequence[Kept]) -> None:
        """Start them side by side and return when all run."""
        self._kept += things
        now = time.monotonic()
        self._started |= {thing.name: now for thing in things}
        pool = ThreadPoolExecutor(len(things) or 1)
        try:
            for start in [pool.submit(thing.start) for thing in things]:
                start.result()
        except BaseException:
            _stop(things)  # what still waits for its server to answer stops waiting
            raise
        finally:
            pool.shutdown()

    def look(self) -> None:
        for thing in self._kept:
            if not thing.alive():
                self._mend(thing, time.monotonic())

    def stop(self) -> None:
        """Return when nothing runs any more."""
        processes = [thing for thing in self._kept if isinstance(thing, Process)]
        _stop(processes)
        _stop([thing for thing in self._kept if thing not in processes])
        self._kept = []

    def _mend(self, thing: Kept, now: float) -> None:
        due = self._due.get(thing.name)
        if due is None:
            pause = self._next_pause(thing.name, now)
            self._due[thing.name] = now + pause
            self._report(f"{thing.name} has ended; it starts again in {pause:.1f} s{_log_of(thing)}")
        elif now >= due:
            del self._due[thing.name]
            self._started[thing.name] = now
            self._start_again(thing)

    def _start_again(self, thing: Kept) -> None:
        try:
            thing.start()
        except (EmbeddedError, OSError) as fault:
            self._report(f"{thing.name} cannot start: {fault}")
        else:
            self._report(f"{thing.name} runs again (pid {thing.pid})")

    def _next_pause(self, name: str, now: float) -> float:
        steady = now - self._started[name] > STEADY_SECONDS
        pause = FIRST_PAUSE if steady or name not in self._pauses else min(LONGEST_PAUSE, self._pauses[name] * 2)
        self._pauses[name] = pause
        return pause


def _stop(things: Sequence[Kept]) -> None:
    with ThreadPoolExecutor(len(things) or 1) as pool:
        for stop in [pool.submit(thing.stop) for thing in things]:
            stop.result()


def _log_of(thing: Kept) -> str:
    path = getattr(thing, "log_path", None)
    return f"; its log: {path}" if path else ""
