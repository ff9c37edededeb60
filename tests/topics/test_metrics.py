"""One list of metrics, each with its meaning, and the port that shows them."""

from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from topics import metrics


def samples() -> set[str]:
    """Names in the registry that are ours."""
    return {family.name for family in REGISTRY.collect() if family.name.startswith("bitcorp")}


def test_every_metric_is_in_the_list_with_its_meaning() -> None:
    listed = {metric.name.removesuffix("_total").removesuffix("_info") for metric in metrics.METRICS}
    assert listed == samples()
    assert all(metric.meaning.endswith(".") and len(metric.meaning) > 10 for metric in metrics.METRICS)


def test_every_metric_is_measured_somewhere() -> None:
    names = {name for name, value in vars(metrics).items() if name.isupper() and hasattr(value, "describe")}
    root = Path(metrics.__file__).parents[1]
    code = "\n".join(path.read_text() for room in ("agents", "api", "ops") for path in (root / room).rglob("*.py"))
    assert {name for name in names if name not in code} <= {"PROCESS"}


def test_no_metric_has_a_company_or_a_user_as_label() -> None:
    few = {"status", "reason", "partition", "group", "realm", "route", "method", "result", "type"}
    assert {label for metric in metrics.METRICS for label in metric.labels} <= few


def test_the_list_prints_as_a_table() -> None:
    head, _, *rows = metrics.table().splitlines()
    assert head == "| metric | kind | labels | meaning |"
    assert len(rows) == len(metrics.METRICS)
    assert "| `bitcorp_lane_commands_total` | counter | status |" in metrics.table()


@pytest.fixture
def health() -> list[bool]:
    """Whether the process says that it is well; a test may change its mind."""
    return [True]


@pytest.fixture
def connection(health: list[bool]) -> Iterator[HTTPConnection]:
    server = metrics.serve(0, healthy=lambda: health[-1])
    yield HTTPConnection("127.0.0.1", server.server_port)
    server.shutdown()
    server.server_close()


def get(connection: HTTPConnection, path: str) -> tuple[int, str]:
    connection.request("GET", path)
    response = connection.getresponse()
    assert "Python" not in (response.getheader("Server") or "")
    return response.status, response.read().decode()


def test_a_worker_shows_its_metrics(connection: HTTPConnection) -> None:
    metrics.identify("lanes", "0.1.0")
    metrics.LANE_COMMANDS.labels("accepted").inc()
    status, text = get(connection, "/metrics")
    assert status == 200
    assert 'bitcorp_lane_commands_total{status="accepted"}' in text
    assert 'process="lanes"' in text


def test_a_worker_says_whether_it_is_well(connection: HTTPConnection, health: list[bool]) -> None:
    assert get(connection, "/health") == (200, "ok\n")
    health.append(False)
    assert get(connection, "/health") == (503, "stuck\n")


def test_a_worker_shows_nothing_else(connection: HTTPConnection) -> None:
    status, text = get(connection, "/debug")
    assert (status, text) == (404, "There are /metrics and /health.\n")
