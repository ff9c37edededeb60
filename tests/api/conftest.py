"""Two APIs to talk to: `door`, whose requests end before Kafka and PostgreSQL are asked, and `world`, which has all."""

import asyncio
from collections.abc import Iterator
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web

from api.app import make_app
from api.server import Runner
from ops.embedded import Stack
from tests.api.callers import WORKERS, Api, Caller, address_of, open_company, run
from tests.ops.platforms import provisioned
from topics.settings import Settings


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API in this process that never connects to anything."""
    settings = Settings(
        kafka="127.0.0.1:1",
        database="postgresql://nobody@127.0.0.1:1/none",
        directory=tmp_path_factory.mktemp("door"),
        rate_limits="",
    )
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> Runner:
        app = make_app(settings)
        app.cleanup_ctx.clear()
        runner = Runner(app, settings)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result()
    yield Api(settings, f"http://127.0.0.1:{runner.addresses[0][1]}")
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


@pytest.fixture(scope="session")
def world(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """API, lanes and views as processes of their own, with the companies acme (admin ann) and globex (admin gus)."""
    directory, chosen = tmp_path_factory.mktemp("world"), {"partitions": 3, "api_port": 0, "wait_limit": 20}
    with provisioned(stack, directory, rate_limits="", **chosen) as settings:
        processes = {name: run(module, settings) for name, module in WORKERS.items()}
        try:
            api = Api(settings, address_of(directory / "api.log", processes["api"]), processes)
            open_company(api, "acme", "ann")
            open_company(api, "globex", "gus")
            yield api
        finally:
            for process in processes.values():
                process.terminate()
            for process in processes.values():
                process.wait(30)


@pytest.fixture
def ann(world: Api) -> Caller:
    """Admin of acme."""
    return world.user("ann")


@pytest.fixture
def gus(world: Api) -> Caller:
    """Admin of globex."""
    return world.user("gus", "globex")


@pytest.fixture
def machine() -> dict[str, Any]:
    """The body of a new machine; ids differ from test to test."""
    number = uuid4().int % 1_000_000
    return {
        "equipment_id": f"EX-{uuid4().hex[:10]}",
        "name": f"Komatsu PC210 No. {number}",
        "serial_number": f"EQ-{uuid4().int % 9000 + 1000}-EX-{number:06}",
        "category_id": "excavators",
        "in_service_on": "2024-02-12",
    }
