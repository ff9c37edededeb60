"""A shell in which `bitcorp` is called, and a Kafka that knows its clients."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.guarded import Guarded, guarded
from tests.ops.shell import Shell


@pytest.fixture
def bitcorp(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    """Called with words as on a command line; its directory is empty, so nothing runs."""
    return Shell(monkeypatch, capsys, DIRECTORY=str(tmp_path / "stack"))


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A Kafka with TLS, users and rights: its settings are none that the run's other one could have beside its own."""
    with guarded(tmp_path_factory.mktemp("guarded")) as running:
        yield running
