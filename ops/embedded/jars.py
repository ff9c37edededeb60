"""The jars that the embedded servers are made of: pinned, checked, kept in one directory.

The coordinates and SHA-256 are in `jars.lock`; which repository serves them is known to the `jgo` package (a mirror is
named in its configuration file) or to Maven.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from jgo.config import GlobalSettings
from jgo.constants import default_maven_repo
from jgo.maven import MavenContext, PythonResolver
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from ops.embedded.errors import EmbeddedError, Report, silent
from ops.embedded.locks import Lock

LOCK_FILE = Path(__file__).with_name("jars.lock")
DOWNLOADS_AT_ONCE = 8
ATTEMPTS = 3
PATIENCE_SECONDS = 2.0
ADVICE = (
    "Check the network (behind a proxy: HTTPS_PROXY), name a mirror in the [repositories] of jgo's configuration file, "
    "install Maven (mvn), which is tried next, or copy the files that jars.lock lists into a directory and set "
    "BITCORP_JARS to it."
)


@dataclass(frozen=True)
class Jar:
    """One file of a Maven repository."""

    group: str
    artifact: str
    version: str
    sha256: str
    size: int

    @property
    def filename(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


def default_directory() -> Path:
    """Where jars are kept unless told otherwise: `BITCORP_JARS`, else `.bitcorp/jars`."""
    return Path(os.environ.get("BITCORP_JARS") or ".bitcorp/jars")


def locked(part: str, lock: str | None = None) -> tuple[Jar, ...]:
    """The jars of one part ("kafka", "postgres-linux-amd64") of the lock file."""
    parts = parse(LOCK_FILE.read_text() if lock is None else lock)
    if part not in parts:
        raise EmbeddedError(f"There is no {part} in {LOCK_FILE}, only: {', '.join(parts)}")
    return parts[part]


def parse(lock: str) -> dict[str, tuple[Jar, ...]]:
    """Read a lock: `[part]` lines, each followed by lines `group:artifact:version sha256:<hex> <bytes>`."""
    parts: dict[str, tuple[Jar, ...]] = {}
    part = ""
    for number, line in enumerate(lock.splitlines(), 1):
        match line.split():
            case [] | ["#", *_]:
                continue
            case [head] if head.startswith("[") and head.endswith("]"):
                part = head[1:-1]
                parts[part] = ()
            case [coordinate, digest, size] if part:
                parts[part] += (_jar(number, coordinate, digest, size),)
            case _:
                raise EmbeddedError(f"Line {number} of the jar lock is neither a [part] nor a jar: {line}")
    return parts


def _jar(number: int, coordinate: str, digest: str, size: str) -> Jar:
    try:
        group, artifact, version = coordinate.split(":")
        kind, sha256 = digest.split(":")
        if kind != "sha256" or len(bytes.fromhex(sha256)) != 32:
            raise ValueError(digest)
        return Jar(group, artifact, version, sha256, int(size))
    except ValueError as error:
        raise EmbeddedError(f"Line {number} of the jar lock cannot be read: {error}") from error


def fetch(jars: Sequence[Jar], directory: Path, report: Report = silent) -> list[Path]:
    """The jars' files in `directory`, downloaded if missing, each checked against its SHA-256."""
    directory = directory.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    if missing := _missing(jars, directory):
        with _alone(directory, report):
            if missing := _missing(missing, directory):  # another process may have fetched them meanwhile
                _download_all(missing, directory, report)
    paths = [directory / jar.filename for jar in jars]
    with ThreadPoolExecutor() as pool:
        list(pool.map(_check, jars, paths))
    return paths


def _missing(jars: Sequence[Jar], directory: Path) -> list[Jar]:
    return [jar for jar in jars if not (directory / jar.filename).exists()]


@contextmanager
def _alone(directory: Path, report: Report) -> Iterator[None]:
    lock = Lock(directory / "fetch.lock")
    if not lock.acquire():
        report(f"Waiting for process {lock.holder()}, which is fetching the same files")
        if not lock.acquire(seconds=600):
            raise EmbeddedError(f"Process {lock.holder()} has been fetching {directory} for ten minutes. End it.")
    try:
        yield
    finally:
        lock.release()


