"""A network that can be cut: what is held back, what goes on, and what comes once it is healed."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ops.embedded.ports import free_ports
from ops.fire.proxy import HOST, Cut, Frames, Network, Proxy

PRODUCE, JOIN_GROUP, HEARTBEAT = 0, 11, 12
SILENCE_SECONDS = 0.2


def request(key: int, rest: bytes = b"....") -> bytes:
    """A request of Kafka's: its length, its key, and whatever."""
    return struct.pack(">ih", 2 + len(rest), key) + rest


class Client:
    """One connection through the proxy to a server that says everything again."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def say(self, data: bytes) -> None:
        self._writer.write(data)

    async def hears(self, data: bytes) -> bool:
        async with asyncio.timeout(10):
            return await self._reader.readexactly(len(data)) == data

    async def hears_nothing(self) -> bool:
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                await self._reader.readexactly(1)
        except TimeoutError:
            return True
        return False


class Net:
    """A proxy before a server that notes what it hears, and says it again."""

    def __init__(self) -> None:
        self.heard = b""
        port, target = free_ports(2)
        self.proxy = Proxy(port, target)

    async def echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1024):
            self.heard += data
            writer.write(data)
        writer.close()

    async def client(self) -> Client:
        return Client(*await asyncio.open_connection(HOST, self.proxy.port))


@asynccontextmanager
async def serving() -> AsyncIterator[Net]:
    net = Net()
    async with await asyncio.start_server(net.echo, HOST, net.proxy.target), await net.proxy.listen():
        yield net
        net.proxy.cut = None


async def test_whatever_is_said_passes() -> None:
    async with serving() as net:
        client = await net.client()
        client.say(b"hello")
        assert await client.hears(b"hello")


@pytest.mark.parametrize(
    ("cut", "heard"), [(Cut.BOTH, b""), (Cut.ANSWERS, b"hello"), (Cut.REQUESTS, b"")], ids=lambda given: str(given)
)
async def test_what_is_cut_comes_once_it_is_healed(cut: Cut, heard: bytes) -> None:
    """One way the server hears and its answer does not come; the other way it hears nothing."""
    async with serving() as net:
        client = await net.client()
        net.proxy.cut = cut
        client.say(b"hello")
        assert await client.hears_nothing()
        assert net.heard == heard
        net.proxy.cut = None
        assert await client.hears(b"hello")


async def test_only_the_connection_to_the_coordinator_is_cut() -> None:
    async with serving() as net:
        data, group = await net.client(), await net.client()
        group.say(request(JOIN_GROUP))
        assert await group.hears(request(JOIN_GROUP))
        net.proxy.cut = Cut.COORDINATOR
        group.say(request(HEARTBEAT))
        data.say(request(PRODUCE))
        assert await data.hears(request(PRODUCE))
        assert await group.hears_nothing()
        net.proxy.cut = None
        assert await group.hears(request(HEARTBEAT))


async def test_a_new_connection_that_turns_out_to_be_the_coordinators_is_held_too() -> None:
    async with serving() as net:
        net.proxy.cut = Cut.COORDINATOR
        client = await net.client()
        client.say(request(PRODUCE))
        assert await client.hears(request(PRODUCE))
        client.say(request(HEARTBEAT))
        assert await client.hears_nothing()


async def test_without_a_server_whoever_connects_is_turned_away() -> None:
    port, nobody = free_ports(2)
    async with await Proxy(port, nobody).listen():
        reader, _ = await asyncio.open_connection(HOST, port)
        assert await reader.read() == b""


@pytest.mark.parametrize("size", [1, 2, 5, 7, 100, 10_000])
def test_requests_are_found_however_the_stream_is_cut_into_pieces(size: int) -> None:
    stream = request(PRODUCE, b"x" * 5000) + request(JOIN_GROUP) + request(HEARTBEAT, b"")
    frames = Frames()
    found = [key for at in range(0, len(stream), size) for key in sorted(frames.keys(stream[at : at + size]))]
    assert found == [PRODUCE, JOIN_GROUP, HEARTBEAT]


def test_a_network_listens_in_a_thread_until_it_is_stopped() -> None:
    port, nobody = free_ports(2)
    network = Network({"lanes-1": Proxy(port, nobody, Cut.BOTH)})
    network.start()
    network.heal()
    assert network.proxies["lanes-1"].cut is None
    network.stop()
    network.stop()
