"""A shell in which `bitcorp` is called."""

from pathlib import Path

import pytest

from tests.ops.shell import Shell


@pytest.fixture
def bitcorp(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    """Called with words as on a command line; its directory is empty, so nothing runs."""
    return Shell(monkeypatch, capsys, DIRECTORY=str(tmp_path / "stack"))