def _check(jar: Jar, path: Path) -> None:
    found = sha256(path)
    if found != jar.sha256:
        raise EmbeddedError(
            f"{path} is not the {jar} that jars.lock names: its SHA-256 is {found}, not {jar.sha256}. "
            "It will not be run. Delete the file and start again; it is then fetched anew."
        )


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download_all(jars: Sequence[Jar], directory: Path, report: Report) -> None:
    with tempfile.TemporaryDirectory(dir=directory, prefix="fetch-") as scratch:
        try:
            _by_jgo(jars, directory, Path(scratch), report)
        except EmbeddedError as refusal:
            if not shutil.which("mvn"):
                raise
            report(f"{refusal.args[0].splitlines()[0]} Trying Maven")
            _by_maven(_missing(jars, directory), directory, Path(scratch))


def _by_jgo(jars: Sequence[Jar], directory: Path, scratch: Path, report: Report) -> None:
    meter = _Meter(sum(jar.size for jar in jars))
    pool = ThreadPoolExecutor(DOWNLOADS_AT_ONCE)
    try:
        downloads = [pool.submit(_download, jar, directory, scratch, meter) for jar in jars]
        _, late = wait(downloads, PATIENCE_SECONDS)
        if late:
            _show(len(jars), meter, downloads, report)
        for download in downloads:
            download.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _download(jar: Jar, directory: Path, scratch: Path, meter: "_Meter") -> None:
    reason = ""
    for attempt in range(ATTEMPTS):
        try:
            path = _resolve(jar, scratch / str(attempt), meter, look_around=attempt == 0)
        except Exception as error:  # whatever jgo and the HTTP library below it come up with
            reason = f"{type(error).__name__}: {error}"
            continue
        if sha256(path) == jar.sha256:
            _install(path, directory / jar.filename)
            return
        reason = f"what came has the SHA-256 {sha256(path)}, not {jar.sha256}; it was thrown away"
    raise EmbeddedError(f"{jar} could not be downloaded, {ATTEMPTS} times.\nThe last reason: {reason}\n{ADVICE}")


def _resolve(jar: Jar, scratch: Path, meter: "_Meter", look_around: bool) -> Path:
    context = MavenContext(
        resolver=PythonResolver(progress_callback=meter.follow),
        repo_cache=scratch,
        local_repos=[default_maven_repo()] if look_around else [],
        remote_repos=_repositories(),
    )
    path: Path = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
    return path


def _repositories() -> dict[str, str]:
    """The mirrors of the user's jgo configuration first, then what jgo knows by itself."""
    repositories = dict(GlobalSettings.load().repositories)
    return repositories | {
        name: place for name, place in MavenContext().remote_repos.items() if name not in repositories
    }


def _install(found: Path, path: Path) -> None:
    """Put the file in place in one step: another process sees all of it or nothing."""
    part = path.with_name(f"{path.name}.part")
    shutil.copyfile(found, part)
    part.replace(path)


def _by_maven(jars: Sequence[Jar], directory: Path, scratch: Path) -> None:
    (scratch / "pom.xml").write_text(_pom(jars))
    command = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DexcludeTransitive=true", "-DoutputDirectory=libs"]
    run = subprocess.run(command, cwd=scratch, capture_output=True, text=True)
    if run.returncode != 0:
        raise EmbeddedError(f"Neither jgo nor Maven could fetch {len(jars)} jars.\n{run.stdout[-1500:]}\n{ADVICE}")
    for jar in jars:
        _check(jar, scratch / "libs" / jar.filename)
        _install(scratch / "libs" / jar.filename, directory / jar.filename)


def _pom(jars: Sequence[Jar]) -> str:
    dependencies = "".join(
        f"<dependency><groupId>{escape(jar.group)}</groupId><artifactId>{escape(jar.artifact)}</artifactId>"
        f"<version>{escape(jar.version)}</version></dependency>\n"
        for jar in jars
    )
    return (
        "<project><modelVersion>4.0.0</modelVersion>"
        "<groupId>embedded</groupId><artifactId>jars</artifactId><version>1</version>\n"
        f"<dependencies>\n{dependencies}</dependencies></project>\n"
    )


class _Meter:
    """Counts the bytes of all downloads together."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self._lock = threading.Lock()

    @contextmanager
    def follow(self, filename: str, size: int) -> Iterator[Callable[[int], None]]:
        yield self._add

    def _add(self, count: int) -> None:
        with self._lock:
            self.done += count


def _show(count: int, meter: _Meter, downloads: Sequence[Future[None]], report: Report) -> None:
    title = f"Fetching {count} jars ({meter.total / 1e6:.0f} MB)"
    if not sys.stderr.isatty():
        report(title)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=meter.total)
        while wait(downloads, 0.1).not_done:
            progress.update(task, completed=min(meter.done, meter.total))
