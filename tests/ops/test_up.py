"""`bitcorp up` as a process: what dies comes back, and whatever ends it, nothing stays."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops import stack
from ops.stack import Addresses
from tests.ops.shell import Shell, start

pytestmark = pytest.mark.servers

PATIENCE_SECONDS = 90.0
JARS = os.environ.get("BITCORP_JARS") or str(Path(".bitcorp", "jars").absolute())


class Up:
    """A running `bitcorp up` with its directory and what it has written."""

    def __init__(self, directory: Path, **variables: str) -> None:
        self.directory = directory
        self.log = directory.with_suffix(".log")
        given = {"DIRECTORY": str(directory), "JARS": JARS, "API_PORT": "0", "PARTITIONS": "2", **variables}
        self.process = start("up", "--workers", "1", log=self.log, **given)

    @property
    def said(self) -> str:
        return self.log.read_text()

    def addresses(self) -> Addresses:
        """As soon as it runs."""
        until(lambda: "Try next" in self.said or self.process.poll() is not None)
        found = stack.read(self.directory)
        assert found, self.said
        return found

    def children(self) -> dict[str, int]:
        """Process by name, as their lock files say; locks without a living holder are left out."""
        paths = [*self.directory.glob("run/*.lock"), *self.directory.glob("*/*.lock")]
        found = {path.stem: int(path.read_text() or 0) for path in paths}
        return {name: pid for name, pid in found.items() if running(pid)}

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """Starts one; it is ended after the test."""
    started: list[Up] = []

    def begin(**variables: str) -> Up:
        started.append(Up(tmp_path / "stack", **variables))
        return started[-1]

    yield begin
    for each in started:
        if each.process.poll() is None:
            each.end(signal.SIGTERM)


def until(fact: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def running(pid: int) -> bool:
    """Whether the process works; one that nobody has buried yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def create_company(shell: Shell, up: Up, name: str) -> dict[str, str]:
    """Sent from another shell, which finds the stack by its directory."""
    shell.set(DIRECTORY=str(up.directory))
    admin = ("ann", "Ann Soto", "ann@acme.example")
    said = shell("send", "create-company", name, "Acme", "UTC", "EUR", *admin, "--actor", "operator:root", "--json")
    outcome: dict[str, str] = json.loads(said.out or "{}")
    return outcome


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One that runs, for the tests that let it run on."""
    running_stack = Up(tmp_path_factory.mktemp("up") / "stack")
    running_stack.addresses()
    yield running_stack
    running_stack.end(signal.SIGTERM)


@pytest.mark.long
def test_what_is_printed_works_in_another_shell(shared: Up, bitcorp: Shell) -> None:
    lines = [line.strip() for line in shared.said.splitlines()]
    commands = lines[lines.index("Try next, in another shell:") + 1 :]
    made = subprocess.run(commands[0], shell=True, capture_output=True, text=True)
    assert "accepted" in made.stdout, made.stderr
    bitcorp.set(DIRECTORY=str(shared.directory))
    assert "company-created" in bitcorp("tail", "events", "--from-beginning", "--no-follow").text
    said = bitcorp("verify")
    assert said.code == 0, said.text
    companies = subprocess.run(commands[2], shell=True, capture_output=True, text=True)
    assert [item["company_id"] for item in json.loads(companies.stdout)["items"]] == ["acme"]


@pytest.mark.long
def test_a_second_one_in_the_same_directory_is_refused(shared: Up, tmp_path: Path) -> None:
    second = start("up", log=tmp_path / "log", DIRECTORY=str(shared.directory), API_PORT="0", JARS=JARS)
    assert second.wait(PATIENCE_SECONDS) == 1
    said = " ".join((tmp_path / "log").read_text().split())
    assert f"A platform runs in {shared.directory} already (pid {shared.process.pid})" in said
    assert "BITCORP_DIRECTORY" in said
    assert shared.process.poll() is None


@pytest.mark.long
def test_a_child_that_dies_is_started_again(shared: Up, bitcorp: Shell) -> None:
    children = shared.children()
    assert set(children) == {"kafka", "postgres", "lanes-1", "credentials", "views", "audit", "imports", "timer", "api"}
    for name in ("lanes-1", "kafka"):
        os.kill(children[name], signal.SIGKILL)
        until(lambda name=name: f"{name} runs again" in shared.said)  # type: ignore[misc]
        assert shared.children()[name] != children[name]
    assert create_company(bitcorp, shared, "beta")["status"] == "accepted"


@pytest.mark.long
def test_children_end_with_a_parent_that_is_killed_and_the_next_one_stops_clean(up: Callable[..., Up]) -> None:
    killed = up()
    killed.addresses()
    children = killed.children()
    killed.end(signal.SIGKILL)
    until(lambda: not any(running(pid) for pid in children.values()))
    again = up()
    assert again.addresses().pid == again.process.pid
    children = again.children()
    assert again.end(signal.SIGTERM) == 0
    assert not any(running(pid) for pid in children.values())
    assert stack.read(again.directory) is None


@pytest.mark.long
def test_ctrl_c_during_the_start_leaves_nothing(up: Callable[..., Up]) -> None:
    starting = up()
    until(lambda: bool(starting.children()))
    children = starting.children()
    assert starting.end(signal.SIGINT) == 0
    assert not any(running(pid) for pid in {**children, **starting.children()}.values())


def test_a_taken_port_is_refused_before_anything_starts(up: Callable[..., Up]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = up(API_PORT=str(port))
        assert refused.process.wait(PATIENCE_SECONDS) == 1
    assert f"needs port {port}" in refused.said
    assert "BITCORP_API_PORT" in refused.said
    assert not refused.children()
