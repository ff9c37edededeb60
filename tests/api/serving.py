"""An API of the test's own in this process, and raw bytes to send to it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from api import server
from api.app import make_app
from topics.settings import Settings


@contextlib.asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[int]:
    """The port of an API that connects to nothing."""
    app = make_app(settings)
    app.cleanup_ctx.clear()
    runner = server.Runner(app, settings)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def answer_to(port: int, sent: bytes) -> bytes:
    """All that the server says until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    received = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return received
