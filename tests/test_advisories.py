"""What `make lint` makes of advisories of the pinned packages: a fault fails it, silence is never taken for a pass."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FAULT = {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "fix_versions": ["2.0"]}
SOUND = {"name": "orjson", "version": "3.13.0", "vulns": []}
FAULTY = {"name": "aiohttp", "version": "1.0", "vulns": [FAULT]}
SKIPPED = {"name": "own", "skip_reason": "not found"}


@pytest.fixture
def advisories(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script, with a list of allowed faults of its own."""
    path = Path(__file__).parent.parent / ".ci" / "advisories.py"
    spec = importlib.util.spec_from_file_location("advisories", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ALLOWED", tmp_path / "advisories.txt")
    return module


def outcome(advisories: ModuleType, monkeypatch: pytest.MonkeyPatch, listed: str, *packages: dict[str, Any]) -> int:
    advisories.ALLOWED.write_text(listed)
    monkeypatch.setattr(advisories, "answer", lambda: {"dependencies": packages})
    return int(advisories.main())


def test_a_fault_fails_unless_it_is_allowed_with_a_reason(
    advisories: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(advisories, monkeypatch, "", SOUND, FAULTY) == 1
    assert "aiohttp 1.0: PYSEC-2026-1, mended by 2.0" in capsys.readouterr().out
    assert outcome(advisories, monkeypatch, "# why\nCVE-2026-1 we parse no such thing\n", SOUND, FAULTY) == 0
    with pytest.raises(ValueError, match="CVE-2026-1 has no reason"):
        outcome(advisories, monkeypatch, "CVE-2026-1\n", SOUND)


def test_packages_that_the_service_does_not_know_are_said_not_to_be_checked(
    advisories: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(advisories, monkeypatch, "", SOUND, SKIPPED) == 0
    assert "not run for 1 of 2 packages" in capsys.readouterr().out
    assert outcome(advisories, monkeypatch, "", SKIPPED) == 0
    assert "No known faults" not in capsys.readouterr().out
    assert outcome(advisories, monkeypatch, "", SKIPPED, FAULTY) == 1


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("command", "said"),
    [("import time; time.sleep(60)", "no answer within 1 s"), ("raise OSError('nobody there')", "nobody there")],
)
def test_a_service_that_is_away_is_said_to_be(
    advisories: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, said: str
) -> None:
    advisories.ALLOWED.write_text("")
    monkeypatch.setattr(advisories, "SECONDS", 1)
    monkeypatch.setattr(advisories, "ASK", ("-c", command))
    if "sleep" not in command:
        monkeypatch.setattr(advisories, "SECONDS", 60)
    assert advisories.main() == 0
    assert "Advisories: not run: " in (told := capsys.readouterr().out)
    assert said in told


def test_the_list_of_this_checkout_can_be_read(advisories: ModuleType) -> None:
    advisories.allowed((Path(__file__).parent.parent / ".ci" / "advisories.txt").read_text())
