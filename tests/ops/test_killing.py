"""The whole platform under load, its processes killed again and again: what is left agrees with its journal."""

import os
import signal
from collections.abc import Iterator
from random import Random

import pytest

from ops.running import Platform
from ops.verify import audit
from tests.agents.load import Load
from tests.agents.upstream import Upstream, until
from topics.settings import Settings

ROUNDS = 10

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@pytest.fixture
def platform(settings: Settings) -> Iterator[Platform]:
    """Two lane workers, a views worker, a timer and the API, looked after as `bitcorp up` does."""
    with Platform(settings.model_copy(update={"api_port": 0, "session_seconds": 3})) as running:
        yield running


def test_ten_rounds_of_killing_processes_end_with_a_clean_verification(platform: Platform) -> None:
    chance = Random(ROUNDS)
    upstream = Upstream(platform.settings)
    load = Load(upstream, seed=ROUNDS)
    for _ in range(ROUNDS):
        load.beyond(chance.randint(100, 900))
        victim = chance.choice([process for process in platform.processes if process.name != "api"])
        kill(platform, victim.name)
        load.beyond(chance.randint(0, 600))
    load.enough()
    upstream.until_all_decided()
    upstream.close()
    found = audit(platform.settings, wait=60)
    assert found.clean, found.samples


def kill(platform: Platform, name: str) -> None:
    """Kill a process, and return when its successor runs."""
    process = next(process for process in platform.processes if process.name == name)
    first = process.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)

    def replaced() -> bool:
        platform.look_after()
        return process.pid not in (None, first)

    until(replaced, what=f"{name} runs again")
