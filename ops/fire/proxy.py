"""A TCP proxy between one client and the broker that can be cut, as a network can.

What is cut is held back and passes when it is healed, as TCP would send it again: nothing is refused, nothing is lost.
"""

import asyncio
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

CHUNK = 64 * 1024
LOOK_SECONDS = 0.02
HOST = "127.0.0.1"
#: Kafka's keys of JoinGroup, Heartbeat and SyncGroup: a client sends these to its group's coordinator alone, over a
#: connection that is for the coordinator alone.
OF_GROUPS = frozenset({11, 12, 14})


class Cut(StrEnum):
    """Where the network fails."""

    BOTH = "both ways"
    REQUESTS = "what the client sends"
    ANSWERS = "what the broker answers"
    COORDINATOR = "the connection to the group's coordinator"


@dataclass
class Frames:
    """Finds the keys of Kafka's requests in a stream: each begins with its length (4 bytes) and its key (2 bytes)."""

    _rest: bytes = b""
    _skip: int = 0

    def keys(self, data: bytes) -> set[int]:
        """The keys of the requests that begin in the next piece of the stream."""
        self._rest += data
        found: set[int] = set()
        while True:
            skipped = min(self._skip, len(self._rest))
            self._rest, self._skip = self._rest[skipped:], self._skip - skipped
            if self._skip or len(self._rest) < 6:
                return found
            size, key = struct.unpack(">ih", self._rest[:6])
            found.add(key)
            self._skip = 4 + size


@dataclass
class Link:
    """One connection through the proxy."""

    frames: Frames = field(default_factory=Frames)
    to_coordinator: bool = False

    def sent(self, data: bytes) -> None:
        self.to_coordinator = self.to_coordinator or bool(self.frames.keys(data) & OF_GROUPS)


@dataclass
class Proxy:
    """Listens at `port` and passes on to `target`, as far as `cut` lets it; both ports are of 127.0.0.1."""

    port: int
    target: int
    cut: Cut | None = None

    async def listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, HOST, self.port)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answers, requests = await asyncio.open_connection(HOST, self.target)
        except OSError:  # no broker: whoever connects is turned away
            writer.close()
            return
        link = Link()
        await asyncio.gather(self._requests(link, reader, requests), self._answers(link, answers, writer))

    async def _requests(self, link: Link, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(CHUNK):
                link.sent(data)
                await self._pass(link, data, target, Cut.REQUESTS)
        target.close()

    async def _answers(self, link: Link, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(CHUNK):
                await self._pass(link, data, target, Cut.ANSWERS)
        target.close()

    async def _pass(self, link: Link, data: bytes, target: asyncio.StreamWriter, way: Cut) -> None:
        while self._holds(link, way):  # noqa: ASYNC110 - `cut` is set from another thread
            await asyncio.sleep(LOOK_SECONDS)
        target.write(data)
        await target.drain()

    def _holds(self, link: Link, way: Cut) -> bool:
        return self.cut in (Cut.BOTH, way) or (self.cut is Cut.COORDINATOR and link.to_coordinator)


class Network:
    """Proxies by name, at work in a thread until `stop`."""

    def __init__(self, proxies: Mapping[str, Proxy]) -> None:
        self.proxies = proxies
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)

    def start(self) -> None:
        """Return when all listen."""
        self._thread.start()
        for proxy in self.proxies.values():
            asyncio.run_coroutine_threadsafe(proxy.listen(), self._loop).result()

    def heal(self) -> None:
        for proxy in self.proxies.values():
            proxy.cut = None

    def stop(self) -> None:
        """End at once, with all connections."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
