"""One PostgreSQL in one directory, also for root, without touching the machine's users or other directories."""

import locale
import os
import re
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from ops.embedded import jars
from ops.embedded.binaries import Binaries, find_binaries
from ops.embedded.errors import EmbeddedError, Report, silent
from ops.embedded.identity import Identity, choose_identity, require_reach
from ops.embedded.locks import Lock, server_lock
from ops.embedded.ports import require_port
from ops.embedded.process import Child, launched, spawn

SOCKET_PORT = 5432  # no more than a part of the socket's name, in a directory of its own
LONGEST_SOCKET_DIRECTORY = 85
START_SECONDS = 60.0
STOP_SECONDS = 20.0
SETTINGS = {
    "max_connections": "100",
    "shared_buffers": "64MB",
    "maintenance_work_mem": "32MB",
    "max_wal_size": "512MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}


class Postgres:
    """A PostgreSQL that keeps its data in `directory` and ends with this process.

    It closes that directory to other users, listens on a Unix socket in it, and with `port` also on 127.0.0.1, where
    it wants a password.
    """

    def __init__(
        self,
        directory: Path,
        jars_directory: Path | None = None,
        *,
        port: int | None = None,
        report: Report = silent,
    ) -> None:
        self.directory = directory.absolute()
        self.log_path = self.directory / "postgres.log"
        self._data = self.directory / "data"
        self._password = self.directory / "password"
        self._jars = (jars_directory or jars.default_directory()).absolute()
        self._port = port
        self._report = report
        self._child: Child | None = None

    @property
    def dsn(self) -> str:
        """The database "postgres" in asyncpg's spelling: by socket, or by TCP when a port was asked for."""
        if self._port:
            return f"postgresql://postgres:{self._password.read_text()}@127.0.0.1:{self._port}/postgres"
        return f"postgresql://postgres@/postgres?host={quote(str(self._sockets()))}&port={SOCKET_PORT}"

    @property
    def pid(self) -> int | None:
        """The process that others may signal; None when it does not run."""
        return self._child.pid if self._child and self._child.alive() else None

    def alive(self) -> bool:
        return self.pid is not None

    def start(self) -> None:
        """Return when PostgreSQL takes connections; nothing happens when it already runs."""
        if self.alive():
            return
        started = time.monotonic()
        binaries = find_binaries(self._jars, self._data_major(), self._report)
        self.directory.mkdir(parents=True, exist_ok=True)
        lock = server_lock(self.directory / "postgres.lock", "A PostgreSQL")
        try:
            self._child = self._spawn(binaries, lock)
        finally:
            lock.release()
        self._child.wait_until(self._ready, START_SECONDS)
        self._report(f"PostgreSQL {binaries.major} answers after {time.monotonic() - started:.1f} s")

    def stop(self) -> None:
        """Stop cleanly, ending all connections; after 20 seconds, kill."""
        if self._child:
            self._child.stop(STOP_SECONDS)
        if self._sockets_note.exists():
            with suppress(OSError):
                self._sockets().rmdir()

    def kill(self) -> None:
        """End it as a power failure would (SIGKILL)."""
        if self._child:
            self._child.kill()

    def _spawn(self, binaries: Binaries, lock: Lock) -> Child:
        identity = self._prepare(binaries)
        if self._port:
            require_port("PostgreSQL", self._port)
        # We hold the lock that every process of an earlier server held: its pid file can only mislead.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        return spawn(
            "PostgreSQL",
            self._command(binaries),
            directory=self.directory,
            log_path=self.log_path,
            lock=lock,
            stop_signal=signal.SIGINT,
            identity=identity.word,
        )

    def _command(self, binaries: Binaries) -> list[str]:
        settings = SETTINGS | {
            "port": str(self._port or SOCKET_PORT),
            "listen_addresses": "127.0.0.1" if self._port else "",
            "unix_socket_directories": f'"{self._sockets()}"',
        }
        command = [str(binaries.directory / "postgres"), "-D", str(self._data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return command

    def _ready(self) -> bool:
        """PostgreSQL writes its state into the eighth line of its pid file."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    # The data directory and the socket's directory

    def _data_major(self) -> int | None:
        version = self._data / "PG_VERSION"
        return int(version.read_text()) if version.exists() else None

    def _prepare(self, binaries: Binaries) -> Identity:
        identity = choose_identity(self._data)
        for path in (self._data, binaries.directory / "postgres"):
            require_reach(identity, path)
        identity.own(self.directory)
        if not self._data.exists():
            self._report(f"Creating a PostgreSQL {binaries.major} database in {self._data}")
            self._initialise(binaries, identity)
        identity.own(self._make_sockets())
        return identity

    def _initialise(self, binaries: Binaries, identity: Identity) -> None:
        """Made beside its place and moved there in one step, so that an interrupted start leaves nothing half done."""
        unfinished = self.directory / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._password.write_text(secrets.token_urlsafe(24))
        identity.own(self._password)
        command = [str(binaries.directory / "initdb"), "-D", str(unfinished), "-U", "postgres", "--no-sync"]
        command += ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={self._password}"]
        command += ["-E", "UTF8", *_locale_options(binaries.major)]
        run = subprocess.run(
            launched(command, signal.SIGKILL, identity.word), cwd=self.directory, capture_output=True, text=True
        )
        if run.returncode != 0:
            raise EmbeddedError(f"PostgreSQL could not make its data directory {self._data}:\n{run.stderr[-1500:]}")
        unfinished.rename(self._data)

    @property
    def _sockets_note(self) -> Path:
        return self.directory / "socket-directory"

    def _sockets(self) -> Path:
        """Where the socket lies: with the data, or elsewhere when that path is too long or too odd for a socket."""
        if self._sockets_note.exists():
            return Path(self._sockets_note.read_text())
        return self.directory / "run"

    def _make_sockets(self) -> Path:
        place = self.directory / "run"
        if len(os.fsencode(place)) <= LONGEST_SOCKET_DIRECTORY and re.fullmatch(r"[\w ./+-]+", str(place), re.ASCII):
            self._sockets_note.unlink(missing_ok=True)
            place.mkdir(exist_ok=True)
            return place
        if not (self._sockets_note.exists() and _claim(self._sockets())):
            self._sockets_note.write_text(tempfile.mkdtemp(prefix="bitcorp-pg-"))
        return self._sockets()


def _claim(directory: Path) -> bool:
    """Make the directory again, or find it closed to others: in a shared place anybody could have made it."""
    try:
        directory.mkdir(mode=0o700)
    except FileNotFoundError:
        return False
    except FileExistsError:
        pass
    facts = directory.lstat()
    closed = stat.S_ISDIR(facts.st_mode) and not facts.st_mode & 0o077
    return closed and (os.geteuid() == 0 or facts.st_uid == os.geteuid())


def _locale_options(major: int) -> list[str]:
    """UTF-8 letters everywhere, sorted by code point, the same on every machine as far as the version can."""
    if major >= 17:
        return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--locale=C", f"--lc-ctype={_character_locale()}"]


def _character_locale() -> str:
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        for name in ("C.UTF-8", "UTF-8" if sys.platform == "darwin" else "en_US.UTF-8"):
            try:
                return locale.setlocale(locale.LC_CTYPE, name) and name
            except locale.Error:
                continue
        return "C"
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
