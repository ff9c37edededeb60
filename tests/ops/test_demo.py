"""The demo: every figure is compared, it runs in its own folder, and nothing of it stays behind."""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from http import HTTPMethod, HTTPStatus
from pathlib import Path
from uuid import UUID, uuid5

import pytest

from ops import fleet
from ops.demo import next_commands, settings_of_demo
from ops.embedded import EmbeddedError
from ops.embedded.locks import Lock
from ops.findings import checks, percentile, wrong_answers
from ops.requests import Exchange, Request, transcript
from ops.running import emptied
from ops.watch import Answer, Watch
from topics.settings import Settings

ID = UUID("0198a000-0000-7000-8000-000000000000")


def sent(number: int, answer: str = fleet.ACCEPTED, *events: str) -> fleet.Sent:
    kind, subject = "equipment.rename-equipment", "equipment/ex-1"
    return fleet.Sent(
        f"file.csv:{number}", kind, "acme", subject, str(uuid5(ID, str(number))), "", answer, events, False
    )


def answer(number: int, text: str = fleet.ACCEPTED) -> Answer:
    return Answer(("acme", str(uuid5(ID, str(number)))), text, (0, number), None, 0.0)


def watched(*answers: Answer, **events: int) -> Watch:
    """A watch that has seen these, without any Kafka."""
    watch = Watch(Settings())
    watch.commands = len(answers)
    watch.answers += answers
    watch.events.update({name.replace("_", "-"): count for name, count in events.items()})
    return watch


def test_all_figures_are_right_where_all_came_as_expected() -> None:
    commands = [sent(1, fleet.ACCEPTED, "equipment-renamed"), sent(2, "forbidden")]
    watch = watched(answer(1), answer(2, "forbidden"), equipment_renamed=1)
    assert all(check.right for check in checks(commands, watch, fleet.rows(commands)))
    assert list(wrong_answers(commands, watch.answers)) == []


def test_a_missing_event_and_a_missing_row_are_two_wrong_figures_each_where_it_belongs() -> None:
    commands = [sent(1, fleet.ACCEPTED, "equipment-renamed")]
    rows = fleet.rows(commands) | {"history": 0}
    wrong = [check for check in checks(commands, watched(answer(1)), rows) if not check.right]
    assert [(check.table, check.name) for check in wrong] == [
        ("Topics", "events"),
        ("Events by type", "equipment-renamed"),
        ("Rows in the views", "history"),
    ]


def test_something_that_nobody_expected_is_a_wrong_figure_too() -> None:
    wrong = [check for check in checks([], watched(answer(1, "failed")), fleet.rows([])) if not check.right]
    assert ("Commands by outcome", "failed", 0, 1) in [(c.table, c.name, c.expected, c.seen) for c in wrong]


def test_two_answers_that_changed_places_are_found_though_their_numbers_are_right() -> None:
    commands = [sent(1), sent(2, "forbidden")]
    watch = watched(answer(1, "forbidden"), answer(2))
    assert [line.split(" ")[0] for line in wrong_answers(commands, watch.answers)] == ["file.csv:1", "file.csv:2"]


def test_a_command_answered_twice_is_told_with_the_line_it_came_from() -> None:
    [line] = wrong_answers([sent(7)], [answer(7), answer(7)])
    assert line.startswith("file.csv:7 (acme, ")
    assert line.endswith("expected accepted, seen accepted, accepted")


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100)])
def test_percentiles_are_values_that_occurred(share: float, expected: int) -> None:
    assert percentile(range(1, 101), share) == expected


def test_of_nothing_there_is_no_percentile() -> None:
    assert math.isnan(percentile([], 0.5))


def test_an_answer_is_shown_with_its_request_as_a_shell_line() -> None:
    request = Request("Title", "acme", "ann", HTTPMethod.GET, "equipment", HTTPStatus.OK, query={"q": "ltm 1300"})
    shown = transcript(1, Exchange(request, 200, {"ETag": '"1-x"'}, {"items": []}), "http://here").plain
    assert "curl -H \"$TOKEN\" 'http://here/api/v1/equipment?q=ltm+1300'" in shown
    assert 'HTTP 200  ETag: "1-x"' in shown


def test_data_of_earlier_demos_are_removed_but_not_its_keys(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "kafka.lock").touch()
    (tmp_path / "token-key.pem").touch()
    emptied(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"token-key.pem", "stack.lock"}


def test_a_running_demo_is_not_disturbed_by_a_second_one(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    running = Lock(tmp_path / "stack.lock")
    running.acquire()
    with pytest.raises(EmbeddedError, match=f"A platform runs in .* already \\(pid {os.getpid()}\\)"):
        emptied(tmp_path)
    assert (tmp_path / "kafka").exists()
    running.release()


def test_the_demo_never_touches_servers_that_the_settings_name() -> None:
    own = settings_of_demo(Settings(kafka="production:9092", database="postgresql://production/erp", replication=3))
    assert (own.kafka, own.database.get_secret_value(), own.replication) == ("", "", 1)
    assert own.directory.name == "demo"


def test_it_ends_with_three_commands_to_try() -> None:
    up, tail, curl = next_commands(Settings(), Path(".bitcorp/demo"))
    assert up.startswith("BITCORP_DIRECTORY=.bitcorp/demo ")
    assert " tail events" in tail
    assert curl.startswith("curl ")


def start(directory: Path, output: Path) -> "subprocess.Popen[bytes]":
    environment = os.environ | {"BITCORP_DIRECTORY": str(directory)}
    with output.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "ops.main", "demo"], env=environment, stdout=file, stderr=subprocess.STDOUT
        )


def wait_until(fact: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def nobody_runs_in(directory: Path) -> bool:
    """Every process of the platform holds a lock in the demo's folder as long as it lives."""
    for path in directory.rglob("*.lock"):
        lock = Lock(path)
        if not lock.acquire():
            return False
        lock.release()
    return True


@pytest.mark.servers
@pytest.mark.slow
def test_every_figure_of_the_demo_is_what_the_data_files_imply(tmp_path: Path) -> None:
    demo = start(tmp_path / "data", tmp_path / "output")
    assert demo.wait(300) == 0, (tmp_path / "output").read_text()[-8000:]
    told = (tmp_path / "output").read_text()
    assert "DIFFERS" not in told
    assert all(words in told for words in ("commands/s", "p50", "p99", "Five requests", "Try next"))
    assert nobody_runs_in(tmp_path / "data")


@pytest.mark.servers
@pytest.mark.long
@pytest.mark.parametrize("stage", ["kafka/kafka.lock", "logs/upstream.log"])
def test_an_interrupted_demo_leaves_no_process_behind(tmp_path: Path, stage: str) -> None:
    demo = start(tmp_path / "data", tmp_path / "output")
    wait_until((tmp_path / "data" / "demo" / stage).exists, 120)
    demo.send_signal(signal.SIGINT)
    assert demo.wait(60) == 130, (tmp_path / "output").read_text()[-8000:]
    assert nobody_runs_in(tmp_path / "data")
