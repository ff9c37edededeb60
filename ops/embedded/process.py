"""Child processes that end with their parent, and what servers share: ports, locks, waiting."""

import atexit
import errno
import importlib
import json
import os
import queue
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

from ops.embedded.errors import EmbeddedError

LAUNCHER = Path(__file__).with_name("launcher.py")
PORTS = range(20000, 30000)  # below the ports that systems hand out for outgoing connections
POLL_SECONDS = 0.02


class Child:
    """A running server: a process in its own session, so that a terminal's Ctrl-C reaches the clients first."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log_path: Path, stop_signal: signal.Signals) -> None:
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
        """Return when the server is ready; complain with the end of its log when it ends first or takes too long."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.alive():
                raise EmbeddedError(
                    f"{self.name} ended during its start (exit code {self._process.returncode}). {self.last_words()}"
                )
            if time.monotonic() > deadline:
                raise EmbeddedError(f"{self.name} did not answer within {seconds:.0f} s. {self.last_words()}")
            time.sleep(POLL_SECONDS)

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
    lock: "Lock",
    stop_signal: signal.Signals,
    identity: str = "self",
) -> Child:
    """Start a server in `directory`; it gets `stop_signal` also when this process dies.

    It holds `lock` as long as any process of it lives, even one that outlives us.
    """
    if log_path.exists():
        log_path.replace(log_path.with_suffix(".previous.log"))

    def start() -> subprocess.Popen[bytes]:
        with log_path.open("ab") as log:
            return subprocess.Popen(
                launched(command, stop_signal, identity),
                cwd=directory,
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


class Lock:
    """A file lock that ends with the last process holding it, so it is never stale."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        if self._descriptor is None:
            raise RuntimeError(f"{self.path} is not locked")
        return self._descriptor

    def acquire(self, seconds: float = 0) -> bool:
        """Take the lock and write our pid into it; False if others hold it for longer than `seconds`."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        if not _until(lambda: _flock(descriptor), seconds):
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        self._write(os.getpid())
        return True

    def holder(self) -> str:
        """The pid that the last holder wrote."""
        return self.path.read_text().strip() or "unknown"

    def hand_over(self, pid: int) -> None:
        """Leave the lock to a child that inherited it."""
        self._write(pid)
        self.release()

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def free(self, seconds: float) -> bool:
        """Whether nobody holds it, or nobody does after at most `seconds`."""
        taken = self.acquire(seconds)
        self.release()
        return taken

    def _write(self, pid: int) -> None:
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{pid}\n".encode(), 0)


def server_lock(path: Path, name: str, seconds: float = 15) -> Lock:
    """The lock that a server holds on its data.

    A server whose parent was killed needs a moment to write its data and end, hence the waiting.
    """
    lock = Lock(path)
    if not lock.acquire(seconds):
        raise EmbeddedError(
            f"{name} of an earlier run (pid {lock.holder()}) still works on {path.parent}. "
            f"Stop the program that started it, or end it with: kill {lock.holder()}"
        )
    return lock


def _flock(descriptor: int) -> bool:
    if sys.platform == "win32":
        raise EmbeddedError(
            "The embedded servers run on Linux and macOS. On Windows use WSL, or name a Kafka and a PostgreSQL in "
            "the settings."
        )
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _until(fact: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def remembered_ports(path: Path, names: Sequence[str]) -> dict[str, int]:
    """The ports a data directory was made with, or new free ones, written down in `path`."""
    if path.exists():
        ports: dict[str, int] = json.loads(path.read_text())
        return ports
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    part = path.with_suffix(".part")
    part.write_text(json.dumps(ports))
    part.replace(path)
    return ports


def free_ports(count: int) -> list[int]:
    candidates = random.sample(PORTS, len(PORTS))
    free = [port for port in candidates[: 50 * count] if port_free(port)][:count]
    if len(free) < count:
        raise EmbeddedError(f"No free TCP port found between {PORTS.start} and {PORTS.stop}. End other servers.")
    return free


def port_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
    return True


def require_port(name: str, port: int, remembered_in: Path) -> None:
    """Refuse with an explanation when somebody else sits on the port."""
    if not port_free(port):
        raise EmbeddedError(
            f"{name} needs port {port} of 127.0.0.1, which is taken by {_who_listens(port)}. "
            f"End that process. (The port belongs to the data in {remembered_in.parent} and cannot change.)"
        )


def _who_listens(port: int) -> str:
    try:
        psutil = importlib.import_module("psutil")
        for connection in psutil.net_connections("tcp"):
            if connection.status == "LISTEN" and connection.laddr.port == port and connection.pid:
                return f"pid {connection.pid} ({psutil.Process(connection.pid).name()})"
    except Exception:  # psutil is not installed, or may not see other users' processes
        return "another process"
    return "another process"
