"""Slow clients, and the end of the process."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from api import server
from tests.api.callers import Api, address_of, run, until
from tests.api.serving import answer_to, serving
from tests.api.test_commands import records
from topics.provision import create_topics


@pytest.mark.thorough
@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX-Half: "])
async def test_a_connection_whose_headers_do_not_arrive_is_closed(
    door: Api, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.3)
    async with serving(door.settings) as port:
        assert await answer_to(port, sent) == b""


@pytest.mark.thorough
async def test_a_body_that_does_not_arrive_is_not_waited_for(door: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.door.BODY_SECONDS", 0.3)
    token = door.user("ann").token
    head = f"POST /api/v1/equipment HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
    sent = f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode()
    monkeypatch.setattr(server, "LINGERING_SECONDS", 0.3)
    async with serving(door.settings) as port:
        received = await answer_to(port, sent)
    assert b" 408 " in received.partition(b"\r\n")[0]
    assert b"too-slow" in received


@pytest.fixture
def undecided(world: Api) -> Iterator[Api]:
    """Another API, whose commands nobody decides."""
    folder = world.settings.directory / "undecided"
    settings = world.settings.model_copy(update={"directory": folder, "prefix": f"{world.settings.prefix}-undecided"})
    folder.mkdir()
    create_topics(settings)
    process = run("api.app", settings)
    try:
        yield Api(settings, address_of(folder / "api.log", process), {"api": process})
    finally:
        process.kill()
        process.wait()


def test_who_waits_in_vain_is_told_where_to_look_even_when_the_process_stops(
    undecided: Api, machine: dict[str, Any]
) -> None:
    ann, process = undecided.user("ann"), undecided.processes["api"]
    vain = ann.post("equipment", machine, {"Prefer": "wait=1"})
    assert (vain.status_code, vain.headers["Preference-Applied"]) == (202, "wait=1")
    assert ann.get(vain.headers["Location"]).json()["status"] == "pending"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ann.post, "equipment", machine, {"Prefer": "wait=20"})
        until(lambda: "bitcorp_api_waiters 1.0" in undecided.nobody().get("/metrics").text, "somebody waits")
        process.terminate()
        answer = waiting.result(60)
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    assert process.wait(60) == 0
    assert len(records(undecided.settings, f"{undecided.settings.prefix}.commands", "acme")) == 2
