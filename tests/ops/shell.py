"""`bitcorp` as a shell calls it, in this process or in one of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.main import main
from ops.settings import as_environment
from topics.settings import Settings

CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Said:
    """Exit code and what was written; lines are joined, since a terminal's width breaks them anywhere."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return " ".join((self.out + self.err).split())


class Shell:
    """Calls with these BITCORP_* variables and no others."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **variables: str) -> None:
        self._capsys = capsys
        for name in [name for name in os.environ if name.startswith("BITCORP_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("COLUMNS", "200")
        self._monkeypatch = monkeypatch
        self.set(**variables)

    def use(self, settings: Settings) -> None:
        """From now on, these settings."""
        for name, value in as_environment(settings).items():
            self._monkeypatch.setenv(name, value)

    def set(self, **variables: str) -> None:
        for name, value in variables.items():
            self._monkeypatch.setenv(f"BITCORP_{name}", value)

    def __call__(self, *words: str) -> Said:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(words)
        written = self._capsys.readouterr()
        return Said(int(ended.value.code or 0), written.out, written.err)


def environment(**variables: str) -> dict[str, str]:
    """This process's environment with these BITCORP_* variables and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BITCORP_")}
    return kept | {f"BITCORP_{name}": value for name, value in variables.items()}


def start(*words: str, log: Path, **variables: str) -> subprocess.Popen[bytes]:
    """`bitcorp` as a process of its own, writing to `log`."""
    with log.open("wb") as file:
        command = [sys.executable, "-m", "ops.main", *words]
        return subprocess.Popen(
            command, cwd=CHECKOUT, env=environment(**variables), stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
