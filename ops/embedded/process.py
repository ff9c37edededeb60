"""Child processes that end with their parent; with the locks and ports that starting one needs."""

import atexit
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import NoReturn

from ops.embedded.errors import EmbeddedError
from ops.embedded.locks import Lock, server_lock
from ops.embedded.ports import free_ports, require_port

__all__ = ["Child", "Lock", "free_ports", "launched", "require_port", "server_lock", "spawn"]

LAUNCHER = Path(__file__).with_name("launcher.py")
POLL_SECONDS = 0.02


class Child:
    """A running server: a process in its own session, so that a terminal's Ctrl-C reaches the clients first."""

    def __init__(
        self, name: str, process: subprocess.Popen[bytes], log_path: Path, stop_signal: signal.Signals
    ) -> None:
        self.name = name
        self.log_path = log_path
        self._process = process
        self._stop_signal = stop_signal
        self._owner = os.getpid()
        atexit.register(self._at_exit)

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def stop(self, seconds: float = 20) -> bool:
        """Ask it to end, after `seconds` kill it; whether it ended by itself."""
        clean = self.alive()
        if clean:
            self._process.send_signal(self._stop_signal)
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                clean = False
                self.kill()
        atexit.unregister(self._at_exit)
        return clean

    def kill(self) -> None:
        """End it as a power failure would."""
        if self.alive():
            self._process.kill()
            self._process.wait()
        atexit.unregister(self._at_exit)

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Return when the server is ready; when it ends first or takes too long, show the end of its log."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.alive():
                self._give_up(f"ended during its start (exit code {self._process.returncode})")
            if time.monotonic() > deadline:
                self._give_up(f"did not answer within {seconds:.0f} s")
            time.sleep(POLL_SECONDS)

    def _give_up(self, what: str) -> NoReturn:
        self.kill()
        raise EmbeddedError(f"{self.name} {what}. {self.last_words()}")

    def last_words(self, lines: int = 12) -> str:
        words = self.log_path.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join([f"Its log is {self.log_path}; the last lines:", *(f"  {line}" for line in words)])

    def _at_exit(self) -> None:
        if os.getpid() == self._owner:
            self.stop()


def spawn(
    name: str,
    command: Sequence[str],
    *,
    directory: Path,
    log_path: Path,
    lock: Lock,
    stop_signal: signal.Signals,
    identity: str = "self",
    environment: Mapping[str, str] | None = None,
    death_signal: signal.Signals | None = None,
) -> Child:
    """Start a server in `directory`; when this process dies it gets `death_signal`, or else `stop_signal` too.

    It holds `lock` as long as any process of it lives, even one that outlives us.
    """
    if log_path.exists():
        log_path.replace(log_path.with_suffix(".previous.log"))

    def start() -> subprocess.Popen[bytes]:
        with log_path.open("ab") as log:
            return subprocess.Popen(
                launched(command, death_signal or stop_signal, identity),
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lock.descriptor,),
            )

    child = Child(name, _forker().run(start), log_path, stop_signal)
    lock.hand_over(child.pid)
    return child


def launched(command: Sequence[str], death_signal: signal.Signals, identity: str) -> list[str]:
    """The command line that becomes `command` through the launcher."""
    interpreter = [sys.executable, "-I", "-S", str(LAUNCHER)]
    return [*interpreter, str(os.getpid()), str(int(death_signal)), identity, *command]


class _Forker:
    """One thread that starts all children.

    Linux tells a child that its parent died when the *thread* that forked it ends. This thread lives as long
    as the process, so servers can be started from any thread.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]]
        self._work = queue.SimpleQueue()
        self.owner = os.getpid()
        threading.Thread(target=self._loop, name="embedded-forker", daemon=True).start()

    def run(self, start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        result: Future[subprocess.Popen[bytes]] = Future()
        self._work.put((start, result))
        return result.result()

    def _loop(self) -> None:
        while True:
            start, result = self._work.get()
            try:
                result.set_result(start())
            except BaseException as error:
                result.set_exception(error)


_forker_lock = threading.Lock()
_the_forker: _Forker | None = None


def _forker() -> _Forker:
    global _the_forker
    with _forker_lock:
        if _the_forker is None or _the_forker.owner != os.getpid():  # threads do not survive a fork of this process
            _the_forker = _Forker()
        return _the_forker
