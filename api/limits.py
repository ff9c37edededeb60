"""How many requests are taken: by user and company, and by address from whoever has no token that counts.

The table is the setting `rate_limits`. What an answer tells follows the IETF draft on RateLimit header fields. Where
Redis does not answer, each process counts by itself.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiohttp import web
from limits import RateLimitItem, parse_many
from limits.aio.storage import RedisStorage
from limits.aio.storage.base import Storage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError

from api.addresses import Networks, client_address, counted_address, networks
from api.door import ORIGIN, ROOT, Door
from api.problems import quota_exceeded
from api.tokens import Principal
from topics.origin import Origin
from topics.settings import Settings

#: The policy of whatever the table does not name.
REST = "resources"
RATE_HEADERS = web.RequestKey("rate_headers", dict[str, str])
REDIS_SECONDS = 0.5

log = structlog.get_logger("api")

Policies = Mapping[str, tuple[RateLimitItem, ...]]


class Counters(Storage):
    """Counters of this process. Those that have run out leave in the order in which they do: the library's own storage
    looks at every counter with every request, which costs a millisecond with a few thousand callers."""

    STORAGE_SCHEME: list[str] | None = None
    base_exceptions: type[Exception] | tuple[type[Exception], ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, int] = {}
        self._ends: dict[int, OrderedDict[str, float]] = {}

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        now = time.time()
        self._forget(now)
        self._ends.setdefault(expiry, OrderedDict()).setdefault(key, now + expiry)
        self._counts[key] = self._counts.get(key, 0) + amount
        return self._counts[key]

    def _forget(self, now: float) -> None:
        for ends in self._ends.values():
            while ends and (first := next(iter(ends.items())))[1] <= now:
                del ends[first[0]], self._counts[first[0]]

    async def get(self, key: str) -> int:
        self._forget(time.time())
        return self._counts.get(key, 0)

    async def get_expiry(self, key: str) -> float:
        return next((ends[key] for ends in self._ends.values() if key in ends), time.time())

    async def check(self) -> bool:
        return True

    async def reset(self) -> int | None:
        forgotten = len(self._counts)
        self._counts.clear()
        self._ends.clear()
        return forgotten

    async def clear(self, key: str) -> None:
        for ends in self._ends.values():
            ends.pop(key, None)
        self._counts.pop(key, None)


@dataclass(frozen=True)
class Quota:
    """One window of a policy for one caller: what is left of it, and for how many seconds it lasts."""

    name: str
    item: RateLimitItem
    remaining: int
    seconds: int
    exceeded: bool

    @property
    def policy(self) -> str:
        return f'"{self.name}";q={self.item.amount};w={self.item.get_expiry()}'

    @property
    def state(self) -> str:
        return f'"{self.name}";r={self.remaining};t={self.seconds}'


@dataclass
class Limits:
    """The middleware that finds out who asks, counts, and lets no more pass than the table says."""

    door: Door
    policies: Policies
    proxies: Networks
    shared: FixedWindowRateLimiter | None = None
    own: FixedWindowRateLimiter = field(default_factory=lambda: FixedWindowRateLimiter(Counters()))

    @web.middleware
    async def around(self, request: web.Request, handler: Any) -> web.StreamResponse:
        principal = await self.door.identify(request)
        request[ORIGIN] = str(origin_of(request, principal, self.proxies))
        if self.policies and request.method != "OPTIONS" and request.path.startswith(f"{ROOT}/"):
            self._check(request, [quota async for quota in self._counted(request, principal)])
        response: web.StreamResponse = await handler(request)
        return response

    def _check(self, request: web.Request, quotas: Iterable[Quota]) -> None:
        quotas = list(quotas)
        request[RATE_HEADERS] = {
            "RateLimit-Policy": ", ".join(quota.policy for quota in quotas),
            "RateLimit": ", ".join(quota.state for quota in quotas),
        }
        exceeded = [quota for quota in quotas if quota.exceeded]
        if exceeded:
            longest = max(exceeded, key=lambda quota: quota.seconds)
            raise quota_exceeded(
                f"{longest.item.amount:,} requests in {longest.item.get_expiry():,} s are taken, and there were more.",
                headers={"Retry-After": str(longest.seconds)},
            )

    async def _counted(self, request: web.Request, principal: Principal | None) -> Any:
        name = policy_of(request.path, self.policies)
        caller = caller_of(request, principal, self.proxies)
        for item in self.policies.get(name, ()):
            yield await self._hit(item, name, caller)

    async def _hit(self, item: RateLimitItem, name: str, caller: str) -> Quota:
        if self.shared is not None:
            try:
                return await hit(self.shared, item, name, caller)
            except StorageError as fault:
                log.warning("rate-limits-not-shared", reason=repr(fault))
        return await hit(self.own, item, name, caller)


async def hit(limiter: FixedWindowRateLimiter, item: RateLimitItem, name: str, caller: str) -> Quota:
    """The quota after one more request."""
    passes = await limiter.hit(item, name, caller)
    stats = await limiter.get_window_stats(item, name, caller)
    seconds = max(1, math.ceil(stats.reset_time - time.time()))
    return Quota(f"{name}-{item.GRANULARITY.name}", item, stats.remaining, seconds, not passes)


def make_limits(settings: Settings, door: Door) -> Limits:
    """Raises ValueError where a setting cannot be read."""
    store = settings.rate_limit_store.get_secret_value()
    shared = None if store == "memory" else FixedWindowRateLimiter(_redis(store))
    return Limits(door, policies_of(settings.rate_limits), networks(settings.trusted_proxies), shared)


def _redis(address: str) -> RedisStorage:
    return RedisStorage(
        f"async+{address}",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix="bitcorp",
        socket_connect_timeout=REDIS_SECONDS,
        socket_timeout=REDIS_SECONDS,
    )


def policies_of(text: str) -> Policies:
    """`auth=500/minute;5000/hour, resources=...` as a table. Raises ValueError."""
    parts = (part.partition("=") for part in text.split(",") if part.strip())
    return {name.strip(): tuple(parse_many(limits)) for name, _, limits in parts}


def policy_of(path: str, policies: Policies) -> str:
    """The policy that counts for the first part of the path below the API's root."""
    first = path.removeprefix(f"{ROOT}/").partition("/")[0]
    return first if first in policies else REST


def origin_of(request: web.Request, principal: Principal | None, proxies: Networks) -> Origin:
    """Where the request comes from, for the audit."""
    address = client_address(request.remote, request.headers, proxies)
    caller = "" if principal is None else str(principal.actor)
    return Origin("" if address is None else str(address), caller, request.headers.get("User-Agent", ""))


def caller_of(request: web.Request, principal: Principal | None, proxies: Networks) -> str:
    """On whose account the request goes."""
    if principal is not None:
        return f"{principal.company_id or ''}:{principal.actor}"
    return f"address:{counted_address(client_address(request.remote, request.headers, proxies))}"
