"""What is tried again while a server is away, and what is not."""

import pytest

import agents.patience
from agents.patience import patiently
from topics import metrics


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_PAUSE", "LONGEST_PAUSE", "JITTER"):
        monkeypatch.setattr(agents.patience, name, 0.0)


class Server:
    """Away for some calls, then there."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.calls = 0

    async def ask(self, question: str) -> str:
        self.calls += 1
        if self.faults:
            raise self.faults.pop(0)
        return f"{question}!"


def retries() -> float:
    return metrics.WORKER_RETRIES._value.get()


async def test_an_action_is_tried_again_until_the_server_is_there_and_each_time_is_counted() -> None:
    server, before = Server(*(ConnectionError("away") for _ in range(20))), retries()
    assert await patiently((OSError,), server.ask, "there") == "there!"
    assert (server.calls, retries() - before) == (21, 20)


async def test_a_fault_that_time_does_not_mend_is_not_tried_again() -> None:
    server = Server(ConnectionError("away"), ValueError("a bug"))
    with pytest.raises(ValueError, match="a bug"):
        await patiently((OSError,), server.ask, "there")
    assert server.calls == 2
