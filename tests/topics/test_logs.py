"""Logs as operators read them: one line an entry, ids under one name each, no secret."""

import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import structlog

from topics import logs
from topics.settings import Settings


class Stderr:
    """What the process has written to its standard error since the last look."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def lines(self) -> list[str]:
        return self._capsys.readouterr().err.removesuffix("\n").split("\n")

    def entry(self) -> dict[str, Any]:
        (line,) = self.lines()
        return json.loads(line)  # type: ignore[no-any-return]


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[Stderr]:
    """The standard error of a process whose logs we configure; afterwards all is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield Stderr(capsys)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def configured(log_format: str = "json", log_level: str = "info") -> Any:
    logs.configure(Settings(log_format=log_format, log_level=log_level), "lanes")  # type: ignore[arg-type]
    return structlog.get_logger()


def test_off_a_terminal_an_entry_is_one_json_object_with_process_level_and_time(stderr: Stderr) -> None:
    configured("auto").info("partition taken over", partition=3)
    entry = stderr.entry()
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {"event": "partition taken over", "level": "info", "partition": 3, "process": "lanes"}


def test_each_id_has_one_name(stderr: Stderr) -> None:
    log = configured()
    with logs.about(company="acme", command=UUID(int=1), position="2:5", trace="4bf9"):
        log.info("decided")
    log.info("idle")
    decided, idle = map(json.loads, stderr.lines())
    ids = {"company": "acme", "command": str(UUID(int=1)), "position": "2:5", "trace": "4bf9"}
    assert {name: decided[name] for name in ids} == ids
    assert not ids.keys() & idle.keys()


@pytest.mark.parametrize(
    "name", ["token", "access_token", "password", "DB_PASSWORD", "client_secret", "Authorization", "dsn"]
)
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_secret_is_hidden_by_the_name_of_its_key(stderr: Stderr, name: str, log_format: str) -> None:
    configured(log_format).info("login", **{name: "hunter2"}, more={"deep": [{name: "hunter2"}]})
    (line,) = stderr.lines()
    assert "hunter2" not in line
    assert logs.HIDDEN in line


@pytest.mark.parametrize(
    "text", ["postgresql://erp:hunter2@db/erp refused", "header 'Bearer hunter2' refused", "BEARER hunter2"]
)
def test_a_password_in_a_url_and_a_bearer_token_are_hidden_wherever_they_stand(stderr: Stderr, text: str) -> None:
    log = configured()
    log.info(text, detail=text)
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("failed")
    assert not [line for line in stderr.lines() if "hunter2" in line]


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_logged_value_cannot_make_a_line_of_its_own(stderr: Stderr, log_format: str) -> None:
    configured(log_format).info("named\n[error] forged", name="x\r\n[error] forged\x1b[31m\u2028")
    (line,) = stderr.lines()
    assert "\x1b[31m" not in line


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_an_exception_is_logged_with_its_stack_and_without_the_variables(stderr: Stderr, log_format: str) -> None:
    private = "hunter" + "2"
    try:
        raise RuntimeError(f"{len(private)} is wrong")
    except RuntimeError:
        configured(log_format).exception("rule failed")
    written = "\n".join(stderr.lines())
    assert "RuntimeError: 7 is wrong" in written
    assert "hunter2" not in written


@pytest.mark.parametrize(
    "odd", [2**70, "\ud800", {1: "one"}, b"\xff", object(), {("a",): 1}, float("nan")], ids=range(7)
)
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_value_makes_logging_fail(stderr: Stderr, odd: Any, log_format: str) -> None:
    configured(log_format).info("odd", value=odd)
    assert len(stderr.lines()) == 1


def test_less_than_the_level_is_not_logged(stderr: Stderr) -> None:
    log = configured(log_level="warning")
    log.info("chatter")
    log.warning("careful")
    assert stderr.entry()["event"] == "careful"


@pytest.mark.parametrize("library", ["faust", "aiokafka.consumer.fetcher", "mode.services", "librdkafka"])
def test_libraries_come_out_the_same_way_from_warning_up(stderr: Stderr, library: str) -> None:
    configured(log_level="debug")
    with logs.about(company="acme"):
        logging.getLogger(library).info("Updated partition leader")
        logging.getLogger(library).warning("Heartbeat failed: %s", "password=x\nforged")
    entry = stderr.entry()
    assert (entry["logger"], entry["level"], entry["process"]) == (library, "warning", "lanes")
    assert (entry["event"], entry["company"]) == ("Heartbeat failed: password=x\nforged", "acme")


def test_a_library_that_repeats_itself_is_heard_once(stderr: Stderr) -> None:
    configured()
    for node in range(50):
        logging.getLogger("aiokafka").error("Unable connect to node with id %s", node)
    logging.getLogger("aiokafka").error("Something else")
    assert len(stderr.lines()) == 2


def test_a_repeated_line_is_heard_again_after_some_seconds() -> None:
    repeats = logs.Repeats(seconds=10)
    heard = []
    for now in (100.0, 105.0, 109.9, 110.0, 111.0):
        record = logging.LogRecord("aiokafka", logging.ERROR, __file__, 1, "Unable to connect", None, None)
        record.created = now
        heard.append(repeats.filter(record))
    assert heard == [True, False, False, True, False]


def test_a_warning_of_python_is_logged(stderr: Stderr) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configured()
        warnings.warn("this way is old", DeprecationWarning, stacklevel=1)
        entry = stderr.entry()
        logging.captureWarnings(False)
    assert (entry["logger"], entry["level"]) == ("py.warnings", "warning")
    assert "this way is old" in entry["event"]
