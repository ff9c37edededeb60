"""Servers that the processes of a test run share."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from tests.shared import Servers, shared

SERVERS = Servers("127.0.0.1:1", "postgresql://nobody@127.0.0.1:1/none")


def test_the_first_starts_them_and_stops_them_when_the_last_has_left(tmp_path: Path) -> None:
    told: list[str] = []
    first_in, first_may_go, second_in, second_may_go = Event(), Event(), Event(), Event()

    @contextmanager
    def start(directory: Path) -> Iterator[Servers]:
        told.append("started")
        yield SERVERS
        told.append("stopped")

    def use(entered: Event, may_go: Event) -> Servers:
        with shared(tmp_path, start) as servers:
            entered.set()
            may_go.wait(60)
        return servers

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(use, first_in, first_may_go)
        assert first_in.wait(60)
        second = pool.submit(use, second_in, second_may_go)
        assert second_in.wait(60)
        first_may_go.set()
        assert told == ["started"] and not first.done()
        second_may_go.set()
        assert first.result(60) == second.result(60) == SERVERS
    assert told == ["started", "stopped"]
    with shared(tmp_path, start) as servers:
        assert servers == SERVERS
    assert told == ["started", "stopped"] * 2
